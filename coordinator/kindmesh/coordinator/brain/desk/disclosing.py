"""May who asks know how the things of the home are? Asked of Medulla, once for each sentence, before anything is said.

Each device is asked about apart, and each of its things only where the owner's rules can differ from one to the next.
Where Medulla is not there, or takes too long, nothing is told (`UNCHECKED`): nobody else can say who may know what.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from kindmesh.coordinator.brain.desk.homes import LOOK, Seen
from kindmesh.coordinator.brain.desk.veil import Hidden, Veil
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.look_messages import THINGS_MAX, Look, Looked
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.utterance_evidence import Evidence, Heard, evidence

log = logging.getLogger("kindmesh.coordinator.desk")

WITHIN_S: Final = 3.0
"""How long Medulla may take."""
UNCHECKED: Final = Hidden(
    "deny", "unchecked", "nobody can check just now whether I may; please try again in a moment"
)


class Disclosing:
    """See the module."""

    def __init__(self, medulla: MedullaClient) -> None:
        self._medulla = medulla

    async def veil(self, seen: Seen, who: Principal, heard: Heard | None) -> Veil:
        """What `who` may not know of what was seen; `heard` proves that they ask."""
        shown = None if heard is None else evidence(heard, (), whole=False)
        devices: dict[str, list[str]] = {}
        for thing, device in seen.where.items():
            devices.setdefault(device, []).append(thing)
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await asyncio.gather(
                    *(self._of(device, things, who, shown) for device, things in devices.items())
                )
        except TimeoutError:
            log.warning("what may be told was not checked in time")
            return Veil(every=UNCHECKED)
        except KindmeshError as error:
            log.warning("what may be told was not checked", extra={"code": error.code})
            return Veil(every=UNCHECKED)
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

    async def _of(
        self, device: str, things: list[str], who: Principal, shown: Evidence | None
    ) -> list[tuple[Hidden, list[str]]]:
        """What is withheld of one device's things, by the reason; denied counts before asked."""
        denied: dict[Hidden, list[str]] = {}
        whole: Looked | None = None
        for first in range(0, len(things), THINGS_MAX):
            some = tuple(things[first : first + THINGS_MAX])
            said = await self._medulla.look(Look(LOOK, parse_id(device), some, who, evidence=shown))
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


__all__ = ["UNCHECKED", "WITHIN_S", "Disclosing"]
