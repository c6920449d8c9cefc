"""The event bus of one process: who hears of what happens here, and of what the mesh brings.

`publish` hands an event to everybody whose pattern and filter fit, in the turn in which it is called and in the order
of subscription; an event that a subscriber publishes meanwhile comes after it, never inside it. Rules:
- a topic that nobody declared is an error for whoever publishes it (see `protocol.topics`);
- a subscriber that raises is named, counted and logged; the others and the publisher do not notice;
- a callback returns at once. Who needs time has a `Listener`: a bounded queue that drops its oldest events when its
  reader is too slow, counts them, and says so as `system.bus.overflow`;
- subscribers that answer events with events cannot go round for ever: `CASCADE_MAX` events follow one, more are dropped
  and named.
What fits a topic is looked up once and remembered, so that an event costs its subscribers and little else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Self

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import BackPressure, InvalidInput, KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, format_id, format_time_id, new_id
from kindmesh.protocol.limits import EVENT_INTERESTS_MAX
from kindmesh.protocol.messages.events import Interest, Labels, MeshEvent, check_event, check_pattern, fits
from kindmesh.protocol.topics import OWN, Topic, check_payload, undeclared

log = logging.getLogger("kindmesh.mesh.bus")

Callback = Callable[[MeshEvent], None]
Reach = Literal["mesh", "here"]
"""`mesh`: also what other devices publish is wanted; `here`: only what arrives anyway."""
CASCADE_MAX: Final = 1_000
KNOWN_MAX: Final = 4_096
"""Topics whose subscribers are remembered."""
SUBSCRIPTIONS_MAX: Final = 4_096
QUEUE_DEFAULT: Final = 256
OVERFLOW: Final = "system.bus.overflow"
_TOLD: Final = frozenset(10**power for power in range(12))
"""Which of a subscriber's failures are logged."""


class _Subscription:
    __slots__ = ("callback", "field", "name", "pattern", "reach", "value", "wants")

    def __init__(
        self, pattern: str, callback: Callback, name: str, reach: Reach, where: tuple[str, Any] | None
    ) -> None:
        self.pattern, self.callback, self.name, self.reach = pattern, callback, name, reach
        self.field: str = where[0] if where is not None else ""
        self.value: Any = where[1] if where is not None else None
        self.wants: Callable[[str], bool] | None = None

    def interest(self) -> Interest:
        value = encode_value(self.value) if self.field else b""
        return Interest(self.pattern, self.field, value)


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """Counters since the start: events published, calls of subscribers, failures by subscriber, dropped events."""

    published: int
    delivered: int
    failures: dict[str, int]
    dropped: dict[str, int]
    subscriptions: int


