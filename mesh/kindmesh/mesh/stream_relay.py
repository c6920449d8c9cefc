"""What a coordinator passes on between two members that cannot reach each other, and how much. Pure.

The frames are under keys that it does not have, and each stream's credit bounds what is under way between its two ends.
A member that keeps to no credit is bounded here, by what it sends itself, so that it takes nothing from the streams of
others: it is carried at most `2 * STREAMS_MAX` streams at once (those that have just ended count), and of each at most
`RATE` frames a second, with a burst of `BURST`. What is beyond is dropped; an honest sender sends it again. A stream is
known by where it goes and the head of its frames, and forgotten after `FORGET_S` of silence, so a coordinator that was
restarted carries on.
"""

from __future__ import annotations

from typing import Final

from kindmesh.mesh.rate_machine import TokenBucket
from kindmesh.protocol.errors import RateLimited
from kindmesh.protocol.limits import STREAM_WINDOW_FRAMES, STREAMS_MAX

FORGET_S: Final = 30.0
RATE: Final = 400.0 * STREAM_WINDOW_FRAMES
BURST: Final = 4.0 * STREAM_WINDOW_FRAMES


class _Carried:
    __slots__ = ("at", "bucket")

    def __init__(self, now: float) -> None:
        self.at = now
        self.bucket = TokenBucket(RATE, BURST, now)


class StreamRelay:
    """See the module; times are monotonic seconds."""

    def __init__(self) -> None:
        self._of: dict[bytes, dict[tuple[bytes, bytes], _Carried]] = {}
        self.dropped = 0

    def admit(self, src: bytes, dst: bytes, stream: bytes, now: float) -> None:
        """One frame of `stream` (its session id) for `dst` (a device id); `src` is the member whose link it came by.

        Raises:
            RateLimited: too much; drop it.
        """
        known = self._of.setdefault(src, {})
        found = known.get((dst, stream))
        if found is None:
            for old in [key for key, carried in known.items() if now - carried.at > FORGET_S]:
                del known[old]
            if len(known) >= 2 * STREAMS_MAX:
                self.dropped += 1
                raise RateLimited("too many streams of this device are carried already")
            found = known[dst, stream] = _Carried(now)
        found.at = now
        if not found.bucket.take(1.0, now):
            self.dropped += 1
            raise RateLimited("a stream sends more than its credit allows")

    def forget(self, member: bytes) -> None:
        """A member was removed."""
        self._of.pop(member, None)


__all__ = ["StreamRelay"]
