"""libzmq's context, shared by all ends of a transport, and how the loop reads its quiet sockets.

The context has one IO thread and the ZAP handler that decides about every new connection (`kindmesh.mesh.zap`). The
handler runs on the same loop as everything else: a loop that hangs lets nobody in. Every listener enters under a ZAP
domain of its own. Made with the first end that opens, freed with the last one that closes.

A ROUTER names its connections by counting up from a number out of libc's `rand`, and libzmq aborts the process when a
client has chosen the name that comes next. Nobody seeds `rand`, so everybody would know that number: we seed it.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import struct
from collections.abc import Callable

import zmq

from kindmesh.mesh import zap
from kindmesh.mesh.transport import Admit

NOW = int(zmq.NOBLOCK)
MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
MONITOR_EVENT = struct.Struct("=HI")
"""What a socket monitor says: which event, and a number that depends on it."""

_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)


def readable(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message is there. Asking also makes libzmq process what its threads have told this socket."""
    return bool(int(socket.get(_EVENTS)) & _POLLIN)


class Reader:
    """Calls `take` for every message of a socket that has little traffic."""

    def __init__(self, socket: zmq.Socket[bytes], take: Callable[[list[bytes]], None]) -> None:
        self.socket = socket
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._fd = socket.FD
        self._loop.add_reader(self._fd, self.ready)
        # A new pipe signals nothing before it was found empty once.
        self._loop.call_soon(self.ready)

    def ready(self) -> None:
        """Take what is there."""
        while not self.socket.closed and readable(self.socket):
            message = self.socket.recv_multipart(NOW)
            try:
                self._take(message)
            except BaseException:
                # The signal of what else waits is used up: that is read in the next turn.
                self._loop.call_soon(self.ready)
                raise

    def close(self) -> None:
        """Stop reading; the socket is closed too."""
        if not self.socket.closed:
            self._loop.remove_reader(self._fd)
            self.socket.close(0)


class SharedContext:
    """A libzmq context and its ZAP handler; `users` counts the open ends."""

    def __init__(self) -> None:
        self.users = 0
        ctypes.CDLL(None).srand(secrets.randbits(32))
        self.context = zmq.Context()
        self._domains: dict[bytes, Admit] = {}
        self.handler = Reader(self.context.socket(zmq.ROUTER), self._serve)
        self.handler.socket.setsockopt(zmq.LINGER, 0)
        self.handler.socket.bind(zap.ENDPOINT)

    def enter(self, admit: Admit) -> bytes:
        """A fresh ZAP domain whose newcomers `admit` decides about."""
        domain = b"kindmesh-%d" % len(self._domains)
        self._domains[domain] = admit
        return domain

    def release(self) -> None:
        """One user is gone; all its sockets are closed."""
        self.users -= 1
        if self.users == 0:
            self.handler.close()
            # Every socket is closed and nothing lingers, so this waits for libzmq's threads only: about 1 ms.
            self.context.term()

    def _serve(self, request: list[bytes]) -> None:
        reply = zap.answer(request, self._admitted)
        if reply is not None:
            self.handler.socket.send_multipart(reply, zmq.NOBLOCK)

    def _admitted(self, domain: bytes, key: bytes) -> bool:
        admit = self._domains.get(domain)
        return admit is not None and admit(key)


__all__ = ["MONITOR_EVENT", "MORE", "NOW", "Reader", "SharedContext", "readable"]
