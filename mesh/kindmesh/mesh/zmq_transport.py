"""The ZeroMQ transport: ROUTER (listener) and DEALER (channel) under CURVE, read by the event loop itself.

How it works, and what must stay true:

- **Reading.** libzmq signals a socket's FD on changes only. So the reader drains until there is nothing left (in turns
  of `TURN` messages, to be fair to the rest of the loop), and whoever sends outside of it looks at `EVENTS` again,
  because sending may swallow the signal of an arrival. No zmq.asyncio: it costs 2.4 times the CPU.
- **Who.** A ZAP handler on the same loop answers for every new connection; the domain is enforced, so without a
  handler nobody gets in. Its answer sets the User-Id, the client's key, which is read from *every* message and
  checked with `admit`: cutting a revoked device off does not depend on its connection ending.
- **Sessions.** Routing ids are libzmq's own, one for each connection; a client that chose one is refused. A channel
  announces itself with an empty message as soon as it is authenticated (PROBE_ROUTER); the newest connection of a key
  is its session, older ones are refused from then on. libzmq names connections in a way that can be guessed and lets
  clients choose names, so a session ends the moment its socket does (monitor), before anybody new is let in.
- **Links.** A channel learns of its link from a socket monitor. Sending without a link fails at once (IMMEDIATE)
  instead of queueing for a device that may never come back. libzmq gives up on a server that refused our key; we do
  not, and dial again.

One libzmq context, with its IO thread, serves all ends of a `ZmqTransport` while at least one is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import struct
from collections.abc import Callable, Sequence

import zmq

from kindmesh.mesh import zap
from kindmesh.mesh.addresses import ANY, look_up
from kindmesh.mesh.sessions import Session, Sessions
from kindmesh.mesh.transport import (
    Admit,
    Counters,
    LinkWatcher,
    PeerWatcher,
    Receiver,
    TransportStatistics,
    check_message,
)
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import (
    AddressInUse,
    BackPressure,
    ConfigError,
    PeerUnreachable,
    TransportClosed,
    TransportError,
)
from kindmesh.protocol.limits import FRAME_MAX, FRAMES_MAX

TURN = 64
"""Messages read before the rest of the loop gets its turn."""
HIGH_WATER = 256
"""Messages that wait in each direction of a link."""
REDIAL_S = 0.25
REDIAL_MAX_S = 4.0
"""Pause after a handshake failed; doubles from the one to the other."""

_NOW = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_CURVE_OVERHEAD = 64
"""More than what encryption adds to a frame; libzmq measures frames before it decrypts them."""
_EVENT = struct.Struct("=HI")
_HERE_I_AM = [b""]
_USER_ID = b"User-Id"
_CHOSEN_ID = b"Identity"
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


class ZmqTransport:
    """Makes ZeroMQ listeners and channels, "tcp://host:port"; implements `kindmesh.mesh.transport.Transport`.

    Args:
        high_water: messages that wait in each direction of a link before `BackPressure`.
    """

    def __init__(self, *, high_water: int = HIGH_WATER) -> None:
        self.high_water = high_water
        self._hub: _Hub | None = None

    def listen(self, address: str, key: CurveKey, admit: Admit) -> ZmqListener:
        """A listener at "tcp://host:port"; host is an IP address or `*`, port 0 takes a free one."""
        return ZmqListener(self, address, key, admit)

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> ZmqChannel:
        """A channel to "tcp://host:port"."""
        return ZmqChannel(self, address, server_key, key)

    def hub(self) -> _Hub:
        """The shared context, made when the first end opens."""
        if self._hub is None or self._hub.users == 0:
            self._hub = _Hub()
        self._hub.users += 1
        return self._hub


class _Hub:
    """A libzmq context and its ZAP handler; freed with its last user."""

    def __init__(self) -> None:
        self.users = 0
        self.context = zmq.Context()
        self._domains: dict[bytes, Admit] = {}
        self.handler = _Reader(self.context.socket(zmq.ROUTER), self._serve)
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


class _Reader:
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
        while not self.socket.closed and _readable(self.socket):
            self._take(self.socket.recv_multipart(_NOW))

    def close(self) -> None:
        if not self.socket.closed:
            self._loop.remove_reader(self._fd)
            self.socket.close(0)


class _End:
    """What listener and channel share: a socket of the hub, read by the loop in turns."""

    def __init__(self, transport: ZmqTransport, key: CurveKey) -> None:
        self._transport = transport
        self._key = key
        self._counters = Counters()
        self._hub: _Hub | None = None
        self._monitor: _Reader | None = None
        self._draining = False
        self._later: asyncio.Handle | None = None

    def statistics(self) -> TransportStatistics:
        """Counters so far."""
        return self._counters.snapshot()

    def _open(self, kind: int, receiver: Receiver) -> tuple[_Hub, zmq.Socket[bytes]]:
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._hub = hub = self._transport.hub()
        self._socket = socket = hub.context.socket(kind)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, FRAME_MAX + _CURVE_OVERHEAD),
            (zmq.SNDHWM, self._transport.high_water),
            (zmq.RCVHWM, self._transport.high_water),
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
        return hub, socket

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

    def _shut(self) -> None:
        hub, self._hub = self._hub, None
        if hub is not None:
            if self._later is not None:
                self._later.cancel()
            if self._monitor is not None:
                self._monitor.close()
                self._monitor = None
                self._socket.disable_monitor()
            self._loop.remove_reader(self._fd)
            self._socket.close(0)
            hub.release()

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
        if _readable(self._socket) and self._later is None:
            self._later = self._loop.call_soon(self._drain)


class ZmqListener(_End):
    """The accepting end, a ROUTER; see `kindmesh.mesh.transport.Listener`."""

    def __init__(self, transport: ZmqTransport, address: str, key: CurveKey, admit: Admit) -> None:
        super().__init__(transport, key)
        self.address = address
        self._admit = admit
        self._sessions = Sessions()
        self._watch: PeerWatcher | None = None

    async def start(self, receiver: Receiver, watch: PeerWatcher | None = None) -> None:
        """Bind and accept."""
        target = await look_up(self.address)
        self._watch = watch
        hub, socket = self._open(zmq.ROUTER, receiver)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.IPV6, int(target.is_ipv6 or target.host == ANY))
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._key.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, hub.enter(self._greet))
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        try:
            self._monitor = _Reader(socket.get_monitor_socket(zmq.EVENT_DISCONNECTED), self._ended)
            socket.bind(str(target))
        except zmq.ZMQError as error:
            self._shut()
            raise _bind_error(self.address, error) from None
        self.address = socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        """Queue one message for the newest session of `hop_key`."""
        size = check_message(frames)
        if self._hub is None:
            raise TransportClosed("this listener is not open")
        session = self._sessions.find(hop_key)
        if session is None or not self._admit(hop_key):
            raise PeerUnreachable("no device with this key is connected")
        try:
            self._begin(session.route, _MORE)
        except zmq.Again:
            raise BackPressure("the link to this device is full") from None
        except zmq.ZMQError:
            self._forget(session)
            raise PeerUnreachable("this device has disconnected") from None
        # From here on libzmq drops what it cannot send, to the end of this message.
        last = len(frames) - 1
        for index, frame in enumerate(frames):
            self._send(frame, _MORE if index < last else _NOW)
        self._sent(size)

    def peers(self) -> frozenset[bytes]:
        """Hop keys with a session; one that broke is noticed at the next `send`."""
        return self._sessions.keys()

    async def close(self) -> None:
        """Stop at once."""
        self._watch = None
        self._shut()
        self._sessions.clear()

    def _greet(self, hop_key: bytes) -> bool:
        self._catch_up()
        admitted = self._admit(hop_key)
        if not admitted:
            self._counters.refused += 1
        return admitted

    def _turn(self) -> bool:
        recv, by_route = self._recv, self._sessions.by_route
        for _ in range(TURN):
            try:
                head = recv(_NOW, False)
            except zmq.Again:
                return True
            more = head.more
            frames: list[bytes] = []
            while more:
                part = recv(_NOW, False)
                more = part.more
                if len(frames) <= FRAMES_MAX:
                    frames.append(part.bytes)
            user_id = _property(head, _USER_ID)
            session = by_route.get(head.bytes)
            if session is None or session.user_id != user_id:
                session = self._meet(head, user_id)
            if session is None or not self._admit(session.hop_key):
                self._counters.refused += 1
            elif frames != _HERE_I_AM:
                self._arrived(session.hop_key, frames)
            if self._hub is None:
                return True
        return False

    def _meet(self, head: zmq.Frame, user_id: str) -> Session | None:
        self._catch_up()
        socket, chosen = int(head.get(zmq.SRCFD)), bool(_property(head, _CHOSEN_ID))
        session = self._sessions.meet(head.bytes, socket, user_id, chosen=chosen)
        if session is not None:
            self._counters.connects += 1
            if self._watch is not None:
                self._watch(session.hop_key, True)
        return session

    def _ended(self, message: list[bytes]) -> None:
        _event, socket = _EVENT.unpack(message[0])
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


class ZmqChannel(_End):
    """The dialling end, a DEALER; see `kindmesh.mesh.transport.Channel`."""

    def __init__(self, transport: ZmqTransport, address: str, server_key: bytes, key: CurveKey) -> None:
        super().__init__(transport, key)
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
        self._monitor = _Reader(socket.get_monitor_socket(_WATCHED), self._event)
        socket.connect(self._target)

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message."""
        size = check_message(frames)
        if self._hub is None:
            raise TransportClosed("this channel is not open")
        last, broken = len(frames) - 1, False
        try:
            self._begin(frames[0], _MORE if last else _NOW)
        except zmq.Again:
            if self.connected:
                raise BackPressure("the link is full") from None
            raise PeerUnreachable(f"{self.address} is not connected: {self._reason}") from None
        for index in range(1, last + 1):
            try:
                self._send(frames[index], _MORE if index < last else _NOW)
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
        self._shut()
        self.connected, self._watch, self._reason = False, None, "it was closed"

    def _turn(self) -> bool:
        recv = self._recv
        for _ in range(TURN):
            try:
                part = recv(_NOW, False)
            except zmq.Again:
                return True
            frames = [part.bytes]
            while part.more:
                part = recv(_NOW, False)
                if len(frames) <= FRAMES_MAX:
                    frames.append(part.bytes)
            self._arrived(self.hop_key, frames)
            if self._hub is None:
                return True
        return False

    def _event(self, message: list[bytes]) -> None:
        event, _value = _EVENT.unpack(message[0])
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
        # After a refusal libzmq stops for good; after a failed handshake it knocks ten times a second. We do neither.
        if self._redial is None:
            with contextlib.suppress(zmq.ZMQError):
                self._socket.disconnect(self._target)
            self._redial = self._loop.call_later(self._pause_s, self._dial)
            self._pause_s = min(self._pause_s * 2, REDIAL_MAX_S)

    def _dial(self) -> None:
        self._redial = None
        self._socket.connect(self._target)


def _readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(int(socket.get(_EVENTS)) & _POLLIN)


def _property(frame: zmq.Frame, name: bytes) -> str:
    try:
        return str(frame.get(name))
    except zmq.ZMQError:
        return ""


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


__all__ = ["ZmqChannel", "ZmqListener", "ZmqTransport"]
