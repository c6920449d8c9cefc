"""The state folder: where one identity keeps everything, and who may use it now.

One folder holds configuration, keys, journals and sockets, because one identity is backed up, moved and removed as a
whole. Where it is: the path given, else `KINDMESH_HOME`, else `$XDG_STATE_HOME/kindmesh` (default
`~/.local/state/kindmesh`); only `config.toml`, which a person edits, is looked for in
`$XDG_CONFIG_HOME/kindmesh` (default `~/.config/kindmesh`) when the folder came from XDG.

    config.toml            settings
    identity/              this device's keys and certificate, boot counter
    node/                  journal.db, artifacts/, data/
    coordinator/           the coordinator's identity and journal.db
    medulla/               Medulla's keys and state; run/ has its socket
    owner/                 the owner's key, sealed under the passphrase
    run/                   sockets and locks

A role (`node`, `coordinator`, `medulla`, ...) is held by `flock` on `run/<role>.lock`: the kernel releases it when
the process ends, however it ends. The file tells who holds it; it is never removed: removing a lock file is a race.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kindmesh.mesh.files import disk_error, private_folder, socket_path, write_all
from kindmesh.protocol.errors import HomeInUse, StoreError

RECOVERY_KIT: Final = "recovery-kit.txt"
_GRACE: Final = 200
_ROLE: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Home:
    """Paths inside one state folder. Making a `Home` touches nothing; `create` and `lock` do."""

    __slots__ = ("config_file", "root")

    def __init__(self, root: Path, config_file: Path | None = None) -> None:
        self.root = Path(os.path.abspath(root))
        self.config_file = config_file or self.root / "config.toml"

    @classmethod
    def locate(cls, path: Path | str | None = None, env: Mapping[str, str] | None = None) -> Home:
        """The state folder for this user: `path`, else `KINDMESH_HOME`, else by XDG. Need not exist yet."""
        env = os.environ if env is None else env
        chosen = os.fspath(path) if path is not None else env.get("KINDMESH_HOME", "")
        if chosen:
            return cls(Path(os.path.expanduser(chosen)))
        user = Path(env.get("HOME") or os.path.expanduser("~"))
        state = _xdg(env, "XDG_STATE_HOME", user / ".local" / "state") / "kindmesh"
        config = _xdg(env, "XDG_CONFIG_HOME", user / ".config") / "kindmesh" / "config.toml"
        return cls(state, config)

    @property
    def identity(self) -> Path:
        """Keys, certificate, mesh bundle and boot counter of this device."""
        return self.root / "identity"

    @property
    def node(self) -> Path:
        """The node's own folder."""
        return self.root / "node"

    @property
    def node_journal(self) -> Path:
        """The node's store."""
        return self.node / "journal.db"

    @property
    def artifacts(self) -> Path:
        """Sealed artifacts held by this node."""
        return self.node / "artifacts"

    @property
    def data(self) -> Path:
        """What capabilities keep, one folder each."""
        return self.node / "data"

    @property
    def coordinator(self) -> Path:
        """The coordinator's identity and journal; exists on the coordinator's device only."""
        return self.root / "coordinator"

    @property
    def coordinator_journal(self) -> Path:
        """The coordinator's store."""
        return self.coordinator / "journal.db"

    @property
    def returning(self) -> Path:
        """A mark: this coordinator was made from the recovery kit, and takes members of before back."""
        return self.coordinator / "returning"

    @property
    def medulla(self) -> Path:
        """Medulla's keys and state; nobody else's business."""
        return self.root / "medulla"

    @property
    def owner(self) -> Path:
        """The owner's key, sealed under the passphrase."""
        return self.root / "owner"

    @property
    def run(self) -> Path:
        """Sockets and locks."""
        return self.root / "run"

    @property
    def recovery_kit(self) -> Path:
        """What the owner prints and puts away."""
        return self.root / RECOVERY_KIT

    def socket(self, name: str) -> Path:
        """Where the control socket `name` (`node`, `coordinator`, `medulla`) listens; short enough for the kernel."""
        folder = self.medulla / "run" if name == "medulla" else self.run
        return socket_path(folder / f"{name}.sock")

    def create(self) -> Home:
        """Make the folder and the parts that every device has, 0700. Doing it again is harmless."""
        for folder in (self.root, self.identity, self.node, self.artifacts, self.data, self.run):
            private_folder(folder)
        return self

    def exists(self) -> bool:
        """True when the folder is there."""
        return self.root.is_dir()

    def lock(self, role: str) -> HomeLock:
        """Hold `role` in this folder until the lock is released or the process ends.

        Raises:
            HomeInUse: another process holds it; the error names its process id.
            DiskFull, StoreError: the lock file cannot be made.
        """
        if not _ROLE.fullmatch(role):
            raise ValueError("a role is a short lower-case word")
        private_folder(self.run)
        path = self.run / f"{role}.lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise disk_error(error, path, doing="open") from error
        if not _take(fd):
            holder = _holder(fd)
            os.close(fd)
            raise _in_use(self.root, role, holder)
        try:
            os.ftruncate(fd, 0)
            os.lseek(fd, 0, os.SEEK_SET)
            write_all(fd, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(fd)
            raise disk_error(error, path) from error
        return HomeLock(role, fd)

    def holder(self, role: str) -> int | None:
        """Process id of whoever holds `role` now, or None when nobody does.

        Raises:
            StoreError: the lock file cannot be read.
        """
        path = self.run / f"{role}.lock"
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"Could not read {path}: {error.strerror}.") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(fd)
        finally:
            os.close(fd)
        return None

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"


class HomeLock:
    """A held role; `release` (or the end of the process) gives it back. Also a context manager."""

    __slots__ = ("_fd", "role")

    def __init__(self, role: str, fd: int) -> None:
        self.role = role
        self._fd = fd

    def release(self) -> None:
        """Give the role back; again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _take(fd: int) -> bool:
    """Take the lock if nobody keeps it; `holder` shares it for some microseconds, which must not look like an owner."""
    for _ in range(_GRACE):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.sched_yield()
        else:
            return True
    return False


def _xdg(env: Mapping[str, str], name: str, default: Path) -> Path:
    """XDG base directory specification: a relative path in the variable is invalid and ignored."""
    value = env.get(name, "")
    return Path(value) if value.startswith("/") else default


def _holder(fd: int) -> int:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _in_use(root: Path, role: str, pid: int) -> HomeInUse:
    who = f"process {pid}" if pid else "another process"
    stop = f"Stop it (kill {pid}), or use" if pid else "Stop it, or use"
    return HomeInUse(
        f"{root} is in use: {who} already runs its {role}.",
        hint=f"{stop} another folder with KINDMESH_HOME.",
    )


__all__ = ["Home", "HomeLock"]
