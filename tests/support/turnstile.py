"""Tests of one run that share the machine, and tests that need it for themselves.

The suite runs in several processes at once. Nearly all tests may run beside any other; a test marked `alone` measures
time, processor or memory, or floods the machine, and runs while no other test of this run does.

Two locked files, as readers and writers share a room with a turnstile before its door: everybody passes the turnstile
one at a time; an ordinary test enters the room together with others, a lone one waits inside the turnstile until the
room is empty, so that nobody slips past it and it never waits for longer than the tests that are running. `flock(2)`
locks end with their process, so a worker that dies leaves nothing locked.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turnstile:
    """The locks of one run, in `folder`, which exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._gate = folder / "turnstile"
        self._room = folder / "room"

    @contextmanager
    def passed(self, *, alone: bool) -> Iterator[None]:
        """The block is one test; it is entered when it may begin."""
        with self._room.open("ab") as room:
            with self._gate.open("ab") as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield


__all__ = ["Turnstile"]
