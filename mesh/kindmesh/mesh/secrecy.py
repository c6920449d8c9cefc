"""What other programs of this machine can see of a process: its arguments, its memory, its crashes.

Every user of a machine may read the arguments of every process (/proc/PID/cmdline), and crash reports keep them. So a
command that was given a secret as an argument writes over it, first thing: on Linux the arguments lie in the process's
own memory between `arg_start` and `arg_end` (proc_pid_stat(5), fields 48 and 49). What was there before, for the
moment that Python needs to start, cannot be undone: that is why every such command also takes `-`, standard input.
A process that holds keys leaves no core dump and cannot be looked into by others of the same user (PR_SET_DUMPABLE).
What the shell had open (a lock, a socket, a terminal of somebody else) is not handed on to what is started for ever.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kindmesh.mesh.confine import non_dumpable

OWNERS_VARIABLE: Final = "KINDMESH_PASSPHRASE"
"""Never handed on to a process that this one starts."""
_MARK: Final = ord("*")
_STANDARD: Final = 2
_DESCRIPTORS_MAX: Final = 65_536


def guard_process() -> bool:
    """No core dump and no look into this process by others, from now on; True when the system has such a switch."""
    return non_dumpable()


def hand_on_only(kept: Collection[int]) -> None:
    """Of all that is open here, a program that takes this process's place gets standard input, output and errors, and
    the descriptors `kept`."""
    for descriptor in _open_descriptors():
        # The list itself was read through a descriptor that is gone by now.
        with suppress(OSError):
            os.set_inheritable(descriptor, descriptor <= _STANDARD or descriptor in kept)


def _open_descriptors() -> Sequence[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:  # no such folder: as many as there could be
        return range(min(os.sysconf("SC_OPEN_MAX"), _DESCRIPTORS_MAX))


def hide_arguments(words: Sequence[str]) -> bool:
    """Write over each of `words` (whole arguments of this process); False where that cannot be done.

    The length stays to be seen, the text does not. A word is an argument, or what follows the `=` in one.
    """
    wanted = [word.encode(errors="surrogateescape") for word in words if word]
    sys.orig_argv[:] = [_hidden(word, words) for word in sys.orig_argv]
    if not wanted or sys.platform != "linux":
        return False
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
    except (OSError, IndexError, ValueError):
        return False
    if not 0 < start < end:
        return False
    position = start
    for argument in ctypes.string_at(start, end - start).split(b"\0"):
        for word in wanted:
            if argument == word or argument.endswith(b"=" + word):
                ctypes.memset(position + len(argument) - len(word), _MARK, len(word))
        position += len(argument) + 1
    return True


def _hidden(argument: str, words: Sequence[str]) -> str:
    for word in words:
        if word and (argument == word or argument.endswith(f"={word}")):
            return argument[: -len(word)] + "*" * len(word)
    return argument


__all__ = ["OWNERS_VARIABLE", "guard_process", "hand_on_only", "hide_arguments"]
