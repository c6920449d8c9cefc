"""What Medulla says of a plan before anything is begun: asked of Medulla itself, with proofs of what was said.

It saves a person from half a plan, and says the reasons in plain words. It decides nothing: whatever comes out, every
step is judged anew when its arguments are known, and a step that is not permitted is not done. Where Medulla is not
there, or takes too long, the plan counts as refused (`UNCHECKED`): nothing is begun that nobody looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from kindmesh.coordinator.brain.desk.judging import UNCHECKED, Judged, Why
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import KindmeshError, UnknownOperation
from kindmesh.protocol.manifest import HARMLESS
from kindmesh.protocol.plan import Plan, plan_to_bytes
from kindmesh.protocol.policy import decide
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.utterance_evidence import Evidence, Heard, evidence

log = logging.getLogger("kindmesh.coordinator.desk")

WITHIN_S: Final = 8.0
"""How long Medulla may take."""


class Reviewer:
    """See the module."""

    def __init__(self, heart: Heart, trust: Callable[[], Trust], medulla: MedullaClient) -> None:
        self._heart = heart
        self._trust = trust
        self._medulla = medulla

    async def review(
        self, plan: Plan, who: Principal, heard: Heard | None, second: m.Opinion | None = None
    ) -> Judged:
        """What Medulla says of a plan that `who` asked for with these words, and of which a second reviewer said that.

        Raises:
            InvalidInput: the plan is larger than a plan may be.
        """
        # What a plan is called may be what was said.
        nameless = plan_to_bytes(msgspec.structs.replace(plan, name=""))
        request = m.PlanReview(nameless, who, evidence=self._evidence(plan, heard), second=second)
        try:
            async with asyncio.timeout(WITHIN_S):
                found = await self._medulla.review(request)
        except TimeoutError:
            log.warning("a plan was not reviewed in time")
            return UNCHECKED
        except KindmeshError as error:
            log.warning("a plan was not reviewed", extra={"code": error.code})
            return UNCHECKED
        return Judged(found.answer, tuple(Why(one.rule, one.step, one.message) for one in found.reasons))

    def _evidence(self, plan: Plan, heard: Heard | None) -> Evidence | None:
        """All of the words where a step does more than read and notify, as at its permit; else none of them."""
        if heard is None:
            return None
        return evidence(heard, (), whole=self._is_act(plan))

    def _is_act(self, plan: Plan) -> bool:
        undone = [step.compensate.call for step in plan.steps if step.compensate is not None]
        calls = [*(step.call for step in plan.steps if step.call), *undone]
        return any(map(self._acts, calls)) or any(step.sub is not None for step in plan.steps)

    def _acts(self, operation: str) -> bool:
        try:
            return any(seat.operation.effects & ~HARMLESS for seat in self._heart.devices.seats(operation))
        except UnknownOperation:
            return False

    def waits_for_yes(self, operation: str) -> bool:
        """Whether the owner's policy asks before an operation, if words do not settle it."""
        try:
            seats = self._heart.devices.seats(operation)
        except UnknownOperation:
            return True
        policy = self._trust().policy
        return any(decide(policy, operation, seat.operation.effects) != "allow" for seat in seats)


__all__ = ["WITHIN_S", "Reviewer"]
