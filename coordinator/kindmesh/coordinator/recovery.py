"""The recovery kit, used: a lost coordinator is made anew, and every device of the mesh finds it again.

`recover_mesh` opens the mesh's root from the kit, makes a new coordinator in an empty state folder as `init` would (new
owner's key, new Medulla, new devices' keys), and lets the root sign a new list of who decides, in which whoever decided
before is not named any more. Then the root is forgotten again; a new kit is written. It is all made in a folder of its
own and moved into place piece by piece (`new_mesh.make_coordinator`): an interrupted recovery leaves nothing half done.
`rotate_owner` replaces the owner's key, and the passphrase, of a coordinator that is there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.capabilities.registry import available
from kindmesh.coordinator.brain.medulla.messages import Learn
from kindmesh.coordinator.brain.medulla.service import Service
from kindmesh.coordinator.new_mesh import CreatedMesh, Wish, anchor, make_coordinator
from kindmesh.coordinator.owner import OWNER_KEY, Owner, coordinator_identity, is_coordinator_home
from kindmesh.coordinator.sealed import (
    SealedKey,
    check_passphrase,
    kit_sheet,
    open_recovery_kit,
    seal_key,
    sealed_from_bytes,
)
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import read_private, write_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import Trust as DeviceTrust
from kindmesh.protocol.anchors import AnchorList, next_version, sign_anchors
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput, Malformed, NotInitialised, StoreError
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.messages import TrustUpdate
from kindmesh.protocol.policy import grants_for

DAY_MS: Final = 24 * 3_600_000
RECALL_DAYS: Final = 30
"""How long members of before are let in again without a question, unless the owner says otherwise."""
RECALL_DAYS_MAX: Final = 90
_ROTATING: Final = "rotating"


class Checked(msgspec.Struct, frozen=True):
    """What a kit is: the mesh's id (20 bytes), and the version (UTC ms) of the newest list it has signed."""

    mesh: bytes
    after: int


def check_kit(text: str, passphrase: str) -> Checked:
    """Whether a kit and a passphrase are good, and for which mesh; nothing is changed.

    Raises:
        InvalidInput: a line is missing or mistyped (named), or this is no kit. WrongPassphrase: not this one.
        StoreDamaged, Busy: it cannot be opened here.
    """
    root, sealed = open_recovery_kit(text, passphrase)
    del root
    return Checked(sealed.mesh, sealed.after)


