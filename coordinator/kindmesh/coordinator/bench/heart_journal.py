"""Rows of `kindmesh bench heart` about the journals: how fast jobs get in, and how soon all is back after a restart.

`enqueue` writes jobs as the Heart does (`HeartJournal.submit`: facts, sealed request, the run's own key, story), each
acknowledged when its turn's commit (`NORMAL`) or sync (`FULL`) is done, and beside it a bare SQLite table with rows of
the same size, in turn, in one run. `start` and `recover` are a whole `kindmesh up` of a real folder.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.bench.crowd_mesh import join_crowd, start_crowd
from kindmesh.coordinator.bench.history import fill
from kindmesh.coordinator.bench.sqlite_floor import insert_rate
from kindmesh.coordinator.bench.statistics import percentile
from kindmesh.coordinator.bench.verdict import Measure, Row
from kindmesh.coordinator.heart.journal import HEART_SCHEMA, HeartJournal, JobFacts, JobRequest, Progress
from kindmesh.coordinator.heart.machine_words import StoryEntry
from kindmesh.coordinator.lab.device import Device
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.files import private_folder
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import DeadlineExceeded
from kindmesh.protocol.ids import RANDOM_BYTES, new_id

Note = Callable[[str], None]

ROUNDS: Final = 5
GROUP: Final = 64
"""Jobs that arrive in one turn of the loop, as with 64 in flight; `FULL` syncs once for what came meanwhile."""
PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.02
EMERGENCIES: Final = 60
"""Of the jobs that wait, so many are emergencies: only they get the last places of the queue."""


async def enqueue_rows(root: Path, jobs: int, note: Note) -> list[Row]:
    """`enqueue` and `enqueue-full`."""
    rows = []
    for name, synchronous, target in (("enqueue", "NORMAL", 15_000.0), ("enqueue-full", "FULL", 2_000.0)):
        ours: list[float] = []
        bare: list[float] = []
        cpu: list[float] = []
        for number in range(ROUNDS):
            note(f"journal at {synchronous}, round {number + 1} of {ROUNDS}")
            folder = private_folder(root / f"{name}-{number}")
            rate, cpu_us, size = await _enqueue(folder, jobs, full=synchronous == "FULL")
            ours.append(rate)
            cpu.append(cpu_us)
            bare.append(
                insert_rate(
                    folder / "bare.db", jobs, size=size, group=GROUP,
                    synchronous="FULL" if synchronous == "FULL" else "NORMAL",
                )
            )  # fmt: skip
            shutil.rmtree(folder)
        ratios = [mine / its for mine, its in zip(ours, bare, strict=True)]
        rows.append(
            Row(
                name,
                f"jobs into the coordinator's journal, {GROUP} a turn, acknowledged after the group's "
                f"{'sync (FULL)' if synchronous == 'FULL' else 'commit (NORMAL)'}; bare: SQLite rows of the same size "
                "and grouping; medians of alternating rounds",
                (
                    Measure("rate", round(percentile(ours, 0.5), 1), "per s", target, "at least"),
                    Measure("bare SQLite", round(percentile(bare, 0.5), 1), "per s"),
                    Measure("CPU of a job", round(percentile(cpu, 0.5), 1), "us"),
                    Measure("of bare", round(percentile(ratios, 0.5), 3), "x"),
                ),
                {"jobs": jobs, "rounds": ROUNDS, "group": GROUP},
            )
        )
    return rows


async def _enqueue(folder: Path, jobs: int, *, full: bool) -> tuple[float, float, int]:
    """Jobs per second, CPU microseconds of a job, and bytes of what one job writes."""
    store = Store.open(folder / "journal.db", HEART_SCHEMA)
    journal = HeartJournal(store, RunVault(store, bytes(32)))
    clock, entropy = SystemClock(), SystemEntropy()
    args = encode_value({"text": "x" * 100})
    begun, cpu = time.perf_counter(), time.process_time()
    for first in range(0, jobs, GROUP):
        for _ in range(min(GROUP, jobs - first)):
            now_ms = clock.now_ms()
            job_id = new_id(now_ms, entropy.token(RANDOM_BYTES))
            facts = JobFacts(
                job_id, job_id, 0, None, "device.echo", "owner", "interactive", 1, True, full, now_ms, 300_000
            )
            story: list[StoryEntry] = [
                (now_ms, "queued", b"", ""),
                (now_ms, "placed", b"d" * 20, "the only one"),
            ]
            now = Progress("queued", "chosen", b"d" * 20, 1, now_ms + 300_000, None, b"", story)
            journal.submit(facts, JobRequest(args), now)
        await (store.durable() if full else store.committed())
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    row = store.query_one("SELECT length(request) + length(story) + 150 FROM job LIMIT 1")
    size = int(row[0]) if row is not None else 0
    store.close()
    return jobs / took, cpu / jobs * 1e6, size


# ------------------------------------------------------------------------------------------------- starting again


async def start_rows(root: Path, finished: int, runs: int, note: Note) -> list[Row]:
    """`start`."""
    async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
        note("starting a mesh of its own ...")
        await lab.begin()
        await lab.alive("desk")
        job: dict[str, Any] = lab.ask(
            "submit", {"operation": "device.echo", "args": {"text": "hi"}, "wait": True}
        )
        await lab.desk.down()
        empty = [await _up(lab.desk, number, runs, note) for number in range(runs)]
        # In peace, so that nobody has the journals open any more.
        await lab.desk.up()
        await lab.desk.down()
        note(f"writing {finished} finished jobs into the journals of coordinator, Medulla and node ...")
        sizes = await asyncio.to_thread(fill, lab.desk.home, finished)
        full = [await _up(lab.desk, number, runs, note) for number in range(runs)]
        await lab.desk.up()
        seen = len(lab.ask("jobs", {"limit": 1_000}))
    before, after = percentile(empty, 0.5), percentile(full, 0.5)
    return [
        Row(
            "start",
            f"`kindmesh up` until Medulla, coordinator and node serve, with {finished} finished jobs in the journals "
            "of all three, and with almost none; medians",
            (
                Measure("more than with none", round(after - before, 3), "s", 1.0),
                Measure("all of it", round(after, 3), "s"),
                Measure("with none", round(before, 3), "s"),
            ),
            {
                "finished": finished,
                "runs": runs,
                "disk_mib": sizes,
                "first_job": job["state"],
                "jobs_seen": seen,
            },
        )
    ]


async def _up(device: Device, number: int, runs: int, note: Note) -> float:
    note(f"start {number + 1} of {runs}")
    begun = time.perf_counter()
    await device.up()
    took = time.perf_counter() - begun
    # As a crash leaves it, so that nothing is tidied up for the next start.
    await device.kill()
    return took


async def recover_rows(root: Path, jobs: int, note: Note) -> list[Row]:
    """`recover`."""
    async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
        note("starting a mesh of its own ...")
        await lab.begin({"KINDMESH_NODE_DISABLED": "device"})
        crowd = await join_crowd(lab, "crowd")
        await start_crowd(lab, crowd)
        await lab.desk.kill()
        without = await _up(lab.desk, 0, 2, note)
        await lab.desk.up()
        await lab.alive("crowd")
        await crowd.kill()
        note(f"giving it {jobs} jobs that wait for the device ...")
        await _wait_for_device(lab, jobs)
        await lab.desk.kill()
        with_jobs = await _up(lab.desk, 1, 2, note)
        await lab.desk.up()
        left = lab.ask("status")["jobs"]["open"]
        note("the device comes back ...")
        begun = time.perf_counter()
        await start_crowd(lab, crowd)
        await _all_ended(lab)
        ended_s = time.perf_counter() - begun
    return [
        Row(
            "recover",
            f"`kindmesh up` after kill -9 with {jobs} open jobs, against none: until all go on; then the device "
            "returns",
            (
                Measure("more than with none", round(with_jobs - without, 3), "s", 1.0),
                Measure("lost", float(jobs - left), "jobs", 0.0),
                Measure("until all ended on the device", round(ended_s, 3), "s"),
            ),
            {"open": jobs},
        )
    ]


async def _wait_for_device(lab: Lab, jobs: int) -> None:
    """Submit them; the last places of the queue are for emergencies."""
    client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
    deadline_ms = SystemClock().now_ms() + 600_000
    left = iter(range(jobs))

    async def worker() -> None:
        for number in left:
            wish = {
                "operation": "crowd000.echo",
                "args": {"text": str(number)},
                "deadline_ms": deadline_ms,
                "priority": "interactive" if number < jobs - EMERGENCIES else "emergency",
            }
            await client.call("submit", wish)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(worker())
    finally:
        await client.close()


async def _all_ended(lab: Lab) -> None:
    """Until no job is open any more.

    Raises:
        DeadlineExceeded: some still are after `PATIENCE_S`.
    """
    begun = time.perf_counter()
    while open_jobs := lab.ask("status")["jobs"]["open"]:
        if time.perf_counter() - begun > PATIENCE_S:
            raise DeadlineExceeded(f"{open_jobs} jobs are still open after {PATIENCE_S:g} s")
        await asyncio.sleep(LOOK_S)


__all__ = ["Note", "enqueue_rows", "recover_rows", "start_rows"]
