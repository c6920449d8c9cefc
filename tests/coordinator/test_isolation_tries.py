"""The program that tries a start says with its last line what is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kindmesh.coordinator.isolation_tries import tries_to_start


def tried(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


@pytest.mark.parametrize("part", ["medulla", "coordinator", "node"])
def test_here_every_part_starts_and_leaves_nothing(part: str, tmp_path: Path) -> None:
    assert tried(tries_to_start(part, tmp_path)) == (0, "")  # type: ignore[arg-type] # one of the three
    assert list(tmp_path.iterdir()) == []


def test_libraries_that_are_not_reached_are_named() -> None:
    python, *rest = tries_to_start("coordinator")
    code, said = tried([python, "-I", "-S", *rest])
    assert (code, said) == (1, "ModuleNotFoundError: No module named 'kindmesh'")


@pytest.mark.parametrize("portion", ["node", "coordinator"])
def test_a_portion_that_is_not_reached_is_named(portion: str, tmp_path: Path) -> None:
    """All portions but one are reached through links in a folder of the test's."""
    for name in ("protocol", "mesh", "capabilities", "node", "coordinator"):
        found = importlib.util.find_spec(f"kindmesh.{name}")
        assert found is not None
        assert found.origin is not None
        (tmp_path / "kindmesh").mkdir(exist_ok=True)
        if name != portion:
            (tmp_path / "kindmesh" / name).symlink_to(Path(found.origin).parent)
    site = [path for path in sys.path if path.endswith("site-packages")]
    python, _, _, program, *words = tries_to_start("coordinator")
    begin = f"import sys; sys.path[:0] = {[os.fspath(tmp_path), *site]!r}\n"
    code, said = tried([python, "-I", "-S", "-c", begin + program, *words])
    assert (code, said.partition(":")[0]) == (1, "ModuleNotFoundError")
    assert f"kindmesh.{portion}" in said


def test_a_folder_that_a_node_may_not_write_to_is_named(tmp_path: Path) -> None:
    code, said = tried(tries_to_start("node", tmp_path / "gone"))
    assert code == 1
    assert said.startswith("FileNotFoundError")
    assert "gone" in said
