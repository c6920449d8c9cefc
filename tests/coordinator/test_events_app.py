"""`kindmesh events`: how it is called, and what it shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from kindmesh.coordinator.cli.events_commands import event_line, since_ms
from kindmesh.coordinator.cli.main import app
from kindmesh.protocol.errors import InvalidInput

EVENT: dict[str, Any] = {
    "event": "event", "topic": "system.device.lost", "source": "abcd-efgh-ijkl", "source_name": "", "at_ms": 0,
    "data": {"device": "hall", "number": 3, "long": "x" * 100},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("30s", 970_000), ("15m", 100_000), ("1700000000000", 1_700_000_000_000)]
)
def test_since_is_an_age_or_a_time(text: str, expected: int) -> None:
    assert since_ms(text, 1_000_000) == expected


def test_an_age_from_before_time_begins_with_the_first_event() -> None:
    assert since_ms("3d", 1_000_000) == 1


@pytest.mark.parametrize("text", ["soon", "3 days", "-2h", "1e9h", "99999999h", "2h\n"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        since_ms(text, 0)
    assert "15m" in refused.value.hint


def test_a_line_says_when_what_where_and_its_data_in_short() -> None:
    line = event_line(EVENT)
    assert "system.device.lost  abcd-efgh  device=hall  number=3  long=xxx" in line
    assert len(line) < 160
    assert "desk" in event_line({**EVENT, "source_name": "desk"})


@pytest.mark.parametrize(
    "words",
    [
        ["emit", "perception.falls.detected", "room"],
        ["emit", "perception.falls.detected", "n:=[1"],
        ["--since", "soon"],
    ],
)
def test_a_wrong_call_is_one_json_object_and_exit_code_2(
    words: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path))
    said = CliRunner().invoke(app, ["events", *words, "--json"], prog_name="kindmesh")
    assert said.exit_code == 2
    assert json.loads(said.stdout)["error"]["code"] == "INVALID_INPUT"


def test_help_has_an_example_and_both_commands() -> None:
    shown = CliRunner().invoke(app, ["events", "--help"], prog_name="kindmesh").stdout
    assert "Try: kindmesh events" in shown
    assert "watch" in shown
    assert "emit" in shown
