"""A seccomp filter with one purpose: no socket of any family but Unix.

What it decides: for each system call, allow or answer with an error. Refused: `socket` with a domain other
than AF_UNIX (EACCES), `io_uring_setup` (ENOSYS; a ring can open sockets without `socket`), every call made
through another calling convention than the process's own (EPERM; a 64-bit process could otherwise use the
32-bit or x32 table, whose numbers differ). Everything else stays allowed: files are Landlock's business.

Facts: seccomp(2) and Documentation/userspace-api/seccomp_filter.rst. A filter sees `struct seccomp_data {int
nr; u32 arch; u64 instruction_pointer; u64 args[6]}`; the domain is the low half of args[0], at offset 16 on
little-endian machines, and the kernel itself ignores the upper half. Filters survive fork and exec and cannot
be removed; `no_new_privs` must be set. Machines: x86_64, aarch64, armv7 (EABI, which has no `socketcall`).
Elsewhere nothing is installed and False is returned.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

__all__ = ["deny_network_sockets"]

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_OFFSET_NR, _OFFSET_ARCH, _OFFSET_DOMAIN = 0, 4, 16
_AF_UNIX = 1
_IO_URING_SETUP = 425
_X32_BIT = 0x40000000
#: machine -> (AUDIT_ARCH value, number of `socket`); linux/audit.h, asm/unistd.h
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198), "arm": (0x40000028, 281)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _machine() -> str:
    name = os.uname().machine
    wide = struct.calcsize("P") == 8
    if name == "x86_64":
        return name if wide else ""
    if name == "aarch64":
        return name if wide else "arm"
    return "arm" if name.startswith(("armv7", "armv8")) else ""


def _program(arch: int, socket_number: int) -> bytes:
    def line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    # Jumps count instructions to skip; the four answers stand at the end, in this order.
    other_table, no_ring, no_socket, allow = 8, 9, 10, 11
    body = [
        line(_LOAD_WORD, _OFFSET_ARCH),
        line(_JUMP_EQUAL, arch, 0, other_table - 2),
        line(_LOAD_WORD, _OFFSET_NR),
        line(_JUMP_AT_LEAST, _X32_BIT, other_table - 4, 0),
        line(_JUMP_EQUAL, _IO_URING_SETUP, no_ring - 5, 0),
        line(_JUMP_EQUAL, socket_number, 0, allow - 6),
        line(_LOAD_WORD, _OFFSET_DOMAIN),
        line(_JUMP_EQUAL, _AF_UNIX, allow - 8, no_socket - 8),
        line(_RETURN, _ERRNO | errno.EPERM),
        line(_RETURN, _ERRNO | errno.ENOSYS),
        line(_RETURN, _ERRNO | errno.EACCES),
        line(_RETURN, _ALLOW),
    ]
    return b"".join(body)


def deny_network_sockets() -> bool:
    """Installs the filter on the calling thread and all it starts; True when the kernel took it."""
    if sys.platform != "linux":
        return False
    machine = _MACHINES.get(_machine())
    if machine is None or sys.byteorder != "little":
        return False
    code = _program(*machine)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    result: int = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program), zero, zero)
    return result == 0
