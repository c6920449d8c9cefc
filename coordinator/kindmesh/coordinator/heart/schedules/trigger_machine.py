"""When events make a schedule due: a change of a value, every n-th, debounced. Pure; one machine for each trigger.

    event fits pattern and conditions (`meets`)
      -> the value of the field changed as wanted, and stayed so for long enough     (`change`; each source for itself)
      -> it is the n-th                                                              (`every_nth`)
      -> debounce:   idle --passes--> fires                                          (`none`)
                     idle --passes--> gathering --quiet, or the longest wait--> fires, idle          (`trailing`)
                     idle --passes--> fires, resting --quiet--> idle                                 (`leading`)

What always holds: it fires at most once in `LEAST_MS`, what comes sooner is gathered into one; a value that is seen for
the first time has not changed; at most `SOURCES_MAX` sources are watched, the one not heard for longest is forgotten.
Times are wall-clock; a wait longer than its length means that the clock was set back, and is cut to its length.
`remembered` is all of it, for the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from kindmesh.coordinator.heart.schedules.words import Change, Condition, OnEvent, Scalar
from kindmesh.protocol.errors import InvalidTransition

LEAST_MS: Final = 1_000
SOURCES_MAX: Final = 256
State = Literal["idle", "gathering", "resting"]
STATES: Final[tuple[State, ...]] = ("idle", "gathering", "resting")


class Heard(msgspec.Struct, frozen=True, gc=False):
    """An event that fits; `source` tells who, `value` is what its field has, `found` whether it has that field."""

    source: str
    value: Scalar = None
    found: bool = True


class Clock(msgspec.Struct, frozen=True, gc=False):
    """Time passed."""


Event: TypeAlias = Heard | Clock


class Seen(msgspec.Struct, array_like=True):
    """The last value of one source; `until_ms`: it counts as changed if it stays so until then, 0: it does not."""

    value: Scalar
    until_ms: int = 0


class Remembered(msgspec.Struct, array_like=True):
    """`due_ms`: when what was gathered fires, or the rest ends; `first_ms`: when the first of it came; `fired_ms`: the
    last time."""

    state: State = "idle"
    count: int = 0
    first_ms: int = 0
    due_ms: int = 0
    fired_ms: int = 0
    seen: dict[str, Seen] = {}


class TriggerMachine:
    """See the module. `handle` returns how often it fires now: 0 or 1."""

    __slots__ = ("remembered", "when")

    def __init__(self, when: OnEvent, remembered: Remembered | None = None) -> None:
        self.when = when
        self.remembered = remembered or Remembered(seen={})

    def handle(self, event: Event, now_ms: int) -> int:
        """Whether it fires now."""
        self._mend(now_ms)
        passes = self._hear(event, now_ms) if isinstance(event, Heard) else self._ripen(now_ms)
        fires = 0
        for _ in range(passes):
            fires += self._pass(now_ms)
        return min(1, fires + _TABLE[self.remembered.state](self, now_ms))

    def wake_ms(self) -> int:
        """When `Clock` is wanted next, 0: never."""
        memory = self.remembered
        waits = [one.until_ms for one in memory.seen.values() if one.until_ms]
        if memory.state != "idle":
            waits.append(memory.due_ms)
        return min(waits, default=0)

    def validate(self) -> None:
        """What always holds.

        Raises:
            InvalidTransition: it does not.
        """
        memory = self.remembered
        problems = [
            (len(memory.seen) > SOURCES_MAX, "too many sources"),
            (not 0 <= memory.count < self.when.every_nth, "miscounted"),
            (memory.state != "idle" and not memory.due_ms, "waits for nothing"),
            (memory.state == "resting" and self.when.debounce != "leading", "rests without being told to"),
        ]  # fmt: skip
        found = [text for wrong, text in problems if wrong]
        if found:
            raise InvalidTransition(f"trigger: {'; '.join(found)}", story=(repr(memory)[:500],))

    # ----------------------------------------------------------------------------------------------- the stages

    def _mend(self, now_ms: int) -> None:
        memory, when = self.remembered, self.when
        if when.change is not None:
            for seen in memory.seen.values():
                seen.until_ms = min(seen.until_ms, now_ms + when.change.for_ms)
        longest_ms = max(when.quiet_ms, when.max_wait_ms, LEAST_MS)
        memory.due_ms = min(memory.due_ms, now_ms + longest_ms)
        memory.first_ms, memory.fired_ms = min(memory.first_ms, now_ms), min(memory.fired_ms, now_ms)

    def _hear(self, event: Heard, now_ms: int) -> int:
        change = self.when.change
        if change is None:
            return 1
        if not event.found:
            return 0
        seen = self.remembered.seen
        before = seen.pop(event.source, None)
        seen[event.source] = after = Seen(event.value)
        if len(seen) > SOURCES_MAX:
            del seen[next(iter(seen))]
        if before is None:
            return 0
        if before.value == event.value:
            after.until_ms = before.until_ms
            return self._ripen(now_ms)
        if not _wanted(change, before.value, event.value):
            return 0
        if not change.for_ms:
            return 1
        after.until_ms = now_ms + change.for_ms
        return 0

    def _ripen(self, now_ms: int) -> int:
        """Values that have stayed for long enough."""
        ripe = [one for one in self.remembered.seen.values() if 0 < one.until_ms <= now_ms]
        for one in ripe:
            one.until_ms = 0
        return len(ripe)

    def _pass(self, now_ms: int) -> int:
        memory, when = self.remembered, self.when
        memory.count += 1
        if memory.count < when.every_nth:
            return 0
        memory.count = 0
        if when.debounce == "trailing":
            self._gather(now_ms, when.quiet_ms, when.max_wait_ms)
            return 0
        if when.debounce == "leading":
            return self._lead(now_ms)
        return self.fire(now_ms)

    def _gather(self, now_ms: int, quiet_ms: int, most_ms: int) -> None:
        memory = self.remembered
        if memory.state != "gathering":
            memory.state, memory.first_ms = "gathering", now_ms
        memory.due_ms = now_ms + quiet_ms
        if most_ms:
            memory.due_ms = min(memory.due_ms, memory.first_ms + most_ms)

    def _lead(self, now_ms: int) -> int:
        memory, when = self.remembered, self.when
        again = when.max_wait_ms and now_ms >= memory.fired_ms + when.max_wait_ms
        fires = 0
        if memory.state == "idle" or now_ms >= memory.due_ms or again:
            fires = self.fire(now_ms)
        if memory.state != "gathering":
            memory.state, memory.due_ms = "resting", now_ms + when.quiet_ms
        return fires

    def fire(self, now_ms: int) -> int:
        """Now, or soon if it did a moment ago."""
        memory = self.remembered
        if memory.fired_ms and now_ms < memory.fired_ms + LEAST_MS:
            if memory.state != "gathering":
                memory.state, memory.first_ms, memory.due_ms = "gathering", now_ms, memory.fired_ms + LEAST_MS
            return 0
        memory.state, memory.fired_ms = "idle", now_ms
        return 1


def _on_idle(machine: TriggerMachine, now_ms: int) -> int:
    return 0


def _on_gathering(machine: TriggerMachine, now_ms: int) -> int:
    if now_ms < machine.remembered.due_ms:
        return 0
    return machine.fire(now_ms)


def _on_resting(machine: TriggerMachine, now_ms: int) -> int:
    if now_ms >= machine.remembered.due_ms:
        machine.remembered.state = "idle"
    return 0


_TABLE: Final[dict[State, Callable[[TriggerMachine, int], int]]] = {
    "idle": _on_idle,
    "gathering": _on_gathering,
    "resting": _on_resting,
}
"""What time does in each state."""


def _wanted(change: Change, before: Scalar, after: Scalar) -> bool:
    begins = change.any_from or same(change.from_value, before)
    return begins and (change.any_to or same(change.to_value, after))


def same(one: Scalar, other: Scalar) -> bool:
    """Equal, and of a kind: 1 is 1.0, but neither is true."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def look_up(data: Mapping[str, Any], field: str) -> tuple[Scalar, bool]:
    """A field of the data, nested with dots; and whether it has one that is a plain value."""
    value: Any = data
    for word in field.split("."):
        if not isinstance(value, Mapping) or word not in value:
            return None, False
        value = value[word]
    if value is None or isinstance(value, (str, int, float)):
        return value, True
    return None, False


def meets(conditions: tuple[Condition, ...], data: Mapping[str, Any]) -> bool:
    """Whether the data meet all conditions; a field that is missing meets none."""
    return all(_meets(one, *look_up(data, one.field)) for one in conditions)


def _meets(one: Condition, value: Scalar, found: bool) -> bool:
    if not found:
        return False
    if one.test in ("=", "!="):
        return same(value, one.value) == (one.test == "=")
    left, right = value, one.value
    if isinstance(left, str) and isinstance(right, str):
        return _ordered(one.test, (left > right) - (left < right))
    if isinstance(left, _NUMBER) and isinstance(right, _NUMBER) and not isinstance(left, bool):
        return _ordered(one.test, (left > right) - (left < right))
    return False


_NUMBER: Final = (int, float)


def _ordered(test: str, sign: int) -> bool:
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[test]


__all__ = [
    "LEAST_MS",
    "SOURCES_MAX",
    "STATES",
    "Clock",
    "Event",
    "Heard",
    "Remembered",
    "Seen",
    "State",
    "TriggerMachine",
    "look_up",
    "meets",
    "same",
]
