"""Replay windows against the naive thing: a set of all that was ever seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kindmesh.protocol.errors import BackPressure, Replayed
from kindmesh.protocol.limits import REPLAY_WINDOW_BITS
from kindmesh.protocol.replay import MessageMemory, SequenceWindow


class WindowAgainstASet(RuleBasedStateMachine):
    """The window accepts a number exactly when it is of this boot, new, less than 1,024 below the highest, and not
    from before the session."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SequenceWindow()
        self.boot = -1
        self.seen: set[int] = set()
        self.floor = -1

    def _try(self, boot: int, sequence: int) -> None:
        highest = max(self.seen, default=-1)
        if boot > self.boot:
            expected = True
        else:
            new = sequence not in self.seen and sequence > max(self.floor, highest - REPLAY_WINDOW_BITS)
            expected = boot == self.boot and new
        try:
            self.window.accept(boot, sequence)
        except Replayed:
            assert not expected
            return
        assert expected
        if boot > self.boot:
            self.boot, self.seen, self.floor = boot, set(), -1
        self.seen.add(sequence)

    @rule()
    def a_session_begins(self) -> None:
        self.window.begin()
        self.floor = max(self.seen, default=-1)

    @rule(step=st.integers(-1_100, 1_100), boot=st.integers(-1, 1))
    def asks_what_it_knows(self, step: int, boot: int) -> None:
        highest = max(self.seen, default=-1)
        sequence = max(0, highest + step)
        known = boot == 0 and sequence in self.seen and sequence > highest - REPLAY_WINDOW_BITS
        assert self.window.has(self.boot + boot, sequence) is known

    @rule(step=st.integers(-1_100, 1_100))
    def near_the_highest(self, step: int) -> None:
        self._try(max(self.boot, 0), max(0, self.window.highest + step))

    @rule(step=st.sampled_from([-1_025, -1_024, -1_023, -1, 0, 1, 1_023, 1_024, 1_025]))
    def at_the_edges(self, step: int) -> None:
        self._try(max(self.boot, 0), max(0, self.window.highest + step))

    @rule(boot=st.integers(0, 3), sequence=st.integers(0, 2**53))
    def anything(self, boot: int, sequence: int) -> None:
        self._try(boot, sequence)

    @invariant()
    def the_highest_is_known(self) -> None:
        assert self.window.highest == max(self.seen, default=-1)


TestWindowAgainstASet = WindowAgainstASet.TestCase


def test_a_message_from_before_the_restart_is_refused() -> None:
    window = SequenceWindow()
    window.accept(5, 100)
    window.accept(6, 0)
    with pytest.raises(Replayed, match="restart"):
        window.accept(5, 101)


def test_the_first_number_may_be_any_and_the_window_reaches_1023_below_it() -> None:
    window = SequenceWindow()
    window.accept(0, 5_000)
    window.accept(0, 5_000 - REPLAY_WINDOW_BITS + 1)
    for known in (5_000, 5_000 - REPLAY_WINDOW_BITS + 1, 5_000 - REPLAY_WINDOW_BITS):
        with pytest.raises(Replayed):
            window.accept(0, known)


def test_a_number_far_below_the_highest_is_refused_at_no_cost() -> None:
    window = SequenceWindow()
    window.accept(0, 2**53)
    for sequence in (0, 1, 2**52):
        with pytest.raises(Replayed):
            window.accept(0, sequence)


ids = st.integers(0, 5).map(lambda number: bytes([number]) * 16)


@given(st.lists(st.tuples(ids, st.integers(0, 50), st.integers(0, 20))))
def test_an_id_is_accepted_once_in_its_lifetime(steps: list[tuple[bytes, int, int]]) -> None:
    memory, now_ms = MessageMemory(), 0
    alive: dict[bytes, int] = {}
    for message_id, lifetime_ms, passed_ms in steps:
        now_ms += passed_ms
        alive = {known: expires for known, expires in alive.items() if expires >= now_ms}
        if message_id in alive:
            with pytest.raises(Replayed):
                memory.accept(message_id, now_ms + lifetime_ms, now_ms)
        else:
            memory.accept(message_id, now_ms + lifetime_ms, now_ms)
            alive[message_id] = now_ms + lifetime_ms
        assert len(memory) == len(alive)


def test_a_full_memory_refuses_instead_of_forgetting() -> None:
    memory = MessageMemory(capacity=2)
    memory.accept(b"a" * 16, 10, 0)
    memory.accept(b"b" * 16, 20, 0)
    with pytest.raises(BackPressure):
        memory.accept(b"c" * 16, 30, 10)
    with pytest.raises(Replayed):
        memory.accept(b"a" * 16, 30, 10)
    memory.accept(b"c" * 16, 30, 11)
    assert len(memory) == 2
