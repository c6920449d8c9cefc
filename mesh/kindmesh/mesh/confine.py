"""Taking rights away from the calling process for good, and saying truthfully what was achieved.

A `Sandbox` is the request, `apply` does as much of it as this system can, a `Confinement` is the answer.
Rules:
- what the answer claims was observed after the fact (a socket was tried, the flag was read back), not
  assumed;
- what could not be had is in `shortfalls`, in plain words; nothing is ever left half-claimed;
- the order is fixed: network namespace (needs root), capabilities' bounding set (needs root), user,
  no_new_privs, Landlock, seccomp, dumpable; each step would be impossible or undone after the later ones;
- call before any thread is started: Landlock and seccomp bind one thread and what it starts later;
- everything survives fork and exec except `non_dumpable`: exec makes a process dumpable again, so a program
  that keeps secrets calls it first thing in its own main.
Facts: prctl(2), PR_SET_DUMPABLE(2const), capabilities(7), unshare(2), network_namespaces(7), kernel
documentation on no_new_privs; Landlock and seccomp in the two modules beside this one. On other systems than
Linux the answer is honest: open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kindmesh.mesh.confine_landlock import Landlocked, landlock_abi, landlock_restrict
from kindmesh.mesh.confine_seccomp import deny_network_sockets, deny_steering
from kindmesh.protocol.errors import ConfinementFailed

if sys.platform != "win32":
    import resource

__all__ = [
    "NOT_MARKED", "Confinement", "Landlocked", "Sandbox", "User", "apply", "deny_steering", "die_with_parent",
    "drop_capabilities",
    "drop_user", "landlock_abi", "landlock_restrict", "network_reach", "no_network", "no_new_privs",
    "non_dumpable", "runtime_paths",
]  # fmt: skip

NOT_MARKED = "the calls that steer other processes are not refused (no seccomp here)"
NetworkReach = Literal["none", "tcp-denied", "open"]

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 1, 3, 4
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 24, 38, 39
_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 47, 4
_CLONE_NEWNET = 0x40000000
_CAPABILITY_VERSION_3 = 0x20080522
_Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class User:
    """A user to become: numeric ids, and the groups to belong to besides `gid`."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a process shall be left with. Path lists as in `landlock_restrict`; `read=None` leaves files
    alone.
    """

    read: Sequence[_Path] | None = None
    write: Sequence[_Path] = ()
    execute: Sequence[_Path] = ()
    devices: Sequence[_Path] = ()
    connect: Sequence[_Path] = ()
    network: Literal["none", "open"] = "open"
    user: User | None = None
    drop_capabilities: bool = True
    scope_signals: bool = True
    scope_abstract_sockets: bool = True
    non_dumpable: bool = False
    deny_steering: bool = False


@dataclass(frozen=True, slots=True)
class Confinement:
    """What this process is really left with.

    `landlock_abi`: of the domain applied, 0 for none. `filesystem`: "confined" to the lists, or "open".
    `network`: "none" (no socket but Unix ones), "tcp-denied" (TCP refused, UDP not), "open". `ptrace`:
    "refused" (cannot look into or steer a process outside its domain), or "open" to processes of the same
    user. `signals`: likewise. `uid`: effective user.
    """

    landlock_abi: int
    filesystem: Literal["confined", "open"]
    network: NetworkReach
    ptrace: Literal["refused", "open"]
    signals: Literal["refused", "open"]
    no_new_privs: bool
    dumpable: bool
    uid: int
    shortfalls: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, object]:
        """For status replies and `doctor --json`."""
        return {name: getattr(self, name) for name in self.__slots__} | {"shortfalls": list(self.shortfalls)}


def _prctl(option: int, *arguments: int) -> int:
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [*arguments, 0, 0, 0, 0][:4]
    result: int = libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(value) for value in padded))
    return result


def no_new_privs() -> bool:
    """No exec gives this process rights any more (set-user-id programs, file capabilities); True when that
    holds.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return _prctl(_PR_GET_NO_NEW_PRIVS) == 1


def non_dumpable() -> bool:
    """No core dump, no ptrace and no /proc/PID/mem by another process without CAP_SYS_PTRACE; True when that
    holds.

    Undone by exec. Where the system has no such flag, core dumps are switched off all the same.
    """
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE) == 0


def die_with_parent(parent_pid: int, number: int = signal.SIGKILL) -> bool:
    """This process gets signal `number` when its parent thread ends. False when the parent is gone already,
    or no Linux.

    Call it after fork and after the user was changed (changing the user clears it); `parent_pid` is the
    expected parent.
    """
    return _prctl(_PR_SET_PDEATHSIG, int(number)) == 0 and os.getppid() == parent_pid


def _last_capability() -> int:
    try:
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 63


def _drop_bounding_set() -> None:
    for number in range(_last_capability() + 1):
        _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def drop_capabilities() -> bool:
    """Gives up every Linux capability, also for what is exec'ed later (bounding set); True when none is left.

    User 0 without capabilities is an ordinary user that owns root's files.
    """
    if sys.platform != "linux":
        return False
    _drop_bounding_set()
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    libc.capset(header, nothing)
    return _held_capabilities() == 0


