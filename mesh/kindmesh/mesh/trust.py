"""What a device keeps of the mesh's trust, on disk: one file, replaced as a whole.

`membership` in the identity folder holds the pinned bundle, this member's own certificate, the coordinator's, the
latest roster, revocation list and policy, and where the coordinator was last reached. Everything in it is signed; it
is checked again at every start, so a changed file is noticed. Versions never fall: an older roster, revocation list
or policy is ignored. `floor_ms` is the highest time seen under a signature of the mesh; clocks never read below it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kindmesh.mesh.files import read_private, write_private
from kindmesh.protocol.certificate import Certificate, Membership, MeshBundle, open_bundle
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import (
    AuthenticationError,
    CertificateRefused,
    Malformed,
    NotInitialised,
    StoreDamaged,
    StoreTooNew,
)
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.messages import TrustUpdate
from kindmesh.protocol.policy import Policy, open_policy
from kindmesh.protocol.signed import Signed

TRUST_FILE = "membership"


class TrustFile(msgspec.Struct, array_like=True, frozen=True):
    """The file's content; `schema` is its version. `addresses` are `host:port` of the coordinator's mesh socket."""

    schema: int
    mesh: bytes
    bundle: MeshBundle
    certificate: Signed
    coordinator: Signed
    roster: Signed
    revocations: Signed
    policy: Signed
    addresses: tuple[str, ...] = ()
    floor_ms: int = 0


class Trust:
    """The opened file. `certificate` is this member's own; `coordinator` whom it dials."""

    def __init__(self, path: Path | None, content: TrustFile) -> None:
        """Check `content` and take it over; with a path of None nothing is written (tests, simulator).

        Raises:
            CertificateRefused, BadSignature, Malformed: the content does not hang together.
        """
        self._path = path
        self._content = content
        self._unsaved = False
        anchors = open_bundle(content.bundle, content.mesh)
        self.membership = Membership(anchors)
        self.membership.merge_revocations(content.revocations)
        self.membership.merge_roster(content.roster)
        self.certificate = self.membership.add(content.certificate)
        self.coordinator = self.membership.add(content.coordinator)
        self.policy: Policy = open_policy(content.policy, anchors.owner.ed_pub)
        if "coordinator" not in self.coordinator.roles:
            raise CertificateRefused("the coordinator's certificate is not for a coordinator")

    @classmethod
    def load(cls, folder: Path) -> Trust:
        """From an identity folder.

        Raises:
            NotInitialised: no mesh was joined.
            StoreDamaged: the file does not hang together. StoreTooNew: another version wrote it.
        """
        path = folder / TRUST_FILE
        if not path.exists():
            raise NotInitialised()
        try:
            content = decode(TrustFile, read_private(path, limit=4 * ROSTER_MAX), limit=4 * ROSTER_MAX)
            if content.schema != 1:
                hint = "Install the version of Kindmesh that it was used with."
                raise StoreTooNew(f"{path} was written by another version of Kindmesh", hint=hint)
            return cls(path, content)
        except (Malformed, AuthenticationError) as error:
            raise StoreDamaged(
                f"{path} is damaged", hint="Restore a backup, or pair the device again."
            ) from error

    @classmethod
    def create(cls, folder: Path, content: TrustFile) -> Trust:
        """Check `content`, then write it.

        Raises:
            CertificateRefused, BadSignature, Malformed, DiskFull, StoreError.
        """
        trust = cls(folder / TRUST_FILE, content)
        trust._save()
        return trust

    @property
    def mesh(self) -> bytes:
        """The mesh id, 20 bytes."""
        return self._content.mesh

    @property
    def bundle(self) -> MeshBundle:
        """The pinned trust anchor."""
        return self._content.bundle

    @property
    def signed_certificate(self) -> Signed:
        """This member's own certificate, as it is shown to others."""
        return self._content.certificate

    @property
    def signed_coordinator(self) -> Signed:
        """The coordinator's certificate."""
        return self._content.coordinator

    @property
    def signed_roster(self) -> Signed:
        """The latest roster."""
        return self._content.roster

    @property
    def signed_revocations(self) -> Signed:
        """The latest revocation list."""
        return self._content.revocations

    @property
    def signed_policy(self) -> Signed:
        """The latest policy."""
        return self._content.policy

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the coordinator was last known to listen, `host:port`."""
        return self._content.addresses

    @property
    def floor_ms(self) -> int:
        """The highest time seen under a signature."""
        return self._content.floor_ms

    def merge(self, update: TrustUpdate) -> bool:
        """Take over what is newer; True (and on disk) when something changed.

        Raises:
            BadSignature, CertificateRefused, Malformed: that part and those after it were not taken over.
            DiskFull, StoreError: taken over in memory, not on disk; it is tried again with the next call.
        """
        before = self._content
        try:
            self._merge(update)
        finally:
            # Also when a later part was bad: what was taken over, such as a revocation, has to survive a restart.
            if self._content is not before or self._unsaved:
                self._save()
        return self._content is not before

    def _merge(self, update: TrustUpdate) -> None:
        if update.revocations is not None and self.membership.merge_revocations(update.revocations):
            self._content = msgspec.structs.replace(self._content, revocations=update.revocations)
        if update.roster is not None and self.membership.merge_roster(update.roster):
            self._content = msgspec.structs.replace(self._content, roster=update.roster)
        if update.policy is not None:
            policy = open_policy(update.policy, self.membership.anchors.owner.ed_pub)
            if policy.mesh == self.mesh and policy.version > self.policy.version:
                self.policy = policy
                self._content = msgspec.structs.replace(self._content, policy=update.policy)
        if update.certificate is not None:
            self._merge_certificate(update.certificate)

    def _merge_certificate(self, signed: Signed) -> None:
        certificate: Certificate = self.membership.add(signed)
        if certificate.subject == self.certificate.subject and certificate.serial > self.certificate.serial:
            self.certificate = certificate
            self._content = msgspec.structs.replace(self._content, certificate=signed)

    def remember(self, *, addresses: tuple[str, ...] | None = None, floor_ms: int | None = None) -> None:
        """Keep where the coordinator listens, or a new time floor; written only when it changed."""
        content = self._content
        if addresses is not None and addresses != content.addresses:
            content = msgspec.structs.replace(content, addresses=addresses)
        if floor_ms is not None and floor_ms > content.floor_ms:
            content = msgspec.structs.replace(content, floor_ms=floor_ms)
        if content is not self._content or self._unsaved:
            self._content = content
            self._save()

    def _save(self) -> None:
        self._unsaved = True
        if self._path is not None:
            write_private(self._path, encode(self._content))
        self._unsaved = False


__all__ = ["TRUST_FILE", "Trust", "TrustFile"]
