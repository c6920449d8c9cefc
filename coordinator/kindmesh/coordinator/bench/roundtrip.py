"""`kindmesh bench roundtrip`: our calls and jobs against the raw floor, interleaved in one run.

Rows, each a 100-byte text there and back unless `payload` says otherwise:
- `floor`: see `floor`;
- `session-call`: `device.echo` as a read-only session call (keyed MAC, not kept);
- `durable-job`: `device.echo` as a job: signed, permitted, journaled before it is acknowledged; survives `kill -9`;
- `durable-job-full`: the same with `full`, the default for anything with an effect: every step is on the disk (fsync)
  before it is told;
- apart, under `also`: `write-effect`, `notes.append` with the same promise: what a real effect adds by itself (its own
  file, written and synced; left out when the text is too long for a note).
Jobs go the way that every job goes (`submit` on the coordinator's socket, as `kindmesh call` does). The
owner's policy in this throw-away mesh allows `notes.append`, so that nobody has to type a thousand times yes. Rounds
of all rows alternate, so that a slow moment of the machine touches all of them. A call that finds its node full
(`Busy`, from 64 in flight on) is made again after `AGAIN_S`; its latency counts from the first try.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kindmesh.capabilities.notes.manifest import NOTE_MAX
from kindmesh.coordinator.bench.floor import Floor, floor
from kindmesh.coordinator.bench.statistics import Sample, row
from kindmesh.coordinator.lab.mesh import Lab, cpu_seconds
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import Busy, InternalError, KindmeshError
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.signed import signed_to_bytes

ROUNDS = 8
WARM_UP = 100
AGAIN_S = 0.001
NAMES = ("floor", "session-call", "durable-job", "durable-job-full")
EFFECT = "write-effect"


async def run_roundtrip(
    *,
    payload: int,
    inflight: int,
    nodes: int,
    requests: int,
    note: Callable[[str], None],
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """The rows; `requests` of each kind in all. `only`: these rows of `NAMES` beside the floor, and none apart."""
    root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
    names: tuple[str, ...] = (*NAMES, EFFECT) if 0 < payload <= NOTE_MAX else NAMES
    if only:
        names = tuple(name for name in NAMES if name == "floor" or name in only)
    samples = {name: Sample(name) for name in names}
    per_round = max(1, requests // ROUNDS)
    text = "x" * payload
    try:
        note("starting a mesh of its own ...")
        async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device,notes"}) as lab:
            await _mesh(lab, nodes)
            client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
            try:
                pids = _pids(lab)
                with floor(nodes) as base:
                    await _warm_up(client, names[1:], text, inflight, base)
                    for number in range(ROUNDS):
                        note(f"round {number + 1} of {ROUNDS}")
                        before = cpu_seconds(base.pids) + time.process_time()
                        took, wall_s = base.run(per_round, text, inflight)
                        samples["floor"].add(
                            took, wall_s, cpu_seconds(base.pids) + time.process_time() - before
                        )
                        for name in names[1:]:
                            before = cpu_seconds(pids) + time.process_time()
                            took, wall_s = await _round(client, name, per_round, text, inflight)
                            samples[name].add(took, wall_s, cpu_seconds(pids) + time.process_time() - before)
            finally:
                await client.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    floor_sample = samples["floor"]
    rows = [
        row(samples[name], floor_sample, payload=payload, inflight=inflight, nodes=nodes) for name in names
    ]
    return {
        "rows": [one for one in rows if one["name"] != EFFECT],
        "also": [one for one in rows if one["name"] == EFFECT],
        "rounds": ROUNDS,
    }


async def _mesh(lab: Lab, nodes: int) -> None:
    # The desk offers nothing itself, so that every request crosses to another process and back, as on the floor.
    await lab.begin({"KINDMESH_NODE_DISABLED": "device,notes"})
    for number in range(nodes):
        await lab.add(f"node{number + 1}")
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    harmless = int(Effect.READ | Effect.NOTIFY)
    rules = (Rule("*", harmless, "allow"), Rule("notes.append", int(Effect.READ | Effect.WRITE), "allow"))
    policy = Policy(owner.mesh, 2, time.time_ns() // 1_000_000, rules)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


def _pids(lab: Lab) -> list[int]:
    status: dict[str, Any] = lab.ask("status")
    found = [status["pid"], status["medulla"]["pid"]]
    return found + [
        lab.ask("status", device=name, part="node")["pid"] for name in lab.devices if name != "desk"
    ]


async def _warm_up(
    client: AsyncControlClient, names: Sequence[str], text: str, inflight: int, base: Floor
) -> None:
    base.run(WARM_UP, text, inflight)
    for name in names:
        await _round(client, name, WARM_UP, text, inflight)


async def _round(
    client: AsyncControlClient, name: str, count: int, text: str, inflight: int
) -> tuple[list[float], float]:
    took: list[float] = []
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            begun = time.perf_counter()
            await _one(client, name, text)
            took.append(time.perf_counter() - begun)

    first = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(inflight):
                group.create_task(worker())
    except* KindmeshError as failed:
        error = failed.exceptions[0]
        raise error if isinstance(error, KindmeshError) else InternalError(str(error)) from None
    return took, time.perf_counter() - first


async def _one(client: AsyncControlClient, name: str, text: str) -> None:
    if name == "session-call":
        value = await _called(
            client, {"operation": "device.echo", "args": {"text": text}, "timeout_ms": 30_000}
        )
        if value["text"] != text:
            raise InternalError("the echo is not what was said")
        return
    operation = "notes.append" if name == EFFECT else "device.echo"
    wish = {"operation": operation, "args": {"text": text}, "full": name == "durable-job-full"}
    job = await client.call("submit", {**wish, "wait": True, "quiet": True})
    if job["state"] != "succeeded":
        raise InternalError(f"{operation} {job['state']}: {job.get('error')}")


async def _called(client: AsyncControlClient, params: dict[str, Any]) -> dict[str, Any]:
    while True:
        try:
            value: dict[str, Any] = await client.call("call", params)
        except Busy:
            await asyncio.sleep(AGAIN_S)
        else:
            return value


__all__ = ["run_roundtrip"]
