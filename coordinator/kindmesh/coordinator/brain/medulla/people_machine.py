"""People: invitations, acceptances, terms and delegations, each judged before anything changes.

    invite    owner's signed terms with an invitation: open until used, withdrawn or past its end
    accept    both signatures, in time, once: the key is certified as a person's, no longer than the terms last
    terms     owner's newer terms: all keys of the person are certified anew with them
    delegate  signed by the person it acts for (for the owner, and for limbs, by the owner)

What only narrows (`uninvite`, `undelegate`) needs no signature: whoever passes papers on could withhold them anyway.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla import people_messages as m
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Issued
from kindmesh.coordinator.brain.medulla.people import DELEGATIONS_MAX, INVITES_MAX, PERSONS_MAX, Held
from kindmesh.protocol.certificate import Certificate, sign_certificate
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    CertificateRefused,
    InvalidInput,
    PermitExpired,
    PermitUsed,
    Replayed,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.ids import key_id, short_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, CLOCK_SKEW_MS
from kindmesh.protocol.names import skeleton
from kindmesh.protocol.people import (
    Acceptance,
    PersonTerms,
    check_delegation,
    check_terms,
    open_acceptance,
    open_delegation,
    open_terms,
    read_acceptance,
)
from kindmesh.protocol.signed import Signed, signed_to_bytes

_AGAIN: Final = "Let the owner invite again: kindmesh people invite."


def invite(beliefs: Beliefs, event: m.Invite, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `invite`; the same invitation again changes nothing.

    Raises:
        BadSignature, Malformed, WrongDestination: not this mesh's owner's.
        InvalidInput: what cannot be, such as a name that somebody has or that looks like it.
        Revoked: a person who was removed. Busy: too many people, or open invitations.
    """
    terms = _terms(beliefs, event.terms)
    if not terms.invite_id:
        raise InvalidInput("these terms invite nobody", field="invitation")
    people = beliefs.people
    if terms.invite_id in people.invites:
        if people.invites[terms.invite_id].terms != terms:
            raise Replayed("another invitation has this id")
        return [Answer(show(beliefs))]
    _check_new(beliefs, terms, now_ms)
    if now_ms > terms.invite_expires_ms:
        raise PermitExpired("this invitation has ended", hint=_AGAIN)
    cleared = list(people.old_invites(now_ms))
    if len(people.invites) >= INVITES_MAX or len(people.terms) >= PERSONS_MAX:
        raise Busy("there are too many people or invitations", hint="Withdraw some: kindmesh people.")
    save = people.put_invite(m.InviteState(terms, event.terms, "open"))
    log = beliefs.log("invitation", "allow", now_ms, terms.invite_id, rules=("owner",))
    return [*cleared, save, log, Answer(show(beliefs), durable=True)]


