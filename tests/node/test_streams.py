"""Streams between real nodes on the in-memory network: what flows, what bounds it, which way it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from tests.node.rig import Rig, rig
from tests.node.stream_rig import ECHO, StreamRig, echoed, opening

from kindmesh.capabilities.base import Duplex
from kindmesh.capabilities.worker_stream import Bridge
from kindmesh.node.app import Node
from kindmesh.protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    KindmeshError,
    PermitStale,
    StreamLimit,
)
from kindmesh.protocol.limits import STREAM_WINDOW_FRAMES
from kindmesh.protocol.messages import StreamOpen
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as found:
        yield found


async def until(found: Callable[[], object], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not found():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_what_is_sent_comes_back_and_the_end_comes_after_it(made: Rig) -> None:
    async with made.node() as node:
        stream = await StreamRig(made).open()
        data = bytes(range(256)) * 2_000
        assert await echoed(stream, data, b"", b"more") == data + b"more"
        over = await stream.ended()
        assert (over.reason, over.error, over.confirmed) == ("done", None, True)
        await until(lambda: not node.streaming.running)
        notes = [row[0] for row in node.store.query("SELECT permit_id FROM stream_permits")]
        assert len(notes) == 1


async def test_a_consumer_that_takes_nothing_stops_the_producer_and_not_the_device(made: Rig) -> None:
    async with made.node() as node:
        rigged = StreamRig(made)
        stream = await rigged.open()

        async def send() -> None:
            while True:
                await stream.write(bytes(1_000))

        sending = asyncio.ensure_future(send())
        # Four windows, the desk's two and the device's two, and one piece in the operation's hands.
        await until(lambda: stream.machine.sending.written > 4 * STREAM_WINDOW_FRAMES)
        produced = stream.machine.sending.written
        assert produced == 4 * STREAM_WINDOW_FRAMES + 1
        other = await rigged.open()
        assert await echoed(other, b"fast") == b"fast"
        result = await made.desk.run(made.id(), "probe.read", {"text": "job"})
        assert result.outcome == "succeeded"
        assert stream.machine.sending.written == produced
        sending.cancel()
        stream.abort("cancelled", Cancelled())
        await stream.ended()
        await until(lambda: not node.streaming.running)


async def test_cancelling_ends_the_operation_at_the_far_end_before_it_is_confirmed(made: Rig) -> None:
    async with made.node() as node:
        stream = await StreamRig(made).open(values={"delay_ms": 5_000})
        await stream.write(b"x")
        await until(lambda: node.streaming.running)
        stream.abort("cancelled", Cancelled())
        over = await stream.ended()
        assert (over.reason, over.confirmed) == ("cancelled", True)
        await until(lambda: not node.streaming.running)


async def test_the_device_ends_a_stream_at_its_bytes_and_at_its_time(made: Rig) -> None:
    async with made.node():
        rigged = StreamRig(made)
        few = await rigged.open(stream_bytes=1_000)
        with pytest.raises(StreamLimit):
            await echoed(few, bytes(400), bytes(400))
        short = await rigged.open(duration_ms=200)
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await short.read()
        assert time.monotonic() - begun >= 0.15


async def test_what_the_opener_sends_must_be_what_the_operation_takes(made: Rig) -> None:
    async with made.node():
        with pytest.raises(KindmeshError) as refused:
            await StreamRig(made).open(values={"delay_ms": -1})
        assert (refused.value.code, refused.value.field) == ("INVALID_INPUT", "delay_ms")


async def test_text_that_ends_in_the_middle_of_a_letter_is_refused(
    made: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made.node() as node:
        text = StreamSpec("both", StreamMedia("text"), StreamMedia("text"))
        operation = msgspec.structs.replace(node.supervisor.find(ECHO), stream=text)
        monkeypatch.setattr(node.supervisor, "find", lambda name: operation)
        raw = "für".encode()
        stream = await StreamRig(made).open()
        await stream.write(raw[:2], last=False)
        await stream.write(raw[2:], last=False)
        stream.close_output()
        assert (await stream.ended()).reason == "done"
        stream = await StreamRig(made).open()
        await stream.write(raw[:2], last=False)
        stream.close_output()
        over = await stream.ended()
        assert over.reason == "failed"
        assert isinstance(over.error, InvalidInput)


async def test_a_worker_is_not_left_waiting_for_input_that_is_none(
    made: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with made.node() as node:
        text = StreamSpec("both", StreamMedia("text"), StreamMedia("text"))
        operation = msgspec.structs.replace(node.supervisor.find(ECHO), stream=text)
        monkeypatch.setattr(node.supervisor, "find", lambda name: operation)

        async def pumped(name: str, values: object, *, duplex: Duplex, **others: object) -> None:
            async with Bridge(lambda message: asyncio.sleep(0), duplex) as bridge:
                bridge.start()
                await asyncio.Event().wait()

        monkeypatch.setattr(node.supervisor, "call", pumped)
        stream = await StreamRig(made).open()
        await stream.write(b"\xff", last=True)
        over = await asyncio.wait_for(stream.ended(), 5)
        assert (over.reason, over.error and over.error.code) == ("failed", "INVALID_INPUT")


async def test_a_stream_to_a_device_that_dies_ends_clearly(made: Rig) -> None:
    async with made.node():
        stream = await StreamRig(made).open()
        await stream.write(b"x")
    # The node said so itself, when it was switched off.
    with pytest.raises(KindmeshError):
        await echoed(stream)
    over = await stream.ended()
    assert over.reason in ("stopped", "broken")


async def test_stop_ends_no_stream_that_only_reads(made: Rig) -> None:
    async with made.node() as node:
        stream = await StreamRig(made).open()
        made.desk.stop(made.id())
        await until(lambda: node.journal.stopped)
        assert await echoed(stream, b"still here") == b"still here"


async def test_a_newer_policy_ends_what_an_older_one_allowed(made: Rig) -> None:
    async with made.node() as node:
        stream = await StreamRig(made).open()
        node.journal.see_policy(99)
        node.streaming.look()
        with pytest.raises(PermitStale):
            await stream.read()


async def test_a_link_that_breaks_for_a_moment_loses_nothing(made: Rig) -> None:
    async with made.node():
        stream = await StreamRig(made).open()
        parts = [bytes([number]) * 500 for number in range(60)]
        # The first half flows, and is not read to its end, when the link breaks.
        for part in parts[:30]:
            await stream.write(part)
        await until(lambda: stream.machine.receiving.received > 5)
        made.desk.hub.drop(made.id())
        assert stream.machine.state == "broken"
        assert await asyncio.wait_for(echoed(stream, *parts[30:]), 15) == b"".join(parts)
        assert any("broken" in step for step in stream.machine.story)


async def between(opener: Node, asked: StreamOpen, target: bytes) -> bytes:
    stream = await opener.streams.open(asked, target, takes=True, gives=True)
    data = await echoed(stream, b"one", b"two")
    assert (await stream.ended()).reason == "done"
    return data


async def test_two_nodes_stream_through_the_coordinator_without_a_direct_way(made: Rig) -> None:
    rigged = StreamRig(made)
    async with made.node() as phone, made.node("kitchen"):
        asked = opening(made.desk, made.id("kitchen"), made.id())
        stream = await phone.streams.open(asked, made.id("kitchen"), takes=True, gives=True)
        assert stream.route == "relayed"
        assert await echoed(stream, b"one", b"two") == b"onetwo"
        assert rigged.streams.relay is not None
        assert rigged.streams.relay.dropped == 0


async def test_two_nodes_that_reach_each_other_change_over_to_a_direct_link_and_back(made: Rig) -> None:
    rigged = StreamRig(made)
    async with made.node() as phone, made.node("kitchen") as kitchen:
        at = await phone.direct.listen()
        asked = opening(made.desk, made.id("kitchen"), made.id(), at=at)
        stream = await phone.streams.open(asked, made.id("kitchen"), takes=True, gives=True)
        await stream.write(b"one")
        await until(lambda: stream.route == "direct")
        await stream.write(b"two")
        door = phone.direct._door
        assert door is not None
        door.drop(made.id("kitchen"))
        assert stream.route == "relayed"
        assert await echoed(stream, b"three") == b"onetwothree"
        assert (await stream.ended()).reason == "done"
        await until(lambda: not kitchen.streams.open_streams)
        # A link that has gone without a word is found out by using it.
        again = opening(made.desk, made.id("kitchen"), made.id(), at=at)
        await until(lambda: door.connected(made.id("kitchen")))
        await kitchen.direct.close()
        assert await between(phone, again, made.id("kitchen")) == b"onetwo"
        assert rigged.streams.open_streams == ()


async def test_a_node_streams_with_itself_when_it_serves_best(made: Rig) -> None:
    rigged = StreamRig(made)
    async with made.node() as phone:
        asked = opening(made.desk, made.id(), made.id(), at=await phone.direct.listen())
        assert await between(phone, asked, made.id()) == b"onetwo"
        assert rigged.streams.open_streams == ()
