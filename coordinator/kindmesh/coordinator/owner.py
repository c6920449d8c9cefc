"""The owner: making a mesh, and signing for it.

`create_mesh` makes the root key, lets it certify the owner's key and Medulla's two, seals the root into the recovery
kit and forgets it. Everything is built in a folder of its own inside the state folder and moved into place piece by
piece, the identity last: a mesh exists when `identity/membership` does. A crash before that leaves a mark, by which the
next `init` knows what to clear away; without the mark nothing that is there is ever touched. Medulla issues this
device's two certificates (coordinator, node) as it will all others: against grants that the owner signs. The owner's
key is on disk only sealed under the passphrase; `unlock_owner` gives an `Owner` that signs grants, approvals (over
exactly the bytes the prompt showed), removals and policies.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.capabilities.registry import available
from kindmesh.coordinator.brain.medulla.messages import Install, Issue, Issued, SetRecall, Trust, TrustWanted
from kindmesh.coordinator.brain.medulla.service import Service, write_keys
from kindmesh.coordinator.sealed import (
    SealedKey,
    check_passphrase,
    from_paper,
    open_key,
    seal_key,
    sealed_from_bytes,
)
from kindmesh.coordinator.sealed import to_paper as paper_lines
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import private_folder, read_private, sync_folder, write_private
from kindmesh.mesh.home import RECOVERY_KIT, Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import TRUST_FILE, TrustFile
from kindmesh.mesh.trust import Trust as DeviceTrust
from kindmesh.protocol.anchors import AnchorList, next_version, sign_anchors
from kindmesh.protocol.certificate import CapabilityGrant, Certificate, Kind
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput, NotInitialised, StoreDamaged
from kindmesh.protocol.ids import format_id, key_id, new_id
from kindmesh.protocol.limits import NAME_MAX
from kindmesh.protocol.names import check_name
from kindmesh.protocol.people import (
    Delegation,
    PersonTerms,
    check_delegation,
    check_terms,
    sign_delegation,
    sign_terms,
)
from kindmesh.protocol.policy import (
    Approval,
    ApprovalRequest,
    Grant,
    Policy,
    Removal,
    first_policy,
    grants_for,
    in_zone,
    sign_approval,
    sign_grant,
    sign_policy,
    sign_removal,
)
from kindmesh.protocol.readmit import Recall, sign_recall
from kindmesh.protocol.release import Release, sign_release
from kindmesh.protocol.roles import ALL_EFFECTS
from kindmesh.protocol.shown import repr_without
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.standing import StandingApproval, check_standing, sign_standing

ANCHOR_LIFETIME_MS: Final = 20 * 365 * 24 * 3_600_000
"""Certificates by the root, which is on paper, are not renewed as a routine."""
GRANT_TTL_MS: Final = 600_000
OWNER_KEY: Final = "owner.key"
_MARK: Final = ".init-in-progress"
_PIECES: Final = ("medulla", "coordinator", "owner", RECOVERY_KIT, "identity")
"""In the order they are moved into place."""


class CreatedMesh(msgspec.Struct, frozen=True):
    """What `create_mesh` made: ids of 20 bytes, and where the recovery kit is."""

    mesh: bytes
    owner: bytes
    coordinator: bytes
    node: bytes
    recovery_kit: Path


class Owner:
    """The owner's unlocked key. Keep it no longer than it takes to sign."""

    def __init__(self, mesh: bytes, key: SigningKey, *, clock: Clock, entropy: Entropy) -> None:
        self.mesh = mesh
        self.subject = key_id(key.public)
        self._key = key
        self._clock = clock
        self._entropy = entropy

    def sign_grant(
        self,
        *,
        name: str,
        ed_pub: bytes,
        curve_pub: bytes = b"",
        kind: Kind = "device",
        roles: tuple[str, ...] = ("node",),
        capabilities: tuple[CapabilityGrant, ...] = (),
    ) -> Signed:
        """A grant: this key may be certified, once, within 10 minutes, as exactly this."""
        now_ms = self._clock.now_ms()
        grant = Grant(
            mesh=self.mesh,
            grant_id=new_id(now_ms, self._entropy.token(10)),
            kind=kind,
            name=name,
            ed_pub=ed_pub,
            curve_pub=curve_pub,
            roles=roles,
            capabilities=capabilities,
            issued_ms=now_ms,
            expires_ms=now_ms + GRANT_TTL_MS,
        )
        return sign_grant(grant, self._key)

    def sign_approval(self, request: bytes, *, allow: bool) -> Signed:
        """The answer to a question: over exactly the bytes of the `ApprovalRequest` that were shown.

        Raises:
            Malformed: the bytes are no question.
            InvalidInput: a question of another mesh.
        """
        if decode(ApprovalRequest, request).mesh != self.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        answer = Approval(request, "allow" if allow else "deny", self._clock.now_ms())
        return sign_approval(answer, self._key)

    def sign_standing(self, standing: StandingApproval) -> Signed:
        """A yes that lasts, as it was shown.

        Raises:
            Malformed: its question is none. InvalidInput: of another mesh, or it means nothing.
        """
        if standing.mesh != self.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        check_standing(standing)
        return sign_standing(standing, self._key)

    def sign_removal(self, subject: bytes) -> Signed:
        """The removal of the member with that 20-byte id."""
        return sign_removal(Removal(self.mesh, subject, self._clock.now_ms()), self._key)

    def sign_recall(self, anchors_version: int, for_ms: int) -> Signed:
        """Members of before may be certified anew for `for_ms` from now, under that version of the anchors."""
        now_ms = self._clock.now_ms()
        return sign_recall(Recall(self.mesh, anchors_version, now_ms, now_ms + for_ms), self._key)

    def sign_terms(
        self,
        *,
        name: str,
        role: str,
        person: bytes = b"",
        operations: tuple[str, ...] = ("*",),
        effects: int = ALL_EFFECTS,
        lasts_ms: int = 0,
        until_ms: int = 0,
        invite_ms: int = 0,
    ) -> tuple[Signed, PersonTerms, bytes]:
        """What a person may be from now on, for `lasts_ms` or until `until_ms` (both 0: without an end). `person`
        empty: a new one. With `invite_ms` it is an invitation for that long: the last value is its private seed.

        Raises:
            InvalidInput: a name, role or time that cannot be.
        """
        now_ms = self._clock.now_ms()
        seed = self._entropy.token(32) if invite_ms else b""
        terms = PersonTerms(
            mesh=self.mesh,
            person=person or self._entropy.token(20),
            name=check_name(name),
            role=role,
            issued_ms=now_ms,
            until_ms=now_ms + lasts_ms if lasts_ms else until_ms,
            operations=operations,
            effects=effects,
            invite_id=new_id(now_ms, self._entropy.token(10)) if invite_ms else b"",
            invite_pub=SigningKey(seed).public if invite_ms else b"",
            invite_expires_ms=now_ms + invite_ms if invite_ms else 0,
        )
        check_terms(terms)
        return sign_terms(terms, self._key), terms, seed

    def sign_delegation(self, delegation: Delegation) -> Signed:
        """What a limb may do for somebody, or anything for the owner.

        Raises:
            InvalidInput: it cannot be.
        """
        check_delegation(delegation)
        return sign_delegation(delegation, self._key)

    def sign_release(self, subject: bytes) -> Signed:
        """The word that the member with that 20-byte id, of which two starts were alive, is one device."""
        return sign_release(Release(self.mesh, subject, self._clock.now_ms()), self._key)

    def sign_policy(self, policy: Policy) -> Signed:
        """A policy.

        Raises:
            InvalidInput: for another mesh.
        """
        if policy.mesh != self.mesh:
            raise InvalidInput("this policy is for another mesh", field="mesh")
        return sign_policy(policy, self._key)


