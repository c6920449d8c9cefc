"""Permits: a request becomes a signed permit, a question for the owner, or a refusal; an answer is judged again.

    request --judge--> allow: permit
                       deny:  refusal, with its reasons
                       ask:   permit, where a yes that lasts covers it and nothing else asks (`approval_machine`);
                              else a question, kept until answered or an hour old
                                |-- signed yes, these very bytes, in time --> judge again --> permit or refusal
                                `-- signed no ----------------------------------------------> refusal

Who may answer: the owner, and a person whose role approves all of the effects and who may do the thing at all. Who
asked is judged again with the answer, by role and delegation as they are then. A question serves once. What the
planner says about effects can only add to what the device declared, signed, and what it says about where values came
from counts as far as the evidence proves it. A stream gets a `session` permit, with the
bounds that were asked for; what does not stream never does.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.approval_machine import settle
from kindmesh.coordinator.brain.medulla.asking import (
    Standing,
    approver_problem,
    named,
    remember,
    role_of,
    standing,
)
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs, Question
from kindmesh.coordinator.brain.medulla.cedar_permit import needs_scene, ruled
from kindmesh.coordinator.brain.medulla.counts import Counted, count_key
from kindmesh.coordinator.brain.medulla.evidence import Ears, Proven, Prover, Wanted, examine
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Approve, PermitRequest, Verdict
from kindmesh.coordinator.brain.medulla.produced import Given, carried, with_results
from kindmesh.coordinator.brain.medulla.review_facts import Facts, Reason
from kindmesh.coordinator.brain.medulla.review_scene import Scene
from kindmesh.coordinator.brain.medulla.review_step import (
    beyond,
    counted_for_ms,
    done_here,
    foreign,
    is_foreign,
    scene_of,
    unsettled,
)
from kindmesh.coordinator.brain.medulla.rules import Case, Judgement, judge
from kindmesh.protocol.codec import decode, decode_value, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    InvalidInput,
    KindmeshError,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
)
from kindmesh.protocol.guards import Guards, settled_by_words
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import ARGUMENTS_MAX, PERMIT_TTL_MS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages.jobs import is_alert
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.permit_chain import Link, check_link
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.policy import ApprovalRequest, open_approval
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.roles import EVERYTHING, matches

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
    proven = _proven(beliefs, request, now_ms)
    asker = standing(beliefs, request, now_ms, proven)
    case = _case(beliefs, request, (asker, proven), now_ms, approved=False)
    judgement = judge(case)
    if judgement.answer == "deny":
        return _refuse(beliefs, request, judgement, now_ms)
    if asker.proof is not None:
        beliefs.people.check_room(now_ms)
    answered = _answered(beliefs, request, (case, judgement), now_ms, fresh)
    kept: list[Instruction] = [*remember(beliefs, asker.proof, request.job_id, now_ms)]
    if proven.utterance_id:
        kept += beliefs.utterances.use(proven.utterance_id, request.run_id, now_ms)
    return [*kept, *answered]


def _proven(beliefs: Beliefs, request: PermitRequest, now_ms: int) -> Proven:
    """What of the labels of this request is proven."""
    author = b"" if request.evidence is None else request.evidence.utterance.author
    fits = request.parent_permit is not None and not _chain_problem(beliefs, request, now_ms)
    wanted = Wanted(
        beliefs.anchors.mesh,
        request.run_id,
        request.principal,
        request.labels,
        request.evidence,
        request.parent_permit if fits else None,
        now_ms,
    )
    found = examine(wanted, beliefs.ears(author) if author else Ears(None), beliefs.utterances)
    if request.evidence is None or not request.evidence.results:
        return found
    given = Given(beliefs.anchors.mesh, request.run_id, request.args, request.labels, now_ms)
    return with_results(found, request.evidence.results, given, beliefs.maker, beliefs.receipts)


def _label(beliefs: Beliefs, request: PermitRequest, case: Case) -> Carried | None:
    """What is known of where the arguments came from, for whoever gets the permit."""
    if not request.labels:
        # What a person's own signature names is theirs.
        return Carried("user") if request.proof is not None and request.evidence is None else None
    offers = beliefs.offers[request.target]
    operation = offers.operations.get(request.operation)
    return carried(decode_value(request.args), case.labels, operation, offers.names)


def _answered(
    beliefs: Beliefs, request: PermitRequest, judged: tuple[Case, Judgement], now_ms: int, fresh: bytes
) -> list[Instruction]:
    case, judgement = judged
    if judgement.answer == "allow":
        return _allow(beliefs, request, case, now_ms, permit_id=fresh)
    agreed = msgspec.structs.replace(case, approved=True)
    settled = settle(beliefs, request, case, now_ms) if judge(agreed).answer == "allow" else None
    if settled is not None:
        permitted = _allow(
            beliefs, request, agreed, now_ms,
            permit_id=fresh, approval_id=settled.standing_id, approved_by=settled.author,
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
    proven = _proven(beliefs, request, now_ms)
    asker = standing(beliefs, request, now_ms, proven)
    case = _case(beliefs, request, (asker, proven), now_ms, approved=True)
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


def _case(
    beliefs: Beliefs,
    request: PermitRequest,
    known: tuple[Standing, Proven],
    now_ms: int,
    *,
    approved: bool,
) -> Case:
    asker, proven = known
    offers = beliefs.offers.get(request.target)
    declared = offers.effects.get(request.operation) if offers else None
    effects = (declared or 0) | request.effects
    case = Case(
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
        rights=asker.rights,
        problem=asker.problem,
        data_classes=offers.classes.get(request.operation, ()) if offers else (),
        purpose=request.purpose,
        asker=request.principal.name,
        chain=_chain_problem(beliefs, request, now_ms),
        held=request.target in beliefs.held or request.principal.device in beliefs.held,
        stream=request.stream,
        streams=offers.streams.get(request.operation) if offers else None,
        evidence=proven.problem,
        prover=proven.prover,
        labels=proven.labels,
        doubts=request.doubts,
    )
    scene = _scene(beliefs, request, effects, known, now_ms)
    if beliefs.rules:
        said = ruled(beliefs, request, effects, known, scene=scene, now_ms=now_ms)
        case = msgspec.structs.replace(case, ruled=said)
    return case if scene is None else _bounded(beliefs, request, case, scene, now_ms)


def _bounded(beliefs: Beliefs, request: PermitRequest, case: Case, scene: Scene, now_ms: int) -> Case:
    """The case with what the owner's bounds say of it, and what they have to count."""
    by_words = settled_by_words(beliefs.policy.guards, request.operation, True)
    lasts_ms = counted_for_ms(scene, by_words=by_words)
    counted = Counted(now_ms + lasts_ms, done_here(scene)) if lasts_ms else None
    if case.approved:
        return msgspec.structs.replace(case, counted=counted, foreign=_foreign(request, scene))
    over = beyond(scene)
    if counted is not None and beliefs.counts.is_full(_count_key(request), now_ms):
        over = (*over, Reason("rate", "", "so much was done lately that no more can be counted"))
    words = _unsettled(beliefs, request, case, scene)
    strange = _foreign(request, scene)
    return msgspec.structs.replace(case, counted=counted, beyond=over, unsettled=words, foreign=strange)


