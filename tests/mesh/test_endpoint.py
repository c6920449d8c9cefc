"""Hub and uplinks over both transports: handshake, sessions, signed messages, relays, loss and revocation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.recollection import Recollection
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.uplink import HINTS_MAX, Uplink
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.envelope import ENVELOPE_DOMAIN
from kindmesh.protocol.errors import DeadlineExceeded, DiskFull, InvalidInput, PeerUnreachable, error_to_wire
from kindmesh.protocol.messages import (
    CallReply,
    JobCancel,
    JobProgress,
    MessageType,
    SessionType,
    TrustUpdate,
)

NOW_MS = int(time.time() * 1000)
CLOCK = SystemClock()
ENTROPY = SystemEntropy()


class Rig:
    """A hub "desk" and uplinks, on one transport."""

    def __init__(self, transport: Transport, scheme: str, listen: str) -> None:
        self.transport, self.scheme = transport, scheme
        self.household = Household(1, NOW_MS)
        self.desk_identity = self.household.add("desk", "coordinator")
        self.identities = {name: self.household.add(name) for name in ("phone", "kitchen")}
        desk_trust = self.household.trust("desk")
        self.desk_post = Post(self.desk_identity, desk_trust, CLOCK, ENTROPY)
        self.desk = Hub(self.desk_post, CLOCK, ENTROPY, transport, listen)
        self.up: dict[bytes, asyncio.Event] = {}
        self.desk.on_peer(self._peer)
        self.uplinks: list[Uplink] = []

    def _peer(self, peer: bytes, up: bool) -> None:
        event = self.up.setdefault(peer, asyncio.Event())
        event.set() if up else event.clear()

    async def node(self, name: str, clock: MeshClock | None = None) -> Uplink:
        identity = self.identities[name]
        post_clock = clock or MeshClock(CLOCK)
        trust = self.household.trust(name)
        post = Post(identity, trust, post_clock, ENTROPY)
        address = self.desk.address.removeprefix(self.scheme)
        uplink = Uplink(post, post_clock, ENTROPY, self.transport, scheme=self.scheme, addresses=[address])
        self.uplinks.append(uplink)
        live = asyncio.Event()
        uplink.on_peer(lambda _, up: live.set() if up else live.clear())
        await uplink.start()
        await asyncio.wait_for(live.wait(), 5)
        uplink.tell(self.desk_identity.device_id, SessionType.JOB_PROGRESS, JobProgress(b"j" * 16, 0, 0.0))
        await asyncio.wait_for(self.up.setdefault(identity.device_id, asyncio.Event()).wait(), 5)
        return uplink


RIGS: dict[str, Callable[[], tuple[Transport, str, str]]] = {
    "memory": lambda: (MemoryNetwork(7).transport("all"), "memory://", "memory://desk"),
    "zmq": lambda: (ZmqTransport(), "tcp://", "tcp://127.0.0.1:0"),
}


@asynccontextmanager
async def rigged(kind: str) -> AsyncIterator[Rig]:
    rig = Rig(*RIGS[kind]())
    rig.desk.on_session(SessionType.JOB_PROGRESS, lambda peer, ref, body: None)
    await rig.desk.start()
    try:
        yield rig
    finally:
        for uplink in rig.uplinks:
            await uplink.close()
        await rig.desk.close()


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rigged(request.param) as made:
        yield made


async def test_signed_messages_arrive_verified_in_both_directions(rig: Rig) -> None:
    phone = await rig.node("phone")
    got: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: got.put_nowait((envelope.header.src, body)))
    phone.on(MessageType.JOB_CANCEL, lambda envelope, body: got.put_nowait((envelope.header.src, body)))
    phone.post(phone.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1, "up"))
    assert await asyncio.wait_for(got.get(), 5) == (phone.device_id, JobCancel(b"j" * 16, 1, "up"))
    rig.desk.post(phone.device_id, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 2, "down"))
    assert await asyncio.wait_for(got.get(), 5) == (rig.desk.device_id, JobCancel(b"j" * 16, 2, "down"))


async def test_session_calls_are_answered_refused_and_timed_out(rig: Rig) -> None:
    phone = await rig.node("phone")

    def serve(peer: bytes, ref: int, call: Any) -> None:
        if call.operation == "device.echo":
            phone.tell(peer, SessionType.CALL_REPLY, CallReply(call.args), ref)
        elif call.operation == "device.bad":
            phone.tell(
                peer,
                SessionType.CALL_REPLY,
                CallReply(b"", error_to_wire(InvalidInput("no", field="x"))),
                ref,
            )

    phone.on_session(SessionType.CALL, serve)
    value = await rig.desk.call(phone.device_id, "device.echo", encode_value({"text": "hi"}), 5000)
    assert decode_value(value) == {"text": "hi"}
    with pytest.raises(InvalidInput) as caught:
        await rig.desk.call(phone.device_id, "device.bad", encode_value({}), 5000)
    assert caught.value.field == "x"
    with pytest.raises(DeadlineExceeded):
        await rig.desk.call(phone.device_id, "device.silent", encode_value({}), 50)
    with pytest.raises(PeerUnreachable):
        await rig.desk.call(b"n" * 20, "device.echo", encode_value({}), 50)


async def test_a_message_between_two_nodes_is_relayed_and_still_signed_end_to_end(rig: Rig) -> None:
    phone, kitchen = await rig.node("phone"), await rig.node("kitchen")
    got: asyncio.Queue[bytes] = asyncio.Queue()
    kitchen.on(MessageType.JOB_CANCEL, lambda envelope, body: got.put_nowait(envelope.header.src))
    phone.post(kitchen.device_id, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1))
    assert await asyncio.wait_for(got.get(), 5) == phone.device_id


async def test_a_revoked_node_is_refused_on_a_live_connection(rig: Rig) -> None:
    phone = await rig.node("phone")
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: pytest.fail("a revoked device was heard"))
    rig.household.revoked.append(phone.device_id)
    rig.desk_post.trust.merge(TrustUpdate(revocations=(rig.household.revocations(),)))
    phone.post(phone.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1))
    kitchen = await rig.node("kitchen")
    seen = asyncio.Event()
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: seen.set())
    kitchen.post(kitchen.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1))
    await asyncio.wait_for(seen.wait(), 5)


async def test_a_full_disk_keeps_nobody_from_being_removed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def no_room(path: Path, data: bytes) -> None:
        raise DiskFull(f"The disk is full: could not write {path}.")

    async with rigged("memory") as rig:
        gone = [(await rig.node(name)).device_id for name in ("phone", "kitchen")]
        rig.desk_post.recollection = Recollection(tmp_path / "kept")
        monkeypatch.setattr("kindmesh.mesh.recollection.write_private", no_room)
        rig.household.revoked += gone
        rig.desk_post.trust.merge(TrustUpdate(revocations=(rig.household.revocations(),)))
        for peer in gone:
            rig.desk.drop(peer)
            rig.desk.forget(peer)
        assert not any(map(rig.desk.connected, gone))
    assert [record.getMessage() for record in caplog.records].count(
        "a removed member is still in a file"
    ) == 2


async def test_a_node_with_a_clock_ten_minutes_off_is_corrected_and_says_so(rig: Rig) -> None:
    class Wrong(SystemClock):
        def now_ms(self) -> int:
            return super().now_ms() + 600_000

    clock = MeshClock(Wrong())
    phone = await rig.node("phone", clock)
    assert clock.corrected
    assert 590_000 < clock.skew_ms < 610_000
    seen = asyncio.Event()
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: seen.set())
    phone.post(phone.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1))
    await asyncio.wait_for(seen.wait(), 5)


async def test_newer_trust_travels_with_the_welcome(rig: Rig) -> None:
    rig.household.add("garden")
    rig.desk_post.trust.merge(TrustUpdate(rosters=(rig.household.roster(),)))
    version = rig.desk_post.trust.membership.heard
    rig.household._versions = 0
    phone = await rig.node("phone")
    assert phone._post.trust.membership.heard == version


async def test_a_restarted_coordinator_is_found_again_without_help() -> None:
    async with rigged("zmq") as rig:
        phone = await rig.node("phone")
        address = rig.desk.address
        await rig.desk.close()
        rig.up[phone.device_id] = asyncio.Event()
        rig.desk = Hub(rig.desk_post, CLOCK, ENTROPY, rig.transport, address)
        rig.desk.on_peer(rig._peer)
        rig.desk.on_session(SessionType.JOB_PROGRESS, lambda peer, ref, body: None)
        live = asyncio.Event()
        phone.on_peer(lambda _, up: live.set() if up else None)
        await rig.desk.start()
        await asyncio.wait_for(live.wait(), 10)


async def test_a_call_is_answered_only_by_the_member_that_was_asked(rig: Rig) -> None:
    phone, kitchen = await rig.node("phone"), await rig.node("kitchen")
    asked = asyncio.Event()
    phone.on_session(SessionType.CALL, lambda peer, ref, call: asked.set())
    calling = asyncio.create_task(rig.desk.call(phone.device_id, "device.echo", encode_value({}), 1_000))
    await asyncio.wait_for(asked.wait(), 5)
    (ref,) = rig.desk._calls
    heard = asyncio.Event()
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: heard.set())
    kitchen.tell(kitchen.coordinator, SessionType.CALL_REPLY, CallReply(encode_value({"text": "lie"})), ref)
    kitchen.post(kitchen.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 1))
    await asyncio.wait_for(heard.wait(), 5)
    phone.tell(phone.coordinator, SessionType.CALL_REPLY, CallReply(encode_value({"text": "truth"})), ref)
    assert decode_value(await asyncio.wait_for(calling, 5)) == {"text": "truth"}


async def test_a_message_dressed_up_as_a_greeting_is_refused_and_the_session_stays(rig: Rig) -> None:
    phone = await rig.node("phone")
    identity = phone._post.identity
    _, honest = phone._post.write(MessageType.JOB_CANCEL, phone.coordinator, JobCancel(b"j" * 16, 1))
    # The version written in two bytes moves the type away from where a hub looks for a greeting.
    header = honest[0][:1] + b"\xcc\x01" + honest[0][2:]
    before = rig.desk.refused["MALFORMED"]
    phone._send(phone.coordinator, [header, identity.signing.sign(ENVELOPE_DOMAIN + header), honest[2]])
    heard = asyncio.Event()
    rig.desk.on(MessageType.JOB_CANCEL, lambda envelope, body: heard.set())
    phone.post(phone.coordinator, MessageType.JOB_CANCEL, JobCancel(b"j" * 16, 2))
    await asyncio.wait_for(heard.wait(), 5)
    assert rig.desk.refused["MALFORMED"] == before + 1


async def test_hints_from_anybody_neither_pile_up_nor_crowd_out_what_is_known() -> None:
    async with rigged("memory") as rig:
        identity, clock = rig.identities["phone"], MeshClock(CLOCK)
        post = Post(identity, rig.household.trust("phone"), clock, ENTROPY)
        uplink = Uplink(post, clock, ENTROPY, rig.transport, scheme="memory://", addresses=["desk", "old"])
        for number in range(100):
            uplink.hint(f"fake-{number}")
        assert len(uplink._hints) == HINTS_MAX
        tried = []
        for number in range(8):
            uplink.hint(f"late-{number}")
            tried.append(uplink._next_address()[0])
        assert [address for address in tried if address in ("desk", "old")] == ["desk", "old", "desk", "old"]
        await uplink.close()


async def test_an_address_that_is_none_does_not_end_the_search() -> None:
    async with rigged("zmq") as rig:
        identity, clock = rig.identities["phone"], MeshClock(CLOCK)
        post = Post(identity, rig.household.trust("phone"), clock, ENTROPY)
        good = rig.desk.address.removeprefix("tcp://")
        uplink = Uplink(post, clock, ENTROPY, rig.transport, addresses=["not an address", good])
        rig.uplinks.append(uplink)
        live = asyncio.Event()
        uplink.on_peer(lambda _, up: live.set() if up else None)
        await uplink.start()
        await asyncio.wait_for(live.wait(), 10)
        assert post.trust.addresses[0] == good
