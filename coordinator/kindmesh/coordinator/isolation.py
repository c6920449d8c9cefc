"""How Medulla is kept apart from the coordinator on this system: found out by trying, never by guessing.

    uid       root started us: Medulla runs as a user of its own, coordinator and node as another
    landlock  Medulla cannot be looked into (not dumpable), the coordinator is confined so that it can neither read
        Medulla's or the owner's files nor steer a process outside its domain
    none      neither works here: Medulla says so in every permit and allows nothing beyond read and notify

For `uid` the interpreter must start, import Kindmesh and reach the state folder as those users: a child tries it. For
`landlock` a child applies the coordinator's very sandbox and then tries to break out of it in each way that matters.
User ids: `kindmesh-medulla` and `kindmesh` where such users exist, else two from 61184-65519 (which systemd leaves to
dynamic users) chosen by the folder's path; a folder that belongs to a user keeps that user for coordinator and node.
What remains under `landlock` (same user): changing modes or times of Medulla's files is not restricted (landlock.rst),
which can stop Medulla but shows nothing; and before Landlock ABI 9 a hijacked coordinator can reach services of the
same user by their Unix sockets (a session manager, a container engine) and ask those to act for it. Own users close
both. `give_back` undoes the change of owners; the `owner` folder is never changed, so it remembers whose the rest was.
"""

from __future__ import annotations

import glob
import grp
import hashlib
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kindmesh.coordinator.isolation_tries import tries_to_start
from kindmesh.mesh import confine
from kindmesh.mesh.confine import Sandbox, User
from kindmesh.mesh.home import RECOVERY_KIT, Home
from kindmesh.protocol.errors import ConfigError, ConfinementFailed, KindmeshError

Isolation = Literal["uid", "landlock", "none"]

_FIRST_UID, _UIDS = 61_184, 4_336
_TIMEOUT_S: Final = 30
_PRIVATE, _SEARCHABLE, _GROUP_SEARCHABLE = 0o700, 0o711, 0o2710
_DEVICE_GROUPS: Final = ("audio", "video", "render", "i2c", "gpio", "spi", "dialout", "input", "bluetooth")
_DEVICES: Final = (
    "/dev/snd", "/dev/video*", "/dev/media*", "/dev/dri", "/dev/input", "/dev/i2c-*", "/dev/spidev*", "/dev/gpiochip*",
    "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*", "/dev/hidraw*", "/dev/bus/usb", "/dev/nvidia*", "/dev/kfd",
    "/dev/vchiq", "/dev/dma_heap", "/dev/rtc*",
)  # fmt: skip
_ROOT_ONLY: Final = ("owner", RECOVERY_KIT)


@dataclass(frozen=True, slots=True)
class IsolationPlan:
    """`medulla` and `others` are users to become (None: stay who we are); `reasons` why nothing stronger was
    possible. `node_confined` (landlock): this device's node is kept out of Medulla's and the owner's files; where it
    could not be, `node_reasons` say why.
    """

    mode: Isolation
    medulla: User | None = None
    others: User | None = None
    reasons: tuple[str, ...] = ()
    node_confined: bool = False
    node_reasons: tuple[str, ...] = ()


def coordinator_sandbox(home: Home, user: User | None = None, anchor: str = "") -> Sandbox:
    """What the coordinator is left with: its own folder, the sockets and the folder of the audit's `anchor`; nothing of
    Medulla's, the owner's or the node's.
    """
    runtime = confine.runtime_paths(home.root)
    socket_folder = home.socket("coordinator").parent
    anchors = [Path(os.path.realpath(os.path.expanduser(anchor)))] if anchor else []
    root = Path(os.path.realpath(home.root))
    if any(folder in (root, *root.parents) or root in folder.parents for folder in anchors):
        anchors = []  # a folder around or inside the state folder would open what is kept apart
    return Sandbox(
        read=["/etc", "/proc", "/sys", "/run/systemd/resolve", "/usr/share/zoneinfo", home.config_file],
        write=[home.coordinator, home.run, socket_folder, *anchors],
        execute=runtime,
        devices=["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"],
        connect=[home.medulla / "run", home.socket("medulla").parent, home.run, "/run/systemd/resolve"],
        user=user,
    )