def _foreign(request: PermitRequest, scene: Scene) -> tuple[Reason, ...]:
    if not is_foreign(request.labels):
        return ()
    args = decode_value(request.args)
    return foreign(scene, args if isinstance(args, dict) else {}, request.labels)


def _count_key(request: PermitRequest) -> bytes:
    return count_key(request.job_id, request.operation, request.args)


def _unsettled(beliefs: Beliefs, request: PermitRequest, case: Case, scene: Scene) -> tuple[str, ...] | None:
    """Why the proven words are not enough for this, where the owner lets them be; None: the owner does not."""
    prover = case.prover
    # A word that is held back could be a "not".
    if not prover.whole or not settled_by_words(beliefs.policy.guards, request.operation, prover.present):
        return None
    if case.policy != "ask" or not isinstance(decode_value(request.args), dict):
        return None
    return unsettled(scene)


def _concerned(guards: Guards, operation: str, effects: int) -> bool:
    """Whether anything that the owner bounds could be about this operation."""
    if guards.quiet or guards.egress or effects & Effect.SPEND:
        return True
    rated = any(matches(rate.operation, operation) for rate in guards.rates)
    return rated or settled_by_words(guards, operation, True)


def _origin(request: PermitRequest, prover: Prover) -> bytes:
    """What led to the request: the words that were said, which may serve several runs, or else the run."""
    if request.evidence is None or not prover.words:
        return request.run_id
    return sha256(request.evidence.utterance.payload)


def _scene(
    beliefs: Beliefs, request: PermitRequest, effects: int, known: tuple[Standing, Proven], now_ms: int
) -> Scene | None:
    """The step as the rules of a review see it; None where no device declares it, or no bound or rule concerns it."""
    asker, proven = known
    guards, prover = beliefs.policy.guards, proven.prover
    offers = beliefs.offers.get(request.target)
    operation = offers.operations.get(request.operation) if offers else None
    if operation is None:
        return None
    concerned = _concerned(guards, request.operation, effects) or needs_scene(beliefs.rules, effects)
    if not is_foreign(request.labels) and not concerned:
        return None
    args = decode_value(request.args)
    facts = Facts(
        operations={operation.name: operation},
        policy=beliefs.decide,
        guards=guards,
        prover=prover,
        principal="",
        name=request.principal.name,
        role=role_of(beliefs, request.principal),
        rights=asker.rights or EVERYTHING,
        present=prover.present,
        purpose=request.purpose,
        names=beliefs.names(request.target),
        area=(prover.area,) if prover.area else (),
        now_ms=now_ms,
        minute=(now_ms + beliefs.offset_ms) // 60_000 % 1_440,
        emergency=is_alert(request.priority, effects),
        ledger=beliefs.counts.ledger(_count_key(request), now_ms),
        run=_origin(request, prover),
    )
    # What is no set of values is refused by the device.
    return scene_of(operation, effects, args if isinstance(args, dict) else {}, proven.labels, facts)


def _chain_problem(beliefs: Beliefs, request: PermitRequest, now_ms: int) -> str:
    """Why the permit above this one does not fit, or empty."""
    shown = request.parent_permit
    if not request.parent and shown is None:
        return ""
    if not request.parent or shown is None:
        return "the permit above this one was not shown, or is not named"
    mesh = beliefs.anchors.mesh
    link = Link(request.parent, mesh, request.run_id, request.principal, request.purpose, now_ms)
    try:
        check_link(link, shown, beliefs.anchors)
    except KindmeshError as error:
        return error.message
    return ""


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
        label=Carried("user") if exactly else _label(beliefs, request, case),
    )
    signed = sign_permit(permit, beliefs.permit_key)
    beliefs.permits += 1
    log = beliefs.log("permit", "allow", now_ms, permit_id, request=request, contents=request.args)
    counted: list[Instruction] = []
    if case.counted is not None:
        counted += beliefs.counts.count(_count_key(request), case.counted, now_ms)
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