def coordinator_identity(home: Home) -> Path:
    """The coordinator's identity folder (keys, certificate, what it knows of the mesh)."""
    return home.coordinator / "identity"


def is_coordinator_home(home: Home) -> bool:
    """Whether a mesh was made here (and not only joined)."""
    return (home.identity / TRUST_FILE).exists() and (home.medulla / "keys" / "bundle").exists()


def unlock_owner(
    home: Home, passphrase: str, *, clock: Clock | None = None, entropy: Entropy | None = None
) -> Owner:
    """The owner's key, for signing.

    Raises:
        NotInitialised: no owner's key here.
        WrongPassphrase: not this one.
        InsecurePermissions, StoreError, Malformed: the file.
    """
    path = home.owner / OWNER_KEY
    if not path.exists():
        raise NotInitialised(
            "the owner's key is not on this device", hint="Do this on the device where the mesh was made."
        )
    sealed = sealed_from_bytes(read_private(path, limit=1024))
    if sealed.purpose != "owner":
        raise StoreDamaged(f"{path} is not the owner's key")
    key = open_key(sealed, passphrase)
    return Owner(sealed.mesh, key, clock=clock or SystemClock(), entropy=entropy or SystemEntropy())


def open_recovery_kit(text: str, passphrase: str) -> tuple[SigningKey, SealedKey]:
    """The mesh root, from the printed sheet's text (or its QR code's) and the passphrase; and what was on the sheet.

    Raises:
        InvalidInput: a line is missing or mistyped (named), or this is no kit.
        WrongPassphrase: not this one.
        StoreDamaged, Busy: as `open_key`.
    """
    sealed = from_paper(text)
    if sealed.purpose != "root":
        raise InvalidInput("this is not a recovery kit", field="recovery kit")
    root = open_key(sealed, passphrase)
    if key_id(root.public) != sealed.mesh:
        raise InvalidInput("this kit does not belong to the mesh that it names", field="recovery kit")
    return root, sealed


