"""Reviews of whole plans are done beside Medulla's loop: permits do not wait, and none goes on for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.coordinator.test_medulla_process import Mesh

from kindmesh.capabilities.home.manifest import MANIFEST as HOME
from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.aside import WAITING_MAX
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.utterances import hear_here
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.errors import Busy, DeadlineExceeded, Malformed
from kindmesh.protocol.messages.hello import Advert, Offer, Thing, sign_advert
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_bytes
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.utterance_evidence import Evidence, evidence

TEXT = "turn off the kitchen light"


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def home_advert(mesh: Mesh, things: int = 1) -> m.Advertise:
    node = Identity.load(mesh.home.identity, SystemEntropy(), start=False)
    named = (Thing("light.kitchen", ("kitchen light",)), *(_thing(number) for number in range(1, things)))
    offer = Offer(HOME, ready=True, things=named)
    return m.Advertise(sign_advert(Advert(mesh.made.mesh, node.device_id, 1, 2, 1, (offer,)), node.signing))


def _thing(number: int) -> Thing:
    return Thing(f"light.l{number}", (f"lamp number {number}", f"the {number} lamp"))


def control(value: Any, **more: Any) -> Plan:
    args = {"service": "light.turn_off", "entities": value, "data": {}}
    return plan_from_document(
        {"plan": 1, "steps": [{"id": "s", "call": "home.control", "args": args, **more}]}
    )


LIGHT = control({"$value": ["light.kitchen"], "$label": {"source": "user", "words": ["kitchen", "light"]}})
HUGE = control([f"light.l{number}" for number in range(400)], for_each={"over": list(range(45)), "most": 45})


def said(mesh: Mesh, text: str) -> Evidence:
    now_ms = SystemClock().now_ms()
    return evidence(hear_here(mesh.home, text, now_ms=now_ms, entropy=SystemEntropy()), (), whole=True)


def asked(mesh: Mesh, plan: Plan = LIGHT, text: str = TEXT) -> m.PlanReview:
    return m.PlanReview(plan_to_bytes(plan), OWNER, evidence=said(mesh, text))


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def begun(
    mesh: Mesh, medulla: subprocess.Popen[bytes], client: MedullaClient
) -> tuple[asyncio.Future[m.PlanVerdict], int]:
    """A review that takes long, under way: its answer to come, and its process."""
    await client.call("advert", home_advert(mesh, 1_000), m.Advertised)
    long = asyncio.ensure_future(client.review(asked(mesh, HUGE)))
    while not (found := children(medulla.pid)):
        await client.status()
    return long, found[0]


def test_a_plan_is_reviewed_over_the_socket_and_leaves_no_trace(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla:
        mesh.call("advert", home_advert(mesh), m.Advertised)
        before = mesh.call("status", m.StatusWanted(), m.Status)
        review = asked(mesh)
        verdicts = [mesh.call("review", review, m.PlanVerdict) for _ in range(3)]
        other = mesh.call("review", asked(mesh, text="what is the time"), m.PlanVerdict)
        with pytest.raises(Malformed):
            mesh.call("review", m.PlanReview(b"\xc1", OWNER), m.PlanVerdict)
        with pytest.raises(Malformed):
            mesh.call("review", m.StatusWanted(), m.PlanVerdict)
        assert mesh.call("status", m.StatusWanted(), m.Status) == before
        assert children(medulla.pid) == []
    assert [verdict.answer for verdict in verdicts] == ["allow"] * 3
    assert other.answer == "ask"


async def test_permits_do_not_wait_for_a_plan_that_takes_too_long_and_it_is_ended(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla:
        client = MedullaClient(mesh.path)
        long, pid = await begun(mesh, medulla, client)
        then = asyncio.ensure_future(client.review(asked(mesh)))
        os.kill(pid, signal.SIGSTOP)
        for _ in range(20):
            verdict = await client.permit(mesh.request("home.control"))
            assert verdict.answer == "ask"
        assert not long.done()
        assert children(medulla.pid) == [pid]
        with pytest.raises(DeadlineExceeded):
            await long
        assert (await then).answer == "allow"
        client.close()


ALONE = """
import atexit, logging, os, resource, selectors, signal, sys
from kindmesh.coordinator.brain.medulla.aside import Aside
from kindmesh.coordinator.brain.medulla.service import refusal

atexit.register(print, "end")

def full(record):
    raise MemoryError