def node_sandbox(home: Home, folders: Sequence[str] = ()) -> Sandbox:
    """What this device's node is left with beside Medulla (landlock): its own folders, the programs and devices that
    capabilities use, and the `folders` that the owner named; nothing of Medulla's, the owner's or the coordinator's.

    Raises:
        ConfigError: a folder that contains the state folder, or lies in it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    user = os.path.expanduser("~")
    sound = [f"{runtime}/pulse", f"{runtime}/pipewire-0", f"{user}/.config/pulse", f"{user}/.asoundrc"]
    player = os.environ.get("KINDMESH_PLAYER", "")
    programs = [player] if player and os.path.isabs(player) else []
    read: list[str | os.PathLike[str]] = [
        "/etc", "/proc", "/sys", "/run/systemd/resolve", "/run/udev", "/var/lib/alsa", "/usr/share/zoneinfo", *sound,
        home.config_file,
    ]  # fmt: skip
    write: list[str | os.PathLike[str]] = [
        home.identity, home.node, home.root / "people", home.run, home.socket("node").parent, "/dev/shm",  # noqa: S108
    ]  # fmt: skip
    return Sandbox(
        read=_apart(home, read),
        write=[*_apart(home, write), *_chosen(home, folders)],
        execute=[*confine.runtime_paths(home.root), *_apart(home, programs)],
        devices=[
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/urandom",
            "/dev/random",
            "/dev/tty",
            *_devices(),
        ],
        connect=[home.run, home.socket("node").parent, runtime, "/run/systemd/resolve", "/run/dbus"],
        deny_steering=True,
    )


def _apart(home: Home, paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Those that do not contain the state folder: a rule for them would open all that is kept apart."""
    root = os.path.realpath(home.root)
    real = [os.path.realpath(path) for path in paths]
    return [path for path in real if os.path.commonpath([path, root]) != path]


def _chosen(home: Home, folders: Sequence[str]) -> list[str]:
    root = os.path.realpath(home.root)
    chosen = [os.path.realpath(os.path.expanduser(folder)) for folder in folders]
    for folder in chosen:
        if os.path.commonpath([folder, root]) in (folder, root):
            raise ConfigError(
                f"the folder {folder} holds Kindmesh's own state, or lies in it",
                hint="Name another one under [node] folders in config.toml.",
            )
    return chosen


def _devices() -> list[str]:
    return sorted(found for pattern in _DEVICES for found in glob.glob(pattern))


def choose_isolation(home: Home, folders: Sequence[str] = ()) -> IsolationPlan:
    """The strongest mode that works here. Tries things in child processes; changes nothing. `folders`: see
    `node_sandbox`.

    Raises:
        ConfigError: a folder that cannot be one.
    """
    _chosen(home, folders)
    reasons: list[str] = []
    if sys.platform != "linux":
        return IsolationPlan("none", reasons=(f"{sys.platform} has neither own users for this nor Landlock",))
    plan = _try_users(home, reasons)
    if plan is not None:
        return plan
    failed = _in_child(lambda: _break_out(home, os.getppid()))
    if not failed:
        open_still = _in_child(lambda: _break_out_as_node(home, folders, os.getppid()))
        return IsolationPlan(
            "landlock", reasons=tuple(reasons), node_confined=not open_still, node_reasons=tuple(open_still)
        )
    return IsolationPlan("none", reasons=(*reasons, *failed))


# ------------------------------------------------------------------------------------------------------ own users


