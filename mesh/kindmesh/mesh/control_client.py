"""Asking a running Kindmesh on this machine, from a program that waits: plain sockets, no event loop, quick to import.

`ControlClient` connects when it is first used and keeps the connection. One request at a time: `call` returns the
result, `stream` yields events as they come and returns the result. The error that the other side replied is raised as
if it had happened here. Closing the connection in the middle of a request cancels it over there.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from kindmesh.mesh.control_frames import Reply, Request, Unframer, decode_reply, error_of, pack
from kindmesh.mesh.files import socket_path
from kindmesh.protocol.errors import (
    AccessRefused,
    DeadlineExceeded,
    InvalidInput,
    NotRunning,
    TransportClosed,
)

_READ = 65_536


class ControlClient:
    """A connection to a `ControlServer`. Also a context manager."""

    def __init__(self, path: Path, *, timeout_ms: int | None = None) -> None:
        """`timeout_ms`: the longest silence to put up with; None waits for ever."""
        self.path = socket_path(path)
        self._timeout = None if timeout_ms is None else timeout_ms / 1000
        self._socket: socket.socket | None = None
        self._unframer = Unframer()
        self._ready: deque[bytes] = deque()
        self._last_id = 0

    def call(
        self, method: str, params: Any = None, *, on_event: Callable[[Any], object] | None = None
    ) -> Any:
        """The result; events on the way go to `on_event`.

        Raises:
            NotRunning: nobody listens. AccessRefused: it runs for another user.
            DeadlineExceeded: silence for longer than `timeout_ms`. TransportClosed: it ended in the middle.
            KindmeshError: whatever the other side replied.
        """
        with closing(self.stream(method, params)) as replies:
            while True:
                try:
                    event = next(replies)
                except StopIteration as end:
                    return end.value
                if on_event is not None:
                    on_event(event)

    def stream(self, method: str, params: Any = None) -> Generator[Any, None, Any]:
        """Yields events; its return value (`yield from`, or `StopIteration.value`) is the result. Raises as `call`.

        Closing the generator early closes the connection, which cancels the request.
        """
        self._last_id += 1
        request_id = self._last_id
        try:
            frame = pack(Request(request_id, method, params))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidInput(f"These parameters cannot be sent: {error}.", field="params") from error
        self._send(frame)
        answered = False
        try:
            while True:
                reply = self._receive()
                if reply.kind == "error" and reply.id in (request_id, 0):
                    answered = reply.id == request_id
                    raise error_of(reply)
                if reply.id != request_id:
                    continue
                if reply.kind == "ok":
                    answered = True
                    return reply.payload
                yield reply.payload
        finally:
            if not answered:
                self.close()

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._unframer = Unframer()
        self._ready.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self._timeout)
            try:
                connection.connect(os.fspath(self.path))
            except OSError as error:
                connection.close()
                raise connect_error(error) from error
            self._socket = connection
        return self._socket

    def _send(self, frame: bytes) -> None:
        fresh = self._socket is None
        try:
            self._connect().sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            if not fresh:  # it was restarted since the last request; if fresh, it may have said why
                self.close()
                self._send(frame)
        except TimeoutError as error:
            self.close()
            raise DeadlineExceeded("Kindmesh on this device does not answer.") from error

    def _receive(self) -> Reply:
        connection = self._connect()
        while not self._ready:
            try:
                data = connection.recv(_READ)
            except TimeoutError as error:
                raise DeadlineExceeded("Kindmesh on this device does not answer.") from error
            except ConnectionResetError as error:
                raise TransportClosed("Kindmesh ended before it answered.") from error
            if not data:
                raise TransportClosed("Kindmesh ended before it answered.")
            self._ready.extend(self._unframer.feed(data))
        return decode_reply(self._ready.popleft())


def connect_error(error: OSError) -> Exception:
    """The typed error for a socket that cannot be connected."""
    if isinstance(error, PermissionError):
        return AccessRefused("Kindmesh on this device runs for another user.", hint="Run this as that user.")
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)):
        return NotRunning()
    if isinstance(error, TimeoutError):
        return DeadlineExceeded("Kindmesh on this device does not answer.")
    return TransportClosed(f"Kindmesh on this device cannot be reached: {error.strerror}.")


__all__ = ["ControlClient", "connect_error"]
