"""When a capability that keeps failing rests, story by story; then in whatever order hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.node.quarantine_machine import (
    INTENSITY,
    PAUSE_MAX_MS,
    PAUSE_MS,
    PROBES,
    STATES,
    WHY_MAX,
    WINDOW_MS,
    Changed,
    Drop,
    Event,
    Failed,
    Heal,
    Instruction,
    Quarantine,
    Record,
    Save,
    Succeeded,
    Tick,
    pause_ms,
)
from kindmesh.protocol.errors import InvalidTransition

CRASH = Failed("vision", "it was killed")


class Ward:
    def __init__(self) -> None:
        self.machine = Quarantine()
        self.now_ms = 1_000_000

    def __call__(self, event: Event, after_ms: int = 0) -> list[Instruction]:
        self.now_ms += after_ms
        steps = self.machine.handle(event, self.now_ms)
        self.machine.validate()
        return steps

    def quarantined(self) -> list[Instruction]:
        steps: list[Instruction] = []
        for _ in range(INTENSITY):
            steps = self(CRASH)
        return steps


def test_one_that_fails_now_and_then_is_left_alone_and_forgotten() -> None:
    ward = Ward()
    for _ in range(3 * INTENSITY):
        assert ward(CRASH, WINDOW_MS // (INTENSITY - 1)) == []
    assert ward.machine.state("vision") == "well"
    assert ward(Tick(), WINDOW_MS) == []
    assert ward.machine.records() == []


def test_one_that_fails_too_often_is_quarantined_saved_and_told() -> None:
    ward = Ward()
    record = Record("vision", "quarantined", 1, ward.now_ms, ward.now_ms + PAUSE_MS, "it was killed")
    assert ward.quarantined() == [Save(record), Changed("vision", "quarantined", "it was killed")]
    assert ward.machine.records() == [record]
    assert ward.machine.find("vision") == record
    assert ward.machine.state("speech") == "well"
    assert ward.machine.find("speech") is None


def test_what_was_begun_before_changes_nothing_while_it_rests() -> None:
    ward = Ward()
    ward.quarantined()
    before = ward.machine.records()
    assert ward(CRASH, 10) == []
    assert ward(Succeeded("vision")) == []
    assert ward.machine.records() == before


def test_after_its_pause_it_is_tried_and_trusted_again_when_it_succeeds() -> None:
    ward = Ward()
    ward.quarantined()
    assert ward(Tick(), PAUSE_MS - 1) == []
    saved, changed = ward(Tick(), 1)
    assert isinstance(saved, Save)
    assert saved.record.state == "probing"
    assert changed == Changed("vision", "probing", "it was killed")
    for _ in range(PROBES - 1):
        assert ward(Succeeded("vision")) == []
    assert ward(Succeeded("vision")) == [Drop("vision"), Changed("vision", "well", "it was killed")]
    assert ward(Succeeded("vision")) == []


def test_one_failure_on_trial_is_enough_and_the_pause_doubles_up_to_a_limit() -> None:
    ward = Ward()
    ward.quarantined()
    pauses = []
    for _ in range(10):
        ward(Tick(), PAUSE_MAX_MS)
        ward(Succeeded("vision"))
        saved = ward(CRASH)[0]
        assert isinstance(saved, Save)
        pauses.append(saved.record.until_ms - saved.record.since_ms)
    assert pauses[0] == 2 * PAUSE_MS
    assert pauses[-1] == PAUSE_MAX_MS == pause_ms(60)


def test_a_person_lets_it_go_on_and_the_next_pause_is_short_again() -> None:
    ward = Ward()
    ward.quarantined()
    assert ward(Heal("vision")) == [Drop("vision"), Changed("vision", "well", "it was killed", healed=True)]
    assert ward(Heal("vision")) == []
    saved = ward.quarantined()[0]
    assert isinstance(saved, Save)
    assert saved.record.strikes == 1


def test_healing_one_that_only_failed_once_forgets_that() -> None:
    ward = Ward()
    ward(CRASH)
    assert ward(Heal("vision")) == []
    assert [ward(CRASH) for _ in range(INTENSITY - 1)] == [[]] * (INTENSITY - 1)


def test_it_comes_back_after_a_restart_as_it_was() -> None:
    ward, after = Ward(), Ward()
    ward.quarantined()
    after.machine.restore(ward.machine.records())
    assert after.machine.records() == ward.machine.records()
    assert after(Tick(), PAUSE_MS)[-1] == Changed("vision", "probing", "it was killed")


def test_a_clock_that_was_set_back_makes_no_pause_longer() -> None:
    ward = Ward()
    ward.quarantined()
    ward.now_ms -= 10 * PAUSE_MAX_MS
    assert ward(Tick()) == []
    assert ward(Tick(), PAUSE_MS)[-1] == Changed("vision", "probing", "it was killed")


def test_a_long_reason_is_cut() -> None:
    ward = Ward()
    for _ in range(INTENSITY):
        ward(Failed("vision", "x" * 1000))
    record = ward.machine.find("vision")
    assert record is not None
    assert len(record.why) == WHY_MAX


def test_a_record_that_breaks_a_rule_is_noticed() -> None:
    machine = Quarantine()
    machine.restore([Record("vision", "quarantined", 0, 5, 1, "")])
    with pytest.raises(InvalidTransition, match="the ward of vision is wrong"):
        machine.validate()


EVENTS = st.lists(
    st.tuples(
        st.one_of(
            st.builds(Failed, st.sampled_from(["a", "b"])),
            st.builds(Succeeded, st.sampled_from(["a", "b"])),
            st.builds(Heal, st.sampled_from(["a", "b"])),
            st.just(Tick()),
        ),
        st.integers(-100_000, 200_000),
    ),
    max_size=60,
)


@given(EVENTS)
def test_in_any_order_what_is_saved_is_what_it_believes(events: list[tuple[Event, int]]) -> None:
    ward, disk = Ward(), dict[str, Record]()
    ward.now_ms = 1 << 40
    for event, after_ms in events:
        for step in ward(event, after_ms):
            match step:
                case Save(record):
                    disk[record.capability] = record
                case Drop(capability):
                    del disk[capability]
                case Changed(capability, state):
                    assert state in STATES
                    assert (capability in disk) == (state != "well")
        for record in ward.machine.records():
            assert (disk[record.capability].state, disk[record.capability].strikes) == (
                record.state,
                record.strikes,
            )
        assert {record.capability for record in ward.machine.records()} == set(disk)
