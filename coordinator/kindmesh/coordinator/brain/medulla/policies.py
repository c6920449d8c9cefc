"""What the owner signed about what is allowed: the policy, its rules in Cedar, and those of an owner of before. Pure.

Until the present owner has signed anew, what the owner of before asked about or forbade stays so: the worse of both
answers counts. So whoever takes a household over never opens a door by doing so.
"""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.medulla.cedar import Rules
from kindmesh.protocol.policy import SEVERITY, Answer, Policy, decide
from kindmesh.protocol.signed import Signed

DECIDED_MAX: Final = 4_096
"""Answers that are remembered."""


class Policies:
    """See the module. `signed`: the policy as the owner signed it; None: there never was one, and all is denied.
    `since_ms` is when the present owner was named."""

    def __init__(self, mesh: bytes) -> None:
        self.policy = Policy(mesh, 0, 0, ())
        self.signed: Signed | None = None
        self.former: Policy | None = None
        self._own_rules: Rules | None = None
        self._former_rules: Rules | None = None
        self._decided: dict[tuple[str, int, int], Answer] = {}

    def put(self, policy: Policy, signed: Signed) -> None:
        """Take over a policy of the owner's; who may have signed it was checked."""
        self.policy, self.signed = policy, signed
        self._own_rules = Rules(policy.cedar) if policy.cedar else None
        self._decided.clear()

    def put_former(self, policy: Policy) -> bool:
        """Take over the newest policy of an owner of before; False when a newer one is known."""
        if self.former is not None and policy.version <= self.former.version:
            return False
        self.former = policy
        self._former_rules = Rules(policy.cedar) if policy.cedar else None
        self._decided.clear()
        return True

    def rules(self, since_ms: int) -> tuple[Rules, ...]:
        """The rules in Cedar that count; none: empty."""
        both = (self._own_rules, self._former_rules if self._before(since_ms) is not None else None)
        return tuple(rules for rules in both if rules is not None)

    def decide(self, operation: str, effects: int, since_ms: int) -> Answer:
        """The answer to an operation with these effects."""
        if self.signed is None:
            return "deny"
        asked = (operation, effects, since_ms)
        answer = self._decided.get(asked)
        if answer is None:
            if len(self._decided) >= DECIDED_MAX:
                self._decided.clear()
            answer = self._decided[asked] = self._strictest(operation, effects, since_ms)
        return answer

    def _strictest(self, operation: str, effects: int, since_ms: int) -> Answer:
        answer, before = decide(self.policy, operation, effects), self._before(since_ms)
        if before is None:
            return answer
        former = decide(before, operation, effects)
        return former if SEVERITY[former] > SEVERITY[answer] else answer

    def _before(self, since_ms: int) -> Policy | None:
        return None if self.policy.issued_ms > since_ms else self.former


__all__ = ["DECIDED_MAX", "Policies"]
