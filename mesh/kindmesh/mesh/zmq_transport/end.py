"""What a listener and a channel have in common: one socket, read by the loop in turns.

libzmq signals a socket's FD on changes only. So `_drain` reads until there is nothing left, in turns of `TURN` messages
to be fair to the rest of the loop, and `_look` is called after every sending outside of it, because sending may swallow
the signal of an arrival.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

import zmq

from kindmesh.mesh.transport import Counters, Receiver, TransportStatistics
from kindmesh.mesh.zmq_transport.context import Reader, SharedContext, readable
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.limits import FRAME_MAX, FRAMES_MAX

TURN = 64
"""Messages read before the rest of the loop gets its turn."""
CURVE_OVERHEAD = 64
"""More than what encryption adds to a frame; libzmq measures frames before it decrypts them."""


class End:
    """What listener and channel share: a socket of the shared, read by the loop in turns."""

    def __init__(self, share: Callable[[], SharedContext], high_water: int, key: CurveKey) -> None:
        self._share = share
        self._high_water = high_water
        self._key = key
        self._counters = Counters()
        self._shared: SharedContext | None = None
        self._monitor: Reader | None = None
        self._draining = False
        self._later: asyncio.Handle | None = None

    def statistics(self) -> TransportStatistics:
        """Counters so far."""
        return self._counters.snapshot()

    def _open(self, kind: int, receiver: Receiver) -> tuple[SharedContext, zmq.Socket[bytes]]:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._shared = shared = self._share()
        self._socket = socket = shared.context.socket(kind)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, FRAME_MAX + CURVE_OVERHEAD),
            (zmq.SNDHWM, self._high_water),
            (zmq.RCVHWM, self._high_water),
            (zmq.HEARTBEAT_IVL, 2_000),
            (zmq.HEARTBEAT_TIMEOUT, 6_000),
            (zmq.HEARTBEAT_TTL, 6_000),
            (zmq.HANDSHAKE_IVL, 10_000),
        ):
            socket.setsockopt(option, value)
        # pyzmq's own `send` first looks at arguments that we never use; this is what it then calls.
        self._send = functools.partial(zmq.backend.Socket.send, socket)
        self._recv = socket.recv
        self._fd = socket.FD
        self._loop.add_reader(self._fd, self._drain)
        return shared, socket

    def _arrived(self, hop_key: bytes, frames: list[bytes]) -> None:
        if len(frames) > FRAMES_MAX:
            self._counters.dropped += 1
            return
        self._counters.received += 1
        self._counters.bytes_in += sum(map(len, frames))
        self._receiver(hop_key, frames)

    def _sent(self, size: int) -> None:
        self._counters.sent += 1
        self._counters.bytes_out += size
        if not self._draining:
            self._look()

    def _stop(self) -> SharedContext | None:
        """Read no more; what to give to `_free`, or None if this end is not open."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._loop.remove_reader(self._fd)
            if self._later is not None:
                self._later.cancel()
        return shared

    def _free(self, shared: SharedContext) -> None:
        if self._monitor is not None:
            # In this order: libzmq waits for ever, holding a lock, when it has an event for a reader that is closed.
            self._socket.disable_monitor()
            self._monitor.close()
            self._monitor = None
        self._socket.close(0)
        shared.release()

    def _drain(self) -> None:
        self._later = None
        self._draining = True
        emptied = False
        try:
            emptied = self._turn()
        finally:
            self._draining = False
            if not emptied:
                self._look()

    def _turn(self) -> bool:
        """Read up to `TURN` messages; True if nothing was left."""
        raise NotImplementedError

    def _begin(self, frame: bytes, flags: int) -> None:
        """Send the first frame of a message; `zmq.Again` if there is really no room."""
        try:
            self._send(frame, flags)
        except zmq.Again:
            # libzmq looks at acknowledgements now and then only; reading EVENTS makes it look.
            self._look()
            try:
                self._send(frame, flags)
            except zmq.Again:
                self._look()
                raise

    def _look(self) -> None:
        """Read EVENTS, and read messages if there are any: their signal may have been swallowed."""
        if self._shared is not None and readable(self._socket) and self._later is None:
            self._later = self._loop.call_soon(self._drain)


__all__ = ["CURVE_OVERHEAD", "TURN", "End"]
