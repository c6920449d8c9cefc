"""`kindmesh simulate`: plays histories, says what came of them, and hands over what shows a violation.

One JSON object for each run (and only that on stdout); for people a few lines. Progress goes to stderr.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output
from kindmesh.coordinator.simulate.author import generate
from kindmesh.coordinator.simulate.directed import directed, scenario
from kindmesh.coordinator.simulate.history import History, read_history, write_history
from kindmesh.coordinator.simulate.ledger import Violation
from kindmesh.coordinator.simulate.run import Outcome, Simulator, simulated_disks
from kindmesh.coordinator.simulate.shrink import RUNS, Shrunk, shrink
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput

SEEDS_MAX: Final = 100_000
STORY_LINES: Final = 60


class Wanted(msgspec.Struct, frozen=True):
    """The options; `number` is the seed, `seeds` is empty or "FIRST-LAST"."""

    number: int
    seeds: str
    nodes: int
    days: float
    directed: bool
    replay: Path | None
    save: Path | None
    shrink: bool


def run_simulate(out: Output, wanted: Wanted) -> int:
    """The command.

    Raises:
        InvalidInput: the options contradict each other, or name no history.
    """
    if sum([wanted.directed, wanted.replay is not None, bool(wanted.seeds)]) > 1:
        raise InvalidInput("--directed, --replay and --seeds do not go together", hint="Choose one of them.")
    # What the parts log is about devices that die on purpose, by the thousand.
    logging.disable(logging.CRITICAL)
    try:
        with simulated_disks() as folder:
            simulator = Simulator(folder)
            if wanted.directed:
                return _directed(out, simulator, wanted)
            return _histories(out, simulator, wanted)
    finally:
        logging.disable(logging.NOTSET)


def _histories(out: Output, simulator: Simulator, wanted: Wanted) -> int:
    if wanted.replay is not None:
        histories = [read_history(wanted.replay)]
    else:
        histories = [generate(seed, wanted.nodes, wanted.days) for seed in _seeds(wanted)]
    code = EXIT_DONE
    for history in histories:
        out.progress(f"seed {history.number}: {history.nodes} nodes, {history.days:g} days ...")
        outcome = simulator.run(history)
        if not outcome.violations:
            out.result(_document(outcome), *_lines(outcome))
            continue
        code = EXIT_FAILED
        _show_violation(out, simulator, history, outcome, wanted)
    return code


def _seeds(wanted: Wanted) -> range:
    if not wanted.seeds:
        return range(wanted.number, wanted.number + 1)
    first, _, last = wanted.seeds.partition("-")
    if not (first.isdecimal() and last.isdecimal()) or not 0 <= int(last) - int(first) < SEEDS_MAX:
        raise InvalidInput(
            f"{wanted.seeds} names no seeds", field="seeds", hint="Write the first and the last, as 1-200."
        )
    return range(int(first), int(last) + 1)


def _show_violation(
    out: Output, simulator: Simulator, history: History, outcome: Outcome, wanted: Wanted
) -> None:
    document = _document(outcome)
    lines = _lines(outcome)
    found: Shrunk | None = None
    if wanted.shrink:
        out.note(f"Seed {history.number} shows something that must not be. Looking for a shorter history ...")
        tries = iter(range(1, RUNS + 1))

        def shows(candidate: History) -> Violation | None:
            out.progress(f"try {next(tries)} of at most {RUNS}: {len(candidate.acts)} actions")
            again = simulator.run(candidate).violations
            return again[0] if again else None

        found = shrink(history, outcome.violations[0], shows)
        outcome = simulator.run(found.history)
        document["shrunk"] = {"actions": len(found.history.acts), "of": len(history.acts), "runs": found.runs}
    shortest = history if found is None else found.history
    path = wanted.save or Path(f"kindmesh-history-{history.number}.json")
    try:
        write_history(path, shortest)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", field="save") from error
    document["saved"] = str(path)
    document["story"] = _story(outcome)
    out.result(
        document,
        *lines,
        *_acts(shortest),
        *_story(outcome),
        f"See it again: kindmesh simulate --replay {path}",
    )


def _directed(out: Output, simulator: Simulator, wanted: Wanted) -> int:
    total: dict[str, Any] = {}
    sides: dict[str, int] = {}
    bad: list[dict[str, Any]] = []
    cpu_s = 0.0
    hashes: list[str] = []
    for one in directed(simulator, wanted.number):
        out.progress(f"boundary {one.boundary} {one.side}")
        cpu_s += one.outcome.cpu_s
        hashes.append(one.outcome.history_hash)
        if one.side:
            sides[one.side] = sides.get(one.side, 0) + 1
        if not total:
            total = _document(one.outcome)
        bad += [
            {"boundary": one.boundary, "side": one.side, **msgspec.to_builtins(violation)}
            for violation in one.outcome.violations
        ]
    kinds = [violation["kind"] for violation in bad]
    total |= {
        "violations": bad,
        "lost": kinds.count("lost"),
        "duplicate_effects": kinds.count("duplicate_effect"),
        "unpermitted_effects": kinds.count("unpermitted_effect"),
        "history_hash": _together(hashes),
        "cpu_s": round(cpu_s, 3),
        "boundaries": sum(sides.values()),
        "boundaries_by_side": sides,
    }
    lines = [
        f"The coordinator was killed at each of {sum(sides.values())} boundaries of its journal, with"
        f" {len(scenario(wanted.number).acts)} actions each time: {len(bad)} violations.",
        *(
            f"  boundary {one['boundary']} ({one['side']}): {one['kind']} {one['job']}: {one['text']}"
            for one in bad
        ),
    ]
    out.result(total, *lines)
    return EXIT_FAILED if bad else EXIT_DONE


def _together(hashes: list[str]) -> str:
    return sha256("".join(hashes).encode()).hex()


def _document(outcome: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(outcome)
    del document["stories"]
    return document | {"signer": "ed25519", "heartbeats": "adaptive"}


def _lines(outcome: Outcome) -> list[str]:
    states = ", ".join(f"{count} {state}" for state, count in outcome.states.items())
    head = (
        f"Seed {outcome.number}: {outcome.nodes} nodes, {outcome.days:g} days. {outcome.jobs} jobs were promised"
        f" ({states}), {outcome.effects} things were done, {outcome.emergencies} emergencies, {outcome.kills} deaths."
    )
    if not outcome.violations:
        return [head, f"  Nothing was lost, doubled or done without a permit. {outcome.cpu_s:.1f} s of CPU."]
    return [head, *(f"  {one.kind}: {one.job or 'nobody'}: {one.text}" for one in outcome.violations)]


def _acts(history: History) -> list[str]:
    shown = [
        f"  {act.at_ms / 1000:10.3f} s  {type(act).__name__.lower()}"
        f" {' '.join(f'{name}={getattr(act, name)}' for name in act.__struct_fields__[1:] if getattr(act, name))}"
        for act in history.acts[:STORY_LINES]
    ]
    return [f"The shortest history found has {len(history.acts)} actions:", *shown]


def _story(outcome: Outcome) -> list[str]:
    lines = []
    for job, told in list(outcome.stories.items())[:3]:
        lines.append(f"What happened to {job}:")
        lines += [
            f"  {int(at) / 1000:10.3f} s  {rest}"
            for at, _, rest in (line.partition(" ") for line in told[-STORY_LINES:])
        ]
    return lines


__all__ = ["Wanted", "run_simulate"]
