"""Whether an uncertain job happened: the first word counts, whoever speaks in whatever order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.heart.settle_machine import (
    TABLE,
    Contradict,
    DeviceTold,
    Event,
    Note,
    PersonSaid,
    Record,
    Reject,
    SettleMachine,
    evidence,
)
from kindmesh.protocol.errors import InvalidTransition

EVENTS: list[Event] = [
    PersonSaid(happened=True, by="the owner"),
    PersonSaid(happened=False, by="Anna"),
    DeviceTold(happened=True, device=b"d"),
    DeviceTold(happened=False, device=b"d"),
    DeviceTold(happened=None, device=b"d"),
]


@given(st.lists(st.sampled_from(EVENTS), max_size=8))
def test_the_first_word_counts_and_is_never_changed(events: list[Event]) -> None:
    machine, recorded = SettleMachine(), []
    for event in events:
        before = machine.state
        (step,) = machine.handle(event, 0)
        machine.validate()
        if isinstance(step, Record):
            assert before == "asked"
            recorded.append(step.happened)
        else:
            assert machine.state == before
    assert len(recorded) <= 1
    words = [event.happened for event in events if event.happened is not None]
    assert recorded == words[:1]


def test_another_word_of_a_person_is_refused_and_one_of_the_device_is_kept_beside_it() -> None:
    machine = SettleMachine()
    assert machine.handle(EVENTS[1], 0) == [Record(happened=False, how="person")]
    assert machine.handle(EVENTS[1], 0) == [Note()]
    assert machine.handle(EVENTS[0], 0) == [Reject()]
    assert machine.handle(EVENTS[2], 0) == [Contradict(happened=True)]
    assert (machine.state, machine.contradicted) == ("did_not_happen", True)


def test_every_state_has_an_answer_to_every_event() -> None:
    assert set(TABLE) == set(
        itertools.product(("asked", "happened", "did_not_happen"), (PersonSaid, DeviceTold))
    )


def test_a_bug_is_an_invalid_transition() -> None:
    with pytest.raises(InvalidTransition):
        SettleMachine("asked", contradicted=True).validate()
    odd = SettleMachine()
    odd.state = "lost"  # type: ignore[assignment]  # what no code of ours does
    with pytest.raises(InvalidTransition):
        odd.handle(EVENTS[0], 0)


@pytest.mark.parametrize(
    ("outcome", "begun", "latest", "alone", "said"),
    [
        ("succeeded", True, False, False, True),
        ("uncertain", True, True, True, None),
        ("failed", True, True, True, False),
        ("failed", True, True, False, None),
        ("failed", True, False, True, None),
        ("interrupted", False, True, True, False),
        ("cancelled", True, True, True, None),
        ("cancelled", False, True, True, False),
    ],
)
def test_what_a_late_result_proves(outcome: str, begun: bool, latest: bool, alone: bool, said: bool) -> None:
    assert evidence(outcome, begun=begun, latest=latest, alone=alone) is said  # type: ignore[arg-type]  # parametrised
