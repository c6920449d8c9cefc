"""Builds the sdist, the wheel from it, installs the wheel in an empty environment, and tries what a user would.

The wheel is built *from the unpacked sdist*, so both are proven at once. The environment gets the core dependencies
only (no extra), pinned by constraints.txt: this is the bare node. Checked there: the wheel holds every file of the
tree and no other, each portion imports from the installed place, and the `kindmesh` command answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator")
IMPORTS = """
import importlib, sys
for portion in {portions!r}:
    module = importlib.import_module("kindmesh." + portion)
    assert module.__file__.startswith(sys.prefix), module.__file__
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, without the caller's Python settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["KINDMESH_HOME"] = str(cwd / "no-home")
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"package smoke test: {command[0]} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def sources() -> set[str]:
    """What the wheel must hold, by its names there."""
    inside = (
        path for portion in PORTIONS for path in (ROOT / portion / "kindmesh").rglob("*") if path.is_file()
    )
    return {
        path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).as_posix()
        for path in inside
        if "__pycache__" not in path.parts
    }


def main() -> None:
    """Raises SystemExit with the reason when something is wrong."""
    with tempfile.TemporaryDirectory(prefix="kindmesh package ") as name:
        work = Path(name)
        run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", work, cwd=ROOT)
        (archive,) = work.glob("kindmesh-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(work, filter="data")
        unpacked = work / archive.name.removesuffix(".tar.gz")
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", work, cwd=unpacked)
        (wheel,) = work.glob("kindmesh-*.whl")
        with zipfile.ZipFile(wheel) as contents:
            held = {entry for entry in contents.namelist() if entry.startswith("kindmesh/")}
        if held != sources():
            raise SystemExit(
                f"package smoke test: the wheel and the tree differ in {sorted(held ^ sources())}"
            )
        run(sys.executable, "-m", "venv", work / "venv", cwd=work)
        python = work / "venv" / "bin" / "python"
        pip = (python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
        run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=work)
        run(python, "-I", "-c", IMPORTS.format(portions=PORTIONS), cwd=work)
        shown = run(work / "venv" / "bin" / "kindmesh", "--help", cwd=work)
        if "kindmesh" not in shown.lower():
            raise SystemExit(f"package smoke test: `kindmesh --help` printed {shown!r}")
        print(f"package smoke test: {archive.name} and {wheel.name} are sound ({len(held)} files)")


if __name__ == "__main__":
    main()
