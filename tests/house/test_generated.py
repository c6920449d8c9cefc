"""What is derived from the code agrees with it: the pinned public names and the tables in docs/reference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_public_names_and_reference_tables_are_up_to_date() -> None:
    # A public name that came, went or moved shows up here: `just docs` accepts it, and the diff shows it to a reviewer.
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
