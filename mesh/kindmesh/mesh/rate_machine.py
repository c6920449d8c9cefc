"""How much one member may send: token buckets. Pure; times are monotonic seconds.

A bucket holds at most `burst` tokens and gains `rate` of them a second; what is taken must be there. Each member has
buckets of its own, so that one that floods slows only itself; and `stop` has one that nothing else empties: a device
whose programs run wild can still be the one that stops the house (what is beyond it only repeats a stop). The figures
are several times what a busy device sends (`kindmesh bench roundtrip`: about 600 signed messages and 3,000 session
frames a second on two cores), and keep the time that one member can take of the loop bounded: a signed message costs
about 0.1 ms, a session frame about 0.01 ms.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["hello", "signed", "session", "stop"]

RATES: Final[dict[Kind, tuple[float, float]]] = {
    "hello": (2.0, 20.0),
    "signed": (2_000.0, 8_000.0),
    "session": (20_000.0, 40_000.0),
    "stop": (20.0, 200.0),
}
"""Messages a second, and at once."""
BYTES: Final = (64.0 * 2**20, 256.0 * 2**20)
"""Bytes a second, and at once."""


class TokenBucket:
    """See the module."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._tokens, self._at = rate, burst, burst, now

    def take(self, amount: float, now: float) -> bool:
        """Whether `amount` was there, and is taken; a clock that stands still or goes back gives nothing."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True


class Allowance:
    """The buckets of one member. `refused` counts what was too much."""

    __slots__ = ("_buckets", "_bytes", "refused")

    def __init__(self, now: float) -> None:
        self._buckets = {kind: TokenBucket(*figures, now) for kind, figures in RATES.items()}
        self._bytes = TokenBucket(*BYTES, now)
        self.refused = 0

    def take(self, kind: Kind, size: int, now: float) -> bool:
        """Whether a message of `size` bytes may be looked at now."""
        if self._buckets[kind].take(1.0, now) and (kind == "stop" or self._bytes.take(float(size), now)):
            return True
        self.refused += 1
        return False


__all__ = ["BYTES", "RATES", "Allowance", "Kind", "TokenBucket"]
