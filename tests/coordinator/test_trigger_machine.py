"""The trigger machine: changes, counts, debouncing; and what holds whatever is heard, whatever the clock does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.coordinator.heart.schedules.trigger_machine import (
    LEAST_MS,
    SOURCES_MAX,
    Clock,
    Heard,
    Remembered,
    Seen,
    TriggerMachine,
    look_up,
    meets,
    same,
)
from kindmesh.coordinator.heart.schedules.words import Change, Condition, OnEvent
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import InvalidTransition

T0 = 1_800_000_000_000
S = 1_000


class Subject:
    """A machine under test: `hear` and `wait` say whether it fires; `validate` runs after each."""

    def __init__(self, **when: Any) -> None:
        self.machine = TriggerMachine(OnEvent("perception.door.changed", **when))

    def hear(self, at_s: float, value: Any = None, *, source: str = "door", found: bool = True) -> int:
        return self.tell(Heard(source, value, found), at_s)

    def wait(self, until_s: float) -> int:
        return self.tell(Clock(), until_s)

    def tell(self, event: Heard | Clock, at_s: float) -> int:
        fires = self.machine.handle(event, T0 + round(at_s * S))
        self.machine.validate()
        kept = decode(Remembered, encode(self.machine.remembered))
        assert kept == self.machine.remembered
        self.machine = TriggerMachine(self.machine.when, kept)
        return fires

    def wake_s(self) -> float:
        wake_ms = self.machine.wake_ms()
        return (wake_ms - T0) / S if wake_ms else 0


def test_each_event_fires() -> None:
    subject = Subject()
    assert [subject.hear(at_s) for at_s in (0, 10, 20)] == [1, 1, 1]
    assert subject.wake_s() == 0


def test_within_a_second_several_are_one() -> None:
    subject = Subject()
    assert [subject.hear(at_s) for at_s in (10, 10.1, 10.2)] == [1, 0, 0]
    assert subject.wake_s() == 11
    assert [subject.wait(10.9), subject.wait(11), subject.wait(12)] == [0, 1, 0]


def test_every_third_fires() -> None:
    subject = Subject(every_nth=3)
    assert [subject.hear(at_s) for at_s in range(0, 140, 20)] == [0, 0, 1, 0, 0, 1, 0]


def test_trailing_fires_when_it_is_quiet() -> None:
    subject = Subject(debounce="trailing", quiet_ms=30 * S)
    assert [subject.hear(at_s) for at_s in (0, 20, 40)] == [0, 0, 0]
    assert subject.wake_s() == 70
    assert [subject.wait(69), subject.wait(70), subject.wait(200)] == [0, 1, 0]


def test_trailing_waits_no_longer_than_it_is_told() -> None:
    subject = Subject(debounce="trailing", quiet_ms=30 * S, max_wait_ms=60 * S)
    assert [subject.hear(at_s) for at_s in (0, 20, 40, 59)] == [0, 0, 0, 0]
    assert subject.hear(61) == 1
    assert subject.wait(200) == 0


def test_leading_fires_at_once_and_then_not_until_it_was_quiet() -> None:
    subject = Subject(debounce="leading", quiet_ms=30 * S)
    assert [subject.hear(at_s) for at_s in (0, 20, 40)] == [1, 0, 0]
    assert [subject.wait(69), subject.wait(70)] == [0, 0]
    assert subject.machine.remembered.state == "idle"
    assert subject.hear(75) == 1


def test_leading_fires_again_after_its_longest_wait() -> None:
    subject = Subject(debounce="leading", quiet_ms=30 * S, max_wait_ms=60 * S)
    assert [subject.hear(at_s) for at_s in (0, 20, 40, 60, 80)] == [1, 0, 0, 1, 0]


def test_leading_does_not_need_the_clock_to_see_that_it_was_quiet() -> None:
    subject = Subject(debounce="leading", quiet_ms=30 * S)
    assert [subject.hear(0), subject.hear(31)] == [1, 1]


def test_leading_with_a_short_quiet_time_still_fires_once_a_second() -> None:
    subject = Subject(debounce="leading", quiet_ms=100)
    assert [subject.hear(at_s) for at_s in (10, 10.5, 10.6)] == [1, 0, 0]
    assert subject.wait(11) == 1


def test_a_change_fires_and_the_same_again_does_not() -> None:
    subject = Subject(change=Change("state"))
    assert [subject.hear(0, "open"), subject.hear(5, "open"), subject.hear(10, "shut")] == [0, 0, 1]


def test_only_the_change_that_is_wanted_fires() -> None:
    subject = Subject(
        change=Change("state", any_from=False, from_value="shut", any_to=False, to_value="open")
    )
    values = ["open", "ajar", "open", "shut", "open"]
    assert [subject.hear(10 * at_s, value) for at_s, value in enumerate(values)] == [0, 0, 0, 0, 1]


def test_each_source_is_watched_for_itself() -> None:
    subject = Subject(change=Change("state"))
    assert [subject.hear(0, "open", source="a"), subject.hear(5, "shut", source="b")] == [0, 0]
    assert subject.hear(10, "shut", source="a") == 1


def test_a_change_has_to_last() -> None:
    subject = Subject(change=Change("state", any_to=False, to_value="open", for_ms=600 * S))
    subject.hear(0, "shut")
    assert subject.hear(10, "open") == 0
    assert subject.wake_s() == 610
    assert subject.hear(300, "shut") == 0
    assert subject.wait(700) == 0
    subject.hear(1000, "open")
    assert subject.hear(1300, "open") == 0
    assert [subject.wait(1599), subject.wait(1600), subject.wait(3000)] == [0, 1, 0]


def test_a_repeated_value_notices_that_the_time_is_over() -> None:
    subject = Subject(change=Change("state", for_ms=60 * S))
    subject.hear(0, 1)
    subject.hear(10, 2)
    assert subject.hear(80, 2) == 1


def test_an_event_without_the_field_changes_nothing() -> None:
    subject = Subject(change=Change("state"))
    subject.hear(0, "open")
    assert subject.hear(5, None, found=False) == 0
    assert subject.hear(10, None) == 1


def test_several_that_ripen_at_once_are_one() -> None:
    subject = Subject(change=Change("state", for_ms=60 * S))
    for source in "abc":
        subject.hear(0, 1, source=source)
        subject.hear(1, 2, source=source)
    assert subject.wait(61) == 1


def test_so_many_sources_are_watched_and_no_more() -> None:
    subject = Subject(change=Change("state"))
    for number in range(SOURCES_MAX + 1):
        subject.machine.handle(Heard(str(number), 1), T0)
    subject.machine.validate()
    assert len(subject.machine.remembered.seen) == SOURCES_MAX
    assert "0" not in subject.machine.remembered.seen


def test_a_clock_that_is_set_back_makes_nothing_wait_for_years() -> None:
    subject = Subject(change=Change("state", for_ms=60 * S), debounce="trailing", quiet_ms=30 * S)
    subject.hear(1_000_000, 1)
    subject.hear(1_000_001, 2)
    assert subject.wait(0) == 0
    assert subject.wait(60) == 0
    assert subject.wait(90) == 1


def test_validate_names_what_does_not_hold() -> None:
    machine = TriggerMachine(OnEvent("a.b"), Remembered("resting", 5))
    machine.remembered.seen = {str(number): Seen(1) for number in range(SOURCES_MAX + 1)}
    with pytest.raises(InvalidTransition, match="too many sources; miscounted; waits for nothing; rests"):
        machine.validate()


DATA = {"name": "hall", "level": 20, "on": True, "none": None, "door": {"state": "open"}, "list": [1]}


@pytest.mark.parametrize(
    ("field", "test", "value", "met"),
    [
        ("name", "=", "hall", True), ("name", "=", "Hall", False), ("name", "!=", "hall", False),
        ("name", "<", "hbll", True), ("name", ">=", "hall", True), ("level", "<", 20, False),
        ("level", "<=", 20.0, True), ("level", ">", 19.5, True), ("level", "=", "20", False),
        ("level", "<", "30", False), ("on", "=", True, True),
        ("on", "=", 1, False), ("on", "<", 2, False), ("none", "=", None, True), ("none", "<", 1, False),
        ("door.state", "=", "open", True), ("door.shape", "!=", "open", False), ("door", "=", "open", False),
        ("list", "=", 1, False), ("name.first", "=", "h", False),
    ],
)  # fmt: skip
def test_a_condition(field: str, test: Any, value: Any, met: bool) -> None:
    assert meets((Condition(field, test, value),), DATA) is met


def test_all_conditions_count() -> None:
    assert meets((), DATA)
    assert not meets((Condition("name", "=", "hall"), Condition("level", ">", 20)), DATA)


def test_values_are_equal_if_they_are_of_a_kind() -> None:
    assert same(1, 1.0)
    assert not same(1, True)
    assert look_up({"a": {"b": 1}}, "a.b") == (1, True)
    assert look_up({"a": {"b": b"x"}}, "a.b") == (None, False)


STEPS = st.lists(
    st.tuples(st.integers(-5_000, 90_000), st.sampled_from(["a", "b", ""]), st.integers(0, 2)), max_size=80
)


@settings(max_examples=80, deadline=None)
@given(
    STEPS,
    st.sampled_from(["none", "leading", "trailing"]),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([0, 45_000]),
)
def test_it_fires_at_most_once_a_second_and_always_comes_to_rest(
    steps: list[tuple[int, str, int]], debounce: Any, nth: int, change: bool, max_wait_ms: int
) -> None:
    subject = Subject(
        debounce=debounce, quiet_ms=30 * S, max_wait_ms=max_wait_ms, every_nth=nth,
        change=Change("state", for_ms=10 * S) if change else None,
    )  # fmt: skip
    now_ms, fired_ms = T0, 0
    for step_ms, source, value in steps:
        now_ms += step_ms
        fired_ms = min(fired_ms, now_ms)
        if subject.tell(Heard(source, value) if source else Clock(), (now_ms - T0) / S):
            assert not fired_ms or now_ms >= fired_ms + LEAST_MS
            fired_ms = now_ms
    for _ in range(10):
        if not subject.machine.wake_ms():
            break
        now_ms = max(now_ms, subject.machine.wake_ms())
        subject.tell(Clock(), (now_ms - T0) / S)
    assert subject.machine.wake_ms() == 0
    assert subject.machine.remembered.state == "idle"