def _held_capabilities() -> int:
    """Permitted, effective and inheritable capabilities together, as bits; -1 when that cannot be read."""
    held = 0
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")):
                    held |= int(line.split()[1], 16)
    except (OSError, ValueError):
        return -1
    return held


def drop_user(user: User) -> None:
    """Becomes `user` for good (real, effective and saved ids, groups).

    Raises:
        ConfinementFailed: not allowed to, or it did not hold; the caller must not go on.
    """
    try:
        os.setgroups(list(user.groups))
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise ConfinementFailed(f"cannot become user {user.uid}: {error.strerror}") from error
    if os.getresuid() != (user.uid,) * 3 or os.getresgid() != (user.gid,) * 3:
        raise ConfinementFailed(f"changing to user {user.uid} did not hold")


def network_reach() -> NetworkReach:
    """What this process can reach right now, by trying: opening sockets, listing interfaces, a TCP bind on
    loopback.
    """
    try:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        return "none"
    with udp:
        try:
            udp.connect(("127.0.0.1", 9))
        except OSError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
                return "none"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        try:
            tcp.bind(("127.0.0.1", 0))
        except PermissionError:
            return "tcp-denied"
        except OSError:
            return "open"
    return "open"


def _own_network_namespace() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    unshared: int = libc.unshare(ctypes.c_int(_CLONE_NEWNET))
    return unshared == 0


def no_network() -> NetworkReach:
    """Cuts the network with the strongest means there are: an own, empty network namespace (root), the
    seccomp filter on socket families, and Landlock's refusal of TCP. Returns what is left, by trying. Sets
    no_new_privs.
    """
    _own_network_namespace()
    no_new_privs()
    landlock_restrict(tcp="deny", scope_signals=False, scope_abstract_sockets=False)
    deny_network_sockets()
    return network_reach()


def runtime_paths(outside: _Path | None = None) -> list[str]:
    """What a Python program must be able to read and execute: the interpreter, its library, sys.path, shared libraries.

    Hierarchies that contain `outside` are left out: sys.path often begins with the current folder, which may hold all
    that shall be kept away.
    """
    found = ["/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"]
    found += [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    found += [path for path in sys.path if path]
    found += [os.path.dirname(os.path.realpath(sys.executable))]
    kept = {os.path.realpath(path) for path in found if os.path.exists(path)}
    if outside is not None:
        below = os.path.realpath(outside)
        kept = {path for path in kept if os.path.commonpath([path, below]) != path}
    return sorted(kept)


def apply(sandbox: Sandbox) -> Confinement:
    """Does what `sandbox` asks as far as this system can, in the one order that works, and reports what
    holds.

    Raises:
        ConfinementFailed: a user was asked for and could not be had, or threads are running already.
    """
    _refuse_threads()
    if sandbox.network == "none":
        _own_network_namespace()
    if sandbox.drop_capabilities and sys.platform == "linux":
        _drop_bounding_set()
    if sandbox.user is not None:
        drop_user(sandbox.user)
    if sandbox.drop_capabilities:
        drop_capabilities()
    privs = no_new_privs()
    landlocked = landlock_restrict(
        read=sandbox.read,
        write=sandbox.write,
        execute=sandbox.execute,
        devices=sandbox.devices,
        connect=sandbox.connect,
        tcp="deny" if sandbox.network == "none" else "allow",
        scope_signals=sandbox.scope_signals,
        scope_abstract_sockets=sandbox.scope_abstract_sockets,
    )
    if sandbox.network == "none":
        deny_network_sockets()
    steering = not sandbox.deny_steering or deny_steering()
    undumpable = sandbox.non_dumpable and non_dumpable()
    network = network_reach() if sandbox.network == "none" else "open"
    return Confinement(
        landlock_abi=landlocked.abi,
        filesystem="confined" if landlocked.filesystem else "open",
        network=network,
        ptrace="refused" if landlocked.abi else "open",
        signals="refused" if landlocked.signals else "open",
        no_new_privs=privs,
        dumpable=not undumpable,
        uid=os.geteuid() if hasattr(os, "geteuid") else -1,
        shortfalls=(
            *_shortfalls(sandbox, landlocked, network, privs, undumpable),
            *(() if steering else (NOT_MARKED,)),
        ),
    )


def _refuse_threads() -> None:
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        return
    if threads > 1:
        raise ConfinementFailed(
            f"{threads} threads run already; a process is restricted before it starts any"
        )


def _shortfalls(sandbox: Sandbox, done: Landlocked, network: str, privs: bool, undumpable: bool) -> list[str]:
    short = []
    if sandbox.read is not None and not done.filesystem:
        short.append(f"files are not restricted: {done.reason}")
    if sandbox.scope_signals and not done.signals:
        short.append("signals to other processes of the same user are not restricted (Landlock ABI 6 would)")
    if sandbox.read is not None and done.filesystem and not done.path_sockets:
        short.append("Unix sockets reachable by path are not restricted (Landlock ABI 9 would)")
    if sandbox.network == "none" and network != "none":
        short.append(f"the network is {network}, not none")
    if not privs:
        short.append("exec may still give new rights (no no_new_privs here)")
    if sandbox.non_dumpable and not undumpable:
        short.append("other processes of the same user may look into this one (no dumpable flag here)")
    if sandbox.drop_capabilities and _held_capabilities() not in (0, -1):
        short.append("some root capabilities could not be dropped")
    return short
