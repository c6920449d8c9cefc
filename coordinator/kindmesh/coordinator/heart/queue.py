"""Jobs that wait for a free place: by operation, emergencies first, then by age, interactive ones `AGING_MS` older than
they are: a background job is passed by interactive ones that came up to so much later, and by none after that.

A job may leave by itself (it was placed by a retry, cancelled, or expired); it is skipped when its turn comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from kindmesh.coordinator.heart.entry import RANKS, Entry

LOOK_AHEAD: Final = 64
"""How many jobs for one certain device may be passed over to find one that can go."""
AGING_MS: Final = 30_000
"""So much longer than an interactive job a background job waits at most."""
_HEAD_START_MS: Final = {"emergency": 1 << 48, "interactive": AGING_MS, "background": 0}


class PlaceQueue:
    """See the module."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[deque[Entry], ...]] = {}

    def add(self, entry: Entry, now_ms: int) -> None:
        """Wait, unless it does already."""
        if entry.queued:
            return
        entry.queued, entry.queued_ms = True, now_ms
        lines = self._lines.get(entry.facts.operation)
        if lines is None:
            lines = self._lines[entry.facts.operation] = tuple(deque() for _ in RANKS)
        lines[RANKS[entry.facts.priority]].append(entry)

    def waiting(self, operation: str) -> int:
        """How many wait for it, those that have left since included until their turn comes."""
        return sum(len(line) for line in self._lines.get(operation, ()))

    def is_before(self, entry: Entry, device: bytes, now_ms: int) -> bool:
        """Whether somebody in line has the better right to a place on this device than a job that comes now."""
        lines = self._lines.get(entry.facts.operation, ())
        mine = now_ms - _HEAD_START_MS[entry.facts.priority]
        for line in lines:
            for _, waiting in zip(range(LOOK_AHEAD), line, strict=False):
                if not _waits(waiting) or waiting.request.target not in (b"", device):
                    continue
                if _since(waiting) <= mine:
                    return True
                break
        return False

    def refill(self, try_place: Callable[[Entry], bool]) -> None:
        """Offer free places; `try_place` says whether the job has one now."""
        for operation in list(self._lines):
            lines = self._lines[operation]
            passed: list[Entry] = []
            for entry in _in_turn(lines):
                if not _waits(entry) or try_place(entry):
                    entry.queued = False
                    continue
                passed.append(entry)
                if not entry.request.target or len(passed) >= LOOK_AHEAD:
                    break
            for entry in reversed(passed):
                lines[RANKS[entry.facts.priority]].appendleft(entry)
            if not any(lines):
                del self._lines[operation]

    def __bool__(self) -> bool:
        return bool(self._lines)


def _waits(entry: Entry) -> bool:
    return entry.queued and entry.machine.wants_place


def _since(entry: Entry) -> int:
    return entry.queued_ms - _HEAD_START_MS[entry.facts.priority]


def _in_turn(lines: tuple[deque[Entry], ...]) -> Iterator[Entry]:
    """Take one after the other out of the lines, whose turn it is."""
    while heads := [line for line in lines if line]:
        yield min(heads, key=lambda line: _since(line[0])).popleft()


__all__ = ["AGING_MS", "LOOK_AHEAD", "PlaceQueue"]
