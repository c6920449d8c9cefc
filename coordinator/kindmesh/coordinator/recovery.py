"""The recovery kit, used: a lost coordinator is made anew, and every device of the mesh finds it again.

`recover_mesh` opens the mesh's root from the kit, makes a new coordinator in an empty state folder as `init` would (new
owner's key, new Medulla, new devices' keys), and lets the root sign a new list of who decides, in which whoever decided
before is not named any more. Then the root is forgotten again; a new kit is written. It is all made in a folder of its
own and moved into place piece by piece (`owner.make_coordinator`), so an interrupted recovery leaves nothing half done.
`rotate_owner` replaces the owner's key, and the passphrase, of a coordinator that is there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.capabilities.registry import available
from kindmesh.coordinator.owner import CreatedMesh, Wish, make_coordinator, open_recovery_kit
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.policy import grants_for

DAY_MS: Final = 24 * 3_600_000
RECALL_DAYS: Final = 30
"""How long members of before are let in again without a question, unless the owner says otherwise."""
RECALL_DAYS_MAX: Final = 90


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


__all__ = ["RECALL_DAYS", "RECALL_DAYS_MAX", "Checked", "check_kit", "recover_mesh"]
