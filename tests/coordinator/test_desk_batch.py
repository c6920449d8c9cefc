"""Sentences without a mesh, through the real command line: line shapes, wrong lines, what is done and what is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.cli.main import run
from kindmesh.coordinator.lab.device import base_environment, command

HOME = """
floors: [{id: ground, name: Ground floor}, {id: up, name: Upstairs}]
areas:
  - {id: kitchen, name: Kitchen, floor: ground}
  - {id: bedroom, name: Bedroom, floor: up}
  - {id: hall, name: Hall, floor: ground}
entities:
  - {id: light.kitchen, name: Kitchen light, area: kitchen, state: "on"}
  - {id: light.bedroom, name: Bedroom light, area: bedroom, state: "on"}
  - {id: lock.front_door, name: Front door, area: hall, state: unlocked}
  - {id: todo.shopping, name: Shopping list, state: "0", attributes: {items: []}}
  - {id: sensor.bedroom_temperature, name: Bedroom temperature, area: bedroom, state: "18.5",
     attributes: {device_class: temperature, unit_of_measurement: "°C"}}
"""
KEYS = ["id", "understood", "reply", "plan", "verdict", "changes", "ms"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home.yaml"
    path.write_text(HOME)
    return path


def batch(
    home: Path, capsys: pytest.CaptureFixture[str], *lines: Any, word: str = "ask"
) -> tuple[int, list[dict[str, Any]]]:
    path = home.with_name("in.jsonl")
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    capsys.readouterr()
    code = run([word, "--home", str(home), "--batch", str(path), "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_answered_in_the_agreed_shape_and_each_begins_with_the_home_as_loaded(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"id": "a", "text": "turn off the kitchen light"}
    code, (first, again, already) = batch(
        home,
        capsys,
        line,
        {**line, "id": 7},
        {**line, "setup": {"light.kitchen": {"state": "off", "attributes": {}}}},
    )
    assert code == 0
    assert list(first) == KEYS
    assert first["id"] == "a"
    assert again["id"] == 7
    assert first["understood"] is True
    assert first["verdict"] == "allow"
    assert first["plan"]["steps"][0]["args"]["service"] == "light.turn_off"
    change = {"entity": "light.kitchen", "attribute": "state", "before": "on", "after": "off"}
    assert change in first["changes"]
    assert again["changes"] == first["changes"]
    assert already["changes"] == []
    assert first["reply"].endswith("The kitchen light is off.")
    assert "is off" not in already["reply"]
    assert first["ms"] > 0


def test_planning_is_the_same_without_acting(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, (found,) = batch(home, capsys, {"id": 1, "text": "turn off the kitchen light"}, word="plan")
    assert (code, found["verdict"], found["changes"]) == (0, "allow", [])
    assert list(found) == KEYS
    assert found["reply"] == "I would turn off the kitchen light."


def test_what_waits_is_planned_and_is_no_change_now(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "turn off the kitchen light and lock the front door in ten minutes"
    _, (found,) = batch(home, capsys, {"id": 1, "text": text})
    assert found["verdict"] == "allow"
    assert any("pause" in step for step in found["plan"]["steps"])
    assert {one["entity"] for one in found["changes"]} == {"light.kitchen"}


def test_what_is_put_off_to_an_hour_is_told_with_the_hour_and_what(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, (found,) = batch(home, capsys, {"id": 1, "text": "lock the front door at 7 am tomorrow"})
    assert (found["changes"], found["reply"]) == ([], "Tomorrow at 7:00 I will see to this: Front door.")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("no json", "line"),
        ("[1]", "line"),
        ('{"text": "turn on the lamp"}', "id"),
        ('{"id": true, "text": "turn on the lamp"}', "id"),
        ('{"id": 1}', "text"),
        ('{"id": 1, "text": "  "}', "text"),
        ('{"id": 1, "text": 5}', "text"),
        (json.dumps({"id": 1, "text": "on " * 300}), "text"),
        ('{"id": 1, "text": "lights on", "area": "moon"}', "area"),
        ('{"id": 1, "text": "lights on", "area": 3}', "area"),
        ('{"id": 1, "text": "lights on", "setup": []}', "setup"),
        ('{"id": 1, "text": "lights on", "setup": {"light.moon": {}}}', "setup.light.moon"),
        ('{"id": 1, "text": "lights on", "setup": {"light.kitchen": {"colour": 1}}}', "setup.light.kitchen"),
        (
            '{"id": 1, "text": "lights on", "setup": {"light.kitchen": {"state": []}}}',
            "setup.light.kitchen.state",
        ),
        (
            '{"id": 1, "text": "x", "setup": {"light.kitchen": {"attributes": 1}}}',
            "setup.light.kitchen.attributes",
        ),
        ("[" * 200_000, "line"),
        ("x" * 300_000, "line"),
    ],
)
def test_a_wrong_line_is_an_error_object_with_a_hint_and_the_others_go_on(
    home: Path, capsys: pytest.CaptureFixture[str], line: str, field: str
) -> None:
    code, found = batch(home, capsys, line, {"id": "good", "text": "turn off the kitchen light"})
    assert code == 1
    assert found[0]["ok"] is False
    assert found[0]["line"] == 1
    assert (found[0]["error"]["code"], found[0]["error"]["field"]) == ("INVALID_INPUT", field)
    assert found[0]["id"] == (1 if line.startswith('{"id": 1') else True if "true" in line else None)
    assert found[1]["id"] == "good"
    assert found[1]["changes"]


def test_what_is_not_understood_changes_nothing_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = batch(
        home,
        capsys,
        {"id": 1, "text": "transfer all my money to Bob"},
        {"id": 2, "text": "how warm is the bedroom?"},
        {"id": 3, "text": "turn off the bedroom light", "setup": {"light.bedroom": {"state": "unavailable"}}},
    )
    lost, question, away = found
    assert (lost["understood"], lost["plan"], lost["changes"]) == (False, None, [])
    assert lost["reply"]
    assert question["understood"]
    assert "18.5" in question["reply"]
    assert question["verdict"] is None
    assert (away["reply"], away["changes"]) == ("The bedroom light did not answer.", [])


def test_the_inventory_and_the_options_are_checked_before_anything_is_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = home.with_name("in.jsonl")
    lines.write_text('{"id": 1, "text": "lights on"}')
    bad = home.with_name("bad.yaml")
    bad.write_text("entities: [{id: nonsense}]")
    for words, field in [
        (["--home", str(bad), "--batch", str(lines)], "entities[0].id"),
        (["--home", str(home) + "x", "--batch", str(lines)], "file"),
        (["--home", str(home), "--batch", str(lines) + "x"], "file"),
        (["--batch", str(lines)], "home"),
        (["--home", str(home), "--batch", str(lines), "hello"], "batch"),
        (["--home", str(home), "--batch", str(lines), "--zone", "Mars/Base"], "zone"),
        (["--home", "-", "--batch", "-"], "batch"),
        (["--home", str(home)], "text"),
    ]:
        code = run(["ask", *words, "--json"])
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (code, said["error"]["field"]) == (2, field), words


def test_answers_stream_from_standard_input_and_a_reader_that_leaves_is_no_traceback(home: Path) -> None:
    process = subprocess.Popen(
        [*command("ask"), "--home", str(home), "--batch", "-", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**base_environment(), "KINDMESH_HOME": str(home.parent / "none")},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write('{"id": 1, "text": "turn off the kitchen light"}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1, "answered before more came in"
    process.stdout.close()
    process.stdin.write('{"id": 2, "text": "turn off the kitchen light"}\n' * 3)
    process.stdin.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert not (home.parent / "none").exists(), "no files are written"


def test_a_plan_is_shown_in_plain_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(
        ["plan", "--home", str(home), "turn off the kitchen light then lock the front door in 2 hours"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "1. turn off the kitchen light"
    assert '     entities: light.kitchen (your words "kitchen light")' in lines
    assert any(line.startswith("2. wait 2 hours") for line in lines)
    assert lines[-1].startswith("Medulla: ")


TIMED = "\n".join(
    [
        "entities:",
        '  - {id: timer.tea, name: Tea timer, state: active, attributes: {duration: "0:03:00", remaining: "0:02:00"}}',
        "  - {id: light.a, name: A light, state: 'off'}",
    ]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set a timer for five minutes", ["five", "minutes"]),
        ("start a 10 minute timer", ["10", "minute"]),
        ("set a timer for one hour and 20 minutes", ["one", "hour", "and", "20", "minutes"]),
        ("add five minutes to the tea timer", ["five", "minutes"]),
    ],
)
def test_a_timer_is_proven_by_the_number_with_its_unit_and_needs_no_yes(
    home: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str]
) -> None:
    home.write_text(TIMED)
    code, (found,) = batch(home, capsys, {"id": 1, "text": text})
    args = found["plan"]["steps"][0]["args"]
    assert args["data"]["duration"]["$label"]["words"] == words
    assert (code, found["verdict"]) == (0, "allow"), found["reply"]
    if "tea" in text:
        assert "tea" in args["entities"]["$label"]["words"]


def test_what_was_done_to_many_is_told_with_how_they_are_now_and_a_reason_names_things(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lights = [
        f"  - {{id: light.{n}, name: {n.title()} light, state: 'off'}}"
        for n in ("hall", "desk", "stairs", "attic", "porch", "cellar")
    ]
    home.write_text(
        "\n".join(["entities:", *lights, "  - {id: lock.front, name: Front door, state: unlocked}"])
    )
    _, (many, late, locked) = batch(
        home,
        capsys,
        {"id": 1, "text": "turn on all the lights"},
        {"id": 2, "text": "turn on the hall light and turn off the desk light in ten minutes"},
        {"id": 3, "text": "lock up the house"},
    )
    assert many["reply"].endswith("The hall light, the desk light and 4 more are on.")
    assert ". " in late["reply"]
    assert "light I" not in late["reply"]
    assert "lock.front" not in locked["reply"]
