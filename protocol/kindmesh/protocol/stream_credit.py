"""Credit of one direction of one stream, at both of its ends.

    sender      pieces are numbered as they are written, kept until the other end has them, sent only within its credit
    receiver    takes frames in order and nothing else, keeps them until they are taken, grants room for more

Rules that always hold: what was sent never exceeds what was granted, in frames nor in bytes; what either end keeps is
at most one window; frame numbers have no gap, and byte offsets continue. Acknowledging ("it is here") is not granting
("there is room"): a slow consumer stops the grants, so the sender waits, and nothing is sent twice for it. A frame that
arrives out of order is not kept: the sender goes back to the first one that is missing.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.limits import STREAM_FRAME_MAX, STREAM_WINDOW_BYTES, STREAM_WINDOW_FRAMES
from kindmesh.protocol.messages.streams import StreamCredit, StreamData

FIRST_CREDIT = StreamCredit(0, STREAM_WINDOW_FRAMES, STREAM_WINDOW_BYTES)
"""What a receiver grants at the beginning."""


class Sending:
    """The sender's end. `written` frames and `offset` bytes so far; frames below `base` have arrived; `next` is sent
    next."""

    __slots__ = ("_credit", "_kept", "base", "closed", "highest", "next", "offset", "written")

    def __init__(self) -> None:
        self._credit = StreamCredit(0, 0, 0)
        self._kept: deque[StreamData] = deque()
        self.base = self.next = self.highest = self.written = self.offset = 0
        self.closed = False

    @property
    def writable(self) -> bool:
        """Whether one more piece can be kept."""
        size = self.offset - (self._kept[0].offset if self._kept else self.offset)
        return (
            not self.closed
            and len(self._kept) < STREAM_WINDOW_FRAMES
            and size + STREAM_FRAME_MAX <= STREAM_WINDOW_BYTES
        )

    @property
    def arrived(self) -> bool:
        """Whether everything that was written has arrived."""
        return self.base == self.written

    @property
    def in_flight(self) -> int:
        """Frames that were sent, as far as known not arrived yet."""
        return self.next - self.base

    @property
    def oldest(self) -> StreamData:
        """The first frame that was sent and has not arrived. Only when something is `in_flight`."""
        return self._kept[0]

    def write(self, data: bytes, *, last: bool) -> None:
        """Keep one more piece, to be sent. Only when `writable`; at most `STREAM_FRAME_MAX` bytes."""
        self._keep(StreamData(self.written, self.offset, data, last))

    def close(self) -> None:
        """Nothing more will be written; there is always room to say so. Twice is fine."""
        if not self.closed:
            self._keep(StreamData(self.written, self.offset, b"", True, True))
            self.closed = True

    def _keep(self, frame: StreamData) -> None:
        self._kept.append(frame)
        self.written += 1
        self.offset += len(frame.data)

    def due(self) -> StreamData | None:
        """What may be sent now, if anything."""
        if self.next == self.written:
            return None
        frame = self._kept[self.next - self.base]
        if frame.sequence >= self._credit.frames or frame.offset + len(frame.data) > self._credit.data_bytes:
            return None
        return frame

    def sent(self) -> None:
        """What is `due` is on its way."""
        self.next += 1
        self.highest = max(self.highest, self.next)

    def credited(self, credit: StreamCredit) -> bool:
        """The other end's word; True when something new arrived there.

        Raises:
            Malformed: it says that it has what was never sent.
        """
        if credit.received > self.highest:
            raise Malformed("the other end acknowledges what was never sent to it")
        self._credit = StreamCredit(
            max(self._credit.received, credit.received),
            max(self._credit.frames, credit.frames),
            max(self._credit.data_bytes, credit.data_bytes),
        )
        news = credit.received > self.base
        while self.base < credit.received:
            self._kept.popleft()
            self.base += 1
        self.next = max(self.next, self.base)
        return news

    def rewind(self, received: int) -> None:
        """Send again from there; what has arrived since is left out.

        Raises:
            Malformed: that frame was never sent.
        """
        if received > self.highest:
            raise Malformed("the other end asks for what was never sent to it")
        self.next = min(self.next, max(received, self.base))

    def broken_rules(self) -> list[str]:
        """Which rules of the module do not hold; none, unless there is a bug. Tests look after every event."""
        sent = [frame for frame in self._kept if frame.sequence < self.highest]
        rules = {
            "counters": self.base <= self.next <= self.highest <= self.written,
            "no gap": [frame.sequence for frame in self._kept] == list(range(self.base, self.written)),
            "frames kept": len(self._kept) <= STREAM_WINDOW_FRAMES + 1,
            "bytes kept": sum(len(frame.data) for frame in self._kept) <= STREAM_WINDOW_BYTES,
            "credit in frames": self.highest <= self._credit.frames,
            "credit in bytes": all(
                frame.offset + len(frame.data) <= self._credit.data_bytes for frame in sent
            ),
        }
        return [name for name, holds in rules.items() if not holds]


class Receiving:
    """The receiver's end. `received` frames and `offset` bytes arrived in order; `closed` when the last one did."""

    __slots__ = (
        "_granted",
        "_kept",
        "_taken_bytes",
        "_taken_frames",
        "_told",
        "closed",
        "offset",
        "received",
    )

    def __init__(self) -> None:
        self._kept: deque[StreamData] = deque()
        self._granted = FIRST_CREDIT
        self._told = 0
        self._taken_frames = self._taken_bytes = 0
        self.received = self.offset = 0
        self.closed = False

    def accept(self, frame: StreamData) -> Literal["new", "old", "early"]:
        """A frame came: the next one, one that is here already, or one before which something is missing.

        Raises:
            Malformed: beyond what was granted, or not what its numbers say.
        """
        granted = self._granted
        end = frame.offset + len(frame.data)
        if frame.sequence >= granted.frames or end > granted.data_bytes:
            raise Malformed("the other end sent more than it was granted", field="credit")
        if frame.sequence < self.received:
            return "old"
        if frame.sequence > self.received:
            return "early"
        if self.closed or frame.offset != self.offset or (frame.final and frame.data):
            raise Malformed("the frames of the stream do not fit together", field="offset")
        self._kept.append(frame)
        self.received += 1
        self.offset = end
        self.closed = frame.final
        return "new"

    @property
    def readable(self) -> bool:
        """Whether there is something to take."""
        return bool(self._kept)

    def take(self) -> StreamData:
        """The next frame, for whoever consumes. Only when `readable`."""
        frame = self._kept.popleft()
        self._taken_frames += 1
        self._taken_bytes += len(frame.data)
        return frame

    def credit(self) -> StreamCredit:
        """What to tell the other end now; it counts as told."""
        self._told = self.received
        self._granted = StreamCredit(
            self.received,
            self._taken_frames + STREAM_WINDOW_FRAMES,
            self._taken_bytes + STREAM_WINDOW_BYTES,
        )
        return self._granted

    @property
    def news(self) -> Literal["some", "much"]:
        """How urgently the other end should hear of what arrived or was taken: soon, or at once."""
        arrived = self.received - self._told
        frames = self._taken_frames + STREAM_WINDOW_FRAMES - self._granted.frames
        room = self._taken_bytes + STREAM_WINDOW_BYTES - self._granted.data_bytes
        if (
            (self.closed and arrived)
            or arrived >= STREAM_WINDOW_FRAMES // 3
            or frames >= STREAM_WINDOW_FRAMES // 3
            or room >= STREAM_WINDOW_BYTES // 3
        ):
            return "much"
        return "some"

    def broken_rules(self) -> list[str]:
        """As of `Sending`."""
        rules = {
            "frames kept": len(self._kept) <= STREAM_WINDOW_FRAMES,
            "bytes kept": sum(len(frame.data) for frame in self._kept) <= STREAM_WINDOW_BYTES,
            "nothing lost": self._taken_frames + len(self._kept) == self.received,
            "credit in frames": self._told <= self.received <= self._granted.frames,
            "credit in bytes": self.offset <= self._granted.data_bytes,
        }
        return [name for name, holds in rules.items() if not holds]


__all__ = ["FIRST_CREDIT", "Receiving", "Sending"]
