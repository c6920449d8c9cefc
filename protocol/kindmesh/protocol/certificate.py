"""Who belongs to the mesh: certificates, the chain from the mesh root, the roster and the revocation list.

    mesh root (sealed into the recovery kit, not on any disk)
      |-- certifies the owner (person)            signs grants, approvals and the policy
      |-- certifies Medulla's issuer              signs certificates, roster, revocations (owner's grant only)
      `-- certifies Medulla's permit key          signs permits

`MeshBundle` holds the root's public key and these three certificates; a device stores it at pairing and pins the mesh
id (hash of the root key, carried by the QR). `Membership` is what a device believes: the bundle, the members and the
revocations, merged so that revocation wins and versions never fall. Times are UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from kindmesh.protocol.bounds import Count, Effects, Key, KeyId, Name, OptionalKey, TimeMs, Word
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateExpired,
    CertificateRefused,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.ids import key_id, short_id
from kindmesh.protocol.limits import CERTIFICATE_MAX, CLOCK_SKEW_MS, ROSTER_STALE_MS
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

CERTIFICATE_DOMAIN: Final = b"kindmesh-cert-v1\0"
ROSTER_DOMAIN: Final = b"kindmesh-roster-v1\0"
REVOCATION_DOMAIN: Final = b"kindmesh-revoke-v1\0"
RENEWAL_DOMAIN: Final = b"kindmesh-renew-v1\0"

ROOT_KINDS: Final = ("issuer", "medulla")
Kind = Literal["device", "person", "issuer", "medulla", "skin"]
Role = Literal["coordinator", "node", "owner", "caregiver", "resident", "guest", "bridge"]


class CapabilityGrant(msgspec.Struct, array_like=True, frozen=True):
    """One capability that the owner granted, by name (`*`: any, for tests only), and the effects it may have."""

    capability: Word
    effects: Effects


class Certificate(msgspec.Struct, array_like=True, frozen=True):
    """A member's key and what it may do.

    `subject` is `key_id(ed_pub)`; `curve_pub` (32 bytes) is the CURVE key of a device, empty for a person;
    `capabilities` are those that a device may offer, each with the effects that may be permitted there;
    `curve_previous` is the CURVE key before the last renewal that changed it, accepted too until the next renewal.
    """

    mesh: KeyId
    subject: KeyId
    kind: Kind
    name: Name
    ed_pub: Key
    curve_pub: OptionalKey
    roles: tuple[Word, ...]
    capabilities: tuple[CapabilityGrant, ...]
    not_before_ms: TimeMs
    expires_ms: TimeMs
    serial: Count
    curve_previous: OptionalKey = b""

    def granted(self, capability: str) -> int:
        """The effects (bit set) that the owner granted to this capability here; 0 when it was not granted."""
        bits = 0
        for grant in self.capabilities:
            if grant.capability in (capability, "*"):
                bits |= grant.effects
        return bits

    def allows(self, capability: str, effects: int) -> bool:
        """Whether the owner granted this capability to this device, and all of `effects` (bit set) with it."""
        granted = self.granted(capability)
        return granted != 0 and not effects & ~granted


class Roster(msgspec.Struct, array_like=True, frozen=True):
    """All certificates that are valid now, signed by the issuer; `version` only rises."""

    mesh: KeyId
    version: Count
    issued_ms: TimeMs
    members: tuple[Signed, ...]


class RevocationList(msgspec.Struct, array_like=True, frozen=True):
    """Ids that are no members any more (`subjects`) and single certificates (`serials`); `version` only rises."""

    mesh: KeyId
    version: Count
    issued_ms: TimeMs
    subjects: tuple[KeyId, ...] = ()
    serials: tuple[Count, ...] = ()


class Renewal(msgspec.Struct, array_like=True, frozen=True):
    """A member's wish that its certificate `serial` shall live on, signed with that certificate's key."""

    mesh: KeyId
    subject: KeyId
    serial: Count
    issued_ms: TimeMs


class MeshBundle(msgspec.Struct, array_like=True, frozen=True):
    """The trust anchor of a mesh, as a device stores it; see the module."""

    root_pub: Key
    owner: Signed
    issuer: Signed
    medulla: Signed

    @property
    def mesh(self) -> bytes:
        """The mesh id, 20 bytes."""
        return key_id(self.root_pub)


def sign_certificate(certificate: Certificate, key: SigningKey) -> Signed:
    """Signed by the root (owner, issuer, medulla) or by the issuer (everybody else)."""
    return sign_struct(certificate, CERTIFICATE_DOMAIN, key)


def open_certificate(signed: Signed, issuer_pub: bytes, mesh: bytes) -> Certificate:
    """The certificate, checked against its issuer; not against time or revocation.

    Raises:
        CertificateRefused: another issuer or mesh, or a subject that is not the key's id.
    """
    try:
        certificate = open_signed(signed, Certificate, CERTIFICATE_DOMAIN, issuer_pub, limit=CERTIFICATE_MAX)
    except BadSignature as error:
        raise CertificateRefused("the certificate was not issued by this mesh") from error
    if certificate.mesh != mesh:
        raise CertificateRefused("the certificate belongs to another mesh")
    if certificate.subject != key_id(certificate.ed_pub):
        raise CertificateRefused("the certificate's subject is not its key")
    if len(certificate.curve_pub) not in (0, 32) or len(certificate.curve_previous) not in (0, 32):
        raise CertificateRefused("the certificate's CURVE key is damaged")
    return certificate


class Anchors(msgspec.Struct, frozen=True):
    """The bundle, opened: keys that decide."""

    mesh: bytes
    owner: Certificate
    issuer: Certificate
    medulla: Certificate


def open_bundle(bundle: MeshBundle, mesh: bytes) -> Anchors:
    """Check a bundle against a mesh id that is already trusted (from the QR, or from this device's disk).

    Raises:
        CertificateRefused: the root is another one, or a certificate is not for its purpose.
    """
    if bundle.mesh != mesh:
        raise CertificateRefused("the mesh root is not the one this device was paired with")
    owner = open_certificate(bundle.owner, bundle.root_pub, mesh)
    issuer = open_certificate(bundle.issuer, bundle.root_pub, mesh)
    medulla = open_certificate(bundle.medulla, bundle.root_pub, mesh)
    kinds = (owner.kind, issuer.kind, medulla.kind)
    if kinds != ("person", "issuer", "medulla") or "owner" not in owner.roles:
        raise CertificateRefused("a certificate of the mesh root serves another purpose")
    return Anchors(mesh, owner, issuer, medulla)


def check_validity(certificate: Certificate, now_ms: int) -> None:
    """Refuse a certificate outside its time, with the clock-skew tolerance.

    Raises:
        CertificateExpired: past its end, or not valid yet.
    """
    if now_ms > certificate.expires_ms + CLOCK_SKEW_MS:
        raise CertificateExpired(f"the certificate of {certificate.name} has ended")
    if now_ms < certificate.not_before_ms - CLOCK_SKEW_MS:
        raise CertificateExpired(
            f"the certificate of {certificate.name} is not valid yet", hint="Is this device's clock right?"
        )


class Membership:
    """What one device believes about who belongs to the mesh. Mutable, but only through checked merges.

    Merging is commutative and idempotent, so devices that have seen the same statements in any order agree: of each
    member the certificate with the highest serial counts, wherever it came from; a member leaves by revocation only,
    and revoked ids and serials only grow; the newest roster and list are those with the highest (version, time).
    """

    def __init__(self, anchors: Anchors) -> None:
        self.anchors = anchors
        self.roster_version = 0
        self.revocation_version = 0
        self.revocations_issued_ms = 0
        self._members: dict[bytes, Certificate] = {}
        self._by_curve: dict[bytes, Certificate] = {}
        self._revoked_subjects: set[bytes] = set()
        self._revoked_serials: set[int] = set()
        self._roster_rank = self._revocation_rank = (0, 0, b"")
        self.signed_roster: Signed | None = None
        self.signed_revocations: Signed | None = None

    @property
    def mesh(self) -> bytes:
        """The mesh id, 20 bytes."""
        return self.anchors.mesh

    def merge_roster(self, signed: Signed) -> bool:
        """Take over a roster; False when ours is as new (what it alone knows is learned all the same).

        Raises:
            BadSignature, CertificateRefused, Malformed: nothing was changed.
        """
        if signed == self.signed_roster:
            return False
        roster = open_signed(signed, Roster, ROSTER_DOMAIN, self.anchors.issuer.ed_pub)
        if roster.mesh != self.mesh:
            raise CertificateRefused("the roster belongs to another mesh")
        for certificate in [self._open_member(member) for member in roster.members]:
            self._keep(certificate)
        self._index()
        rank = (roster.version, roster.issued_ms, signed.payload)
        if rank <= self._roster_rank:
            return False
        self._roster_rank, self.roster_version, self.signed_roster = rank, roster.version, signed
        return True

    def add(self, signed: Signed) -> Certificate:
        """Take over one certificate (shown in a hello) newer than the one we have.

        Raises:
            CertificateRefused: not issued by this mesh.
        """
        certificate = self._open_member(signed)
        if self._keep(certificate):
            self._index()
        return certificate

    def _open_member(self, signed: Signed) -> Certificate:
        certificate = open_certificate(signed, self.anchors.issuer.ed_pub, self.mesh)
        if certificate.kind in ROOT_KINDS or "owner" in certificate.roles:
            raise CertificateRefused("only the mesh root certifies the owner, the issuer and Medulla")
        return certificate

    def _keep(self, certificate: Certificate) -> bool:
        known = self._members.get(certificate.subject)
        if known is not None and (known.serial, encode(known)) >= (certificate.serial, encode(certificate)):
            return False
        self._members[certificate.subject] = certificate
        return True

    def merge_revocations(self, signed: Signed) -> bool:
        """Take over a revocation list; False when ours is as new.

        Raises:
            BadSignature, CertificateRefused, Malformed: nothing was changed.
        """
        if signed == self.signed_revocations:
            return False
        revocations = open_signed(signed, RevocationList, REVOCATION_DOMAIN, self.anchors.issuer.ed_pub)
        if revocations.mesh != self.mesh:
            raise CertificateRefused("the revocation list belongs to another mesh")
        self._revoked_subjects.update(revocations.subjects)
        self._revoked_serials.update(revocations.serials)
        self._index()
        rank = (revocations.version, revocations.issued_ms, signed.payload)
        if rank <= self._revocation_rank:
            return False
        self._revocation_rank, self.signed_revocations = rank, signed
        self.revocation_version, self.revocations_issued_ms = revocations.version, revocations.issued_ms
        return True

    def _index(self) -> None:
        valid = [member for member in self._members.values() if not self.is_revoked(member)]
        valid.sort(key=lambda member: (member.serial, member.subject))
        former = {member.curve_previous: member for member in valid if member.curve_previous}
        self._by_curve = former | {member.curve_pub: member for member in valid if member.curve_pub}

    def is_revoked(self, certificate: Certificate) -> bool:
        """Whether the member or this certificate was revoked."""
        return certificate.subject in self._revoked_subjects or certificate.serial in self._revoked_serials

    def get(self, subject: bytes) -> Certificate:
        """The certificate of a member that was not revoked; its time is not checked.

        Raises:
            Revoked, UnknownMember.
        """
        certificate = self._members.get(subject)
        if subject in self._revoked_subjects or (certificate is not None and self.is_revoked(certificate)):
            name = certificate.name if certificate else short_id(subject)
            raise Revoked(f"{name} was removed from the mesh")
        if certificate is None:
            raise UnknownMember(f"{short_id(subject)} is no member of this mesh")
        return certificate

    def by_curve(self, curve_pub: bytes) -> Certificate | None:
        """The member with that CURVE key, now or before its last rotation, or None; revoked members are not found.

        Whoever has the key now comes before whoever had it.
        """
        return self._by_curve.get(curve_pub)

    def members(self) -> Iterable[Certificate]:
        """All that are not revoked, by name."""
        valid = [member for member in self._members.values() if not self.is_revoked(member)]
        return sorted(valid, key=lambda member: (member.name, member.subject))

    def is_stale(self, now_ms: int) -> bool:
        """Whether the revocation list is older than a day: then only {read, notify} and `stop` are allowed."""
        return now_ms - self.revocations_issued_ms > ROSTER_STALE_MS


def sign_roster(roster: Roster, key: SigningKey) -> Signed:
    """Signed by the issuer."""
    return sign_struct(roster, ROSTER_DOMAIN, key)


def sign_revocations(revocations: RevocationList, key: SigningKey) -> Signed:
    """Signed by the issuer."""
    return sign_struct(revocations, REVOCATION_DOMAIN, key)


def sign_renewal(renewal: Renewal, key: SigningKey) -> Signed:
    """Signed by the member itself."""
    return sign_struct(renewal, RENEWAL_DOMAIN, key)


def open_renewal(signed: Signed, member_pub: bytes) -> Renewal:
    """The renewal; `BadSignature` when that member did not sign it."""
    return open_signed(signed, Renewal, RENEWAL_DOMAIN, member_pub, limit=CERTIFICATE_MAX)


__all__ = [
    "Anchors",
    "CapabilityGrant",
    "Certificate",
    "Kind",
    "Membership",
    "MeshBundle",
    "Renewal",
    "RevocationList",
    "Role",
    "Roster",
    "check_validity",
    "open_bundle",
    "open_certificate",
    "open_renewal",
    "sign_certificate",
    "sign_renewal",
    "sign_revocations",
    "sign_roster",
]
