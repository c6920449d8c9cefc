"""Events between devices, as they happen: to those who want them, and may see them.

The mesh is a star. A node tells the coordinator what its subscribers want, and gets just that; the coordinator tells
each node what it and all others want of it. So an event crosses a link only where somebody waits at the other end. An
event goes from its source to the coordinator and from there to others, never back, so it cannot go round; its id is
remembered for a while all the same. Whatever is sent here may be lost with the link; topics declared durable go by
`event_durable`. What arrives is checked (`admit`) before anybody sees it: nobody speaks for another device or for
another's capability, labels hold, and one member that floods is held back by a bucket of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from kindmesh.mesh.bus import EventBus, wanted
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.rate_machine import TokenBucket
from kindmesh.protocol.errors import AccessRefused, KindmeshError, RateLimited
from kindmesh.protocol.limits import EVENT_INTERESTS_MAX
from kindmesh.protocol.messages import EventSubscribe, MeshEvent, SessionType
from kindmesh.protocol.messages.events import Interest, check_event, check_pattern, fits, may_read

log = logging.getLogger("kindmesh.mesh.event_links")

SEEN_MAX: Final = 8_192
"""Ids of events that are remembered, so that none is taken twice."""
RATE: Final = (500.0, 2_000.0)
"""Events a second from one member, and at once."""
_TOLD: Final = frozenset(10**power for power in range(12))
Admit = Callable[[bytes, MeshEvent], object]
"""(peer, event): refuses what this peer may not publish."""
Current = Callable[[bytes], None]
"""Refuses a member that does not belong here any more, or whose certificate has ended."""


class Seen:
    """Ids of events that were here already."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def new(self, event_id: bytes) -> bool:
        """Whether this is the first time; it is remembered."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > SEEN_MAX:
            self._ids.popitem(last=False)
        return True


class EventLinks:
    """See the module. `relays`: this is the coordinator, which passes on what others publish."""

    def __init__(
        self,
        bus: EventBus,
        endpoint: Endpoint,
        clock: Clock,
        *,
        admit: Admit,
        current: Current,
        relays: bool = False,
    ) -> None:
        self.seen = Seen()
        self.dropped: Counter[str] = Counter()
        """Events that were wanted and not sent, by the reason's code."""
        self._bus, self._endpoint, self._clock = bus, endpoint, clock
        self._admit, self._current, self._relays = admit, current, relays
        self._up: set[bytes] = set()
        self._wants: dict[bytes, tuple[Interest, ...]] = {}
        self._told: dict[bytes, tuple[Interest, ...]] = {}
        self._buckets: dict[bytes, TokenBucket] = {}
        self._telling: asyncio.Handle | None = None
        endpoint.on_session(SessionType.EVENT_SUBSCRIBE, self._on_subscribe)
        endpoint.on_session(SessionType.EVENT, self._on_event)
        endpoint.on_peer(self._on_peer)
        bus.on_interests(self._interests_changed)
        bus.tap(self._forward, self._anybody_wants, name="the mesh")

    def close(self) -> None:
        """Tell nobody anything any more."""
        if self._telling is not None:
            self._telling.cancel()

    # What others want of us, and what we want of them.

    def _on_subscribe(self, peer: bytes, ref: int, body: EventSubscribe) -> None:
        for one in body.interests:
            check_pattern(one.pattern)
        self._wants[peer] = body.interests
        self._bus.refresh()
        self._interests_changed()

    def _on_peer(self, peer: bytes, up: bool) -> None:
        self._told.pop(peer, None)
        if up:
            self._up.add(peer)
        else:
            self._up.discard(peer)
            self._buckets.pop(peer, None)
            if self._wants.pop(peer, None) is not None:
                self._bus.refresh()
        self._interests_changed()

    def _interests_changed(self) -> None:
        """Say so once, after all that changes in this turn; the session's first frames go before."""
        if self._telling is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # not started yet: everything is told when a session begins
            self._telling = loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._telling = None
        own = self._bus.interests()
        # A coordinator tells only those who told it something: who never does, does not know of events.
        for peer in list(self._wants if self._relays else self._up):
            wishes = own
            if self._relays:
                wishes = _together([own, *(wants for other, wants in self._wants.items() if other != peer)])
            if self._told.get(peer) == wishes:
                continue
            try:
                self._endpoint.tell(peer, SessionType.EVENT_SUBSCRIBE, EventSubscribe(wishes))
                self._told[peer] = wishes
            except KindmeshError as error:
                log.info("interests not told", extra={"code": error.code, "peer": peer.hex()[:8]})

    def _anybody_wants(self, topic: str) -> bool:
        return any(fits(one.pattern, topic) for wants in self._wants.values() for one in wants)

    # Events out and in.

    def _forward(self, event: MeshEvent) -> None:
        if not self._relays and (event.source != self._bus.source or self._durable(event.topic)):
            return
        for peer, wants in self._wants.items():
            if peer == event.source or not wanted(wants, event):
                continue
            if self._relays and not may_read(event.labels, event.source, peer):
                continue
            try:
                self._current(peer)
                self._endpoint.tell(peer, SessionType.EVENT, event)
            except KindmeshError as error:
                self._drop(error.code, peer)

    def _durable(self, topic: str) -> bool:
        """What the node sends by another way, whether anybody waits or not."""
        return self._bus.topic(topic).durable

    def _drop(self, code: str, peer: bytes) -> None:
        self.dropped[code] += 1
        if self.dropped[code] in _TOLD:
            log.warning("an event was not passed on", extra={"code": code, "peer": peer.hex()[:8]})

    def _on_event(self, peer: bytes, ref: int, body: Any) -> None:
        event: MeshEvent = body
        now = self._clock.monotonic()
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = TokenBucket(*RATE, now)
        if not bucket.take(1.0, now):
            raise RateLimited()
        check_event(event)
        if not self._relays and not may_read(event.labels, event.source, self._bus.source):
            raise AccessRefused("an event that is not for this device", field="labels.readers")
        self._admit(peer, event)
        if self.seen.new(event.event_id):
            self._bus.accept(event)


def _together(wishes: Iterable[tuple[Interest, ...]]) -> tuple[Interest, ...]:
    """All of them, each once; too many become one: everything."""
    found = {one for some in wishes for one in some}
    if len(found) > EVENT_INTERESTS_MAX:
        return (Interest("*"),)
    return tuple(sorted(found, key=lambda one: (one.pattern, one.field, one.value)))


__all__ = ["RATE", "Admit", "Current", "EventLinks", "Seen"]
