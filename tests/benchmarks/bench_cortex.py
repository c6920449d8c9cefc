"""What understanding costs, beside the home's grammar alone. `.venv/bin/python tests/benchmarks/bench_cortex.py`.

A home of `--entities` things in eight rooms; every sentence is understood `--rounds` times by the whole pipeline and,
in turns with that, by the home's recogniser alone. Milliseconds per sentence; `ratio` is of the medians. One line of
JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from kindmesh.capabilities.home.model import Area, Entity, Home
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.intents import HomeIntents
from kindmesh.coordinator.brain.cortex.terms import Clause, Situation, words_of

ROOMS = ("Kitchen", "Living Room", "Bedroom", "Bathroom", "Hall", "Office", "Garage", "Cellar")
SENTENCES = (
    "turn on the kitchen lamp 1", "please turn off the lights in the bedroom", "is the hall lamp 3 on",
    "what time is it", "turn off the lights in the office and the hall", "add milk and eggs to my shopping list",
    "remind me to take my pills at 8", "set a timer for ten minutes", "turn on the cellar lamp 2 in half an hour",
    "what is the capital of france", "could you tell me whether the garage lamp 1 is on", "thank you",
    "turn off the kitchen lamp 1 and turn on the bedroom lamp 2 in ten minutes", "book me a flight to paris",
)  # fmt: skip


def home_of(count: int) -> Home:
    areas = {name.lower().replace(" ", "_"): name for name in ROOMS}
    lamps = [
        Entity(f"light.{area}_{number}", f"{name} lamp {number}", area=area, state="off")
        for number in range(1, count // len(areas) + 2)
        for area, name in areas.items()
    ]
    things = [*lamps[: count - 2], Entity("todo.shopping", "Shopping list"), Entity("todo.tasks", "To do")]
    return Home({}, {area: Area(area, name) for area, name in areas.items()}, {one.id: one for one in things})


def measure(entities: int, rounds: int) -> dict[str, float | int]:
    operations = frozenset({"home.control", "home.access", "home.note", "home.get"})
    situation = Situation(
        home_of(entities), 1_795_771_638_000, "Europe/Berlin", "kitchen", operations=operations
    )
    cortex, alone = Cortex("en"), HomeIntents("en")
    whole: list[float] = []
    bare: list[float] = []
    for number in range(rounds + 1):
        for text in SENTENCES:
            begun = time.perf_counter()
            cortex.understand(text, situation)
            between = time.perf_counter()
            alone.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)
            if number:
                whole.append((between - begun) * 1000)
                bare.append((time.perf_counter() - between) * 1000)
    whole.sort()
    bare.sort()
    return {
        "entities": entities,
        "sentences": len(whole),
        "p50_ms": round(statistics.median(whole), 3),
        "p95_ms": round(whole[int(len(whole) * 0.95)], 3),
        "grammar_alone_p50_ms": round(statistics.median(bare), 3),
        "ratio": round(statistics.median(whole) / statistics.median(bare), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    print(json.dumps(measure(options.entities, options.rounds)))  # noqa: T201  # this is its output


if __name__ == "__main__":
    main()
