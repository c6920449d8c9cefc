"""The dialling end: a DEALER that pins the server's key and knows, from a socket monitor, whether it is connected.

libzmq connects again by itself when a link breaks. It gives up for good when the server refuses our key, and knocks ten
times a second when a handshake fails; in both cases we hang up and dial again ourselves, more and more slowly.
Nothing is queued without a link (IMMEDIATE); as soon as there is one, an empty message tells the listener that we are
here (PROBE_ROUTER).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import zmq

from kindmesh.mesh.addresses import look_up
from kindmesh.mesh.transport import LinkWatcher, Receiver, check_message
from kindmesh.mesh.zmq_transport.context import MONITOR_EVENT, MORE, NOW, Reader, SharedContext, readable
from kindmesh.mesh.zmq_transport.end import TURN, End
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import BackPressure, PeerUnreachable, TransportClosed
from kindmesh.protocol.limits import FRAMES_MAX

REDIAL_S = 0.25
REDIAL_MAX_S = 4.0
"""Pause after a handshake failed; doubles from the one to the other."""

_WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
)
_REASONS = {
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH): "the other side does not accept this device's key",
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): "the other side is not the device that was dialled",
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL): "the other side ended the handshake",
}


class ZmqChannel(End):
    """The dialling end, a DEALER; see `kindmesh.mesh.transport.Channel`."""

    def __init__(
        self,
        share: Callable[[], SharedContext],
        high_water: int,
        address: str,
        server_key: bytes,
        key: CurveKey,
    ) -> None:
        super().__init__(share, high_water, key)
        self.address, self.hop_key = address, server_key
        self.connected = False
        self._target = ""
        self._reason = "nothing answers yet"
        self._watch: LinkWatcher | None = None
        self._redial: asyncio.TimerHandle | None = None
        self._pause_s = REDIAL_S

    async def start(self, receiver: Receiver, watch: LinkWatcher | None = None) -> None:
        """Begin to connect; waits only where a host name has to be looked up."""
        target = await look_up(self.address)
        self._target = str(target)
        self._watch = watch
        _, socket = self._open(zmq.DEALER, receiver)
        socket.setsockopt(zmq.IPV6, int(target.is_ipv6))
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.hop_key)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._key.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._key.secret)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.PROBE_ROUTER, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, 100)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1_000)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, 5_000)
        self._monitor = Reader(socket.get_monitor_socket(_WATCHED), self._event)
        socket.connect(self._target)

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message."""
        size = check_message(frames)
        if self._shared is None:
            raise TransportClosed("this channel is not open")
        last, broken = len(frames) - 1, False
        try:
            self._begin(frames[0], MORE if last else NOW)
        except zmq.Again:
            if self.connected:
                raise BackPressure("the link is full") from None
            raise PeerUnreachable(f"{self.address} is not connected: {self._reason}") from None
        for index in range(1, last + 1):
            try:
                self._send(frames[index], MORE if index < last else NOW)
            except zmq.Again:
                # The link broke in mid-message. libzmq drops the rest, but it has to be given the rest.
                broken = True
        if broken:
            raise PeerUnreachable(f"the link to {self.address} broke")
        self._sent(size)

    async def close(self) -> None:
        """Stop at once."""
        if self._redial is not None:
            self._redial.cancel()
        shared = self._stop()
        if shared is not None:
            self._free(shared)
        self.connected, self._watch, self._reason = False, None, "it was closed"

    def _turn(self) -> bool:
        recv = self._recv
        alone = True
        for _ in range(TURN):
            try:
                part = recv(NOW, False)
            except zmq.Again:
                return True
            frames = [part.bytes]
            while part.more:
                part = recv(NOW, False)
                if len(frames) <= FRAMES_MAX:
                    frames.append(part.bytes)
            self._arrived(self.hop_key, frames)
            if self._shared is None or (alone and not readable(self._socket)):
                return True
            alone = False
        return False

    def _event(self, message: list[bytes]) -> None:
        event, _value = MONITOR_EVENT.unpack(message[0])
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._counters.connects += 1
            self._pause_s = REDIAL_S
            self._linked(True)
        elif event in _REASONS:
            self._reason = _REASONS[event]
            self._dial_later()
        else:
            if self.connected:
                self._reason = "the link broke"
            self._linked(False)

    def _linked(self, connected: bool) -> None:
        if self.connected != connected:
            self.connected = connected
            if self._watch is not None:
                self._watch(connected)

    def _dial_later(self) -> None:
        if self._redial is None:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.disconnect(self._target)
            self._redial = self._loop.call_later(self._pause_s, self._dial)
            self._pause_s = min(self._pause_s * 2, REDIAL_MAX_S)

    def _dial(self) -> None:
        self._redial = None
        self._socket.connect(self._target)


__all__ = ["REDIAL_MAX_S", "REDIAL_S", "ZmqChannel"]
