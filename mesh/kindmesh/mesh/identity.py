"""This device's keys: one Ed25519 seed, one CURVE key, and how often the identity has started.

The files lie in one folder, readable by their user only: `device.key` (32-byte seed), `curve.key` (32 bytes), both
wrapped if the owner wants that (`key_files`), and `boot` (a decimal counter, raised and on disk before the first
message of a boot leaves). The seed names the device for ever: it is made once and never replaced silently; a damaged
key file is an error, not a reason to make a new one.
"""

from __future__ import annotations

import os
from pathlib import Path

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.files import disk_error, private_folder, sync_folder, write_private
from kindmesh.mesh.key_files import read_key, write_key
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.errors import NotInitialised, StoreDamaged
from kindmesh.protocol.ids import key_id

SEED_FILE = "device.key"
CURVE_FILE = "curve.key"
NEXT_CURVE_FILE = "curve.next"
BOOT_FILE = "boot"


class Identity:
    """`device_id` is the 20-byte id of the signing key; `boot` counts starts, `tag` (8 bytes) is new at each."""

    __slots__ = ("_sequence", "boot", "curve", "device_id", "signing", "tag")

    def __init__(self, signing: SigningKey, curve: CurveKey, boot: int, tag: bytes) -> None:
        self.signing, self.curve, self.boot, self.tag = signing, curve, boot, tag
        self.device_id = key_id(signing.public)
        self._sequence = 0

    def next_sequence(self) -> int:
        """The number of the next signed message of this boot."""
        self._sequence += 1
        return self._sequence

    @classmethod
    def create(cls, folder: Path, entropy: Entropy) -> Identity:
        """Make the keys, once; with a folder that has them, the same as `load`.

        Raises:
            DiskFull, StoreError: the folder cannot be written.
        """
        private_folder(folder)
        if not (folder / SEED_FILE).exists():
            if not (folder / CURVE_FILE).exists():
                write_key(folder / CURVE_FILE, entropy.token(32))
            write_key(folder / SEED_FILE, entropy.token(32))
        return cls.load(folder, entropy, start=False)

    @classmethod
    def load(cls, folder: Path, entropy: Entropy, *, start: bool = True) -> Identity:
        """The identity in `folder`; `start` raises the boot counter (whoever runs the identity does, once a start).

        Raises:
            NotInitialised: there is none.
            StoreDamaged: a key file or the counter is not what was written.
            InsecurePermissions: a key can be read by others.
            KeysLocked: the keys are wrapped, and not opened in this process.
        """
        if not (folder / SEED_FILE).exists():
            raise NotInitialised()
        seed, curve = read_key(folder / SEED_FILE), read_key(folder / CURVE_FILE)
        if len(seed) != 32 or len(curve) != 32:
            raise StoreDamaged(f"the keys in {folder} are damaged", hint="Restore a backup of this folder.")
        boot = _read_boot(folder / BOOT_FILE)
        if start:
            boot += 1
            write_private(folder / BOOT_FILE, f"{boot}\n".encode())
        return cls(SigningKey(seed), CurveKey(curve), boot, entropy.token(8))


def make_next_curve(folder: Path, entropy: Entropy) -> CurveKey:
    """The CURVE key that comes after the one in use: made once, and on the disk before anybody hears of it.

    Raises:
        DiskFull, StoreError, KeysLocked: it is not.
    """
    known = next_curve(folder)
    if known is not None:
        return known
    secret = entropy.token(32)
    write_key(folder / NEXT_CURVE_FILE, secret)
    return CurveKey(secret)


def next_curve(folder: Path) -> CurveKey | None:
    """The key that `make_next_curve` made, if it is not in use yet.

    Raises:
        StoreDamaged, InsecurePermissions, StoreError.
    """
    path = folder / NEXT_CURVE_FILE
    if not path.exists():
        return None
    secret = read_key(path)
    if len(secret) != 32:
        raise StoreDamaged(f"{path} is damaged", hint="Remove it: a new key is made.")
    return CurveKey(secret)


def take_next_curve(folder: Path) -> None:
    """The next key is the key from now on, and the old one is gone: one step on the disk.

    Raises:
        DiskFull, StoreError: nothing changed, or it is tried again at the next start.
    """
    try:
        os.replace(folder / NEXT_CURVE_FILE, folder / CURVE_FILE)
        sync_folder(folder)
    except OSError as error:
        raise disk_error(error, folder / CURVE_FILE) from error


def _read_boot(path: Path) -> int:
    if not path.exists():
        return 0
    text = path.read_bytes().strip()
    if not text.isdigit() or len(text) > 15:
        raise StoreDamaged(f"{path} is damaged", hint="Restore a backup of this folder.")
    return int(text)


__all__ = [
    "BOOT_FILE",
    "CURVE_FILE",
    "NEXT_CURVE_FILE",
    "SEED_FILE",
    "Identity",
    "make_next_curve",
    "next_curve",
    "take_next_curve",
]
