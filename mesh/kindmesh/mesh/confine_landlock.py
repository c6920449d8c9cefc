"""Landlock: taking file, TCP, signal and ptrace rights away from the calling process, for good.

What it decides: given lists of paths, which rights survive on each, and which parts of the request this
kernel can honour.

Facts, from the kernel's Documentation/userspace-api/landlock.rst, include/uapi/linux/landlock.h and
landlock(7):
- a ruleset *handles* rights; a handled right that no rule allows is refused. Files already open keep their
  rights;
- one thread is restricted and everything it starts later, never its siblings: call before any thread is
  started;
- ABI 1 files; 2 reparenting (always refused on ABI 1); 3 truncation; 4 TCP bind and connect; 5 ioctl on
  devices; 6 scopes (abstract Unix sockets, signals); 9 connecting to Unix sockets by path. A kernel may claim
  ABI 6 without signal scope (a known backport), so scopes are tried from all to none and what was accepted is
  reported;
- a process in a domain can ptrace, or read /proc/PID/mem of, only processes in that same domain or beneath
  it;
- `no_new_privs` (or CAP_SYS_ADMIN) must be set first, or the call fails with EPERM.
The system call numbers 444-446 are the same on x86_64, aarch64 and armv7 (all calls since 5.1 are numbered
alike).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

__all__ = ["Landlocked", "landlock_abi", "landlock_restrict"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_RULE_PATH_BENEATH = 1
_NET_BIND_TCP, _NET_CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2


class _Fs(IntFlag):
    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15
    RESOLVE_UNIX = 1 << 16


_FIRST_ABI = {_Fs.REFER: 2, _Fs.TRUNCATE: 3, _Fs.IOCTL_DEV: 5, _Fs.RESOLVE_UNIX: 9}
_ON_FILES = _Fs.EXECUTE | _Fs.WRITE_FILE | _Fs.READ_FILE | _Fs.TRUNCATE | _Fs.IOCTL_DEV | _Fs.RESOLVE_UNIX
_READ = _Fs.READ_FILE | _Fs.READ_DIR
_WRITE = (
    _READ | _Fs.WRITE_FILE | _Fs.TRUNCATE | _Fs.REMOVE_DIR | _Fs.REMOVE_FILE | _Fs.MAKE_DIR | _Fs.MAKE_REG
    | _Fs.MAKE_SOCK | _Fs.MAKE_FIFO | _Fs.MAKE_SYM | _Fs.REFER | _Fs.RESOLVE_UNIX
)  # fmt: skip
_EXECUTE = _READ | _Fs.EXECUTE
_DEVICE = _READ | _Fs.WRITE_FILE | _Fs.TRUNCATE | _Fs.IOCTL_DEV


@dataclass(frozen=True, slots=True)
class Landlocked:
    """What one call really achieved. `abi` 0 means nothing was restricted; `reason` then says why, in plain
    words.
    """

    abi: int = 0
    filesystem: bool = False
    tcp: bool = False
    signals: bool = False
    abstract_sockets: bool = False
    path_sockets: bool = False
    absent: tuple[str, ...] = ()
    reason: str = ""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def landlock_abi() -> int:
    """The Landlock ABI version of this kernel, 0 where there is none.

    Android is answered 0 without asking: its seccomp policy for apps ends a process that makes an unlisted
    system call.
    """
    if sys.platform != "linux" or hasattr(sys, "getandroidapilevel") or "ANDROID_ROOT" in os.environ:
        return 0
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        return 0


def _supported(abi: int) -> _Fs:
    rights = _Fs(0)
    for right in _Fs:
        if _FIRST_ABI.get(right, 1) <= abi:
            rights |= right
    return rights


def _create(handled: _Fs, net: int, scope: int, abi: int) -> int:
    fields = (int(handled),) if abi < 4 else (int(handled), net) if abi < 6 else (int(handled), net, scope)
    attribute = struct.pack(f"={len(fields)}Q", *fields)
    return _call(_CREATE_RULESET, attribute, ctypes.c_size_t(len(attribute)), ctypes.c_uint32(0))


def _create_best(handled: _Fs, net: int, scope: int, abi: int) -> tuple[int, int]:
    for wanted in sorted({scope, scope & ~_SCOPE_SIGNAL, scope & ~_SCOPE_ABSTRACT_UNIX, 0}, reverse=True):
        try:
            return _create(handled, net, wanted, abi), wanted
        except OSError:
            if wanted == 0:
                raise
    raise AssertionError("the empty scope is always tried last")


def _allow(ruleset: int, path: str, rights: _Fs) -> bool:
    """Adds one rule; False when the path does not exist or may not be looked up."""
    try:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return False
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _ON_FILES
        rule = struct.pack("=Qi", int(rights), descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)
    return True


def landlock_restrict(
    *,
    read: Sequence[str | os.PathLike[str]] | None = None,
    write: Sequence[str | os.PathLike[str]] = (),
    execute: Sequence[str | os.PathLike[str]] = (),
    devices: Sequence[str | os.PathLike[str]] = (),
    connect: Sequence[str | os.PathLike[str]] = (),
    tcp: Literal["deny", "allow"] = "allow",
    scope_signals: bool = True,
    scope_abstract_sockets: bool = True,
) -> Landlocked:
    """Restricts the calling thread and all it starts. `no_new_privs` must be set; see `confine.no_new_privs`.

    `read`: hierarchies that stay readable; None leaves the file system alone (then the other path lists must
    be empty). `write` implies reading, creating and removing beneath; `execute` implies reading; `devices`
    allows read, write and ioctl; `connect` are the places of Unix sockets that may be connected to (enforced
    from ABI 9). Paths that do not exist are skipped and listed in `absent`. Never raises for a kernel that
    cannot: the answer says so.
    """
    abi = landlock_abi()
    if abi == 0:
        return Landlocked(reason="this system has no Landlock")
    if read is None and (write or execute or devices or connect):
        raise ValueError("path lists without `read` would open everything")
    supported = _supported(abi)
    handled = supported if read is not None else _Fs(0)
    net = (_NET_BIND_TCP | _NET_CONNECT_TCP) if tcp == "deny" and abi >= 4 else 0
    scope = (_SCOPE_SIGNAL * scope_signals | _SCOPE_ABSTRACT_UNIX * scope_abstract_sockets) if abi >= 6 else 0
    if not (handled or net or scope):
        return Landlocked(reason=f"Landlock ABI {abi} has none of what was asked")
    try:
        ruleset, scope = _create_best(handled, net, scope, abi)
    except OSError as error:
        return Landlocked(reason=f"Landlock refused the rules: {error.strerror}")
    absent: list[str] = []
    try:
        wanted: tuple[tuple[Iterable[str | os.PathLike[str]], _Fs], ...] = (
            (read or (), _READ), (write, _WRITE), (execute, _EXECUTE), (devices, _DEVICE),
            (connect, _Fs.RESOLVE_UNIX),
        )  # fmt: skip
        for paths, rights in wanted:
            names = [os.fspath(path) for path in paths] if rights & handled else []
            absent.extend(name for name in names if not _allow(ruleset, name, rights & handled))
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    except OSError as error:
        return Landlocked(reason=f"Landlock refused to restrict: {error.strerror}", absent=tuple(absent))
    finally:
        os.close(ruleset)
    return Landlocked(
        abi=abi,
        filesystem=bool(handled),
        tcp=bool(net),
        signals=bool(scope & _SCOPE_SIGNAL),
        abstract_sockets=bool(scope & _SCOPE_ABSTRACT_UNIX),
        path_sockets=bool(handled & _Fs.RESOLVE_UNIX),
        absent=tuple(absent),
    )
