"""One chaos run: a throw-away household of real processes on loopback, struck by a plan while jobs are asked.

    made -> struck and asked, for so long -> nobody is struck any more, jobs end -> everything is ended -> disks judged

Who asks for a job asks again, with the same key, until it is acknowledged: that is what a key is for. Nothing is left
running: the processes are ended here, and by a guard that outlives this process, should it be killed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.coordinator.chaos.evidence import Asked, Verdict, Violation, judge, read_disks, story_of
from kindmesh.coordinator.chaos.guard import sweep
from kindmesh.coordinator.chaos.house import House
from kindmesh.coordinator.chaos.plan import NODES, Plan, Wanted, make_plan
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.coordinator.owner import unlock_owner
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import parse_id, parse_time_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule
from kindmesh.protocol.signed import signed_to_bytes

SETTLE_S: Final = 90.0
DEADLINE_S: Final = 75.0
EMERGENCY_S: Final = 10.0
"""An emergency has to be done before coordinator, Medulla and a node were well together for so long."""
AGAIN_S: Final = 0.3
ASKING_MAX: Final = 64
"""So many jobs are asked for at once; more are left out."""


class ChaosOutcome(msgspec.Struct, rename={"number": "seed"}):
    """What a run showed. `jobs` were acknowledged; `states`: how they ended; `history` is empty when all is well."""

    number: int
    seconds: float
    nodes: int
    jobs: int
    emergencies: int
    kills: int
    stops: int
    lost: int
    duplicate_effects: int
    unpermitted_effects: int
    states: dict[str, int]
    violations: list[Violation]
    history: list[str]
    cpu_s: float


async def run_chaos(
    seed: int, seconds: float, progress: Callable[[str], None], *, folder: Path | None = None
) -> ChaosOutcome:
    """Run it; `folder` (kept) instead of a temporary one.

    Raises:
        KindmeshError: the household could not be made, or not be started again.
    """
    async with AsyncExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kindmesh-chaos-")))
            guard = [sys.executable, "-P", "-m", "kindmesh.coordinator.chaos.guard", os.fspath(folder)]
        else:
            folder.mkdir(parents=True, exist_ok=True)
            guard = [
                sys.executable,
                "-P",
                "-m",
                "kindmesh.coordinator.chaos.guard",
                os.fspath(folder),
                "keep",
            ]
        watchdog = await asyncio.create_subprocess_exec(
            *guard, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            return await _run(seed, seconds, progress, folder / "house")
        finally:
            await asyncio.to_thread(sweep, folder / "house")
            watchdog.kill()
            await watchdog.wait()


async def _run(seed: int, seconds: float, progress: Callable[[str], None], root: Path) -> ChaosOutcome:
    plan = make_plan(seed, seconds)
    progress(f"seed {seed}: making a household of {len(NODES) + 1} devices ...")
    async with Lab(root) as lab:
        await lab.begin()
        for name in NODES:
            await lab.add(name)
        await lab.alive("desk", *NODES)
        _allow(lab)
        names = {
            parse_id(node["id"]): str(node["name"]) for node in lab.ask("nodes") if node["role"] == "node"
        }
        house = House(lab)
        progress(f"seed {seed}: {seconds:g} s of chaos ...")
        asked = await _chaos(house, plan)
        progress(f"seed {seed}: nobody is struck any more; waiting for what is open ...")
        await _settle(house, asked)
        # What is judged is what `kill -9` leaves: nothing is closed in an orderly way.
        await asyncio.gather(*(device.kill() for device in lab.devices.values()))
    await asyncio.to_thread(sweep, root)
    disks = read_disks(
        lab.desk.home, {name: device.home for name, device in lab.devices.items()}, names, root / "logs"
    )
    verdict = judge(disks, asked)
    for job in asked:
        late = _late(house, job)
        if late:
            verdict.violations.append(Violation("emergency_late", job.key, late, story_of(disks, job.key)))
    return _outcome(seed, seconds, house, asked, verdict)


def _late(house: House, job: Asked) -> str:
    if job.priority != "emergency" or not job.job_id:
        return ""
    clear = house.clear_s(job.acknowledged_s, job.ended_s or time.monotonic())
    if clear <= EMERGENCY_S:
        return ""
    return f"it was not done although coordinator, Medulla and a node were well for {clear:.1f} s"


def _outcome(seed: int, seconds: float, house: House, asked: list[Asked], verdict: Verdict) -> ChaosOutcome:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    cpu = usage.ru_utime + usage.ru_stime + own.ru_utime + own.ru_stime
    promised = [job for job in asked if job.job_id]
    return ChaosOutcome(
        seed, seconds, len(NODES) + 1, len(promised), sum(job.priority == "emergency" for job in promised),
        house.kills, house.stops, verdict.lost, verdict.duplicate_effects, verdict.unpermitted_effects, verdict.states,
        verdict.violations, house.history if verdict.violations else [], round(cpu, 1),
    )  # fmt: skip


async def _chaos(house: House, plan: Plan) -> list[Asked]:
    """Everything that the plan says, at its time; returns when the last is over and acknowledged, or given up."""
    asked: list[Asked] = []
    asking: set[asyncio.Task[None]] = set()
    house.begun = time.monotonic()
    events: list[Any] = sorted([*plan.blows, *plan.wanted], key=lambda event: event.at_s)
    async with asyncio.TaskGroup() as group:
        for event in events:
            await asyncio.sleep(max(0.0, house.begun + event.at_s - time.monotonic()))
            if isinstance(event, Wanted):
                if len(asking) < ASKING_MAX:
                    job = Asked(event.key, event.operation, event.priority)
                    asked.append(job)
                    task = group.create_task(_ask(house, event, job))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
            else:
                group.create_task(house.strike(event))
    return asked


async def _ask(house: House, wanted: Wanted, job: Asked) -> None:
    """Ask until it is acknowledged, or could not be done in time any more; then wait for its end, if it is urgent."""
    args = {"notes.append": {"text": job.key}, "notes.list": {}}.get(
        job.operation, {"text": f"job {job.key}"}
    )
    end_ms = SystemClock().now_ms() + int(DEADLINE_S * 1000)
    wish = {
        "operation": job.operation, "args": args, "key": job.key, "priority": job.priority, "deadline_ms": end_ms,
        **({"target": wanted.device} if wanted.device else {}),
    }  # fmt: skip
    while SystemClock().now_ms() < end_ms:
        try:
            taken = await house.ask("submit", wish)
        except (KindmeshError, OSError, TimeoutError):
            await asyncio.sleep(AGAIN_S)
            continue
        job.job_id, job.acknowledged_s = parse_time_id(taken["job"]), time.monotonic()
        if job.priority == "emergency":
            await _watch(house, job, taken["job"])
        return


async def _watch(house: House, job: Asked, name: str) -> None:
    while not job.ended_s and time.monotonic() < job.acknowledged_s + DEADLINE_S:
        try:
            found = await house.ask("job", {"id": name})
        except (KindmeshError, OSError, TimeoutError):
            found = {"ended_ms": None}
        if found["ended_ms"] is not None:
            job.ended_s = time.monotonic()
        else:
            await asyncio.sleep(AGAIN_S)


async def _settle(house: House, asked: list[Asked]) -> None:
    """Wait until every acknowledged job has ended; not forever: what is open then is a finding, or waits visibly."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        try:
            status = await house.ask("status")
            if status["jobs"]["open"] == 0:
                return
        except (KindmeshError, OSError, TimeoutError):
            pass
        await asyncio.sleep(AGAIN_S)


def _allow(lab: Lab) -> None:
    """The owner lets the household write notes without asking."""
    owner = unlock_owner(lab.desk.home, lab.environment["KINDMESH_PASSPHRASE"])
    rules = (
        Rule("*", int(Effect.READ | Effect.NOTIFY), "allow"),
        Rule("notes.append", int(Effect.READ | Effect.WRITE), "allow"),
    )
    version = lab.ask("status")["policy_version"] + 1
    policy = Policy(owner.mesh, version, SystemClock().now_ms(), rules)
    lab.ask("policy.set", {"policy": signed_to_bytes(owner.sign_policy(policy))})


__all__ = ["ChaosOutcome", "run_chaos"]
