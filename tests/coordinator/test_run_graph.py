"""A run as text: what stands below what, and how each step stands."""

from __future__ import annotations

from typing import Any

import pytest

from kindmesh.coordinator.cli.run_graph import plan_lines, run_lines


def step(name: str, *before: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "title": "", "kind": "call", "what": f"do.{name}", "before": sorted(before), "repeats": "",
            "conditional": False, "compensate": "", **more}  # fmt: skip


def item(path: str, state: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "step": path.partition("[")[0], "state": state, "begun_ms": 1_000, "ended_ms": None,
            "due_ms": None, "deadline_ms": None, "attempts": 1, "error": None, "job": None, "run": "",
            **more}  # fmt: skip


def run(state: str, items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"run": "r1", "name": "morning", "state": state, "where": "", "parent": "", "parent_path": "",
            "priority": "interactive", "begun_ms": 1_000, "ended_ms": None, "error": None, "items": items,
            "steps": [step("read"), step("say", "read"), step("note", "read", "say")], **more}  # fmt: skip


def test_a_step_stands_below_the_latest_before_it_and_names_what_else_it_waits_for() -> None:
    lines = plan_lines(
        {"steps": [step("note", "read", "say"), step("say", "read"), step("read")], "warnings": []}
    )
    assert [line.split()[:-1] for line in lines[:2]] == [["read"], ["`--", "say"]]
    assert lines[2].startswith("    `-- note")
    assert "also after read" in lines[2]


@pytest.mark.parametrize(
    ("state", "ended_ms", "word"), [("running", None, "waiting"), ("failed", 2_000, "not begun")]
)
def test_a_step_that_has_not_begun_waits_only_as_long_as_the_run_goes_on(
    state: str, ended_ms: int | None, word: str
) -> None:
    lines = run_lines(run(state, [item("read", "failed", ended_ms=1_500)], ended_ms=ended_ms))
    (note,) = [line for line in lines if "-- note" in line]
    assert word in note


def test_iterations_stand_below_their_step() -> None:
    items = [
        item("read", "repeating"),
        item("read[0]", "succeeded", ended_ms=1_100),
        item("read[1]", "running"),
    ]
    lines = run_lines(run("running", items))
    place = next(number for number, line in enumerate(lines) if line.startswith("read "))
    assert lines[place + 1].startswith("  read[0]")
    assert lines[place + 2].startswith("  read[1]")
