"""A device's label on its own disk: what `kindmesh label` made, until the device belongs to a mesh.

`label` in the identity folder holds the label with its secret, readable by the user only. It is removed once the device
was adopted: a member is never adopted again.
"""

from __future__ import annotations

from pathlib import Path

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.files import read_private, write_private
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.adopt import Label
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.enrol import ENROL_VERSION
from kindmesh.protocol.errors import Malformed, StoreDamaged
from kindmesh.protocol.limits import PAIR_SECRET

LABEL_FILE = "label"


def make_label(folder: Path, identity: Identity, name: str, entropy: Entropy) -> Label:
    """The label of this identity; one that is there already keeps its secret, and takes the new name if one is given.

    Raises:
        StoreDamaged, DiskFull, StoreError.
    """
    known = load_label(folder)
    if known is not None and not name:
        return known
    label = Label(
        version=ENROL_VERSION,
        ed_pub=identity.signing.public,
        curve_pub=identity.curve.public,
        secret=known.secret if known is not None else entropy.token(PAIR_SECRET),
        name=name,
    )
    write_private(folder / LABEL_FILE, encode(label))
    return label


def load_label(folder: Path) -> Label | None:
    """The label in `folder`, or None.

    Raises:
        StoreDamaged. InsecurePermissions: others can read it.
    """
    path = folder / LABEL_FILE
    if not path.exists():
        return None
    try:
        return decode(Label, read_private(path, limit=512))
    except Malformed as error:
        raise StoreDamaged(f"{path} is damaged", hint="Remove it and run kindmesh label again.") from error


def forget_label(folder: Path) -> None:
    """The device was adopted."""
    (folder / LABEL_FILE).unlink(missing_ok=True)


__all__ = ["LABEL_FILE", "forget_label", "load_label", "make_label"]
