"""`kill -9` of coordinator, Medulla and node at every stage of a job: it goes on from the journals, and is told.

`RESTART_MATRIX=full` runs every cell of the matrix, otherwise a covering part of it. Every cell is judged by what is on
the disks: the effects that the device really did, its journal, the coordinator's, and what Medulla ever signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.audit import entries_of
from tests.system.kit import PATIENCE_S, SEEN, allow, ended, say, soon, talking
from tests.system.matrix import KINDS, Cell, covering, full, table
from tests.system.stages import ROOT, STAGES, environment

from kindmesh.coordinator.brain.medulla.service import SCHEMA as MEDULLA_SCHEMA
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.simulate.work import done
from kindmesh.mesh.audit import AuditRows
from kindmesh.mesh.store import Store
from kindmesh.node.journal import NODE_SCHEMA
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import parse_time_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

CELLS = full() if os.environ.get("RESTART_MATRIX") == "full" else covering()
ENDS_MAX, WINDOW_S = 5, 60.0
"""What the launcher puts up with (`supervision_machine`): more ends of one part within that time stop the desk."""


class House:
    """A desk, a kitchen whose jobs are watched, and what was asked of it so far."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.asked: dict[str, str] = {}
        """Key -> job id, of every job that was acknowledged."""
        self._ends: list[float] = []

    @property
    def kitchen(self) -> Any:
        return self.lab.devices["kitchen"]

    def folder(self, process: str) -> Path:
        """Where a process looks for orders."""
        device = self.kitchen if process == "node" else self.lab.desk
        found: Path = device.home.root / process
        return found

    async def submit(self, cell: Cell) -> str:
        """The id of the job, which is acknowledged."""
        wish = {
            "operation": KINDS[cell.kind],
            "args": {"text": cell.name},
            "target": "kitchen",
            "key": cell.name,
        }
        async with talking(self.lab.desk) as client:
            job: str = (await client.call("submit", wish))["job"]
        self.asked[cell.name] = job
        return job

    async def nothing_untaken(self) -> bool:
        """Whether the device knows of all its results that they were taken."""
        await asyncio.sleep(0.005)
        path = self.kitchen.home.node_journal
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
            return not journal.execute("SELECT 1 FROM jobs WHERE taken = 0 AND state = 'done'").fetchone()

    def pid(self, victim: str) -> int:
        """The process to be killed."""
        if victim == "node":
            found: int = self.lab.ask("status", device="kitchen", part="node")["pid"]
            return found
        status = self.lab.ask("status")
        pid: int = status["pid"] if victim == "coordinator" else status["medulla"]["pid"]
        return pid

    async def back(self, victim: str) -> None:
        """Wait until who was killed is there again; the launcher starts what is the desk's, a person the node."""
        if victim == "node":
            await self.kitchen.kill()
            await self.kitchen.up()
            await self.lab.alive("kitchen")
            return
        desk = self.lab.desk
        assert desk.running is not None
        assert (await desk.running.until("restarting"))["part"] == victim
        while (await desk.running.until("ready")).get("part") != victim:
            pass

    async def spare_the_launcher(self) -> None:
        """It gives up on a part that ends too often: before that, the whole desk is switched off and on."""
        now = time.monotonic()
        self._ends = [at for at in self._ends if now - at < WINDOW_S]
        if len(self._ends) >= ENDS_MAX:
            await self.lab.desk.kill()
            await self.lab.desk.up()
            self._ends = []
            await self.lab.alive("desk", "kitchen")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    root = tmp_path_factory.mktemp("matrix") / "lab"
    async with Lab(root, settings=environment()) as lab:
        SEEN.append(root / "logs")
        await lab.begin()
        await lab.add("kitchen")
        await lab.alive("desk", "kitchen")
        allow(lab, "work.*")
        yield House(lab)


async def at_stage(house: House, cell: Cell) -> str:
    """Submit the cell's job and kill the victim at the stage; the job's id if it was acknowledged."""
    process = STAGES[cell.stage]
    # What is left of the cell before (a result that is told and thanked for again) would reach the stage in its place.
    assert await soon(house.nothing_untaken, PATIENCE_S), "the device still tells results of before"
    folder = house.folder(process)
    orders, reached = folder / "orders", folder / "reached"
    pid = house.pid(cell.victim)
    orders.write_text(f"{cell.stage}|{KINDS[cell.kind]}")
    submitting = asyncio.ensure_future(house.submit(cell))

    async def there() -> bool:
        await asyncio.sleep(0.005)
        return reached.exists()

    try:
        assert await soon(there, PATIENCE_S), f"no job got to {cell.stage}"
        os.kill(pid, signal.SIGKILL)
    finally:
        orders.unlink(missing_ok=True)
        reached.unlink(missing_ok=True)
    try:
        return await submitting
    except KindmeshError:
        return ""


@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
async def test_a_job_survives_kill_9(house: House, cell: Cell) -> None:
    if cell.victim != "node":
        await house.spare_the_launcher()
        house._ends.append(time.monotonic())
    job = await at_stage(house, cell)
    await house.back(cell.victim)
    if not job:
        # Not acknowledged: whoever asked asks again, with the same key.
        assert cell.victim == "coordinator"
        job = await house.submit(cell)
    document = await ended(house.lab, job)
    story = [entry["what"] for entry in document["timeline"]]
    effects = [
        operation for job_id, operation in done(house.kitchen.home.data) if job_id == parse_time_id(job)
    ]
    assert document["state"] == cell.expected, document
    assert story.count(document["state"]) == 1, story
    if cell.kind == "effect":
        assert len(effects) <= 1, "done twice"
    if cell.expected == "succeeded":
        assert effects, "said to be done, and was not"
    else:
        assert document["error"]["code"] == "UNCERTAIN", document
        assert document["error"]["hint"], document


async def test_the_documented_table_is_the_one_that_is_tested() -> None:
    page = (ROOT / "docs" / "explanation" / "restart-matrix.md").read_text()
    assert table() in page, "write it again: .venv/bin/python -m tests.system.matrix"


async def test_afterwards_the_disks_tell_the_same_story(house: House) -> None:
    """Every key is one job, all have ended, all results were taken, and nothing was done without a permit."""
    lab = house.lab
    async with asyncio.timeout(PATIENCE_S):
        documents = {key: await ended(lab, job) for key, job in house.asked.items()}
    assert len({document["job"] for document in documents.values()}) == len(CELLS)
    assert lab.ask("status")["jobs"]["open"] == 0

    async def taken() -> bool:
        await asyncio.sleep(0.1)
        store = Store.open_readonly(house.kitchen.home.node_journal, NODE_SCHEMA)
        try:
            return not store.query("SELECT 1 FROM jobs WHERE taken = 0")
        finally:
            store.close()

    assert await soon(taken, PATIENCE_S), "a result was never taken"
    store = Store.open_readonly(lab.desk.home.medulla / "state" / "medulla.db", MEDULLA_SCHEMA)
    try:
        signed = Counter(
            entry.job_id
            for entry in entries_of(AuditRows(store))
            if (entry.kind, entry.answer) == ("permit", "allow")
        )
    finally:
        store.close()
    effects = Counter(job_id for job_id, _ in done(house.kitchen.home.data))
    for job_id, times in effects.items():
        assert times <= signed[job_id], f"{job_id.hex()} was done {times} times with {signed[job_id]} permits"
    # People see it, with the command that they have.
    for key, job in list(house.asked.items())[:2]:
        said = await say(lab.desk, "jobs", "show", job)
        assert said.code == 0, said
        assert said.objects[-1]["state"] == documents[key]["state"]
        assert said.objects[-1]["timeline"], said
