"""Pins every dependency: installs all extras into an empty environment and writes what pip chose.

The result, constraints.txt, names versions only: no address, no hash of one platform's wheel, no path. It must resolve
on every Python that pyproject.toml declares; tests/house checks its form.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# What everything here is tested with. Used by ./bootstrap and .ci/run; written by `just lock`, not by hand.
"""


def main() -> None:
    """Writes constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        wanted += extra
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder, "venv", "bin", "python")
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *wanted], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    pins = sorted(line for line in frozen.splitlines() if re.fullmatch(r"[\w.-]+==[\w.]+", line))
    Path(ROOT, "constraints.txt").write_text(HEADER + "\n".join(pins) + "\n")
    print(f"constraints.txt: {len(pins)} versions")


if __name__ == "__main__":
    main()
