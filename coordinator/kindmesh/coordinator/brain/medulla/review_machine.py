"""The review of a whole plan that somebody means to run: what would be said of it now, and why. It permits nothing.

Facts are Medulla's own: what devices declared, signed, what the owner signed (policy, bounds, roles, grants), what was
permitted lately, and the words that the evidence proves. Nothing is kept of it: an utterance is not used up, nothing is
counted, no question is made; so whoever asks often, or for another's plan, learns what the rules say and changes
nothing. A plan that is let through here is judged again, step by step, when a permit is asked for.

An operation that several devices declare has all of their effects; a thing that several devices name is called what
they agree on. A step that no device could be permitted to do is denied with the reasons of the first that it is for.
What the owner's policy allows outright needs no words, as at its permit, unless what it is about came from the web, a
device or a model. What a routine of these words settles at the permits is not asked about here either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from kindmesh.coordinator.brain.medulla.asking import named, role_of, standing_of
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.cedar import Rules
from kindmesh.coordinator.brain.medulla.cedar_asked import person_of, weekday_of
from kindmesh.coordinator.brain.medulla.evidence import Ears, Proven, Wanted, examine
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction
from kindmesh.coordinator.brain.medulla.messages import PlanReason, PlanReview, PlanVerdict
from kindmesh.coordinator.brain.medulla.review import ABOUT_WORDS, RULES, review, with_second
from kindmesh.coordinator.brain.medulla.review_facts import Facts, Reason
from kindmesh.coordinator.brain.medulla.review_scene import Rule, Scene
from kindmesh.coordinator.brain.medulla.routine_machine import SETTLED, Spoken, agreed_steps
from kindmesh.coordinator.brain.medulla.rule_amounts import spending
from kindmesh.coordinator.brain.medulla.rule_sinks import FOREIGN
from kindmesh.coordinator.brain.medulla.rules import (
    Case,
    Finding,
    current,
    granted,
    held,
    isolated,
    judge,
    member,
    offered,
    streamed,
)
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.people import PersonRequest
from kindmesh.protocol.plan import plan_from_bytes
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import EVERYTHING

_DEVICE_RULES = (member, current, offered, granted, isolated, held, streamed)
"""Rules that hold a plan against the words that were said."""


def review_plan(beliefs: Beliefs, request: PlanReview, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `review`.

    Raises:
        Malformed, InvalidInput: it is no plan.
    """
    return [Answer(judged_plan(beliefs, request, now_ms, rules=beliefs.rules))]


def judged_plan(
    beliefs: Beliefs,
    request: PlanReview,
    now_ms: int,
    *,
    rules: tuple[Rules, ...],
    proof: PersonRequest | None = None,
) -> PlanVerdict:
    """What is said of a plan by everything else that Medulla knows, and by these `rules` in Cedar; `proof`: the
    person's own request for it. Raises as `review_plan`."""
    plan = plan_from_bytes(request.plan)
    principal = named(beliefs, request.principal)
    proven = heard_by(beliefs, request, principal, now_ms)
    asker = standing_of(beliefs, principal, now_ms, proven, proof)
    for rule, problem in (("evidence", proven.problem), ("asker", asker.problem)):
        if problem:
            return PlanVerdict("deny", (PlanReason(rule, "", problem, "deny"),))
    shown = request.evidence if proven.prover.words else None
    facts = Facts(
        operations=_operations(beliefs),
        policy=beliefs.decide,
        guards=beliefs.policy.guards,
        prover=proven.prover,
        principal="",
        name=principal.name,
        role=role_of(beliefs, principal),
        rights=asker.rights or EVERYTHING,
        present=proven.prover.present,
        purpose=request.purpose,
        names=_names(beliefs),
        area=(proven.prover.area,) if proven.prover.area else (),
        now_ms=now_ms,
        minute=(now_ms + beliefs.offset_ms) // 60_000 % 1_440,
        ledger=beliefs.counts.ledger(b"", now_ms),
        run=b"" if shown is None else sha256(shown.utterance.payload),
        weekday=weekday_of(now_ms + beliefs.offset_ms),
        cedar=rules,
        person=person_of(principal),
        kind=principal.kind,
        agreed=agreed_steps(beliefs, plan, Spoken(principal, proven.prover, request.purpose), now_ms),
        settled=SETTLED,
    )
    found = review(plan, facts, (*_rules(beliefs), _able(_Now(beliefs, principal, now_ms))))
    second = request.second
    if second is not None:
        found = with_second(plan, found, lambda _plan, _first: second.answer, second.why)
    return PlanVerdict(found.verdict, _reasons(found.reasons), _reasons(found.also))


