"""The drawings of runs and of their items; see `diagrams`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from diagrams import drawing, explore

UNTIL_MS = 1_000
LATE_MS = 1 << 40
JOB = b"j" * 16
PLANS: tuple[list[dict[str, Any]], ...] = (
    [{"id": "it", "call": "a.b", "retry": {"attempts": 2, "backoff_ms": 10}, "compensate": {"call": "a.undo"}},
     {"id": "next", "call": "a.b", "after": ["it"]}],
    [{"id": "it", "call": "a.b", "memo": {"max_age_ms": 5}}],
    [{"id": "it", "ask": {"question": "Well?"}, "deadline_ms": 10}],
    [{"id": "it", "event": {"topic": "action.*"}, "deadline_ms": 10}],
    [{"id": "it", "pause": {"for_ms": 5}}],
    [{"id": "it", "call": "a.b", "for_each": {"over": [1, 2]}}],
    [{"id": "it", "call": "a.b", "when": False}],
)  # fmt: skip


def runs() -> str:
    """A run, and below it one item of a run."""
    words = importlib.import_module("kindmesh.coordinator.heart.runs.run_words")
    run = drawing(_edges(lambda machine: str(machine.state)), words.RUN_STATES, "running")
    item = drawing(_edges(_item_state), ("not begun", *words.ITEM_STATES), "not begun")
    return f"A run:\n\n{run}One item of a run:\n\n{item}"


def _edges(state: Callable[[Any], str]) -> set[tuple[str, str, str]]:
    return explore(_starts(), _events, state, _situation)


def _starts() -> Iterator[Any]:
    machine = importlib.import_module("kindmesh.coordinator.heart.runs.run_machine").RunMachine
    parse = importlib.import_module("kindmesh.protocol.plan").plan_from_document
    for steps in PLANS:
        yield machine(parse({"plan": 1, "steps": steps}), {}, begun_ms=0, until_ms=UNTIL_MS)


def _item_state(machine: Any) -> str:
    item = machine.items.get("it")
    return "not begun" if item is None else str(item.state)


def _events(machine: Any) -> Iterator[tuple[Any, int]]:
    words = importlib.import_module("kindmesh.coordinator.heart.runs.run_words")
    no = words.Trouble("CAPABILITY", "it did not work")
    if not machine.items:
        yield words.Begin(), 1
        return
    yield words.Resumed(), 1
    yield words.CancelRun("somebody"), 1
    for now_ms in (1, 500, LATE_MS):
        yield words.ClockRang(), now_ms
    for item in machine.open_items():
        yield words.Attached(item.path, item.attempt, JOB), 1
        for outcome in ("succeeded", "failed", "cancelled", "expired", "uncertain"):
            trouble = None if outcome == "succeeded" else no
            for repeatable in (True, False):
                yield words.WorkEnded(
                    item.path, item.attempt, outcome, {}, trouble=trouble, repeatable=repeatable
                ), 1  # fmt: skip
        yield words.NotStarted(item.path, item.attempt, no), 1
        yield words.NotStarted(item.path, item.attempt, no, again_ms=10), 1
        if item.state == "recalling":
            yield words.Recalled(item.path, None), 1
        if item.state == "listening":
            yield words.Heard(item.path, {"topic": "action.result"}), 1
        if item.state == "asking":
            yield words.Answered(item.path, {"yes": True}, "owner"), 1


def _situation(machine: Any) -> Hashable:
    items = tuple((item.path, item.state, min(item.attempt, 3)) for item in machine.items.values())
    return repr(machine.plan), machine.state, machine.end, items


RUNS: dict[str, Callable[[], str]] = {"kindmesh.coordinator.heart.runs.run_machine": runs}
"""By the module whose section of the page gets the drawing."""
