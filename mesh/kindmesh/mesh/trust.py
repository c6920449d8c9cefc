"""What a device keeps of the mesh's trust, on disk: one file, replaced as a whole.

`membership` in the identity folder holds the pinned bundle, this member's own certificate, the coordinator's, each
issuer's latest roster and revocation list, the latest policy, and where the coordinator was last reached. Everything in
it is signed; it is checked again at every start, so a changed file is noticed. Versions never fall: an older roster,
revocation list, policy or bundle is ignored. Older bundles are kept for as long as something signed by those whom they
named still counts here: a removal, or this device's own certificate until it has a new one. `floor_ms` is the highest
time seen under a signature of the mesh; clocks never read below it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kindmesh.mesh.files import read_private, write_private
from kindmesh.protocol.anchors import MeshBundle, open_bundle
from kindmesh.protocol.certificate import Certificate, Membership, open_certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.enrol import EnrolGranted
from kindmesh.protocol.errors import (
    AuthenticationError,
    CertificateRefused,
    Malformed,
    NotInitialised,
    StoreDamaged,
    StoreTooNew,
)
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.messages import TrustKnown, TrustUpdate
from kindmesh.protocol.policy import Policy, open_policy
from kindmesh.protocol.readmit import BUNDLES_MAX, Credentials
from kindmesh.protocol.signed import Signed

TRUST_FILE = "membership"


class TrustFile(msgspec.Struct, array_like=True, frozen=True):
    """The file's content; `schema` is its version. `addresses` are `host:port` of the coordinator's mesh socket."""

    schema: int
    mesh: bytes
    bundle: MeshBundle
    certificate: Signed
    coordinator: Signed
    rosters: tuple[Signed, ...]
    revocations: tuple[Signed, ...]
    policy: Signed
    addresses: tuple[str, ...] = ()
    floor_ms: int = 0
    former: tuple[MeshBundle, ...] = ()


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
        for former in content.former:
            self.membership.adopt(open_bundle(former, content.mesh))
        for revocations in content.revocations:
            self.membership.merge_revocations(revocations)
        for roster in content.rosters:
            self.membership.merge_roster(roster)
        self.certificate = self._admit(content.certificate)
        self.coordinator = self._admit(content.coordinator)
        self._take_newest()
        owner_pub = self.membership.ever_pub(content.policy.author, "person")
        self.policy: Policy = open_policy(content.policy, owner_pub)
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
    def bundles(self) -> tuple[MeshBundle, ...]:
        """The list of who decides, and the older ones that are still needed."""
        return (self._content.bundle, *self._content.former)

    @property
    def signed_certificate(self) -> Signed:
        """This member's own certificate, as it is shown to others."""
        return self._content.certificate

    @property
    def saved(self) -> bool:
        """Whether everything that was taken over is on the disk."""
        return not self._unsaved

    @property
    def signed_coordinator(self) -> Signed:
        """The coordinator's certificate."""
        return self._content.coordinator

    @property
    def is_retired(self) -> bool:
        """Whether whoever certified this member has no say any more: it has to be certified anew."""
        return self.membership.anchors.find(self._content.certificate.author, "issuer") is None

    @property
    def rosters(self) -> tuple[Signed, ...]:
        """The latest roster of each issuer."""
        return self.membership.rosters

    @property
    def revocations(self) -> tuple[Signed, ...]:
        """The latest revocation lists."""
        return self.membership.revocations

    @property
    def known(self) -> TrustKnown:
        """What is known here, in numbers."""
        membership = self.membership
        return TrustKnown(membership.anchors.version, self.policy.version, membership.heard)

    def lacking(self, known: TrustKnown) -> list[TrustUpdate]:
        """What is newer here than what another device knows: nothing, or updates that fit into a message each."""
        theirs = {one.issuer: one for one in known.issuers}
        membership = self.membership
        bundle = self.bundle if known.anchors < membership.anchors.version else None
        policy = self.signed_policy if known.policy < self.policy.version else None
        updates = [TrustUpdate(policy=policy, bundle=bundle)] if policy or bundle else []
        rosters = {signed.author: signed for signed in membership.rosters}
        lists = {signed.author: signed for signed in membership.revocations}
        for ours in membership.heard:
            other = theirs.get(ours.issuer)
            behind = other is None or (other.revocations, other.dated_ms) < (ours.revocations, ours.dated_ms)
            older = other is None or other.roster < ours.roster
            roster = (rosters[ours.issuer],) if older and ours.issuer in rosters else ()
            listed = (lists[ours.issuer],) if behind and ours.issuer in lists else ()
            # A list of removals never waits for a large roster.
            if listed:
                updates.append(TrustUpdate(revocations=listed))
            if roster:
                updates.append(TrustUpdate(rosters=roster))
        return _packed(updates)

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
        """The highest time seen under a signature, or kept since."""
        signed = (
            self.membership.revocations_issued_ms,
            self.policy.issued_ms,
            self.certificate.not_before_ms,
        )
        return max(self._content.floor_ms, *signed)

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
            self._save_changed(before)
        return self._content is not before

    def readmit(self, papers: EnrolGranted) -> None:
        """Take over what a new coordinator gave this member of before, after `check_readmitted`; one write.

        Raises:
            BadSignature, CertificateRefused, Malformed, DiskFull, StoreError: as `merge`.
        """
        before = self._content
        update = TrustUpdate(
            papers.rosters, papers.revocations, papers.policy, papers.certificate, papers.bundle
        )
        try:
            self._merge(update)
            self._follow(papers.coordinator)
            self._content = msgspec.structs.replace(self._content, addresses=papers.addresses)
        finally:
            self._save_changed(before)

    def follow(self, signed: Signed) -> None:
        """From now on, dial the coordinator with this certificate.

        Raises:
            CertificateRefused: no coordinator of this mesh. DiskFull, StoreError.
        """
        before = self._content
        self._follow(signed)
        self._save_changed(before)

    def _follow(self, signed: Signed) -> None:
        certificate = self.membership.add(signed)
        if "coordinator" not in certificate.roles:
            raise CertificateRefused("the certificate is not a coordinator's")
        self.coordinator = certificate
        self._content = msgspec.structs.replace(self._content, coordinator=signed)

    @property
    def credentials(self) -> Credentials:
        """What this member can show of before, to a coordinator that was made anew."""
        content = self._content
        return Credentials(
            bundles=(content.bundle, *content.former)[:BUNDLES_MAX],
            certificate=content.certificate,
            rosters=content.rosters,
            revocations=content.revocations,
            policy=content.policy,
        )

    @property
    def is_removed(self) -> bool:
        """Whether this member itself was removed from the mesh, as far as it knows."""
        return self.membership.is_revoked(self.certificate)

    def _save_changed(self, before: TrustFile) -> None:
        """Also when a later part was bad: what was taken over, such as a revocation, has to survive a restart."""
        content = self._content
        if content is before and not self._unsaved:
            return
        present = self.membership.anchors.subjects
        signed = (content.certificate, content.coordinator, content.policy, *content.revocations)
        authors = {one.author for one in signed} - present
        former = tuple(old for old in content.former if authors & open_bundle(old, self.mesh).subjects)
        if former != content.former:
            self._content = msgspec.structs.replace(content, former=former)
        self._save()

    def _merge(self, update: TrustUpdate) -> None:
        membership = self.membership
        if update.bundle is not None:
            self._adopt(update.bundle)
        for signed in update.revocations:
            if membership.merge_revocations(signed):
                self._content = msgspec.structs.replace(self._content, revocations=membership.revocations)
        for signed in update.rosters:
            if membership.merge_roster(signed):
                self._content = msgspec.structs.replace(self._content, rosters=membership.rosters)
        if update.policy is not None:
            self._merge_policy(update.policy)
        if update.certificate is not None:
            self.membership.add(update.certificate)
        self._take_newest()

    def _adopt(self, bundle: MeshBundle) -> None:
        membership, before = self.membership, self._content
        if not membership.adopt(open_bundle(bundle, self.mesh)):
            return
        self._content = msgspec.structs.replace(
            before,
            bundle=bundle,
            former=(before.bundle, *before.former),
            rosters=membership.rosters,
            revocations=membership.revocations,
        )

    def _merge_policy(self, signed: Signed) -> None:
        """A policy of an owner who was replaced does not count any more."""
        policy = open_policy(signed, self.membership.ever_pub(signed.author, "person"))
        present = self.membership.anchors.find(signed.author, "person") is not None
        if present and policy.mesh == self.mesh and policy.version > self.policy.version:
            self.policy = policy
            self._content = msgspec.structs.replace(self._content, policy=signed)

    def _take_newest(self) -> None:
        """This member's own certificate and the coordinator's are the newest known, wherever they came from."""
        own = self.membership.latest(self.certificate.subject)
        if own is not None and own[1] != self._content.certificate:
            self.certificate = own[0]
            self._content = msgspec.structs.replace(self._content, certificate=own[1])
        coordinator = self.membership.latest(self.coordinator.subject)
        if coordinator is not None and coordinator[1] != self._content.coordinator:
            self.coordinator = coordinator[0]
            self._content = msgspec.structs.replace(self._content, coordinator=coordinator[1])

    def _admit(self, signed: Signed) -> Certificate:
        """A certificate of our own file: by an issuer of now, or of when this device was certified."""
        if self.membership.anchors.find(signed.author, "issuer") is not None:
            return self.membership.add(signed)
        return open_certificate(signed, self.membership.ever_pub(signed.author, "issuer"), self.mesh)

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


def _packed(updates: list[TrustUpdate]) -> list[TrustUpdate]:
    """The same in as few updates as fit into a message each; the order stays."""
    packed: list[TrustUpdate] = []
    room = 0
    for update in updates:
        size = len(encode(update))
        if packed and size <= room:
            last = packed[-1]
            packed[-1] = msgspec.structs.replace(
                last,
                rosters=last.rosters + update.rosters,
                revocations=last.revocations + update.revocations,
            )
            room -= size
        else:
            packed.append(update)
            room = ROSTER_MAX - size
    return packed


__all__ = ["TRUST_FILE", "Trust", "TrustFile"]