def create_mesh(
    home: Home,
    passphrase: str,
    name: str,
    *,
    owner_name: str = "owner",
    capabilities: tuple[CapabilityGrant, ...] | None = None,
    zone: str = "",
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> CreatedMesh:
    """Make a mesh whose first device is this one, called `name`.

    Its node is granted `capabilities`; without them what is known on this device now, and nothing that comes later.
    `zone` goes into the policy: where quiet hours are meant.

    Raises:
        AlreadyInitialised: there is a mesh here.
        InvalidInput: passphrase too short, or a name that cannot be.
        DiskFull, StoreError: nothing was made.
    """
    entropy = entropy or SystemEntropy()
    if capabilities is None:
        capabilities = grants_for(found.manifest for found in available())
    wish = Wish(home, passphrase, name.strip(), owner_name.strip(), capabilities, zone=zone)
    return make_coordinator(wish, SigningKey(entropy.token(32)), clock=clock, entropy=entropy)


class Wish(msgspec.Struct, frozen=True):
    """What a coordinator is made of. `after` is the newest version of anchors (and of the policy) that is known to have
    been signed before; `recall_ms` is how long members of before are let in again without a question (0: not)."""

    home: Home
    passphrase: str
    name: str
    owner_name: str
    capabilities: tuple[CapabilityGrant, ...]
    after: int = 0
    recall_ms: int = 0
    returning: bool = False
    zone: str = ""

    def __repr__(self) -> str:
        return repr_without(self, "passphrase")


def make_coordinator(
    wish: Wish, root: SigningKey, *, clock: Clock | None = None, entropy: Entropy | None = None
) -> CreatedMesh:
    """Make a coordinator for the mesh of `root` in the state folder: all of it, or nothing.

    Raises:
        AlreadyInitialised: there is a mesh here.
        InvalidInput: passphrase too short, or a name that cannot be.
        DiskFull, StoreError: nothing was made.
    """
    check_passphrase(wish.passphrase)
    for value in (wish.name, wish.owner_name):
        if not 0 < len(value.strip()) <= NAME_MAX - len(" (coordinator)") or not value.isprintable():
            raise InvalidInput("a name has 1 to 50 printable characters", field="name")
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    home = wish.home
    private_folder(home.root)
    _clear_unfinished(home.root)
    if any((home.root / piece).exists() for piece in _PIECES if piece != "identity") or _joined(home):
        raise AlreadyInitialised(f"{home.root} belongs to a mesh already")
    staging = home.root / f".init-{entropy.token(6).hex()}"
    try:
        made = _build(Home(staging), wish, root, clock, entropy)
        _publish(staging, home.root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    home.create()
    return made


def _joined(home: Home) -> bool:
    return (home.identity / TRUST_FILE).exists()


def _build(staging: Home, wish: Wish, root: SigningKey, clock: Clock, entropy: Entropy) -> CreatedMesh:
    now_ms = clock.now_ms()
    owner_key = SigningKey(entropy.token(32))
    issuer, permit = SigningKey(entropy.token(32)), SigningKey(entropy.token(32))
    mesh = key_id(root.public)
    anchors = (
        anchor(mesh, owner_key, "person", wish.owner_name, now_ms),
        anchor(mesh, issuer, "issuer", "issuer", now_ms),
        anchor(mesh, permit, "medulla", "medulla", now_ms),
    )
    version = next_version(wish.after, now_ms)
    bundle = sign_anchors(AnchorList(mesh, version, now_ms, anchors), root)
    private_folder(staging.root)
    for folder in (staging.owner, staging.medulla, staging.medulla / "run", staging.coordinator):
        private_folder(folder)
    write_private(
        staging.owner / OWNER_KEY, encode(seal_key(owner_key, "owner", mesh, wish.passphrase, entropy))
    )
    sealed_root = seal_key(root, "root", mesh, wish.passphrase, entropy, after=version)
    write_private(staging.recovery_kit, kit_sheet(sealed_root, wish.owner_name, now_ms).encode())
    write_keys(staging.medulla, bundle, issuer, permit)

    _keep_keys(wish.home.identity, staging.identity)
    node = Identity.create(staging.identity, entropy)
    coordinator = Identity.create(coordinator_identity(staging), entropy)
    owner = Owner(mesh, owner_key, clock=clock, entropy=entropy)
    service = Service(staging.medulla, "none", clock=clock, entropy=entropy)
    try:
        policy = in_zone(first_policy(mesh, now_ms), wish.zone)
        if wish.returning:
            # Above all that was signed before; what an owner of before forbade binds until the owner signs anew.
            policy = msgspec.structs.replace(policy, version=next_version(wish.after, now_ms))
        service.ask(Install(owner.sign_policy(policy)))
        if wish.recall_ms:
            service.ask(SetRecall(owner.sign_recall(version, wish.recall_ms)))
        for_coordinator = owner.sign_grant(
            name=f"{wish.name} (coordinator)",
            ed_pub=coordinator.signing.public,
            curve_pub=coordinator.curve.public,
            roles=("coordinator",),
        )
        for_node = owner.sign_grant(
            name=wish.name,
            ed_pub=node.signing.public,
            curve_pub=node.curve.public,
            capabilities=wish.capabilities,
        )
        coordinator_issued: Issued = service.ask(Issue(for_coordinator))
        node_issued: Issued = service.ask(Issue(for_node))
        trust: Trust = service.ask(TrustWanted())
    finally:
        service.close()
    if wish.returning:
        write_private(staging.returning, b"")
    for folder, issued in (
        (coordinator_identity(staging), coordinator_issued),
        (staging.identity, node_issued),
    ):
        content = TrustFile(
            schema=1,
            mesh=mesh,
            bundle=bundle,
            certificate=issued.certificate,
            coordinator=coordinator_issued.certificate,
            rosters=(trust.roster,),
            revocations=(trust.revocations,),
            policy=trust.policy,
        )
        DeviceTrust.create(folder, content)
    return CreatedMesh(mesh, owner.subject, coordinator.device_id, node.device_id, wish.home.recovery_kit)


def anchor(mesh: bytes, key: SigningKey, kind: Kind, name: str, now_ms: int) -> Certificate:
    """What the mesh root lists for somebody who decides: a person (the owner), an issuer or a medulla."""
    return Certificate(
        mesh=mesh,
        subject=key_id(key.public),
        kind=kind,
        name=name,
        ed_pub=key.public,
        curve_pub=b"",
        roles=("owner",) if kind == "person" else (),
        capabilities=(),
        not_before_ms=now_ms,
        expires_ms=now_ms + ANCHOR_LIFETIME_MS,
        serial=0,
    )


def _keep_keys(identity: Path, staged: Path) -> None:
    """A device that has keys but no mesh yet keeps its keys."""
    if identity.is_dir():
        private_folder(staged)
        for path in identity.iterdir():
            write_private(staged / path.name, read_private(path))


def _publish(staging: Path, root: Path) -> None:
    write_private(root / _MARK, b"")
    for piece in _PIECES:
        target = root / piece
        if target.is_dir():
            os.rename(target, staging / f"old-{piece}")
        os.rename(staging / piece, target)
        sync_folder(root)
    (root / _MARK).unlink()
    sync_folder(root)


def _clear_unfinished(root: Path) -> None:
    """Remove what an `init` that was interrupted left behind; a finished one is only freed of its mark."""
    for leftover in root.glob(".init-[0-9a-f]*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
    mark = root / _MARK
    if not mark.exists():
        return
    if not (root / "identity" / TRUST_FILE).exists():
        for piece in _PIECES[:-1]:
            path = root / piece
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    mark.unlink()
    sync_folder(root)


def kit_sheet(sealed: SealedKey, owner_name: str, now_ms: int) -> str:
    """The sheet to print, for the sealed root."""
    day = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).date().isoformat()
    return "\n".join(
        [
            "KINDMESH RECOVERY KIT",
            "",
            f"mesh   {format_id(sealed.mesh)}",
            f"owner  {owner_name}",
            f"made   {day}",
            "",
            "Print this sheet, put it away safely, then delete the file. Together with your passphrase it",
            "makes a new coordinator for your mesh (kindmesh recover), and all devices come back to it.",
            "Without the passphrase it is of no use to anybody. The QR code beside it holds the same.",
            "Try it: kindmesh recover --check. Each line ends with two check characters.",
            "",
            *paper_lines(sealed),
            "",
        ]
    )


__all__ = [
    "OWNER_KEY",
    "CreatedMesh",
    "Owner",
    "Wish",
    "anchor",
    "coordinator_identity",
    "create_mesh",
    "is_coordinator_home",
    "kit_sheet",
    "make_coordinator",
    "open_recovery_kit",
    "unlock_owner",
]
