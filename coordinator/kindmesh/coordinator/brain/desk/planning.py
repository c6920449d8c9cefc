"""What no grammar understands, given to a language model, if a device of the household offers one.

It stays in the house (`llm.chat`) unless the owner allowed twice that it may leave it: in the signed policy, where
`llm.chat_outside` needs no question, and on the device that asks the models, whose `outside` lists every class of data
that the conversation is about (`text`, `home`, and what is looked at). Then the device's own order of models counts. A
plan for somebody who may not spend goes on in the house.

The model is asked by ordinary jobs of whoever asked, with permits like any other; it looks at what devices tell by
session calls that only read. Each of its plans goes through the same look ahead as all plans, and comes back to it with
the reasons, at most as often as the planner allows. What it made up is labelled as its own, and judged as such.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.judging import UNCHECKED, Judged
from kindmesh.coordinator.brain.desk.veil import Veil, without
from kindmesh.coordinator.brain.planner.loop_words import Judged as Verdict
from kindmesh.coordinator.heart.devices import Seat
from kindmesh.coordinator.heart.heart import Heart, Wish
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import (
    AccessRefused,
    Denied,
    EgressRefused,
    InternalError,
    InvalidInput,
    NeedsApproval,
    PeerUnreachable,
    UnknownOperation,
    WireError,
    error_from_wire,
)
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.manifest import Effect, Manifest
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.policy import decide
from kindmesh.protocol.principal import Principal

CHAT: Final = "llm.chat"
OUTSIDE: Final = "llm.chat_outside"
_NOT_THE_PLAN: Final = frozenset({"policy", "quiet-hours", "rate", "spend", "presence", "asker", "cedar"})
"""Rules that ask whatever the plan is, so that another one would be asked about as well."""
LOOK_MS: Final = 5_000


class Planning:
    """See the module."""

    def __init__(self, heart: Heart, trust: Callable[[], Trust], clock: Clock) -> None:
        self._heart = heart
        self._trust = trust
        self._clock = clock

    def is_there(self) -> bool:
        """Whether a device that is here offers a language model."""
        try:
            seats = self._heart.devices.seats(CHAT)
        except UnknownOperation:
            return False
        return any(self._heart.devices.is_here(seat.device.device_id) for seat in seats)

    async def plan(
        self,
        text: str,
        situation: Situation,
        who: Principal,
        *,
        review: Callable[[Plan], Awaitable[Judged]],
        looks: Callable[[Plan], Awaitable[Judged]],
        check: Callable[[Seat], None],
        where: Mapping[str, str],
        veil: Veil,
    ) -> Understanding:
        """What a sentence means to a language model; an honest answer when it does not work. `where`: thing of the
        home -> device (text id) that it is at; `veil`: what who asks, and so the model, may not know of it; `looks`:
        what is said of a plan that only looks at something."""
        from kindmesh.coordinator.brain.planner.planner import Planner  # noqa: PLC0415 - only where there is a model

        async def said_of(plan: Plan) -> Verdict:
            judged = await review(plan)
            if judged is UNCHECKED:
                raise PeerUnreachable(judged.messages[0])
            asks = judged.verdict == "ask"
            given = [one.message for one in judged.reasons if not (asks and one.rule in _NOT_THE_PLAN)]
            return Verdict(tuple(dict.fromkeys(given)), asks)

        planner = Planner(
            _Chat(self._heart, who, may_leave=self._may_leave()).ask,
            look=partial(self._look, _Eyes(check, where, veil, looks)),
            review=said_of,
            clock=self._clock,
        )
        return await planner.plan(text, situation, self._manifests())

    def _may_leave(self) -> bool:
        """Whether the owner's policy lets a sentence go to models outside the house without a question."""
        return decide(self._trust().policy, OUTSIDE, int(Effect.READ | Effect.SPEND)) == "allow"

    async def _look(self, eyes: _Eyes, operation: str, arguments: dict[str, Any]) -> Any:
        for seat in self._heart.devices.seats(operation):
            eyes.check(seat)
        judged = await eyes.looks(Plan(steps=(Step(id="look", call=operation, args=arguments),)))
        if judged.verdict != "allow":
            raise AccessRefused(f"who asks may not know that: {'; '.join(judged.messages)}"[:300])
        target = _place(arguments, eyes.where)
        told = await self._heart.call(operation, arguments, target=target, within_ms=LOOK_MS)
        return without(eyes.veil, operation, told)

    def _manifests(self) -> list[Manifest]:
        found: dict[str, Manifest] = {}
        for member in self._trust().membership.members():
            advert = self._heart.devices.find(member.subject).advert if member.kind == "device" else None
            for offer in advert.offers if advert is not None else ():
                found.setdefault(offer.manifest.capability, offer.manifest)
        return list(found.values())


class _Eyes(NamedTuple):
    """What a plan's looks are bounded by; as in `Planning.plan`."""

    check: Callable[[Seat], None]
    where: Mapping[str, str]
    veil: Veil
    looks: Callable[[Plan], Awaitable[Judged]]


class _Chat:
    """The language models of one plan. Once it stays in the house, it stays there to its end."""

    def __init__(self, heart: Heart, who: Principal, *, may_leave: bool) -> None:
        self._heart, self._who, self._may_leave = heart, who, may_leave

    async def ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `llm.chat` in, its result out.

        Raises:
            KindmeshError: nobody answered, and why.
        """
        if self._may_leave:
            try:
                return await self._job(OUTSIDE, arguments)
            except (Denied, EgressRefused, NeedsApproval):
                self._may_leave = False
        return await self._job(CHAT, arguments)

    async def _job(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        job = await self._heart.run(Wish(operation=operation, args=arguments, principal=self._who))
        if job["state"] == "succeeded" and isinstance(job["value"], dict):
            value: dict[str, Any] = job["value"]
            return value
        error = job.get("error")
        if error:
            raise error_from_wire(WireError(error["code"], error["message"], error["hint"], error["field"]))
        raise InternalError(f"the language model's job {job['state']}")


def _place(arguments: dict[str, Any], where: Mapping[str, str]) -> bytes:
    """The device that has the things of the home that are named; empty: none is named.

    Raises:
        InvalidInput: they are at several devices, each of which knows its own.
    """
    named = (one for given in arguments.values() for one in (given if isinstance(given, list) else (given,)))
    devices = {where[one]: one for one in named if isinstance(one, str) and one in where}
    if len(devices) > 1:
        one, other = sorted(devices.values())[:2]
        raise InvalidInput(
            f"{one} and {other} are at different devices: look at them one by one", field="entities"
        )
    return next((parse_id(device) for device in devices), b"")


__all__ = ["CHAT", "OUTSIDE", "Planning"]
