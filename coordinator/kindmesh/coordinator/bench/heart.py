"""`kindmesh bench heart`: the figures that the Heart is held to, measured here and now, each against its target.

Every row says how it was measured. Where there is a peer (raw pyzmq for jobs, bare SQLite for the journal) both run in
turn in the same run, and the target is their ratio. All but `enqueue` run real processes on loopback, in folders of
their own that are removed afterwards. No figure depends on the policy or the devices of the household of whoever asks.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.coordinator.bench.heart_journal import enqueue_rows, recover_rows, start_rows
from kindmesh.coordinator.bench.heart_mesh import memory_rows, module_rows, outage_rows
from kindmesh.coordinator.bench.roundtrip import run_roundtrip
from kindmesh.coordinator.bench.verdict import Measure, Row
from kindmesh.protocol.errors import InvalidInput

Note = Callable[[str], None]
INFLIGHT: Final = 64
PAYLOAD: Final = 100


class Sizes(msgspec.Struct, frozen=True):
    """How much of each is done: session calls, jobs of the crowd, jobs of each durable row, jobs into the journal, open
    jobs at a crash, finished jobs at a start, jobs over which memory is watched, runs of what is done one by one."""

    calls: int
    crowd: int
    durable: int
    enqueue: int
    open: int
    finished: int
    memory: int
    runs: int


FULL: Final = Sizes(
    calls=5_000,
    crowd=2_000,
    durable=3_200,
    enqueue=20_000,
    open=1_000,
    finished=100_000,
    memory=40_000,
    runs=5,
)
QUICK: Final = Sizes(
    calls=1_000, crowd=200, durable=400, enqueue=2_000, open=200, finished=5_000, memory=4_000, runs=2
)


async def _durable(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    names = ("durable-job", "durable-job-full")
    found = []
    for inflight, requests in ((1, sizes.durable // 4), (INFLIGHT, sizes.durable)):
        note(f"durable jobs and the raw floor, {inflight} at once ...")
        run = await run_roundtrip(
            payload=PAYLOAD, inflight=inflight, nodes=1, requests=requests, note=note, only=names
        )
        found.append({one["name"]: one for one in run["rows"]})
    return [durable_row(name, found[0], found[1]) for name in names]


def durable_row(name: str, one: dict[str, dict[str, Any]], many: dict[str, dict[str, Any]]) -> Row:
    """A row out of two runs of `bench roundtrip`: `one` request at a time, and `many` at once."""
    full = name.endswith("-full")
    single, crowd = one[name], many[name]
    return Row(
        name,
        f"signed, permitted, journaled jobs ({'FULL' if full else 'NORMAL'}) against the raw pyzmq floor of the same "
        f"run: p50 one at a time, throughput at {INFLIGHT} in flight",
        (
            Measure("p50 of floor", single["ratio_p50"], "x", 6.0 if full else 3.0),
            Measure("throughput of floor", crowd["ratio_per_s"], "x", 0.1 if full else 0.15, "at least"),
            Measure("p50", single["p50_us"], "us"),
            Measure("throughput", crowd["per_s"], "per s"),
            Measure("CPU of a job", crowd["cpu_us"], "us"),
            Measure(f"p50 of floor at {INFLIGHT}", crowd["ratio_p50"], "x"),
        ),
        {
            "floor_p50_us": one["floor"]["p50_us"],
            "floor_per_s": many["floor"]["per_s"],
            "requests": [single["requests"], crowd["requests"]],
            "payload": PAYLOAD,
        },
    )


async def _modules(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await module_rows(root, sizes.calls, sizes.crowd, note)


async def _enqueue(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await enqueue_rows(root, sizes.enqueue, note)


async def _recover(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await recover_rows(root, sizes.open, note)


async def _start(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await start_rows(root, sizes.finished, sizes.runs, note)


async def _memory(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await memory_rows(root, sizes.memory, note)


async def _outages(root: Path, sizes: Sizes, note: Note) -> list[Row]:
    return await outage_rows(root, sizes.runs, note)


_GROUPS: Final[tuple[tuple[tuple[str, ...], Callable[[Path, Sizes, Note], Awaitable[list[Row]]]], ...]] = (
    (("module-call", "crowd"), _modules),
    (("durable-job", "durable-job-full"), _durable),
    (("enqueue", "enqueue-full"), _enqueue),
    (("recover",), _recover),
    (("start",), _start),
    (("memory",), _memory),
    (("move", "cancel"), _outages),
)
"""Rows that are measured together, and what measures them."""
ROWS: Final = tuple(name for names, _ in _GROUPS for name in names)


async def run_heart(
    *, rows: Sequence[str] = (), sizes: Sizes = FULL, note: Note, done: Callable[[Row], None] | None = None
) -> dict[str, Any]:
    """Measure `rows` (empty: all of `ROWS`); `done` gets each as soon as it is there.

    Raises:
        InvalidInput: there is no such row. KindmeshError: what did not work.
    """
    unknown = sorted(set(rows) - set(ROWS))
    if unknown:
        raise InvalidInput(
            f"there is no row {unknown[0][:40]!r}", field="row", hint=f"One of: {', '.join(ROWS)}."
        )
    found: list[Row] = []
    load = os.getloadavg()[0]
    for names, measure in _GROUPS:
        wanted = [name for name in names if not rows or name in rows]
        if not wanted:
            continue
        root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
        try:
            measured = [row for row in await measure(root, sizes, note) if row.name in wanted]
        finally:
            shutil.rmtree(root, ignore_errors=True)
        for row in measured:
            found.append(row)
            if done is not None:
                done(row)
    missed = [row.name for row in found if row.met is False]
    return {
        "rows": [row.document() for row in found],
        "missed": missed,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "load_before": round(load, 2),
            "load_after": round(os.getloadavg()[0], 2),
        },
    }


__all__ = ["FULL", "INFLIGHT", "QUICK", "ROWS", "Sizes", "durable_row", "run_heart"]
