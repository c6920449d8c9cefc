"""The order of starting and stopping, and when restarting ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.supervision_machine import (
    Begin,
    Ended,
    Exit,
    Instruction,
    Kill,
    Ready,
    Say,
    Spawn,
    Stop,
    Supervision,
    Terminate,
    Tick,
)
from kindmesh.protocol.errors import InvalidTransition

PARTS = ("medulla", "coordinator", "node")


def acts(instructions: list[Instruction]) -> list[Instruction]:
    return [instruction for instruction in instructions if not isinstance(instruction, Say)]


def words(instructions: list[Instruction]) -> list[str]:
    return [instruction.event for instruction in instructions if isinstance(instruction, Say)]


def running() -> Supervision:
    machine = Supervision(PARTS)
    machine.handle(Begin(), 0)
    for part in PARTS:
        machine.handle(Ready(part), 0)
    return machine


def test_each_part_starts_when_the_one_before_is_ready() -> None:
    machine = Supervision(PARTS)
    assert machine.handle(Begin(), 0) == [Spawn("medulla")]
    assert acts(machine.handle(Ready("medulla"), 1)) == [Spawn("coordinator")]
    assert acts(machine.handle(Ready("coordinator"), 2)) == [Spawn("node")]
    assert words(machine.handle(Ready("node"), 3)) == ["ready", "up"]


def test_stopping_goes_in_reverse_order() -> None:
    machine = running()
    assert acts(machine.handle(Stop(), 0)) == [Terminate("node")]
    assert machine.handle(Stop(), 0) == []
    assert acts(machine.handle(Ended("node", 0), 1)) == [Terminate("coordinator")]
    assert acts(machine.handle(Ended("coordinator", 0), 2)) == [Terminate("medulla")]
    assert machine.handle(Ended("medulla", 0), 3)[-2:] == [Say("down"), Exit(0)]


def test_a_part_that_ended_is_started_again_and_the_others_stay() -> None:
    machine = running()
    assert acts(machine.handle(Ended("medulla", -9), 10)) == [Spawn("medulla")]
    assert machine.handle(Ready("medulla"), 20) == [Say("ready", "medulla")]
    assert machine.states == dict.fromkeys(PARTS, "up")


def test_a_part_that_ends_while_later_ones_wait_is_started_again() -> None:
    machine = Supervision(PARTS)
    machine.handle(Begin(), 0)
    assert acts(machine.handle(Ended("medulla", 1), 5)) == [Spawn("medulla")]
    assert acts(machine.handle(Ready("medulla"), 6)) == [Spawn("coordinator")]
    assert acts(machine.handle(Ended("medulla", 1), 7)) == [Spawn("medulla")]
    assert acts(machine.handle(Ready("coordinator"), 8)) == []
    assert acts(machine.handle(Ready("medulla"), 9)) == [Spawn("node")]


def test_ending_too_often_stops_everything_with_an_error() -> None:
    machine = running()
    for number in range(5):
        assert acts(machine.handle(Ended("node", -9), number)) == [Spawn("node")]
        machine.handle(Ready("node"), number)
    instructions = machine.handle(Ended("node", -9), 6)
    assert words(instructions) == ["ended", "error", "stopping"]
    assert acts(instructions) == [Terminate("coordinator")]
    machine.handle(Ended("coordinator", 0), 7)
    assert machine.handle(Ended("medulla", 0), 8)[-1] == Exit(1)


def test_ends_long_ago_do_not_count() -> None:
    machine = running()
    for number in range(50):
        assert acts(machine.handle(Ended("node", -9), number * 15_000)) == [Spawn("node")]
        machine.handle(Ready("node"), number * 15_000)


def test_a_part_that_says_it_cannot_run_is_not_tried_again() -> None:
    machine = running()
    assert words(machine.handle(Ended("coordinator", 2), 0)) == ["ended", "error", "stopping"]


def test_a_part_that_does_not_stop_is_killed_once() -> None:
    machine = running()
    machine.handle(Stop(), 1000)
    assert machine.deadline_ms() == 11_000
    assert machine.handle(Tick(), 10_999) == []
    assert machine.handle(Tick(), 11_000) == [Kill("node")]
    assert machine.handle(Tick(), 12_000) == []
    assert acts(machine.handle(Ended("node", -9), 12_001)) == [Terminate("coordinator")]


def test_a_part_that_becomes_ready_while_stopping_is_let_go() -> None:
    machine = Supervision(PARTS)
    machine.handle(Begin(), 0)
    assert acts(machine.handle(Stop(), 0)) == [Terminate("medulla")]
    assert machine.handle(Ready("medulla"), 1) == []
    assert machine.handle(Ended("medulla", -15), 2)[-1] == Exit(0)


def test_another_parts_end_while_stopping_does_not_skip_the_order() -> None:
    machine = running()
    machine.handle(Stop(), 0)
    assert acts(machine.handle(Ended("medulla", -9), 1)) == []
    assert acts(machine.handle(Ended("node", 0), 2)) == [Terminate("coordinator")]
    assert machine.handle(Ended("coordinator", 0), 3)[-1] == Exit(0)


def test_what_cannot_happen_raises_with_the_story() -> None:
    machine = running()
    with pytest.raises(InvalidTransition) as caught:
        machine.handle(Ready("node"), 0)
    assert any("Ready" in line for line in caught.value.story)
    machine = Supervision(PARTS)
    with pytest.raises(InvalidTransition):
        machine.handle(Ended("node", 0), 0)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_whatever_happens_stopping_ends_with_everything_down(choices: list[int]) -> None:
    machine = Supervision(PARTS)
    queue = machine.handle(Begin(), 0)
    now_ms = 0
    exits: list[int] = []
    for choice in [*choices, 9, *[4] * 40]:
        now_ms += 100
        alive = [part for part in PARTS if machine.states[part] != "down"]
        starting = [part for part in alive if machine.states[part] == "starting"]
        stopping = [part for part in alive if machine.states[part] == "stopping"]
        if choice == 9:
            queue = machine.handle(Stop(), now_ms)
        elif choice == 0 and starting:
            queue = machine.handle(Ready(starting[0]), now_ms)
        elif choice in (1, 2) and alive:
            queue = machine.handle(Ended(alive[choice % len(alive)], -9), now_ms)
        elif choice == 4 and stopping:
            queue = machine.handle(Ended(stopping[0], 0), now_ms)
        else:
            queue = machine.handle(Tick(), now_ms)
        exits += [instruction.code for instruction in queue if isinstance(instruction, Exit)]
        if exits:
            break
    assert len(exits) == 1
    assert set(machine.states.values()) == {"down"}
