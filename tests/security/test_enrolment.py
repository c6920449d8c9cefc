"""Getting in without being invited, and getting between a guest and the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import ENTROPY, Knocker, Pretender, Proxy, fresh_identity, refusal, window
from tests.security.kit import Watch, canary, household

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.enrol_guest import Guest
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.enrol import EnrolClosed, EnrolGranted, EnrolPending, Invitation
from kindmesh.protocol.errors import KindmeshError, PeerUnreachable
from kindmesh.protocol.limits import PAIR_FAILURES_MAX

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk and a kitchen."""
    async with household(tmp_path_factory.mktemp("enrolment")) as lab:
        yield lab


def with_secret(invitation: Invitation, secret: bytes) -> Invitation:
    return msgspec.structs.replace(invitation, secret=secret)


def members(lab: Lab) -> set[str]:
    return {node["name"] for node in lab.ask("nodes")}


async def test_enrolling_with_a_wrong_secret(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        with Knocker(with_secret(door.invitation, ENTROPY.token(16))) as thief:
            assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
            failed = await door.next("failed")
            assert (failed["code"], failed["left"]) == ("ENROLMENT_REFUSED", PAIR_FAILURES_MAX - 1)
            # What it has seen does not help it: nothing else is said to it, and nobody knocks.
            assert refusal(await thief.ask(thief.proof())) == "ENROLMENT_REFUSED"
            await door.next("failed")
        assert door.nothing_else()
    assert "stranger" not in members(lab)


async def test_guessing_the_secret_closes_the_window(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        for left in range(PAIR_FAILURES_MAX - 1, -1, -1):
            with Knocker(with_secret(door.invitation, ENTROPY.token(16))) as thief:
                assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
                assert (await door.next("failed"))["left"] == left
        assert await door.closed() == "failures"
        # Even who has the right secret comes too late: the owner has to open another window.
        watch = Watch(lab)
        with Knocker(door.invitation) as late:
            assert await late.raw.outcome() != "in"
        assert watch.refused() == {}
    assert "stranger" not in members(lab)


async def test_enrolling_with_a_secret_that_was_used(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        with Knocker(door.invitation, name="hall") as guest, Knocker(door.invitation) as thief:
            await thief.challenge()
            assert isinstance(await guest.knock(), EnrolPending)
            knock = await door.next("knock")
            assert knock["code"] == guest.code
            await door.allow(knock)
            assert isinstance(await guest.answer(), EnrolGranted)
            # Burned with the grant, not with the confirmation: also for one who stood at the door already.
            assert refusal(await thief.answer()) == "ENROLMENT_REFUSED"
            assert refusal(await thief.ask(thief.proof())) == "ENROLMENT_REFUSED"
            with Knocker(door.invitation) as second:
                assert await second.raw.outcome() != "in"
            assert isinstance(await guest.done(), EnrolClosed)
        with Knocker(door.invitation) as late:
            assert await late.raw.outcome() != "in"
    assert "stranger" not in members(lab)


async def test_enrolling_with_an_expired_secret(lab: Lab) -> None:
    async with canary(lab), window(lab, ttl_ms=1_000) as door:
        with Knocker(door.invitation) as early:
            await early.challenge()
            assert await door.closed() == "expired"
            assert refusal(await early.answer()) == "ENROLMENT_REFUSED"
        with Knocker(door.invitation) as late:
            assert await late.raw.outcome() != "in"
    assert "stranger" not in members(lab)


async def test_enrolling_with_another_windows_secret(lab: Lab) -> None:
    async with window(lab) as first:
        old = first.invitation
    async with canary(lab), window(lab) as door:
        assert old.secret != door.invitation.secret
        with Knocker(with_secret(door.invitation, old.secret)) as thief:
            assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
        with Knocker(old) as thief:
            assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
        assert [(await door.next("failed"))["left"] for _ in range(2)] == [4, 3]
    assert "stranger" not in members(lab)


async def test_a_proof_recorded_at_the_door_opens_nothing_again(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        identity = fresh_identity()
        with Knocker(door.invitation, identity) as guest:
            assert isinstance(await guest.knock(), EnrolPending)
            recorded = guest.proof()
            await door.next("knock")
        # The same keys, the same hello, the same proof: the challenge is another one.
        with Knocker(door.invitation, identity) as again:
            await again.challenge()
            assert refusal(await again.ask(recorded)) == "ENROLMENT_REFUSED"
            await door.next("failed")


async def test_a_device_that_shows_anothers_key_at_the_door(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        victim = fresh_identity()
        with Knocker(door.invitation) as thief:
            thief.hello = msgspec.structs.replace(thief.hello, ed_pub=victim.signing.public)
            assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
        with Knocker(door.invitation) as thief:
            thief.hello = msgspec.structs.replace(thief.hello, curve_pub=victim.curve.public)
            assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
        assert [(await door.next("failed"))["left"] for _ in range(2)] == [4, 3]


async def test_a_name_that_moves_the_owners_cursor(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        for name in ("\x1b[2Jkitchen", "kit\u202echen", "  ", "a\nb"):
            with Knocker(door.invitation, name=name) as thief:
                assert refusal(await thief.knock()) == "ENROLMENT_REFUSED"
            await door.next("failed")
        assert door.nothing_else()


def guest_at(invitation: Invitation, port: int) -> Guest:
    there = msgspec.structs.replace(invitation, hints=(f"127.0.0.1:{port}",))
    return Guest(there, fresh_identity(), "hall", (), transport=ZmqTransport(), entropy=ENTROPY)


async def test_man_in_the_middle_at_the_door_with_another_curve_key(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        with Pretender() as middle:
            with pytest.raises(PeerUnreachable):
                await guest_at(door.invitation, middle.port).knock(lambda _: None, lambda _: None, 10)
            assert not middle.heard()
        assert door.nothing_else()


async def test_man_in_the_middle_at_the_door_who_changes_what_passes(lab: Lab) -> None:
    """It can break the connection; it can neither read nor change what is said."""

    async with canary(lab), window(lab) as door:

        def flip(data: bytes, towards_server: bool) -> bytes:
            return data[:-1] + bytes([data[-1] ^ 1]) if towards_server and len(data) > 300 else data

        port = int(door.invitation.hints[0].rpartition(":")[2])
        async with Proxy(port, flip) as middle:
            with pytest.raises(KindmeshError):
                await guest_at(door.invitation, middle.port).knock(lambda _: None, lambda _: None, 4)
            assert door.invitation.secret not in middle.seen
        assert door.nothing_else()
        # One who only listens learns nothing, and the device gets in.
        async with Proxy(port) as listener:
            codes: list[str] = []
            joining = asyncio.ensure_future(
                guest_at(door.invitation, listener.port).knock(codes.append, lambda _: None, 20)
            )
            knock = await door.next("knock")
            await door.allow(knock)
            await joining
            assert codes == [knock["code"]]
            assert b"hall" not in listener.seen
            assert knock["ed_pub"] not in listener.seen


async def test_a_thief_of_the_qr_code_shows_another_code_than_the_device(lab: Lab) -> None:
    async with canary(lab), window(lab) as door:
        with Knocker(door.invitation, name="hall") as guest, Knocker(door.invitation, name="hall") as thief:
            assert isinstance(await thief.knock(), EnrolPending)
            assert isinstance(await guest.knock(), EnrolPending)
            knocks = [await door.next("knock") for _ in range(2)]
            assert thief.agreed != guest.agreed
            assert {knock["code"]: knock["ed_pub"] for knock in knocks} == {
                thief.code: thief.hello.ed_pub,
                guest.code: guest.hello.ed_pub,
            }
