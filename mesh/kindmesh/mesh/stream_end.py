"""One end of one stream, for the program at this end: write, read, wait for the end.

`StreamHandle` wraps the machine; `Streams` (the driver of all streams of this device) does what the machine says.
Writing waits while the other end takes nothing, reading waits while nothing comes: that is the back-pressure. What had
arrived can be read to its end, whatever ended the stream; then reading says why, unless all went well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kindmesh.protocol import stream_words as w
from kindmesh.protocol.errors import KindmeshError, StreamBroken
from kindmesh.protocol.limits import STREAM_FRAME_MAX
from kindmesh.protocol.messages.streams import StreamData, StreamReason
from kindmesh.protocol.session import SessionKeys
from kindmesh.protocol.stream_machine import StreamMachine

Happened = Callable[["StreamHandle", w.Event], list[w.Instruction]]
"""Lets the machine judge an event and does what it says; `Hand`s are returned."""


class StreamHandle:
    """See the module. `peer` is the device at the other end; made by `Streams`."""

    __slots__ = (
        "_happened", "_readable", "_writable", "armed", "keys", "machine", "open_hash", "over", "peer", "route",
        "secret", "stream_id", "timer",
    )  # fmt: skip

    def __init__(self, stream_id: bytes, peer: bytes, machine: StreamMachine, happened: Happened) -> None:
        self.stream_id = stream_id
        self.peer = peer
        self.machine = machine
        self.keys: SessionKeys | None = None
        self.secret = self.open_hash = b""
        self.route = ""
        """`direct`, `relayed`, or empty while there is no way to the other end."""
        self.timer: asyncio.TimerHandle | None = None
        self.armed = 0
        self.over: asyncio.Future[w.Over] = asyncio.get_running_loop().create_future()
        self._happened = happened
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    @property
    def acting(self) -> bool:
        """Whether this is the end of the device that acts."""
        return self.machine.acting

    def wake(self) -> None:
        """Let those go on who can; the driver says so after every event."""
        machine = self.machine
        ended = machine.state in ("closing", "ended")
        if machine.readable or machine.input_over or ended:
            self._readable.set()
        if machine.writable or ended:
            self._writable.set()

    async def opened(self) -> None:
        """The device has said yes.

        Raises:
            KindmeshError: why not.
        """
        while self.machine.state == "opening":
            self._writable.clear()
            await self._writable.wait()
        if self.over.done() or self.machine.state == "closing":
            over = await self.over
            if over.error is not None:
                raise over.error

    async def write(self, data: bytes, *, last: bool = True) -> None:
        """Send bytes; `last` ends an item. Waits for the other end to have room.

        Raises:
            KindmeshError: the stream has ended; why.
        """
        for start in range(0, max(1, len(data)), STREAM_FRAME_MAX):
            part = data[start : start + STREAM_FRAME_MAX]
            await self._until_writable()
            self._happened(self, w.Write(part, last and start + len(part) >= len(data)))
        # The piece that went past a bound ended the stream.
        if self.machine.state in ("closing", "ended"):
            raise await self._why()

    async def _until_writable(self) -> None:
        while not self.machine.writable:
            if self.machine.state in ("closing", "ended"):
                raise await self._why()
            self._writable.clear()
            await self._writable.wait()

    async def read(self) -> StreamData | None:
        """The next piece, or None when there is no more.

        Raises:
            KindmeshError: the stream ended otherwise than well; why.
        """
        machine = self.machine
        while not machine.readable:
            if machine.state in ("closing", "ended"):
                over = await self.over
                if over.error is not None:
                    raise over.error
                return None
            if machine.input_over:
                return None
            self._readable.clear()
            await self._readable.wait()
        for step in self._happened(self, w.Take()):
            if isinstance(step, w.Hand):
                return step.frame
        raise StreamBroken("the stream lost a piece")

    async def _why(self) -> KindmeshError:
        over = await self.over
        return over.error or StreamBroken("the other end takes nothing more", hint="The stream has ended.")

    def close_output(self) -> None:
        """Nothing more is written from here."""
        self._happened(self, w.CloseOutput())

    def finish(self, value: bytes) -> None:
        """The operation ended well; `value` is canonical MessagePack. Told when all output has arrived."""
        self._happened(self, w.Finish(value))

    def abort(self, reason: StreamReason, error: KindmeshError) -> None:
        """End it now."""
        self._happened(self, w.Abort(reason, error))

    async def ended(self) -> w.Over:
        """How it ended, once it has."""
        return await asyncio.shield(self.over)


__all__ = ["Happened", "StreamHandle"]
