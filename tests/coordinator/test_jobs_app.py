"""`kindmesh jobs` and its commands: the old spellings and the new ones mean what they say."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from kindmesh.coordinator.cli.jobs_app import PLAIN, arranged
from kindmesh.coordinator.cli.jobs_commands import job_lines
from kindmesh.coordinator.cli.main import app

NAMES = frozenset({"list", "show", "cancel", "settle", "dead", PLAIN})


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", PLAIN),
        ("--json", f"{PLAIN} --json"),
        ("--limit 5 --state running --as anna", f"{PLAIN} --limit 5 --state running --as anna"),
        ("06ckm2 --json", f"{PLAIN} 06ckm2 --json"),
        ("--cancel 06ckm2", f"{PLAIN} --cancel 06ckm2"),
        ("06ckm2 --cancel", f"{PLAIN} 06ckm2 --cancel"),
        ("list --limit 3", "list --limit 3"),
        ("--json list", "list --json"),
        ("--as anna show 06ckm2", "show --as anna 06ckm2"),
        ("--state list", f"{PLAIN} --state list"),
        ("--help", "--help"),
        ("show --help", "show --help"),
    ],
)
def test_the_command_is_found_wherever_it_stands(typed: str, meant: str) -> None:
    assert arranged(typed.split(), NAMES) == meant.split()


def test_help_lists_the_commands_and_not_the_hidden_one() -> None:
    shown = CliRunner().invoke(app, ["jobs", "--help"], prog_name="kindmesh")
    assert shown.exit_code == 0
    assert "show" in shown.stdout
    assert "cancel" in shown.stdout
    assert f"  {PLAIN} " not in shown.stdout


def test_a_job_is_shown_with_what_went_wrong_what_to_do_and_its_story() -> None:
    job = {
        "job": "06ckm2", "operation": "notes.append", "state": "uncertain", "submitted_ms": 1_000, "ended_ms": 3_500,
        "priority": "interactive", "device_name": "kitchen", "attempts": 2, "permits": ["06p1", "06p2"],
        "error": {"message": "nobody can know whether it happened", "hint": "Look whether it happened."},
        "timeline": [{"at_ms": 1_200, "what": "placed", "device_name": "kitchen", "detail": "the only device"}],
    }  # fmt: skip
    lines = job_lines(job)
    assert lines[:3] == [
        "notes.append: uncertain after 2.5 s",
        "Nobody can know whether it happened.",
        "Look whether it happened.",
    ]
    assert [line.split() for line in lines if "permit" in line] == [["permit", "06p1"], ["permit", "06p2"]]
    assert lines[-1].split() == ["200", "ms", "placed", "kitchen", "the", "only", "device"]


def test_an_uncertain_job_says_how_to_settle_it_and_later_what_was_said() -> None:
    job = {
        "job": "06ckm2",
        "operation": "notes.append",
        "state": "uncertain",
        "submitted_ms": 0,
        "ended_ms": 1,
    }
    assert any("jobs settle 06ckm2 --happened" in line for line in job_lines({**job, "settled": None}))
    said = {
        "happened": False,
        "by": "Anna",
        "at_ms": 0,
        "contradicted": True,
        "note": "still off",
        "value": None,
    }
    text = "\n".join(job_lines({**job, "settled": said}))
    assert "It did not happen, says Anna" in text
    assert "still off" in text
    assert "opposite" in text
    assert "settle" not in "\n".join(job_lines({**job, "state": "failed"}))


@pytest.mark.parametrize(
    "words",
    [
        ["settle", "06ckm2"],
        ["settle", "06ckm2", "--happened", "--did-not-happen"],
        ["settle", "06ckm2", "--happened", "--again"],
        ["dead", "--redeliver", "06ckm2", "--dismiss", "06ckm2"],
    ],
)
def test_contradicting_options_are_refused_before_anything_is_asked(words: list[str]) -> None:
    shown = CliRunner().invoke(app, ["jobs", *words, "--json"], prog_name="kindmesh")
    assert shown.exit_code == 2
    assert "INVALID_INPUT" in shown.stdout
