"""The control socket's server: how programs of the same user on the same machine talk to a running Kindmesh.

A Unix socket (0600, and the kernel's word on who connects: only this user, root, and whoever is admitted by name). Each
request runs its handler in a task of its own; the handler may send events, and what it returns is the result. A
`KindmeshError` becomes an error reply; anything else becomes `InternalError` and a log entry with no contents. When
the client goes, its handlers are cancelled: work that must go on belongs to a task of the handler's owner.

    listening --close--> no new requests --grace--> handlers cancelled (Interrupted is replied) --> closed

A client that does not read its events is disconnected at `BACKLOG_MAX`; one that asks too much at once gets `Busy`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Collection, Coroutine, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import msgspec

from kindmesh.mesh.control_frames import Reply, Request, Unframer, decode_request, pack, pack_error
from kindmesh.mesh.files import disk_error, private_folder, socket_path
from kindmesh.protocol.errors import (
    AccessRefused,
    AddressInUse,
    Busy,
    FrameTooLarge,
    InternalError,
    Interrupted,
    InvalidInput,
    KindmeshError,
    Malformed,
    StoreError,
)

BACKLOG_MAX: Final = 16 * 1024**2
"""Bytes that wait for a client that does not read."""
CALLS_MAX: Final = 128
"""Unanswered requests of one connection."""
_FLUSH_S: Final = 1.0
_CREDENTIALS: Final = struct.Struct("3i")
_log = logging.getLogger("kindmesh.mesh.control")


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end, as the kernel says."""

    pid: int
    uid: int
    gid: int


class Call:
    """One request being handled."""

    __slots__ = ("_connection", "id", "method", "peer")

    def __init__(self, connection: _Connection, request: Request) -> None:
        self._connection = connection
        self.id = request.id
        self.method = request.method
        self.peer = connection.peer

    def event(self, payload: Any) -> None:
        """Send something before the result. Raises FrameTooLarge; TypeError when it is not plain data."""
        self._connection.send(pack(Reply(self.id, "event", payload)))


Handler: TypeAlias = Callable[[Any, Call], Coroutine[Any, Any, Any] | asyncio.Future[Any]]
"""Takes params and the call. An `async def`, or, where every microsecond counts, a function that returns a future."""


