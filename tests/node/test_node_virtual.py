"""The same node in virtual time: hours pass in milliseconds, and the same seed gives the same run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.node.probe_capability import PROBES
from tests.support.household import Household

from kindmesh.mesh.files import write_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import BOOT_FILE, CURVE_FILE, SEED_FILE
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.post import Post
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.virtual import EPOCH_MS, SeededEntropy, SimulatedClock, run_virtual
from kindmesh.node.app import Node
from kindmesh.node.config import Config, MeshSection
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.messages import Job, MessageType, ResultTaken, SessionType


async def hour(folder: Path) -> tuple[list[str], int]:
    """An hour with a flaky link: a job every minute; what became of them, and how many beats were heard."""
    loop = asyncio.get_running_loop()
    clock = SimulatedClock(loop)
    household = Household(9, EPOCH_MS)
    desk = household.add("desk", "coordinator")
    phone = household.add("phone")
    home = Home(folder).create()
    write_private(home.identity / SEED_FILE, phone.signing.seed)
    write_private(home.identity / CURVE_FILE, phone.curve.secret)
    write_private(home.identity / BOOT_FILE, b"1\n")
    Trust.create(home.identity, household.trust_file("phone", addresses=("desk",)))
    network = MemoryNetwork(4)
    network.change_both("desk", "phone", delay_ms=20, jitter_ms=30, duplication=0.2)
    entropy = SeededEntropy(1)
    hub = Hub(
        Post(desk, household.trust("desk"), clock, entropy),
        clock,
        entropy,
        network.transport("desk"),
        "memory://desk",
    )
    ended: dict[bytes, str] = {}
    beats = 0

    def on_result(envelope: Any, body: Any) -> None:
        ended[body.job_id] = body.outcome
        hub.tell(envelope.header.src, SessionType.RESULT_TAKEN, ResultTaken(body.job_id, body.epoch))

    def on_beat(peer: bytes, ref: int, body: Any) -> None:
        nonlocal beats
        beats += 1
        hub.tell(peer, SessionType.HEARTBEAT, body)

    hub.on(MessageType.JOB_RESULT, on_result)
    hub.on(MessageType.ADVERT, lambda envelope, body: None)
    hub.on_session(SessionType.HEARTBEAT, on_beat)
    hub.on_session(SessionType.JOB_ACCEPTED, lambda peer, ref, body: None)
    hub.on_session(SessionType.JOB_PROGRESS, lambda peer, ref, body: None)
    await hub.start()
    config = Config(mesh=MeshSection(mdns=False))
    node = Node(
        home, config, clock=SimulatedClock(loop, skew_ms=-1_000), entropy=SeededEntropy(2),
        transport=network.transport("phone"), scheme="memory://", entries=PROBES, sync="inline", control=False,
    )  # fmt: skip
    sent = []
    async with node:
        for minute in range(60):
            await asyncio.sleep(60)
            if minute % 20 == 10:
                network.partition("desk", "phone")
                await asyncio.sleep(15)
                network.heal("desk", "phone")
                await asyncio.sleep(10)
            args = encode_value({"text": str(minute), "wait_ms": 500})
            job_id = new_id(clock.now_ms(), entropy.token(10))
            permit = household.permit(
                target=phone.device_id, operation="probe.write", args=args, effects=4, job_id=job_id,
                issued_ms=clock.now_ms(), expires_ms=clock.now_ms() + 60_000,
            )  # fmt: skip
            job = Job(
                job_id, job_id, 0, 1, "probe.write", args, clock.now_ms() + 30_000, "interactive", permit
            )
            hub.post(phone.device_id, MessageType.JOB, job)
            sent.append(job_id)
        await asyncio.sleep(60)
        assert node.reporter.waiting == 0
        await node.drain()
    await hub.close()
    assert (home.data / "probe" / "written").read_text().splitlines() == [str(minute) for minute in range(60)]
    return [ended.get(job_id, "lost") for job_id in sent], beats


def test_an_hour_of_jobs_over_a_flaky_link(tmp_path: Path) -> None:
    outcomes, beats = run_virtual(hour(tmp_path / "one"))
    assert outcomes == ["succeeded"] * 60
    assert 3_500 < beats <= 3_800
    assert run_virtual(hour(tmp_path / "two")) == (outcomes, beats)
