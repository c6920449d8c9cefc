"""The coordinator killed at every boundary of its journal, one after the other, in a small household.

The scenario is written down here, not drawn: every kind of job, one that moves, one that waits for the owner, one that
is cancelled, an emergency, a run of several steps, and a device that dies. It is played once to count the boundaries,
and then once for each: the coordinator dies there and is started again a moment later, as the launcher does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from kindmesh.coordinator.simulate import history as h
from kindmesh.coordinator.simulate.boundaries import Boundaries
from kindmesh.coordinator.simulate.run import Outcome, Simulator

NODES: Final = 3
MINUTE_MS: Final = 60_000
AGAIN_MS: Final = 700
"""How long the launcher takes to start it again."""


class Directed(msgspec.Struct, frozen=True):
    """One run of it: the boundary (0: none was fatal), what kind it was, and how it went."""

    boundary: int
    side: str
    outcome: Outcome


def scenario(seed: int) -> h.History:
    """What is played each time."""
    acts: tuple[h.Act, ...] = (
        h.Ask(1_000, "job-1", "work.read", 30_000, "", 50, 50),
        h.Ask(1_010, "job-2", "work.add", 30_000, "", 100, 100),
        h.Ask(1_020, "job-3", "work.switch", 60_000, "", 20, 20),
        h.Ask(1_500, "job-4", "notes.append", 30_000),
        h.Ask(2_000, "job-5", "work.tidy", 40_000, "phone", 1_000, 500),
        h.Kill(2_600, "phone"),
        h.Ask(2_700, "job-6", "alarm.tell", 20_000, "", 30, 30, "emergency"),
        h.Run(3_000, "run-1", "undo", 40_000, 100),
        h.Answer(4_000, allow=True),
        h.Ask(4_500, "job-7", "work.add", 40_000, "kitchen", 3_000, 100),
        h.Cancel(5_000, "job-7"),
        h.Start(6_000, "phone"),
        h.Answer(9_000, allow=True),
        h.Ask(9_500, "job-8", "work.add", 30_000, "phone", 10, 10),
        h.Answer(15_000, allow=True),
        h.Answer(25_000, allow=True),
    )
    return h.History(h.FORMAT, seed, NODES, MINUTE_MS / 86_400_000, MINUTE_MS, acts)


def directed(simulator: Simulator, seed: int, *, first: int = 1, every: int = 1) -> Iterator[Directed]:
    """The first run has no death; then one for each boundary from `first` on (or for each `every`th)."""
    told = scenario(seed)
    counting = Boundaries()
    yield Directed(0, "", simulator.run(told, counting))
    for number in range(first, counting.seen + 1, every):
        fatal = Boundaries(number)
        outcome = simulator.run(told, fatal)
        yield Directed(number, fatal.died_at, outcome)


__all__ = ["Directed", "directed", "scenario"]
