"""Medulla's pure core: every request, by its type, to the function that answers it.

`handle(event, now_ms, fresh)` returns instructions: `Save` and `Forget` for the store, `Log` for the audit log, and
last one `Answer`. Rules that always hold:
- a request is checked completely before anything changes; a refusal that is an error changes nothing;
- time never goes back: what is signed is dated at least as late as anything signed before;
- policy version, serial, roster and revocation versions only rise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla import (
    approval_machine,
    approval_messages,
    hold_machine,
    look_machine,
    look_messages,
    messages,
    people_machine,
    people_messages,
    permit_machine,
    raise_machine,
    recall_machine,
    review_machine,
    routine_machine,
    routine_messages,
    trust_machine,
)
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction
from kindmesh.protocol.errors import CertificateRefused, InvalidTransition

METHODS: Final[dict[str, type[msgspec.Struct]]] = {
    "permit": messages.PermitRequest,
    "approve": messages.Approve,
    "review": messages.PlanReview,
    "look": look_messages.Look,
    "issue": messages.Issue,
    "renew": messages.Renew,
    "revoke": messages.Revoke,
    "hold": messages.Hold,
    "release": messages.LetGo,
    "policy": messages.Install,
    "advert": messages.Advertise,
    "raises": messages.RaisesWanted,
    "decline": messages.Decline,
    "learn": messages.Learn,
    "recall": messages.SetRecall,
    "readmit": messages.Readmit,
    "trust": messages.TrustWanted,
    "status": messages.StatusWanted,
    "invite": people_messages.Invite,
    "uninvite": people_messages.Uninvite,
    "accept": people_messages.Accept,
    "terms": people_messages.SetTerms,
    "delegate": people_messages.Delegate,
    "undelegate": people_messages.Undelegate,
    "people": people_messages.PeopleWanted,
    "stand": approval_messages.Stand,
    "unstand": approval_messages.EndStanding,
    "standings": approval_messages.StandingsWanted,
    "propose": routine_messages.Propose,
    "agree": routine_messages.Agree,
}
"""Method name -> type of its parameters."""

_TRANSITIONS: Final[dict[type[msgspec.Struct], Callable[[Beliefs, Any, int, bytes], list[Instruction]]]] = {
    messages.PermitRequest: permit_machine.request_permit,
    messages.Approve: permit_machine.approve,
    messages.PlanReview: review_machine.review_plan,
    look_messages.Look: look_machine.look,
    messages.Issue: trust_machine.issue,
    messages.Renew: trust_machine.renew,
    messages.Revoke: trust_machine.revoke,
    messages.Hold: hold_machine.hold,
    messages.LetGo: hold_machine.release,
    messages.Install: trust_machine.install_policy,
    messages.Advertise: trust_machine.advertise,
    messages.RaisesWanted: raise_machine.show_raises,
    messages.Decline: raise_machine.decline,
    messages.Learn: recall_machine.learn,
    messages.SetRecall: recall_machine.set_recall,
    messages.Readmit: recall_machine.readmit,
    messages.TrustWanted: trust_machine.show_trust,
    messages.StatusWanted: trust_machine.show_status,
    people_messages.Invite: people_machine.invite,
    people_messages.Uninvite: people_machine.uninvite,
    people_messages.Accept: people_machine.accept,
    people_messages.SetTerms: people_machine.set_terms,
    people_messages.Delegate: people_machine.delegate,
    people_messages.Undelegate: people_machine.undelegate,
    people_messages.PeopleWanted: people_machine.show_people,
    approval_messages.Stand: approval_machine.stand,
    approval_messages.EndStanding: approval_machine.end_standing,
    approval_messages.StandingsWanted: approval_machine.show_standings,
    routine_messages.Propose: routine_machine.propose,
    routine_messages.Agree: routine_machine.agree,
}


_EVEN_REPLACED: Final = (messages.Learn, messages.TrustWanted, messages.StatusWanted)


def handle(beliefs: Beliefs, event: msgspec.Struct, now_ms: int, fresh: bytes) -> list[Instruction]:
    """The instructions for `event`, `Answer` last; `now_ms` UTC, `fresh` an unused 16-byte id.

    Raises:
        KindmeshError: refused, and nothing changed.
        InvalidTransition: no such request.
    """
    function = _TRANSITIONS.get(type(event))
    if function is None:
        raise InvalidTransition(f"Medulla does not know {type(event).__name__}")
    if beliefs.is_replaced and type(event) not in _EVEN_REPLACED:
        raise CertificateRefused(
            "this coordinator was replaced by one that was made from the recovery kit",
            hint="Switch this one off; its devices belong to the new one.",
        )
    return function(beliefs, event, max(now_ms, beliefs.highest_ms), fresh)


def validate(beliefs: Beliefs) -> None:
    """Check what must hold between any two requests; for tests.

    Raises:
        InvalidTransition: names what does not.
    """
    wrong = []
    if any(
        subject in beliefs.certificates or subject in beliefs.offers
        for subject in beliefs.revocations.subjects
    ):
        wrong.append("a removed member is still certified or offering")
    if any(certificate.serial > beliefs.serial for certificate, _ in beliefs.certificates.values()):
        wrong.append("a certificate has a serial that was not given out")
    present = {*beliefs.certificates, *(one.subject for one in beliefs.history.members())}
    if not set(beliefs.held) <= present:
        wrong.append("somebody who is no member is held")
    if not set(beliefs.offers) <= present:
        wrong.append("somebody who is no member offers something")
    if not set(beliefs.grants.values()) <= {*beliefs.certificates, *beliefs.revocations.subjects}:
        wrong.append("a grant was used for a key that was never certified")
    if not set(beliefs.people.keys) <= set(beliefs.certificates):
        wrong.append("a person's key counts that is not certified")
    if wrong:
        raise InvalidTransition("; ".join(wrong))


__all__ = ["METHODS", "Answer", "Beliefs", "Instruction", "handle", "validate"]
