"""Making a mesh: the root key, who decides, and the first device.

`create_mesh` makes the root key, lets it certify the owner's key and Medulla's two, seals the root into the recovery
kit and forgets it; `make_coordinator` does the same with a root that there is already (see `recovery.py`). Everything
is built in a folder of its own inside the state folder and moved into place piece by piece, the identity last: a mesh
exists when `identity/membership` does. A crash before that leaves a mark, by which the next `init` knows what to clear
away; without the mark nothing that is there is ever touched. Medulla issues this device's two certificates
(coordinator, node) as it will all others: against grants that the owner signs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.capabilities.registry import available
from kindmesh.coordinator.brain.medulla.messages import Install, Issue, Issued, SetRecall, Trust, TrustWanted
from kindmesh.coordinator.brain.medulla.service import Service, write_keys
from kindmesh.coordinator.owner import OWNER_KEY, Owner, coordinator_identity
from kindmesh.coordinator.sealed import check_passphrase, kit_sheet, seal_key
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import private_folder, read_private, sync_folder, write_private
from kindmesh.mesh.home import RECOVERY_KIT, Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import TRUST_FILE, TrustFile
from kindmesh.mesh.trust import Trust as DeviceTrust
from kindmesh.protocol.anchors import AnchorList, next_version, sign_anchors
from kindmesh.protocol.certificate import CapabilityGrant, Certificate, Kind
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.limits import NAME_MAX
from kindmesh.protocol.policy import first_policy, grants_for, in_zone
from kindmesh.protocol.shown import repr_without

ANCHOR_LIFETIME_MS: Final = 20 * 365 * 24 * 3_600_000
"""Certificates by the root, which is on paper, are not renewed as a routine."""
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


__all__ = [
    "CreatedMesh",
    "Wish",
    "anchor",
    "create_mesh",
    "make_coordinator",
]
