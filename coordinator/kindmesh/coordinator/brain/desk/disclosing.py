"""May who asks know how the things of the home are? Asked of Medulla, once for each sentence, before anything is said;
and for each session call of a member that reads them.

Each device is asked about apart, and each of its things only where the owner's rules can differ from one to the next.
Where Medulla is not there, or takes too long, nothing is told (`UNCHECKED`): nobody else can say who may know what. But
where the owner's signed policy has no rules that could keep anything from anybody, and lets the home be looked at, only
roles do, and those the coordinator has looked at before: then the home is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.desk.homes import LOOK, Seen
from kindmesh.coordinator.brain.desk.veil import OPEN, Hidden, Veil, as_withheld, things_told
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.look_messages import THINGS_MAX, Look, Looked
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import (
    AccessRefused,
    KindmeshError,
    NotRunning,
    PeerUnreachable,
    UnknownOperation,
)
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.policy import decide
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import Evidence, Heard, evidence

log = logging.getLogger("kindmesh.coordinator.desk")

WITHIN_S: Final = 3.0
"""How long Medulla may take."""
AGAIN_S: Final = 0.2
"""Pause before a Medulla that is not there is asked again."""
UNCHECKED: Final = Hidden(
    "deny", "unchecked", "nobody can check just now whether I may; please try again in a moment"
)


class Called(msgspec.Struct, frozen=True):
    """An operation that tells something, on a device, what for, and what proves who asks: what they said, or their own
    request."""

    operation: str
    device: bytes = b""
    purpose: Purpose = "household"
    evidence: Evidence | None = None
    proof: Signed | None = None


class Disclosing:
    """See the module."""

    def __init__(self, medulla: MedullaClient, heart: Heart, trust: Callable[[], Trust]) -> None:
        self._medulla = medulla
        self._heart = heart
        self._trust = trust

    async def veil(self, seen: Seen, who: Principal, heard: Heard | None) -> Veil:
        """What `who` may not know of what was seen; `heard` proves that they ask."""
        asked = Called(LOOK, evidence=None if heard is None else evidence(heard, (), whole=False))
        devices: dict[str, list[str]] = {}
        for thing, device in seen.where.items():
            devices.setdefault(device, []).append(thing)
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._patiently(devices, who, asked)
        except TimeoutError:
            log.warning("what may be told was not checked in time")
            return self._unchecked()
        except KindmeshError as error:
            log.warning("what may be told was not checked", extra={"code": error.code})
            return self._unchecked()
        groups: dict[Hidden, list[str]] = {}
        for one in found:
            for hidden, things in one:
                groups.setdefault(hidden, []).extend(things)
        every = next((hidden for hidden in groups if hidden.answer == "deny"), None)
        if every is not None and set(groups[every]) == set(seen.where):
            # Also what turns up later.
            return Veil(every=every)
        return Veil(
            tuple(msgspec.structs.replace(hidden, things=tuple(some)) for hidden, some in groups.items())
        )

    def _unchecked(self, operation: str = LOOK) -> Veil:
        """What is withheld while nobody can say it: everything, unless no rule could withhold anything."""
        policy = self._trust().policy
        try:
            seats = self._heart.devices.seats(operation)
        except UnknownOperation:
            return Veil(every=UNCHECKED)
        looks = all(decide(policy, operation, seat.operation.effects) == "allow" for seat in seats)
        return OPEN if looks and not policy.cedar else Veil(every=UNCHECKED)

    async def _patiently(
        self, devices: dict[str, list[str]], who: Principal, asked: Called
    ) -> list[list[tuple[Hidden, list[str]]]]:
        """What is withheld on each device; a Medulla that has just died is started anew, and asked again."""
        while True:
            try:
                return await asyncio.gather(
                    *(self._of(device, things, who, asked) for device, things in devices.items())
                )
            except (NotRunning, PeerUnreachable):
                await asyncio.sleep(AGAIN_S)

    async def call(
        self, asked: Called, who: Principal, told: dict[str, Any], named: Sequence[str]
    ) -> dict[str, Any]:
        """What a device answered to a session call, as far as `who` may know it: what is withheld has the state
        `withheld`, or is left out, and `withheld` lists it; `named`: things that were asked for by name.

        Raises:
            AccessRefused: something named, or all, may not be told. PeerUnreachable: nobody can check it.
        """
        about = list(dict.fromkeys((*named, *things_told(asked.operation, told))))
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._of(format_id(asked.device), about, who, asked)
        except (TimeoutError, NotRunning, PeerUnreachable) as error:
            if not self._unchecked(asked.operation).hides:
                return told
            raise PeerUnreachable(UNCHECKED.message, hint="Try again in a moment.") from error
        veil = Veil(tuple(msgspec.structs.replace(why, things=tuple(some)) for why, some in found))
        hidden = [thing for thing in about if veil.on(thing) is not None]
        kept = [thing for thing in named if thing in hidden] or (hidden if len(hidden) == len(about) else [])
        if kept:
            why = veil.judged(tuple(kept)).messages[0]
            raise AccessRefused(f"{kept[0]} may not be told: {why}", field="args")
        return {**as_withheld(veil, asked.operation, told), "withheld": hidden} if hidden else told

    async def _of(
        self, device: str, things: list[str], who: Principal, asked: Called
    ) -> list[tuple[Hidden, list[str]]]:
        """What is withheld of one device's things, by the reason; denied counts before asked."""
        denied: dict[Hidden, list[str]] = {}
        whole: Looked | None = None
        for first in range(0, max(1, len(things)), THINGS_MAX):
            some = tuple(things[first : first + THINGS_MAX])
            said = await self._medulla.look(
                Look(asked.operation, parse_id(device), some, who, asked.purpose, asked.evidence, asked.proof)
            )
            whole = said
            if not said.by_thing:
                break
            for one in said.withheld:
                denied.setdefault(Hidden(one.answer, one.rule, one.message), []).append(one.thing)
        if whole is not None and whole.answer != "allow":
            denied = {hidden: some for hidden, some in denied.items() if hidden.answer == "deny"}
            worse = {thing for some in denied.values() for thing in some}
            rest = [thing for thing in things if thing not in worse]
            denied.setdefault(Hidden(whole.answer, whole.rule, whole.message), []).extend(rest)
        return [(hidden, some) for hidden, some in denied.items() if some]


__all__ = ["UNCHECKED", "WITHIN_S", "Called", "Disclosing"]
