"""The accepting end: a ROUTER that reads the client's authenticated key from every message.

Which connection speaks for which key is decided by `kindmesh.mesh.sessions`. libzmq gives connections names of five
bytes, the first of them zero, and lets clients choose others; those are refused. One that guesses a name of our kind
must not get what is meant for the device that had it before: so a session ends the moment its socket does, as the
monitor tells, and that is looked at before anybody new is let in or met.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence

import zmq

from kindmesh.mesh.addresses import ANY, look_up
from kindmesh.mesh.sessions import Session, Sessions
from kindmesh.mesh.transport import Admit, PeerWatcher, Receiver, check_message
from kindmesh.mesh.zmq_transport.context import MONITOR_EVENT, MORE, NOW, Reader, SharedContext, readable
from kindmesh.mesh.zmq_transport.end import TURN, End
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import (
    AddressInUse,
    BackPressure,
    ConfigError,
    PeerUnreachable,
    TransportClosed,
    TransportError,
)
from kindmesh.protocol.limits import FRAMES_MAX

log = logging.getLogger("kindmesh.mesh.zmq_transport")

CLOSE_S = 2.0
"""How long `close` waits for libzmq."""

_WATCHED = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
_HERE_I_AM = [b""]
_USER_ID = b"User-Id"


class ZmqListener(End):
    """The accepting end, a ROUTER; see `kindmesh.mesh.transport.Listener`."""

    def __init__(
        self, share: Callable[[], SharedContext], high_water: int, address: str, key: CurveKey, admit: Admit
    ) -> None:
        super().__init__(share, high_water, key)
        self.address = address
        self._admit = admit
        self._sessions = Sessions()
        self._watch: PeerWatcher | None = None
        self._unbound = asyncio.Event()

    async def start(self, receiver: Receiver, watch: PeerWatcher | None = None) -> None:
        """Bind and accept."""
        target = await look_up(self.address)
        self._watch = watch
        self._unbound.clear()
        shared, socket = self._open(zmq.ROUTER, receiver)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.IPV6, int(target.is_ipv6 or target.host == ANY))
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._key.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, shared.enter(self._greet))
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._monitor = Reader(socket.get_monitor_socket(_WATCHED), self._event)
        try:
            socket.bind(str(target))
        except zmq.ZMQError as error:
            self._stop()
            self._free(shared)
            raise _bind_error(self.address, error) from None
        self.address = socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        """Queue one message for the newest session of `hop_key`."""
        size = check_message(frames)
        if self._shared is None:
            raise TransportClosed("this listener is not open")
        session = self._sessions.find(hop_key)
        if session is None or not self._admit(hop_key):
            raise PeerUnreachable("no device with this key is connected")
        try:
            self._begin(session.route, MORE)
        except zmq.Again:
            raise BackPressure("the link to this device is full") from None
        except zmq.ZMQError:
            self._forget(session)
            raise PeerUnreachable("this device has disconnected") from None
        # From here on libzmq drops what it cannot send, to the end of this message.
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            self._send(frame, MORE if index < last else NOW)
        self._sent(size)

    def peers(self) -> frozenset[bytes]:
        """Hop keys with a session."""
        return self._sessions.keys()

    async def close(self) -> None:
        """Stop at once."""
        self._watch = None
        shared = self._stop()
        if shared is not None:
            self._sessions.clear()
            try:
                # libzmq closes its socket in another thread; wait, so that the address is free for the next one.
                self._socket.unbind(self.address)
                async with asyncio.timeout(CLOSE_S):
                    await self._unbound.wait()
            except TimeoutError:
                log.warning("an address is still bound", extra={"address": self.address})
            finally:
                self._free(shared)

    def _greet(self, hop_key: bytes) -> bool:
        self._catch_up()
        admitted = self._admit(hop_key)
        if not admitted:
            self._counters.refused += 1
        return admitted

    def _turn(self) -> bool:
        recv, by_route = self._recv, self._sessions.by_route
        alone = True
        for _ in range(TURN):
            try:
                head = recv(NOW, False)
            except zmq.Again:
                return True
            more = head.more
            frames: list[bytes] = []
            while more:
                part = recv(NOW, False)
                more = part.more
                if len(frames) <= FRAMES_MAX:
                    frames.append(part.bytes)
            user_id = head.get(_USER_ID)
            session = by_route.get(head.bytes)
            if session is None or session.user_id != user_id:
                session = self._meet(head, user_id)
            if session is None or not self._admit(session.hop_key):
                self._counters.refused += 1
            elif frames != _HERE_I_AM:
                self._arrived(session.hop_key, frames)
            if self._shared is None or (alone and not readable(self._socket)):
                return True
            alone = False
        return False

    def _meet(self, head: zmq.Frame, user_id: str) -> Session | None:
        self._catch_up()
        route = head.bytes
        chosen = len(route) != 5 or route[0] != 0
        session = self._sessions.meet(route, int(head.get(zmq.SRCFD)), user_id, chosen=chosen)
        if session is not None:
            self._counters.connects += 1
            if self._watch is not None:
                self._watch(session.hop_key, True)
        return session

    def _event(self, message: list[bytes]) -> None:
        event, socket = MONITOR_EVENT.unpack(message[0])
        if event == zmq.EVENT_CLOSED:
            self._unbound.set()
            return
        session = self._sessions.at_socket(socket)
        if session is not None:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        self._sessions.forget(session)
        if self._watch is not None:
            self._watch(session.hop_key, False)

    def _catch_up(self) -> None:
        """Learn of ended connections before a new one takes a name or a socket number again."""
        if self._monitor is not None:
            self._monitor.ready()


def _bind_error(address: str, error: zmq.ZMQError) -> TransportError | ConfigError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(f"another program uses {address}")
    if error.errno == errno.EACCES:
        return ConfigError(
            f"{address} needs rights that this process does not have", hint="Use a port above 1023."
        )
    return ConfigError(
        f"cannot listen at {address}", hint="Is this an address of this machine? tcp://*:7437 is any."
    )


__all__ = ["ZmqListener"]
