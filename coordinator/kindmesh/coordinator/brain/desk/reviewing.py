"""A look ahead at what Medulla will say of a plan, before anything is begun: the same rules, with what is known here.

It saves a person from half a plan, and says the reasons in plain words. It decides nothing: whatever comes out, Medulla
judges every step anew when its arguments are known, with proofs instead of this process's word, and a step that it does
not permit is not done.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.desk.judging import Judged, judge
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import UnknownOperation
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.policy import decide
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.roles import EVERYTHING


class Reviewer:
    """See the module. `zone`: the household's."""

    def __init__(
        self, heart: Heart, trust: Callable[[], Trust], people: PeopleDesk, clock: Clock, zone: str
    ) -> None:
        self._heart = heart
        self._trust = trust
        self._people = people
        self._clock = clock
        self._zone = zone

    def review(self, plan: Plan, who: Principal, text: str, home: Home, area: str = "") -> Judged:
        """What the rules say of a plan that `who` asked for in these words, said in that area (an id) as whoever heard
        them signed; empty: not known.

        Raises:
            KindmeshError: it cannot be reviewed.
        """
        policy = self._trust().policy
        rights = self._people.rights(who)
        return judge(
            plan,
            text,
            home,
            area=area,
            now_ms=self._clock.now_ms(),
            zone=self._zone,
            operations=self._operations(plan),
            policy=partial(decide, policy),
            guards=policy.guards,
            principal=principal_text(who),
            role=self._people.role(who) or ("owner" if rights is None else "resident"),
            rights=EVERYTHING if rights is None else rights,
        )

    def _operations(self, plan: Plan) -> dict[str, Operation]:
        found = {}
        for step in plan.steps:
            calls = [step.call, step.compensate.call if step.compensate is not None else ""]
            for call in filter(None, calls):
                try:
                    found[call] = self._heart.devices.seats(call)[0].operation
                except UnknownOperation:
                    # The rules say of it that nobody knows it.
                    continue
        return found

    def waits_for_yes(self, operation: str) -> bool:
        """Whether the owner's policy asks before an operation, if words do not settle it."""
        try:
            seats = self._heart.devices.seats(operation)
        except UnknownOperation:
            return True
        policy = self._trust().policy
        return any(decide(policy, operation, seat.operation.effects) != "allow" for seat in seats)


__all__ = ["Reviewer"]
