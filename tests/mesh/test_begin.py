"""A part begins as it would by itself, and what it loaded is set apart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kindmesh.mesh.begin import command

PART = """
import gc, json, sys
found = [sys.argv[1:], gc.isenabled(), gc.get_freeze_count() > 1000, __name__]
def main():
    print(json.dumps([*found, sys.argv[1:], gc.isenabled(), gc.get_freeze_count() > 1000]))
    return 3
"""


@pytest.mark.parametrize(("file", "name"), [("some_part.py", "some_part"), ("some/__main__.py", "some")])
def test_a_part_gets_its_arguments_and_an_exit_code_and_only_what_comes_later_is_looked_through(
    tmp_path: Path, file: str, name: str
) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "__init__.py").touch()
    (tmp_path / file).write_text(PART)
    begun = subprocess.run(
        [sys.executable, *command(name), "--home", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert begun.returncode == 3, begun.stderr
    while_loading, afterwards = [["--home", "x"], False, False], [["--home", "x"], True, True]
    assert json.loads(begun.stdout) == [
        *while_loading,
        file.removesuffix(".py").replace("/", "."),
        *afterwards,
    ]


def test_a_part_that_cannot_be_loaded_says_so() -> None:
    begun = subprocess.run(
        [sys.executable, *command("no_such_part")], capture_output=True, text=True, check=False
    )
    assert begun.returncode == 1
    assert begun.stderr.strip().endswith("ModuleNotFoundError: No module named 'no_such_part'")