class EventBus:
    """See the module. `source` is this device's id (20 bytes)."""

    def __init__(self, source: bytes, clock: Clock, entropy: Entropy) -> None:
        self.source = source
        self._clock = clock
        self._entropy = entropy
        self._subscriptions: list[_Subscription] = []
        self._fitting: dict[str, tuple[_Subscription, ...]] = {}
        self._declared: dict[str, Topic] = dict(OWN)
        self._waiting: deque[MeshEvent] = deque()
        self._busy = False
        self._published = self._delivered = 0
        self._failures: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._on_interests: list[Callable[[], None]] = []

    # ------------------------------------------------------------------------------------------------- topics

    def declare(self, topics: Mapping[str, Topic]) -> None:
        """Topics beside the mesh's own: what capabilities declare; those told before do not count any more."""
        self._declared = {**topics, **OWN}
        self._fitting.clear()

    def topic(self, name: str) -> Topic:
        """What is declared about a topic.

        Raises:
            InvalidInput: nobody declared it.
        """
        found = self._declared.get(name)
        if found is None:
            raise undeclared(name, self._declared)
        return found

    def topics(self) -> list[Topic]:
        """All that are declared, by name."""
        return [self._declared[name] for name in sorted(self._declared)]

    # ------------------------------------------------------------------------------------------------ publish

    def emit(
        self, topic: str, values: dict[str, Any], *, labels: Labels | None = None, run_id: bytes = b""
    ) -> MeshEvent:
        """Publish what happened on this device, now; returns the event.

        Raises:
            InvalidInput, AccessRefused: topic, values or labels are not what the topic's declaration says.
        """
        event = self.make(topic, values, labels=labels, run_id=run_id)
        self.publish(event)
        return event

    def wanted(self, topic: str) -> bool:
        """Whether anybody would hear of an event with this topic: who publishes much asks first."""
        fitting = self._fitting.get(topic)
        return bool(self._find(topic) if fitting is None else fitting)

    def make(
        self, topic: str, values: dict[str, Any], *, labels: Labels | None = None, run_id: bytes = b""
    ) -> MeshEvent:
        """The event that `emit` would publish. Raises as `emit`."""
        declared = self.topic(topic)
        now_ms = self._clock.now_ms()
        event = MeshEvent(
            new_id(now_ms, self._entropy.token(RANDOM_BYTES)),
            topic,
            self.source,
            now_ms,
            labels or Labels(data_class=declared.data_class),
            encode_value(values),
            run_id,
        )
        check_event(event)
        check_payload(declared, event)
        return event

    def publish(self, event: MeshEvent) -> None:
        """Hand an event to everybody here who wants it, in this turn.

        Raises:
            InvalidInput: its topic is not declared.
        """
        if event.topic not in self._declared:
            raise undeclared(event.topic, self._declared)
        self.accept(event)

    def accept(self, event: MeshEvent) -> None:
        """Hand on an event that the coordinator let through: its topic may be declared elsewhere in the mesh."""
        if self._busy:
            if len(self._waiting) >= CASCADE_MAX:
                self._drop(event.topic)
            else:
                self._waiting.append(event)
            return
        self._busy = True
        try:
            self._dispatch(event)
            follow = 0
            while self._waiting:
                follow += 1
                if follow > CASCADE_MAX:
                    for left in self._waiting:
                        self._drop(left.topic)
                    self._waiting.clear()
                    break
                self._dispatch(self._waiting.popleft())
        finally:
            self._busy = False

    def _dispatch(self, event: MeshEvent) -> None:
        self._published += 1
        fitting = self._fitting.get(event.topic)
        if fitting is None:
            fitting = self._find(event.topic)
        values: dict[str, Any] | None = None
        for one in fitting:
            try:
                if one.field:
                    values = event.values() if values is None else values
                    if values.get(one.field) != one.value:
                        continue
                self._delivered += 1
                one.callback(event)
            except Exception as error:  # noqa: BLE001 - a mistake of a subscriber is named, and is nobody else's
                self._failed(one.name, error)

    def _find(self, topic: str) -> tuple[_Subscription, ...]:
        if len(self._fitting) >= KNOWN_MAX:
            self._fitting.clear()
        found = self._fitting[topic] = tuple(
            one
            for one in self._subscriptions
            if fits(one.pattern, topic) and (one.wants is None or one.wants(topic))
        )
        return found

    def _failed(self, name: str, error: Exception) -> None:
        self._failures[name] += 1
        if self._failures[name] in _TOLD:
            code = error.code if isinstance(error, KindmeshError) else type(error).__name__
            log.error(
                "a subscriber of events went wrong",
                exc_info=None if isinstance(error, KindmeshError) else error,
                extra={"code": code, "subscriber": name},
            )

    def _drop(self, topic: str) -> None:
        self._dropped[topic] += 1
        if self._dropped[topic] in _TOLD:
            log.error("events go round in circles; some are dropped", extra={"topic": topic})

    # ---------------------------------------------------------------------------------------------- subscribe

    def subscribe(
        self,
        pattern: str,
        callback: Callback,
        *,
        name: str = "",
        where: tuple[str, Any] | None = None,
        reach: Reach = "mesh",
    ) -> Callable[[], None]:
        """Call `callback(event)` for each event that fits; call what is returned to end that.

        Args:
            name: how the subscriber is called where it fails; by default the callback's name.
            where: (field, value): only events whose data have that value there.

        Raises:
            InvalidInput: the pattern is none. BackPressure: too many subscriptions.
        """
        check_pattern(pattern)
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            raise BackPressure(f"{SUBSCRIPTIONS_MAX} subscribers of events are enough", hint="End some.")
        one = _Subscription(pattern, callback, name or _name_of(callback), reach, where)
        self._subscriptions.append(one)
        self._changed(one)
        return partial(self._unsubscribe, one)

    def tap(self, callback: Callback, wants: Callable[[str], bool], *, name: str) -> Callable[[], None]:
        """Subscribe to all topics for which `wants` says yes; it is asked once for each, and again after `refresh`."""
        one = _Subscription("*", callback, name, "here", None)
        one.wants = wants
        self._subscriptions.append(one)
        self._fitting.clear()
        return partial(self._unsubscribe, one)

    def refresh(self) -> None:
        """What taps want has changed."""
        self._fitting.clear()

    def listen(
        self,
        *patterns: str,
        name: str,
        size: int = QUEUE_DEFAULT,
        where: tuple[str, Any] | None = None,
        reach: Reach = "mesh",
    ) -> Listener:
        """A bounded queue of the events that fit one of the patterns, each once, to be read with `async for`; end it
        with `close`. Raises as `subscribe`."""
        for pattern in patterns:
            check_pattern(pattern)
        return Listener(self, patterns, name=name, size=size, where=where, reach=reach)

    def _unsubscribe(self, one: _Subscription) -> None:
        if one in self._subscriptions:
            self._subscriptions.remove(one)
            self._changed(one)

    def _changed(self, one: _Subscription) -> None:
        self._fitting.clear()
        if one.reach == "mesh":
            for told in self._on_interests:
                told()

    def interests(self) -> tuple[Interest, ...]:
        """What the subscribers here want of the mesh, each once. A full list is one interest: everything."""
        found = {one.interest() for one in self._subscriptions if one.reach == "mesh"}
        if len(found) > EVENT_INTERESTS_MAX:
            return (Interest("*"),)
        return tuple(sorted(found, key=lambda one: (one.pattern, one.field, one.value)))

    def on_interests(self, told: Callable[[], None]) -> None:
        """Call `told` whenever `interests` may have changed."""
        self._on_interests.append(told)

    def overflowed(self, name: str, dropped: int) -> None:
        """A queue of that name is too slow; `dropped` events so far."""
        log.warning("a listener of events is too slow", extra={"subscriber": name, "dropped": dropped})
        self.emit(OVERFLOW, {"subscriber": name[:200], "dropped": dropped})

    def statistics(self) -> BusStatistics:
        """A snapshot of the counters."""
        return BusStatistics(
            self._published,
            self._delivered,
            dict(self._failures),
            dict(self._dropped),
            len(self._subscriptions),
        )