def recover_mesh(
    home: Home,
    text: str,
    passphrase: str,
    name: str,
    *,
    owner_name: str = "owner",
    new_passphrase: str = "",
    recall_days: int = RECALL_DAYS,
    capabilities: tuple[CapabilityGrant, ...] | None = None,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> CreatedMesh:
    """Make the mesh's coordinator anew in the empty state folder `home`, from the kit's text.

    Devices of before are let in again for `recall_days` (0: the owner is asked about each). The new keys are sealed
    under `new_passphrase`, or the old one.

    Raises:
        InvalidInput: the kit, a name, the passphrase or the number of days; or this device's clock is wrong.
        WrongPassphrase: not this one. AlreadyInitialised: this folder belongs to a mesh.
        StoreDamaged, Busy, DiskFull, StoreError: nothing was made.
    """
    if not 0 <= recall_days <= RECALL_DAYS_MAX:
        raise InvalidInput(f"devices are let in again for 0 to {RECALL_DAYS_MAX} days", field="days")
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    root, sealed = open_recovery_kit(text, passphrase)
    if clock.now_ms() < sealed.after - DAY_MS:
        raise InvalidInput(
            "this device's clock is behind the day on which the kit was made",
            field="clock",
            hint="Set its date and time, then try again: by time it is known who decides now.",
        )
    if capabilities is None:
        capabilities = grants_for(found.manifest for found in available())
    wish = Wish(
        home=home,
        passphrase=new_passphrase or passphrase,
        name=name.strip(),
        owner_name=owner_name.strip(),
        capabilities=capabilities,
        after=sealed.after,
        recall_ms=recall_days * DAY_MS,
        returning=True,
    )
    return make_coordinator(wish, root, clock=clock, entropy=entropy)


def rotate_owner(
    home: Home,
    text: str,
    passphrase: str,
    *,
    owner_name: str = "owner",
    new_passphrase: str = "",
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> CreatedMesh:
    """Replace the owner's key (and the passphrase) of the coordinator in `home`, which must not be running.

    A crash in between leaves the old or the new list of who decides in force; doing it again makes it whole.

    Raises:
        NotInitialised: no coordinator here. HomeInUse: it runs.
        InvalidInput: the kit, or it is another mesh's. WrongPassphrase, StoreDamaged, Busy, DiskFull, StoreError.
    """
    clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
    chosen = new_passphrase or passphrase
    check_passphrase(chosen)
    if not is_coordinator_home(home):
        raise NotInitialised("there is no coordinator here", hint="Do this where the mesh's coordinator is.")
    root, sealed = open_recovery_kit(text, passphrase)
    folders = (coordinator_identity(home), home.identity)
    trusts = [DeviceTrust.load(folder) for folder in folders]
    _same_mesh(sealed, trusts[0].mesh)
    service = Service(home.medulla, "none", clock=clock, entropy=entropy)
    try:
        now_ms = clock.now_ms()
        before = service.beliefs.anchors
        owner_key = SigningKey(entropy.token(32))
        replaced = _replaced(home)
        kept = [
            one
            for one in before.certificates
            if one.kind != "person" or (replaced and one.subject not in replaced)
        ]
        # Whom an interrupted try has named meanwhile, nobody has the key of.
        write_private(home.owner / _ROTATING, b"".join({*replaced, key_id(owner_key.public)}))
        anchors = (anchor(sealed.mesh, owner_key, "person", owner_name, now_ms), *kept)
        version = next_version(max(before.version, sealed.after), now_ms)
        bundle = sign_anchors(AnchorList(sealed.mesh, version, now_ms, anchors), root)
        known = service.beliefs.policy
        policy = msgspec.structs.replace(
            # As long as rules of an owner of before bind beside it, they go on doing so.
            known,
            version=next_version(known.version, now_ms),
            issued_ms=now_ms + (service.beliefs.policies.former is None),
        )
        owner = Owner(sealed.mesh, owner_key, clock=clock, entropy=entropy)
        sealed_owner = encode(seal_key(owner_key, "owner", sealed.mesh, chosen, entropy))
        kit = kit_sheet(
            seal_key(root, "root", sealed.mesh, chosen, entropy, after=version), owner_name, now_ms
        )
        # From here on it is done: Medulla first, because the others learn from it in any case.
        learned = service.ask(Learn((bundle,), policy=owner.sign_policy(policy)))
    finally:
        service.close()
    write_private(home.owner / OWNER_KEY, sealed_owner)
    write_private(home.recovery_kit, kit.encode())
    update = TrustUpdate(
        (learned.trust.roster,), (learned.trust.revocations,), learned.trust.policy, bundle=bundle
    )
    for trust in trusts:
        trust.merge(update)
    (home.owner / _ROTATING).unlink()
    subjects = [trust.certificate.subject for trust in trusts]
    return CreatedMesh(sealed.mesh, owner.subject, subjects[0], subjects[1], home.recovery_kit)


def _same_mesh(sealed: SealedKey, mesh: bytes) -> None:
    if sealed.mesh != mesh:
        raise InvalidInput(
            f"this kit is for the mesh {format_id(sealed.mesh)}, and this device belongs to {format_id(mesh)}",
            field="recovery kit",
        )


def _replaced(home: Home) -> set[bytes]:
    """The ids of the owner whose key is in this folder, and of those that interrupted tries named; empty when the file
    is lost or damaged: then every owner is replaced."""
    try:
        here = key_id(sealed_from_bytes(read_private(home.owner / OWNER_KEY, limit=1024)).public)
    except (StoreError, Malformed):
        return set()
    rotating = home.owner / _ROTATING
    ids = read_private(rotating) if rotating.exists() else b""
    return {here, *(ids[at : at + 20] for at in range(0, len(ids), 20))}


__all__ = ["RECALL_DAYS", "RECALL_DAYS_MAX", "Checked", "check_kit", "recover_mesh", "rotate_owner"]
