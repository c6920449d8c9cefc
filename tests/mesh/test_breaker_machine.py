"""The circuit breaker: opens after failures in a row, tries again later, closes when it works."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.breaker_machine import (
    FAILURES,
    PAUSE_MAX_MS,
    STATES,
    TABLE,
    Begun,
    Breaker,
    Closed,
    Event,
    Failed,
    Instruction,
    Opened,
    Released,
    Rules,
    Worked,
)
from kindmesh.protocol.errors import InvalidTransition

PAUSE_MS, WINDOW_MS = 30_000, 300_000
RULES = Rules(PAUSE_MS, WINDOW_MS)
CRASH = Failed("CAPABILITY_CRASHED")
EVENTS: list[Event] = [Begun(), Worked(), CRASH, Failed("too many requests", 500), Released()]


def opened(now_ms: int = 0) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(FAILURES):
        breaker.handle(CRASH, now_ms)
    return breaker


def run(breaker: Breaker, *steps: tuple[Event, int]) -> list[Instruction]:
    news: list[Instruction] = []
    for event, at_ms in steps:
        news += breaker.handle(event, at_ms)
        breaker.validate()
    return news


@given(
    st.sampled_from([RULES, Rules(PAUSE_MS)]),
    st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2 * PAUSE_MAX_MS)), max_size=60),
)
def test_news_tell_each_opening_and_closing_and_success_always_closes(
    rules: Rules, steps: list[tuple[Event, int]]
) -> None:
    breaker, now_ms, shut = Breaker(rules), 0, True
    for event, later in steps:
        now_ms += later
        for news in breaker.handle(event, now_ms):
            shut = isinstance(news, Closed)
            if isinstance(news, Opened):
                assert now_ms < news.until_ms <= now_ms + PAUSE_MAX_MS
        breaker.validate()
        assert shut == (breaker.state == "closed")
        if isinstance(event, Worked):
            assert shut
        assert bool(breaker.why_not(now_ms)) <= (not shut)


def test_every_state_has_an_answer_to_every_event() -> None:
    assert set(TABLE) == set(itertools.product(STATES, map(type, EVENTS)))


def test_it_opens_after_failures_in_a_row_and_says_until_when() -> None:
    breaker = Breaker(RULES)
    for _ in range(FAILURES - 1):
        assert breaker.handle(CRASH, 0) == []
    assert breaker.handle(Worked(), 0) == []
    for _ in range(FAILURES - 1):
        breaker.handle(CRASH, 0)
    assert breaker.why_not(0) == ""
    assert breaker.handle(CRASH, 0) == [Opened(PAUSE_MS)]
    assert breaker.why_not(10_000) == "failed 3 times in a row (CAPABILITY_CRASHED); tried again in 20 s"
    assert breaker.why_not(PAUSE_MS) == ""


def test_failures_that_lie_far_apart_do_not_add_up_where_there_is_a_window() -> None:
    breaker = Breaker(RULES)
    for number in range(3 * FAILURES):
        assert breaker.handle(CRASH, number * (WINDOW_MS + 1)) == []


def test_failures_of_what_takes_long_to_fail_add_up_where_there_is_none() -> None:
    breaker = Breaker(Rules(PAUSE_MS))
    steps = [(CRASH, number * (WINDOW_MS + 1)) for number in range(FAILURES)]
    assert run(breaker, *steps) == [Opened(steps[-1][1] + PAUSE_MS)]


def test_one_probe_at_a_time_and_the_pause_doubles_up_to_its_bound() -> None:
    breaker, now_ms, pause = opened(), 0, PAUSE_MS
    while pause < PAUSE_MAX_MS:
        now_ms = breaker.until_ms
        breaker.handle(Begun(), now_ms)
        assert "just being tried again" in breaker.why_not(now_ms)
        breaker.handle(CRASH, now_ms)
        pause = min(2 * pause, PAUSE_MAX_MS)
        assert breaker.until_ms == now_ms + pause
    breaker.handle(Begun(), breaker.until_ms)
    assert breaker.handle(Worked(), breaker.until_ms) == [Closed()]
    assert breaker.why_not(breaker.until_ms) == ""


def test_a_probe_without_a_verdict_lets_the_next_job_try() -> None:
    breaker = opened()
    breaker.handle(Begun(), PAUSE_MS)
    breaker.handle(Released(), PAUSE_MS)
    assert (breaker.state, breaker.why_not(PAUSE_MS)) == ("open", "")


def test_what_must_go_there_during_the_pause_is_no_probe_unless_it_works() -> None:
    breaker = opened()
    breaker.handle(Begun(), 10)
    assert breaker.state == "open"
    assert breaker.handle(CRASH, 20) == []
    assert breaker.until_ms == PAUSE_MS
    assert breaker.handle(Worked(), 30) == [Closed()]


def test_what_says_when_to_come_back_is_left_alone_until_then() -> None:
    breaker = Breaker(RULES)
    assert run(breaker, (Failed("too many requests", 7_000), 10)) == [Opened(7_010)]
    assert breaker.why_not(7_009) == "failed (too many requests); tried again in 1 s"


def test_what_comes_of_a_probe_decides_and_it_may_say_itself_when_to_come_back() -> None:
    breaker = Breaker(RULES)
    run(breaker, (Failed("x", 1_000), 0), (Begun(), 1_000))
    assert breaker.why_not(1_001) == "failed (x); it is just being tried again"
    run(breaker, (Begun(), 1_001))
    assert run(breaker, (Failed("y"), 1_002)) == [Opened(3_002)]
    assert run(breaker, (Begun(), 3_002), (Failed("z", 400), 3_003)) == [Opened(3_403)]
    assert breaker.why_not(3_003) == "failed 3 times in a row (z); tried again in 1 s"
    run(breaker, (Begun(), 3_403), (Released(), 3_404))
    assert run(breaker, (Begun(), 3_405), (Worked(), 3_406)) == [Closed()]


def test_a_pause_never_grows_beyond_its_bound_whatever_is_said() -> None:
    breaker = Breaker(RULES)
    run(breaker, (Failed("x", 10**9), 0))
    assert breaker.until_ms == PAUSE_MAX_MS


def test_a_bug_is_an_invalid_transition() -> None:
    breaker = Breaker(RULES)
    breaker.state = "open"
    with pytest.raises(InvalidTransition):
        breaker.validate()
    breaker.state = "odd"  # type: ignore[assignment]  # what no code of ours does
    with pytest.raises(InvalidTransition):
        breaker.handle(Begun(), 0)
