"""The review of a whole plan: everything it would do, against every rule; the worst answer wins (deny > ask > allow).

`review(plan, facts)` is pure. The central rule is that every step with an effect must be justified by the person's
proven words: that it is there, its target, and each value that matters. What is not proven counts as made up.
A rule can only make the answer worse; whoever adds one to `RULES` never opens a door. `Afterwards` is what the ledger
has to remember once the plan is let through, so that an effect split over two plans is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.review_facts import REASONS_MAX, Facts, Ledger, Reason, Reviewed
from kindmesh.coordinator.brain.medulla.review_flow import Made, flow
from kindmesh.coordinator.brain.medulla.review_scene import Rule, Scene, compiled
from kindmesh.coordinator.brain.medulla.rule_amounts import amounts, compared, done_of, spending
from kindmesh.coordinator.brain.medulla.rule_bounds import again, egress, presence, quiet, rates
from kindmesh.coordinator.brain.medulla.rule_cedar import cedar
from kindmesh.coordinator.brain.medulla.rule_feeds import feeds
from kindmesh.coordinator.brain.medulla.rule_flows import influence, loops, two_of_three
from kindmesh.coordinator.brain.medulla.rule_known import known, unseen
from kindmesh.coordinator.brain.medulla.rule_pairs import pairs
from kindmesh.coordinator.brain.medulla.rule_policy import asker, consent, policy
from kindmesh.coordinator.brain.medulla.rule_said import said
from kindmesh.coordinator.brain.medulla.rule_shape import (
    acts,
    alphabets,
    directions,
    hidden,
    precise,
    units,
    waits,
)
from kindmesh.coordinator.brain.medulla.rule_sinks import sinks
from kindmesh.coordinator.brain.medulla.rule_spoken import spoken
from kindmesh.coordinator.brain.medulla.rule_support import asked_for
from kindmesh.coordinator.brain.medulla.rule_switches import switches
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.policy import SEVERITY, Answer

RULES: Final[tuple[Rule, ...]] = (
    known, unseen, policy, cedar, asker, consent, sinks, amounts, compared, spending, asked_for, said, alphabets, loops,
    influence, two_of_three, egress, quiet, rates, again, presence, hidden, waits, acts, precise, units, directions,
    feeds, spoken, switches, pairs,
)  # fmt: skip
"""All rules; the order is that of the reasons."""
ABOUT_WORDS: Final[frozenset[Rule]] = frozenset((
    sinks, amounts, compared, asked_for, said, alphabets, loops, again, presence, hidden, waits, acts, precise, units,
    directions, feeds, spoken, switches, pairs,
))  # fmt: skip
"""Those that ask for a person's words; what the owner's policy allows outright needs none."""

NEVER_APPROVED: Final = frozenset({"known", "check"})
"""What nobody can say yes to, because nobody knows what it would be."""

SecondOpinion = Callable[[Plan, Reviewed], Answer]
"""Somebody else's verdict on a plan, for instance another model's; it is only heard when it is worse."""


def review(plan: Plan, facts: Facts, rules: tuple[Rule, ...] = RULES) -> Reviewed:
    """The verdict on a plan with its reasons; a plan that could not run is denied."""
    return reviewed(plan, facts, rules)[0]


def reviewed(plan: Plan, facts: Facts, rules: tuple[Rule, ...] = RULES) -> tuple[Reviewed, Ledger]:
    """The verdict, and the ledger as it is once the plan is done (unchanged unless it is let through)."""
    try:
        check_plan(plan, emergency=facts.emergency)
        made = flow(plan, facts)
    except KindmeshError as error:
        reason = Reason("check", error.field or "", error.message, "deny")
        return Reviewed("deny", (reason,)), facts.ledger
    scene = Scene(facts, made, compiled(tuple(facts.prover.proven())))
    found = [reason for rule in rules for reason in rule(scene)]
    verdict = _worst(_unanswered(found, facts))
    if verdict.verdict == "allow":
        return verdict, facts.ledger.with_(done_of(scene), made.kept)
    return verdict, facts.ledger


def _unanswered(found: Iterable[Reason], facts: Facts) -> list[Reason]:
    """What is left once the approvals are counted: a person's yes settles what asks, never what is denied."""
    return [
        reason for reason in found
        if reason.answer == "deny"
        or reason.rule in NEVER_APPROVED
        or not (reason.step in facts.approved or _is_agreed(reason, facts))
    ]  # fmt: skip


def _is_agreed(reason: Reason, facts: Facts) -> bool:
    """Whether a yes to these very steps, for whenever these words are said, settles it. Where they are all that the
    plan calls, it settles what is asked about the plan and its pauses, too."""
    return reason.rule in facts.settled and (reason.step in facts.agreed or "" in facts.agreed)


def _worst(found: list[Reason]) -> Reviewed:
    if not found:
        return Reviewed("allow")
    worst = max(SEVERITY[reason.answer] for reason in found)
    unique = list(dict.fromkeys(found))
    reasons = tuple(reason for reason in unique if SEVERITY[reason.answer] == worst)
    also = tuple(reason for reason in unique if SEVERITY[reason.answer] < worst)
    return Reviewed(reasons[0].answer, reasons[:REASONS_MAX], also[:REASONS_MAX])


def with_second(plan: Plan, first: Reviewed, second: SecondOpinion, why: str = "") -> Reviewed:
    """The verdict with another's opinion counted; it can only become worse."""
    said = second(plan, first)
    if SEVERITY.get(said, SEVERITY["deny"]) <= SEVERITY[first.verdict]:
        return first
    answer: Answer = said if said in SEVERITY else "deny"
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in why).split())
    doubts = "a second reviewer has doubts about this plan"
    reason = Reason("second", "", f"{doubts}: {words}" if words else doubts, answer)
    return msgspec.structs.replace(
        first, verdict=answer, reasons=(reason,), also=(*first.reasons, *first.also)[:REASONS_MAX]
    )


__all__ = [
    "ABOUT_WORDS", "NEVER_APPROVED", "RULES", "Made", "SecondOpinion", "review", "reviewed", "with_second",
]  # fmt: skip
