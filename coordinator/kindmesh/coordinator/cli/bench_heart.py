"""`bench heart`: the figures that the Heart is held to, each with its target and how it was measured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kindmesh.coordinator.cli.output import EXIT_DONE, Output

if TYPE_CHECKING:
    from kindmesh.coordinator.bench.verdict import Measure, Row


def run_bench_heart(
    out: Output, rows: Sequence[str], *, quick: bool = False, jobs: int = 0, finished: int = 0
) -> int:
    """Measure, and say what is met and what is missed; a missed target is a figure, not a failure."""
    import msgspec

    from kindmesh.coordinator.bench.heart import FULL, QUICK, run_heart

    sizes = QUICK if quick else FULL
    if jobs:
        sizes = msgspec.structs.replace(sizes, memory=jobs)
    if finished:
        sizes = msgspec.structs.replace(sizes, finished=finished)
    said: list[str] = []

    def done(row: Row) -> None:
        lines = row_lines(row)
        said.extend(lines)
        out.progress(lines[0])

    found = asyncio.run(run_heart(rows=rows, sizes=sizes, note=out.progress, done=done))
    machine = found["machine"]
    out.result(
        found,
        *said,
        f"{machine['cores']} cores, Python {machine['python']}; load before {machine['load_before']}, after "
        f"{machine['load_after']}.",
        f"Missed: {', '.join(found['missed'])}." if found["missed"] else "All targets are met.",
    )
    return EXIT_DONE


def row_lines(row: Row) -> list[str]:
    """A row for people."""
    verdict = {True: "met", False: "MISSED", None: "no target"}[row.met]
    return [
        f"{row.name}: {verdict}. {'; '.join(_measure_words(one) for one in row.measures)}.",
        f"    {row.method}.",
    ]


def _measure_words(one: Measure) -> str:
    words = f"{one.name} {one.value:g} {one.unit}"
    if one.target is None:
        return words
    return f"{words} ({one.bound} {one.target:g}{'' if one.met else ': missed'})"


__all__ = ["row_lines", "run_bench_heart"]
