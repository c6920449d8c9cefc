"""A confirmed routine, laid before the person who confirmed it, so that its steps need no further yes.

What the plan would ask of which device, value by value, goes to Medulla, which adds what it knows of each step; the
bytes that come back are what the person's own key may sign (`kindmesh.protocol.routine`). Nothing is in force by that.
A step stays one that is asked about when its values are only known later, when it is done several times, when several
devices could do it, or when it only reads or tells (Medulla is not shown the whole sentence for that).
A sentence that is forgotten, or means something else from now on, has its yes ended.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from kindmesh.coordinator.brain.desk.applying import in_order
from kindmesh.coordinator.brain.desk.reviewing import Reviewer
from kindmesh.coordinator.brain.desk.routing import routed
from kindmesh.coordinator.brain.medulla.approval_messages import (
    EndStanding,
    Standings,
    StandingsWanted,
)
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.routine_messages import Propose, Proposed, ProposedStep
from kindmesh.coordinator.heart.devices import Seat
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.manifest import HARMLESS, check_fields
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.plan_check import needs
from kindmesh.protocol.plan_values import evaluate
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.routine import ROUTINE_STEPS_MAX, RoutineApproval, RoutineRequest, plain_words
from kindmesh.protocol.utterance import words_of

log = logging.getLogger("kindmesh.coordinator.desk")

_MANY: Final = f"it has more than {ROUTINE_STEPS_MAX} steps"
_ITSELF: Final = "only a person with a key of their own, or the owner, can agree to it for longer"


class Laid(msgspec.Struct, frozen=True):
    """What came of it: `request` may be signed (empty: nothing can be, or need be); `asked`: operations that are asked
    about even so; `why` nothing can be signed, in a sentence, or empty."""

    request: bytes = b""
    asked: tuple[str, ...] = ()
    why: str = ""


class Agreeing:
    """See the module; holds no state."""

    def __init__(self, heart: Heart, reviewer: Reviewer, medulla: MedullaClient) -> None:
        self._heart = heart
        self._reviewer = reviewer
        self._medulla = medulla

    async def lay(self, who: Principal, sentence: str, plan: Plan, where: Mapping[str, str]) -> Laid:
        """Lay a routine before who confirmed it; `where`: entity -> device, as text."""
        calls = {step.call for step in plan.steps if step.call}
        if not any(self._reviewer.waits_for_yes(call) for call in calls):
            return Laid()
        steps, asked = self._steps(plan, where)
        if not steps:
            return Laid(asked=asked)
        if who.kind not in ("owner", "person"):
            return Laid(asked=asked, why=_ITSELF)
        if len(steps) > ROUTINE_STEPS_MAX:
            return Laid(asked=asked, why=_MANY)
        wish = Propose(who, words_of(sentence), steps)
        try:
            return Laid((await self._medulla.call("propose", wish, Proposed)).request, asked)
        except KindmeshError as error:
            # The routine is learned all the same; only each of its steps is asked about.
            log.info("a routine cannot be agreed to", extra={"code": error.code})
            return Laid(asked=asked, why=error.message)

    async def agreed(self, who: Principal) -> dict[tuple[str, ...], int]:
        """Until when (UTC ms) routines of this principal need no yes, by their words.

        Raises:
            NotRunning, PeerUnreachable: Medulla does not answer.
        """
        return {asked.words: approval.expires_ms for approval, asked in await self._of(who)}

    async def end(self, who: Principal, sentence: str) -> bool:
        """This sentence's yes is over; False: there was none. Raises as `agreed`."""
        words = plain_words(words_of(sentence))
        ids = [asked.request_id for _, asked in await self._of(who) if asked.words == words]
        for id_ in ids:
            await self._medulla.call("unstand", EndStanding(id_), Standings)
        return bool(ids)

    async def _of(self, who: Principal) -> list[tuple[RoutineApproval, RoutineRequest]]:
        found = await self._medulla.call("standings", StandingsWanted(), Standings)
        # Medulla has checked the signatures.
        all_ = [decode(RoutineApproval, one.routine.payload, limit=ROSTER_MAX) for one in found.routines]
        mine = principal_text(who)
        pairs = [(approval, approval.asked()) for approval in all_]
        return [(approval, asked) for approval, asked in pairs if principal_text(asked.principal) == mine]

    def _steps(
        self, plan: Plan, where: Mapping[str, str]
    ) -> tuple[tuple[ProposedStep, ...], tuple[str, ...]]:
        """The steps that can be agreed to, and the operations of those that are asked about all the same."""
        steps: list[ProposedStep] = []
        asked: list[str] = []
        numbers: dict[str, int] = {}
        before: dict[str, set[str]] = {}
        for step in in_order(routed(plan, where, lambda _device, _operation: 0)):
            earlier = needs(step)[0]
            before[step.id] = set(earlier).union(*(before[name] for name in earlier))
            after = tuple(sorted(numbers[name] for name in before[step.id] if name in numbers))
            made = self._step(step, after)
            if made is not None:
                numbers[step.id] = len(steps)
                steps.append(made)
            elif step.sub is not None:
                asked.append("a plan inside it")
            elif step.call and self._reviewer.waits_for_yes(step.call):
                asked.append(step.call)
            if step.compensate is not None:
                asked.append(step.compensate.call)
        return tuple(steps), tuple(dict.fromkeys(asked))

    def _step(self, step: Step, after: tuple[int, ...]) -> ProposedStep | None:
        seat = self._seat(step)
        several = step.for_each is not None or step.while_ is not None
        if seat is None or several or not seat.operation.effects & ~HARMLESS:
            return None
        try:
            values = {name: evaluate(value, {}, name).value for name, value in step.args.items()}
            args = encode_value(check_fields(seat.operation.input, values))
        except KindmeshError:
            return None
        return ProposedStep(step.call, seat.device.device_id, args, after)

    def _seat(self, step: Step) -> Seat | None:
        """The only device that the step can go to."""
        try:
            seats = self._heart.devices.seats(step.call) if step.call else []
            if step.target:
                wanted = self._heart.devices.resolve(step.target) if isinstance(step.target, str) else b""
                seats = [seat for seat in seats if seat.device.device_id == wanted]
        except KindmeshError:
            return None
        return seats[0] if len(seats) == 1 else None


__all__ = ["Agreeing", "Laid"]