class Listener:
    """Events for one reader, at most `size` of them: the oldest go when it is full. `dropped` counts those."""

    def __init__(
        self,
        bus: EventBus,
        patterns: Iterable[str],
        *,
        name: str,
        size: int,
        where: tuple[str, Any] | None,
        reach: Reach,
    ) -> None:
        if size < 1:
            raise InvalidInput("a queue has room for one event at least", field="size")
        self.name, self.dropped = name, 0
        self._bus, self._size = bus, size
        self._events: deque[MeshEvent] = deque()
        self._told = False
        self._closed = False
        self._wake: asyncio.Future[None] | None = None
        self._last: MeshEvent | None = None
        self._ends = [
            bus.subscribe(pattern, self._take, name=name, where=where, reach=reach)
            for pattern in dict.fromkeys(patterns)
        ]

    def __len__(self) -> int:
        return len(self._events)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MeshEvent:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        event = self._events.popleft()
        # Told again only after the reader had caught up: a slow reader must not make the bus busy.
        if len(self._events) * 2 < self._size:
            self._told = False
        return event

    def close(self) -> None:
        """No more events; what waits can still be read."""
        for end in self._ends:
            end()
        self._closed = True
        self._wake_up()

    def _take(self, event: MeshEvent) -> None:
        # Several of its patterns may fit; an event is handed to all its subscribers before the next one.
        if event is self._last:
            return
        self._last = event
        if len(self._events) >= self._size:
            self._events.popleft()
            self.dropped += 1
            if not self._told:
                self._told = True
                self._bus.overflowed(self.name, self.dropped)
        self._events.append(event)
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def _name_of(callback: Callback) -> str:
    named = callback.func if isinstance(callback, partial) else callback
    return str(getattr(named, "__qualname__", type(named).__name__))


def wanted(interests: Iterable[Interest], event: MeshEvent) -> bool:
    """Whether one of these interests is about the event.

    Raises:
        Malformed: its data are no map.
    """
    values: dict[str, Any] | None = None
    for one in interests:
        if not fits(one.pattern, event.topic):
            continue
        if not one.field:
            return True
        values = event.values() if values is None else values
        if one.field in values and encode_value(values[one.field]) == one.value:
            return True
    return False


def plain_event(event: MeshEvent) -> dict[str, Any]:
    """An event for people and JSON, ids as they are written."""
    labels = event.labels
    return {
        "event": "event",
        "id": format_time_id(event.event_id),
        "topic": event.topic,
        "source": format_id(event.source),
        "at_ms": event.at_ms,
        "data": event.values(),
        "labels": {
            "source": labels.source,
            "readers": [format_id(reader) for reader in labels.readers],
            "data_class": labels.data_class,
            "purpose": labels.purpose,
        },
        "run": format_time_id(event.run_id) if event.run_id else "",
    }


__all__ = [
    "CASCADE_MAX",
    "OVERFLOW",
    "QUEUE_DEFAULT",
    "BusStatistics",
    "Callback",
    "EventBus",
    "Listener",
    "Reach",
    "plain_event",
    "wanted",
]
