"""What every transport promises, run against each of them. A new transport is done when it passes this file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest
from tests.mesh.transports import CLIENT, SERVER, STRANGER, Inbox, World, until

from kindmesh.mesh.transport import TransportStatistics
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import (
    AddressInUse,
    BackPressure,
    ConfigError,
    FrameTooLarge,
    PeerUnreachable,
    TransportClosed,
)
from kindmesh.protocol.limits import FRAME_MAX, FRAMES_MAX


@pytest.fixture(params=["memory", "zmq"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made = World(request.param)
    yield made
    await made.close()


@pytest.fixture
def desk() -> Inbox:
    return Inbox()


@pytest.fixture
def phone() -> Inbox:
    return Inbox()


async def test_messages_travel_both_ways_with_the_key_of_the_other_end(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    channel.send([b"hello"])
    assert await desk.take() == (CLIENT.public, [b"hello"])
    listener.send(CLIENT.public, [b"welcome"])
    assert await phone.take() == (SERVER.public, [b"welcome"])
    assert channel.hop_key == SERVER.public
    assert listener.peers() == {CLIENT.public}


async def test_a_listener_can_speak_first(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    await world.connect(listener, phone)
    listener.send(CLIENT.public, [b"are you there?"])
    assert await phone.frames() == [b"are you there?"]


async def test_frames_of_a_message_stay_together(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    for frames in ([b"a", b"", b"c"], [b"", b""], [b"x"] * FRAMES_MAX, [b"", b"tail"]):
        channel.send(frames)
        assert await desk.frames() == frames
        listener.send(CLIENT.public, frames)
        assert await phone.frames() == frames


async def test_the_largest_frame_passes(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    channel.send([b"z" * FRAME_MAX])
    assert len((await desk.frames())[0]) == FRAME_MAX


async def test_order_is_kept_on_a_link(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    async with asyncio.timeout(20):
        for number in range(2_000):
            while True:
                try:
                    channel.send([number.to_bytes(4, "big")])
                    break
                except BackPressure:
                    await asyncio.sleep(0)
    received = [int.from_bytes((await desk.frames())[0], "big") for _ in range(2_000)]
    assert received == list(range(2_000))


async def test_many_peers_are_told_apart(world: World, desk: Inbox) -> None:
    keys = [CurveKey(bytes([number]) * 32) for number in range(1, 9)]
    world.members.update(key.public for key in keys)
    listener = await world.listen(desk)
    inboxes = [Inbox() for _ in keys]
    channels = [
        await world.connect(listener, inbox, key=key) for key, inbox in zip(keys, inboxes, strict=True)
    ]
    for key, channel in zip(keys, channels, strict=True):
        channel.send([key.public])
    for _ in keys:
        hop_key, frames = await desk.take()
        assert frames == [hop_key]
    for key in keys:
        listener.send(key.public, [b"for", key.public])
    for key, inbox in zip(keys, inboxes, strict=True):
        assert await inbox.frames() == [b"for", key.public]
    assert listener.peers() == {key.public for key in keys}


async def test_an_unknown_key_is_refused(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.dial(listener.address, phone, key=STRANGER)
    await until(lambda: listener.statistics().refused > 0)
    assert not channel.connected
    with pytest.raises(PeerUnreachable):
        channel.send([b"let me in"])
    with pytest.raises(PeerUnreachable):
        listener.send(STRANGER.public, [b"who are you?"])
    assert listener.peers() == frozenset()
    assert desk.messages.empty()


async def test_a_refused_device_is_told_why_and_gets_in_once_it_is_a_member(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    listener = await world.listen(desk)
    channel = await world.dial(listener.address, phone, key=STRANGER)

    def told() -> bool:
        try:
            channel.send([b"hello"])
        except PeerUnreachable as error:
            return "does not accept this device's key" in error.message
        return False

    await until(told)
    world.members.add(STRANGER.public)
    await until(lambda: channel.connected)
    channel.send([b"hello"])
    assert await desk.take() == (STRANGER.public, [b"hello"])


async def test_a_revoked_key_is_refused_on_a_live_connection_for_every_message(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    channel.send([b"before"])
    assert await desk.frames() == [b"before"]
    world.members.discard(CLIENT.public)
    refused = listener.statistics().refused
    channel.send([b"after"])
    channel.send([b"after that"])
    await until(lambda: listener.statistics().refused == refused + 2)
    with pytest.raises(PeerUnreachable):
        listener.send(CLIENT.public, [b"secret"])
    world.members.add(CLIENT.public)
    channel.send([b"again"])
    assert await desk.frames() == [b"again"]
    listener.send(CLIENT.public, [b"fine"])
    assert await phone.frames() == [b"fine"]


async def test_a_server_with_another_key_gets_nothing(world: World, desk: Inbox, phone: Inbox) -> None:
    impostor = await world.listen(desk, key=STRANGER)
    channel = await world.dial(impostor.address, phone)

    def noticed() -> bool:
        try:
            channel.send([b"my secret"])
        except PeerUnreachable as error:
            return "key" in error.message or "handshake" in error.message
        return False

    await until(noticed)
    assert not channel.connected
    assert impostor.peers() == frozenset()
    assert desk.messages.empty()


async def test_the_newest_session_of_a_key_wins(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    older = await world.connect(listener, phone)
    older.send([b"from the older"])
    assert await desk.frames() == [b"from the older"]
    second = Inbox()
    newer = await world.connect(listener, second)
    refused = listener.statistics().refused
    older.send([b"from the older again"])
    await until(lambda: listener.statistics().refused == refused + 1)
    newer.send([b"from the newer"])
    assert await desk.frames() == [b"from the newer"]
    listener.send(CLIENT.public, [b"to the newer"])
    assert await second.frames() == [b"to the newer"]
    assert phone.messages.empty()
    await older.close()
    newer.send([b"still here"])
    assert await desk.frames() == [b"still here"]
    listener.send(CLIENT.public, [b"so am I"])
    assert await second.frames() == [b"so am I"]


async def test_a_channel_waits_for_its_listener(world: World, desk: Inbox, phone: Inbox) -> None:
    first = await world.listen(desk)
    address = first.address
    await first.close()
    channel = await world.dial(address, phone)
    with pytest.raises(PeerUnreachable):
        channel.send([b"too early"])
    await world.listen(desk, address=address)
    await until(lambda: channel.connected)
    channel.send([b"now"])
    assert await desk.frames() == [b"now"]


async def test_a_channel_comes_back_after_its_listener_restarted(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    await listener.close()
    await until(lambda: not channel.connected)
    with pytest.raises(PeerUnreachable):
        channel.send([b"into the void"])
    again = await world.listen(desk, address=listener.address)
    await until(lambda: again.peers() == {CLIENT.public})
    again.send(CLIENT.public, [b"I am back"])
    assert await phone.frames() == [b"I am back"]
    await until(lambda: channel.connected)
    channel.send([b"so am I"])
    assert await desk.frames() == [b"so am I"]
    assert phone.links == [True, False, True]


async def test_a_listener_notices_when_a_peer_goes(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    await channel.close()
    await until(lambda: listener.peers() == frozenset())
    with pytest.raises(PeerUnreachable):
        listener.send(CLIENT.public, [b"anybody?"])
    assert desk.peers == [(CLIENT.public, True), (CLIENT.public, False)]


async def test_messages_that_break_the_limits_are_refused_before_anything_is_sent(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    for frames in ([], [b""], [b"x"] * (FRAMES_MAX + 1), [b"ok", b"x" * (FRAME_MAX + 1)]):
        with pytest.raises(FrameTooLarge):
            channel.send(frames)
        with pytest.raises(FrameTooLarge):
            listener.send(CLIENT.public, frames)
    channel.send([b"fine"])
    assert await desk.frames() == [b"fine"]
    assert channel.statistics().sent == 1


async def test_a_full_link_is_back_pressure_and_recovers(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    block = b"b" * 262_144

    def fill() -> int:
        for number in range(1_000):
            try:
                channel.send([block])
            except BackPressure:
                return number
        raise AssertionError("a link took 250 MB without a word")

    def fill_back() -> int:
        for number in range(1_000):
            try:
                listener.send(CLIENT.public, [block])
            except BackPressure:
                return number
        raise AssertionError("a link took 250 MB without a word")

    for fill_up, inbox in ((fill, desk), (fill_back, phone)):
        sent = fill_up()
        assert sent >= 8
        for _ in range(sent):
            assert len((await inbox.frames())[0]) == len(block)
    channel.send([b"flows again"])
    assert await desk.frames() == [b"flows again"]


async def test_replies_sent_while_receiving_keep_flowing(world: World, desk: Inbox) -> None:
    """Both ends send from inside their receivers: no arrival may be overlooked."""
    listener = world.device().listen(world.address, SERVER, world.admit)
    await listener.start(listener.send)
    channel = world.device().dial(listener.address, SERVER.public, CLIENT)
    done = asyncio.get_running_loop().create_future()
    rounds = 0

    def bounce(_: bytes, frames: list[bytes]) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3_000:
            done.set_result(None)
        elif rounds < 3_000:
            channel.send(frames)

    up = asyncio.Event()
    await channel.start(bounce, lambda connected: up.set() if connected else None)
    async with asyncio.timeout(20):
        await up.wait()
        for ball in range(5):
            channel.send([b"ball %d" % ball])
        await done
    await channel.close()
    await listener.close()


async def test_traffic_leaves_the_loop_its_turns(world: World, phone: Inbox) -> None:
    desk = Inbox()
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    turns = 0

    async def other_work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other_work())
        for _ in range(40):
            sent = 0
            with contextlib.suppress(BackPressure):
                for _ in range(50):
                    channel.send([b"x"])
                    sent += 1
            for _ in range(sent):
                await desk.take()
        task.cancel()
    assert turns > 40


async def test_a_used_address_is_named(world: World, desk: Inbox) -> None:
    listener = await world.listen(desk)
    second = world.device().listen(listener.address, SERVER, world.admit)
    with pytest.raises(AddressInUse, match=listener.address) as caught:
        await second.start(desk.receive)
    assert caught.value.hint
    await second.close()
    await listener.close()
    await second.start(desk.receive)
    await second.close()


@pytest.mark.parametrize(
    "address", ["", "tcp://", "udp://127.0.0.1:1", "memory://", "tcp://127.0.0.1:70000", "tcp://a b:1"]
)
async def test_nonsense_addresses_are_refused(world: World, desk: Inbox, address: str) -> None:
    with pytest.raises(ConfigError):
        await world.device().listen(address, SERVER, world.admit).start(desk.receive)
    with pytest.raises(ConfigError):
        await world.device().dial(address, SERVER.public, CLIENT).start(desk.receive)


async def test_sending_before_start_and_after_close_says_so(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = world.device().listen(world.address, SERVER, world.admit)
    with pytest.raises(TransportClosed):
        listener.send(CLIENT.public, [b"x"])
    await listener.start(desk.receive)
    channel = await world.connect(listener, phone)
    await channel.close()
    await listener.close()
    with pytest.raises(TransportClosed):
        listener.send(CLIENT.public, [b"x"])
    with pytest.raises(TransportClosed):
        channel.send([b"x"])
    assert not channel.connected
    assert listener.peers() == frozenset()
    await channel.close()
    await listener.close()


async def test_statistics_count(world: World, desk: Inbox, phone: Inbox) -> None:
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    channel.send([b"12345", b"67"])
    await desk.take()
    listener.send(CLIENT.public, [b"123"])
    await phone.take()
    assert channel.statistics() == TransportStatistics(
        sent=1, received=1, bytes_out=7, bytes_in=3, connects=1
    )
    assert listener.statistics() == TransportStatistics(
        sent=1, received=1, bytes_out=3, bytes_in=7, connects=1
    )


async def test_closing_leaves_nothing_behind(world: World) -> None:
    def resources() -> tuple[int, int, int]:
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), len(asyncio.all_tasks())

    async def session() -> None:
        desk, phone = Inbox(), Inbox()
        listener = await world.listen(desk)
        channel = await world.connect(listener, phone)
        channel.send([b"hello"])
        await desk.take()
        await channel.close()
        await listener.close()

    await session()
    before = resources()
    for _ in range(3):
        await session()
    await until(lambda: resources() == before)


async def test_one_transport_can_listen_and_dial_and_be_used_again(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    device = world.device()
    for _ in range(2):
        listener = device.listen(world.address, SERVER, world.admit)
        await listener.start(desk.receive)
        channel = device.dial(listener.address, SERVER.public, CLIENT)
        await channel.start(phone.receive, phone.linked)
        await until(lambda: phone.links[-1:] == [True])
        channel.send([b"to myself"])
        assert await desk.frames() == [b"to myself"]
        await channel.close()
        await listener.close()
        phone.links.clear()


async def test_an_address_is_free_as_soon_as_its_listener_is_closed(
    world: World, desk: Inbox, phone: Inbox
) -> None:
    device = world.device()
    listener = device.listen(world.address, SERVER, world.admit)
    await listener.start(desk.receive)
    channel = device.dial(listener.address, SERVER.public, CLIENT)
    await channel.start(phone.receive, phone.linked)
    for _ in range(3):
        await until(lambda: channel.connected)
        await listener.close()
        listener = device.listen(listener.address, SERVER, world.admit)
        await listener.start(desk.receive)
    await channel.close()
    await listener.close()
