"""Jobs that wait for a free place: by operation, emergencies first, then in the order they came.

A job may leave by itself (it was placed by a retry, cancelled, or expired); it is skipped when its turn comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from kindmesh.coordinator.heart.entry import RANKS, Entry

LOOK_AHEAD: Final = 64
"""How many jobs for one certain device may be passed over to find one that can go."""


class PlaceQueue:
    """See the module."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[deque[Entry], ...]] = {}

    def add(self, entry: Entry) -> None:
        """Wait, unless it does already."""
        if entry.queued:
            return
        entry.queued = True
        lines = self._lines.get(entry.facts.operation)
        if lines is None:
            lines = self._lines[entry.facts.operation] = tuple(deque() for _ in RANKS)
        lines[RANKS[entry.facts.priority]].append(entry)

    def refill(self, try_place: Callable[[Entry], bool]) -> None:
        """Offer free places; `try_place` says whether the job has one now."""
        for operation in list(self._lines):
            lines = self._lines[operation]
            for line in lines:
                self._offer(line, try_place)
            if not any(lines):
                del self._lines[operation]

    def _offer(self, line: deque[Entry], try_place: Callable[[Entry], bool]) -> None:
        passed: list[Entry] = []
        while line:
            entry = line.popleft()
            if not entry.queued or not entry.machine.wants_place or try_place(entry):
                entry.queued = False
            else:
                passed.append(entry)
                if not entry.request.target or len(passed) >= LOOK_AHEAD:
                    break
        line.extendleft(reversed(passed))

    def __bool__(self) -> bool:
        return bool(self._lines)


__all__ = ["LOOK_AHEAD", "PlaceQueue"]
