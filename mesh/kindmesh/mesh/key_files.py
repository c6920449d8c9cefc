"""Files with a private key in them: read and written here only, so that a wrapped one looks like a plain one.

Plain: the bytes themselves, in a file of the user's own (0600). Wrapped: `KMKEY1` and a zero, then the lock's id, the
part, a nonce and the bytes sealed under the part's key (see `key_lock`), bound to the folder's and the file's name;
its ending may change (`curve.next` becomes `curve.key`). A folder may hold both while it is being converted. Which
locks are open is a fact about this process: whoever starts it hands it the keys of its part through a pipe, once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.mesh.clock import Entropy, SystemEntropy
from kindmesh.mesh.files import disk_error, read_private, write_private
from kindmesh.mesh.key_lock import LOCK_FILE, PartKeys, part_of
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import NONCE, seal, unseal
from kindmesh.protocol.errors import BadSeal, KeysLocked, Malformed, StoreDamaged

MAGIC: Final = b"KMKEY1\0"
FILE_MAX: Final = 131_072
_DOMAIN: Final = b"kindmesh-key-file-v1\0"
_GIVEN_MAX: Final = 4096

_open_locks: dict[bytes, dict[str, bytes]] = {}
_open_roots: dict[Path, bytes] = {}


class WrappedKey(msgspec.Struct, array_like=True, frozen=True):
    """What follows the magic bytes."""

    lock_id: bytes
    part: str
    nonce: bytes
    sealed: bytes


def open_keys(root: Path, given: PartKeys) -> None:
    """From now on this process reads and writes the wrapped keys of these parts of the state folder `root`."""
    _open_locks.setdefault(given.lock_id, {}).update(given.keys)
    _open_roots[Path(os.path.abspath(root))] = given.lock_id


def close_keys(root: Path) -> None:
    """Forget what `open_keys` was told about `root`."""
    lock_id = _open_roots.pop(Path(os.path.abspath(root)), None)
    if lock_id is not None and lock_id not in _open_roots.values():
        _open_locks.pop(lock_id, None)


def give_keys(given: PartKeys) -> int:
    """A descriptor from which a child reads `given`, once: a pipe, so it never touches disk, arguments or environment.

    The child gets it by inheriting; close it here after the fork.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.write(writing, encode(given))
    os.close(writing)
    return reading


def take_keys(root: Path, fd: int) -> None:
    """In the child: read what `give_keys` put there and open the keys; `fd` below 0: nothing was given.

    Raises:
        KeysLocked: the descriptor holds no keys.
    """
    if fd < 0:
        return
    data = b""
    try:
        while len(data) < _GIVEN_MAX and (piece := os.read(fd, _GIVEN_MAX)):
            data += piece
        os.close(fd)
        given = decode(PartKeys, data, limit=_GIVEN_MAX)
    except (OSError, Malformed) as error:
        raise KeysLocked("the keys could not be handed over") from error
    open_keys(root, given)


def is_wrapped(path: Path) -> bool:
    """Whether this key file is wrapped.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise disk_error(error, path, doing="read") from error


def read_key(path: Path, *, limit: int = 4096) -> bytes:
    """The bytes of a key file, at most `limit`, wrapped or not.

    Raises:
        KeysLocked: wrapped, and not opened in this process.
        StoreDamaged: it does not open.
        InsecurePermissions, StoreError: as `read_private`.
    """
    data = read_private(path, limit=FILE_MAX)
    if data.startswith(MAGIC):
        data = unwrap(path, data)
    if len(data) > limit:
        raise StoreDamaged(f"{path} is too long for a key", hint="Restore a backup of this folder.")
    return data


def unwrap(path: Path, data: bytes) -> bytes:
    """What is in a wrapped file with these bytes.

    Raises:
        KeysLocked, StoreDamaged.
    """
    try:
        wrapped = decode(WrappedKey, data[len(MAGIC) :], limit=FILE_MAX)
    except Malformed as error:
        raise StoreDamaged(f"{path} is damaged", hint="Restore a backup of this folder.") from error
    key = _open_locks.get(wrapped.lock_id, {}).get(wrapped.part)
    if key is None:
        raise KeysLocked(f"{path} is locked")
    try:
        return unseal(key, wrapped.nonce, wrapped.sealed, _associated(path, wrapped.lock_id, wrapped.part))
    except BadSeal as error:
        raise StoreDamaged(
            f"{path} does not open with this folder's lock", hint="Restore a backup of this folder."
        ) from error


def write_key(path: Path, data: bytes, *, entropy: Entropy | None = None) -> None:
    """Replace a key file durably; wrapped when the folder's keys are.

    Raises:
        KeysLocked: they are, and not opened in this process.
        DiskFull, StoreError: the old file is untouched.
    """
    write_private(path, wrapped_for(path, data, entropy or SystemEntropy()))


def wrapped_for(path: Path, data: bytes, entropy: Entropy) -> bytes:
    """What `write_key` would write: `data` itself where keys are plain.

    Raises:
        KeysLocked.
    """
    absolute = Path(os.path.abspath(path))
    for root, lock_id in _open_roots.items():
        if absolute.is_relative_to(root):
            part = part_of(absolute.relative_to(root))
            key = _open_locks[lock_id].get(part)
            if key is None:
                raise KeysLocked(f"{path} is locked")
            nonce = entropy.token(NONCE)
            sealed = seal(key, nonce, data, _associated(path, lock_id, part))
            return MAGIC + encode(WrappedKey(lock_id, part, nonce, sealed))
    for folder in absolute.parents:
        if _has_lock(folder):
            raise KeysLocked(f"the keys in {folder} are locked")
    return data


def _has_lock(folder: Path) -> bool:
    try:
        return (folder / LOCK_FILE).exists()
    except PermissionError:
        return False
    except OSError as error:
        raise disk_error(error, folder / LOCK_FILE, doing="look for") from error


def _associated(path: Path, lock_id: bytes, part: str) -> bytes:
    return b"\0".join(
        (_DOMAIN, lock_id, part.encode(), os.fsencode(path.parent.name), os.fsencode(path.stem))
    )


__all__ = [
    "FILE_MAX",
    "MAGIC",
    "WrappedKey",
    "close_keys",
    "give_keys",
    "is_wrapped",
    "open_keys",
    "read_key",
    "take_keys",
    "unwrap",
    "wrapped_for",
    "write_key",
]
