"""The restart matrix: who is killed, at which stage of a job, of which kind; and what has to come of the job.

A cell is one job on one household of real processes: `kill -9` of the coordinator, of Medulla or of the node that does
the work, exactly when the job gets to a stage (`tests/system/stages.py` says how), whoever gets there. Then everything
is started again as it would be, and the job has to end as `expected` says. Printed by
`python -m tests.system.matrix`, as the table in docs/explanation/restart-matrix.md.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import Final, NamedTuple

from tests.system.stages import STAGES

VICTIMS: Final = ("coordinator", "medulla", "node")
KINDS: Final[dict[str, str]] = {"read": "work.read", "idempotent": "work.tidy", "effect": "work.add"}
"""Kind of job -> its operation: only reads; changes something, and may be done again; changes something, once."""
DOUBT: Final = ("INTENT written", "effect begun", "effect done")
"""Between these and RESULT, nobody can know after a `kill -9` whether it happened."""


class Cell(NamedTuple):
    """`victim` is killed when a job of that kind is at that stage."""

    victim: str
    stage: str
    kind: str

    @property
    def name(self) -> str:
        """For the name of a test."""
        return "-".join(self).replace(" ", "_")

    @property
    def expected(self) -> str:
        """How the job ends."""
        if self.victim == "node" and self.kind == "effect" and self.stage in DOUBT:
            return "uncertain"
        return "succeeded"


def full() -> list[Cell]:
    """Every victim at every stage with every kind."""
    return [Cell(*words) for words in product(VICTIMS, STAGES, KINDS)]


def covering() -> list[Cell]:
    """Every stage with the death of the process that gets there, in the middle of an effect; every stage with the death
    of another one, and every victim with every kind, turn by turn."""
    cells = [Cell(process, stage, "effect") for stage, process in STAGES.items()]
    kinds = [kind for kind in KINDS if kind != "effect"]
    for number, (stage, process) in enumerate(STAGES.items()):
        others = [victim for victim in VICTIMS if victim != process]
        cells.append(Cell(others[number % 2], stage, kinds[number // 2 % 2]))
    cells += [Cell("node", stage, kinds[number % 2]) for number, stage in enumerate(DOUBT)]
    return cells


def table() -> str:
    """The matrix as Markdown: a row for each stage, a column for each victim."""
    rows = ["| the job is | killed: coordinator | killed: Medulla | killed: the node |", "|---|---|---|---|"]
    for stage in STAGES:
        cells = []
        for victim in VICTIMS:
            ends = {kind: Cell(victim, stage, kind).expected for kind in KINDS}
            odd = [kind for kind, end in ends.items() if end != "succeeded"]
            cells.append(f"done; an effect that may happen only once: **{ends[odd[0]]}**" if odd else "done")
        rows.append(f"| {stage} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())

__all__ = ["DOUBT", "KINDS", "VICTIMS", "Cell", "covering", "full", "table"]
