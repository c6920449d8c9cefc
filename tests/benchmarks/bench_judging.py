"""What judging a step by the words costs, by how many things the home has.

By hand: `.venv/bin/python tests/benchmarks/bench_judging.py [--many N]`. A step for one light, and one for `--many`, in
homes of 10, 100 and 1,000 things (at most as many as there are): milliseconds until the rules are through, once the
names are ready (`ready_ms`: the first step after an advert), each time with other words, so that nothing is answered
from what was kept. `ratio`: to the home of 10. One line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from kindmesh.capabilities.home.manifest import MANIFEST
from kindmesh.coordinator.brain.medulla.evidence import Prover
from kindmesh.coordinator.brain.medulla.review_facts import Facts
from kindmesh.coordinator.brain.medulla.review_home import HomeNames
from kindmesh.coordinator.brain.medulla.review_step import scene_of, unsettled
from kindmesh.protocol.guards import FIRST_GUARDS
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.utterance_evidence import ArgumentLabel

ROOMS = ("Kitchen", "Living Room", "Bedroom", "Bathroom", "Hall", "Office", "Garage", "Cellar")
THINGS = ("Lamp", "Spot", "Strip", "Lantern", "Chandelier", "Light")


def home_of(count: int) -> HomeNames:
    names = {}
    for number in range(count):
        room, thing = ROOMS[number % len(ROOMS)], THINGS[number // len(ROOMS) % len(THINGS)]
        names[f"light.l{number}"] = (f"{room} {thing} {number}", room)
    return HomeNames(names)


def judged_ms(home: HomeNames, many: int, text: str) -> float:
    operation = next(one for one in MANIFEST.operations if one.name == "home.control")
    things = list(home)[:many]
    words = tuple(text.split())
    labels = tuple(ArgumentLabel(f"entities.{n}", Label("user", words=words[2:])) for n in range(many))
    facts = Facts(
        operations={operation.name: operation}, policy=lambda name, effects: "ask", guards=FIRST_GUARDS,
        prover=Prover(words, present=True, whole=True), names=home,
    )  # fmt: skip
    args = {"service": "light.turn_off", "entities": things, "data": {}}
    begun = time.perf_counter()
    unsettled(scene_of(operation, operation.effects, args, labels, facts))
    return (time.perf_counter() - begun) * 1000


def measure(count: int, many: int, rounds: int) -> dict[str, float | int]:
    home = home_of(count)
    many = min(many, count)
    said = "turn off the kitchen lamp 0" if many == 1 else "turn off all lights"
    begun = time.perf_counter()
    judged_ms(home, many, said)
    ready = (time.perf_counter() - begun) * 1000
    times = [judged_ms(home, many, f"{said} please number {number}") for number in range(rounds)]
    return {
        "things": count, "in_step": many, "ready_ms": round(ready, 2), "p50_ms": round(statistics.median(times), 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    for many in (1, options.many):
        base = 0.0
        for count in (10, 100, 1_000):
            found = measure(count, many, options.rounds)
            base = base or found["p50_ms"]
            print(json.dumps({**found, "ratio": round(found["p50_ms"] / base, 2)}))


if __name__ == "__main__":
    main()
