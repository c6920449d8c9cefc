"""What is special about ZeroMQ: its traps, each tried with plain pyzmq sockets on the other side."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import zmq
from tests.mesh.transports import CLIENT, SERVER, STRANGER, Inbox, World, until

from kindmesh.mesh.transport import Listener
from kindmesh.mesh.zmq_transport import ZmqListener, ZmqTransport
from kindmesh.mesh.zmq_transport.context import Reader
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.errors import AddressInUse, ConfigError, PeerUnreachable
from kindmesh.protocol.limits import FRAME_MAX, FRAMES_MAX


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World("zmq")
    yield made
    await made.close()


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as made:
        yield made


def dealer(
    context: zmq.Context[zmq.Socket[bytes]], listener: Listener, key: CurveKey | None, name: bytes = b""
) -> zmq.Socket[bytes]:
    """A bare DEALER, with or without CURVE, connected to the listener."""
    made = context.socket(zmq.DEALER)
    made.linger = 0
    if name:
        made.routing_id = name
    if key is not None:
        made.curve_secretkey, made.curve_publickey = key.secret, key.public
        made.curve_serverkey = SERVER.public
    made.connect(listener.address)
    return made


async def test_a_plain_client_gets_nothing(world: World, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    desk = Inbox()
    listener = await world.listen(desk)
    with dealer(context, listener, None) as plain, plain.get_monitor_socket() as monitor:
        plain.send_multipart([b"hello", b"world"])
        events: set[int] = set()

        def refused() -> bool:
            while monitor.poll(0):
                events.add(int.from_bytes(monitor.recv_multipart()[0][:2], "little"))
            return bool(events & {zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL})

        await until(refused)
        assert not events & {zmq.EVENT_HANDSHAKE_SUCCEEDED}
        assert plain.poll(0) == 0
        plain.disable_monitor()
    assert desk.messages.empty()
    assert listener.statistics().received == 0
    assert listener.peers() == frozenset()


async def test_nobody_new_gets_in_when_the_zap_handler_is_dead(world: World) -> None:
    transport = ZmqTransport()
    desk, phone, late = Inbox(), Inbox(), Inbox()
    listener = transport.listen("tcp://127.0.0.1:0", SERVER, world.admit)
    await listener.start(desk.receive)
    first = await world.connect(listener, phone)
    assert transport._shared is not None
    transport._shared.handler.close()
    second = await world.dial(listener.address, late, key=CLIENT)

    def failed() -> bool:
        try:
            second.send([b"let me in"])
        except PeerUnreachable as error:
            return "handshake" in error.message
        return False

    await until(failed)
    assert not second.connected
    assert late.links == []
    first.send([b"I was in before"])
    assert await desk.frames() == [b"I was in before"]
    world.members.discard(CLIENT.public)
    first.send([b"but not any more"])
    await until(lambda: listener.statistics().refused == 1)
    assert desk.messages.empty()
    await first.close()
    await second.close()
    await listener.close()


async def test_a_mistake_in_the_zap_handler_lets_nobody_in_is_heard_of_and_the_handler_goes_on(
    world: World,
) -> None:
    desk, phone, late = Inbox(), Inbox(), Inbox()
    mistakes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
    stranger = CurveKey(b"\x33" * 32)

    def admit(key: bytes) -> bool:
        if key == stranger.public:
            raise RuntimeError("a mistake of ours")
        return world.admit(key)

    transport = ZmqTransport()
    listener = transport.listen("tcp://127.0.0.1:0", SERVER, admit)
    await listener.start(desk.receive)
    lost = await world.dial(listener.address, late, key=stranger)
    await until(lambda: bool(mistakes))
    assert isinstance(mistakes[0]["exception"], RuntimeError)
    first = await world.connect(listener, phone)
    first.send([b"the handler goes on"])
    assert await desk.frames() == [b"the handler goes on"]
    assert not lost.connected
    assert listener.peers() == {CLIENT.public}
    await first.close()
    await lost.close()
    await listener.close()


async def test_what_waits_behind_a_mistake_is_read_all_the_same(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    taken: list[bytes] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)

    def take(message: list[bytes]) -> None:
        taken.append(message[0])
        if len(taken) == 1:
            raise RuntimeError("a mistake of ours")

    with context.socket(zmq.PAIR) as far:
        far.bind("inproc://behind")
        near = context.socket(zmq.PAIR)
        near.connect("inproc://behind")
        reader = Reader(near, take)
        for word in (b"one", b"two", b"three"):
            far.send(word)
        await until(lambda: len(taken) == 3)
        reader.close()


async def test_a_frame_above_the_limit_ends_the_connection_and_is_not_delivered(
    world: World, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    desk = Inbox()
    listener = await world.listen(desk)
    with dealer(context, listener, CLIENT) as rude:
        rude.send_multipart([b"polite"])
        assert await desk.frames() == [b"polite"]
        rude.send_multipart([b"x" * (FRAME_MAX + 4096)])
        await until(lambda: listener.peers() == frozenset())
    assert listener.statistics().received == 1


async def test_a_message_of_too_many_frames_is_dropped(
    world: World, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    desk = Inbox()
    listener = await world.listen(desk)
    with dealer(context, listener, CLIENT) as rude:
        rude.send_multipart([b"x"] * (FRAMES_MAX + 1))
        rude.send_multipart([b"x"] * 5_000)
        rude.send_multipart([b"fine"])
        assert await desk.frames() == [b"fine"]
    assert listener.statistics().dropped == 2


async def test_a_channel_drops_a_message_of_too_many_frames(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    phone = Inbox()
    with context.socket(zmq.ROUTER) as rude:
        rude.linger, rude.curve_server, rude.curve_secretkey = 0, 1, SERVER.secret
        rude.bind("tcp://127.0.0.1:0")
        channel = ZmqTransport().dial(rude.getsockopt_string(zmq.LAST_ENDPOINT), SERVER.public, CLIENT)
        await channel.start(phone.receive)
        await until(lambda: rude.poll(0) > 0)
        route, greeting = rude.recv_multipart()
        assert greeting == b""
        rude.send_multipart([route, *[b"x"] * (FRAMES_MAX + 1)])
        rude.send_multipart([route, b"fine"])
        assert await phone.frames() == [b"fine"]
        assert channel.statistics().dropped == 1
        await channel.close()


@pytest.mark.parametrize("name", [b"phone", b"\0", b"\0phone", b"x" * 5])
async def test_a_client_that_names_its_own_connection_is_refused(
    world: World, context: zmq.Context[zmq.Socket[bytes]], name: bytes
) -> None:
    desk = Inbox()
    listener = await world.listen(desk)
    with dealer(context, listener, CLIENT, name) as sly:
        sly.send_multipart([b"I am somebody else"])
        await until(lambda: listener.statistics().refused == 1)
    assert listener.peers() == frozenset()
    assert desk.messages.empty()


async def test_a_member_cannot_take_over_the_connection_name_of_one_that_left(
    world: World, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """libzmq's names can be guessed: what was meant for the device that left must not go to the one that guessed."""
    world.members.add(STRANGER.public)
    desk, phone = Inbox(), Inbox()
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    assert isinstance(listener, ZmqListener)
    session = listener._sessions.find(CLIENT.public)
    assert session is not None
    await channel.close()
    with dealer(context, listener, STRANGER, session.route) as sly, sly.get_monitor_socket() as monitor:
        handshaken = False

        def inside() -> bool:
            nonlocal handshaken
            while monitor.poll(0):
                event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
                handshaken |= event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            return handshaken

        await until(inside)
        with pytest.raises(PeerUnreachable):
            listener.send(CLIENT.public, [b"for the phone only"])
        sly.send_multipart([b"hello"])
        assert await desk.take() == (STRANGER.public, [b"hello"])
        with pytest.raises(PeerUnreachable):
            listener.send(CLIENT.public, [b"for the phone only"])
        assert sly.poll(0) == 0
        sly.disable_monitor()


