"""Certificates, removals, the policy and adverts: how Medulla's beliefs about members change.

Issued is exactly what the owner's signed grant says, once per grant (the same grant again gives the same certificate);
a renewal changes the dates, the serial and, if asked, the CURVE key, and nothing else; a removed key never comes back;
the policy's version and each device's advert only go forward. Certificates for the owner, the issuer and Medulla come
from the mesh root alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.cedar_check import check_rules
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import (
    Advertise,
    Advertised,
    Install,
    Issue,
    Issued,
    Renew,
    Revoke,
    Status,
    StatusWanted,
    TrustWanted,
)
from kindmesh.protocol.certificate import Certificate, open_renewal, sign_certificate
from kindmesh.protocol.errors import (
    Busy,
    CertificateRefused,
    InvalidInput,
    PermitExpired,
    Replayed,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.ids import key_id, short_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, CLOCK_SKEW_MS
from kindmesh.protocol.policy import Grant, check_policy, open_grant, open_policy, open_removal
from kindmesh.protocol.signed import Signed, signed_to_bytes

ROTATION_PAUSE_MS: Final = 10_000
"""Between two changes of a device's CURVE key."""


def issue(beliefs: Beliefs, event: Issue, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `issue`.

    Raises:
        BadSignature, Malformed, WrongDestination: not a grant of an owner of this mesh.
        Replayed: the grant certified another key before.
        CertificateRefused, InvalidInput, PermitExpired, Revoked: why this key cannot be certified so.
    """
    grant = open_grant(event.grant, beliefs.anchors.owner_pub(event.grant.author))
    subject = key_id(grant.ed_pub)
    known = beliefs.certificates.get(subject)
    if beliefs.grants.get(grant.grant_id) == subject and known is not None:
        return issued(beliefs, known[1], now_ms)
    _check_grant(beliefs, grant, subject, now_ms)
    curve_pub, curve_previous = _curve_keys(grant, None if known is None else known[0])
    certificate = Certificate(
        mesh=beliefs.anchors.mesh,
        subject=subject,
        kind=grant.kind,
        name=grant.name,
        ed_pub=grant.ed_pub,
        curve_pub=curve_pub,
        roles=grant.roles,
        capabilities=grant.capabilities,
        not_before_ms=now_ms,
        expires_ms=now_ms + CERTIFICATE_LIFETIME_MS,
        serial=beliefs.next_serial(now_ms),
        curve_previous=curve_previous,
    )
    beliefs.grants[grant.grant_id] = subject
    return [Save("grant", grant.grant_id, subject), *certify(beliefs, certificate, now_ms, "grant")]


def _curve_keys(grant: Grant, known: Certificate | None) -> tuple[bytes, bytes]:
    """Now and before: a member that is granted more keeps its keys, also if it changed them since it was asked."""
    if known is not None and grant.curve_pub and grant.curve_pub in (known.curve_pub, known.curve_previous):
        return known.curve_pub, known.curve_previous
    return grant.curve_pub, b""


def _check_grant(beliefs: Beliefs, grant: Grant, subject: bytes, now_ms: int) -> None:
    beliefs.check_mesh(grant.mesh)
    if grant.grant_id in beliefs.grants:
        raise Replayed("this grant was used already", hint="Let the owner confirm the device again.")
    if grant.kind not in ("device", "person", "skin") or "owner" in grant.roles:
        raise CertificateRefused(f"only the mesh root certifies the owner, or the kind {grant.kind}")
    if len(grant.curve_pub) != (32 if grant.kind == "device" else 0):
        raise InvalidInput("a device has a CURVE key, others have none", field="curve_pub")
    if not grant.name.strip():
        raise InvalidInput("a member has a name", field="name")
    if now_ms > grant.expires_ms or now_ms < grant.issued_ms - CLOCK_SKEW_MS:
        raise PermitExpired("the grant is not valid now", hint="Let the owner confirm the device again.")
    if beliefs.is_removed(subject) or subject in beliefs.anchors.subjects:
        raise Revoked(
            "this key was removed from the mesh",
            hint="kindmesh join --fresh TEXT on that device makes a new key.",
        )
    beliefs.check_curve_free(grant.curve_pub, subject)


def renew(beliefs: Beliefs, event: Renew, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `renew`; a certificate before half of its life, or an answer that was lost, is answered unchanged.

    A renewal that names another CURVE key is granted at any time, and accepts the key before it until the next one.

    Raises:
        UnknownMember: no certificate, or removed.
        BadSignature, WrongDestination: not signed by that member for this mesh.
        Replayed: for a certificate that was never issued.
        Busy: its key was changed a moment ago.
        InvalidInput, CertificateRefused: not a key that it can have.
    """
    known = beliefs.certificates.get(event.renewal.author)
    if known is None:
        raise UnknownMember(f"{short_id(event.renewal.author)} has no certificate to renew")
    certificate, signed = known
    renewal = open_renewal(event.renewal, certificate.ed_pub)
    beliefs.check_mesh(renewal.mesh)
    if renewal.subject != certificate.subject or renewal.serial > certificate.serial:
        raise Replayed("this renewal is for another certificate")
    rotates = renewal.curve_pub not in (b"", certificate.curve_pub)
    until_ms = beliefs.lasts_until(certificate, now_ms)
    middle_ms = (certificate.not_before_ms + certificate.expires_ms) // 2
    early = now_ms < middle_ms or until_ms <= certificate.expires_ms
    if renewal.serial < certificate.serial or (early and not rotates):
        return issued(beliefs, signed, now_ms)
    if rotates:
        if len(renewal.curve_pub) != (32 if certificate.kind == "device" else 0):
            raise InvalidInput("a device has a CURVE key, others have none", field="curve_pub")
        if now_ms < certificate.not_before_ms + ROTATION_PAUSE_MS:
            raise Busy("this device's key was changed a moment ago", hint="Try again in a few seconds.")
        beliefs.check_curve_free(renewal.curve_pub, certificate.subject)
    renewed = msgspec.structs.replace(
        certificate,
        curve_pub=renewal.curve_pub or certificate.curve_pub,
        curve_previous=certificate.curve_pub if rotates else b"",
        not_before_ms=now_ms,
        expires_ms=until_ms,
        serial=beliefs.next_serial(now_ms),
    )
    return certify(beliefs, renewed, now_ms, "rotation" if rotates else "renewal")


def certify(beliefs: Beliefs, certificate: Certificate, now_ms: int, rule: str) -> list[Instruction]:
    """Sign `certificate`, take it over and answer with it; `rule` says by what right, for the log."""
    signed = sign_certificate(certificate, beliefs.issuer)
    beliefs.put_certificate(signed)
    return [
        Save("certificate", certificate.subject, signed_to_bytes(signed)),
        Save("serial", b"", beliefs.serial.to_bytes(8, "big")),
        beliefs.sign_new_roster(now_ms),
        beliefs.log("certificate", "allow", now_ms, certificate.subject, rules=(rule,)),
        *issued(beliefs, signed, now_ms, durable=True),
    ]


def issued(beliefs: Beliefs, signed: Signed, now_ms: int, *, durable: bool = False) -> list[Instruction]:
    """The answer with a certificate and the roster that has it."""
    instructions, trust = beliefs.trust(now_ms)
    return [*instructions, Answer(Issued(signed, trust.roster), durable)]


def revoke(beliefs: Beliefs, event: Revoke, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `revoke`; removing somebody again changes nothing. A person leaves with all keys and delegations.

    Raises:
        BadSignature, CertificateRefused, Malformed, WrongDestination: not signed by an owner of this mesh.
        InvalidInput: a key that only the mesh root can remove.
    """
    removal = open_removal(event.removal, beliefs.anchors.owner_pub(event.removal.author))
    beliefs.check_mesh(removal.mesh)
    if removal.subject in beliefs.anchors.subjects:
        raise InvalidInput("only the mesh root can remove this key", field="subject")
    instructions: list[Instruction] = []
    leaving = beliefs.leaving(removal.subject)
    if leaving:
        grown = msgspec.structs.replace(
            beliefs.revocations,
            version=beliefs.revocations.version + 1,
            issued_ms=now_ms,
            subjects=(*beliefs.revocations.subjects, *leaving),
        )
        instructions.append(beliefs.sign_new_revocations(grown))
        certified = [subject for subject in leaving if beliefs.certificates.pop(subject, None)]
        instructions += [Forget("certificate", subject) for subject in certified]
        instructions += [beliefs.sign_new_roster(now_ms)] if certified else []
        released = [subject for subject in leaving if beliefs.held.pop(subject, None) is not None]
        instructions += [Forget("held", subject) for subject in released]
        if beliefs.offers.pop(removal.subject, None):
            instructions.append(Forget("advert", removal.subject))
        if beliefs.declined.pop(removal.subject, None):
            instructions.append(Forget("declined", removal.subject))
        instructions += beliefs.people.drop(removal.subject, leaving)
        instructions += beliefs.approvals.drop_of(leaving)
        instructions.append(beliefs.log("revocation", "allow", now_ms, removal.subject, rules=("owner",)))
    dated, trust = beliefs.trust(now_ms)
    return [*instructions, *dated, Answer(trust, durable=True)]


def install_policy(beliefs: Beliefs, event: Install, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `policy`; the policy in force, sent again, changes nothing.

    Raises:
        BadSignature, CertificateRefused, Malformed, WrongDestination: not signed by an owner of this mesh.
        InvalidInput: not newer than the one in force, too long, or its rules in Cedar cannot be meant so.
        ConfigError: it has rules in Cedar, and Medulla has no cedarpy.
    """
    policy = open_policy(event.policy, beliefs.anchors.owner_pub(event.policy.author))
    beliefs.check_mesh(policy.mesh)
    instructions: list[Instruction] = []
    if event.policy != beliefs.signed_policy:
        check_policy(policy)
        if policy.cedar:
            check_rules(policy.cedar, (role.name for role in policy.roles))
        if policy.version <= beliefs.policy.version:
            raise InvalidInput(
                f"policy {policy.version} is not newer than policy {beliefs.policy.version}",
                field="version",
                hint=f"Sign it again as version {beliefs.policy.version + 1}.",
            )
        beliefs.put_policy(event.policy)
        subject = policy.version.to_bytes(8, "big")
        instructions += [
            Save("policy", b"", signed_to_bytes(event.policy)),
            beliefs.log("policy", "allow", now_ms, subject, rules=("owner",)),
        ]
    dated, trust = beliefs.trust(now_ms)
    return [*instructions, *dated, Answer(trust, durable=True)]


def advertise(beliefs: Beliefs, event: Advertise, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `advert`.

    Raises:
        UnknownMember: its author has no certificate.
        BadSignature, Malformed, UnknownCritical, SourceMismatch, WrongDestination: not that device's own valid advert.
        Replayed: older than the one known.
    """
    subject = event.advert.author
    certificate = beliefs.member(subject)
    if certificate is None:
        raise UnknownMember(f"{short_id(subject)} is no member of this mesh")
    before = beliefs.offers.get(subject)
    advert = beliefs.put_advert(event.advert, certificate)
    if before is not None and (advert.boot, advert.version) < before.age:
        beliefs.offers[subject] = before
        raise Replayed(f"a newer advert of {certificate.name} is known")
    effects = beliefs.offers[subject].effects
    refused = tuple(
        offer.manifest.capability
        for offer in advert.offers
        if any(
            operation.effects & ~certificate.granted(offer.manifest.capability)
            for operation in offer.manifest.operations
        )
    )
    granted = tuple(
        name for name in sorted(effects) if certificate.allows(name.partition(".")[0], effects[name])
    )
    return [
        Save("advert", subject, signed_to_bytes(event.advert)),
        beliefs.log("advert", "allow", now_ms, subject, contents=event.advert.payload),
        Answer(Advertised(granted, refused)),
    ]


def show_trust(beliefs: Beliefs, event: TrustWanted, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `trust`.

    Raises:
        NotInitialised: there is no policy yet.
    """
    instructions, trust = beliefs.trust(now_ms)
    return [*instructions, Answer(trust)]


def show_status(beliefs: Beliefs, event: StatusWanted, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `status`, without what only the process itself knows."""
    status = Status(
        mesh=beliefs.anchors.mesh,
        isolation=beliefs.isolation,
        policy_version=beliefs.policy.version,
        roster_version=beliefs.roster_version,
        revocation_version=beliefs.revocations.version,
        serial=beliefs.serial,
        members=len(beliefs.certificates),
        pending=len(beliefs.questions),
        permits=beliefs.permits,
        highest_ms=beliefs.highest_ms,
    )
    return [Answer(status)]


__all__ = [
    "ROTATION_PAUSE_MS",
    "advertise",
    "install_policy",
    "issue",
    "issued",
    "renew",
    "revoke",
    "show_status",
    "show_trust",
]
