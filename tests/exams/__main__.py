"""`just exams`: the understanding exam and the Medulla exam, and their tables into the docs.

    python -m tests.exams understanding --data DIR [--json] [--write] [--faults FILE]
    python -m tests.exams medulla [--json] [--write] [--faults FILE]
    python -m tests.exams all --data DIR --write

`--data`: a folder with slurp_devel.jsonl and clinc_dev.jsonl; without it those two sets are left out. `--json`: the
results as one object on standard output, in place of the tables. `--faults`: what went wrong, a line each. Ends with 1
when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.exams import medulla, tables, understanding


def main(words: Sequence[str]) -> int:
    """Run an exam, or both; 0 when every target is met."""
    parser = argparse.ArgumentParser(
        prog="just exams", description="What is understood, and what Medulla lets by."
    )
    parser.add_argument("exam", nargs="?", choices=("understanding", "medulla", "all"), default="all")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where SLURP's and CLINC150's sentences are")
    parser.add_argument("--json", action="store_true", help="the results as JSON")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="write what went wrong here, a line each")
    options = parser.parse_args(words)
    results: dict[str, dict[str, Any]] = {}
    if options.exam != "medulla":
        results["understanding"] = understanding.run(options.data)
    if options.exam != "understanding":
        results["medulla"] = medulla.run()
    if options.json:
        sys.stdout.write(json.dumps(results, ensure_ascii=False) + "\n")
    for name, result in results.items():
        text = tables.understanding(result) if name == "understanding" else tables.medulla(result)
        if not options.json:
            sys.stdout.write(f"## {name}\n\n{text}\n\n")
        if options.write:
            sys.stderr.write(f"wrote {tables.write(name, text)}\n")
    if options.faults is not None:
        with options.faults.open("w", encoding="utf-8") as file:
            for exam, result in results.items():
                for part, found in result.items():
                    for fault in (found or {}).get("faults", ()):
                        file.write(
                            json.dumps({"exam": exam, "part": part, **fault}, ensure_ascii=False) + "\n"
                        )
    missed = [line for result in results.values() for line in targets_missed(result)]
    for line in missed:
        sys.stderr.write(f"target missed: {line}\n")
    return 1 if missed else 0


def targets_missed(result: dict[str, Any]) -> list[str]:
    """The targets that a result does not meet, in words."""
    found = []
    if "mutated" in result:
        missed = [part for part in (f"mutated{one}" for one in medulla.SETS) if result[part]["missed"]]
        asked = [part for part in (f"benign{one}" for one in medulla.SETS)
                 if result[part]["questions"] > 0.15 * result[part]["total"]]  # fmt: skip
        return [
            *(f"{result[part]['missed']} mutations were allowed ({part})" for part in missed),
            *(f"more than 15 % of the benign plans are asked about ({part})" for part in asked),
        ]
    if result["regression"]["right"] < result["regression"]["total"]:
        found.append("not all official sentences are right")
    for label, homes in understanding.SETS.items():
        commands = understanding.totals(result["unseen"], "command", understanding.english(homes))
        if commands["right"] < 0.75 * understanding.asked(commands):
            found.append(f"fewer than 75 % of our own sentences are right ({label} set)")
        kinds = [understanding.totals(result["unseen"], kind, homes) for kind in ("command", "leave")]
        if sum(one["wrong"] for one in kinds) > 0.01 * sum(map(understanding.asked, kinds)):
            found.append(f"more than 1 % wrong changes ({label} set)")
    sets = result["out_of_scope"]["sets"].values()
    if sum(one["acted"] for one in sets) > 0.005 * sum(one["total"] for one in sets):
        found.append("more than 0.5 % of what is out of scope is acted upon")
    if result["latency"]["p50_ms"] > 10:
        found.append("the median latency is above 10 ms")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
