"""`kindmesh stream` between real processes: data whole, limits said, ends clear, also when something is killed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.system.kit import mesh, say, soon, talking

from kindmesh.coordinator.lab.device import Device
from kindmesh.mesh.control_async import AsyncControlClient

DATA = bytes(range(256)) * 4_000
ECHO = "device.echo_stream"


@asynccontextmanager
async def opened(
    device: Device, part: str, **request: Any
) -> AsyncIterator[tuple[AsyncControlClient, str, Any]]:
    """A client, the stream's name and its end to come."""
    async with talking(device, part) as client:
        told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        ending = client.call(
            "stream.open", {"operation": ECHO, "args": {}, **request},
            on_event=lambda event: told.set_result(event) if event["event"] == "open" else None,
        )  # fmt: skip
        event = await asyncio.wait_for(told, 30)
        yield client, event["stream"], ending


async def echo(client: AsyncControlClient, name: str, data: bytes) -> bytes:
    """Write one piece and read it back."""
    await client.call("stream.write", {"stream": name, "data": data})
    found = b""
    while len(found) < len(data):
        answer = await asyncio.wait_for(client.call("stream.read", {"stream": name}), 30)
        found += b"".join(piece for piece, _ in answer["pieces"])
    return found


async def test_streams_from_the_command_line_and_from_a_node_and_what_bounds_them(tmp_path: Path) -> None:
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(DATA)
    async with mesh(tmp_path / "lab", "kitchen") as lab:
        for device in (lab.desk, lab.devices["kitchen"]):
            said = await say(
                device, "stream", ECHO, "--on", "desk", "--input", str(source), "--output", str(target)
            )
            assert (said.code, said.objects[-1]["reason"]) == (0, "done")
            assert target.read_bytes() == DATA
        said = await say(
            lab.desk, "stream", ECHO, "--max-mb", "0.1", "--input", str(source), "--output", str(target)
        )  # fmt: skip
        assert (said.code, said.error["code"]) == (1, "STREAM_LIMIT")
        assert DATA.startswith(target.read_bytes())
        for words, code in (((ECHO, "--max-mb", "100000"), 2), (("device.echo",), 2), (("no.such",), 2)):
            target.write_bytes(b"kept")
            said = await say(lab.desk, "stream", *words, "--output", str(target))
            assert said.code == code, words
            # What did not begin leaves the file as it was.
            assert target.read_bytes() == b"kept", words
        said = await say(lab.desk, "stream", ECHO, "--input", str(source), "--output", str(source))
        assert (said.code, said.error["field"]) == (2, "output")
        assert source.read_bytes() == DATA
        said = await say(
            lab.desk, "stream", "speech.stream", "text=hello", "--input", str(source), "--output", str(target)
        )
        assert (said.code, said.error["field"]) == (2, "input")
        running = await lab.desk.start(
            "stream", ECHO, "--on", "desk", "delay_ms=10000", "--input", str(source), "--output", str(target), "--json"
        )  # fmt: skip
        async with talking(lab.desk, "node") as client:

            async def served() -> bool:
                return bool((await client.call("status"))["streams"])

            assert await soon(served, 30)
        running.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(running.process.wait(), 30) == 130
        async with talking(lab.desk, "node") as client:
            assert (await client.call("status"))["streams"] == []


async def test_a_direct_stream_outlives_the_coordinator_and_one_to_a_dead_node_ends_clearly(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path / "lab", "kitchen", "phone") as lab:
        kitchen, phone = lab.devices["kitchen"], lab.devices["phone"]
        async with opened(phone, "node", target="kitchen") as (client, name, ending):
            assert await echo(client, name, b"before") == b"before"

            async def direct() -> bool:
                return bool((await client.call("status"))["streams_opened"][0]["route"] == "direct")

            assert await soon(direct, 20)
            await lab.desk.kill()
            for number in range(20):
                assert await echo(client, name, bytes([number]) * 9_000) == bytes([number]) * 9_000
            await kitchen.kill()
            end = await asyncio.wait_for(ending, 30)
            assert (end["ok"], end["reason"]) == (False, "broken")
            assert end["error"]["code"] == "STREAM_BROKEN"
