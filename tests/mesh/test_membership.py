"""The membership machine: what it believes, how fast, and what it cannot be talked into."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.membership import (
    STORY,
    TRANSITIONS,
    Announce,
    Event,
    Expected,
    Forgotten,
    HeartbeatSeen,
    Left,
    LinkLost,
    Membership,
    Signal,
    Spoke,
    State,
    Tick,
    next_state,
)
from kindmesh.mesh.suspicion import DEAD_MS, STALL_MS, TICK_MS, listened_ms, smoothed, suspect_after_ms
from kindmesh.protocol.errors import InvalidTransition
from kindmesh.protocol.limits import HEARTBEAT_MS, SUSPECT_MS

PHONE, KITCHEN = b"p" * 20, b"k" * 20
START = 1_000_000


class Watch:
    """A membership whose clock ticks as a driver would tick it."""

    def __init__(self) -> None:
        self.now = START
        self.members = Membership(START)
        self.changes: list[Announce] = []

    def tell(self, event: Event) -> list[Announce]:
        changes = self.members.handle(event, self.now)
        self.members.validate()
        self.changes += changes
        return changes

    def wait(self, duration_ms: int) -> list[Announce]:
        """Tick until `duration_ms` have passed."""
        changes: list[Announce] = []
        end = self.now + duration_ms
        while self.now < end:
            self.now = min(self.now + TICK_MS, end)
            changes += self.tell(Tick())
        return changes

    def beat(self, first: int, count: int, *, boot: int = 1, peer: bytes = PHONE) -> None:
        """`count` heartbeats, one a second."""
        for seq in range(first, first + count):
            self.tell(HeartbeatSeen(peer, boot, seq))
            self.wait(HEARTBEAT_MS)


def states(changes: list[Announce]) -> list[State]:
    return [change.state for change in changes]


def test_an_expected_peer_is_unknown_until_it_is_heard() -> None:
    watch = Watch()
    assert watch.tell(Expected(PHONE)) == []
    assert watch.members.state(PHONE) is State.UNKNOWN
    assert watch.members.state(KITCHEN) is State.UNKNOWN
    assert watch.tell(HeartbeatSeen(PHONE, 3, 0)) == [Announce(PHONE, State.ALIVE, START, State.UNKNOWN, 3)]
    assert watch.tell(Expected(PHONE)) == []
    assert watch.members.state(PHONE) is State.ALIVE


def test_a_peer_that_is_never_heard_is_dead_in_the_end() -> None:
    watch = Watch()
    watch.tell(Expected(PHONE))
    assert watch.wait(DEAD_MS) == []
    changes = watch.wait(TICK_MS)
    assert states(changes) == [State.DEAD]
    assert changes[0].boot is None
    assert watch.wait(60_000) == []


@given(st.integers(0, HEARTBEAT_MS - 1), st.integers(1, 40), st.integers(0, 200))
def test_a_killed_device_is_suspected_within_three_and_a_half_seconds(
    phase_ms: int, beats: int, delay_ms: int
) -> None:
    watch = Watch()
    watch.wait(phase_ms)
    watch.beat(0, beats)
    last_heard = watch.now - HEARTBEAT_MS
    changes = watch.wait(10_000)
    assert states(changes) == [State.SUSPECT]
    assert changes[0].since_ms - (last_heard - delay_ms) <= 3_500


@given(st.lists(st.integers(-200, 200), min_size=5, max_size=60), st.integers(2, 6))
def test_lateness_and_single_losses_raise_no_suspicion(lateness: list[int], lose_every: int) -> None:
    watch = Watch()
    arrivals = [
        (START + HEARTBEAT_MS * (seq + 1) + late, seq)
        for seq, late in enumerate(lateness)
        if seq % lose_every != 1
    ]
    for at, seq in arrivals:
        watch.wait(at - watch.now)
        watch.tell(HeartbeatSeen(PHONE, 1, seq))
    assert states(watch.changes) == [State.ALIVE]


def test_a_silent_device_is_suspect_then_dead_and_comes_back_by_itself() -> None:
    watch = Watch()
    watch.beat(0, 3)
    assert states(watch.wait(DEAD_MS)) == [State.SUSPECT, State.DEAD]
    back = watch.tell(HeartbeatSeen(PHONE, 1, 3))
    assert back == [Announce(PHONE, State.ALIVE, watch.now, State.DEAD, 1)]
    assert states(watch.wait(3_500)) == [State.SUSPECT]
    assert states(watch.tell(HeartbeatSeen(PHONE, 1, 4))) == [State.ALIVE]


def test_a_restarted_device_is_announced_even_if_it_was_never_missed() -> None:
    watch = Watch()
    watch.beat(0, 3)
    assert watch.tell(HeartbeatSeen(PHONE, 2, 0)) == [Announce(PHONE, State.ALIVE, watch.now, State.ALIVE, 2)]
    assert watch.tell(HeartbeatSeen(PHONE, 2, 1)) == []


@pytest.mark.parametrize(
    "copy", [HeartbeatSeen(PHONE, 2, 5), HeartbeatSeen(PHONE, 2, 0), HeartbeatSeen(PHONE, 1, 99)]
)
def test_late_copies_bring_nobody_back(copy: HeartbeatSeen) -> None:
    watch = Watch()
    watch.beat(0, 6, boot=2)
    assert states(watch.wait(DEAD_MS + 1_000)) == [State.SUSPECT, State.DEAD]
    assert watch.tell(copy) == []
    assert watch.tell(Left(PHONE, copy.boot, copy.seq)) == []
    assert watch.members.state(PHONE) is State.DEAD


def test_a_goodbye_lasts_until_a_newer_heartbeat() -> None:
    watch = Watch()
    watch.beat(0, 3)
    assert states(watch.tell(Left(PHONE, 1, 3))) == [State.LEFT]
    assert watch.tell(HeartbeatSeen(PHONE, 1, 2)) == []
    assert watch.tell(Spoke(PHONE)) == []
    assert watch.tell(LinkLost(PHONE)) == []
    assert watch.wait(60_000) == []
    assert watch.tell(Left(PHONE, 1, 4)) == []
    assert watch.members.state(PHONE) is State.LEFT
    assert states(watch.tell(HeartbeatSeen(PHONE, 2, 0))) == [State.ALIVE]


def test_a_stranger_that_says_goodbye_first_has_left() -> None:
    watch = Watch()
    assert states(watch.tell(Left(PHONE, 1, 0))) == [State.LEFT]


def test_speaking_keeps_alive_and_a_broken_link_is_suspect_at_once() -> None:
    watch = Watch()
    watch.beat(0, 2)
    for _ in range(10):
        watch.wait(1_500)
        watch.tell(Spoke(PHONE))
    assert states(watch.changes) == [State.ALIVE]
    assert states(watch.tell(LinkLost(PHONE))) == [State.SUSPECT]
    assert watch.tell(LinkLost(PHONE)) == []
    assert states(watch.tell(Spoke(PHONE))) == [State.ALIVE]


def test_a_forgotten_peer_is_gone_without_a_word() -> None:
    watch = Watch()
    watch.beat(0, 2)
    watch.beat(0, 2, peer=KITCHEN)
    assert watch.tell(Forgotten(PHONE)) == []
    assert watch.tell(Forgotten(PHONE)) == []
    assert [member.peer for member in watch.members.members()] == [KITCHEN]
    assert {change.peer for change in watch.wait(DEAD_MS)} == {KITCHEN}
    assert watch.members.story(PHONE) == ()


@given(st.integers(STALL_MS, 10_000_000), st.integers(1, 3))
def test_our_own_standstill_is_no_evidence_against_others(stall_ms: int, stalls: int) -> None:
    watch = Watch()
    watch.beat(0, 3)
    for _ in range(stalls):
        watch.now += stall_ms
        assert watch.tell(Tick()) == []


@given(st.integers(1, 10_000_000))
def test_a_clock_that_is_set_back_changes_nothing(jump_ms: int) -> None:
    watch = Watch()
    watch.beat(0, 3)
    watch.now -= jump_ms
    assert watch.tell(Tick()) == []
    assert states(watch.wait(3_250)) == [State.SUSPECT]


def test_members_show_the_age_of_what_is_known() -> None:
    watch = Watch()
    watch.beat(0, 2)
    watch.beat(0, 1, peer=KITCHEN)
    kitchen, phone = watch.members.members()
    assert (kitchen.peer, kitchen.state, kitchen.silent_ms, kitchen.boot) == (KITCHEN, State.ALIVE, 1_000, 1)
    assert (phone.peer, phone.since_ms, phone.silent_ms, phone.jitter_ms) == (PHONE, START, 2_000, 0)


def test_a_story_is_kept_short() -> None:
    watch = Watch()
    for seq in range(STORY):
        watch.tell(HeartbeatSeen(PHONE, 1, seq))
        watch.tell(LinkLost(PHONE))
    story = watch.members.story(PHONE)
    assert len(story) == STORY
    assert story[-1] == f"{START}: alive -> suspect (link lost)"


def test_every_pair_is_in_the_table_or_an_error_with_its_story() -> None:
    meaningless = {
        (State.UNKNOWN, Signal.QUIET),
        (State.ALIVE, Signal.GONE),
        (State.SUSPECT, Signal.QUIET),
        (State.DEAD, Signal.QUIET),
        (State.DEAD, Signal.GONE),
        (State.LEFT, Signal.QUIET),
        (State.LEFT, Signal.GONE),
    }
    assert set(itertools.product(State, Signal)) - set(TRANSITIONS) == meaningless
    for state, signal in TRANSITIONS:
        assert next_state(state, signal) is TRANSITIONS[state, signal]
    for state, signal in meaningless:
        with pytest.raises(InvalidTransition) as caught:
            next_state(state, signal, ("once", "upon a time"))
        assert caught.value.story == ("once", "upon a time")


def test_a_record_that_cannot_be_is_noticed() -> None:
    watch = Watch()
    watch.beat(0, 1)
    watch.members._records[PHONE].heard = 10_000_000
    with pytest.raises(InvalidTransition, match="is wrong"):
        watch.members.validate()


peers = st.sampled_from([PHONE, KITCHEN])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(HeartbeatSeen, peers, st.integers(1, 3), st.integers(0, 30)),
    st.builds(Left, peers, st.integers(1, 3), st.integers(0, 30)),
    st.builds(Spoke, peers),
    st.builds(LinkLost, peers),
    st.builds(Expected, peers),
    st.builds(Forgotten, peers),
    st.just(Tick()),
)


@given(st.lists(st.tuples(events, st.integers(-5_000, 20_000)), max_size=80))
def test_announcements_are_an_unbroken_chain_whatever_happens(steps: list[tuple[Event, int]]) -> None:
    watch = Watch()
    believed: dict[bytes, State] = {}
    for event, pause_ms in steps:
        watch.now += pause_ms
        for change in watch.tell(event):
            assert believed.get(change.peer, State.UNKNOWN) is change.before
            believed[change.peer] = change.state
        if isinstance(event, Forgotten):
            believed.pop(event.peer, None)
        assert all(watch.members.state(peer) is state for peer, state in believed.items())


@given(st.lists(st.tuples(events, st.integers(0, 4_000)), max_size=60))
def test_the_same_events_give_the_same_answers(steps: list[tuple[Event, int]]) -> None:
    one, other = Watch(), Watch()
    for event, pause_ms in steps:
        one.now += pause_ms
        other.now += pause_ms
        assert one.tell(event) == other.tell(event)


@given(st.integers(0, 100_000))
def test_suspicion_is_never_later_than_promised(jitter_ms: int) -> None:
    allowance = suspect_after_ms(jitter_ms)
    assert 2 * HEARTBEAT_MS < allowance <= SUSPECT_MS
    assert suspect_after_ms(jitter_ms + 1) >= allowance
    assert SUSPECT_MS + TICK_MS <= 3_500


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_jitter_follows_what_was_seen(jitter_ms: int, gap_ms: int) -> None:
    news = abs(gap_ms - HEARTBEAT_MS)
    assert min(jitter_ms, news) - 1 <= smoothed(jitter_ms, gap_ms) <= max(jitter_ms, news)


def test_listening_counts_neither_jumps_nor_gaps() -> None:
    assert listened_ms(1_000, 1_250) == 250
    assert listened_ms(1_000, 500) == 0
    assert listened_ms(1_000, 9_000_000) == STALL_MS