class ControlServer:
    """Serves `handlers` (method -> handler) on one socket path."""

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], *, admit_uids: Collection[int] = ()
    ) -> None:
        """`admit_uids`: users besides this one and root who may connect; then the socket's mode is 0666, and the
        folder around it decides who can reach it."""
        self.path = socket_path(path)
        self.handlers = dict(handlers)
        self._uids = frozenset({os.geteuid(), 0, *admit_uids})
        self._mode = 0o666 if admit_uids else 0o600
        self._server: asyncio.Server | None = None
        self._identity = (0, 0)
        self._connections: set[_Connection] = set()
        self.closing = False

    async def start(self) -> None:
        """Listen.

        Raises:
            AddressInUse: another process listens there. StoreError: the socket cannot be made.
        """
        if self._mode == 0o600:
            private_folder(self.path.parent)
        _remove_stale(self.path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(os.fspath(self.path))
            self.path.chmod(self._mode)
            found = self.path.stat()
            self._identity = (found.st_dev, found.st_ino)
            listening.setblocking(False)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                lambda: _Connection(self), sock=listening, backlog=64
            )
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE:
                raise _in_use(self.path) from error
            raise disk_error(error, self.path, doing="listen on") from error

    async def close(self, *, grace_ms: int = 0) -> None:
        """Stop listening, let handlers finish for `grace_ms`, cancel the rest, and close every connection."""
        if self._server is None:
            return
        self.closing = True
        server, self._server = self._server, None
        server.close()
        tasks = [task for connection in self._connections for task in connection.tasks.values()]
        if tasks and grace_ms:
            await asyncio.wait(tasks, timeout=grace_ms / 1000)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for connection in self._connections:
            connection.transport.close()
        if self._connections:
            await asyncio.wait([connection.gone for connection in self._connections], timeout=_FLUSH_S)
        while self._connections:
            connection = next(iter(self._connections))
            connection.transport.abort()
            await connection.gone
        await server.wait_closed()
        try:
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()
        except FileNotFoundError:
            pass

    def admits(self, peer: Peer) -> bool:
        """True when that user may talk to us."""
        return peer.uid in self._uids

    def joined(self, connection: _Connection) -> None:
        """A connection was made."""
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    def handler(self, method: str) -> Handler:
        """The handler of that name. Raises InvalidInput, which names the nearest one."""
        handler = self.handlers.get(method)
        if handler is None:
            near = get_close_matches(method, self.handlers, 1)
            hint = f"Did you mean {near[0]}?" if near else ""
            raise InvalidInput(f"There is no {method[:64]!r} here.", hint=hint, field="method")
        return handler


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._unframer = Unframer()
        self.tasks: dict[int, asyncio.Future[Any]] = {}
        self.transport: asyncio.Transport
        self.peer: Peer
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
        self.peer = Peer(*_CREDENTIALS.unpack(raw))
        self._server.joined(self)
        if not self._server.admits(self.peer):
            _log.warning("control connection refused", extra={"uid": self.peer.uid, "pid": self.peer.pid})
            self._end(AccessRefused("Kindmesh on this device runs for another user."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.left(self)
        self.gone.set_result(None)
        for task in list(self.tasks.values()):
            task.cancel()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        try:
            for body in self._unframer.feed(data):
                self._request(decode_request(body))
        except (FrameTooLarge, Malformed) as error:
            _log.warning("bad control frame", extra={"pid": self.peer.pid, "code": error.code})
            self._end(error)

    def send(self, frame: bytes) -> None:
        """Queue a frame; a client that lets too much pile up is cut off."""
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(frame)
        if transport.get_write_buffer_size() > BACKLOG_MAX:
            _log.warning("control client does not read", extra={"pid": self.peer.pid})
            transport.abort()

    def _request(self, request: Request) -> None:
        try:
            if self._server.closing:
                raise Interrupted("Kindmesh is stopping.")
            if request.id in self.tasks:
                raise InvalidInput("This request id is in use.", field="id")
            if len(self.tasks) >= CALLS_MAX:
                raise Busy("Too many requests at once.", hint="Wait for some of the answers.")
            result = self._server.handler(request.method)(request.params, Call(self, request))
        except KindmeshError as error:
            self.send(pack_error(request.id, error))
            return
        if isinstance(result, asyncio.Future):
            task = result
            task.add_done_callback(partial(self._answer, request))
        else:
            task = self._loop.create_task(self._run(request, result))
            task.add_done_callback(partial(self._check, request))
        self.tasks[request.id] = task

    async def _run(self, request: Request, work: Coroutine[Any, Any, Any]) -> None:
        """Answer in the same turn in which the handler ends."""
        try:
            result = await work
        except KindmeshError as error:
            self.send(pack_error(request.id, error))
        else:
            self._reply(request, result)

    def _answer(self, request: Request, future: asyncio.Future[Any]) -> None:
        if self._check(request, future):
            self._reply(request, future.result())

    def _reply(self, request: Request, result: Any) -> None:
        try:
            self.send(pack(Reply(request.id, "ok", result)))
        except FrameTooLarge as error:
            self.send(pack_error(request.id, error))
        except TypeError as error:
            _log.error("control result is not plain data", exc_info=error, extra={"method": request.method})
            self.send(pack_error(request.id, InternalError()))

    def _check(self, request: Request, done: asyncio.Future[Any]) -> bool:
        """Forget the request; when it did not end well and has no answer yet, answer why."""
        del self.tasks[request.id]
        if done.cancelled():
            self.send(pack_error(request.id, Interrupted("Kindmesh stopped before this was done.")))
            return False
        error = done.exception()
        if isinstance(error, KindmeshError):
            self.send(pack_error(request.id, error))
        elif error is not None:
            _log.error("control handler failed", exc_info=error, extra={"method": request.method})
            self.send(pack_error(request.id, InternalError()))
        return error is None

    def _end(self, error: KindmeshError) -> None:
        self.send(pack_error(0, error))
        self.transport.close()


def _remove_stale(path: Path) -> None:
    """Remove a socket that a dead process left; refuse when it is alive, or when it is not a socket at all."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise StoreError(f"{path} is not a socket.", hint="Move it away.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _in_use(path) from error
        else:
            raise _in_use(path)


def _in_use(path: Path) -> AddressInUse:
    return AddressInUse(
        f"Another process listens on {path}.", hint="Stop it, or use another folder with KINDMESH_HOME."
    )


__all__ = ["BACKLOG_MAX", "CALLS_MAX", "Call", "ControlServer", "Handler", "Peer"]
