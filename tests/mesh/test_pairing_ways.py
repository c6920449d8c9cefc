"""Typed codes and labels over real sockets and in memory: the whole way, who is in the middle, and who guesses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.mesh.test_enrol import ENTROPY, Door

from kindmesh.mesh.adopt import Adoptable, adopt
from kindmesh.mesh.adopt_machine import TurnedAway
from kindmesh.mesh.door_keys import DoorKeysServer, ask_door_keys
from kindmesh.mesh.enrol_guest import type_code
from kindmesh.mesh.enrol_link import LinkBroken
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.pairing_machine import Closed, Failed, Knocked, Paired
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.adopt import Label
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.enrol import Invitation
from kindmesh.protocol.errors import (
    AddressInUse,
    Busy,
    DeadlineExceeded,
    EnrolmentRefused,
    Malformed,
    PeerUnreachable,
)
from kindmesh.protocol.limits import ADOPT_FAILURES_MAX, PAIR_FAILURES_MAX
from kindmesh.protocol.typed import DoorKeys

CODE = "maple otter 4821"


@pytest.fixture(params=["memory", "zmq"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    if request.param == "memory":
        made = Door(MemoryNetwork(5).transport("all"), "memory://", "memory://door")
    else:
        made = Door(ZmqTransport(), "tcp://", "tcp://127.0.0.1:0")
    await made.host.start()
    yield made
    await made.host.close()


def fresh() -> Identity:
    return Identity(SigningKey(ENTROPY.token(32)), CurveKey(ENTROPY.token(32)), 1, ENTROPY.token(8))


def open_typed(door: Door) -> DoorKeys:
    door.host.open(door.purpose(CODE), ttl_ms=60_000, watch=door.watch)
    place = door.host.address.rpartition(":")[2]
    keys = door.host.door_keys(int(place) if place.isdecimal() else 1)
    assert keys is not None
    return keys


async def typed(door: Door, code: str, keys: DoorKeys, identity: Identity | None = None) -> Invitation:
    host = "127.0.0.1" if door.scheme == "tcp://" else "door"
    return await type_code(
        code, host, keys, identity or fresh(), transport=door.transport, scheme=door.scheme
    )


async def test_a_typed_code_lets_a_device_knock(door: Door) -> None:
    assert door.host.door_keys(1) is None
    keys, identity = open_typed(door), fresh()
    guest, _ = door.guest(await typed(door, CODE, keys, identity), identity)
    codes: list[str] = []
    joining = asyncio.ensure_future(guest.knock(codes.append, lambda papers: None, 20))
    knock = await door.next(Knocked)
    papers = door.papers(identity)
    door.host.grant(knock.hop_key, papers)
    assert await joining == papers
    assert codes == [knock.code]
    await door.next(Paired)
    assert door.host.door_keys(1) is None


async def test_five_guesses_at_a_typed_code_close_the_window(door: Door) -> None:
    keys = open_typed(door)
    for left in range(PAIR_FAILURES_MAX - 1, -1, -1):
        with pytest.raises(EnrolmentRefused, match="not the one that is shown"):
            await typed(door, "maple otter 4822", keys)
        assert (await door.next(Failed)).left == left
    assert (await door.next(Closed)).reason == "failures"
    with pytest.raises((PeerUnreachable, EnrolmentRefused)):
        await typed(door, CODE, keys)


@pytest.mark.parametrize("field", ["mesh", "ed_pub"])
async def test_keys_that_were_changed_on_the_way_make_the_right_code_wrong(door: Door, field: str) -> None:
    """The keys of a door are told in the clear; they are bound into what the code gives."""
    keys = open_typed(door)
    with pytest.raises(EnrolmentRefused):
        await typed(door, CODE, msgspec.structs.replace(keys, **{field: getattr(keys, field)[::-1]}))
    assert (await door.next(Failed)).left == PAIR_FAILURES_MAX - 1


async def test_a_share_that_is_none_is_a_guess(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = open_typed(door)
    monkeypatch.setattr("kindmesh.mesh.enrol_guest.CodeExchange", _Nonsense)
    with pytest.raises(EnrolmentRefused, match="rules of a typed code"):
        await typed(door, CODE, keys)
    assert (await door.next(Failed)).left == PAIR_FAILURES_MAX - 1


class _Nonsense:
    share = b"A" + b"\xff" * 32

    def __init__(self, *_: object, **__: object) -> None:
        """Knows no code."""


async def test_a_window_for_a_text_has_no_typed_code_and_the_other_way_round(door: Door) -> None:
    invitation = door.open()
    place = door.host.address.rpartition(":")[2]
    port = int(place) if place.isdecimal() else 1
    with pytest.raises(EnrolmentRefused, match="no typed code"):
        await typed(door, CODE, DoorKeys(1, invitation.mesh, invitation.ed_pub, invitation.curve_pub, port))
    await door.next(Failed)
    door.host.shut()
    await door.next(Closed)
    guest, _ = door.guest(door.host.open(door.purpose(CODE), ttl_ms=60_000, watch=door.watch))
    with pytest.raises(EnrolmentRefused, match="typed code"):
        await guest.knock(lambda code: None, lambda papers: None, 20)


class Middle:
    """Somebody in between, on real sockets: tells a key of its own, and hands on what the two sides say."""

    def __init__(self, keys: DoorKeys) -> None:
        self.true = keys
        self.seen: list[bytes] = []
        self.device = b""
        transport, self.curve = ZmqTransport(), CurveKey(ENTROPY.token(32))
        self.listener = transport.listen("tcp://127.0.0.1:0", self.curve, lambda _: True)
        address = f"tcp://127.0.0.1:{keys.door}"
        self.channel = transport.dial(address, keys.curve_pub, CurveKey(ENTROPY.token(32)))

    async def start(self) -> DoorKeys:
        up = asyncio.Event()
        await self.listener.start(self._from_device)
        await self.channel.start(self._from_door, lambda here: up.set() if here else None)
        await asyncio.wait_for(up.wait(), 10)
        port = int(self.listener.address.rpartition(":")[2])
        return msgspec.structs.replace(self.true, curve_pub=self.curve.public, door=port)

    def _from_device(self, hop: bytes, frames: list[bytes]) -> None:
        self.device = hop
        self.seen.append(frames[0])
        self.channel.send(frames)

    def _from_door(self, _: bytes, frames: list[bytes]) -> None:
        self.seen.append(frames[0])
        self.listener.send(self.device, frames)

    async def close(self) -> None:
        await self.channel.close()
        await self.listener.close()


async def test_a_man_in_the_middle_of_a_typed_code_gets_nothing() -> None:
    door = Door(ZmqTransport(), "tcp://", "tcp://127.0.0.1:0")
    await door.host.start()
    middle = Middle(open_typed(door))
    try:
        told = await middle.start()
        with pytest.raises(EnrolmentRefused):
            await typed(door, CODE, told)
        # Both sides spoke through it: start, share, confirmation, refusal. It was a guess, and nobody knocked.
        assert len(middle.seen) == 4
        assert (await door.next(Failed)).left == PAIR_FAILURES_MAX - 1
        assert door.events.empty()
    finally:
        await middle.close()
        await door.host.close()


async def test_the_keys_of_a_door_are_told_while_a_code_is_waited_for() -> None:
    keys = DoorKeys(1, b"m" * 20, b"e" * 32, b"c" * 32, 7438)
    told: list[DoorKeys | None] = [keys, None]
    server = DoorKeysServer("127.0.0.1", 0, lambda: told.pop(0))
    await server.start()
    assert await ask_door_keys("127.0.0.1", server.port) == keys
    with pytest.raises(EnrolmentRefused, match="no window with a typed code"):
        await ask_door_keys("127.0.0.1", server.port)
    with pytest.raises(AddressInUse):
        await DoorKeysServer("127.0.0.1", server.port, lambda: None).start()
    await server.close()
    with pytest.raises(PeerUnreachable):
        await ask_door_keys("127.0.0.1", server.port)


NONSENSE = [b"\xc1", b"x" * 5000, encode(DoorKeys(9, b"m" * 20, b"e" * 32, b"c" * 32, 1))]


@pytest.mark.parametrize("answer", NONSENSE, ids=["noise", "long", "newer"])
async def test_who_tells_nonsense_instead_of_keys_is_refused(answer: bytes) -> None:
    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(tell, "127.0.0.1", 0)
    async with server:
        with pytest.raises(Malformed):
            await ask_door_keys("127.0.0.1", server.sockets[0].getsockname()[1])


# -------------------------------------------------------------------------------------------------------- adoption


class Shelf:
    """A device with a label that waits."""

    def __init__(self, transport: Transport, address: str) -> None:
        self.identity = fresh()
        self.label = Label(
            1, self.identity.signing.public, self.identity.curve.public, ENTROPY.token(16), "hall"
        )
        self.turned_away: list[TurnedAway] = []
        self.waiting = Adoptable(
            self.label, self.identity.curve, transport=transport, address=address, entropy=ENTROPY,
            watch=self.turned_away.append,
        )  # fmt: skip


@pytest.fixture
async def shelf(door: Door) -> AsyncIterator[Shelf]:
    made = Shelf(door.transport, "tcp://127.0.0.1:0" if door.scheme == "tcp://" else "memory://shelf")
    async with made.waiting:
        yield made


async def visit(door: Door, shelf: Shelf, label: Label) -> Invitation:
    door.host.shut()
    purpose = msgspec.structs.replace(door.purpose(), only=(label.ed_pub, label.curve_pub))
    invitation = door.host.open(purpose, ttl_ms=60_000, watch=door.watch)
    where, key = shelf.waiting.address, door.desk.curve
    await adopt(label, where, invitation, key, transport=door.transport, entropy=ENTROPY)
    return invitation


async def test_who_has_read_the_label_adopts_the_device(door: Door, shelf: Shelf) -> None:
    invitation = await visit(door, shelf, shelf.label)
    assert await shelf.waiting.invitation() == invitation
    other, _ = door.guest(invitation)
    with pytest.raises((PeerUnreachable, DeadlineExceeded, EnrolmentRefused)):
        await other.knock(lambda code: None, lambda papers: None, 6)
    guest, _ = door.guest(invitation, shelf.identity)
    joining = asyncio.ensure_future(guest.knock(lambda code: None, lambda papers: None, 20))
    knock = await door.next(Knocked)
    door.host.grant(knock.hop_key, door.papers(shelf.identity))
    await joining
    assert shelf.turned_away == []


async def test_a_label_with_another_secret_adopts_nothing_and_five_tries_are_enough(
    door: Door, shelf: Shelf
) -> None:
    wrong = msgspec.structs.replace(shelf.label, secret=b"x" * 16)
    for left in range(ADOPT_FAILURES_MAX - 1, -1, -1):
        with pytest.raises((EnrolmentRefused, LinkBroken)):
            await visit(door, shelf, wrong)
        assert shelf.turned_away[-1].left == left
        assert "did not read its label" in shelf.turned_away[-1].error.message
    with pytest.raises(LinkBroken):
        await visit(door, shelf, shelf.label)


async def test_a_device_with_another_key_than_the_labels_is_not_talked_to(door: Door, shelf: Shelf) -> None:
    other = msgspec.structs.replace(shelf.label, curve_pub=CurveKey(ENTROPY.token(32)).public)
    with pytest.raises(LinkBroken):
        await visit(door, shelf, other)
    assert shelf.turned_away == []


async def test_a_device_on_its_way_tells_the_next_to_wait(door: Door, shelf: Shelf) -> None:
    await visit(door, shelf, shelf.label)
    with pytest.raises(Busy):
        await visit(door, shelf, shelf.label)
    shelf.waiting.again()
    await visit(door, shelf, shelf.label)
