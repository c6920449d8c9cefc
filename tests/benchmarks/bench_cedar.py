"""What the owner's rules in Cedar cost. By hand: `.venv/bin/python tests/benchmarks/bench_cedar.py [--rules N]`.

CPU time of this process: rules parsed once, an answer worked out anew, an answer remembered, and a whole permit in
Medulla's pure part without rules, with the starter set, and with N rules beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.coordinator.test_medulla_cedar import Ruled

from kindmesh.coordinator.brain.medulla.cedar import Asked, Rules
from kindmesh.coordinator.brain.medulla.cedar_check import starter

RULE = """
@id("night-{number}") @says("not at night")
forbid (principal in Role::"guest", action == Action::"lock.unlock", resource == Thing::"lock.l{number}")
when {{ context.minute >= 1320 }};
"""


def cpu_us(times: int, work: Callable[[int], object]) -> float:
    """Microseconds of CPU for one of them."""
    began = time.process_time()
    for number in range(times):
        work(number)
    return round((time.process_time() - began) / times * 1e6, 1)


def permit_us(times: int, cedar: str) -> float:
    """Microseconds of CPU for a permit under these rules."""
    home = Ruled()
    home.rule(cedar)
    home.tell()
    return cpu_us(times, lambda _: home.tell())


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rules", type=int, default=30)
    parser.add_argument("--times", type=int, default=2_000)
    options = parser.parse_args()
    text = starter() + "".join(RULE.format(number=number) for number in range(options.rules))
    Rules(text).answer(Asked("a.b", "a.b", 1))
    rules = Rules(text)
    asked = Asked("lock.unlock", "home.access", 16, thing="lock.front_door", names=("Front door", "Hall"))
    every = [msgspec.structs.replace(asked, thing=f"lock.x{number}") for number in range(options.times)]
    found: dict[str, float] = {
        "rules": options.rules + 4,
        "parse_us": cpu_us(20, lambda _: Rules(text)),
        "answer_us": cpu_us(options.times, lambda number: rules.answer(every[number])),
        "remembered_us": cpu_us(options.times, lambda number: rules.answer(every[number])),
    }
    for name, cedar in (("none", ""), ("starter", starter()), ("all", text)):
        found[f"permit_{name}_us"] = permit_us(options.times, cedar)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
