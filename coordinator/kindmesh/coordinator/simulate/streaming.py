"""Streams in a history: somebody at the coordinator speaks to a device, piece by piece, and it comes back.

    device.echo_stream, through the shipped control of the coordinator, under a session permit of Medulla

What came back is what was sent, from its beginning, nothing twice, nothing missing in between; all of it, if the stream
ended well (`contradiction`). Whatever happens meanwhile, it ends, and says how, not long after the time that was agreed
(`stuck`). A stream belongs to whoever opened it: it dies with the coordinator, and nobody asks again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from kindmesh.coordinator.simulate.history import Stream
from kindmesh.coordinator.simulate.ledger import Ledger
from kindmesh.coordinator.simulate.process import Killed
from kindmesh.coordinator.simulate.world import Life, World
from kindmesh.node.stream_control import StreamControl
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id

MAX_MS: Final = 20_000
"""What is agreed upon."""
LATE_MS: Final = 40_000
"""How much later, opening included, it may have ended."""
READ_S: Final = 5.0
"""How long what has arrived is read when the stream has ended."""


class Streaming:
    """All streams of one history."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world, self._ledger = world, ledger

    async def play(self, act: Stream, device: bytes) -> None:
        """One stream from its opening to its end; `device` is empty for any."""
        life = self._world.life("desk")
        if life is None or life.process.stopped:
            return
        ledger, heard = self._ledger, bytearray()
        ledger.events["streams"] += 1
        begun_ms = ledger.now_ms()
        try:
            document = await life.process.run(self._talk(life, act, device, heard))
        except Killed:
            ledger.note("stream died", act.key, len(heard), job=act.key)
            return
        except KindmeshError as error:
            document = {"ok": False, "reason": error.code}
        ledger.note("stream ended", act.key, document["reason"], len(heard), job=act.key)
        ledger.events[f"streams {document['reason']}"] += 1
        sent = b"".join(_pieces(act))
        if not sent.startswith(heard):
            ledger.violate(
                "contradiction", f"what came back of the stream is not what was sent: {heard!r}", act.key
            )
        elif document["ok"] and len(heard) < len(sent):
            ledger.violate("contradiction", f"it ended well after {len(heard)} of {len(sent)} bytes", act.key)
        took_ms = ledger.now_ms() - begun_ms
        if took_ms > MAX_MS + LATE_MS:
            ledger.violate("stuck", f"a stream of {MAX_MS} ms ended after {took_ms} ms", act.key)

    async def _talk(self, life: Life, act: Stream, device: bytes, heard: bytearray) -> dict[str, Any]:
        """What the program that opens it does."""
        control = life.coordinator.stream_desk.control
        loop = asyncio.get_running_loop()
        name: asyncio.Future[str] = loop.create_future()

        def emit(event: Any) -> None:
            if event["event"] == "open" and not name.done():
                name.set_result(event["stream"])

        wish = {"operation": "device.echo_stream", "args": {}, "max_ms": MAX_MS}
        if device:
            wish["target"] = format_id(device)
        opening = loop.create_task(control.open(wish, emit))
        talking = [
            loop.create_task(_write(control, name, act)), loop.create_task(_read(control, name, heard))
        ]  # fmt: skip
        try:
            document = await opening
            await asyncio.wait(talking, timeout=READ_S)
            return document
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)


def _pieces(act: Stream) -> list[bytes]:
    return [f"{act.key}:{number};".encode() for number in range(act.pieces)]


async def _write(control: StreamControl, name: asyncio.Future[str], act: Stream) -> None:
    stream = await asyncio.shield(name)
    try:
        for piece in _pieces(act):
            await control.write({"stream": stream, "data": piece}, _nobody)
            await asyncio.sleep(act.pause_ms / 1000)
        await control.write({"stream": stream, "final": True}, _nobody)
    except KindmeshError:
        # It has ended; how, `stream.open` says.
        return


async def _read(control: StreamControl, name: asyncio.Future[str], heard: bytearray) -> None:
    stream = await asyncio.shield(name)
    try:
        while True:
            found = await control.read({"stream": stream}, _nobody)
            for data, _ in found["pieces"]:
                heard += data
            if found["over"]:
                return
    except KindmeshError:
        # The same.
        return


def _nobody(event: Any) -> None:
    """Writing and reading tell nothing on their way."""


__all__ = ["Streaming"]
