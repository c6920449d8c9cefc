"""The time that a device uses for the mesh: its own clock, corrected when the coordinator's differs too much.

Small boards without a battery-backed clock start in the past, and some clocks are simply wrong; every signature check
there would fail. So a device learns the difference to its coordinator in the authenticated handshake, and again with
every heartbeat of the session (its clock may be set meanwhile); when it is above half the tolerance for skew, it uses
the corrected time and says so: heartbeats carry `own_ms`, so `doctor` and `nodes` show the skew at both ends.
The result never reads below the highest time seen under a signature of the mesh (the floor), whatever anybody says,
and within one boot it never goes back by more than a correction.
"""

from __future__ import annotations

from typing import Final

from kindmesh.mesh.clock import Clock, FlooredClock
from kindmesh.protocol.limits import CLOCK_SKEW_MS

LATEST_MS: Final = 1 << 47
"""The year 6429: a time that no id could hold is no time."""


class MeshClock:
    """A `Clock`; `skew_ms` is how far this device's own clock is ahead of its coordinator's (0 until it is known)."""

    __slots__ = ("_base", "_floored", "_offset_ms", "skew_ms")

    def __init__(self, base: Clock, floor_ms: int = 0) -> None:
        self._base = base
        self._floored = FlooredClock(base, floor_ms)
        self._offset_ms = 0
        self.skew_ms = 0

    @property
    def corrected(self) -> bool:
        """Whether the coordinator's time is used instead of this device's."""
        return self._offset_ms != 0

    def learn(self, coordinator_ms: int) -> None:
        """Take note of the coordinator's time, as it said it just now; nonsense is ignored."""
        if coordinator_ms >= LATEST_MS:
            return
        self.skew_ms = self._base.now_ms() - coordinator_ms
        self._offset_ms = -self.skew_ms if abs(self.skew_ms) > CLOCK_SKEW_MS // 2 else 0

    def own_ms(self) -> int:
        """What this device's own clock says, right or wrong: for telling others, never for judging."""
        return self._base.now_ms()

    @property
    def floor_ms(self) -> int:
        """What time it is at least: the highest time under a signature, and what passed here since it came. Worth
        keeping over a restart, because nobody can talk a device out of it."""
        return self._floored.floor_ms

    def raise_floor(self, time_ms: int) -> None:
        """Time is at least `time_ms` (from under a signature of the mesh)."""
        self._floored.raise_floor(time_ms)

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return max(self._base.now_ms() + self._offset_ms, self._floored.floor_ms)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._base.monotonic()


__all__ = ["MeshClock"]
