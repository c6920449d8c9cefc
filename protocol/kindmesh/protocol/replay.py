"""Which messages were seen already.

`SequenceWindow` serves a live link: the highest sequence and a bitmap of the 1,024 below it, per author and boot; a
newer boot starts afresh, an older boot is refused, and so is what is older than the session's handshake.
`MessageMemory` serves what is durable, relayed or off-grid and may come late and in any order: ids are remembered until
the message could not be accepted anyway. Both are pure.
"""

from __future__ import annotations

import heapq

from kindmesh.protocol.errors import BackPressure, Replayed
from kindmesh.protocol.limits import REPLAY_WINDOW_BITS

_MASK = (1 << REPLAY_WINDOW_BITS) - 1


class SequenceWindow:
    """Accepts each sequence number of a boot once; numbers more than 1,023 below the highest are refused.

    Invariant: bit 0 of the bitmap is the highest number accepted.
    """

    __slots__ = ("_bits", "_floor", "boot", "highest")

    def __init__(self) -> None:
        self.boot = -1
        self.highest = -1
        self._bits = 0
        self._floor = -1

    def begin(self) -> None:
        """A session begins with the highest number so far: nothing below it is accepted any more. A window that was
        made a moment ago, by a device that restarted, so refuses what it has seen before and does not remember."""
        self._floor = self.highest

    def has(self, boot: int, sequence: int) -> bool:
        """Whether that number is known to have been accepted."""
        below = self.highest - sequence
        return boot == self.boot and 0 <= below < REPLAY_WINDOW_BITS and bool(self._bits >> below & 1)

    def accept(self, boot: int, sequence: int) -> None:
        """Take note of a number.

        Raises:
            Replayed: seen before, too old to know, from before the session, or from an earlier boot.
        """
        if boot != self.boot:
            if boot < self.boot:
                raise Replayed("the message is from before the device's last restart")
            self.boot, self.highest, self._bits, self._floor = boot, -1, 0, -1
        ahead = sequence - self.highest
        if ahead > 0:
            self._bits = ((self._bits << ahead) | 1) & _MASK if ahead < REPLAY_WINDOW_BITS else 1
            self.highest = sequence
            return
        if sequence <= self._floor or -ahead >= REPLAY_WINDOW_BITS or self._bits >> -ahead & 1:
            raise Replayed()
        self._bits |= 1 << -ahead


class MessageMemory:
    """Remembers message ids until `expires_ms`; holds at most `capacity`."""

    def __init__(self, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._ids: set[bytes] = set()
        self._by_expiry: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def accept(self, message_id: bytes, expires_ms: int, now_ms: int) -> None:
        """Take note of an id (16 bytes).

        Raises:
            Replayed: seen before.
            BackPressure: full of ids that are still alive; refusing is safer than forgetting.
        """
        while self._by_expiry and self._by_expiry[0][0] < now_ms:
            self._ids.discard(heapq.heappop(self._by_expiry)[1])
        if message_id in self._ids:
            raise Replayed()
        if len(self._ids) >= self._capacity:
            raise BackPressure("too many messages are remembered", hint="Try again in a minute.")
        self._ids.add(message_id)
        heapq.heappush(self._by_expiry, (expires_ms, message_id))


__all__ = ["MessageMemory", "SequenceWindow"]