def heard_by(beliefs: Beliefs, request: PlanReview, principal: Principal, now_ms: int) -> Proven:
    """What the evidence proves, for a run that is not there yet."""
    author = b"" if request.evidence is None else request.evidence.utterance.author
    wanted = Wanted(beliefs.anchors.mesh, b"", principal, (), request.evidence, None, now_ms)
    return examine(wanted, beliefs.ears(author) if author else Ears(None), beliefs.utterances)


def _operations(beliefs: Beliefs) -> dict[str, Operation]:
    """Everything that devices declare, by name."""
    found: dict[str, Operation] = {}
    for offers in beliefs.offers.values():
        for name, operation in offers.operations.items():
            found[name] = _both(found[name], operation) if name in found else operation
    return found


def _both(one: Operation, other: Operation) -> Operation:
    if one == other:
        return one
    classes = tuple(dict.fromkeys((*one.data_classes, *other.data_classes)))
    return msgspec.structs.replace(one, effects=one.effects | other.effects, data_classes=classes)


def _names(beliefs: Beliefs) -> Mapping[str, tuple[str, ...]]:
    """What people call things, by id."""
    naming = [device for device, offers in beliefs.offers.items() if offers.names]
    if len(naming) == 1:
        # Kept ready from one permit to the next.
        return beliefs.names(naming[0])
    found: dict[str, tuple[str, ...]] = {}
    for device in naming:
        offers = beliefs.offers[device]
        for thing, called in offers.names.items():
            agreed = found.get(thing, called)
            found[thing] = agreed if agreed == called else tuple(name for name in agreed if name in called)
    return found


def _rules(beliefs: Beliefs) -> tuple[Rule, ...]:
    """The rules, those about words only where the owner does not allow it outright."""
    guards = beliefs.policy.guards
    needless = ABOUT_WORDS if guards.spend_plan or guards.spend_day else ABOUT_WORDS | {spending}
    return tuple(_where_words_count(rule) if rule in needless else rule for rule in RULES)


def _where_words_count(rule: Rule) -> Rule:
    def kept(scene: Scene) -> Iterator[Reason]:
        found = list(rule(scene))
        allowed = _allowed(scene) if found else frozenset()
        return (reason for reason in found if reason.answer == "deny" or reason.step not in allowed)

    return kept


def _allowed(scene: Scene) -> frozenset[str]:
    """Steps of which the policy allows all that they do, and nothing came from elsewhere."""
    other = {
        call.step
        for call in scene.made.calls
        if scene.facts.policy(call.name, call.effects) != "allow" or call.made.source in FOREIGN
    }
    return frozenset(call.step for call in scene.made.calls) - other


class _Now(msgspec.Struct, frozen=True):
    """For whom, and when."""

    beliefs: Beliefs
    principal: Principal
    now_ms: int


def _able(now: _Now) -> Rule:
    """The rule that some device may do each step."""
    known: dict[tuple[str, str], tuple[Finding, ...]] = {}

    def able(scene: Scene) -> Iterator[Reason]:
        for call in scene.made.calls:
            if call.operation is None:
                continue
            at = call.target.value if call.target is not None and isinstance(call.target.value, str) else ""
            if (call.name, at) not in known:
                known[call.name, at] = _refusal(now, call.name, at)
            for finding in known[call.name, at]:
                yield Reason(finding.rule, call.step, finding.reason, finding.answer)

    return able


def _refusal(now: _Now, operation: str, at: str) -> tuple[Finding, ...]:
    """Why no device that the step could be for (`at`: that one, by name or id) may do it; nothing when one may, and
    nothing when there is no such device: that is told where the job is placed, with those that there are."""
    first: tuple[Finding, ...] = ()
    for device, offers in sorted(now.beliefs.offers.items()):
        if not (_is_called(now.beliefs, device, at) if at else operation in offers.operations):
            continue
        found = judge(_case(now, operation, device), _DEVICE_RULES).findings
        if not found:
            return ()
        first = first or found
    return first


def _is_called(beliefs: Beliefs, device: bytes, at: str) -> bool:
    known = beliefs.member(device)
    return at == format_id(device) or (known is not None and known.name.casefold() == at.casefold())


def _case(now: _Now, operation: str, device: bytes) -> Case:
    beliefs, offers = now.beliefs, now.beliefs.offers[device]
    declared = offers.effects.get(operation)
    return Case(
        operation=operation,
        target=beliefs.member(device),
        revoked=beliefs.is_removed(device),
        declared=declared,
        effects=declared or 0,
        isolation=beliefs.isolation,
        policy="allow",
        approved=True,
        now_ms=now.now_ms,
        held=device in beliefs.held or now.principal.device in beliefs.held,
        streams=offers.streams.get(operation),
    )


def _reasons(found: tuple[Reason, ...]) -> tuple[PlanReason, ...]:
    return tuple(PlanReason(one.rule, one.step, one.message, one.answer) for one in found)


__all__ = ["heard_by", "judged_plan", "review_plan"]
