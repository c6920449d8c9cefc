"""The lock of a state folder's private keys: one random master key, which a passphrase or the keyring keeps.

`keys.lock` in the state folder says how: `passphrase` (the master key is in the file, sealed under the passphrase by
Argon2id and XChaCha20-Poly1305) or `keyring` (it is in the operating system's keyring, and the file has only what is
needed to know it again). Every private key is wrapped under a key of its part, derived from the master, so that each
process is given no more than it needs:

    node         identity/, node/, people/      coordinator  coordinator/      medulla  medulla/

A new passphrase seals the same master anew: who has an old copy of the folder *and* the old passphrase can still open
that copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.files import read_private, write_private
from kindmesh.mesh.stretch import SALT, affordable_cost, check_cost, check_passphrase, stretch
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import (
    KEY,
    NONCE,
    constant_time_equal,
    hkdf_sha256,
    hmac_sha256,
    seal,
    unseal,
)
from kindmesh.protocol.errors import BadSeal, Malformed, StoreDamaged, WrongPassphrase
from kindmesh.protocol.shown import repr_without

LOCK_FILE: Final = "keys.lock"
PARTS: Final = ("node", "coordinator", "medulla")
_PART_OF: Final = {
    "identity": "node",
    "node": "node",
    "people": "node",
    "coordinator": "coordinator",
    "medulla": "medulla",
}
_CHECK: Final = b"kindmesh-key-lock-check-v1"
_PART_INFO: Final = b"kindmesh-key-part-v1\0"
_SEALED_DOMAIN: Final = b"kindmesh-key-lock-v1\0"
_FILE_MAX: Final = 1024

Way = Literal["passphrase", "keyring"]


class KeyLock(msgspec.Struct, array_like=True, frozen=True):
    """The file. `lock_id` 16 bytes; `check` knows the right master key again; the rest is for `passphrase` only."""

    version: int
    lock_id: bytes
    way: Way
    check: bytes
    mem_kib: int = 0
    ops: int = 0
    salt: bytes = b""
    nonce: bytes = b""
    sealed: bytes = b""

    def __repr__(self) -> str:
        return f"KeyLock({self.way}, {self.lock_id.hex()[:8]}...)"


class PartKeys(msgspec.Struct, array_like=True, frozen=True):
    """What one process is given: the wrapping keys (32 bytes) of some parts of the folder with that lock."""

    lock_id: bytes
    keys: dict[str, bytes]

    def __repr__(self) -> str:
        return f"PartKeys({self.lock_id.hex()[:8]}..., {', '.join(self.keys)})"


class OpenedLock(msgspec.Struct, frozen=True):
    """A lock and its master key (32 bytes)."""

    lock: KeyLock
    master: bytes

    def parts(self, *names: str) -> PartKeys:
        """The keys of these parts."""
        keys = {
            name: hkdf_sha256(self.master, self.lock.lock_id, _PART_INFO + name.encode(), KEY)
            for name in names
        }
        return PartKeys(self.lock.lock_id, keys)

    def __repr__(self) -> str:
        return repr_without(self, "master")


def part_of(path: Path) -> str:
    """The part that a file of the state folder belongs to; `path` is relative to the folder.

    Raises:
        ValueError: no keys are kept there.
    """
    names = [name for name in path.parts if not name.startswith(".")]
    if not names or names[0] not in _PART_OF:
        raise ValueError(f"no keys are kept in {path}")
    return _PART_OF[names[0]]


def new_lock(way: Way, entropy: Entropy, passphrase: str = "") -> OpenedLock:
    """A new master key, sealed under `passphrase` (way passphrase) or to be put into the keyring by the caller.

    Raises:
        InvalidInput: too short a passphrase. Busy: not enough memory.
    """
    master, lock_id = entropy.token(KEY), entropy.token(16)
    opened = OpenedLock(KeyLock(1, lock_id, way, hmac_sha256(master, _CHECK)), master)
    return opened if way == "keyring" else with_passphrase(opened, passphrase, entropy)


def with_passphrase(opened: OpenedLock, passphrase: str, entropy: Entropy) -> OpenedLock:
    """The same master key under a new passphrase.

    Raises:
        InvalidInput: too short a passphrase. Busy: not enough memory.
    """
    check_passphrase(passphrase)
    mem_kib, ops = affordable_cost()
    old = opened.lock
    empty = KeyLock(
        1, old.lock_id, "passphrase", old.check, mem_kib, ops, entropy.token(SALT), entropy.token(NONCE)
    )
    stretched = stretch(passphrase, empty.salt, mem_kib=mem_kib, ops=ops)
    sealed = seal(stretched, empty.nonce, opened.master, _SEALED_DOMAIN + encode(empty))
    return OpenedLock(msgspec.structs.replace(empty, sealed=sealed), opened.master)


def in_keyring(opened: OpenedLock) -> OpenedLock:
    """The same master key, kept by the keyring from now on; the caller puts it there first."""
    return OpenedLock(KeyLock(1, opened.lock.lock_id, "keyring", opened.lock.check), opened.master)


def open_with_passphrase(lock: KeyLock, passphrase: str) -> OpenedLock:
    """The lock, opened.

    Raises:
        WrongPassphrase. StoreDamaged: the file cannot be right. Busy: not enough memory.
    """
    check_cost(lock.mem_kib, lock.ops, lock.salt)
    empty = msgspec.structs.replace(lock, sealed=b"")
    stretched = stretch(passphrase, lock.salt, mem_kib=lock.mem_kib, ops=lock.ops)
    try:
        master = unseal(stretched, lock.nonce, lock.sealed, _SEALED_DOMAIN + encode(empty))
    except BadSeal as error:
        raise WrongPassphrase(
            hint="Look at capital letters and the keyboard's language, then try again."
        ) from error
    return open_with_master(lock, master)


def open_with_master(lock: KeyLock, master: bytes) -> OpenedLock:
    """The lock with what the keyring had.

    Raises:
        StoreDamaged: it is not the key of this lock.
    """
    if not constant_time_equal(hmac_sha256(master, _CHECK), lock.check):
        raise StoreDamaged("what the keyring has does not open these keys", hint="Restore a backup of it.")
    return OpenedLock(lock, master)


def read_lock(root: Path) -> KeyLock | None:
    """The lock of the state folder `root`; None when its keys are plain files.

    Raises:
        StoreDamaged, StoreError.
    """
    path = root / LOCK_FILE
    if not path.exists():
        return None
    try:
        lock = decode(KeyLock, read_private(path, limit=_FILE_MAX, secret=False), limit=_FILE_MAX)
    except Malformed as error:
        raise StoreDamaged(f"{path} is damaged", hint="Restore a backup of this folder.") from error
    if lock.version != 1 or len(lock.lock_id) != 16:
        raise StoreDamaged(f"{path} is damaged, or from another version of Kindmesh")
    return lock


def write_lock(root: Path, lock: KeyLock) -> None:
    """Keep it, durably, in place of the one before.

    Raises:
        DiskFull, StoreError: the old one is still there.
    """
    found = root.stat()
    write_private(root / LOCK_FILE, encode(lock), keeper=(found.st_uid, found.st_gid))


__all__ = [
    "LOCK_FILE",
    "PARTS",
    "KeyLock",
    "OpenedLock",
    "PartKeys",
    "Way",
    "in_keyring",
    "new_lock",
    "open_with_master",
    "open_with_passphrase",
    "part_of",
    "read_lock",
    "with_passphrase",
    "write_lock",
]
