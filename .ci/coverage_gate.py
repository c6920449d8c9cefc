"""Reads coverage.json and fails when a file that must be covered completely is not.

Which files those are stands in pyproject.toml, `[tool.kindmesh.coverage] complete`: everything in protocol, and every
pure machine. There the tests must take each branch both ways; elsewhere coverage is reported and not enforced, because
what runs in child processes and dies by `kill -9` cannot be counted.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path, PurePath

ROOT = Path(__file__).resolve().parent.parent


def gaps(name: str, report: dict[str, list[object]]) -> list[str]:
    """What the tests did not reach in one file, as lines to print."""
    found = []
    if report["missing_lines"]:
        found.append(f"{name}: lines never run: {', '.join(map(str, report['missing_lines']))}")
    if report.get("missing_branches"):
        ways = (f"{start}->{'end' if end < 0 else end}" for start, end in report["missing_branches"])  # type: ignore[misc,operator]
        found.append(f"{name}: branches never taken: {', '.join(ways)}")
    return found


def main() -> int:
    """The exit code: 0 when nothing is missing."""
    complete = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["kindmesh"]["coverage"][
        "complete"
    ]
    measured = json.loads((ROOT / "coverage.json").read_text())
    wanted = sorted({str(PurePath(path).relative_to(ROOT)) for glob in complete for path in ROOT.glob(glob)})
    wanted = [
        name
        for name in wanted
        if name.split("/")[0] in {"protocol", "mesh", "capabilities", "node", "coordinator"}
    ]
    missing = [
        line for name in wanted if name in measured["files"] for line in gaps(name, measured["files"][name])
    ]
    missing += [f"{name}: not measured at all" for name in wanted if name not in measured["files"]]
    for line in missing:
        print(line)
    total = measured["totals"]["percent_covered"]
    verdict = f"{len(missing)} gaps" if missing else "all complete"
    print(f"coverage: {total:.1f} % overall; of the {len(wanted)} files that must be complete: {verdict}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
