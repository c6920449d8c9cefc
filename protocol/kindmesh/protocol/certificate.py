"""Who belongs to the mesh: certificates, the roster and the revocation list.

    mesh root -> AnchorList (`protocol.anchors`): owners, issuers, permit keys
                   `-- an issuer signs certificates, a roster and a revocation list (owner's grant or removal only)

`Membership` is what a device believes: the anchors, the members and the revocations, merged so that revocation wins and
versions never fall. Times are UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

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
from kindmesh.protocol.limits import CERTIFICATE_MAX, CLOCK_SKEW_MS, ISSUERS_MAX, ROSTER_STALE_MS
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

if TYPE_CHECKING:
    from kindmesh.protocol.anchors import Anchors

CERTIFICATE_DOMAIN: Final = b"kindmesh-cert-v1\0"
ROSTER_DOMAIN: Final = b"kindmesh-roster-v1\0"
REVOCATION_DOMAIN: Final = b"kindmesh-revoke-v1\0"
RENEWAL_DOMAIN: Final = b"kindmesh-renew-v1\0"

ROOT_KINDS: Final = ("issuer", "medulla")
Kind = Literal["device", "person", "issuer", "medulla", "skin"]
CertificateState = Literal["current", "ended", "early"]
"""Within its time; past its end (it may renew); not valid yet (somebody's clock is wrong)."""
Role = Literal["coordinator", "node", "owner", "caregiver", "resident", "guest", "bridge"]


class CapabilityGrant(msgspec.Struct, array_like=True, frozen=True):
    """One capability that the owner granted, by name (`*`: any, for tests only), and the effects it may have."""

    capability: Word
    effects: Effects


def granted_effects(grants: Iterable[CapabilityGrant], capability: str) -> int:
    """The effects (bit set) that `grants` allow this capability; 0 when they do not name it."""
    bits = 0
    for grant in grants:
        if grant.capability in (capability, "*"):
            bits |= grant.effects
    return bits


class Certificate(msgspec.Struct, array_like=True, frozen=True):
    """A member's key and what it may do.

    `subject` is `key_id(ed_pub)`; `curve_pub` (32 bytes) is the CURVE key of a device, empty for a person;
    `capabilities` are those that a device may offer, each with the effects that may be permitted there;
    `curve_previous` is the CURVE key before the last renewal that changed it, accepted too until the next renewal;
    `person` is the 20-byte id that all keys of one person share, empty for everything else.
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
    person: OptionalKey = b""

    def granted(self, capability: str) -> int:
        """The effects (bit set) that the owner granted to this capability here; 0 when it was not granted."""
        return granted_effects(self.capabilities, capability)

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
    """A member's wish that its certificate `serial` shall live on, signed with that certificate's key.

    `curve_pub` is the CURVE key that it shall name from now on; empty to keep the one it names.
    """

    mesh: KeyId
    subject: KeyId
    serial: Count
    issued_ms: TimeMs
    curve_pub: OptionalKey = b""


class Heard(msgspec.Struct, array_like=True, frozen=True):
    """What a device has of one issuer: versions of its roster and revocation list (0: none), and the list's date."""

    issuer: KeyId
    roster: Count
    revocations: Count
    dated_ms: TimeMs


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
    check_certificate(certificate, mesh)
    return certificate


def check_certificate(certificate: Certificate, mesh: bytes) -> None:
    """Refuse a certificate that contradicts itself, or is of another mesh; who signed it is for the caller to check.

    Raises:
        CertificateRefused.
    """
    if certificate.mesh != mesh:
        raise CertificateRefused("the certificate belongs to another mesh")
    if certificate.subject != key_id(certificate.ed_pub):
        raise CertificateRefused("the certificate's subject is not its key")
    if len(certificate.curve_pub) not in (0, 32) or len(certificate.curve_previous) not in (0, 32):
        raise CertificateRefused("the certificate's CURVE key is damaged")


def certificate_state(certificate: Certificate, now_ms: int) -> CertificateState:
    """Whether it is within its time, with the clock-skew tolerance."""
    if now_ms > certificate.expires_ms + CLOCK_SKEW_MS:
        return "ended"
    return "early" if now_ms < certificate.not_before_ms - CLOCK_SKEW_MS else "current"


def check_validity(certificate: Certificate, now_ms: int) -> None:
    """Refuse a certificate outside its time.

    Raises:
        CertificateExpired: past its end, or not valid yet.
    """
    state = certificate_state(certificate, now_ms)
    if state == "ended":
        raise CertificateExpired(
            f"the certificate of {certificate.name} has ended",
            hint="It renews by itself as soon as it reaches the coordinator; until then it only passes on alerts.",
        )
    if state == "early":
        raise CertificateExpired(
            f"the certificate of {certificate.name} is not valid yet", hint="Is this device's clock right?"
        )


Rank = tuple[int, int, bytes]


class Membership:
    """What one device believes about who belongs to the mesh. Mutable, but only through checked merges.

    Merging is commutative, associative and idempotent, so devices that have seen the same statements in any order
    agree: the newest list of anchors counts; of each member the certificate with the highest serial of those by present
    issuers counts, wherever it came from; a member leaves by revocation only, by any issuer that the mesh root ever
    named, and revoked ids and serials only grow; of each issuer the newest roster and list are those with the highest
    (version, time). What an issuer certified counts for as long as it is one; whom it revoked stays revoked for ever.
    """

    def __init__(self, anchors: Anchors) -> None:
        self.anchors = anchors
        self._ever: dict[bytes, Certificate] = {}
        self._rosters: dict[bytes, tuple[Rank, Signed]] = {}
        self._lists: dict[bytes, tuple[Rank, Signed, RevocationList]] = {}
        self._certified: dict[bytes, dict[bytes, tuple[Certificate, Signed]]] = {}
        self._members: dict[bytes, Certificate] = {}
        self._signed: dict[bytes, Signed] = {}
        self._by_curve: dict[bytes, Certificate] = {}
        self._revoked_subjects: set[bytes] = set()
        self._revoked_serials: set[int] = set()
        self._learn(anchors)

    @property
    def mesh(self) -> bytes:
        """The mesh id, 20 bytes."""
        return self.anchors.mesh

    def adopt(self, anchors: Anchors) -> bool:
        """Take over a list of anchors; False when ours is as new (older issuers are learned all the same, because
        whom they revoked stays revoked).

        Raises:
            CertificateRefused: of another mesh, or too many issuers were named over time.
        """
        if anchors.mesh != self.mesh:
            raise CertificateRefused("the list of who decides belongs to another mesh")
        self._learn(anchors)
        if anchors.rank <= self.anchors.rank:
            return False
        self.anchors = anchors
        self._index()
        return True

    def _learn(self, anchors: Anchors) -> None:
        new = {anchor.subject: anchor for anchor in anchors.certificates if anchor.kind != "medulla"}
        if len(self._ever | new) > 2 * ISSUERS_MAX:
            raise CertificateRefused("too many owners and issuers were named for this mesh over time")
        self._ever.update(new)

    def ever_pub(self, author: bytes, kind: Kind) -> bytes:
        """The key of an owner or issuer that the mesh root named, now or once: for what may only narrow, and for what
        was taken over while it counted.

        Raises:
            CertificateRefused: never named.
        """
        found = self._ever.get(author)
        if found is None or found.kind != kind:
            raise CertificateRefused(f"{short_id(author)} never had a say in this mesh")
        return found.ed_pub

    def merge_roster(self, signed: Signed) -> bool:
        """Take over a roster; False when ours of that issuer is as new (what it alone knows is learned all the same).

        Raises:
            BadSignature, CertificateRefused, Malformed: nothing was changed.
        """
        known = self._rosters.get(signed.author)
        if known is not None and known[1] == signed:
            return False
        roster = open_signed(signed, Roster, ROSTER_DOMAIN, self.ever_pub(signed.author, "issuer"))
        if roster.mesh != self.mesh:
            raise CertificateRefused("the roster belongs to another mesh")
        members = [(member, self._open_member(member)) for member in roster.members]
        for signed_member, certificate in members:
            self._keep(signed_member, certificate)
        self._index()
        rank = (roster.version, roster.issued_ms, signed.payload)
        if known is not None and rank <= known[0]:
            return False
        self._rosters[signed.author] = (rank, signed)
        return True

    def add(self, signed: Signed) -> Certificate:
        """Take over one certificate (shown in a hello) newer than the one we have.

        Raises:
            CertificateRefused: not issued by this mesh, or by an issuer that was replaced.
        """
        self.anchors.issuer_pub(signed.author)
        certificate = self._open_member(signed)
        if self._keep(signed, certificate):
            self._index()
        return certificate

    def _open_member(self, signed: Signed) -> Certificate:
        certificate = open_certificate(signed, self.ever_pub(signed.author, "issuer"), self.mesh)
        if certificate.kind in ROOT_KINDS or "owner" in certificate.roles:
            raise CertificateRefused("only the mesh root certifies the owner, the issuer and Medulla")
        return certificate

    def _keep(self, signed: Signed, certificate: Certificate) -> bool:
        certified = self._certified.setdefault(signed.author, {})
        known = certified.get(certificate.subject)
        if known is not None and _newness(known[0]) >= _newness(certificate):
            return False
        certified[certificate.subject] = certificate, signed
        return True

    def merge_revocations(self, signed: Signed) -> bool:
        """Take over a revocation list; False when ours of that issuer is as new.

        Raises:
            BadSignature, CertificateRefused, Malformed: nothing was changed.
        """
        known = self._lists.get(signed.author)
        if known is not None and known[1] == signed:
            return False
        public = self.ever_pub(signed.author, "issuer")
        revocations = open_revocations(signed, public)
        if revocations.mesh != self.mesh:
            raise CertificateRefused("the revocation list belongs to another mesh")
        self._revoked_subjects.update(revocations.subjects)
        self._revoked_serials.update(revocations.serials)
        self._index()
        rank = (revocations.version, revocations.issued_ms, signed.payload)
        if known is not None and rank <= known[0]:
            return False
        self._lists[signed.author] = (rank, signed, revocations)
        return True

    def _index(self) -> None:
        self._members, self._signed = {}, {}
        for issuer in self.anchors.of_kind("issuer"):
            for subject, (certificate, signed) in self._certified.get(issuer.subject, {}).items():
                known = self._members.get(subject)
                if known is None or _newness(known) < _newness(certificate):
                    self._members[subject], self._signed[subject] = certificate, signed
        valid = [member for member in self._members.values() if not self.is_revoked(member)]
        valid.sort(key=lambda member: (member.serial, member.subject))
        former = {member.curve_previous: member for member in valid if member.curve_previous}
        self._by_curve = former | {member.curve_pub: member for member in valid if member.curve_pub}

    def newest_ever(self, subject: bytes) -> Certificate | None:
        """The newest certificate of that id by any issuer that ever counted; whether it counts now is not said."""
        known = [certified[subject][0] for certified in self._certified.values() if subject in certified]
        return max(known, key=_newness, default=None)

    @property
    def heard(self) -> tuple[Heard, ...]:
        """How far this device is with each issuer that counts now, in the order of their ids."""
        issuers = sorted(anchor.subject for anchor in self.anchors.of_kind("issuer"))
        found = [(issuer, self._rosters.get(issuer), self._lists.get(issuer)) for issuer in issuers]
        return tuple(
            Heard(
                issuer,
                roster[0][0] if roster else 0,
                listed[0][0] if listed else 0,
                listed[0][1] if listed else 0,
            )
            for issuer, roster, listed in found
        )

    @property
    def rosters(self) -> tuple[Signed, ...]:
        """The newest roster of each present issuer that gave one."""
        return tuple(self._rosters[one.issuer][1] for one in self.heard if one.issuer in self._rosters)

    @property
    def revocations(self) -> tuple[Signed, ...]:
        """The newest revocation list of each present issuer, and of a replaced one as long as it names somebody whom
        no present one does."""
        present = {one.issuer for one in self.heard}
        covered: set[bytes | int] = set()
        for issuer in present & self._lists.keys():
            covered.update(self._lists[issuer][2].subjects, self._lists[issuer][2].serials)
        return tuple(
            signed
            for issuer, (_, signed, listed) in sorted(self._lists.items(), key=lambda item: item[0])
            if issuer in present or not covered.issuperset((*listed.subjects, *listed.serials))
        )

    @property
    def revoked(self) -> frozenset[bytes]:
        """All ids that were removed from the mesh."""
        return frozenset(self._revoked_subjects)

    @property
    def revocations_issued_ms(self) -> int:
        """The date of the newest revocation list of a present issuer; 0 when there is none."""
        return max((one.dated_ms for one in self.heard), default=0)

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

    def latest(self, subject: bytes) -> tuple[Certificate, Signed] | None:
        """The newest certificate by a present issuer, and the same as it was signed; also of who was revoked."""
        return (self._members[subject], self._signed[subject]) if subject in self._members else None

    def find(self, subject: bytes) -> Certificate | None:
        """The certificate of a member that was not revoked, or None; its time is not checked."""
        found = self._members.get(subject)
        return None if found is None or self.is_revoked(found) else found

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
        """Whether no issuer said for a day who was removed: then only {read, notify} and `stop` are allowed."""
        return now_ms - self.revocations_issued_ms > ROSTER_STALE_MS


def _newness(certificate: Certificate) -> tuple[int, bytes]:
    return certificate.serial, encode(certificate)


def sign_roster(roster: Roster, key: SigningKey) -> Signed:
    """Signed by the issuer."""
    return sign_struct(roster, ROSTER_DOMAIN, key)


def sign_revocations(revocations: RevocationList, key: SigningKey) -> Signed:
    """Signed by the issuer."""
    return sign_struct(revocations, REVOCATION_DOMAIN, key)


def open_revocations(signed: Signed, issuer_pub: bytes) -> RevocationList:
    """The list; `BadSignature` when that issuer did not sign it, `Malformed` when it is none."""
    return open_signed(signed, RevocationList, REVOCATION_DOMAIN, issuer_pub)


def sign_renewal(renewal: Renewal, key: SigningKey) -> Signed:
    """Signed by the member itself."""
    return sign_struct(renewal, RENEWAL_DOMAIN, key)


def open_renewal(signed: Signed, member_pub: bytes) -> Renewal:
    """The renewal; `BadSignature` when that member did not sign it."""
    return open_signed(signed, Renewal, RENEWAL_DOMAIN, member_pub, limit=CERTIFICATE_MAX)


__all__ = [
    "CapabilityGrant",
    "Certificate",
    "CertificateState",
    "Heard",
    "Kind",
    "Membership",
    "Renewal",
    "RevocationList",
    "Role",
    "Roster",
    "certificate_state",
    "check_certificate",
    "check_validity",
    "granted_effects",
    "open_certificate",
    "open_renewal",
    "open_revocations",
    "sign_certificate",
    "sign_renewal",
    "sign_revocations",
    "sign_roster",
]
