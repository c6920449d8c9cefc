"""How long somebody would have to wait: queue length times measured service time, over the places there are. Pure.

With `ahead` jobs before it, `places` served at once and `service_ms` each, a job begins when `ahead + 1 - places` of
them have ended: after `ceil((ahead + 1 - places) / places) * service_ms` (the mean wait of a line that is served by
several, arrivals left aside). Said in steps that are honest about how rough that is.
"""

from __future__ import annotations

from typing import Final

LEAST_MS: Final = 1_000
MOST_MS: Final = 600_000


def wait_ms(ahead: int, places: int, service_ms: float) -> int:
    """Milliseconds, `LEAST_MS`..`MOST_MS`; `ahead` of it wait or run, `places` (at least 1) serve them."""
    places = max(1, places)
    rounds = -(-max(1, ahead + 1 - places) // places)
    return int(min(MOST_MS, max(LEAST_MS, rounds * service_ms)))


def in_words(milliseconds: int) -> str:
    """`about 8 s`, `about 40 s`, `about 3 min`: rounded to what such an estimate can know."""
    seconds = max(1, round(milliseconds / 1000))
    if seconds < 10:
        return f"about {seconds} s"
    if seconds < 120:
        return f"about {round(seconds / 5) * 5} s"
    return f"about {round(seconds / 60)} min"


__all__ = ["LEAST_MS", "MOST_MS", "in_words", "wait_ms"]
