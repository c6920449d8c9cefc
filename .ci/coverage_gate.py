"""Reads coverage.json and fails when a file that must be covered completely is not.

Which files those are stands in pyproject.toml, `[tool.kindmesh.coverage] complete`: everything in protocol, and every
pure machine. There the tests must take each branch both ways; elsewhere coverage is reported and not enforced, because
what runs in child processes and dies by `kill -9` cannot be counted. Tests of whole households are not counted at all
(`NOT_COUNTED` in tests/conftest.py): they may not be what makes a file complete, and the total is without them.
"""

from __future__ import annotations

import json
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator")


def gaps(name: str, report: dict[str, Any]) -> list[str]:
    """What the tests did not reach in one file, as lines to print."""
    found = []
    if report["missing_lines"]:
        found.append(f"{name}: lines never run: {', '.join(map(str, report['missing_lines']))}")
    if report["missing_branches"]:
        ways = (f"{start}->{'end' if end < 0 else end}" for start, end in report["missing_branches"])
        found.append(f"{name}: branches never taken: {', '.join(ways)}")
    return found


def main() -> int:
    """The exit code: 0 when nothing is missing."""
    complete = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["kindmesh"]["coverage"][
        "complete"
    ]
    measured = json.loads((ROOT / "coverage.json").read_text())
    every = (
        path.relative_to(ROOT).as_posix() for portion in PORTIONS for path in (ROOT / portion).rglob("*.py")
    )
    wanted = sorted(name for name in every if any(fnmatch(name, pattern) for pattern in complete))
    missing = []
    for name in wanted:
        if name in measured["files"]:
            missing += gaps(name, measured["files"][name])
        else:
            missing.append(f"{name}: not measured at all")
    for line in missing:
        print(line)
    total = measured["totals"]["percent_covered"]
    verdict = f"{len(missing)} gaps" if missing else "all complete"
    print(f"coverage: {total:.1f} % overall; of the {len(wanted)} files that must be complete: {verdict}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
