"""Yeses to learned routines: laid before a person, signed, used when the sentence is said again, ended by the owner.

    sentence, steps --Medulla adds what it knows--> laid before the person --their own signature--> in force
    in force --the whole sentence proven, a step of it, once, in order--> counted, and the request is permitted
             '-- its end, or ended, or who signed it left, or signed anew for the same words --> gone

It settles what the policy, a rule in Cedar or a doubtful value would ask about. What is denied stays denied. The
owner's bounds (quiet hours, rates, spending, places), what could hurt somebody while nobody is there, and doubts that
somebody has, still ask. A child or a guest, whose role approves nothing, cannot sign one. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.approval_machine import (
    Settled,
    may_answer,
    shown_standings,
    still_may,
)
from kindmesh.coordinator.brain.medulla.asking import named
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.evidence import Prover
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.coordinator.brain.medulla.routine_messages import Agree, Propose, Proposed, ProposedStep
from kindmesh.coordinator.brain.medulla.routines import ROUTINES_MAX, Agreed, KeptRoutine, Permitted
from kindmesh.coordinator.brain.medulla.rules import Case
from kindmesh.protocol.codec import decode, decode_value, encode, encode_value
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    InvalidInput,
    KindmeshError,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
)
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_MAX
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.plan_values import evaluate
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.routine import (
    RoutineApproval,
    RoutineRequest,
    RoutineStep,
    check_routine,
    open_routine,
    plain_words,
)
from kindmesh.protocol.standing import DAY_MS
from kindmesh.protocol.utterance import Utterance

PROPOSAL_TTL_MS: Final = 600_000
"""How long what was laid before a person may be signed."""
_STILL_ASKED: Final = "It is learned; what it does is asked about each time."
SETTLED: Final = frozenset({"policy", "cedar", "sink", "amount", "asked-for", "said"})
"""Rules of a review of which a yes to exactly this settles the questions."""


def propose(beliefs: Beliefs, event: Propose, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `propose`. Nothing is in force by it.

    Raises:
        InvalidInput: nobody who has a key of their own; no words; a step that no device offers like that.
        Malformed: values that are not canonical.
        AccessRefused: a person who may not agree to this.
    """
    principal = named(beliefs, event.principal)
    words = plain_words(event.words)
    steps = tuple(_step(beliefs, step) for step in event.steps)
    asked = RoutineRequest(
        beliefs.anchors.mesh, fresh, principal, words, steps, now_ms, now_ms + PROPOSAL_TTL_MS, event.purpose
    )
    shown = encode(asked)
    check_routine(RoutineApproval(shown, now_ms, now_ms + DAY_MS, 1))
    _check_person(beliefs, asked, now_ms)
    beliefs.approvals.routines.propose(fresh, shown)
    return [Answer(Proposed(shown))]


def _step(beliefs: Beliefs, step: ProposedStep) -> RoutineStep:
    member, offers = beliefs.member(step.target), beliefs.offers.get(step.target)
    effects = offers.effects.get(step.operation) if offers else None
    if member is None or offers is None or effects is None:
        raise InvalidInput(f"no such device offers {step.operation}", field="steps")
    if step.operation in offers.streams:
        raise InvalidInput("a stream is agreed to each time", field="steps")
    classes = offers.classes.get(step.operation, ())
    return RoutineStep(step.operation, step.target, member.name, step.args, effects, classes, step.after)


def _check_person(beliefs: Beliefs, asked: RoutineRequest, now_ms: int) -> None:
    who = asked.principal
    if who.kind == "owner":
        return
    if who.kind != "person":
        raise InvalidInput("only a person can agree to a routine", field="principal")
    keys = [certificate.subject for certificate in beliefs.people.keys_of(parse_id(who.id))]
    problems = [_problem(beliefs, key, asked, now_ms) for key in keys] or ["this person has no key here"]
    if all(problems):
        raise AccessRefused(problems[0], hint=_STILL_ASKED)


