"""Wrapping and unwrapping the private keys of a state folder, such that a crash at any point loses none.

Every key file is replaced at once by its other form (`write_private`), and both forms can be read while the lock is
there: so the lock is written before the first file is wrapped and removed after the last one is plain, and an
interrupted conversion is finished by asking for it again. What a file held before gets a second name first
(`.NAME.old`), is written over with zeros there, and removed: on a disk that writes in place nothing is left of it. A
flash drive (SSD, SD card) and file systems that copy on write may keep the old blocks for a while; the guide says so.
Only with nothing running in the folder. Not wrapped here, because they are sealed by themselves if their person wants
that: the owner's key, and people's keys (`people accept --seal`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.files import disk_error, read_private, sync_folder, write_all, write_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.key_files import FILE_MAX, MAGIC, is_wrapped, open_keys, read_key, wrapped_for
from kindmesh.mesh.key_lock import LOCK_FILE, PARTS, OpenedLock, read_lock, write_lock

_PLACES: Final = (
    ("identity", "*.key"),
    ("identity", "*.next"),
    ("node", "*.key"),
    ("coordinator", "*.key"),
    ("coordinator/identity", "*.key"),
    ("coordinator/identity", "*.next"),
    ("medulla/keys", "*.key"),
)
_OLD: Final = ".old"


class KeyStatus(msgspec.Struct, frozen=True):
    """`way` is `plain`, `passphrase` or `keyring`; the files are relative to the state folder."""

    way: str
    wrapped: tuple[str, ...]
    plain: tuple[str, ...]
    leftovers: tuple[str, ...]

    @property
    def half_done(self) -> bool:
        """A conversion was interrupted."""
        return bool(self.leftovers) or (self.way != "plain" and bool(self.plain))


def key_files(home: Home) -> list[Path]:
    """Every file with a private key of this folder, but those of people: they can be sealed by themselves."""
    return sorted(
        path
        for place, pattern in _PLACES
        for path in (home.root / place).glob(pattern)
        if not path.name.startswith(".") and path.is_file() and not path.is_symlink()
    )


def key_status(home: Home) -> KeyStatus:
    """How the keys here are kept. Reads the files, opens nothing.

    Raises:
        StoreDamaged, InsecurePermissions, StoreError.
    """
    lock = read_lock(home.root)
    files = key_files(home)
    wrapped = {path for path in files if is_wrapped(path)}
    return KeyStatus(
        "plain" if lock is None else lock.way,
        tuple(_short(home, path) for path in files if path in wrapped),
        tuple(_short(home, path) for path in files if path not in wrapped),
        tuple(_short(home, path) for path in _leftovers(home)),
    )


def protect(home: Home, opened: OpenedLock, entropy: Entropy) -> int:
    """Wrap every key that is plain, and use this lock from now on; how many were wrapped.

    Raises:
        DiskFull, StoreError: some may be wrapped already; asking again goes on.
    """
    write_lock(home.root, opened.lock)
    open_keys(home.root, opened.parts(*PARTS))
    clear_leftovers(home)
    done = 0
    for path in key_files(home):
        if not is_wrapped(path):
            _replace(path, wrapped_for(path, read_private(path, limit=FILE_MAX), entropy))
            done += 1
    return done


def unprotect(home: Home, opened: OpenedLock) -> int:
    """Make every key a plain file again, then remove the lock; how many were wrapped.

    Raises:
        DiskFull, StoreError: some may be plain already; asking again goes on.
    """
    open_keys(home.root, opened.parts(*PARTS))
    clear_leftovers(home)
    done = 0
    for path in key_files(home):
        if is_wrapped(path):
            _replace(path, read_key(path, limit=FILE_MAX))
            done += 1
    try:
        (home.root / LOCK_FILE).unlink(missing_ok=True)
        sync_folder(home.root)
    except OSError as error:
        raise disk_error(error, home.root / LOCK_FILE, doing="remove") from error
    return done


def clear_leftovers(home: Home) -> int:
    """Write over and remove what a crash in the middle of a conversion left; how many files. Cheap when there is none.

    Raises:
        DiskFull, StoreError.
    """
    found = list(_leftovers(home))
    for path in found:
        _overwrite(path)
    return len(found)


def _leftovers(home: Home) -> Iterator[Path]:
    for place in dict.fromkeys(place for place, _ in _PLACES):
        folder = home.root / place
        for path in sorted(folder.glob(".*")) if folder.is_dir() else ():
            if path.suffix in (_OLD, ".new") and path.is_file() and not path.is_symlink():
                yield path


def _replace(path: Path, data: bytes) -> None:
    """Replace the file, and write over what it held."""
    second = path.with_name(f".{path.name}{_OLD}")
    try:
        found = path.stat()
        keeper = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        try:
            os.link(path, second)
        except PermissionError:
            # A file system without second names: hold the old contents by a descriptor instead.
            _replace_held(path, data, keeper)
            return
        write_private(path, data, keeper=keeper)
    except OSError as error:
        raise disk_error(error, path) from error
    _overwrite(second)


def _replace_held(path: Path, data: bytes, keeper: tuple[int, int] | None) -> None:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        write_private(path, data, keeper=keeper)
        _zero(fd)
    finally:
        os.close(fd)


def _overwrite(path: Path) -> None:
    """Zeros over the file, then it is gone; one that is another name of a file in use only loses this name."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if os.fstat(fd).st_nlink == 1 and os.pread(fd, len(MAGIC), 0) != MAGIC:
                _zero(fd)
        finally:
            os.close(fd)
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path, doing="remove") from error


def _zero(fd: int) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, bytes(os.fstat(fd).st_size))
    os.fsync(fd)


def _short(home: Home, path: Path) -> str:
    return path.relative_to(home.root).as_posix()


__all__ = ["KeyStatus", "clear_leftovers", "key_files", "key_status", "protect", "unprotect"]
