"""The in-memory transport: the real contract, over a `MemoryNetwork` that can be made to misbehave.

A session is one channel's authenticated connection to one listener. It is made after a round trip, ends when either
side closes (the other side hears of it behind what is still under way), and when the places stay partitioned in
either direction for `timeout_ms`, as a real link with heartbeats would. A power cut (`abort(silent=True)`) tells
nobody; the other side finds out after `timeout_ms`. Keys are compared, not proven: whoever holds a `CurveKey` has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kindmesh.mesh.memory_network import LinkSettings, Network, Pipe
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
from kindmesh.protocol.errors import AddressInUse, ConfigError, PeerUnreachable, TransportClosed

SCHEME = "memory://"


class MemoryNetwork(Network):
    """A network whose places have transports."""

    def transport(self, place: str) -> MemoryTransport:
        """The transport of the device at `place`."""
        return MemoryTransport(self, place)


class MemoryTransport:
    """The transport of one place; implements `kindmesh.mesh.transport.Transport`."""

    def __init__(self, network: Network, place: str = "") -> None:
        self.network = network
        self.place = place
        self.ends: dict[MemoryListener | MemoryChannel, None] = {}

    def listen(self, address: str, key: CurveKey, admit: Admit) -> MemoryListener:
        """A listener at "memory://NAME"."""
        return MemoryListener(self, address, key, admit)

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> MemoryChannel:
        """A channel to "memory://NAME"."""
        return MemoryChannel(self, address, server_key, key)

    def abort(self, *, silent: bool = False) -> None:
        """The device's process dies (its system closes the links); with `silent`, its power is cut."""
        for end in list(self.ends):
            end.abort(silent=silent)


class _Session:
    """One authenticated connection of a channel to a listener."""

    def __init__(self, network: Network, channel: MemoryChannel, listener: MemoryListener) -> None:
        self.network, self.channel, self.listener = network, channel, listener
        self.hop_key = channel.key.public
        self.up = Pipe(network, channel.place, listener.place)
        self.down = Pipe(network, listener.place, channel.place)
        self._ending: asyncio.TimerHandle | None = None
        network.connections[self] = None

    @property
    def places(self) -> frozenset[str]:
        """Where the two ends are."""
        return frozenset((self.channel.place, self.listener.place))

    def sever(self) -> None:
        """Both sides notice now; what is under way is lost."""
        if self._ending is not None:
            self._ending.cancel()
        self.up.cut = self.down.cut = True
        self.network.connections.pop(self, None)
        self.channel.lost(self)
        self.listener.lost(self)

    def leave(self, outgoing: Pipe, *, silent: bool) -> None:
        """The sending side of `outgoing` is gone; the other side hears of it behind what is under way."""
        incoming = self.down if outgoing is self.up else self.up
        incoming.cut = True
        self._ending = outgoing.loop.call_later(self.network.timeout_ms / 1000, self.sever)
        if not silent:
            outgoing.control(self.sever)


