"""What streams cost. By hand: `.venv/bin/python tests/benchmarks/bench_streams.py [--mb N] [--cancels N]`.

Real processes on loopback: a coordinator with its node `desk`, and a node `kitchen`; `device.echo_stream` at the desk.
Throughput is of the bytes that were sent and came back, from the first write to the last read, over the control socket
of whoever opens it: the coordinator, or the kitchen's node (which begins through the coordinator and changes over to a
direct link when it is there; `route` is how it ended). A cancel is timed from asking for it on the control socket until
the device that acts has said, signed, that it has stopped; a deadline from when it was due until the opener's program
knew of the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.control_async import AsyncControlClient

ECHO = {"operation": "device.echo_stream", "target": "desk"}
PIECE = 32_768


class Stream:
    """One stream over a control socket."""

    def __init__(self, client: AsyncControlClient, **request: Any) -> None:
        self.client = client
        self.opened: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.ending = client.call("stream.open", {**ECHO, "args": {}, **request}, on_event=self._event)

    def _event(self, event: dict[str, Any]) -> None:
        if event["event"] == "open":
            self.opened.set_result(event)

    async def name(self) -> str:
        await asyncio.wait({self.opened, self.ending}, return_when=asyncio.FIRST_COMPLETED)
        if not self.opened.done():
            self.ending.result()
        return str(self.opened.result()["stream"])

    async def echo(self, size: int) -> None:
        name = await self.name()

        async def send() -> None:
            for _ in range(size // PIECE):
                await self.client.call("stream.write", {"stream": name, "data": bytes(PIECE)})
            await self.client.call("stream.write", {"stream": name, "final": True})

        sending = asyncio.ensure_future(send())
        while not (await self.client.call("stream.read", {"stream": name}))["over"]:
            continue
        await sending


async def throughput(client: AsyncControlClient, size: int) -> dict[str, Any]:
    stream = Stream(client)
    begun = time.monotonic()
    await stream.name()
    opened = time.monotonic()
    await stream.echo(size)
    took = time.monotonic() - opened
    end = await stream.ending
    return {
        "mb_per_s": round(size / took / 1e6, 1), "open_ms": round((opened - begun) * 1000, 1), "route": end["route"],
    }  # fmt: skip


async def cancels(client: AsyncControlClient, count: int) -> dict[str, float]:
    found = []
    for _ in range(count):
        stream = Stream(client, args={"delay_ms": 10_000})
        name = await stream.name()
        await client.call("stream.write", {"stream": name, "data": b"x"})
        begun = time.monotonic()
        answer = await client.call("stream.cancel", {"stream": name})
        assert answer["confirmed"]
        found.append((time.monotonic() - begun) * 1000)
        await stream.ending
    return {"p50": round(statistics.median(found), 1), "max": round(max(found), 1)}


async def deadlines(client: AsyncControlClient, count: int) -> dict[str, float]:
    found = []
    for _ in range(count):
        stream = Stream(client, max_ms=300)
        await stream.name()
        begun = time.monotonic()
        await stream.ending
        found.append((time.monotonic() - begun) * 1000 - 300)
    return {"p50": round(statistics.median(found), 1), "max": round(max(found), 1)}


async def measure(size: int, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with Lab(Path(folder)) as lab:
            await lab.begin()
            await lab.add("kitchen")
            await lab.alive("desk", "kitchen")
            at_desk = await AsyncControlClient.connect(lab.desk.home.socket("coordinator"))
            at_kitchen = await AsyncControlClient.connect(lab.devices["kitchen"].home.socket("node"))
            found = {
                "bytes": size,
                "coordinator_to_node": await throughput(at_desk, size),
                "node_to_node": await throughput(at_kitchen, size),
                "cancel_ms": await cancels(at_desk, count),
                "cancel_node_to_node_ms": await cancels(at_kitchen, count),
                "deadline_late_ms": await deadlines(at_desk, max(1, count // 4)),
            }
            await at_desk.close()
            await at_kitchen.close()
            return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What streams cost.")
    parser.add_argument("--mb", type=int, default=20)
    parser.add_argument("--cancels", type=int, default=20)
    options = parser.parse_args()
    json.dump(asyncio.run(measure(options.mb << 20, options.cancels)), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
