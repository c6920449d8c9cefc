"""Permits: a request becomes a signed permit, a question for the owner, or a refusal; an answer is judged again.

    request --judge--> allow: permit
                       deny:  refusal, with its reasons
                       ask:   permit, where a yes that lasts covers it and nothing else asks (`approval_machine`,
                              and `routine_machine` for a routine that was learned);
                              else a question, kept until answered or an hour old
                                |-- signed yes, these very bytes, in time --> judge again --> permit or refusal
                                `-- signed no ----------------------------------------------> refusal

Who may answer: the owner, and a person whose role approves all of the effects and who may do the thing at all. Who
asked is judged again with the answer, by role and delegation as they are then. A question serves once. What is judged
is made in `permit_case`. A stream gets a `session` permit, with the bounds that were asked for; what does not stream
never does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.approval_machine import settle
from kindmesh.coordinator.brain.medulla.asking import approver_problem, named, remember, standing
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs, Question
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Approve, PermitRequest, Verdict
from kindmesh.coordinator.brain.medulla.permit_case import case_of, is_absent, key_of, label_of, proven_of
from kindmesh.coordinator.brain.medulla.routine_machine import settle_routine
from kindmesh.coordinator.brain.medulla.rules import Case, Judgement, judge
from kindmesh.protocol.codec import decode, decode_value, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    InvalidInput,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
)
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import ARGUMENTS_MAX, PERMIT_TTL_MS
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.policy import ApprovalRequest, open_approval
from kindmesh.protocol.principal import OWNER

APPROVAL_TTL_MS: Final = 3_600_000
"""How long a question waits for its answer."""
PENDING_MAX: Final = 256
"""Open questions at once; more are refused, so that a flood of questions cannot hide one."""


def request_permit(beliefs: Beliefs, request: PermitRequest, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `permit`.

    Raises:
        InvalidInput: `parent` is no id.
        Busy: too many questions wait already.
    """
    if len(request.parent) not in (0, TIME_ID):
        raise InvalidInput("parent is no permit's id", field="parent")
    if request.principal != OWNER:
        request = msgspec.structs.replace(request, principal=named(beliefs, request.principal))
    proven = proven_of(beliefs, request, now_ms)
    asker = standing(beliefs, request, now_ms, proven)
    case = case_of(beliefs, request, (asker, proven), now_ms, approved=False)
    judgement = judge(case)
    if judgement.answer == "deny":
        return _refuse(beliefs, request, judgement, now_ms)
    if asker.proof is not None:
        beliefs.people.check_room(now_ms)
    absent = partial(is_absent, beliefs, request, case.effects, (asker, proven), now_ms)
    answered = _answered(beliefs, request, (case, judgement), now_ms, fresh=fresh, absent=absent)
    kept: list[Instruction] = [*remember(beliefs, asker.proof, request.job_id, now_ms)]
    if proven.utterance_id:
        kept += beliefs.utterances.use(proven.utterance_id, request.run_id, now_ms)
    return [*kept, *answered]


def _answered(
    beliefs: Beliefs,
    request: PermitRequest,
    judged: tuple[Case, Judgement],
    now_ms: int,
    *,
    fresh: bytes,
    absent: Callable[[], bool],
) -> list[Instruction]:
    case, judgement = judged
    if judgement.answer == "allow":
        return _allow(beliefs, request, case, now_ms, permit_id=fresh)
    agreed = msgspec.structs.replace(case, approved=True)
    may = judge(agreed).answer == "allow"
    routine = settle_routine(beliefs, request, case, now_ms, absent) if may else None
    settled = routine or (settle(beliefs, request, case, now_ms) if may else None)
    if settled is not None:
        permitted = _allow(
            beliefs, request, agreed, now_ms,
            permit_id=fresh, approval_id=settled.standing_id, approved_by=settled.author,
            exactly=routine is not None,
        )  # fmt: skip
        return [settled.saved, *permitted]
    return _ask(beliefs, request, case, judgement, now_ms, request_id=fresh)