async def test_names_of_connections_cannot_be_guessed(
    world: World, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """A client that has the name which libzmq gives next would abort the process."""
    usual = b"\0\x6b\x8b\x45\x67"
    routes = {usual}
    for _ in range(3):
        desk, phone = Inbox(), Inbox()
        listener = await world.listen(desk)
        with dealer(context, listener, CLIENT, usual) as sly:
            sly.send_multipart([b"hello"])
            await desk.take()
            await world.connect(listener, phone)
            assert isinstance(listener, ZmqListener)
            session = listener._sessions.find(CLIENT.public)
            assert session is not None
            routes.add(session.route)
    assert len(routes) == 4


async def test_a_port_that_another_kind_of_program_uses_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listener = ZmqTransport().listen(f"tcp://127.0.0.1:{port}", SERVER, lambda _: True)
        with pytest.raises(AddressInUse, match=str(port)):
            await listener.start(lambda _key, _frames: None)


async def test_an_address_of_another_machine_is_refused_with_a_hint() -> None:
    listener = ZmqTransport().listen("tcp://203.0.113.7:7437", SERVER, lambda _: True)
    with pytest.raises(ConfigError) as caught:
        await listener.start(lambda _key, _frames: None)
    assert caught.value.hint


async def test_a_name_that_nobody_has_is_unreachable() -> None:
    channel = ZmqTransport().dial("tcp://no-such-device.invalid:7437", SERVER.public, CLIENT)
    with pytest.raises(PeerUnreachable, match=r"no-such-device\.invalid"):
        await channel.start(lambda _key, _frames: None)


@pytest.mark.parametrize(
    ("listen", "dial"),
    [("tcp://[::1]:0", "[::1]"), ("tcp://*:0", "127.0.0.1"), ("tcp://127.0.0.1:0", "localhost")],
)
async def test_ipv6_any_address_and_names_work(world: World, listen: str, dial: str) -> None:
    desk, phone = Inbox(), Inbox()
    listener = await world.listen(desk, address=listen)
    port = listener.address.rpartition(":")[2]
    channel = await world.dial(f"tcp://{dial}:{port}", phone)
    await until(lambda: channel.connected)
    channel.send([b"over here"])
    assert await desk.frames() == [b"over here"]


async def test_a_receiver_that_fails_does_not_stop_the_reading(world: World) -> None:
    phone, received = Inbox(), Inbox()
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, details: failures.append(details))

    def fragile(hop_key: bytes, frames: list[bytes]) -> None:
        if frames == [b"1"]:
            raise ValueError("a bug")
        received.receive(hop_key, frames)

    listener = world.device().listen(world.address, SERVER, world.admit)
    await listener.start(fragile)
    channel = await world.connect(listener, phone)
    for number in range(4):
        channel.send([b"%d" % number])
    assert [await received.frames() for _ in range(3)] == [[b"0"], [b"2"], [b"3"]]
    assert len(failures) == 1
    await channel.close()
    await listener.close()


async def test_closing_from_inside_the_traffic_is_safe(world: World) -> None:
    desk, phone = Inbox(), Inbox()
    listener = await world.listen(desk)
    channel = await world.connect(listener, phone)
    closing: list[asyncio.Task[None]] = []

    def close_at_once(_hop_key: bytes, _frames: list[bytes]) -> None:
        if not closing:
            closing.append(asyncio.get_running_loop().create_task(second.close()))

    second = world.device().dial(listener.address, SERVER.public, CLIENT)
    await second.start(close_at_once)
    await until(lambda: listener.statistics().connects == 2)
    for _ in range(10):
        listener.send(CLIENT.public, [b"x"])
    await until(lambda: bool(closing))
    await closing[0]
    assert not channel.statistics().dropped
