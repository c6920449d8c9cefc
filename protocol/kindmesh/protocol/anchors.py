"""Who decides in a mesh: the one list that its root signs, and the keys in it.

    mesh root (sealed into the recovery kit, not on any disk)
      `-- AnchorList, version n
            |-- owners (persons)        sign grants, approvals, removals, policies
            |-- issuers (Medulla)       sign certificates, rosters, revocation lists
            `-- permit keys (Medulla)   sign permits

The list is signed as a whole and replaced as a whole: whoever is not in the newest one has no say any more. Versions
only rise: the next is `max(last + 1, now_ms)`, so that a list made from the recovery kit alone is the newest.
There is one key of each kind at first, more with a second coordinator. Whoever checks a signature takes the key by the
signature's author. `MeshBundle` is how a device keeps it, with the root's public key, whose hash is the mesh's id.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import Count, Key, KeyId, TimeMs
from kindmesh.protocol.certificate import Certificate, Kind, check_certificate
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import BadSignature, CertificateRefused
from kindmesh.protocol.ids import key_id, short_id
from kindmesh.protocol.limits import ANCHORS_MAX, BUNDLE_MAX
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

ANCHORS_DOMAIN: Final = b"kindmesh-anchors-v1\0"
ANCHOR_KINDS: Final[tuple[Kind, ...]] = ("person", "issuer", "medulla")


Papers = Annotated[tuple[Signed, ...], Meta(max_length=ANCHORS_MAX)]
"""One signed statement of each issuer, at most."""


class AnchorList(msgspec.Struct, array_like=True, frozen=True):
    """All who decide from `version` on: certificates of kind person (with the role owner), issuer and medulla."""

    mesh: KeyId
    version: Count
    issued_ms: TimeMs
    anchors: Annotated[tuple[Certificate, ...], Meta(max_length=ANCHORS_MAX)]


class MeshBundle(msgspec.Struct, array_like=True, frozen=True):
    """The trust anchor of a mesh, as a device stores it; see the module."""

    root_pub: Key
    anchors: Signed

    @property
    def mesh(self) -> bytes:
        """The mesh id, 20 bytes."""
        return key_id(self.root_pub)


class Anchors(msgspec.Struct, frozen=True):
    """The bundle, opened: keys that decide, looked up by the 20-byte id of a signature's author."""

    mesh: bytes
    version: int
    issued_ms: int
    certificates: tuple[Certificate, ...]
    digest: bytes

    @property
    def rank(self) -> tuple[int, bytes]:
        """What makes one list newer than another: the version, and for two of the same version their bytes."""
        return self.version, self.digest

    @property
    def subjects(self) -> frozenset[bytes]:
        """The ids of all who decide."""
        return frozenset(anchor.subject for anchor in self.certificates)

    def of_kind(self, kind: Kind) -> tuple[Certificate, ...]:
        """The anchors of one kind, in the list's order."""
        return tuple(anchor for anchor in self.certificates if anchor.kind == kind)

    def find(self, author: bytes, kind: Kind) -> Certificate | None:
        """That anchor, or None when it has no such say in this mesh."""
        for anchor in self.certificates:
            if anchor.subject == author and anchor.kind == kind:
                return anchor
        return None

    def owner_pub(self, author: bytes) -> bytes:
        """The public key of the owner who signed.

        Raises:
            CertificateRefused: no owner of this mesh (any more).
        """
        return self._public(author, "person", "an owner")

    def issuer_pub(self, author: bytes) -> bytes:
        """The public key of the issuer that signed.

        Raises:
            CertificateRefused: no issuer of this mesh (any more).
        """
        return self._public(author, "issuer", "an issuer")

    def permit_pub(self, author: bytes) -> bytes:
        """The public key of the Medulla that signed a permit.

        Raises:
            CertificateRefused: no Medulla of this mesh (any more).
        """
        return self._public(author, "medulla", "a Medulla")

    def _public(self, author: bytes, kind: Kind, called: str) -> bytes:
        found = self.find(author, kind)
        if found is None:
            raise CertificateRefused(f"{short_id(author)} is not {called} of this mesh, or not any more")
        return found.ed_pub


def sign_anchors(anchors: AnchorList, root: SigningKey) -> MeshBundle:
    """Signed by the mesh root."""
    return MeshBundle(root.public, sign_struct(anchors, ANCHORS_DOMAIN, root))


def open_bundle(bundle: MeshBundle, mesh: bytes) -> Anchors:
    """Check a bundle against a mesh id that is already trusted (from the QR, or from this device's disk).

    Raises:
        CertificateRefused: the root is another one, a certificate is not for its purpose, or a kind is missing.
        Malformed: no list of anchors.
    """
    if bundle.mesh != mesh:
        raise CertificateRefused("the mesh root is not the one this device was paired with")
    try:
        listed = open_signed(bundle.anchors, AnchorList, ANCHORS_DOMAIN, bundle.root_pub, limit=BUNDLE_MAX)
    except BadSignature as error:
        raise CertificateRefused("the list of who decides was not signed by this mesh's root") from error
    if listed.mesh != mesh:
        raise CertificateRefused("the list of who decides belongs to another mesh")
    for anchor in listed.anchors:
        check_certificate(anchor, mesh)
        if anchor.kind not in ANCHOR_KINDS or (anchor.kind == "person" and "owner" not in anchor.roles):
            raise CertificateRefused("a certificate of the mesh root serves another purpose")
    opened = Anchors(mesh, listed.version, listed.issued_ms, listed.anchors, sha256(bundle.anchors.payload))
    if len(opened.subjects) != len(opened.certificates):
        raise CertificateRefused("the mesh root lists a key twice")
    if {anchor.kind for anchor in opened.certificates} != set(ANCHOR_KINDS):
        raise CertificateRefused("the mesh root must list an owner, an issuer and a Medulla")
    return opened


def next_version(last: int, now_ms: int) -> int:
    """The version of the next list of anchors (or policy) when the newest known one is `last`, at `now_ms`."""
    return max(last + 1, now_ms)


__all__ = [
    "ANCHOR_KINDS",
    "AnchorList",
    "Anchors",
    "MeshBundle",
    "Papers",
    "next_version",
    "open_bundle",
    "sign_anchors",
]