def _problem(beliefs: Beliefs, author: bytes, asked: RoutineRequest, now_ms: int) -> str:
    """Why the person with this key may not agree to all of it, or empty."""
    for step in asked.steps:
        about = (step.operation, step.effects, step.data_classes, asked.purpose)
        problem = may_answer(beliefs, author, about, now_ms)
        if problem:
            return problem
    return ""


def agree(beliefs: Beliefs, event: Agree, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `agree`; the same again changes nothing.

    Raises:
        BadSignature, CertificateRefused, Malformed: not signed by an owner or a person.
        InvalidInput: it cannot mean anything; the field is named.
        PermitUsed: it was signed before, or never laid before anybody. PermitMismatch: other bytes than Medulla's.
        PermitExpired: that, or the signature, is too old.
        AccessRefused: signed by another than whose sentence it is, or by one who may not agree to it.
        Busy: too many are in force.
    """
    author = event.approval.author
    certificate = beliefs.people.keys.get(author)
    public = certificate.ed_pub if certificate is not None else beliefs.anchors.owner_pub(author)
    approval = open_routine(event.approval, public)
    asked = check_routine(approval)
    beliefs.check_mesh(asked.mesh)
    kept = beliefs.approvals.routines
    known = kept.agreed.get(asked.request_id)
    if known is not None and known.kept.signed == event.approval:
        return [Answer(shown_standings(beliefs, now_ms))]
    proposed = kept.proposed.get(asked.request_id)
    if proposed is None:
        raise PermitUsed("this was signed before, or never asked", hint="Confirm the routine again.")
    if proposed != approval.request:
        raise PermitMismatch("what was signed is not what Medulla asked")
    if now_ms > asked.expires_ms or abs(now_ms - approval.issued_ms) > CLOCK_SKEW_MS:
        raise PermitExpired("this is too old, or from the future", hint="Confirm the routine again.")
    if not _is_theirs(beliefs, author, asked.principal):
        raise AccessRefused("a routine is agreed to by the person whose sentence it is")
    problem = "" if certificate is None else _problem(beliefs, author, asked, now_ms)
    if problem:
        raise AccessRefused(problem, hint=_STILL_ASKED)
    ended: list[Instruction] = [*kept.drop_ended(now_ms)]
    ended += kept.drop_where(
        lambda one: one.asked.words == asked.words and _same(one.asked.principal, asked.principal)
    )
    if len(kept.agreed) >= ROUTINES_MAX:
        raise Busy(f"{ROUTINES_MAX} routines are agreed to", hint="End some: kindmesh review grants.")
    del kept.proposed[asked.request_id]
    rules = ("owner" if certificate is None else "person", "routine")
    return [
        *ended,
        kept.put(approval, KeptRoutine(event.approval)),
        beliefs.log("approval", "allow", now_ms, asked.request_id, contents=approval.request, rules=rules),
        Answer(shown_standings(beliefs, now_ms), durable=True),
    ]


def _is_theirs(beliefs: Beliefs, author: bytes, principal: Principal) -> bool:
    certificate = beliefs.people.keys.get(author)
    if certificate is None:
        return principal.kind == "owner"
    return principal.kind == "person" and principal.id == format_id(certificate.person)


def _same(one: Principal, other: Principal) -> bool:
    return principal_text(one) == principal_text(other)


# --------------------------------------------------------------------------------------------------------- used


class Spoken(msgspec.Struct, frozen=True):
    """Who said it, which words are proven, and for what."""

    principal: Principal
    prover: Prover
    purpose: str


def settle_routine(
    beliefs: Beliefs,
    request: PermitRequest,
    case: Case,
    now_ms: int,
    absent: Callable[[], bool],
) -> Settled | None:
    """A routine that covers this request, counted; None when there is none. `case`: with its labels and words as they
    are proven; `absent`: whether it could hurt somebody and nobody is known to be there."""
    routines = beliefs.approvals.routines
    if not routines.agreed or request.evidence is None or not case.prover.whole:
        return None
    if request.stream is not None or request.parent or case.beyond or case.doubts:
        return None
    # Its signature was checked, or no word of it were proven.
    said = decode(Utterance, request.evidence.utterance.payload, limit=PERMIT_MAX)
    if now_ms >= said.heard_ms + DAY_MS - CLOCK_SKEW_MS:
        return None
    spoken = Spoken(request.principal, case.prover, request.purpose)
    for id_, one in _in_force(beliefs, spoken, now_ms):
        if not routines.has_room(id_, said.utterance_id, now_ms):
            continue
        number = _number(one, request, case, routines.done(id_, said.utterance_id, now_ms))
        author = one.kept.signed.author
        if number is not None and still_may(beliefs, author, case, now_ms) and not absent():
            permitted = Permitted(number, request.job_id)
            return Settled(id_, author, routines.use(id_, said.utterance_id, permitted, now_ms))
    return None


def _in_force(beliefs: Beliefs, spoken: Spoken, now_ms: int) -> Iterable[tuple[bytes, Agreed]]:
    """Those for this whole sentence of this person."""
    words = plain_words(spoken.prover.proven())
    for id_, one in beliefs.approvals.routines.agreed.items():
        in_time = one.approval.issued_ms - CLOCK_SKEW_MS <= now_ms <= one.approval.expires_ms
        theirs = _same(one.asked.principal, spoken.principal) and one.asked.purpose == spoken.purpose
        if in_time and theirs and one.asked.words == words:
            yield id_, one


def _number(one: Agreed, request: PermitRequest, case: Case, done: dict[int, bytes]) -> int | None:
    """The step that this is; None: it is none of them, was permitted for another job, or comes too early."""
    for number, step in enumerate(one.asked.steps):
        exactly = (step.operation, step.target, step.args) == (
            request.operation,
            request.target,
            request.args,
        )
        if (
            not exactly
            or case.effects & ~step.effects
            or not set(case.data_classes) <= set(step.data_classes)
        ):
            continue
        if done.get(number, request.job_id) == request.job_id and set(step.after) <= set(done):
            return number
    return None


# ------------------------------------------------------------------------------------------------------- review


def agreed_steps(beliefs: Beliefs, plan: Plan, spoken: Spoken, now_ms: int) -> frozenset[str]:
    """Ids of the plan's steps that a routine would settle now, if these words are said; with `""`, the plan as a whole,
    when those are all that it calls. Where they are placed is not known yet."""
    if not beliefs.approvals.routines.agreed or not spoken.prover.whole:
        return frozenset()
    found: set[str] = set()
    calls = [step for step in plan.steps if step.call]
    for id_, one in _in_force(beliefs, spoken, now_ms):
        if beliefs.approvals.routines.has_room(id_, b"", now_ms):
            found |= {step.id for step in calls if _is_one_of(beliefs, one, step.call, step.args)}
    whole = bool(calls) and found == {step.id for step in calls} and not any(step.sub for step in plan.steps)
    return frozenset(found | {""} if whole else found)


def _is_one_of(beliefs: Beliefs, one: Agreed, call: str, args: dict[str, Any]) -> bool:
    """Whether a plan's step is one of a routine's, or several, for a device each (`entities` parted among them)."""
    try:
        values = {name: evaluate(value, {}, name).value for name, value in args.items()}
    except KindmeshError:
        # It is worked out of something that is not known yet.
        return False
    parts: list[Any] = []
    for step in one.asked.steps:
        if step.operation != call:
            continue
        offers = beliefs.offers.get(step.target)
        defaults = offers.defaults.get(call, {}) if offers else {}
        filled = {name: decode_value(value) for name, value in defaults.items()} | values
        agreed = decode_value(step.args)
        if encode_value(agreed) == encode_value(filled):
            return True
        if isinstance(agreed, dict) and _rest(agreed) == _rest(filled):
            part = agreed.get("entities")
            parts += part if isinstance(part, list) else []
    wanted = values.get("entities")
    return isinstance(wanted, list) and bool(wanted) and all(entity in parts for entity in wanted)


def _rest(values: dict[str, Any]) -> bytes:
    return encode_value({name: value for name, value in sorted(values.items()) if name != "entities"})


__all__ = [
    "PROPOSAL_TTL_MS", "SETTLED", "Spoken", "agree", "agreed_steps", "propose", "settle_routine",
]  # fmt: skip
