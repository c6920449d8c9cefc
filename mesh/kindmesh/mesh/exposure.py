"""What of a state folder others than its user can get at: found by looking at modes and owners, changed by nobody here.

Looked at: the folder itself, each folder in it that holds something private, and there every key, store (with its log
`-wal`, index `-shm` and the copies made before migrations), socket, log, and what capabilities keep. While parts of
Kindmesh run as users of their own, others may pass through a folder (x) and the group may use Medulla's socket; that
much is allowed. A file 0644 inside a folder 0700 is not reached by others, but a copy of it might be: it counts.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InsecurePermissions

_PRIVATE: Final = ("identity", "node", "coordinator", "medulla", "owner", "people", "run", "logs", "audit")
_FILES: Final = (
    ".key",
    ".next",
    ".person",
    ".lock",
    ".db",
    "-wal",
    "-shm",
    ".backup",
    ".sock",
    ".log",
    ".old",
)
_DEPTH: Final = 3
_PASSING: Final = 0o011
_MOST: Final = 10_000


class Exposed(msgspec.Struct, frozen=True):
    """A file or folder, and what is wrong with it, in words."""

    path: Path
    why: str


def exposed(home: Home) -> list[Exposed]:
    """Everything that others can get at, the folder itself first. Folders that cannot be read are left out."""
    found: list[Exposed] = []
    if home.root.is_dir():
        keeper = home.root.stat().st_uid
        found += _look(home.root, folder=True, keeper=keeper)
        for name in _PRIVATE:
            found += _below(home.root / name, keeper)
        for path in (*home.root.glob("*.lock"), home.recovery_kit):
            if path.is_file():
                found += _look(path, folder=False, keeper=keeper)
    return found


def check_private(home: Home) -> None:
    """Refuse to go on with keys and journals that others can read.

    Raises:
        InsecurePermissions: names the first, and the command that mends them all.
    """
    found = exposed(home)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise InsecurePermissions(f"{found[0].path} {found[0].why}{more}", hint=f"Run: {mend(home)}")


def mend(home: Home) -> str:
    """The command that makes the state folder private again."""
    return f"chmod -R go= {shlex.quote(os.fspath(home.root))}"


def _below(top: Path, keeper: int) -> Iterator[Exposed]:
    if not top.is_dir() or top.is_symlink():
        return
    yield from _look(top, folder=True, keeper=keeper)
    seen = 0
    for folder, folders, files in os.walk(top):
        depth = len(Path(folder).relative_to(top).parts)
        if depth >= _DEPTH:
            folders.clear()
        for name in folders:
            if depth == 0:
                yield from _look(Path(folder, name), folder=True, keeper=keeper)
        for name in files:
            seen += 1
            if seen > _MOST:
                return
            if name.endswith(_FILES):
                yield from _look(Path(folder, name), folder=False, keeper=keeper)


def _look(path: Path, *, folder: bool, keeper: int) -> Iterator[Exposed]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(found.st_mode) & 0o077
    if stat.S_ISSOCK(found.st_mode):
        mode &= 0o007
    elif folder:
        mode &= ~_PASSING
    if mode:
        yield Exposed(path, "can be changed by others" if mode & 0o022 else "can be read by others")


__all__ = ["Exposed", "check_private", "exposed", "mend"]
