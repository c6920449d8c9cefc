"""The node as a real process: killed, ended, started twice, started wrongly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.node.rig import Rig, value

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.node.app import Node
from kindmesh.node.config import Config, MeshSection
from kindmesh.node.process import serve

ROOT = Path(__file__).resolve().parents[2]
PROBES = "tests.node.node_process"
APP = "kindmesh.node.process"


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def until(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while True:
                line = await self.process.stdout.readline()
                assert line, "it ended"
                found: dict[str, Any] = json.loads(line)
                if found["event"] == event:
                    return found

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start(*arguments: str, module: str = PROBES, **more: Any) -> Process:
    return Process(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, **more,
        )
    )  # fmt: skip


class RealRig(Rig):
    """The desk here, the phone in a process of its own, ZeroMQ between them."""

    @asynccontextmanager
    async def process(self, *arguments: str, module: str = PROBES) -> AsyncIterator[Process]:
        home = self.home("phone", self.desk.hub.address.removeprefix("tcp://"))
        before = len(self.desk.adverts)
        words = arguments or (str(home.root), "300")
        started = await start(*words, module=module)
        try:
            await started.until("ready")
            await self.desk.until(lambda: len(self.desk.adverts) > before)
            yield started
        finally:
            await started.kill()


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[RealRig]:
    made = RealRig(tmp_path, ZmqTransport(), "tcp://127.0.0.1:0")
    await made.desk.hub.start()
    yield made
    await made.desk.hub.close()


async def failed(*arguments: str, **more: Any) -> tuple[str, str]:
    """(standard output, standard error) of a node that cannot start."""
    process = (await start(*arguments, module=APP, **more)).process
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"Traceback" not in out + err
    return out.decode(), err.decode()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def test_kill_9_in_the_middle_of_an_effect_is_uncertain_and_of_a_read_interrupted(
    mesh: RealRig,
) -> None:
    desk, phone = mesh.desk, mesh.id()
    args = {"text": "milk", "wait_ms": 9_000}
    async with mesh.process() as process:
        done = await desk.run(phone, "probe.write", {"text": "done"})
        write = desk.send(phone, desk.job(phone, "probe.write", args))
        read = desk.send(phone, desk.job(phone, "probe.read", args))
        await desk.until(lambda: len(desk.all("JobAccepted")) == 2)
        await process.kill()
    async with mesh.process():
        assert (await desk.result(write)).outcome == "uncertain"
        assert (await desk.result(read)).outcome == "interrupted"
        again = await desk.run(phone, "probe.read", {"text": "milk"}, job_id=read, epoch=2)
        assert value(again) == {"text": "milk"}
        never = await desk.run(phone, "probe.write", {"text": "done"}, job_id=done.job_id, epoch=2)
        assert never.outcome == "succeeded"
    assert (mesh.home().data / "probe" / "written").read_text().splitlines() == ["done", "milk"]


async def test_watch_tells_of_intent_before_and_of_result_after_the_operation(mesh: RealRig) -> None:
    desk, phone = mesh.desk, mesh.id()
    async with mesh.process():
        client = await AsyncControlClient.connect(mesh.home().socket("node"))
        told: list[dict[str, Any]] = []
        begun, both = asyncio.Event(), asyncio.Event()

        def take(event: dict[str, Any]) -> None:
            told.append(event)
            begun.set()
            if event["event"] == "result":
                both.set()

        watching = client.call("watch", on_event=take)
        await asyncio.wait_for(begun.wait(), 5)
        await desk.run(phone, "probe.read", {"text": "a"})
        await asyncio.wait_for(both.wait(), 5)
        assert [event["event"] for event in told] == ["watching", "intent", "result"]
        assert told[1]["operation"] == "probe.read"
        watching.cancel()
        await client.close()


@pytest.mark.parametrize(("wait_ms", "outcome"), [(100, "succeeded"), (9_000, "interrupted")])
async def test_sigterm_ends_gracefully(mesh: RealRig, wait_ms: int, outcome: str) -> None:
    async with mesh.process() as process:
        job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": wait_ms})
        mesh.desk.send(mesh.id(), job)
        await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job.job_id))
        process.process.send_signal(signal.SIGTERM)
        assert (await mesh.desk.result(job.job_id)).outcome == outcome
        await process.until("stopped")
        assert await process.process.wait() == 0


async def test_a_second_sigterm_does_not_wait(mesh: RealRig) -> None:
    home = mesh.home("phone", mesh.desk.hub.address.removeprefix("tcp://"))
    async with mesh.process(str(home.root), "60000") as process:
        job = mesh.desk.job(mesh.id(), "probe.read", {"text": "a", "wait_ms": 9_000})
        mesh.desk.send(mesh.id(), job)
        await mesh.desk.until(lambda: mesh.desk.all("JobAccepted", job.job_id))
        process.process.send_signal(signal.SIGTERM)
        await process.until("stopping")
        process.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.process.wait(), 8) == 0
    async with mesh.process():
        assert (await mesh.desk.result(job.job_id)).outcome == "interrupted"


async def test_a_graceful_end_that_goes_wrong_is_in_the_log_and_still_an_end(
    mesh: RealRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = mesh.home("phone", mesh.desk.hub.address.removeprefix("tcp://"))
    config = Config(mesh=MeshSection(mdns=False))
    node = Node(home, config, clock=SystemClock(), entropy=SystemEntropy(), transport=ZmqTransport())
    told: list[str] = []

    async def wrong() -> None:
        raise ValueError("a bug")

    def say(event: str, **details: Any) -> None:
        told.append(event)
        if event == "ready":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(node, "drain", wrong)
    async with asyncio.timeout(20):
        await serve(node, say)
    assert (told[0], told[-1]) == ("ready", "stopped")
    assert "the graceful end went wrong" in caplog.text
    assert "a bug" in caplog.text


async def test_the_real_program_serves_and_says_that_it_is_ready(mesh: RealRig) -> None:
    home = mesh.home("phone", mesh.desk.hub.address.removeprefix("tcp://"))
    reading, writing = os.pipe()
    environment = {**os.environ, "KINDMESH_MESH_MDNS": "false", "KINDMESH_NODE_CAPABILITIES": "device,notes"}
    process = await start(
        "--home",
        str(home.root),
        "--json",
        "--ready-fd",
        str(writing),
        module=APP,
        pass_fds=(writing,),
        env=environment,
    )
    os.close(writing)
    try:
        await process.until("connected")
        assert os.read(reading, 64) == b"ready\n"
        await mesh.desk.until(lambda: mesh.desk.adverts)
        assert value(await mesh.desk.run(mesh.id(), "notes.append", {"text": "milk"}))["line"] == 1
        assert resident_mib(process.process.pid) < 45
        out, err = await failed("--home", str(home.root), "--json", env=environment)
        assert json.loads(out)["error"]["code"] == "HOME_IN_USE"
        assert str(process.process.pid) in err
    finally:
        os.close(reading)
        await process.kill()


async def test_what_keeps_a_node_from_starting_is_said_in_plain_words(mesh: RealRig, tmp_path: Path) -> None:
    out, err = await failed("--home", str(tmp_path / "empty"))
    assert "kindmesh join" in err
    home = mesh.home("phone", mesh.desk.hub.address.removeprefix("tcp://"))
    (home.root / "config.toml").write_text("[mesh]\nprot = 1\n")
    out, err = await failed("--home", str(home.root), "--json")
    assert "config.toml, line 2" in err
    assert json.loads(out)["error"]["hint"].startswith("Did you mean port?")
    (home.root / "config.toml").unlink()
    async with mesh.process():
        pass
    connection = sqlite3.connect(home.node_journal)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    out, err = await failed("--home", str(home.root), "--json")
    assert json.loads(out)["error"]["code"] == "STORE_TOO_NEW"


async def test_a_folder_that_others_can_read_is_refused(mesh: RealRig) -> None:
    home = mesh.home()
    (home.identity / "device.key").chmod(0o644)
    out, _ = await failed("--home", str(home.root), "--json")
    assert json.loads(out)["error"]["code"] == "INSECURE_PERMISSIONS"
    assert Home(home.root).holder("node") is None
