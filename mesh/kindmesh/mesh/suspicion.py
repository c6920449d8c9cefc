"""How long a device may be silent before it is suspected. One formula, and why.

A living device sends a heartbeat every `interval_ms`. What the listener sees is that, plus whatever the way does to it:
a heartbeat may be lost, and each may be late. So the silence of a living device can well reach two intervals (one
heartbeat lost), plus scheduling on a busy little board (half an interval), plus the lateness that is usual on this very
link: four mean deviations, the margin that TCP takes for its timeouts (RFC 6298). More would be kinder to bad links,
but a device that is gone has to be suspected within 3.5 s whatever its link is like, and looking only every `TICK_MS`
takes its share of that; so the answer never exceeds `SUSPECT_MS`. A wrong suspicion is cheap: one heartbeat ends it.

    silence at detection <= SUSPECT_MS + TICK_MS = 3,250 ms, plus the delay of the last heartbeat

Silence is measured in time *listened* (`listened_ms`): while this process was stopped, or its loop was busy, it could
not have heard anything, so such a gap says nothing about anybody else. The same rule makes jumps of the clock harmless.
"""

from __future__ import annotations

from typing import Final

from kindmesh.protocol.limits import HEARTBEAT_MS, SUSPECT_MS

TICK_MS: Final = 250
"""How often somebody has to look."""
STALL_MS: Final = 2 * TICK_MS
"""A longer gap between two looks counts as this much listening."""
DEAD_MS: Final = 15_000
"""Silence after which a device is given up until it speaks again. Long enough for a reboot of its Wi-Fi."""


def suspect_after_ms(jitter_ms: int, interval_ms: int = HEARTBEAT_MS) -> int:
    """Silence (ms listened) after which a device is suspected, at most `SUSPECT_MS`.

    Args:
        jitter_ms: mean deviation of its heartbeats from their interval, see `smoothed`.
        interval_ms: how often it sends one.
    """
    return min(2 * interval_ms + interval_ms // 2 + 4 * jitter_ms, SUSPECT_MS)


def smoothed(jitter_ms: int, gap_ms: int, interval_ms: int = HEARTBEAT_MS) -> int:
    """The mean deviation after one more heartbeat, `gap_ms` after the one before it; a quarter of it is news."""
    return (3 * jitter_ms + abs(gap_ms - interval_ms)) // 4


def listened_ms(last_ms: int, now_ms: int) -> int:
    """How much of the time between two looks counts as listening: none of a jump back, little of a long gap."""
    return min(max(now_ms - last_ms, 0), STALL_MS)


__all__ = ["DEAD_MS", "STALL_MS", "TICK_MS", "listened_ms", "smoothed", "suspect_after_ms"]
