"""A network that misbehaves on request, the same way every time: what the in-memory transport runs on.

A `Network` joins *places* (one for each simulated device). What happens to a message from one place to another
is decided by the `LinkSettings` of that direction: delay, jitter, loss, duplication, reordering, bandwidth, partition.
Every direction draws from its own generator, seeded by the network's seed and the two places, so that the same seed
and the same sends give the same run in virtual time. With default settings nothing is lost and order is kept.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from kindmesh.protocol.errors import BackPressure

if TYPE_CHECKING:
    from kindmesh.mesh.memory import MemoryListener


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


class Connection(Protocol):
    """A session between two places, as far as the network cares."""

    @property
    def places(self) -> frozenset[str]:
        """The two places, one if both ends are at the same."""

    def sever(self) -> None:
        """The network gives it up."""


class Network:
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
        """Messages that the network lost."""
        self.default = LinkSettings()
        """How directions behave that were never changed."""
        self._links: dict[tuple[str, str], LinkSettings] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._dice: dict[tuple[str, str], random.Random] = {}
        self.listeners: dict[str, MemoryListener] = {}
        self.connections: dict[Connection, None] = {}

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
        if not self.connections:
            return

        def expire() -> None:
            if self.link(*key).partitioned and self._cuts[key] == cut:
                for connection in [c for c in self.connections if c.places == {*key}]:
                    connection.sever()

        asyncio.get_running_loop().call_later(self.timeout_ms / 1000, expire)


class Pipe:
    """One direction of a session: what is under way, earliest first."""

    def __init__(self, network: Network, source: str, destination: str) -> None:
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


__all__ = ["Connection", "LinkSettings", "Network", "Pipe"]
