"""Restart intensity, and the tasks that are kept running by it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.keeper import Keeper
from kindmesh.mesh.restart_machine import (
    INTENSITY,
    PAUSE_MS,
    WINDOW_MS,
    Begun,
    Ended,
    GiveUp,
    Restart,
    Restarts,
)
from kindmesh.mesh.virtual import SimulatedClock, VirtualLoop
from kindmesh.protocol.errors import DiskFull, InvalidTransition


def test_a_part_that_ended_begins_again_at_once_then_after_longer_and_longer_pauses() -> None:
    machine = Restarts()
    machine.handle(Begun("trust"), 0)
    pauses = []
    for second in range(INTENSITY):
        (step,) = machine.handle(Ended("trust", "DISK_FULL"), second * 1000)
        machine.validate()
        assert isinstance(step, Restart)
        pauses.append(step.after_ms)
        assert machine.state("trust") == "waiting"
        machine.handle(Begun("trust"), second * 1000 + 1)
    assert pauses == [0, PAUSE_MS, 2 * PAUSE_MS, 4 * PAUSE_MS, 8 * PAUSE_MS]
    assert machine.ends() == {"trust": INTENSITY}
    assert machine.handle(Ended("trust", "DISK_FULL"), INTENSITY * 1000) == [GiveUp("trust", "DISK_FULL")]
    assert machine.state("trust") == "given up"


def test_a_part_that_ran_for_long_starts_afresh() -> None:
    machine = Restarts()
    machine.handle(Begun("trust"), 0)
    for turn in range(3 * INTENSITY):
        assert machine.handle(Ended("trust"), turn * WINDOW_MS) == [Restart("trust", 0)]
        machine.handle(Begun("trust"), turn * WINDOW_MS)


@pytest.mark.parametrize(
    "events", [[Ended("a")], [Begun("a"), Begun("a")], [Begun("a"), Ended("a"), Ended("a")]]
)
def test_what_cannot_happen_is_a_bug_with_its_story(events: list[Begun | Ended]) -> None:
    machine = Restarts()
    *before, last = events
    for event in before:
        machine.handle(event, 0)
    with pytest.raises(InvalidTransition):
        machine.handle(last, 0)


def test_a_part_that_waits_without_having_ended_is_noticed() -> None:
    machine = Restarts()
    machine.handle(Begun("a"), 0)
    machine._parts["a"].state = "waiting"
    with pytest.raises(InvalidTransition, match="never ended"):
        machine.validate()


@given(st.lists(st.integers(0, 50_000), max_size=40))
def test_it_is_given_up_exactly_when_it_ended_too_often_within_the_window(gaps: list[int]) -> None:
    machine, now_ms, ends = Restarts(), 0, list[int]()
    machine.handle(Begun("a"), 0)
    for gap in gaps:
        now_ms += gap
        ends.append(now_ms)
        (step,) = machine.handle(Ended("a"), now_ms)
        machine.validate()
        recent = [at_ms for at_ms in ends if now_ms - at_ms < WINDOW_MS]
        assert isinstance(step, GiveUp) == (len(recent) > INTENSITY)
        if isinstance(step, GiveUp):
            return
        machine.handle(Begun("a"), now_ms)


def test_a_task_that_ends_by_itself_is_told_and_begun_again_until_it_is_given_up() -> None:
    told: list[tuple[str, str, str]] = []
    lives = 0

    async def fragile() -> None:
        nonlocal lives
        lives += 1
        await asyncio.sleep(1)
        if lives % 2:
            raise DiskFull()

    async def steady() -> None:
        await asyncio.get_running_loop().create_future()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: pytest.fail(str(context)))
        keeper = Keeper(SimulatedClock(loop, start_ms=0), lambda *what: told.append(what))
        keeper.keep("steady", steady)
        keeper.keep("fragile", fragile)
        why = await keeper.given_up()
        assert why.code == "UNSTABLE"
        assert "fragile" in why.message
        assert keeper.ends() == {"fragile": INTENSITY + 1}
        assert (await keeper.given_up()) is why
        await keeper.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
    assert lives == INTENSITY + 1
    assert told[0] == ("fragile", "restarted", "DISK_FULL")
    assert told[1] == ("fragile", "restarted", "")
    assert told[-1] == ("fragile", "given up", "")


def test_nothing_is_begun_again_after_the_end() -> None:
    lives = 0

    async def short() -> None:
        nonlocal lives
        lives += 1
        if lives > 1:
            await asyncio.get_running_loop().create_future()

    async def scene() -> None:
        keeper = Keeper(SimulatedClock(asyncio.get_running_loop(), start_ms=0), lambda *what: None)
        keeper.keep("short", short)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await keeper.close()
        await asyncio.sleep(100)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())
    assert lives <= 2
