"""Attacks on streams: by whoever opens them, by other members, and by what relays them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.rig import CLOCK, ENTROPY, Rig, rig
from tests.node.stream_rig import ECHO, StreamRig, echoed, fresh_id, opening

from kindmesh.mesh.stream_relay import BURST, StreamRelay
from kindmesh.mesh.streams import Streams
from kindmesh.node.stream_permit import Permitted, check_permitted
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    KindmeshError,
    PermitExpired,
    PermitMismatch,
    PermitRefused,
    PermitUsed,
    RateLimited,
    StreamLimit,
    UnknownMember,
)
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, STREAMS_MAX
from kindmesh.protocol.messages import (
    MessageType,
    SessionBody,
    SessionType,
    StreamCarried,
    StreamData,
    StreamEnd,
)
from kindmesh.protocol.permit import open_permit, sign_permit
from kindmesh.protocol.stream_spec import StreamBounds, StreamMedia, StreamSpec


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as found:
        yield found


async def refusal(made: Rig, rigged: StreamRig, **changes: Any) -> KindmeshError:
    with pytest.raises(KindmeshError) as caught:
        await rigged.open(**changes)
    return caught.value


async def test_no_stream_without_a_permit_that_fits(made: Rig) -> None:
    async with made.node() as phone:
        rigged = StreamRig(made)
        wrong: list[tuple[dict[str, Any], type[KindmeshError], str]] = [
            ({"kind": "once"}, PermitMismatch, "kind"),
            ({"duration_ms": 0}, PermitRefused, "kind"),
            ({"stream_bytes": 0}, PermitRefused, "kind"),
            ({"readers": (made.id("kitchen"),)}, PermitMismatch, "readers"),
            ({"readers": ()}, PermitMismatch, "readers"),
            ({"job_id": fresh_id()}, PermitMismatch, "job"),
            ({"target": made.id("kitchen")}, PermitMismatch, "target"),
            ({"args": b"\x81\xa1a\x01"}, PermitMismatch, "args"),
            ({"expires_ms": CLOCK.now_ms() - CLOCK_SKEW_MS - 1_000}, PermitExpired, ""),
        ]
        for changes, kind, field in wrong:
            error = await refusal(made, rigged, **changes)
            assert (type(error), error.field) == (kind, field), changes
        assert phone.streaming.running == []
        # The node's audit log has each refusal by its code.
        assert phone.streams.open_streams == ()


async def test_a_permit_that_somebody_else_signed_opens_nothing(made: Rig) -> None:
    async with made.node():
        rigged = StreamRig(made)
        target, own = made.id(), made.desk.hub.device_id
        asked = opening(made.desk, target, own)
        permit = open_permit(asked.permit, made.household.medulla.public)
        forged = msgspec.structs.replace(asked, permit=sign_permit(permit, SigningKey(bytes(32))))
        with pytest.raises(PermitRefused):
            await rigged.streams.open(forged, target, takes=True, gives=True)


async def test_a_permit_opens_one_stream_once_also_after_a_restart(made: Rig) -> None:
    rigged = StreamRig(made)
    target, own = made.id(), made.desk.hub.device_id
    asked = opening(made.desk, target, own)
    async with made.node():
        first = await rigged.streams.open(asked, target, takes=True, gives=True)
        assert await echoed(first, b"x") == b"x"
        await first.ended()
        with pytest.raises(PermitUsed):
            await rigged.streams.open(asked, target, takes=True, gives=True)
    async with made.node():
        with pytest.raises(PermitUsed):
            await rigged.streams.open(asked, target, takes=True, gives=True)


async def test_an_opener_that_sends_more_than_it_may_is_stopped_by_the_device(made: Rig) -> None:
    async with made.node() as phone:
        rigged = StreamRig(made)
        stream = await rigged.open(stream_bytes=1_000)
        # A program that goes around its own machine: frames made by hand, under the stream's real keys.
        assert stream.keys is not None
        for number in range(3):
            body = StreamData(number, number * 400, bytes(400))
            frames = stream.keys.seal(encode(SessionBody(int(SessionType.STREAM_DATA), 0, encode(body))))
            carried = StreamCarried(
                made.desk.hub.device_id, made.id(), False, (frames[0], frames[1], frames[2])
            )
            made.desk.hub.tell(made.id(), SessionType.STREAM, carried)
        over = await stream.ended()
        assert over.reason == "limit"
        assert isinstance(over.error, StreamLimit)
        assert phone.streams.open_streams == ()


async def test_an_opener_that_ignores_its_credit_is_shown_the_door(made: Rig) -> None:
    async with made.node():
        stream = await StreamRig(made).open()
        assert stream.keys is not None
        body = StreamData(500, 0, b"far ahead")
        frames = stream.keys.seal(encode(SessionBody(int(SessionType.STREAM_DATA), 0, encode(body))))
        carried = StreamCarried(made.desk.hub.device_id, made.id(), False, (frames[0], frames[1], frames[2]))
        made.desk.hub.tell(made.id(), SessionType.STREAM, carried)
        over = await stream.ended()
        assert over.reason == "broken"
        assert over.error is not None
        assert over.error.code == "MALFORMED"


async def test_another_member_can_neither_end_a_stream_nor_speak_in_it(made: Rig) -> None:
    async with made.node() as phone, made.node("kitchen") as kitchen:
        rigged = StreamRig(made)
        stream = await rigged.open("phone")
        assert stream.keys is not None
        before = sum(phone.uplink.refused.values())
        kitchen.uplink.post(
            made.id(), MessageType.STREAM_END, StreamEnd(stream.stream_id, "cancelled", False)
        )
        # It knows the stream's id on the wire, and makes up a frame.
        fake = StreamCarried(
            made.id("kitchen"), made.id(), False, (b"S" + stream.keys.session_id + bytes(8), bytes(16), b"x")
        )
        kitchen.uplink.tell(made.desk.hub.device_id, SessionType.STREAM, fake)
        # Under the opener's name the coordinator does not pass it on at all.
        kitchen.uplink.tell(
            made.desk.hub.device_id, SessionType.STREAM,
            msgspec.structs.replace(fake, src=made.desk.hub.device_id),
        )  # fmt: skip
        result = await made.desk.run(made.id(), "probe.read", {"text": "after all that"})
        assert result.outcome == "succeeded"
        assert await echoed(stream, b"still mine") == b"still mine"
        assert sum(phone.uplink.refused.values()) == before + 2
        assert made.desk.hub.refused["BAD_SIGNATURE"] == 1


async def test_a_frame_that_was_changed_or_repeated_on_the_way_changes_nothing(made: Rig) -> None:
    async with made.node() as phone:
        rigged = StreamRig(made)
        stream = await rigged.open()
        assert stream.keys is not None
        body = SessionBody(int(SessionType.STREAM_DATA), 0, encode(StreamData(0, 0, b"mine")))
        head, mac, raw = stream.keys.seal(encode(body))
        own, to = made.desk.hub.device_id, made.id()
        changed = raw[:-1] + bytes([raw[-1] ^ 1])
        for sent in ((head, mac, changed), (head, mac, raw), (head, mac, raw)):
            made.desk.hub.tell(to, SessionType.STREAM, StreamCarried(own, to, False, sent))
        frame = await stream.read()
        assert frame is not None
        assert frame.data == b"mine"
        assert (phone.uplink.refused["BAD_SIGNATURE"], phone.uplink.refused["REPLAYED"]) == (1, 1)


async def test_a_member_that_was_removed_loses_its_streams_at_once(made: Rig) -> None:
    async with made.node() as phone:
        stream = await StreamRig(made).open()
        phone.trust.membership._revoked_subjects.add(made.desk.hub.device_id)
        phone.streaming.look()
        assert phone.streams.open_streams == ()
        phone.trust.membership._revoked_subjects.clear()
        over = await stream.ended()
        assert over.reason == "stopped"


async def test_a_device_ends_the_streams_it_opened_to_a_member_that_was_removed(made: Rig) -> None:
    StreamRig(made)  # its streams relay
    async with made.node() as phone, made.node("kitchen"):
        asked = opening(made.desk, made.id("kitchen"), made.id())
        stream = await phone.streams.open(asked, made.id("kitchen"), takes=True, gives=True)
        phone.trust.membership._revoked_subjects.add(made.id("kitchen"))
        phone.streaming.look()
        assert not stream.machine.writable
        with pytest.raises(KindmeshError) as caught:
            await stream.write(b"a secret")
        assert caught.value.code == "REVOKED"


async def test_a_coordinator_cannot_lead_a_stream_elsewhere_than_was_asked(made: Rig) -> None:
    async with made.node() as phone, made.node("kitchen"):
        kitchen, own = made.id("kitchen"), made.id()

        def permitted(**changes: Any) -> Permitted:
            target: bytes = changes.pop("to", kitchen)
            asked = opening(made.desk, target, changes.pop("opener", own), **changes)
            spec = StreamSpec("both", StreamMedia("bytes"), StreamMedia("bytes"))
            bounds = StreamBounds(60_000, 50_000_000)
            return Permitted(
                asked.stream_id, target, "Kitchen", asked.operation, asked.args, asked.permit, spec, bounds
            )

        def judged(answer: Permitted, **wish: Any) -> None:
            params = {"operation": ECHO, "args": {"delay_ms": 5}, "target": "Kitchen", **wish}
            check_permitted(answer, params, phone.trust, CLOCK.now_ms())

        fits = permitted(values={"delay_ms": 5})
        judged(fits)
        judged(fits, target="", max_ms=60_000, max_bytes=50_000_000)
        judged(fits, target=format_id(kitchen))
        wrong: list[tuple[Permitted, dict[str, Any], type[KindmeshError], str]] = [
            (fits, {"target": "phone"}, PermitMismatch, "target"),
            (fits, {"operation": "speech.stream"}, PermitMismatch, "operation"),
            (fits, {"args": {"delay_ms": 6}}, PermitMismatch, "args"),
            (fits, {"max_ms": 59_999}, PermitMismatch, "max_ms"),
            (fits, {"max_bytes": 49_999_999}, PermitMismatch, "max_bytes"),
            (permitted(values={"delay_ms": 5}, opener=kitchen), {}, PermitMismatch, "readers"),
            (permitted(values={"delay_ms": 5}, kind="once"), {}, PermitMismatch, "kind"),
            (permitted(values={"delay_ms": 5}, to=bytes(20)), {"target": ""}, UnknownMember, ""),
            (msgspec.structs.replace(fits, target=own), {"target": ""}, PermitMismatch, "target"),
            (msgspec.structs.replace(fits, args=b"\x80"), {"args": {}}, PermitMismatch, "args"),
            (msgspec.structs.replace(fits, stream_id=fresh_id()), {}, PermitMismatch, "job"),
            (
                msgspec.structs.replace(
                    fits,
                    permit=sign_permit(
                        open_permit(fits.permit, made.household.medulla.public), SigningKey(bytes(32))
                    ),
                ),
                {},
                PermitRefused,
                "",
            ),
        ]
        for answer, wish, kind, field in wrong:
            with pytest.raises(KindmeshError) as caught:
                judged(answer, **wish)
            assert (type(caught.value), caught.value.field) == (kind, field), wish


async def test_streams_at_once_are_bounded_at_either_end(made: Rig) -> None:
    async with made.node():
        rigged = StreamRig(made)
        streams = [await rigged.open() for _ in range(7)]
        error = await refusal(made, rigged)
        assert error.code == "BUSY"
        for stream in streams:
            stream.close_output()
            await stream.ended()
    lonely = Streams(made.desk.hub, CLOCK, ENTROPY)
    lonely._open = {(bytes([number]) * 16, True): None for number in range(STREAMS_MAX)}  # type: ignore[misc] # full
    with pytest.raises(KindmeshError, match="open here already"):
        await lonely.open(
            opening(made.desk, made.id(), made.id(), operation=ECHO), made.id(), takes=True, gives=True
        )
    lonely._open.clear()


def test_a_relay_carries_so_many_streams_and_so_much_and_forgets_silent_ones() -> None:
    relay = StreamRelay()
    for number in range(2 * STREAMS_MAX):
        relay.admit(b"phone", b"kitchen", bytes([number]), 0.0)
    with pytest.raises(RateLimited):
        relay.admit(b"phone", b"kitchen", b"one more", 0.0)
    relay.admit(b"phone", b"kitchen", b"one more", 31.0)
    for _ in range(int(BURST) - 1):
        relay.admit(b"phone", b"kitchen", b"one more", 31.0)
    with pytest.raises(RateLimited):
        relay.admit(b"phone", b"kitchen", b"one more", 31.0)
    assert relay.dropped == 2
    relay.forget(b"phone")
    relay.admit(b"phone", b"kitchen", b"one more", 31.0)


def test_a_member_that_floods_the_relay_takes_nothing_from_others_and_no_memory() -> None:
    relay = StreamRelay()
    relay.admit(b"phone", b"kitchen", b"mine", 0.0)
    refused = 0
    for number in range(10_000):
        try:
            relay.admit(b"mole", number.to_bytes(20, "big"), b"made up", 0.0)
            relay.admit(b"mole", b"kitchen", number.to_bytes(8, "big"), 0.0)
            relay.admit(b"mole", b"kitchen", b"mine", 0.0)
        except RateLimited:
            refused += 1
    assert refused > 9_900
    assert sum(map(len, relay._of.values())) <= 1 + 2 * STREAMS_MAX
    for number in range(STREAMS_MAX):
        relay.admit(b"phone", b"kitchen", bytes([number]), 0.0)
    relay.admit(b"phone", b"kitchen", b"mine", 0.0)
