"""The shortest history that still shows a violation: delta debugging over the list of actions.

First everything after the violation goes, then ever smaller pieces, as long as a violation of the same kind is left
(Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002: `ddmin`). A piece that is left out
changes what comes after it, since nobody draws the same numbers any more; so what is found is *a* history that shows
it, played to the end, and not a proof that nothing shorter does. It is bounded by the number of runs, so that the same
seed shrinks to the same history everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kindmesh.coordinator.simulate.history import Act, History
from kindmesh.coordinator.simulate.ledger import Violation

RUNS: Final = 120
AFTER_MS: Final = 1_000
"""How long after the violation the shrunk history goes on: then everything is mended, and looked at once more."""
Shows = Callable[[History], Violation | None]
"""Plays a history; the violation that it still shows."""


class Shrunk(msgspec.Struct, frozen=True):
    """The short history, its violation, and how many runs it took."""

    history: History
    violation: Violation
    runs: int


def shrink(history: History, violation: Violation, shows: Shows, runs: int = RUNS) -> Shrunk:
    """A short history with a violation of the same kind; the one given, if nothing can be left out."""
    search = _Search(history, violation, shows, runs)
    until = [act for act in history.acts if act.at_ms <= violation.at_ms]
    if len(until) < len(history.acts):
        search.try_acts(until)
    size = max(1, len(search.acts) // 2)
    while search.left and search.acts:
        search.remove_pieces(size)
        if size == 1:
            if not search.shorter:
                break
        else:
            size = max(1, size // 2)
    return Shrunk(search.history, search.violation, search.used)


class _Search:
    def __init__(self, history: History, violation: Violation, shows: Shows, runs: int) -> None:
        self.history, self.violation, self.shows, self.left = history, violation, shows, runs
        self.acts: list[Act] = list(history.acts)
        self.used = 0
        self.shorter = True

    def try_acts(self, acts: list[Act]) -> bool:
        """Play these; keep them if they still show it."""
        if not self.left:
            return False
        self.left -= 1
        self.used += 1
        end_ms = min(self.history.end_ms, (acts[-1].at_ms if acts else 0) + AFTER_MS)
        candidate = msgspec.structs.replace(self.history, acts=tuple(acts), end_ms=end_ms)
        found = self.shows(candidate)
        if found is None or found.kind != self.violation.kind:
            return False
        self.acts, self.history, self.violation = acts, candidate, found
        return True

    def remove_pieces(self, size: int) -> None:
        """Leave out one piece of so many actions after the other, the last ones first."""
        self.shorter = False
        start = len(self.acts)
        while start > 0 and self.left:
            start = max(0, start - size)
            if self.try_acts(self.acts[:start] + self.acts[start + size :]):
                self.shorter = True
                start = min(start, len(self.acts))


__all__ = ["RUNS", "Shrunk", "shrink"]
