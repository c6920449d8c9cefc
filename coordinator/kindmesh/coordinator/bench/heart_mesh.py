"""Rows of `kindmesh bench heart` on a throw-away mesh of real processes: calls, a crowd of capabilities, device death,
cancelling, memory. Everything goes through the coordinator's socket, as every command does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.bench.crowd import COUNT, capability
from kindmesh.coordinator.bench.crowd_mesh import join_crowd, start_crowd
from kindmesh.coordinator.bench.footprint import rss_mib
from kindmesh.coordinator.bench.statistics import percentile
from kindmesh.coordinator.bench.verdict import Measure, Row, slope
from kindmesh.coordinator.lab.mesh import Lab, watching
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import Busy, DeadlineExceeded, InternalError, KindmeshError

Note = Callable[[str], None]

AT_ONCE: Final = 50
PATIENCE_S: Final = 60.0
AGAIN_S: Final = 0.002
LONG_MS: Final = 30_000
SAMPLES: Final = 20
WARM_SHARE: Final = 0.3
"""Of the samples of memory, the first that do not count: caches fill."""
FLAT_MIB: Final = 8.0
"""More than this over `FLAT_JOBS` jobs is called a leak."""
FLAT_JOBS: Final = 200_000


async def module_rows(root: Path, calls: int, jobs: int, note: Note) -> list[Row]:
    """`module-call` and `crowd`."""
    async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
        note("starting a mesh with a device of 100 capabilities ...")
        await lab.begin({"KINDMESH_NODE_DISABLED": "device"})
        await start_crowd(lab, await join_crowd(lab, "crowd"))
        client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
        try:
            note("calls, one at a time ...")
            await _many(client, calls // 10 + 1, 1, _echo)
            one, _ = await _many(client, calls, 1, _echo)
            note("calls, 32 at once ...")
            _, wall_s = await _many(client, calls, 32, _echo)
            note(f"{jobs} jobs and as many calls of {COUNT} capabilities, {AT_ONCE} at once ...")
            crowd = await asyncio.gather(
                _many(client, jobs, AT_ONCE, _job), _many(client, jobs, AT_ONCE, _echo)
            )
        finally:
            await client.close()
    call = Row(
        "module-call",
        f"{calls} session calls to the capabilities of one node: client, coordinator, node and back",
        (
            Measure("p99", _ms(percentile(one, 0.99)), "ms", 5.0),
            Measure("rate", round(calls / wall_s, 1), "per s", 1_000.0, "at least"),
            Measure("p50", _ms(percentile(one, 0.5)), "ms"),
        ),
        {"latency_at_once": 1, "rate_at_once": 32, "calls": calls},
    )
    (jobs_took, jobs_s), (calls_took, _) = crowd
    done = len(jobs_took) + len(calls_took)
    return [
        call,
        Row(
            "crowd",
            f"{COUNT} capabilities on one node, all in use: {AT_ONCE} durable jobs and {AT_ONCE} calls at once",
            (
                Measure("left undone", float(2 * jobs - done), "requests", 0.0),
                Measure("jobs", round(jobs / jobs_s, 1), "per s"),
                Measure("job p99", _ms(percentile(jobs_took, 0.99)), "ms"),
                Measure("call p99", _ms(percentile(calls_took, 0.99)), "ms"),
            ),
            {"capabilities": COUNT, "jobs": jobs, "calls": jobs},
        ),
    ]


async def outage_rows(root: Path, runs: int, note: Note) -> list[Row]:
    """`move` and `cancel`."""
    moved: list[float] = []
    cancelled: list[float] = []
    async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
        note("starting a mesh with two such devices ...")
        await lab.begin({"KINDMESH_NODE_DISABLED": "device"})
        for name in ("left", "right"):
            await start_crowd(lab, await join_crowd(lab, name))
        client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
        try:
            for number in range(runs):
                note(f"cancel, run {number + 1} of {runs}")
                cancelled.append(await _cancel(lab, client))
            for number in range(runs):
                note(f"kill -9 of the device that works, run {number + 1} of {runs}")
                moved.append(await _move(lab, client))
        finally:
            await client.close()
    return [
        Row(
            "move",
            "kill -9 of a node in the middle of an idempotent job, until the job runs on another device",
            (
                Measure("longest", round(max(moved), 3), "s", 5.0),
                Measure("median", round(percentile(moved, 0.5), 3), "s"),
            ),
            {"runs": runs},
        ),
        Row(
            "cancel",
            "from asking to cancel a running job to its ending being on the disk, the far end included",
            (
                Measure("longest", _ms(max(cancelled)), "ms", 200.0),
                Measure("median", _ms(percentile(cancelled, 0.5)), "ms"),
            ),
            {"runs": runs},
        ),
    ]


async def memory_rows(root: Path, jobs: int, note: Note) -> list[Row]:
    """`memory`."""
    async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
        note("starting a mesh of its own ...")
        await lab.begin({"KINDMESH_NODE_DISABLED": "device"})
        await lab.add("worker")
        client = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
        try:
            status: dict[str, Any] = lab.ask("status")
            pids = {
                "coordinator": status["pid"],
                "medulla": status["medulla"]["pid"],
                "node": lab.ask("status", device="worker", part="node")["pid"],
            }
            done = [0.0]
            seen: dict[str, list[float]] = {part: [rss_mib(pid)] for part, pid in pids.items()}
            begun = time.perf_counter()
            for number in range(SAMPLES):
                count = jobs * (number + 1) // SAMPLES - int(done[-1])
                await _many(client, count, 64, _device_job)
                done.append(done[-1] + count)
                for part, pid in pids.items():
                    seen[part].append(rss_mib(pid))
                note(f"{int(done[-1])} of {jobs} jobs")
            wall_s = time.perf_counter() - begun
        finally:
            await client.close()
    first = round(len(done) * WARM_SHARE)
    grown = {part: slope(done[first:], values[first:]) * FLAT_JOBS for part, values in seen.items()}
    return [
        Row(
            "memory",
            f"resident memory of all three processes over {jobs} durable jobs, 64 at once: least-squares slope after "
            f"the first {WARM_SHARE:.0%}, told as MiB over {FLAT_JOBS} jobs",
            tuple(Measure(part, round(value, 2), "MiB", FLAT_MIB) for part, value in grown.items()),
            {
                "jobs": jobs,
                "per_s": round(jobs / wall_s, 1),
                "first_mib": {part: round(values[first], 1) for part, values in seen.items()},
                "last_mib": {part: round(values[-1], 1) for part, values in seen.items()},
            },
        )
    ]


# ------------------------------------------------------------------------------------------------ single requests

One = Callable[[AsyncControlClient, int], Awaitable[None]]


async def _many(client: AsyncControlClient, count: int, inflight: int, one: One) -> tuple[list[float], float]:
    """Seconds of each of `count`, and of all; a device or coordinator that is full is asked again."""
    took: list[float] = []
    left = iter(range(count))

    async def worker() -> None:
        for number in left:
            begun = time.perf_counter()
            while True:
                try:
                    await one(client, number)
                    break
                except Busy:
                    await asyncio.sleep(AGAIN_S)
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(inflight, count)):
                group.create_task(worker())
    except* KindmeshError as failed:
        error = failed.exceptions[0]
        raise error if isinstance(error, KindmeshError) else InternalError(str(error)) from None
    return took, time.perf_counter() - begun


async def _echo(client: AsyncControlClient, number: int) -> None:
    text = str(number)
    wish = {"operation": f"{capability(number % COUNT)}.echo", "args": {"text": text}, "timeout_ms": 30_000}
    if (await client.call("call", wish))["text"] != text:
        raise InternalError("the echo is not what was said")


async def _job(client: AsyncControlClient, number: int) -> None:
    await _submit(client, f"{capability(number % COUNT)}.echo", str(number))


async def _device_job(client: AsyncControlClient, number: int) -> None:
    await _submit(client, "device.echo", str(number))


async def _submit(client: AsyncControlClient, operation: str, text: str) -> None:
    job = await client.call(
        "submit", {"operation": operation, "args": {"text": text}, "full": False, "wait": True, "quiet": True}
    )
    if job["state"] != "succeeded":
        raise InternalError(f"{operation} {job['state']}: {job.get('error')}")


async def _running(client: AsyncControlClient, events: asyncio.Queue[dict[str, Any]]) -> tuple[str, str]:
    """Begin a long job; its id and the name of the device that runs it, once it does."""
    wish = {"operation": "crowd000.wait", "args": {"text": "long", "wait_ms": LONG_MS}, "full": False}
    job = (await client.call("submit", wish))["job"]
    return job, (await _until(events, job, "running"))["device_name"]


async def _until(
    events: asyncio.Queue[dict[str, Any]], job: str, state: str, not_on: str = ""
) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await events.get()
                if (
                    event.get("job") == job
                    and event.get("state") == state
                    and event.get("device_name") != not_on
                ):
                    return event
    except TimeoutError as error:
        raise DeadlineExceeded(f"the job was not {state} within {PATIENCE_S:g} s") from error


async def _cancel(lab: Lab, client: AsyncControlClient) -> float:
    async with watching(lab.desk.home.socket("coordinator")) as events:
        job, _ = await _running(client, events)
        begun = time.perf_counter()
        await client.call("cancel", {"id": job})
        await _until(events, job, "cancelled")
        return time.perf_counter() - begun


async def _move(lab: Lab, client: AsyncControlClient) -> float:
    async with watching(lab.desk.home.socket("coordinator")) as events:
        job, name = await _running(client, events)
        begun = time.perf_counter()
        await lab.devices[name].kill()
        await _until(events, job, "running", not_on=name)
        took = time.perf_counter() - begun
        await client.call("cancel", {"id": job})
        await _until(events, job, "cancelled")
    await start_crowd(lab, lab.devices[name])
    return took


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


__all__ = ["FLAT_JOBS", "FLAT_MIB", "Note", "memory_rows", "module_rows", "outage_rows"]
