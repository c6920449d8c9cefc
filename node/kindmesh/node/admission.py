"""Room for jobs: how many at once, of each operation and in all, with some kept free for emergencies. Pure.

`Busy` is an honest answer, not a queue: whoever places jobs knows other devices, and waits better than we do. Its hint
and the result's `ext` entry `retry_ms` estimate when there is room again, from how long the operation usually takes.
An operation that may run more than once at a time keeps its last place free for emergencies as well.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from kindmesh.protocol.errors import Busy
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.messages.jobs import Priority

RETRY_MIN_MS: Final = 50
RETRY_MAX_MS: Final = 60_000
_FIRST_GUESS: Final = 4
"""Until it has run once, an operation is thought to take a fourth of its time limit."""


class Room:
    """`concurrency` jobs in all, the last `reserve` of them for emergencies only."""

    def __init__(self, concurrency: int, reserve: int) -> None:
        self._concurrency = concurrency
        self._reserve = reserve
        self._running: Counter[str] = Counter()
        self._usual_ms: dict[str, float] = {}
        self.total = 0

    def check(self, operation: Operation, priority: Priority) -> None:
        """Raise `Busy` when there is no room for one more."""
        limit, total = operation.limits.max_concurrent, self._concurrency
        if priority != "emergency":
            limit -= 1 if limit > 1 else 0
            total -= self._reserve
        if self._running[operation.name] >= limit or self.total >= total:
            wait_s = self.retry_ms(operation) / 1000
            hint = f"There may be room in about {wait_s:.1f} s."
            raise Busy(f"this device is busy with {self.total} jobs", hint=hint)

    def retry_ms(self, operation: Operation) -> int:
        """About how long until one of the running ones ends."""
        running = max(1, self._running[operation.name])
        usual = self._usual_ms.get(operation.name, operation.limits.timeout_ms / _FIRST_GUESS)
        return int(min(RETRY_MAX_MS, max(RETRY_MIN_MS, usual / running)))

    def enter(self, name: str) -> None:
        """One more."""
        self._running[name] += 1
        self.total += 1

    def leave(self, name: str, took_ms: int | None = None) -> None:
        """One less; `took_ms` when it ran to its end."""
        self._running[name] -= 1
        self.total -= 1
        if took_ms is not None:
            usual = self._usual_ms.get(name, float(took_ms))
            self._usual_ms[name] = usual + (took_ms - usual) / 4


__all__ = ["Room"]
