"""Streams across the boundary of a real worker process: whole, in order, with back-pressure, ended with the call."""

from __future__ import annotations

import asyncio

import pytest
from tests.capabilities.conftest import OpenBench
from tests.capabilities.probe import ENTRY

from kindmesh.capabilities.base import Piece
from kindmesh.capabilities.testing import ScriptedDuplex
from kindmesh.capabilities.worker_stream import Bridge, WorkerDuplex
from kindmesh.capabilities.worker_wire import CHUNKS_AHEAD, Chunk, Taken
from kindmesh.protocol.errors import InternalError, Malformed, StreamBroken
from kindmesh.protocol.limits import STREAM_FRAME_MAX


class Slow:
    """A stream whose reader takes nothing until it is let."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.first = asyncio.Event()
        self.written = 0

    async def read(self) -> Piece | None:
        await asyncio.get_running_loop().create_future()
        return None

    async def write(self, data: bytes, *, last: bool = True) -> None:
        self.first.set()
        await self.go.wait()
        self.written += 1


async def test_pieces_go_into_a_worker_and_come_back_whole_and_in_order(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        pieces = [bytes([number]) * (number * 37) for number in range(40)]
        duplex = ScriptedDuplex(*pieces, bytes(3 * STREAM_FRAME_MAX))
        assert await bench.call("probe.echo_stream", duplex=duplex) == {"text": "43"}
        assert b"".join(data for data, _ in duplex.written) == b"".join(pieces) + bytes(3 * STREAM_FRAME_MAX)
        assert [last for _, last in duplex.written[-3:]] == [False, False, True]
        first = bench.pid("probe")
        assert await bench.call("probe.echo", {"text": "next"}) == {"text": "next"}
        assert bench.pid("probe") == first


async def test_a_worker_that_writes_more_than_is_taken_waits(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        slow, told = Slow(), 0

        def progress(fraction: float | None, text: str) -> None:
            nonlocal told
            told = max(told, int(text))

        calling = asyncio.ensure_future(bench.call("probe.greedy", duplex=slow, progress=progress))
        await slow.first.wait()
        done, _ = await asyncio.wait({calling}, timeout=0.3)
        assert not done
        assert told <= CHUNKS_AHEAD
        slow.go.set()
        assert await calling == {"text": "all"}
        assert slow.written == 1_000
        # Its input never ended: what is left of it must not get into another call.
        assert bench.pid("probe") == 0
        assert await bench.call("probe.echo", {"text": "next"}) == {"text": "next"}


async def test_cancelling_a_stream_ends_the_worker(open_bench: OpenBench) -> None:
    async with open_bench(ENTRY) as bench:
        slow = Slow()
        calling = asyncio.ensure_future(bench.call("probe.greedy", duplex=slow))
        await slow.first.wait()
        calling.cancel()
        await asyncio.wait({calling})
        assert bench.pid("probe") == 0
        assert bench.leftovers() == []


async def test_a_stream_that_ends_before_the_output_is_through_is_the_calls_error() -> None:
    class Gone(ScriptedDuplex):
        async def write(self, data: bytes, *, last: bool = True) -> None:
            raise StreamBroken("gone")

    async def send(message: Chunk | Taken) -> None:
        return None

    async with Bridge(send, Gone()) as bridge:
        bridge.start()
        bridge.came(Chunk(b"x"))
        with pytest.raises(StreamBroken):
            await bridge.drained()


async def test_a_worker_that_sends_more_than_it_may_is_found_out() -> None:
    async def send(message: Chunk | Taken) -> None:
        return None

    bridge = Bridge(send, Slow())
    for _ in range(CHUNKS_AHEAD):
        bridge.came(Chunk(b"x"))
    with pytest.raises(Malformed):
        bridge.came(Chunk(b"x"))


async def test_the_end_of_input_stays_the_end() -> None:
    duplex = WorkerDuplex(lambda message: None)
    duplex.came(Chunk(b"", final=True))
    assert [await duplex.read(), await duplex.read()] == [None, None]


async def test_an_operation_that_is_called_without_its_stream_is_an_error_of_ours(
    open_bench: OpenBench,
) -> None:
    async with open_bench() as bench:
        with pytest.raises(InternalError, match="not called as a stream"):
            await bench.call("device.echo_stream")
