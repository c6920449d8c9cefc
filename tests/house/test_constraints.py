"""constraints.txt pins every package that pyproject.toml asks for, by version and by nothing else."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINNED = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in LINES}


def asked_for() -> list[Requirement]:
    extras = [entry for extra in PROJECT["optional-dependencies"].values() for entry in extra]
    return [Requirement(entry) for entry in PROJECT["dependencies"] + extras]


def test_a_line_is_a_name_and_a_version() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []


def test_every_dependency_is_pinned_within_its_range() -> None:
    for requirement in asked_for():
        assert PINNED[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_what_dependencies_need_is_pinned_too() -> None:
    # One level further down is enough to notice a lock made without some extra.
    for requirement in asked_for():
        for text in requires(requirement.name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in PINNED, f"{requirement.name} needs {needed}"


def test_these_tests_run_with_what_is_pinned() -> None:
    assert {name: version(name) for name in PINNED} == PINNED
