"""Seccomp filters: no socket of any family but Unix; and no steering of other processes, the kernel or mounts.

What the first decides: for each system call, allow or answer with an error. Refused: `socket` with a domain other
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

__all__ = ["deny_network_sockets", "deny_steering"]

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
    return _install(_program(*machine))


def _install(code: bytes) -> bool:
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    result: int = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program), zero, zero)
    return result == 0


#: by machine: ptrace, process_vm_readv, process_vm_writev, mount, umount2, pivot_root, add_key, request_key, keyctl,
#: bpf, perf_event_open, userfaultfd, kexec_load, init_module, finit_module, delete_module, open_by_handle_at,
#: pidfd_getfd
_STEERING = {
    "x86_64": (101, 310, 311, 165, 166, 155, 248, 249, 250, 321, 298, 323, 246, 175, 313, 176, 304, 438),
    "aarch64": (117, 270, 271, 40, 39, 41, 217, 218, 219, 280, 241, 282, 104, 105, 273, 106, 265, 438),
    "arm": (26, 376, 377, 21, 52, 218, 309, 310, 311, 386, 364, 388, 347, 128, 379, 129, 371, 438),
}


def deny_steering() -> bool:
    """Takes the calls away by which a process steers others, the kernel or its mounts; True when the kernel took it.

    Also a mark: a filter cannot be removed, so /proc/PID/status (`Seccomp_filters`) tells a process that has it, and
    all that it starts, from one that has not.
    """
    if sys.platform != "linux" or sys.byteorder != "little":
        return False
    machine = _machine()
    if machine not in _MACHINES:
        return False
    numbers = _STEERING[machine]
    arch, _ = _MACHINES[machine]

    def line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    # The two answers stand at the end: allow, refuse. Jumps count instructions to skip.
    refuse = 5 + len(numbers)
    body = [
        line(_LOAD_WORD, _OFFSET_ARCH),
        line(_JUMP_EQUAL, arch, 0, refuse - 2),
        line(_LOAD_WORD, _OFFSET_NR),
        line(_JUMP_AT_LEAST, _X32_BIT, refuse - 4, 0),
        *(line(_JUMP_EQUAL, number, refuse - 5 - index, 0) for index, number in enumerate(numbers)),
    ]
    body += [line(_RETURN, _ALLOW), line(_RETURN, _ERRNO | errno.EPERM)]
    return _install(b"".join(body))
