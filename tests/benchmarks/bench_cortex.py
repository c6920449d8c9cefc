"""What understanding costs, beside the home's grammar alone. `.venv/bin/python tests/benchmarks/bench_cortex.py`.

A home of `--entities` things in eight rooms; every sentence is understood `--rounds` times by the whole pipeline and,
in turns with that, by the home's recogniser alone. Milliseconds of CPU per sentence, so that other work on the machine
hardly counts (`wall_`: as the clock had it); `compound_`: of the sentences that ask for more than one thing; `ratio` is
of the medians. One line of JSON for each number of things.
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

COMPOUND = (
    "turn off the lights in the office and the hall", "turn on the cellar lamp 2 in half an hour",
    "turn off the kitchen lamp 1 and turn on the bedroom lamp 2 in ten minutes",
    "turn off the hall lamp 1, turn on the garage lamp 2 and set a timer for ten minutes",
    "turn on the kitchen lamp 1 and add milk to my shopping list",
)  # fmt: skip
ROOMS = ("Kitchen", "Living Room", "Bedroom", "Bathroom", "Hall", "Office", "Garage", "Cellar")
SENTENCES = (
    "turn on the kitchen lamp 1", "please turn off the lights in the bedroom", "is the hall lamp 3 on",
    "what time is it", "add milk and eggs to my shopping list", "remind me to take my pills at 8",
    "set a timer for ten minutes", "what is the capital of france", "thank you", "book me a flight to paris",
    "could you tell me whether the garage lamp 1 is on", *COMPOUND,
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
    compound: list[float] = []
    wall: list[float] = []
    bare: list[float] = []
    for number in range(rounds + 1):
        for text in SENTENCES:
            begun, cpu = time.perf_counter(), time.process_time()
            cortex.understand(text, situation)
            took, between = time.perf_counter() - begun, time.process_time()
            alone.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)
            if number:
                bare.append((time.process_time() - between) * 1000)
                wall.append(took * 1000)
                whole.append((between - cpu) * 1000)
                compound += whole[-1:] if text in COMPOUND else []
    return {
        "entities": entities,
        "sentences": len(whole),
        "p50_ms": at(whole, 0.5),
        "p95_ms": at(whole, 0.95),
        "compound_p50_ms": at(compound, 0.5),
        "compound_p95_ms": at(compound, 0.95),
        "wall_p50_ms": at(wall, 0.5),
        "wall_p95_ms": at(wall, 0.95),
        "grammar_alone_p50_ms": at(bare, 0.5),
        "ratio": round(statistics.median(whole) / statistics.median(bare), 2),
    }


def at(times: list[float], part: float) -> float:
    return round(sorted(times)[int(len(times) * part)], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    for entities in options.entities or (100, 1_000):
        print(json.dumps(measure(entities, options.rounds)))


if __name__ == "__main__":
    main()