def uninvite(beliefs: Beliefs, event: m.Uninvite, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `uninvite`; again changes nothing.

    Raises:
        InvalidInput: there is none. PermitUsed: it was accepted already.
    """
    found = beliefs.people.invites.get(event.invite_id)
    if found is None:
        raise InvalidInput(
            "there is no such invitation", field="invitation", hint="kindmesh people lists them."
        )
    if found.state == "used":
        raise PermitUsed(
            f"{found.terms.name} has accepted it already",
            hint="kindmesh people remove takes the person out again.",
        )
    if found.state == "withdrawn":
        return [Answer(show(beliefs))]
    save = beliefs.people.put_invite(msgspec.structs.replace(found, state="withdrawn"))
    log = beliefs.log("invitation", "deny", now_ms, event.invite_id, rules=("withdrawn",))
    return [save, log, Answer(show(beliefs), durable=True)]


def accept(beliefs: Beliefs, event: m.Accept, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `accept`; the same key again gets the same certificate.

    Raises:
        InvalidInput: no such invitation. BadSignature, Malformed, WrongDestination: not by its holder.
        PermitUsed, PermitExpired, AccessRefused: used by another key, too late, or withdrawn.
        CertificateRefused, Revoked: why this key cannot be a person's. UnknownMember: no device of this mesh.
    """
    claimed = read_acceptance(event.accepted)
    found = beliefs.people.invites.get(claimed.invite_id)
    if found is None:
        raise InvalidInput("this mesh knows no such invitation", field="text", hint=_AGAIN)
    acceptance = open_acceptance(event.accepted, found.terms.invite_pub)
    beliefs.check_mesh(acceptance.mesh)
    subject = key_id(acceptance.ed_pub)
    known = beliefs.certificates.get(subject)
    if found.state == "used" and found.subject == subject and known is not None:
        return _issued(beliefs, known[1], now_ms)
    _check_acceptance(beliefs, found, acceptance, subject, now_ms)
    people, terms = beliefs.people, found.terms
    instructions: list[Instruction] = []
    current = people.terms.get(terms.person)
    if current is None or current[0].issued_ms <= terms.issued_ms:
        instructions.append(people.put_terms(terms, found.signed))
    else:
        terms = current[0]
    used = msgspec.structs.replace(found, state="used", subject=subject, device=acceptance.device)
    instructions += [people.put_invite(used), people.put_held(subject, Held(acceptance.device, now_ms))]
    certificate = Certificate(
        mesh=beliefs.anchors.mesh,
        subject=subject,
        kind="person",
        name=terms.name,
        ed_pub=acceptance.ed_pub,
        curve_pub=b"",
        roles=(terms.role,),
        capabilities=(),
        not_before_ms=now_ms,
        expires_ms=terms.lasts(now_ms + CERTIFICATE_LIFETIME_MS),
        serial=beliefs.next_serial(now_ms),
        person=terms.person,
    )
    instructions += _certify(beliefs, certificate)
    others = _certify_all(beliefs, terms, now_ms, besides=subject)
    signed = beliefs.certificates[subject][1]
    return [
        *instructions,
        *others,
        beliefs.sign_new_roster(now_ms),
        beliefs.log("certificate", "allow", now_ms, subject, rules=("invitation",)),
        *_issued(beliefs, signed, now_ms, durable=True),
    ]


def _check_acceptance(
    beliefs: Beliefs, found: m.InviteState, acceptance: Acceptance, subject: bytes, now_ms: int
) -> None:
    if found.state == "used":
        device = beliefs.member(found.device)
        where = f" on {device.name}" if device else ""
        raise PermitUsed(f"{found.terms.name} has accepted this invitation already{where}", hint=_AGAIN)
    if found.state == "withdrawn" or beliefs.anchors.find(found.signed.author, "person") is None:
        raise AccessRefused("the owner has withdrawn this invitation", hint=_AGAIN)
    if now_ms > found.terms.invite_expires_ms:
        raise PermitExpired("this invitation has ended", hint=_AGAIN)
    if abs(now_ms - acceptance.accepted_ms) > CLOCK_SKEW_MS:
        raise PermitExpired("this acceptance is not of now", hint="Is this device's clock right? Try again.")
    device = beliefs.member(acceptance.device)
    if device is None or device.kind != "device":
        raise UnknownMember(f"{short_id(acceptance.device)} is no device of this mesh")
    if beliefs.is_removed(subject) or beliefs.is_removed(found.terms.person):
        raise Revoked("this person was removed from the mesh", hint=_AGAIN)
    if subject in beliefs.certificates or subject in beliefs.anchors.subjects:
        raise CertificateRefused("this key belongs to somebody already")
    _check_unlike(beliefs, found.terms)


def set_terms(beliefs: Beliefs, event: m.SetTerms, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `terms`; those in force, sent again, change nothing.

    Raises:
        BadSignature, Malformed, WrongDestination: not this mesh's owner's.
        InvalidInput: no such person, a name or role that cannot be. Replayed: older than those in force.
    """
    terms = _terms(beliefs, event.terms)
    current = beliefs.people.terms.get(terms.person)
    if current is None:
        raise InvalidInput("there is no such person", field="person", hint="kindmesh people lists them.")
    if terms.invite_id:
        raise InvalidInput("an invitation has to be accepted", field="invitation")
    if event.terms == current[1]:
        return [Answer(show(beliefs))]
    if terms.issued_ms <= current[0].issued_ms:
        raise Replayed(f"newer terms of {terms.name} are known")
    _check_new(beliefs, terms, now_ms)
    save = beliefs.people.put_terms(terms, event.terms)
    changed = _certify_all(beliefs, terms, now_ms)
    roster = beliefs.sign_new_roster(now_ms)
    log = beliefs.log("person", "allow", now_ms, terms.person, rules=("owner", terms.role))
    return [save, *changed, roster, log, Answer(show(beliefs), durable=True)]


def delegate(beliefs: Beliefs, event: m.Delegate, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `delegate`; replaces an earlier one for the same thing and person.

    Raises:
        BadSignature, Malformed, WrongDestination, AccessRefused: not signed by whom it acts for.
        InvalidInput, PermitExpired: what cannot be. Replayed: an older one than that in force. Busy: too many.
    """
    signed = event.delegation
    key = beliefs.people.keys.get(signed.author)
    public = key.ed_pub if key is not None else beliefs.anchors.owner_pub(signed.author)
    delegation = open_delegation(signed, public)
    beliefs.check_mesh(delegation.mesh)
    check_delegation(delegation)
    person = key.person if key is not None else b""
    if person != delegation.person and not (key is None and delegation.kind == "limb"):
        raise AccessRefused("only the person it acts for can let it")
    if delegation.person and delegation.person not in beliefs.people.terms:
        raise InvalidInput("there is no such person", field="person", hint="kindmesh people lists them.")
    if not delegation.issued_ms - CLOCK_SKEW_MS <= now_ms <= delegation.expires_ms:
        raise PermitExpired("this delegation is not valid now")
    before = beliefs.people.delegation(delegation.kind, delegation.acting_id, delegation.person)
    instructions: list[Instruction] = []
    if before is not None:
        if (before.issued_ms, before.delegation_id) > (delegation.issued_ms, delegation.delegation_id):
            raise Replayed("a newer delegation for it is known")
        instructions += beliefs.people.drop_delegation(before.delegation_id)
    elif len(beliefs.people.delegations) >= DELEGATIONS_MAX:
        raise Busy("there are too many delegations", hint="Withdraw some: kindmesh people delegations.")
    save = beliefs.people.put_delegation(delegation, signed)
    log = beliefs.log("delegation", "allow", now_ms, delegation.delegation_id, rules=(delegation.kind,))
    return [*instructions, save, log, Answer(show(beliefs), durable=True)]


def undelegate(beliefs: Beliefs, event: m.Undelegate, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `undelegate`; one that is not there changes nothing."""
    dropped = beliefs.people.drop_delegation(event.delegation_id)
    if not dropped:
        return [Answer(show(beliefs))]
    log = beliefs.log("delegation", "deny", now_ms, event.delegation_id, rules=("withdrawn",))
    return [*dropped, log, Answer(show(beliefs), durable=True)]


def show_people(beliefs: Beliefs, event: m.PeopleWanted, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `people`."""
    return [Answer(show(beliefs))]


def show(beliefs: Beliefs) -> m.People:
    """All that is known about people, by name."""
    people = beliefs.people
    persons = []
    for terms, _ in sorted(people.terms.values(), key=lambda found: (found[0].name, found[0].person)):
        keys = []
        for certificate in sorted(people.keys_of(terms.person), key=lambda one: one.subject):
            held = people.held[certificate.subject]
            keys.append(m.PersonKey(certificate.subject, held.device, held.since_ms, certificate.expires_ms))
        persons.append(m.Person(terms, tuple(keys)))
    invitations = tuple(people.invites[id_] for id_ in sorted(people.invites))
    delegations = []
    for id_ in sorted(people.delegations):
        delegation = people.delegations[id_][0]
        known = people.terms.get(delegation.person)
        delegations.append(m.DelegationState(delegation, known[0].name if known else ""))
    return m.People(tuple(persons), invitations, tuple(delegations))


def _terms(beliefs: Beliefs, signed: Signed) -> PersonTerms:
    terms = open_terms(signed, beliefs.anchors.owner_pub(signed.author))
    beliefs.check_mesh(terms.mesh)
    check_terms(terms)
    return terms


def _check_new(beliefs: Beliefs, terms: PersonTerms, now_ms: int) -> None:
    if beliefs.is_removed(terms.person):
        raise Revoked("this person was removed from the mesh", hint=_AGAIN)
    if terms.issued_ms > now_ms + CLOCK_SKEW_MS:
        raise PermitExpired("these terms are not valid yet", hint="Is the owner's clock right?")
    if beliefs.policy.role(terms.role) is None:
        known = ", ".join(role.name for role in beliefs.policy.roles if role.name != "owner")
        raise InvalidInput(f"the policy has no role {terms.role}", field="role", hint=f"One of: {known}.")
    _check_unlike(beliefs, terms)


def _check_unlike(beliefs: Beliefs, terms: PersonTerms) -> None:
    """A name that another has, or that could be taken for another's, would let a person say yes to the wrong one."""
    shape = skeleton(terms.name)
    others = [(known.name, known.person) for known, _ in beliefs.people.terms.values()]
    others += [
        (found.terms.name, found.terms.person)
        for found in beliefs.people.invites.values()
        if found.state == "open"
    ]
    others += [
        (name, b"") for name in ("owner", *(owner.name for owner in beliefs.anchors.of_kind("person")))
    ]
    others += [
        (found.name, subject)
        for subject, (found, _) in beliefs.certificates.items()
        if found.kind == "device"
    ]
    for name, person in others:
        if person != terms.person and skeleton(name) == shape:
            alike = "is" if name == terms.name else "looks like"
            raise InvalidInput(
                f"{terms.name} {alike} a name that is taken: {name}",
                field="name",
                hint="Choose another name; for another device of the same person: --another-device.",
            )


def _certify(beliefs: Beliefs, certificate: Certificate) -> list[Instruction]:
    signed = sign_certificate(certificate, beliefs.issuer)
    beliefs.put_certificate(signed)
    return [
        Save("certificate", certificate.subject, signed_to_bytes(signed)),
        Save("serial", b"", beliefs.serial.to_bytes(8, "big")),
    ]


def _certify_all(
    beliefs: Beliefs, terms: PersonTerms, now_ms: int, *, besides: bytes = b""
) -> list[Instruction]:
    """All keys of a person with the terms as they are now; what is so already stays."""
    instructions: list[Instruction] = []
    for certificate in beliefs.people.keys_of(terms.person):
        changed = msgspec.structs.replace(
            certificate,
            name=terms.name,
            roles=(terms.role,),
            expires_ms=terms.lasts(certificate.expires_ms),
        )
        if certificate.subject != besides and changed != certificate:
            renewed = msgspec.structs.replace(changed, serial=beliefs.next_serial(now_ms))
            instructions += _certify(beliefs, renewed)
    return instructions


def _issued(beliefs: Beliefs, signed: Signed, now_ms: int, *, durable: bool = False) -> list[Instruction]:
    instructions, trust = beliefs.trust(now_ms)
    return [*instructions, Answer(Issued(signed, trust.roster), durable)]


__all__ = [
    "accept",
    "delegate",
    "invite",
    "set_terms",
    "show",
    "show_people",
    "undelegate",
    "uninvite",
]
