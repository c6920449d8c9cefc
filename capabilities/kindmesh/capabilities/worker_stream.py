"""The stream of a call, across the boundary of a worker process.

    node: Duplex --Bridge--> chunks --socket pair--> WorkerDuplex --> handler        and back

Either side sends at most `CHUNKS_AHEAD` chunks beyond what the other side's program has taken, so a program that does
not read makes the other one wait, and nothing piles up between them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from kindmesh.capabilities.base import Duplex, Piece
from kindmesh.capabilities.worker_wire import CHUNKS_AHEAD, Chunk, FromWorker, Taken
from kindmesh.protocol.errors import KindmeshError, Malformed
from kindmesh.protocol.limits import STREAM_FRAME_MAX

__all__ = ["Bridge", "WorkerDuplex"]

_END: Final = Chunk(b"", final=True)


class Bridge:
    """The node's side of one call: pumps `duplex` to the worker and back; enter it with `async with`."""

    def __init__(self, send: Callable[[Chunk | Taken], Awaitable[None]], duplex: Duplex) -> None:
        self._send = send
        self._duplex = duplex
        self._room = asyncio.Semaphore(CHUNKS_AHEAD)
        self._came: asyncio.Queue[Chunk] = asyncio.Queue(CHUNKS_AHEAD)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def fed(self) -> bool:
        """Whether the worker was given all of the input: none of it is still to come in the middle of another call."""
        return bool(self._tasks) and self._tasks[0].done()

    def start(self) -> None:
        """Begin to pump; the worker knows of the call."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._feed()), loop.create_task(self._drain())]

    def came(self, message: Chunk | Taken) -> None:
        """What the worker says of the stream.

        Raises:
            Malformed: more than it may send.
        """
        if isinstance(message, Taken):
            self._room.release()
            return
        if self._came.full():
            raise Malformed("sent more of the stream than it may")
        self._came.put_nowait(message)

    async def drained(self) -> None:
        """All that the worker wrote was passed on.

        Raises:
            KindmeshError: the stream has ended before.
        """
        waiting = asyncio.ensure_future(self._came.join())
        try:
            await asyncio.wait({waiting, self._tasks[1]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._tasks[1].done():
            self._tasks[1].result()

    async def _feed(self) -> None:
        """Input, to the worker. When the stream has ended, whoever runs the call ends it."""
        try:
            while (piece := await self._duplex.read()) is not None:
                for start in range(0, max(1, len(piece.data)), STREAM_FRAME_MAX):
                    part = piece.data[start : start + STREAM_FRAME_MAX]
                    await self._room.acquire()
                    await self._send(Chunk(part, piece.last and start + len(part) >= len(piece.data)))
            await self._send(_END)
        except (KindmeshError, ConnectionError):
            return

    async def _drain(self) -> None:
        """Output, from the worker."""
        while True:
            chunk = await self._came.get()
            await self._duplex.write(chunk.data, last=chunk.last)
            self._came.task_done()
            try:
                await self._send(Taken())
            except ConnectionError:
                return


class WorkerDuplex:
    """The worker's side: what the handler reads and writes."""

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._came: deque[Chunk] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(CHUNKS_AHEAD)
        self._over = False

    def came(self, message: Chunk | Taken) -> None:
        """What the node says of the stream."""
        if isinstance(message, Taken):
            self._room.release()
        else:
            self._came.append(message)
            self._news.set()

    async def read(self) -> Piece | None:
        """See `Duplex`."""
        while not self._came:
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        chunk = self._came.popleft()
        if chunk.final:
            self._over = True
            return None
        self._send(Taken())
        return Piece(chunk.data, chunk.last)

    async def write(self, data: bytes, *, last: bool = True) -> None:
        """See `Duplex`."""
        for start in range(0, max(1, len(data)), STREAM_FRAME_MAX):
            part = data[start : start + STREAM_FRAME_MAX]
            await self._room.acquire()
            self._send(Chunk(part, last and start + len(part) >= len(data)))
