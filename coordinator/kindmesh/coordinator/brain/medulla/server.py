"""Medulla's socket: one thread, no event loop library, batches.

Every turn reads what each ready connection has, hands all complete frames of all of them to the service as one batch,
and writes the replies. Rules: only processes that `admit` accepts (kernel-told process, user and group ids) are served;
a frame that is too long ends its connection; a peer that does not read its replies is not read from; `stop` ends the
loop after the current batch. What may take long is done beside the loop (`Aside`) and answered when it is done; permits
never wait for it. The socket file is replaced when it exists, and removed at the end.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from kindmesh.coordinator.brain.medulla.aside import Aside
from kindmesh.coordinator.brain.medulla.messages import FRAME_LIMIT
from kindmesh.protocol.errors import AddressInUse

log = logging.getLogger("kindmesh.coordinator.medulla")

CONNECTIONS_MAX: Final = 64
"""More are closed at once, so that nobody uses up this process's file descriptors."""
_READ: Final = 262_144
_UNSENT_MAX: Final = 8 * 1024 * 1024
_PEER: Final = struct.Struct("iII")


class Peer(NamedTuple):
    """Who is at the other end, as the kernel says (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int
    gid: int


class _Connection:
    __slots__ = ("incoming", "outgoing", "socket", "waiting")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.waiting = selectors.EVENT_READ


class Server:
    """Serves `process` (frames in, length-prefixed replies out) on a Unix socket at `path`; what `aside` takes is done
    by that."""

    def __init__(
        self,
        path: Path,
        process: Callable[[list[bytes]], list[bytes]],
        admit: Callable[[Peer], bool],
        aside: Aside[_Connection] | None = None,
    ) -> None:
        self._path = path
        self._process = process
        self._admit = admit
        self._aside = aside
        self._selector = selectors.DefaultSelector()
        self._connections: dict[int, _Connection] = {}
        self._wake_reading, self._wake_writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def listen(self, mode: int = 0o600) -> None:
        """Bind; `mode` of the socket file.

        Raises:
            AddressInUse: the path cannot be bound.
        """
        self._path.unlink(missing_ok=True)
        try:
            self._listener.bind(os.fspath(self._path))
            os.chmod(self._path, mode)
            self._listener.listen(16)
        except OSError as error:
            raise AddressInUse(f"Medulla cannot listen at {self._path}: {error.strerror}") from error
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_reading, selectors.EVENT_READ)
        if self._aside is not None:
            self._aside.attach(self._selector)

    @property
    def wake_fd(self) -> int:
        """For `signal.set_wakeup_fd`: a byte written here makes the loop look up."""
        return self._wake_writing

    def stop(self) -> None:
        """End `run` after the current batch. May be called from a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Serve until `stop`, then close everything."""
        try:
            while not self._stopping:
                self._turn(self._selector.select(None if self._aside is None else self._aside.timeout_s))
                self._beside()
        finally:
            if self._aside is not None:
                self._aside.close()
            for connection in list(self._connections.values()):
                self._drop(connection)
            self._listener.close()
            self._selector.close()
            os.close(self._wake_reading)
            os.close(self._wake_writing)
            self._path.unlink(missing_ok=True)

    def _turn(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        frames: list[bytes] = []
        owners: list[_Connection] = []
        for key, events in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fd == self._wake_reading:
                os.read(self._wake_reading, 4096)
            elif (connection := self._connections.get(key.fd)) is not None:
                if events & selectors.EVENT_WRITE:
                    self._send(connection)
                if events & selectors.EVENT_READ:
                    new = [one for one in self._receive(connection) if not self._put_aside(connection, one)]
                    frames += new
                    owners += [connection] * len(new)
        if not frames:
            return
        for connection, reply in zip(owners, self._process(frames), strict=True):
            connection.outgoing += reply
        for connection in dict.fromkeys(owners):
            self._send(connection)

    def _put_aside(self, connection: _Connection, frame: bytes) -> bool:
        if self._aside is None or not self._aside.takes(frame):
            return False
        refused = self._aside.add(connection, frame)
        if refused is not None:
            connection.outgoing += refused
            self._send(connection)
        return True

    def _beside(self) -> None:
        # Again until nothing is answered: who is gone when told takes what was begun for them along, and others wait.
        while self._aside is not None and (replies := self._aside.turn()):
            for connection, reply in replies:
                connection.outgoing += reply
                self._send(connection)

    def _accept(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if len(self._connections) >= CONNECTIONS_MAX:
            log.warning("too many connections", extra={"connections": len(self._connections)})
            connected.close()
            return
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        peer = Peer(*_PEER.unpack(credentials))
        if not self._admit(peer):
            log.warning("refused a connection", extra={"peer_pid": peer.pid, "peer_uid": peer.uid})
            connected.close()
            return
        connected.setblocking(False)
        connection = _Connection(connected)
        self._connections[connected.fileno()] = connection
        self._selector.register(connected, selectors.EVENT_READ)

    def _receive(self, connection: _Connection) -> list[bytes]:
        try:
            data = connection.socket.recv(_READ)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:
            self._drop(connection)
            return []
        incoming = connection.incoming
        incoming += data
        frames: list[bytes] = []
        position = 0
        while len(incoming) - position >= 4:
            length = int.from_bytes(incoming[position : position + 4], "big")
            if length > FRAME_LIMIT:
                log.warning("a frame is too long", extra={"bytes": length})
                self._drop(connection)
                return []
            if len(incoming) - position - 4 < length:
                break
            frames.append(bytes(incoming[position + 4 : position + 4 + length]))
            position += 4 + length
        del incoming[:position]
        return frames

    def _send(self, connection: _Connection) -> None:
        if connection.socket.fileno() < 0:
            return
        try:
            while connection.outgoing:
                sent = connection.socket.send(connection.outgoing)
                del connection.outgoing[:sent]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._drop(connection)
            return
        waiting = selectors.EVENT_WRITE if connection.outgoing else 0
        if len(connection.outgoing) < _UNSENT_MAX:
            waiting |= selectors.EVENT_READ
        if waiting != connection.waiting:
            connection.waiting = waiting
            self._selector.modify(connection.socket, waiting)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.socket.fileno(), None) is not None:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            if self._aside is not None:
                self._aside.forget(connection)


__all__ = ["Peer", "Server"]