def approve(beliefs: Beliefs, event: Approve, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `approve`.

    Raises:
        BadSignature, CertificateRefused, Malformed: not signed by an owner or a person.
        AccessRefused: a person who may not answer this; the question stays.
        PermitUsed: answered before, or never asked.
        PermitMismatch: other bytes than Medulla's question.
        PermitExpired: too late.
    """
    author = event.approval.author
    certificate = beliefs.people.keys.get(author)
    public = certificate.ed_pub if certificate is not None else beliefs.anchors.owner_pub(author)
    approval = open_approval(event.approval, public)
    request_id = decode(ApprovalRequest, approval.request, limit=2 * ARGUMENTS_MAX).request_id
    question = beliefs.questions.get(request_id)
    if question is None:
        raise PermitUsed("this question was answered already, or never asked")
    if question.shown != approval.request:
        raise PermitMismatch("what was signed is not what Medulla asked")
    if now_ms > question.expires_ms:
        raise PermitExpired("the question is too old to be answered", hint="Start the job again.")
    request = msgspec.structs.replace(question.request, epoch=max(question.request.epoch, event.epoch))
    proven = proven_of(beliefs, request, now_ms)
    asker = standing(beliefs, request, now_ms, proven)
    case = case_of(beliefs, request, (asker, proven), now_ms, approved=True)
    if certificate is not None:
        problem = approver_problem(beliefs, certificate, case, now_ms)
        if problem:
            raise AccessRefused(problem, hint="The owner can answer it: kindmesh review.")
    del beliefs.questions[request_id]
    rule = "owner" if certificate is None else "person"
    answered: list[Instruction] = [
        Forget("pending", request_id),
        beliefs.log("approval", approval.answer, now_ms, request_id, request=request, rules=(rule,)),
    ]
    if approval.answer == "deny":
        said = "the owner said no" if certificate is None else f"{certificate.name} said no"
        return [*answered, Answer(Verdict("deny", (said,), (rule,)), durable=True)]
    judgement = judge(case)
    if judgement.answer == "allow":
        permitted = _allow(
            beliefs,
            request,
            case,
            now_ms,
            permit_id=fresh,
            approval_id=request_id,
            approved_by=author,
            exactly=True,
        )
        return answered + permitted
    return answered + _refuse(beliefs, request, judgement, now_ms)


def _allow(
    beliefs: Beliefs,
    request: PermitRequest,
    case: Case,
    now_ms: int,
    *,
    permit_id: bytes,
    approval_id: bytes = b"",
    approved_by: bytes = b"",
    exactly: bool = False,
) -> list[Instruction]:
    args_hash, stream = sha256(request.args), request.stream
    permit = Permit(
        mesh=beliefs.anchors.mesh,
        kind="once" if stream is None else "session",
        permit_id=permit_id,
        run_id=request.run_id,
        step=request.step,
        job_id=request.job_id,
        operation=request.operation,
        target=request.target,
        args_hash=args_hash,
        effects=case.effects,
        policy_version=beliefs.policy.version,
        epoch=request.epoch,
        issued_ms=now_ms,
        expires_ms=now_ms + PERMIT_TTL_MS,
        max_uses=1,
        principal=request.principal,
        purpose=request.purpose,
        isolation=beliefs.isolation,
        parent=request.parent,
        approval_id=approval_id,
        approved_by=approved_by,
        readers=tuple(reader for reader in request.readers if beliefs.member(reader) is not None),
        duration_ms=0 if stream is None else stream.duration_ms,
        stream_bytes=0 if stream is None else stream.data_bytes,
        # Who says yes to these very bytes vouches for them.
        label=Carried("user") if exactly else label_of(beliefs, request, case),
    )
    signed = sign_permit(permit, beliefs.permit_key)
    beliefs.permits += 1
    log = beliefs.log("permit", "allow", now_ms, permit_id, request=request, contents=request.args)
    counted: list[Instruction] = []
    if case.counted is not None:
        counted += beliefs.counts.count(key_of(request), case.counted, now_ms)
    return [log, *counted, Answer(Verdict("allow", permit=signed), durable=bool(approval_id))]


def _refuse(beliefs: Beliefs, request: PermitRequest, judgement: Judgement, now_ms: int) -> list[Instruction]:
    rules = tuple(finding.rule for finding in judgement.findings)
    reasons = tuple(finding.reason for finding in judgement.findings)
    log = beliefs.log("permit", "deny", now_ms, b"", request=request, contents=request.args, rules=rules)
    return [log, Answer(Verdict("deny", reasons, rules))]


def _ask(
    beliefs: Beliefs,
    request: PermitRequest,
    case: Case,
    judgement: Judgement,
    now_ms: int,
    *,
    request_id: bytes,
) -> list[Instruction]:
    decode_value(request.args)
    stale = [key for key, question in beliefs.questions.items() if question.expires_ms < now_ms]
    if len(beliefs.questions) - len(stale) >= PENDING_MAX:
        raise Busy(f"{PENDING_MAX} questions wait for an answer already", hint="kindmesh review lists them.")
    for key in stale:
        del beliefs.questions[key]
    reasons = tuple(finding.reason for finding in judgement.findings)
    if request.stream is not None:
        # What is signed says how much is agreed to.
        seconds, size = request.stream.duration_ms / 1000, request.stream.data_bytes / 1e6
        reasons = (*reasons, f"it is a stream of at most {seconds:g} s and {size:g} MB")
    rules = tuple(finding.rule for finding in judgement.findings)
    shown = ApprovalRequest(
        mesh=beliefs.anchors.mesh,
        request_id=request_id,
        run_id=request.run_id,
        job_id=request.job_id,
        operation=request.operation,
        target=request.target,
        target_name=case.target.name if case.target else "",
        args=request.args,
        effects=case.effects,
        principal=request.principal,
        reasons=reasons,
        issued_ms=now_ms,
        expires_ms=now_ms + APPROVAL_TTL_MS,
        purpose=request.purpose,
        data_classes=case.data_classes,
    )
    question = Question(encode(shown), shown.expires_ms, request)
    beliefs.questions[request_id] = question
    return [
        *(Forget("pending", key) for key in stale),
        Save("pending", request_id, encode(question)),
        beliefs.log("permit", "ask", now_ms, request_id, request=request, contents=request.args, rules=rules),
        Answer(Verdict("ask", reasons, rules, request=question.shown)),
    ]


__all__ = ["APPROVAL_TTL_MS", "PENDING_MAX", "approve", "request_permit"]
