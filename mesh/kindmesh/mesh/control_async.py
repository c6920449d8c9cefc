"""Asking another Kindmesh process on this machine from inside an event loop; many requests at once on one connection.

The reply resolves the caller's future in the callback that received it, so a round trip costs two turns of the loop.
When the connection ends, everything unanswered fails with `TransportClosed`; connecting again is the owner's decision.
Cancelling a call stops waiting; the other side goes on with it until the connection closes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

from kindmesh.mesh.control_client import connect_error
from kindmesh.mesh.control_frames import Reply, Request, Unframer, decode_reply, error_of, pack
from kindmesh.mesh.files import socket_path
from kindmesh.protocol.errors import FrameTooLarge, KindmeshError, Malformed, TransportClosed

OnEvent = Callable[[Any], object]


class AsyncControlClient(asyncio.Protocol):
    """A connection to a `ControlServer`; make it with `connect`."""

    def __init__(self) -> None:
        self._unframer = Unframer()
        self._waiting: dict[int, tuple[asyncio.Future[Any], OnEvent | None]] = {}
        self._last_id = 0
        self._ended: KindmeshError | None = None
        self._transport: asyncio.Transport
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, path: Path) -> Self:
        """Connect.

        Raises:
            NotRunning: nobody listens. AccessRefused: it runs for another user. TransportClosed: anything else.
        """
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_unix_connection(cls, os.fspath(socket_path(path)))
        except OSError as error:
            raise connect_error(error) from error
        return client

    def call(
        self, method: str, params: Any = None, *, on_event: OnEvent | None = None
    ) -> asyncio.Future[Any]:
        """Awaitable result; events go to `on_event`, called on the loop. The request is sent at once.

        Raises (when awaited): TransportClosed, or whatever the other side replied.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._ended is not None:
            future.set_exception(_copy(self._ended))
            return future
        self._last_id += 1
        frame = pack(Request(self._last_id, method, params))
        self._waiting[self._last_id] = (future, on_event)
        self._transport.write(frame)
        return future

    @property
    def closed(self) -> bool:
        """True when the connection has ended."""
        return self._ended is not None

    async def wait_closed(self) -> None:
        """Return when the connection has ended, whoever ended it."""
        await asyncio.shield(self._closed)

    async def close(self) -> None:
        """Hang up; unanswered calls fail with TransportClosed and are cancelled over there."""
        self._transport.close()
        await self.wait_closed()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self._fail(TransportClosed("Kindmesh ended before it answered."))
        if not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            for body in self._unframer.feed(data):
                self._reply(decode_reply(body))
        except (FrameTooLarge, Malformed) as error:
            self._fail(error)
            self._transport.abort()

    def _reply(self, reply: Reply) -> None:
        if reply.id == 0:
            self._fail(error_of(reply))
            self._transport.abort()
            return
        future, on_event = self._waiting.get(reply.id, (None, None))
        if future is None:
            return
        if reply.kind == "event":
            if on_event is not None and not future.done():
                on_event(reply.payload)
            return
        del self._waiting[reply.id]
        if future.done():
            return
        if reply.kind == "ok":
            future.set_result(reply.payload)
        else:
            future.set_exception(error_of(reply))

    def _fail(self, error: KindmeshError) -> None:
        if self._ended is None:
            self._ended = error
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(_copy(self._ended))


def _copy(error: KindmeshError) -> KindmeshError:
    return type(error)(error.message, hint=error.hint, field=error.field)


__all__ = ["AsyncControlClient", "OnEvent"]
