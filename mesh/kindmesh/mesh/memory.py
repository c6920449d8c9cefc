"""The in-memory transport: the real contract over a network that misbehaves on request, the same way every time.

A `MemoryNetwork` joins *places* (one for each simulated device). What happens to a message from one place to another
is decided by the `LinkSettings` of that direction: delay, jitter, loss, duplication, reordering, bandwidth, partition.
Every direction draws from its own generator, seeded by the network's seed and the two places, so that the same seed
and the same sends give the same run in virtual time. With default settings nothing is lost and order is kept.

A session is one channel's authenticated connection to one listener. It is made after a round trip, ends when either
side closes (the other side hears of it behind what is still under way), and when the places stay partitioned in
either direction for `timeout_ms`, as a real link with heartbeats would. A power cut (`abort(silent=True)`) tells
nobody; the other side finds out after `timeout_ms`. Keys are compared, not proven: whoever holds a `CurveKey` has it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

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
)

SCHEME = "memory://"


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one direction between two places behaves. Probabilities are 0..1."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Up to this much more delay, evenly spread; order is kept."""
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    """Chance that a message is held back (by up to twice the delay and jitter, at least 1 ms) and overtaken."""
    bandwidth: float = 0.0
    """Bytes in a second; 0 is no limit."""
    partitioned: bool = False


class MemoryNetwork:
    """Places and the links between them.

    Args:
        seed: gives every random decision.
        high_water: messages under way in one direction of one session before `BackPressure`.
        retry_ms: pause before a channel dials again; doubles up to `retry_max_ms`.
        timeout_ms: how long a dead link goes unnoticed.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        high_water: int = 256,
        retry_ms: int = 100,
        retry_max_ms: int = 2_000,
        timeout_ms: int = 6_000,
    ) -> None:
        self.seed = seed
        self.high_water = high_water
        self.retry_ms = retry_ms
        self.retry_max_ms = retry_max_ms
        self.timeout_ms = timeout_ms
        self.lost = 0
        self.default = LinkSettings()
        self._links: dict[tuple[str, str], LinkSettings] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._dice: dict[tuple[str, str], random.Random] = {}
        self.listeners: dict[str, MemoryListener] = {}
        self.sessions: dict[_Session, None] = {}

    def transport(self, place: str) -> MemoryTransport:
        """The transport of the device at `place`."""
        return MemoryTransport(self, place)

    def link(self, source: str, destination: str) -> LinkSettings:
        """How messages from `source` to `destination` travel now."""
        return self._links.get((source, destination), self.default)

    def change(self, source: str, destination: str, **settings: Any) -> None:
        """Change settings of one direction, from now on; names are those of `LinkSettings`."""
        key = (source, destination)
        before = self.link(*key)
        after = msgspec.structs.replace(before, **settings)
        self._links[key] = after
        if after.partitioned and not before.partitioned:
            self._cut(key)

    def change_both(self, one: str, other: str, **settings: Any) -> None:
        """`change` in both directions."""
        self.change(one, other, **settings)
        self.change(other, one, **settings)

    def partition(self, one: str, other: str) -> None:
        """Nothing passes between the two places, in either direction."""
        self.change_both(one, other, partitioned=True)

    def heal(self, one: str, other: str) -> None:
        """Undo `partition`."""
        self.change_both(one, other, partitioned=False)

    def dice(self, source: str, destination: str) -> random.Random:
        """The generator of one direction."""
        key = (source, destination)
        if key not in self._dice:
            self._dice[key] = random.Random(f"{self.seed}|{source}|{destination}")
        return self._dice[key]

    def _cut(self, key: tuple[str, str]) -> None:
        self._cuts[key] = cut = self._cuts.get(key, 0) + 1
        if not self.sessions:
            return

        def expire() -> None:
            if self.link(*key).partitioned and self._cuts[key] == cut:
                for session in [s for s in self.sessions if {*key} == {s.channel.place, s.listener.place}]:
                    session.sever()

        asyncio.get_running_loop().call_later(self.timeout_ms / 1000, expire)


class MemoryTransport:
    """The transport of one place; implements `kindmesh.mesh.transport.Transport`."""

    def __init__(self, network: MemoryNetwork, place: str = "") -> None:
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


class _Pipe:
    """One direction of a session: what is under way, earliest first."""

    def __init__(self, network: MemoryNetwork, source: str, destination: str) -> None:
        self.network, self.source, self.destination = network, source, destination
        self.cut = False
        self.loop = asyncio.get_running_loop()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._last = self._free = 0.0

    def push(self, size: int, deliver: Callable[[], None]) -> None:
        """Put a message of `size` bytes under way."""
        if len(self._due) >= self.network.high_water:
            raise BackPressure(f"{len(self._due)} messages to this device are still under way")
        link, dice = (
            self.network.link(self.source, self.destination),
            self.network.dice(self.source, self.destination),
        )
        if link.partitioned or (link.loss and dice.random() < link.loss):
            self.network.lost += 1
            return
        copies = 2 if link.duplication and dice.random() < link.duplication else 1
        for _ in range(copies):
            self._schedule(
                link, dice, size, deliver, held=link.reordering > 0 and dice.random() < link.reordering
            )

    def control(self, deliver: Callable[[], None]) -> None:
        """Put something under way that is only ever lost to a partition, in order with the messages."""
        link = self.network.link(self.source, self.destination)
        if not link.partitioned:
            self._schedule(link, self.network.dice(self.source, self.destination), 0, deliver, held=False)

    def _schedule(
        self, link: LinkSettings, dice: random.Random, size: int, deliver: Callable[[], None], *, held: bool
    ) -> None:
        now = self.loop.time()
        self._free = max(now, self._free) + (size / link.bandwidth if link.bandwidth else 0.0)
        due = (
            self._free + (link.delay_ms + (dice.random() * link.jitter_ms if link.jitter_ms else 0.0)) / 1000
        )
        due = max(due, self._last)
        if held:
            due += dice.random() * max(1.0, 2 * (link.delay_ms + link.jitter_ms)) / 1000
        else:
            self._last = due
        self._number += 1
        heapq.heappush(self._due, (due, self._number, deliver))
        self.loop.call_at(due, self._next)

    def _next(self) -> None:
        # Timers with the same time fire in any order; one timer takes the earliest message, whose ever it was.
        _, _, deliver = heapq.heappop(self._due)
        if self.cut:
            return
        if self.network.link(self.source, self.destination).partitioned:
            self.network.lost += 1
            return
        deliver()


class _Session:
    """One authenticated connection of a channel to a listener."""

    def __init__(self, network: MemoryNetwork, channel: MemoryChannel, listener: MemoryListener) -> None:
        self.network, self.channel, self.listener = network, channel, listener
        self.hop_key = channel.key.public
        self.up = _Pipe(network, channel.place, listener.place)
        self.down = _Pipe(network, listener.place, channel.place)
        self._ending: asyncio.TimerHandle | None = None
        network.sessions[self] = None

    def sever(self) -> None:
        """Both sides notice now; what is under way is lost."""
        if self._ending is not None:
            self._ending.cancel()
        self.up.cut = self.down.cut = True
        self.network.sessions.pop(self, None)
        self.channel.lost(self)
        self.listener.lost(self)

    def leave(self, outgoing: _Pipe, *, silent: bool) -> None:
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
