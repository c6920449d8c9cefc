"""A second coordinator: a member's device that can take over while the first one is away.

It gets its own Medulla and its own owner's key, named by the mesh root out of the recovery kit in one list beside
those of the first; the first coordinator has no part in it, and cannot refuse. Both accept what the other's Medulla
certifies, permits and removes. Its node stays a node: it brings the new list to the first coordinator, and serves it as
before. Jobs are not shared: each coordinator keeps those that it was given.

It is all made in a folder of its own and moved into place, the coordinator's part last: with that it exists. What a
crash left before that is cleared away by the next try.
"""

from __future__ import annotations

import os
import shutil
from typing import Final

from kindmesh.coordinator.brain.medulla.messages import Issue, Issued, Learn, Learned
from kindmesh.coordinator.brain.medulla.service import Service, write_keys
from kindmesh.coordinator.new_mesh import CreatedMesh, anchor
from kindmesh.coordinator.owner import OWNER_KEY, Owner, coordinator_identity
from kindmesh.coordinator.sealed import check_passphrase, kit_sheet, open_recovery_kit, seal_key
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import private_folder, sync_folder, write_private
from kindmesh.mesh.home import RECOVERY_KIT, Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust, TrustFile
from kindmesh.protocol.anchors import AnchorList, next_version, sign_anchors
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import AlreadyInitialised, CertificateRefused, InvalidInput
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.limits import NAME_MAX
from kindmesh.protocol.messages import TrustUpdate

_PIECES: Final = ("owner", "medulla", RECOVERY_KIT, "coordinator")
"""In the order they are moved into place; the last makes it a coordinator."""


def make_second(
    home: Home,
    text: str,
    passphrase: str,
    *,
    owner_name: str = "owner",
    new_passphrase: str = "",
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> CreatedMesh:
    """Make the member's device in `home`, which must not be running, a second coordinator of its mesh.

    Raises:
        NotInitialised: no member. AlreadyInitialised: a coordinator already. HomeInUse: it runs.
        InvalidInput: the kit, or it is another mesh's. CertificateRefused: this device has to be let in again first.
        WrongPassphrase, StoreDamaged, Busy, DiskFull, StoreError: nothing was made.
    """
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    chosen = new_passphrase or passphrase
    check_passphrase(chosen)
    if (home.coordinator / "identity").exists():
        raise AlreadyInitialised(f"{home.root} is a coordinator already")
    with home.lock("node"):
        trust = Trust.load(home.identity)
        if trust.is_retired or trust.is_removed:
            raise CertificateRefused("this device is no member of the mesh now")
        root, sealed = open_recovery_kit(text, passphrase)
        if sealed.mesh != trust.mesh:
            named = format_id(sealed.mesh)
            raise InvalidInput(
                f"this kit is for the mesh {named}, and this device belongs to {format_id(trust.mesh)}",
                field="recovery kit",
            )
        _clear(home)
        staging = Home(home.root / f".second-{entropy.token(6).hex()}")
        try:
            made, update = _build(
                staging, home, trust, root, sealed.after, chosen, owner_name, clock, entropy
            )
            for piece in _PIECES:
                os.rename(staging.root / piece, home.root / piece)
                sync_folder(home.root)
        finally:
            shutil.rmtree(staging.root, ignore_errors=True)
        trust.merge(update)
    return made


def _clear(home: Home) -> None:
    """What an earlier try left, which never got as far as to be a coordinator."""
    for leftover in home.root.glob(".second-[0-9a-f]*"):
        shutil.rmtree(leftover)
    for piece in _PIECES[:-1]:
        path = home.root / piece
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _build(  # noqa: PLR0917 - one step of `make_second`
    staging: Home,
    home: Home,
    trust: Trust,
    root: SigningKey,
    after: int,
    passphrase: str,
    owner_name: str,
    clock: Clock,
    entropy: Entropy,
) -> tuple[CreatedMesh, TrustUpdate]:
    now_ms, mesh = clock.now_ms(), trust.mesh
    owner_key, issuer, permit = (SigningKey(entropy.token(32)) for _ in range(3))
    before = trust.membership.anchors
    anchors = (
        *before.certificates,
        anchor(mesh, owner_key, "person", owner_name, now_ms),
        anchor(mesh, issuer, "issuer", "issuer", now_ms),
        anchor(mesh, permit, "medulla", "medulla", now_ms),
    )
    version = next_version(max(before.version, after), now_ms)
    bundle = sign_anchors(AnchorList(mesh, version, now_ms, anchors), root)
    for folder in (
        staging.root,
        staging.owner,
        staging.medulla,
        staging.medulla / "run",
        staging.coordinator,
    ):
        private_folder(folder)
    write_private(staging.owner / OWNER_KEY, encode(seal_key(owner_key, "owner", mesh, passphrase, entropy)))
    kit = kit_sheet(seal_key(root, "root", mesh, passphrase, entropy, after=version), owner_name, now_ms)
    write_private(staging.recovery_kit, kit.encode())
    write_keys(staging.medulla, bundle, issuer, permit)
    coordinator = Identity.create(coordinator_identity(staging), entropy)
    owner = Owner(mesh, owner_key, clock=clock, entropy=entropy)
    service = Service(staging.medulla, "none", clock=clock, entropy=entropy)
    try:
        service.ask(
            Learn(
                (trust.bundle, *trust.credentials.bundles),
                trust.rosters,
                trust.revocations,
                trust.signed_policy,
            )
        )
        grant = owner.sign_grant(
            name=f"{trust.certificate.name[: NAME_MAX - 14]} (coordinator)",
            ed_pub=coordinator.signing.public,
            curve_pub=coordinator.curve.public,
            roles=("coordinator",),
        )
        issued: Issued = service.ask(Issue(grant))
        learned: Learned = service.ask(Learn())
    finally:
        service.close()
    own = learned.trust
    content = TrustFile(
        schema=1,
        mesh=mesh,
        bundle=bundle,
        certificate=issued.certificate,
        coordinator=issued.certificate,
        rosters=(own.roster, *trust.rosters),
        revocations=(own.revocations, *trust.revocations),
        policy=trust.signed_policy,
        addresses=trust.addresses,
        former=trust.credentials.bundles[1:],
    )
    Trust.create(coordinator_identity(staging), content)
    update = TrustUpdate((own.roster,), (own.revocations,), bundle=bundle)
    made = CreatedMesh(
        mesh, owner.subject, coordinator.device_id, trust.certificate.subject, home.recovery_kit
    )
    return made, update


__all__ = ["make_second"]
