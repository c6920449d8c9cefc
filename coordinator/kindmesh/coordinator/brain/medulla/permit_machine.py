"""Permits: a request becomes a signed permit, a question for the owner, or a refusal; an answer is judged again.

    request --judge--> allow: permit
                       deny:  refusal, with its reasons
                       ask:   question, kept until answered or an hour old
                                |-- owner signs yes, these very bytes, in time --> judge again --> permit or refusal
                                `-- owner signs no ----------------------------------------------> refusal

A question serves once. What the planner says about effects can only add to what the device declared, signed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs, Question
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Approve, PermitRequest, Verdict
from kindmesh.coordinator.brain.medulla.rules import Case, Judgement, judge
from kindmesh.protocol.codec import decode, decode_value, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import Busy, InvalidInput, PermitExpired, PermitMismatch, PermitUsed
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import ARGUMENTS_MAX, PERMIT_TTL_MS
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.policy import ApprovalRequest, open_approval

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
    case = _case(beliefs, request, now_ms, approved=False)
    judgement = judge(case)
    if judgement.answer == "allow":
        return _allow(beliefs, request, case, now_ms, permit_id=fresh)
    if judgement.answer == "ask":
        return _ask(beliefs, request, case, judgement, now_ms, request_id=fresh)
    return _refuse(beliefs, request, judgement, now_ms)


def approve(beliefs: Beliefs, event: Approve, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `approve`.

    Raises:
        BadSignature, CertificateRefused, Malformed: not signed by an owner.
        PermitUsed: answered before, or never asked.
        PermitMismatch: other bytes than Medulla's question.
        PermitExpired: too late.
    """
    approval = open_approval(event.approval, beliefs.anchors.owner_pub(event.approval.author))
    request_id = decode(ApprovalRequest, approval.request, limit=2 * ARGUMENTS_MAX).request_id
    question = beliefs.questions.get(request_id)
    if question is None:
        raise PermitUsed("this question was answered already, or never asked")
    if question.shown != approval.request:
        raise PermitMismatch("what was signed is not what Medulla asked")
    if now_ms > question.expires_ms:
        raise PermitExpired("the question is too old to be answered", hint="Start the job again.")
    request = msgspec.structs.replace(question.request, epoch=max(question.request.epoch, event.epoch))
    del beliefs.questions[request_id]
    answered: list[Instruction] = [
        Forget("pending", request_id),
        beliefs.log("approval", approval.answer, now_ms, request_id, request=request, rules=("owner",)),
    ]
    if approval.answer == "deny":
        return [*answered, Answer(Verdict("deny", ("the owner said no",), ("owner",)), durable=True)]
    case = _case(beliefs, request, now_ms, approved=True)
    judgement = judge(case)
    if judgement.answer == "allow":
        return answered + _allow(beliefs, request, case, now_ms, permit_id=fresh, approval_id=request_id)
    return answered + _refuse(beliefs, request, judgement, now_ms)


def _case(beliefs: Beliefs, request: PermitRequest, now_ms: int, *, approved: bool) -> Case:
    offers = beliefs.offers.get(request.target)
    declared = offers.effects.get(request.operation) if offers else None
    effects = (declared or 0) | request.effects
    return Case(
        operation=request.operation,
        target=beliefs.member(request.target),
        revoked=beliefs.is_removed(request.target),
        declared=declared,
        effects=effects,
        isolation=beliefs.isolation,
        policy=beliefs.decide(request.operation, effects),
        approved=approved,
        now_ms=now_ms,
        priority=request.priority,
    )


def _allow(
    beliefs: Beliefs,
    request: PermitRequest,
    case: Case,
    now_ms: int,
    *,
    permit_id: bytes,
    approval_id: bytes = b"",
) -> list[Instruction]:
    args_hash = sha256(request.args)
    permit = Permit(
        mesh=beliefs.anchors.mesh,
        kind="once",
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
        readers=tuple(reader for reader in request.readers if beliefs.member(reader) is not None),
    )
    signed = sign_permit(permit, beliefs.permit_key)
    beliefs.permits += 1
    log = beliefs.log("permit", "allow", now_ms, permit_id, request=request, contents=request.args)
    return [log, Answer(Verdict("allow", permit=signed), durable=bool(approval_id))]


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
        purpose=request.purpose,
        reasons=reasons,
        issued_ms=now_ms,
        expires_ms=now_ms + APPROVAL_TTL_MS,
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