def _try_users(home: Home, reasons: list[str]) -> IsolationPlan | None:
    if os.geteuid() != 0:
        reasons.append("own users need root")
        return None
    if home.socket("medulla").parent != home.medulla / "run":
        reasons.append("own users need a shorter path of the state folder")
        return None
    medulla, others = _users(home)
    for user in (medulla, others):
        problem = _reachable(home, user)
        if problem:
            reasons.append(f"own users cannot work here ({problem})")
            return None
    return IsolationPlan("uid", medulla, others, tuple(reasons))


def _users(home: Home) -> tuple[User, User]:
    slot = int.from_bytes(hashlib.sha256(os.fsencode(home.root)).digest()[:4], "big") % (_UIDS // 2)
    owner = home.owner.stat()
    medulla_id = _named("kindmesh-medulla") or _FIRST_UID + 2 * slot
    if owner.st_uid != 0:
        others_id, others_gid = owner.st_uid, owner.st_gid
    else:
        others_id = others_gid = _named("kindmesh") or _FIRST_UID + 2 * slot + 1
    return User(medulla_id, medulla_id, (others_gid,)), User(others_id, others_gid, _device_groups())


def _named(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _device_groups() -> tuple[int, ...]:
    return tuple(group.gr_gid for group in grp.getgrall() if group.gr_name in _DEVICE_GROUPS)


def _reachable(home: Home, user: User) -> str:
    """Why `user` cannot run Kindmesh in this folder, or an empty text."""
    try:
        tried = subprocess.run(
            tries_to_start("medulla", home.root),
            user=user.uid,
            group=user.gid,
            extra_groups=list(user.groups),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        closed = _closed_above(sys.executable)
        if closed:
            return f"Python lies below {closed}, which is closed to other users"
        return f"user {user.uid} cannot start {sys.executable} ({type(error).__name__})"
    if tried.returncode == 0:
        return ""
    last = tried.stderr.decode(errors="replace").strip().splitlines()
    return f"user {user.uid}: {last[-1] if last else 'it ended'}"


def _closed_above(program: str) -> str:
    """The first folder on the way to a program, or to what it links to, that others may not pass through; or empty."""
    for path in (program, os.path.realpath(program)):
        for folder in reversed(Path(path).parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return os.fspath(folder)
    return ""


def take_over(home: Home, plan: IsolationPlan) -> None:
    """Give the folders to the users of the plan (mode uid), or back to their owner (other modes).

    Raises:
        ConfinementFailed: an owner could not be changed.
    """
    if plan.medulla is None or plan.others is None:
        give_back(home)
        return
    others, medulla = plan.others, plan.medulla
    try:
        for entry in home.root.iterdir():
            if entry.name not in (*_ROOT_ONLY, home.medulla.name):
                _chown_tree(entry, others.uid, others.gid)
        _chown_tree(home.medulla, medulla.uid, medulla.gid)
        with _opened(home.medulla) as folder:
            if "run" not in os.listdir(folder):
                os.mkdir("run", dir_fd=folder)
            with _opened("run", folder) as run:
                os.fchown(run, medulla.uid, others.gid)
                os.fchmod(run, _GROUP_SEARCHABLE)
            os.fchmod(folder, _SEARCHABLE)
        os.chmod(home.root, _SEARCHABLE)
    except OSError as error:
        raise ConfinementFailed(
            f"the state folder could not be given to its users: {error.strerror}"
        ) from error


def give_back(home: Home) -> None:
    """Everything belongs again to whoever owns `owner/`, private. Does nothing when it does already.

    Raises:
        ConfinementFailed: an owner could not be changed.
    """
    owner = home.owner.stat()
    if os.geteuid() != 0 or home.medulla.stat().st_uid == owner.st_uid:
        return
    try:
        for entry in home.root.iterdir():
            _chown_tree(entry, owner.st_uid, owner.st_gid)
        with _opened(home.medulla) as folder:
            with _opened("run", folder) as run:
                os.fchmod(run, _PRIVATE)
            os.fchmod(folder, _PRIVATE)
        os.chmod(home.root, _PRIVATE)
    except OSError as error:
        raise ConfinementFailed(f"the state folder could not be given back: {error.strerror}") from error


@contextmanager
def _opened(folder: Path | str, within: int | None = None) -> Iterator[int]:
    """A descriptor of a folder that is no link; raises OSError when it is one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _chown_tree(top: Path, uid: int, gid: int) -> None:
    """Links are not followed; runs as root, so a folder that others can write to must not lead elsewhere."""
    _chown(os.fspath(top), uid, gid)
    if top.is_symlink() or not top.is_dir():
        return
    for _, folders, files, descriptor in os.fwalk(top, follow_symlinks=False):
        for name in (*folders, *files):
            _chown(name, uid, gid, descriptor)


def _chown(name: str, uid: int, gid: int, within: int | None = None) -> None:
    found = os.stat(name, dir_fd=within, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and found.st_uid != uid:
        # The same file under a name elsewhere, which may be anybody's.
        raise ConfinementFailed(
            f"{os.path.basename(name)} in the state folder has another name elsewhere",
            hint="Put a copy in its place.",
        )
    os.chown(name, uid, gid, dir_fd=within, follow_symlinks=False)


# -------------------------------------------------------------------------------------------------------- landlock


def _break_out(home: Home, outside: int) -> list[str]:
    """In a child: confine it as the coordinator, then try what must not work. Returns what did work, in words."""
    done = confine.apply(coordinator_sandbox(home))
    if done.filesystem != "confined":
        return list(done.shortfalls)
    broken = _reached(home, outside, signals=done.signals == "refused")
    started = subprocess.run(
        tries_to_start("coordinator"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if started.returncode != 0:
        broken.append("a confined process cannot run Kindmesh: its program lies beside the state folder")
    return broken


def _break_out_as_node(home: Home, folders: Sequence[str], outside: int) -> list[str]:
    """In a child: confine it as this device's node, then try the same, and what the node has to be able to do."""
    done = confine.apply(node_sandbox(home, folders))
    if done.filesystem != "confined" or confine.NOT_MARKED in done.shortfalls:
        return list(done.shortfalls)
    broken = _reached(home, outside, signals=done.signals == "refused")
    if _opens(home.coordinator / "identity" / "device.key", os.O_RDONLY):
        broken.append("a confined node can still read the coordinator's key")
    started = subprocess.run(
        tries_to_start("node", home.identity, home.node, home.run),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if started.returncode != 0:
        last = started.stderr.decode(errors="replace").strip().splitlines()
        broken.append(f"a confined node cannot work: {last[-1] if last else 'it ended'}")
    return broken


def _reached(home: Home, outside: int, *, signals: bool) -> list[str]:
    """What a confined process still got at that it must not, in words."""
    broken = []
    for path in (home.medulla / "keys" / "issuer.key", home.owner / "owner.key"):
        for flags, verb in ((os.O_RDONLY, "read"), (os.O_WRONLY | os.O_APPEND, "write")):
            if _opens(path, flags):
                broken.append(f"a confined process can still {verb} {path.name}")
    if _opens(Path(f"/proc/{outside}/mem"), os.O_RDONLY):
        broken.append("a confined process can still read another's memory")
    if signals and _signals(outside):
        broken.append("a confined process can still signal another")
    return broken


def _opens(path: Path, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


def _signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _in_child(work: Callable[[], list[str]]) -> list[str]:
    """What `work` returns when run in a forked child; a child that fails counts as a finding."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.write(writing, json.dumps(work()).encode())
            code = 0
        except (KindmeshError, OSError, subprocess.SubprocessError) as error:
            os.write(2, f"isolation could not be tried: {error}\n".encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        return ["the coordinator's confinement could not be tried"]
    found: list[str] = json.loads(data)
    return found


__all__ = [
    "IsolationPlan",
    "choose_isolation",
    "coordinator_sandbox",
    "give_back",
    "node_sandbox",
    "take_over",
]
