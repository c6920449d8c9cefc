"""The walls: one namespace with no owner, five portions, and the same five wherever they are listed."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_nobody_owns_the_namespace() -> None:
    # One kindmesh/__init__.py anywhere would hide the other four portions.
    assert [str(path) for path in ROOT.glob("*/kindmesh/__init__.py")] == []
    assert importlib.import_module("kindmesh").__file__ is None


@pytest.mark.parametrize("portion", PORTIONS)
def test_a_portion_imports_is_typed_and_says_what_it_is(portion: str) -> None:
    module = importlib.import_module(f"kindmesh.{portion}")
    assert module.__doc__
    assert (ROOT / portion / "kindmesh" / portion / "py.typed").is_file()


@pytest.mark.parametrize("portion", PORTIONS)
def test_every_folder_of_a_portion_is_a_package(portion: str) -> None:
    folders = {path.parent for path in (ROOT / portion / "kindmesh" / portion).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_portions_are_the_same_in_every_list() -> None:
    hatch = PROJECT["tool"]["hatch"]["build"]
    assert hatch["targets"]["wheel"]["packages"] == [f"{portion}/kindmesh" for portion in PORTIONS]
    assert hatch["dev-mode-dirs"] == list(PORTIONS)
    linter = PROJECT["tool"]["importlinter"]
    assert linter["root_packages"] == [f"kindmesh.{portion}" for portion in PORTIONS]
    assert linter["contracts"][0]["layers"] == [f"kindmesh.{portion}" for portion in reversed(PORTIONS)]