class MemoryListener:
    """The accepting end; see `kindmesh.mesh.transport.Listener`."""

    def __init__(self, transport: MemoryTransport, address: str, key: CurveKey, admit: Admit) -> None:
        self.address, self.key = _checked(address), key
        self.place, self._network, self._ends = transport.place, transport.network, transport.ends
        self._admit = admit
        self._receiver: Receiver | None = None
        self._watch: PeerWatcher | None = None
        self._newest: dict[bytes, _Session] = {}
        self._all: dict[_Session, None] = {}
        self._counters = Counters()

    async def start(self, receiver: Receiver, watch: PeerWatcher | None = None) -> None:
        """Take the address and accept."""
        if self.address in self._network.listeners:
            raise AddressInUse(f"{self.address} is in use")
        self._receiver, self._watch = receiver, watch
        self._network.listeners[self.address] = self
        self._ends[self] = None

    def send(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        """Queue one message for the newest session of `hop_key`."""
        size = check_message(frames)
        if self._receiver is None:
            raise TransportClosed("this listener is not open")
        session = self._newest.get(hop_key)
        if session is None or not self._admit(hop_key):
            raise PeerUnreachable("no device with this key is connected")
        message = [bytes(frame) for frame in frames]
        session.down.push(size, lambda: session.channel.deliver(session, message, size))
        self._counters.sent += 1
        self._counters.bytes_out += size

    def peers(self) -> frozenset[bytes]:
        """Hop keys with a session."""
        return frozenset(self._newest)

    def statistics(self) -> TransportStatistics:
        """Counters so far."""
        return self._counters.snapshot()

    async def close(self) -> None:
        """Stop at once."""
        self.abort()

    def abort(self, *, silent: bool = False) -> None:
        """`close` without waiting; with `silent`, nobody is told."""
        self._receiver = self._watch = None
        if self._network.listeners.get(self.address) is self:
            del self._network.listeners[self.address]
        self._ends.pop(self, None)
        self._newest.clear()
        while self._all:
            session, _ = self._all.popitem()
            session.leave(session.down, silent=silent)

    def accept(self, channel: MemoryChannel) -> _Session | str:
        """The session of a channel that asks for one, or why there is none."""
        if channel.hop_key != self.key.public:
            return "another key answers at this address"
        hop_key = channel.key.public
        if not self._admit(hop_key):
            self._counters.refused += 1
            return "the other side does not accept this device's key"
        session = _Session(self._network, channel, self)
        self._newest[hop_key] = session
        self._all[session] = None
        self._counters.connects += 1
        if self._watch is not None:
            self._watch(hop_key, True)
        return session

    def deliver(self, session: _Session, message: list[bytes], size: int) -> None:
        """One message arrives."""
        if self._receiver is None:
            return
        if self._newest.get(session.hop_key) is not session or not self._admit(session.hop_key):
            self._counters.refused += 1
            return
        self._counters.received += 1
        self._counters.bytes_in += size
        self._receiver(session.hop_key, list(message))

    def lost(self, session: _Session) -> None:
        """A session ended."""
        self._all.pop(session, None)
        if self._newest.get(session.hop_key) is session:
            del self._newest[session.hop_key]
            if self._watch is not None:
                self._watch(session.hop_key, False)


class MemoryChannel:
    """The dialling end; see `kindmesh.mesh.transport.Channel`."""

    def __init__(self, transport: MemoryTransport, address: str, server_key: bytes, key: CurveKey) -> None:
        self.address, self.hop_key, self.key = _checked(address), server_key, key
        self.place, self._network, self._ends = transport.place, transport.network, transport.ends
        self._receiver: Receiver | None = None
        self._watch: LinkWatcher | None = None
        self._session: _Session | None = None
        self._awaited: _Session | None = None
        self._dialling: asyncio.TimerHandle | None = None
        self._retry_ms = self._network.retry_ms
        self._reason = "it was not dialled yet"
        self._counters = Counters()

    @property
    def connected(self) -> bool:
        """Whether there is a session now, as far as known."""
        return self._session is not None

    async def start(self, receiver: Receiver, watch: LinkWatcher | None = None) -> None:
        """Begin to connect."""
        self._receiver, self._watch = receiver, watch
        self._ends[self] = None
        self._dial()

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message."""
        size = check_message(frames)
        if self._receiver is None:
            raise TransportClosed("this channel is not open")
        session = self._session
        if session is None:
            raise PeerUnreachable(f"{self.address} is not connected: {self._reason}")
        message = [bytes(frame) for frame in frames]
        session.up.push(size, lambda: session.listener.deliver(session, message, size))
        self._counters.sent += 1
        self._counters.bytes_out += size

    def statistics(self) -> TransportStatistics:
        """Counters so far."""
        return self._counters.snapshot()

    async def close(self) -> None:
        """Stop at once."""
        self.abort()

    def abort(self, *, silent: bool = False) -> None:
        """`close` without waiting; with `silent`, nobody is told."""
        self._receiver = self._watch = None
        self._ends.pop(self, None)
        if self._dialling is not None:
            self._dialling.cancel()
        session, self._session, self._awaited = self._session or self._awaited, None, None
        if session is not None:
            session.leave(session.up, silent=silent)

    def deliver(self, session: _Session, message: list[bytes], size: int) -> None:
        """One message arrives."""
        if self._receiver is not None and self._session is session:
            self._counters.received += 1
            self._counters.bytes_in += size
            self._receiver(self.hop_key, list(message))

    def lost(self, session: _Session) -> None:
        """A session ended; dial again."""
        if self._session is session:
            self._session = None
            self._reason = "the link broke"
            if self._watch is not None:
                self._watch(False)
            self._again()

    def _dial(self) -> None:
        if self._awaited is not None:
            awaited, self._awaited = self._awaited, None
            awaited.sever()
        there = self._network.listeners.get(self.address)
        if there is None:
            self._failed("nothing answers")
            return
        link = self._network.link(self.place, there.place)
        if link.partitioned:
            self._failed("nothing answers")
            return
        loop = asyncio.get_running_loop()
        self._dialling = loop.call_later(link.delay_ms / 1000, self._knock)

    def _knock(self) -> None:
        there = self._network.listeners.get(self.address)
        if there is None or self._network.link(there.place, self.place).partitioned:
            self._failed("nothing answers")
            return
        answer = there.accept(self)
        if isinstance(answer, str):
            self._failed(answer)
            return
        self._awaited = answer
        # Only a partition can lose the welcome; dial again when it cannot come any more.
        up, down = self._network.link(self.place, there.place), self._network.link(there.place, self.place)
        self._again(patience_ms=2 * (up.delay_ms + up.jitter_ms + down.delay_ms + down.jitter_ms))
        answer.down.control(lambda: self._welcomed(answer))

    def _welcomed(self, session: _Session) -> None:
        if self._awaited is session:
            if self._dialling is not None:
                self._dialling.cancel()
            self._session, self._awaited = session, None
            self._retry_ms = self._network.retry_ms
            self._counters.connects += 1
            if self._watch is not None:
                self._watch(True)

    def _failed(self, reason: str) -> None:
        self._reason = reason
        self._again()

    def _again(self, patience_ms: float = 0.0) -> None:
        pause_ms = self._retry_ms + patience_ms
        self._dialling = asyncio.get_running_loop().call_later(pause_ms / 1000, self._dial)
        self._retry_ms = min(self._retry_ms * 2, self._network.retry_max_ms)


def _checked(address: str) -> str:
    if not address.startswith(SCHEME) or address == SCHEME:
        raise ConfigError(f"{address} is not a memory address", hint="It looks like memory://name.")
    return address


__all__ = ["LinkSettings", "MemoryChannel", "MemoryListener", "MemoryNetwork", "MemoryTransport"]
