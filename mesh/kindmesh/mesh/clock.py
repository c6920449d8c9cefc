"""Where time and randomness come from: two small interfaces and their real implementations.

Everything that decides takes times and random bytes as arguments; everything that acts gets them from here, so that
a simulated twin (`kindmesh.mesh.virtual`) can take their place. `now_ms` is what people and certificates mean by
time (UTC); it may jump when somebody sets the clock. `monotonic` is for timeouts; it never goes back.

`FlooredClock` never reads below the highest time that it was told by `raise_floor` and goes on from there at the pace
of the monotonic clock, so that a device whose clock was set back, or that has none, cannot be made to accept what has
expired.
"""

from __future__ import annotations

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock and monotonic time."""

    def now_ms(self) -> int:
        """UTC, milliseconds since 1970."""

    def monotonic(self) -> float:
        """Seconds since some moment; only differences mean anything."""


class Entropy(Protocol):
    """A source of random bytes."""

    def token(self, size: int) -> bytes:
        """`size` bytes that nobody can guess."""


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """UTC, milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()


class FlooredClock:
    """A clock that never reads below what it was told. Keeping the floor over a restart is the owner's task."""

    def __init__(self, base: Clock, floor_ms: int = 0) -> None:
        self._base = base
        self._floor_ms = floor_ms
        self._since = base.monotonic()

    @property
    def floor_ms(self) -> int:
        """The lowest value that `now_ms` can have now."""
        return self._floor_ms + int((self._base.monotonic() - self._since) * 1000)

    def raise_floor(self, time_ms: int) -> None:
        """Time is at least `time_ms` now (from a message whose signature was checked). Lower ones change nothing."""
        if time_ms > self.floor_ms:
            self._floor_ms = time_ms
            self._since = self._base.monotonic()

    def now_ms(self) -> int:
        """UTC, milliseconds since 1970, and never below the floor."""
        return max(self._base.now_ms(), self.floor_ms)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._base.monotonic()


class SystemEntropy:
    """The random source of the operating system."""

    def token(self, size: int) -> bytes:
        """`size` bytes that nobody can guess."""
        return os.urandom(size)


__all__ = ["Clock", "Entropy", "FlooredClock", "SystemClock", "SystemEntropy"]