def work(frame):
    if frame == b"loop":
        while True:
            pass
    if frame == b"memory":
        held = [bytes(2**20) for _ in range(2**12)]
    if frame == b"crumbs":
        held = []
        while True:
            held = [held]
    if frame == b"error":
        raise RuntimeError
    if frame == b"unsaid":
        logging.getLogger("kindmesh.coordinator.medulla").addFilter(full)
        raise RuntimeError
    return b"\\0\\0\\0\\4done"

if sys.argv[1] == "narrow":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 2**27
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    del sys.argv[1]
beside = Aside(lambda frame: True, work, lambda frame, error: error.code.encode())
selector = selectors.DefaultSelector()
beside.attach(selector)
for frame in sys.argv[1:]:
    assert beside.add(frame, frame.encode()) is None
left = len(sys.argv) - 1
beside.turn()
while left:
    selector.select(beside.timeout_s)
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    for owner, reply in beside.turn():
        print(owner, reply[-4:].decode() if owner == "fine" else reply.decode())
        left -= 1
beside.close()
"""


def alone(*wanted: str) -> list[str]:
    """What is said of each frame, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *wanted], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def test_what_uses_too_much_of_the_processor_or_of_memory_is_ended_and_the_next_one_is_done() -> None:
    late = DeadlineExceeded.code
    said = [
        f"loop {late}", "fine done", f"memory {late}", f"crumbs {late}", f"error {late}", f"unsaid {late}",
        "fine done", "end",
    ]  # fmt: skip
    assert alone("loop", "fine", "memory", "crumbs", "error", "unsaid", "fine") == said


def test_it_is_done_within_the_narrower_bounds_of_where_it_runs() -> None:
    assert alone("narrow", "fine", "fine") == ["fine done", "fine done", "end"]


async def test_a_flood_of_plans_is_refused_and_permits_go_on(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla:
        client = MedullaClient(mesh.path)
        await client.call("advert", home_advert(mesh, 1_000), m.Advertised)
        review = asked(mesh, HUGE)
        many = [asyncio.ensure_future(client.review(review)) for _ in range(3 * WAITING_MAX)]
        assert (await client.permit(mesh.request("home.get"))).answer == "allow"
        done, _ = await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(one.exception(), Busy) for one in done)
        assert len(done) >= WAITING_MAX
        assert (await client.permit(mesh.request("home.get"))).answer == "allow"
        assert len(children(medulla.pid)) == 1
        client.close()
        await asyncio.gather(*many, return_exceptions=True)
        # Nobody waits for the others any more, so they are not done.
        assert (await asyncio.wait_for(client.review(asked(mesh)), 10)).answer == "allow"
        client.close()


def connected(mesh: Mesh) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(20)
    one.connect(os.fspath(mesh.path))
    return one


def frame(number: int, review: m.PlanReview) -> bytes:
    body = msgspec.msgpack.encode((number, "review", review))
    return len(body).to_bytes(4, "big") + body


def test_who_is_cut_off_hears_so_though_a_review_goes_on(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla, connected(mesh) as one, connected(mesh) as other:
        mesh.call("advert", home_advert(mesh, 1_000), m.Advertised)
        one.sendall(frame(1, asked(mesh, HUGE)))
        while not (found := children(medulla.pid)):
            mesh.call("status", m.StatusWanted(), m.Status)
        other.sendall(b"\xff" * 4)
        assert other.recv(1) == b""
        assert children(medulla.pid) == found


def test_who_reads_no_answer_keeps_nobody_else_waiting(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock"), connected(mesh) as deaf, connected(mesh) as other:
        mesh.call("advert", home_advert(mesh, 1_000), m.Advertised)
        deaf.sendall(frame(1, asked(mesh)) + frame(2, asked(mesh)))
        deaf.shutdown(socket.SHUT_RD)
        other.sendall(frame(3, asked(mesh)))
        assert other.recv(4)


async def test_a_review_that_dies_is_told_and_the_next_one_is_done(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla:
        client = MedullaClient(mesh.path)
        long, pid = await begun(mesh, medulla, client)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(DeadlineExceeded):
            await long
        assert (await client.review(asked(mesh))).answer == "allow"
        client.close()


async def test_a_review_ends_with_medulla(mesh: Mesh) -> None:
    with mesh.running("--isolation", "landlock") as medulla:
        client = MedullaClient(mesh.path)
        long, pid = await begun(mesh, medulla, client)
        os.kill(medulla.pid, signal.SIGKILL)
        await asyncio.gather(long, return_exceptions=True)
        medulla.wait()
        client.close()
    await asyncio.to_thread(_gone, pid)


def _gone(pid: int) -> None:
    until = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
