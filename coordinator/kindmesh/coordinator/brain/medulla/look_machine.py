"""May who asks know how these things are? Judged before anything of it is said; it permits, counts and keeps nothing.

    of everything that a device tells    the review of a plan with that one step: who asks, their role, the policy
    of each thing                        the owner's rules in Cedar, as at a permit for exactly this thing
    the worst of the two counts

The words are not held against it: a look at the home is there to understand them. So `context.said` is never so here.
"""

from __future__ import annotations

from collections.abc import Iterator

from kindmesh.coordinator.brain.medulla.asking import called, named
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.cedar import Asked
from kindmesh.coordinator.brain.medulla.cedar_asked import thing_of, worst
from kindmesh.coordinator.brain.medulla.cedar_permit import bases_of
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction
from kindmesh.coordinator.brain.medulla.look_messages import Look, Looked, Withheld
from kindmesh.coordinator.brain.medulla.messages import PlanReview
from kindmesh.coordinator.brain.medulla.review_machine import heard_by, judged_plan
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.plan import Plan, Step, plan_to_bytes


def look(beliefs: Beliefs, request: Look, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `look`."""
    if request.target not in beliefs.offers:
        return [Answer(Looked("deny", "offered", "nobody knows what this device tells"))]
    proof = None
    if request.proof is not None:
        found = called(beliefs, request.principal, request.proof, request.operation, now_ms)
        if isinstance(found, str):
            return [Answer(Looked("deny", "asker", found))]
        proof = found
    plan = Plan(steps=(Step(id="look", call=request.operation, target=format_id(request.target)),))
    asked = PlanReview(plan_to_bytes(plan), request.principal, request.purpose, request.evidence)
    first = judged_plan(beliefs, asked, now_ms, rules=(), proof=proof)
    rule, message = (first.reasons[0].rule, first.reasons[0].message) if first.reasons else ("", "")
    if first.answer == "deny" or not beliefs.rules:
        return [Answer(Looked(first.answer, rule, message))]
    withheld = tuple(_withheld(beliefs, request, asked, now_ms))
    return [Answer(Looked(first.answer, rule, message, withheld, by_thing=True))]


def _withheld(beliefs: Beliefs, request: Look, asked: PlanReview, now_ms: int) -> Iterator[Withheld]:
    principal = named(beliefs, request.principal)
    proven = heard_by(beliefs, asked, principal, now_ms)
    effects = beliefs.offers[request.target].effects[request.operation]
    bases = bases_of(
        beliefs, Asked(request.operation, request.operation, effects, purpose=request.purpose), request.target,
        (principal, proven), by_key=request.proof is not None, now_ms=now_ms,
    )  # fmt: skip
    names = beliefs.offers[request.target].names
    for thing in dict.fromkeys(request.things):
        questions = [thing_of(base, thing, "", names.get(thing, ())) for base in bases]
        said = worst(beliefs.rules, questions)
        if said.answer != "allow":
            yield Withheld(thing, said.answer, "cedar", said.reason[:500])


__all__ = ["look"]
