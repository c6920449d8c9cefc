"""What a job costs the Heart. By hand: `.venv/bin/python -m tests.benchmarks.bench_heart [--jobs N] [--profile]`.

A real Heart, journal and vault on a real loop and disk; node and Medulla are stubs in the same process that answer with
results and permits made beforehand, so that nearly all of the CPU time is the Heart's and the journal's. Not counted:
signatures, sockets, Medulla, node. `seal` tells what sealing and unsealing (XChaCha20-Poly1305) take of it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from tests.coordinator.heart_kit import FakeEndpoint, FakeMedulla, FakeNode, Rig, wish

from kindmesh.coordinator.brain.medulla.messages import PermitRequest, Verdict
from kindmesh.coordinator.heart.medulla_client import OnVerdict
from kindmesh.mesh import vault
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.protocol.messages import Job, JobResult, MessageType

spent_s = {"sealing": 0.0}


class QuickMedulla(FakeMedulla):
    """Gives everybody the same permit."""

    permitted: Verdict | None = None

    def ask(self, request: PermitRequest, done: OnVerdict) -> None:
        if self.permitted is None:
            self.permitted = Verdict("allow", permit=self.permit(request))
        asyncio.get_running_loop().call_soon(done, self.permitted)


class QuickNode(FakeNode):
    """Says back what it was told, in the next turn."""

    def receive(self, type_: MessageType, body: Any) -> None:
        job: Job = body
        result = JobResult(job.job_id, job.epoch, "succeeded", job.args, None, b"p" * 16, 1, 2)
        self.tell(MessageType.JOB_RESULT, result)


def count_sealing() -> None:
    for name in ("seal", "unseal"):
        usual = getattr(vault, name)

        def timed(*args: Any, usual: Any = usual) -> Any:
            begun = time.process_time()
            try:
                return usual(*args)
            finally:
                spent_s["sealing"] += time.process_time() - begun

        setattr(vault, name, timed)


class QuickEndpoint(FakeEndpoint):
    """Hands over what it is given, as it is."""

    def post(self, dst: bytes, type_: MessageType, body: msgspec.Struct, **_: Any) -> bytes:
        asyncio.get_running_loop().call_soon(self._reach, dst, type_, body)
        return b"m" * 16


async def measure(
    folder: Path, jobs: int, inflight: int, operation: str, profile: cProfile.Profile | None
) -> dict[str, Any]:
    rig = Rig(folder, SystemClock())
    rig.entropy = SystemEntropy()
    rig.medulla = QuickMedulla(rig.household, rig.clock)
    rig.nodes["phone"] = QuickNode(rig, "phone")
    rig.endpoint_class = QuickEndpoint
    await rig.start()
    rig.events = []
    rig.heart._dispatch.telling.watchers.clear()
    text = "x" * 80
    took: list[float] = []

    async def one() -> None:
        begun = time.perf_counter()
        document = await rig.heart.run(wish(operation, text=text))
        took.append(time.perf_counter() - begun)
        assert document["state"] == "succeeded"

    for _ in range(200):
        await one()
    took.clear()
    left = iter(range(jobs))

    async def worker() -> None:
        for _ in left:
            await one()

    spent_s["sealing"] = 0.0
    if profile is not None:
        profile.enable()
    cpu, wall = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(inflight):
            group.create_task(worker())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if profile is not None:
        profile.disable()
    sealing = spent_s["sealing"]
    await rig.close()
    took.sort()
    return {
        "operation": operation,
        "inflight": inflight,
        "p50_us": round(took[len(took) // 2] * 1e6),
        "p99_us": round(took[len(took) * 99 // 100] * 1e6),
        "per_s": round(jobs / wall),
        "cpu_us": round(cpu / jobs * 1e6, 1),
        "seal_us": round(sealing / jobs * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--seal", action="store_true")
    options = parser.parse_args()
    if options.seal:
        count_sealing()
    for operation in ("device.echo", "notes.append"):
        for inflight in (1, 32):
            profile = cProfile.Profile() if options.profile else None
            with tempfile.TemporaryDirectory() as folder:
                row = asyncio.run(measure(Path(folder), options.jobs, inflight, operation, profile))
            sys.stdout.write(json.dumps(row) + "\n")
            if profile is not None:
                pstats.Stats(profile).sort_stats("cumtime").print_stats(60)
                return


if __name__ == "__main__":
    main()
