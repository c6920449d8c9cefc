"""Yeses that last: taken over against an open question, used when a request would ask again, ended by the owner.

    open question --signed standing approval--> in force --covers a request--> counted, and the request is judged anew
                                                   '-- its end, or revoked, or who signed it left --> gone

What a yes settles is judged again each time, with the approving person's role as it is then: it never allows what would
be denied, and a role that is taken away takes its yeses along. It counts for each permit anew, also for that of a job
that was moved. Pure.
"""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.brain.medulla.approval_messages import (
    EndStanding,
    RoutineState,
    Stand,
    Standings,
    StandingState,
    StandingsWanted,
)
from kindmesh.coordinator.brain.medulla.approvals import STANDINGS_MAX, Kept
from kindmesh.coordinator.brain.medulla.asking import approver_problem
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs, Question
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.coordinator.brain.medulla.rules import Case
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    InvalidInput,
    PermitExpired,
    PermitMismatch,
    PermitUsed,
)
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.standing import (
    StandingApproval,
    Wanted,
    amount_of,
    check_standing,
    covers,
    open_standing,
)


class Settled(msgspec.Struct, frozen=True):
    """A yes that covers a request: its id, who signed it, and the use of it to write down."""

    standing_id: bytes
    author: bytes
    saved: Save


def stand(beliefs: Beliefs, event: Stand, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `stand`; the same again changes nothing. The question stays open: it is answered for itself.

    Raises:
        BadSignature, CertificateRefused, Malformed: not signed by an owner or a person.
        InvalidInput: it cannot mean anything; the field is named.
        PermitUsed: the question was answered, or never asked. PermitMismatch: other bytes than Medulla's question.
        PermitExpired: the question, or the signature, is too old.
        AccessRefused: a person who may not answer this.
        Busy: too many are in force.
    """
    author = event.standing.author
    certificate = beliefs.people.keys.get(author)
    public = certificate.ed_pub if certificate is not None else beliefs.anchors.owner_pub(author)
    standing = open_standing(event.standing, public)
    beliefs.check_mesh(standing.mesh)
    check_standing(standing)
    asked = standing.question()
    question = beliefs.questions.get(asked.request_id)
    if question is None:
        raise PermitUsed("this question was answered already, or never asked")
    _check_question(standing, question, now_ms)
    if certificate is not None:
        about = (asked.operation, asked.effects, asked.data_classes, asked.purpose)
        problem = may_answer(beliefs, author, about, now_ms)
        if problem:
            raise AccessRefused(problem, hint="The owner can answer it: kindmesh review.")
    known = beliefs.approvals.standing.get(standing.standing_id)
    if known is not None:
        if known[1].signed != event.standing:
            raise InvalidInput("another yes has this id", field="standing_id")
        return [Answer(shown_standings(beliefs, now_ms))]
    ended: list[Instruction] = [*beliefs.approvals.drop_ended(now_ms)]
    if len(beliefs.approvals.standing) >= STANDINGS_MAX:
        raise Busy(f"{STANDINGS_MAX} such yeses are in force", hint="End some: kindmesh review grants.")
    rules = ("owner" if certificate is None else "person", standing.kind)
    return [
        *ended,
        beliefs.approvals.put(standing, Kept(event.standing)),
        beliefs.log("approval", "allow", now_ms, standing.standing_id, request=question.request, rules=rules),
        Answer(shown_standings(beliefs, now_ms), durable=True),
    ]


def _check_question(standing: StandingApproval, question: Question, now_ms: int) -> None:
    if question.shown != standing.request:
        raise PermitMismatch("what was signed is not what Medulla asked")
    if question.request.stream is not None:
        raise InvalidInput("a stream is agreed to each time", field="kind", hint="Answer yes.")
    if now_ms > question.expires_ms or abs(now_ms - standing.issued_ms) > CLOCK_SKEW_MS:
        raise PermitExpired("this is too old, or from the future", hint="Start the job again.")


def may_answer(
    beliefs: Beliefs, author: bytes, about: tuple[str, int, tuple[str, ...], str], now_ms: int
) -> str:
    """Why the person with that key may not answer what is asked about an operation with these effects and classes of
    data, for that purpose, or empty. Raises `KeyError` for no person's key."""
    operation, effects, classes, purpose = about
    case = Case(
        operation, None, False, None, effects, beliefs.isolation, "ask", False, now_ms,
        data_classes=classes, purpose=purpose,
    )  # fmt: skip
    return approver_problem(beliefs, beliefs.people.keys[author], case, now_ms)


def end_standing(beliefs: Beliefs, event: EndStanding, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `unstand`, of a yes to a routine too; one that is over already changes nothing."""
    dropped: list[Instruction] = [*beliefs.approvals.drop(event.standing_id)]
    if dropped:
        dropped.append(beliefs.log("approval", "deny", now_ms, event.standing_id, rules=("revoked",)))
    return [*dropped, Answer(shown_standings(beliefs, now_ms), durable=bool(dropped))]


def show_standings(beliefs: Beliefs, event: StandingsWanted, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `standings`."""
    return [Answer(shown_standings(beliefs, now_ms))]


def shown_standings(beliefs: Beliefs, now_ms: int) -> Standings:
    """All yeses that are in force."""
    found = []
    for id_, (standing, kept) in beliefs.approvals.standing.items():
        if now_ms <= standing.expires_ms:
            uses = beliefs.approvals.uses(id_, now_ms)
            author = kept.signed.author
            used = sum(use.amount for use in uses)
            found.append(StandingState(kept.signed, author, _name(beliefs, author), len(uses), used))
    routines = beliefs.approvals.routines
    agreed = [
        RoutineState(
            one.kept.signed, one.kept.signed.author, _name(beliefs, one.kept.signed.author),
            len(routines.said(id_, now_ms)),
        )
        for id_, one in routines.agreed.items()
        if now_ms <= one.approval.expires_ms
    ]  # fmt: skip
    return Standings(tuple(found), tuple(agreed))


def _name(beliefs: Beliefs, author: bytes) -> str:
    certificate = beliefs.people.keys.get(author) or beliefs.anchors.find(author, "person")
    return certificate.name if certificate is not None else ""


def settle(beliefs: Beliefs, request: PermitRequest, case: Case, now_ms: int) -> Settled | None:
    """A yes that covers this request and is not used up, counted once more; None when there is none."""
    if request.stream is not None or not beliefs.approvals.standing:
        return None
    wanted = Wanted(
        request.run_id, request.operation, request.target, request.args, case.effects, request.principal,
        request.purpose, case.data_classes, now_ms,
    )  # fmt: skip
    for id_, (standing, kept) in beliefs.approvals.standing.items():
        if not covers(standing, wanted) or not still_may(beliefs, kept.signed.author, case, now_ms):
            continue
        amount = (amount_of(standing, request.args) or 0.0) if standing.amount else 0.0
        if beliefs.approvals.has_room(id_, amount, now_ms):
            return Settled(id_, kept.signed.author, beliefs.approvals.use(id_, amount, now_ms))
    return None


def still_may(beliefs: Beliefs, author: bytes, case: Case, now_ms: int) -> bool:
    """Whether who signed a yes may still say it."""
    certificate: Certificate | None = beliefs.people.keys.get(author)
    if certificate is not None:
        return not approver_problem(beliefs, certificate, case, now_ms)
    return beliefs.anchors.find(author, "person") is not None


__all__ = [
    "Settled", "end_standing", "may_answer", "settle", "show_standings", "shown_standings", "stand", "still_may",
]  # fmt: skip
