"""The real review, for a sentence without a mesh: Medulla's rules over the plan, with what a household begins with.

Facts are the manifest of the home, the policy that `kindmesh init` signs, the things of the home by name, and the words
of the line as what was said. Who asks is the owner, present. Nothing happened before: the ledger is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.naming import area_words, names_of
from kindmesh.protocol.guards import FIRST_GUARDS, Guards
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.policy import Answer, decide, first_policy
from kindmesh.protocol.roles import EVERYTHING, Rights

_NO_MESH: Final = bytes(20)


class Why(msgspec.Struct, frozen=True):
    """One reason: the rule, the step it is about, a sentence."""

    rule: str
    step: str
    message: str


class Judged(msgspec.Struct, frozen=True):
    """What the review said."""

    verdict: Answer
    reasons: tuple[Why, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """The sentences, each once."""
        return tuple(dict.fromkeys(reason.message for reason in self.reasons))

    def documents(self) -> list[dict[str, Any]]:
        """The reasons as plain data."""
        return [msgspec.to_builtins(reason) for reason in self.reasons]


UNCHECKED: Final = Judged(
    "deny", (Why("unchecked", "", "I cannot have it checked just now; please try again in a moment"),)
)
"""Nobody said anything about the plan."""


def judge(
    plan: Plan,
    text: str,
    home: Home,
    *,
    area: str,
    now_ms: int,
    zone: str,
    operations: Mapping[str, Operation] | None = None,
    policy: Callable[[str, int], Answer] | None = None,
    guards: Guards = FIRST_GUARDS,
    principal: str = "owner",
    role: str = "owner",
    rights: Rights = EVERYTHING,
) -> Judged:
    """The verdict on a plan for a sentence that somebody (the owner) said in this home. Without `operations` and
    `policy` they are those that a household begins with.

    Raises:
        KindmeshError: the plan cannot be reviewed.
    """
    from kindmesh.coordinator.brain.medulla.review import review  # noqa: PLC0415 - only once something is judged
    from kindmesh.coordinator.brain.medulla.review_facts import Facts  # noqa: PLC0415
    from kindmesh.coordinator.brain.medulla.review_words import TextProver  # noqa: PLC0415
    from kindmesh.coordinator.heart.schedules.zones import local_of, zone_named  # noqa: PLC0415

    local = local_of(now_ms, zone_named(zone))
    facts = Facts(
        operations=_operations() if operations is None else operations,
        policy=_first_policy if policy is None else policy,
        guards=guards,
        prover=TextProver(text),
        principal=principal,
        role=role,
        rights=rights,
        names=names_of(home),
        area=area_words(home, area),
        now_ms=now_ms,
        minute=local.hour * 60 + local.minute,
    )
    reviewed = review(plan, facts)
    return Judged(reviewed.verdict, tuple(Why(one.rule, one.step, one.message) for one in reviewed.reasons))


@lru_cache(maxsize=1)
def _operations() -> Mapping[str, Operation]:
    from kindmesh.capabilities.home.manifest import MANIFEST  # noqa: PLC0415 - only once something is judged

    return {operation.name: operation for operation in MANIFEST.operations}


def _first_policy(operation: str, effects: int) -> Answer:
    return decide(_policy(), operation, effects)


@lru_cache(maxsize=1)
def _policy() -> Any:
    return first_policy(_NO_MESH, 0)


__all__ = ["UNCHECKED", "Judged", "Why", "judge"]
