"""Private files: how this project writes and reads the small ones that must be whole or not there.

A write goes to a temporary name in the same folder, is synced, renamed over the target, and the folder is synced, so
that a crash at any point leaves the old file or the new one (POSIX rename is atomic; the folder's entry is durable
only after its own fsync). Files are 0600 and folders 0700 from the first byte; nothing relies on the umask.
A read of a secret refuses a file that others can read. A full disk is `DiskFull`, and the temporary file is gone.

Unix socket paths hold 107 bytes on Linux (`sun_path`); a longer one is replaced by a short one in a private folder of
the user, named by a hash of the long path, so that both ends find it without talking.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from kindmesh.protocol.errors import DiskFull, InsecurePermissions, KindmeshError, StoreError

SOCKET_PATH_MAX: Final = 107
"""Bytes of a Unix socket's path, without the closing zero (unix(7))."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def disk_error(error: OSError, path: Path | str, *, doing: str = "write") -> KindmeshError:
    """The typed error for a failed file operation: `DiskFull` where there was no room, else `StoreError`."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"The disk is full: could not {doing} {path}.")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StoreError(f"Could not {doing} {path}: {reason}.")


def private_folder(path: Path) -> Path:
    """Make `path` (and what is missing above it), readable by this user only (0700).

    One that others may only pass through (0711) is left so: the launcher opens it that far for Medulla's own user.

    Raises:
        InsecurePermissions: it exists and belongs to another user, or is not a folder.
        DiskFull, StoreError: it cannot be made.
    """
    try:
        for above in reversed(path.absolute().parents):
            if not above.exists():
                above.mkdir(mode=0o700, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat() if not path.is_symlink() else path.stat()
        if found.st_uid not in (os.geteuid(), 0):
            raise InsecurePermissions(f"{path} belongs to another user.", hint="Choose a folder of your own.")
        if stat.S_IMODE(found.st_mode) & 0o066:
            os.chmod(path, 0o700)
    except FileExistsError as error:
        raise StoreError(f"{path} is a file where a folder is needed.") from error
    except OSError as error:
        raise disk_error(error, path, doing="make") from error
    return path


def sync_folder(path: Path) -> None:
    """Make the entries of a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_private(
    path: Path, data: bytes, *, mode: int = 0o600, keeper: tuple[int, int] | None = None
) -> None:
    """Replace `path` by `data` at once and durably; the new file belongs to us, or to `keeper` (user, group).

    Raises:
        DiskFull, StoreError: it could not be written; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            os.fchmod(fd, mode)
            if keeper is not None:
                os.fchown(fd, *keeper)
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(error, path) from error


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte of `data`; a short write (a disk that fills up) is tried again and then raises."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read_private(path: Path, *, limit: int = 1_048_576, secret: bool = True) -> bytes:
    """The bytes of `path`, at most `limit`.

    Raises:
        InsecurePermissions: `secret`, and group or others may read it, or it belongs to somebody else.
        StoreError: missing, unreadable or larger than `limit`.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise disk_error(error, path, doing="read") from error
    try:
        found = os.fstat(fd)
        if secret and found.st_uid not in (os.geteuid(), 0):
            raise InsecurePermissions(f"{path} belongs to another user.", hint="It must belong to you.")
        if secret and stat.S_IMODE(found.st_mode) & 0o077:
            raise InsecurePermissions(f"{path} can be read by others.", hint=f"Run: chmod 600 {path}")
        if found.st_size > limit:
            raise StoreError(f"{path} has {found.st_size} bytes where at most {limit} are expected.")
        data = bytearray()
        while len(data) <= limit and (piece := os.read(fd, limit + 1 - len(data))):
            data += piece
    except OSError as error:
        raise disk_error(error, path, doing="read") from error
    finally:
        os.close(fd)
    if len(data) > limit:
        raise StoreError(f"{path} has more than {limit} bytes.")
    return bytes(data)


def socket_path(path: Path, *, fallback: Path | None = None) -> Path:
    """`path`, or a short stand-in for it when it is too long for a Unix socket.

    The stand-in lives in `fallback`, by default `/tmp/kindmesh-<uid>`, made private: the same for every process of
    the user, whatever its environment. The same long path always gives the same stand-in.

    Raises:
        InsecurePermissions: the fallback folder belongs to another user.
    """
    absolute = Path(os.path.abspath(path))
    if len(os.fsencode(absolute)) <= SOCKET_PATH_MAX:
        return absolute
    if fallback is None:
        fallback = Path("/", "tmp", f"kindmesh-{os.geteuid()}")
    if fallback.is_symlink():
        raise InsecurePermissions(f"{fallback} is a link.", hint="Remove it.")
    private_folder(fallback)
    name = hashlib.sha256(os.fsencode(absolute)).hexdigest()[:24]
    return fallback / f"{name}.sock"


__all__ = [
    "SOCKET_PATH_MAX",
    "disk_error",
    "private_folder",
    "read_private",
    "socket_path",
    "sync_folder",
    "write_all",
    "write_private",
]
