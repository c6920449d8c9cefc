"""What a row of `kindmesh bench heart` says: figures, each against its target if it has one, and how it was measured.

A row is met when all its figures with a target are; a figure is met when it is not on the wrong side of its target
(equal counts). Figures without a target are for the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Bound = Literal["at most", "at least"]


class Measure(msgspec.Struct, frozen=True):
    """One figure: `value` in `unit`; `bound` says which side of `target` is the good one."""

    name: str
    value: float
    unit: str
    target: float | None = None
    bound: Bound = "at most"

    @property
    def met(self) -> bool | None:
        """None when there is no target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target


class Row(msgspec.Struct, frozen=True):
    """One row; `details` are facts about how it came about (counts, rounds), for the reader."""

    name: str
    method: str
    measures: tuple[Measure, ...]
    details: dict[str, Any] = {}

    @property
    def met(self) -> bool | None:
        """None when no figure has a target."""
        judged = [measure.met for measure in self.measures if measure.met is not None]
        return all(judged) if judged else None

    def document(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "name": self.name,
            "met": self.met,
            "measures": [
                {
                    "name": one.name,
                    "value": one.value,
                    "unit": one.unit,
                    "target": one.target,
                    "bound": one.bound,
                    "met": one.met,
                }
                for one in self.measures
            ],
            "method": self.method,
            "details": self.details,
        }


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """How much y rises for each x, by least squares; 0 for fewer than two different x."""
    if len(xs) < 2:
        return 0.0
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    if not spread:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


__all__ = ["Bound", "Measure", "Row", "slope"]
