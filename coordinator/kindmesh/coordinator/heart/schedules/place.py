"""Where the household is, and other small things that a new schedule is given by chance or by place."""

from __future__ import annotations

import msgspec


def draw_delay(jitter_ms: int, chance: bytes) -> int:
    """A share of the jitter, 0 to just below it, by eight random bytes."""
    return int.from_bytes(chance, "big") * jitter_ms >> 64


class Place(msgspec.Struct, frozen=True):
    """Where the household is: its zone, and degrees north and east, or None."""

    zone: str = "UTC"
    latitude: float | None = None
    longitude: float | None = None


__all__ = ["Place", "draw_delay"]
