"""The schedule machine: every rule of its table, and what always holds whatever comes in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules.schedule_machine import (
    NAMED_MAX,
    OPEN_MAX,
    PUNCTUAL_MS,
    RETRY_MS,
    ScheduleMachine,
    grace_of,
)
from kindmesh.coordinator.heart.schedules.words import CATCH_UP_MAX, Rules, duration
from kindmesh.protocol.errors import InvalidTransition

T0 = 1_800_000_000_000
DAY, HOUR = 86_400_000, 3_600_000


class Subject:
    """A machine under test; `validate` runs after every event."""

    def __init__(self, *, delay_ms: int = 0, timed: bool = True, **rules: Any) -> None:
        self.machine = ScheduleMachine(Rules(**rules), T0, delay_ms=delay_ms, timed=timed)

    def tell(self, event: w.Event, now_ms: int) -> list[w.Instruction]:
        found = self.machine.handle(event, now_ms)
        self.machine.validate()
        return found

    def tick(
        self, now_ms: int, *due: int, next_ms: int = T0 + 365 * DAY, older: bool = False
    ) -> list[w.Instruction]:
        until_ms = now_ms - self.machine.delay_ms
        return self.tell(w.Tick(until_ms, tuple(w.Passed(one) for one in due), older, next_ms), now_ms)

    def state(self) -> str:
        return self.machine.state

    def run(self, due_ms: int, now_ms: int) -> None:
        self.tick(now_ms, due_ms)
        self.tell(w.StartDone(due_ms, b"r" * 16), now_ms)


def begun(found: list[w.Instruction]) -> list[int]:
    return [one.due_ms for one in found if isinstance(one, w.Begin)]


def missed(found: list[w.Instruction]) -> list[tuple[int, str]]:
    return [(one.due_ms, one.reason) for one in found if isinstance(one, w.Miss)]


# ------------------------------------------------------------------------------------------------ in good times


def test_what_is_due_begins_and_the_next_is_waited_for() -> None:
    subject = Subject()
    found = subject.tick(T0 + 5, T0 + 1, next_ms=T0 + DAY)
    assert found == [w.Begin(T0 + 1, 4), w.Keep(), w.Wake(T0 + DAY)]
    assert subject.machine.cursor_ms == T0 + 5
    assert subject.tell(w.StartDone(T0 + 1, b"r" * 16), T0 + 6) == [w.Started(T0 + 1, b"r" * 16)]
    assert subject.tell(w.RunEnded(T0 + 1, "succeeded"), T0 + 9) == [w.Close(T0 + 1, "succeeded")]


def test_nothing_due_changes_nothing_on_the_disk() -> None:
    assert Subject().tick(T0 + 5, next_ms=T0 + DAY) == [w.Wake(T0 + DAY)]


def test_a_schedule_ends_when_nothing_more_is_due_and_its_last_run_has_ended() -> None:
    subject = Subject()
    subject.tick(T0 + 5, T0 + 1, next_ms=0)
    assert subject.state() == "active"
    subject.tell(w.StartDone(T0 + 1, b"r" * 16), T0 + 6)
    assert subject.tell(w.RunEnded(T0 + 1, "failed"), T0 + 9) == [w.Close(T0 + 1, "failed"), w.Keep()]
    assert subject.state() == "ended"


def test_a_schedule_is_not_over_before_it_is_known_what_comes() -> None:
    subject = Subject()
    subject.machine.resume("active", "", frozenset(), {T0 - 5: "started"})
    subject.tell(w.Restarted(), T0)
    subject.tell(w.RunEnded(T0 - 5, "succeeded"), T0)
    assert subject.machine.state == "active"


def test_a_trigger_never_ends_by_itself() -> None:
    subject = Subject(timed=False)
    assert subject.tick(T0 + 5, next_ms=0) == []
    assert subject.tell(w.Triggered(T0 + 6, "the door opened"), T0 + 6) == [
        w.Begin(T0 + 6, 0, "the door opened")
    ]
    assert subject.machine.state == "active"


def test_a_delay_moves_the_start_and_not_the_name() -> None:
    subject = Subject(delay_ms=60_000)
    found = subject.tick(T0 + 60_005, T0 + 1, next_ms=T0 + DAY)
    assert found == [w.Begin(T0 + 1, 4), w.Keep(), w.Wake(T0 + DAY + 60_000)]


# --------------------------------------------------------------------------------------------- what was missed


def test_once_makes_up_for_the_newest_within_the_grace_time() -> None:
    subject = Subject(misfire="once", grace_ms=HOUR)
    found = subject.tick(T0 + 3 * DAY + HOUR // 2, T0 + DAY, T0 + 2 * DAY, T0 + 3 * DAY)
    assert begun(found) == [T0 + 3 * DAY]
    assert missed(found) == [(T0 + DAY, "late"), (T0 + 2 * DAY, "late")]


def test_once_passes_over_older_ones_within_the_grace_time() -> None:
    found = Subject(misfire="once", grace_ms=HOUR).tick(T0 + HOUR, T0 + 10, T0 + 20, T0 + 30)
    assert begun(found) == [T0 + 30]
    assert missed(found) == [(T0 + 10, "newer"), (T0 + 20, "newer")]


def test_once_starts_nothing_when_all_is_too_late() -> None:
    found = Subject(misfire="once", grace_ms=HOUR).tick(T0 + DAY, T0 + 10)
    assert begun(found) == []
    assert missed(found) == [(T0 + 10, "late")]


def test_skip_makes_up_for_nothing_but_a_restart_is_still_on_time() -> None:
    subject = Subject(misfire="skip")
    assert missed(subject.tick(T0 + PUNCTUAL_MS + 2, T0 + 1)) == [(T0 + 1, "away")]
    assert begun(subject.tick(T0 + 3 * PUNCTUAL_MS, T0 + 2 * PUNCTUAL_MS)) == [T0 + 2 * PUNCTUAL_MS]


def test_all_makes_up_for_the_newest_ones_oldest_first() -> None:
    subject = Subject(misfire="all", grace_ms=7 * DAY, catch_up=3, overlap="skip")
    days = [T0 + number * DAY for number in range(1, 6)]
    found = subject.tick(days[-1] + HOUR, *days)
    assert begun(found) == [days[2]]
    assert [one for one in found if isinstance(one, w.Wait)] == [w.Wait(days[3]), w.Wait(days[4])]
    assert missed(found) == [(days[0], "many"), (days[1], "many")]
    subject.tell(w.StartDone(days[2], b"r" * 16), days[-1] + HOUR)
    assert begun(subject.tell(w.RunEnded(days[2], "succeeded"), days[-1] + HOUR)) == [days[3]]


def test_all_starts_many_at_once_where_runs_may_overlap() -> None:
    subject = Subject(misfire="all", grace_ms=7 * DAY, catch_up=20, overlap="allow")
    due = [T0 + number for number in range(1, 21)]
    found = subject.tick(T0 + HOUR, *due)
    assert begun(found) == due[:OPEN_MAX]
    assert list(subject.machine.backlog) == due[OPEN_MAX:]


def test_many_misses_share_a_line_and_older_ones_are_mentioned() -> None:
    due = [T0 + number * 60_000 for number in range(1, 101)]
    found = Subject(misfire="skip").tick(T0 + DAY, *due, older=True)
    misses = [one for one in found if isinstance(one, w.Miss)]
    assert len(misses) == NAMED_MAX + 1
    assert misses[0] == w.Miss(due[49], "away", misses[0].why, due[0], 50, more=True)
    assert sum(one.count for one in misses) == 100


def test_older_ones_are_mentioned_even_where_few_are_named() -> None:
    found = Subject(misfire="skip").tick(T0 + DAY, T0 + 1, T0 + 2, older=True)
    assert [(one.due_ms, one.more) for one in found if isinstance(one, w.Miss)] == [
        (T0 + 1, True),
        (T0 + 2, False),
    ]


def test_a_moment_that_does_not_come_is_a_miss() -> None:
    found = Subject().tell(
        w.Tick(T0 + 9, (w.Passed(T0 + 5, "the sun does not set here"),), False, T0 + DAY), T0 + 9
    )
    assert found[0] == w.Miss(T0 + 5, "sun", "the sun does not set here")
    assert begun(found) == []


# ------------------------------------------------------------------------------------------------ the wall clock


def test_what_was_started_is_not_started_again_when_the_clock_was_set_back() -> None:
    subject = Subject()
    subject.run(T0 + HOUR, T0 + HOUR)
    subject.tell(w.RunEnded(T0 + HOUR, "succeeded"), T0 + HOUR)
    found = subject.tell(w.ClockSetBack(T0 + 10, (T0 + HOUR,)), T0 + 10)
    assert found == [w.Retract(T0 + 10), w.Keep()]
    assert begun(subject.tick(T0 + 2 * HOUR, T0 + HOUR, T0 + 2 * HOUR)) == [T0 + 2 * HOUR]
    assert subject.machine.taken == frozenset()


def test_a_miss_of_a_wrong_clock_is_started_when_its_time_comes() -> None:
    subject = Subject(misfire="skip")
    assert missed(subject.tick(T0 + 30 * DAY, T0 + DAY)) == [(T0 + DAY, "away")]
    subject.tell(w.ClockSetBack(T0 + HOUR, ()), T0 + HOUR)
    assert begun(subject.tick(T0 + DAY, T0 + DAY)) == [T0 + DAY]


def test_an_ended_one_shot_that_was_missed_only_by_a_wrong_clock_comes_back() -> None:
    subject = Subject(misfire="skip")
    subject.tick(T0 + 30 * DAY, T0 + DAY, next_ms=0)
    assert subject.machine.state == "ended"
    subject.tell(w.ClockSetBack(T0 + HOUR, ()), T0 + HOUR)
    assert begun(subject.tick(T0 + DAY, T0 + DAY, next_ms=0)) == [T0 + DAY]


# ----------------------------------------------------------------------------------------------------- overlap


def test_skip_misses_what_is_due_while_a_run_goes_on() -> None:
    subject = Subject(overlap="skip")
    subject.run(T0 + 1, T0 + 1)
    assert missed(subject.tick(T0 + DAY, T0 + DAY)) == [(T0 + DAY, "overlap")]


def test_queue_lets_one_wait() -> None:
    subject = Subject(overlap="queue")
    subject.run(T0 + 1, T0 + 1)
    assert w.Wait(T0 + DAY) in subject.tick(T0 + DAY, T0 + DAY)
    assert missed(subject.tick(T0 + 2 * DAY, T0 + 2 * DAY)) == [(T0 + 2 * DAY, "overlap")]
    assert begun(subject.tell(w.RunEnded(T0 + 1, "expired"), T0 + 2 * DAY)) == [T0 + DAY]


def test_allow_starts_beside_up_to_a_bound() -> None:
    subject = Subject(overlap="allow")
    for number in range(OPEN_MAX):
        subject.run(T0 + number + 1, T0 + number + 1)
    assert missed(subject.tick(T0 + DAY, T0 + DAY)) == [(T0 + DAY, "overlap")]
    assert missed(subject.tell(w.RunNow(T0 + DAY + 1, "ann"), T0 + DAY + 1)) == [(T0 + DAY + 1, "overlap")]


# ---------------------------------------------------------------------------------------------------- starting


def test_a_start_that_may_go_better_is_tried_again_within_the_grace_time() -> None:
    subject = Subject(grace_ms=60_000)
    subject.tick(T0 + 10, T0 + 10)
    refused = w.StartRefused(T0 + 10, "no device", True)
    assert subject.tell(refused, T0 + 20) == [w.Retry(T0 + 10, T0 + 20 + RETRY_MS, "no device")]
    assert subject.tell(w.RetryDue(T0 + 10), T0 + 20 + RETRY_MS) == [w.StartAgain(T0 + 10)]
    assert subject.tell(refused, T0 + 60_000) == [w.Close(T0 + 10, "not started", "no device")]
    assert subject.machine.open == {}


def test_a_start_that_never_goes_better_is_given_up_at_once() -> None:
    subject = Subject(overlap="queue")
    subject.tick(T0 + 10, T0 + 10)
    subject.tick(T0 + 20, T0 + 20)
    found = subject.tell(w.StartRefused(T0 + 10, "no such value", False), T0 + 30)
    assert found == [w.Close(T0 + 10, "not started", "no such value"), w.Begin(T0 + 20, 10)]


def test_after_a_restart_what_was_being_started_is_started_again_under_its_name() -> None:
    subject = Subject(overlap="queue", grace_ms=0)
    subject.machine.resume("active", "", frozenset({T0 + 9}), {T0 - 2: "starting", T0 - 1: "waiting"})
    assert subject.tell(w.Restarted(), T0 + 5) == [w.StartAgain(T0 - 2)]
    refused = w.StartRefused(T0 - 2, "no device", True)
    # However late it is by now, it gets its tries.
    assert isinstance(subject.tell(refused, T0 + 6)[0], w.Retry)


def test_after_a_restart_what_waited_for_nothing_begins() -> None:
    subject = Subject(overlap="queue")
    subject.machine.resume("active", "", frozenset(), {T0 - 1: "waiting"})
    assert begun(subject.tell(w.Restarted(), T0 + 5)) == [T0 - 1]


def test_a_refusal_that_nobody_remembers_beginning_still_gets_its_tries() -> None:
    subject = Subject(grace_ms=0)
    subject.machine.resume("active", "", frozenset(), {T0 - 2: "starting"})
    subject.tell(w.Restarted(), T0)
    subject.machine.begun.clear()
    assert isinstance(subject.tell(w.StartRefused(T0 - 2, "busy", True), T0 + 6)[0], w.Retry)


# ------------------------------------------------------------------------------------------------- people want


def test_a_pause_is_seen_in_what_it_missed() -> None:
    subject = Subject(overlap="queue")
    subject.run(T0 + 1, T0 + 1)
    subject.tick(T0 + 10, T0 + 10)
    assert missed(subject.tell(w.PauseAsked("ann"), T0 + 20)) == [(T0 + 10, "paused")]
    assert missed(subject.tick(T0 + DAY, T0 + DAY)) == [(T0 + DAY, "paused")]
    assert missed(subject.tell(w.Triggered(T0 + DAY + 1, "door"), T0 + DAY + 1)) == [(T0 + DAY + 1, "paused")]
    assert subject.machine.why == "paused by ann"
    subject.tell(w.ResumeAsked("ann"), T0 + DAY + 2)
    subject.tell(w.RunEnded(T0 + 1, "succeeded"), T0 + DAY + 3)
    assert begun(subject.tick(T0 + 2 * DAY, T0 + 2 * DAY)) == [T0 + 2 * DAY]


def test_a_paused_one_shot_whose_time_passed_ends_when_it_is_resumed() -> None:
    subject = Subject()
    subject.tell(w.PauseAsked("ann"), T0)
    subject.tick(T0 + DAY, T0 + DAY, next_ms=0)
    assert subject.state() == "paused"
    subject.tell(w.ResumeAsked("ann"), T0 + DAY)
    assert subject.state() == "ended"


def test_run_now_starts_it_paused_or_not() -> None:
    subject = Subject(overlap="skip")
    subject.tell(w.PauseAsked("ann"), T0)
    assert subject.tell(w.RunNow(T0 + 1, "ann"), T0 + 1) == [w.Begin(T0 + 1, 0, "run now, by ann")]


def test_when_its_maker_is_gone_it_stops_and_what_runs_may_end() -> None:
    subject = Subject(overlap="queue")
    subject.run(T0 + 1, T0 + 1)
    subject.tick(T0 + 10, T0 + 10)
    assert missed(subject.tell(w.MakerGone("ann was removed"), T0 + 20)) == [(T0 + 10, "stopped")]
    assert subject.tell(w.RunEnded(T0 + 1, "cancelled"), T0 + 30) == [w.Close(T0 + 1, "cancelled")]
    assert (subject.machine.state, subject.machine.why) == ("stopped", "ann was removed")


def test_a_start_that_is_refused_after_the_stop_is_given_up() -> None:
    subject = Subject()
    subject.tick(T0 + 10, T0 + 10)
    subject.tell(w.MakerGone("ann was removed"), T0 + 20)
    found = subject.tell(w.StartRefused(T0 + 10, "busy", True), T0 + 30)
    assert found == [w.Close(T0 + 10, "not started", "busy")]


# --------------------------------------------------------------------------------------------------- our own bugs


@pytest.mark.parametrize(
    "event",
    [
        w.StartDone(T0, b""),
        w.StartRefused(T0, "", False),
        w.RunEnded(T0, ""),
        w.RetryDue(T0),
        w.ResumeAsked("ann"),
    ],
)
def test_what_cannot_be_is_our_bug_and_carries_its_story(event: w.Event) -> None:
    subject = Subject()
    subject.tick(T0 + 1)
    with pytest.raises(InvalidTransition) as caught:
        subject.tell(event, T0 + 2)
    assert "Tick" in caught.value.story[0]


def test_a_retry_of_what_has_started_is_our_bug() -> None:
    subject = Subject()
    subject.run(T0 + 1, T0 + 1)
    with pytest.raises(InvalidTransition):
        subject.tell(w.RetryDue(T0 + 1), T0 + 2)


def test_validate_names_what_does_not_hold() -> None:
    machine = ScheduleMachine(Rules(), T0)
    machine.backlog.extend([T0, T0])
    machine.taken = frozenset({T0})
    machine.state = "ended"
    with pytest.raises(
        InvalidTransition, match="waits twice; something waits for nothing; something waits after the"
    ):
        machine.validate()


def test_the_grace_time_is_never_shorter_than_a_restart() -> None:
    assert grace_of(Rules("once", 0)) == PUNCTUAL_MS
    assert grace_of(Rules("skip", DAY)) == PUNCTUAL_MS
    assert grace_of(Rules("all", DAY)) == DAY


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(5_400_000, "90 min"), (DAY, "1 d"), (2 * HOUR, "2 h"), (30_000, "30 s"), (5, "5 ms"), (0, "0 ms")],
)
def test_a_length_of_time_in_words(milliseconds: int, said: str) -> None:
    assert duration(milliseconds) == said


# ------------------------------------------------------------------------------------------- whatever may come


EVERY = 60_000
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 40 * EVERY)),
        st.tuples(st.just("back"), st.integers(1, 60 * EVERY)),
        st.tuples(
            st.sampled_from(["done", "ended", "refused", "pause", "resume", "now", "restart", "gone"]),
            st.integers(0, 20),
        ),
    ),
    max_size=60,
)


class Model:
    """A driver and its journal, without a disk: one due instant each minute."""

    def __init__(self, rules: Rules, delay_ms: int) -> None:
        self.rules, self.delay_ms = rules, delay_ms
        self.machine = ScheduleMachine(rules, T0, delay_ms=delay_ms)
        self.rows: dict[int, str] = {}
        self.starts: list[int] = []
        self.now_ms = T0

    def tell(self, event: w.Event) -> None:
        found = self.machine.handle(event, self.now_ms)
        self.machine.validate()
        for one in found:
            match one:
                case w.Begin(due_ms=due_ms):
                    self.write(due_ms, "starting", over=("waiting", "missed"))
                    self.starts.append(due_ms)
                case w.Wait(due_ms=due_ms):
                    self.write(due_ms, "waiting", over=("missed",))
                case w.Started(due_ms=due_ms):
                    self.write(due_ms, "started", over=("starting",))
                case w.Close(due_ms=due_ms, outcome=outcome):
                    self.write(due_ms, outcome, over=("starting", "started"))
                case w.Miss():
                    self.miss(one)
                case w.Retract(after_ms=after_ms):
                    self.rows = {
                        due_ms: state
                        for due_ms, state in self.rows.items()
                        if due_ms <= after_ms or state != "missed"
                    }

    def write(self, due_ms: int, state: str, *, over: tuple[str, ...]) -> None:
        assert self.rows.get(due_ms, over[0]) in over
        self.rows[due_ms] = state

    def miss(self, one: w.Miss) -> None:
        due = range(one.first_ms, one.due_ms + 1, EVERY) if one.count > 1 else (one.due_ms,)
        for due_ms in due:
            if one.count == 1 or due_ms not in self.rows:
                self.write(due_ms, "missed", over=("waiting", "missed"))

    def look(self) -> None:
        machine, now_ms = self.machine, self.now_ms
        if machine.state == "stopped":
            return
        if now_ms < machine.cursor_ms:
            self.tell(w.ClockSetBack(now_ms, self.taken(now_ms)))
        until_ms = max(machine.cursor_ms, now_ms - self.delay_ms)
        first = (machine.cursor_ms // EVERY + 1) * EVERY
        due = tuple(w.Passed(one) for one in range(first, until_ms + 1, EVERY))
        self.tell(w.Tick(until_ms, due, False, (until_ms // EVERY + 1) * EVERY))

    def taken(self, after_ms: int) -> tuple[int, ...]:
        return tuple(due_ms for due_ms, state in self.rows.items() if due_ms > after_ms and state != "missed")

    def one(self, phase: str, size: int) -> int | None:
        """One of the firings in that phase."""
        found = sorted(due_ms for due_ms, known in self.machine.open.items() if known == phase)
        return found[size % len(found)] if found else None

    # What may happen.

    def do_pass(self, size: int) -> None:
        self.now_ms += size
        self.look()

    def do_back(self, size: int) -> None:
        self.now_ms -= size
        self.look()

    def do_done(self, size: int) -> None:
        if (due_ms := self.one("starting", size)) is not None:
            self.tell(w.StartDone(due_ms, b"r" * 16))

    def do_ended(self, size: int) -> None:
        if (due_ms := self.one("started", size)) is not None:
            self.tell(w.RunEnded(due_ms, "succeeded"))

    def do_refused(self, size: int) -> None:
        if (due_ms := self.one("starting", size)) is not None:
            self.tell(w.StartRefused(due_ms, "why", again=size % 2 == 0))

    def do_pause(self, size: int) -> None:
        if self.machine.state == "active":
            self.tell(w.PauseAsked("ann"))

    def do_resume(self, size: int) -> None:
        self.look()
        if self.machine.state == "paused":
            self.tell(w.ResumeAsked("ann"))

    def do_now(self, size: int) -> None:
        self.look()
        due_ms = self.now_ms + 1
        while due_ms in self.rows or due_ms % EVERY == 0:
            due_ms += 1
        if self.machine.state != "stopped":
            self.tell(w.RunNow(due_ms, "ann"))

    def do_restart(self, size: int) -> None:
        before = self.machine
        self.machine = ScheduleMachine(self.rules, before.cursor_ms, delay_ms=self.delay_ms)
        phases: dict[int, w.Phase] = dict(before.open)
        for due_ms in before.backlog:
            phases[due_ms] = "waiting"
        taken = frozenset(self.taken(before.cursor_ms))
        self.machine.resume(before.state, before.why, taken, phases)
        self.tell(w.Restarted())

    def do_gone(self, size: int) -> None:
        if size == 0 and self.machine.state != "stopped":
            self.tell(w.MakerGone("ann was removed"))


@settings(max_examples=80, deadline=None)
@given(
    STEPS,
    st.sampled_from(["skip", "once", "all"]),
    st.sampled_from(["skip", "queue", "allow"]),
    st.integers(1, CATCH_UP_MAX),
    st.sampled_from([0, EVERY // 3]),
)
def test_nothing_is_started_twice_and_nothing_disappears(
    steps: list[tuple[str, int]], misfire: Any, overlap: Any, catch_up: int, delay_ms: int
) -> None:
    model = Model(Rules(misfire, 10 * EVERY, catch_up, overlap), delay_ms)
    for what, size in steps:
        getattr(model, f"do_{what}")(size)
    assert len(model.starts) == len(set(model.starts)), "a due instant was started twice"
    decided = set(range((T0 // EVERY + 1) * EVERY, model.machine.cursor_ms + 1, EVERY))
    assert decided <= set(model.rows), "a due instant disappeared"
