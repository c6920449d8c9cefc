"""The contract of every transport: how frames travel between two keys.

A transport moves *messages* (short lists of frames) between *hop keys*: the 32-byte CURVE public keys of the two ends
of one hop. It authenticates both ends, and knows nothing of envelopes, members or jobs. These rules always hold:

- A message is 1..`FRAMES_MAX` frames of at most `FRAME_MAX` bytes; it arrives whole or not at all. One single empty
  frame is no message (transports use it to say "here I am").
- Messages of one link arrive in the order they were sent. They may be lost when a link breaks; nobody is told, so
  whoever needs certainty asks for an acknowledgement.
- The server proves the key that was dialled. The client proves its own key, and `admit` is asked about it when it
  connects and again for every message in either direction: a key revoked a moment ago is refused at once.
- One key has one session: the newest authenticated one. What an older one still sends is refused.
- Sending never waits. A full link is `BackPressure`, no link is `PeerUnreachable`: never silence.
- A dialled channel connects again by itself, for ever, until it is closed. A listener reaches a device only while
  that device is connected to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import FrameTooLarge
from kindmesh.protocol.limits import FRAME_MAX, FRAMES_MAX

Receiver = Callable[[bytes, list[bytes]], None]
"""Takes (hop key, frames). Called on the event loop, must not block and must not raise."""

Admit = Callable[[bytes], bool]
"""Whether this hop key may talk to us now. Called on the event loop for every message, so it must be quick."""

LinkWatcher = Callable[[bool], None]
"""Told on the event loop when a channel's link comes up (True) and when it goes down (False)."""


PeerWatcher = Callable[[bytes, bool], None]
"""Told on the event loop when a hop key gets its session (True) and when its newest session breaks (False)."""


class TransportStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of counters since `start`. Messages, but for the two that count bytes."""

    sent: int = 0
    received: int = 0
    refused: int = 0
    """Not delivered because of who sent it: key unknown, revoked, or superseded by a newer session."""
    dropped: int = 0
    """Not delivered because of what it was: too many frames, or the link was gone."""
    bytes_out: int = 0
    bytes_in: int = 0
    connects: int = 0
    """Times a session was authenticated."""


class Listener(Protocol):
    """The accepting end; many peers. Made by `Transport.listen`, does nothing before `start`."""

    @property
    def address(self) -> str:
        """Where it really listens, for instance "tcp://192.0.2.7:7437"; the asked-for address before `start`."""

    async def start(self, receiver: Receiver, watch: PeerWatcher | None = None) -> None:
        """Bind and accept.

        Raises:
            AddressInUse: another program has the address.
            ConfigError: the address makes no sense on this machine.
        """

    def send(self, hop_key: bytes, frames: Sequence[bytes]) -> None:
        """Queue one message for the newest session of `hop_key`.

        Raises:
            PeerUnreachable: no admitted session of that key.
            BackPressure: its queue is full.
            FrameTooLarge: the message breaks the limits.
            TransportClosed: after `close`, or before `start`.
        """

    def peers(self) -> frozenset[bytes]:
        """Hop keys with a session, as far as known: a link that went silent is noticed after some seconds."""

    def statistics(self) -> TransportStatistics:
        """Counters so far."""

    async def close(self) -> None:
        """Stop at once, free everything; what was not sent yet is lost. Twice is fine."""


class Channel(Protocol):
    """The dialling end; one peer, whose key is pinned. Made by `Transport.dial`."""

    @property
    def hop_key(self) -> bytes:
        """The key that the other end has to prove."""

    @property
    def connected(self) -> bool:
        """Whether there is an authenticated link now, as far as known."""

    async def start(self, receiver: Receiver, watch: LinkWatcher | None = None) -> None:
        """Begin to connect; returns at once. `watch` is told of every change of `connected`.

        Raises:
            ConfigError: the address makes no sense.
        """

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue one message.

        Raises:
            PeerUnreachable: not connected now; says why, where that is known.
            BackPressure: the queue is full.
            FrameTooLarge: the message breaks the limits.
            TransportClosed: after `close`, or before `start`.
        """

    def statistics(self) -> TransportStatistics:
        """Counters so far."""

    async def close(self) -> None:
        """Stop at once, free everything; what was not sent yet is lost. Twice is fine."""


class Transport(Protocol):
    """Makes listeners and channels of one kind."""

    def listen(self, address: str, key: CurveKey, admit: Admit) -> Listener:
        """A listener at `address` that proves `key` and serves whom `admit` allows."""

    def dial(self, address: str, server_key: bytes, key: CurveKey) -> Channel:
        """A channel to `address` that accepts only the server that proves `server_key`, and proves `key` itself."""


class Counters:
    """What an implementation counts with; `snapshot` is its `statistics`."""

    __slots__ = TransportStatistics.__struct_fields__

    def __init__(self) -> None:
        self.sent = self.received = self.refused = self.dropped = 0
        self.bytes_out = self.bytes_in = self.connects = 0

    def snapshot(self) -> TransportStatistics:
        """The counters now."""
        return TransportStatistics(**{name: getattr(self, name) for name in self.__slots__})


def check_message(frames: Sequence[bytes]) -> int:
    """The bytes in a message that keeps the contract's limits.

    Raises:
        FrameTooLarge: too many frames, a frame too large, or nothing at all.
    """
    count = len(frames)
    size = sum(map(len, frames))
    if size <= FRAME_MAX and 0 < count <= FRAMES_MAX and (size or count > 1):
        return size
    if not size and count < 2:
        raise FrameTooLarge("there is nothing in this message", hint="A message has at least one byte.")
    if count > FRAMES_MAX:
        raise FrameTooLarge(f"a message has at most {FRAMES_MAX} frames, this one has {count}")
    largest = max(map(len, frames))
    if largest > FRAME_MAX:
        raise FrameTooLarge(
            f"a frame has at most {FRAME_MAX} bytes, this one has {largest}",
            hint="Larger things travel as artifacts.",
        )
    return size


__all__ = [
    "Admit",
    "Channel",
    "Counters",
    "LinkWatcher",
    "Listener",
    "PeerWatcher",
    "Receiver",
    "Transport",
    "TransportStatistics",
    "check_message",
]
