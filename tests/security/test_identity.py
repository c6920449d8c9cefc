"""Being somebody else: another's signature, another's name, another's connection, papers of one's own making."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import (
    CLOCK,
    ENTROPY,
    Pretender,
    Proxy,
    Raw,
    fresh_identity,
    fresh_key,
    greeting,
    member,
    relayed,
    written,
)
from tests.security.kit import Watch, canary, household, id_of, pids, within
from tests.support.household import Household
from tests.system.kit import Mole

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.certificate import CERTIFICATE_DOMAIN, Certificate, sign_certificate
from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS
from kindmesh.protocol.messages import JobResult, MessageType, Request, SignedAdvert, Stop
from kindmesh.protocol.messages.hello import Advert, sign_advert

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and two members whose folders the adversary has."""
    async with household(tmp_path_factory.mktemp("identity"), "mole", "spy") as lab:
        yield lab


def result() -> JobResult:
    job = new_id(CLOCK.now_ms(), ENTROPY.token(10))
    return JobResult(job, 1, "succeeded", encode_value({"text": "a lie"}), None, b"", 0, 0)


# ------------------------------------------------------------------------------------------------- another's name


async def test_a_message_signed_by_another_device(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        mole.send(written(mole, MessageType.JOB_RESULT, result(), key=fresh_identity().signing))
        await watch.refuses("BAD_SIGNATURE")
        frames = written(mole, MessageType.JOB_RESULT, result())
        mole.send([frames[0], frames[1], frames[2] + b"\0"])
        await watch.refuses("BAD_SIGNATURE", 2)
        assert watch.refused() == {"BAD_SIGNATURE": 2}


async def test_a_message_with_anothers_src(lab: Lab) -> None:
    kitchen = id_of(lab, "kitchen")
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        # Directly: the connection says who it is.
        mole.send(written(mole, MessageType.JOB_RESULT, result(), src=kitchen))
        await watch.refuses("SOURCE_MISMATCH")
        # In custody, where the hop proves nothing: the signature does.
        relayed(mole, written(mole, MessageType.JOB_RESULT, result(), src=kitchen))
        await watch.refuses("BAD_SIGNATURE")
        # As the coordinator itself, and as nobody.
        relayed(mole, written(mole, MessageType.STOP, Stop("from above"), src=mole.coordinator))
        await watch.refuses("BAD_SIGNATURE", 2)
        relayed(mole, written(mole, MessageType.STOP, Stop("from nowhere"), src=b"n" * 20))
        await watch.refuses("UNKNOWN_MEMBER")
        assert watch.refused() == {"SOURCE_MISMATCH": 1, "BAD_SIGNATURE": 2, "UNKNOWN_MEMBER": 1}


async def test_a_message_for_somebody_else_is_not_taken(lab: Lab) -> None:
    kitchen = id_of(lab, "kitchen")
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        mole.send(written(mole, MessageType.REQUEST, Request("nodes", encode_value({})), dst=kitchen))
        await watch.refuses("WRONG_DESTINATION")
        relayed(mole, written(mole, MessageType.HELLO, greeting(mole, mole.trust.signed_certificate)))
        await watch.refuses("SOURCE_MISMATCH")


async def test_a_member_that_advertises_for_another(lab: Lab) -> None:
    kitchen = id_of(lab, "kitchen")
    async with canary(lab), member(lab, "mole") as mole:
        before = next(node for node in lab.ask("nodes") if node["name"] == "kitchen")["offers"]
        now_ms = CLOCK.now_ms()
        forged = sign_advert(Advert(mole.trust.mesh, kitchen, 2**40, 1, now_ms, ()), mole.identity.signing)
        for signed in (forged, msgspec.structs.replace(forged, author=kitchen)):
            mole.send(written(mole, MessageType.ADVERT, SignedAdvert(signed)))
        await mole.ask("nodes")
        after = next(node for node in lab.ask("nodes") if node["name"] == "kitchen")["offers"]
        assert after == before


# ------------------------------------------------------------------------------------------- another's connection


async def test_taking_over_a_routing_id(lab: Lab) -> None:
    """A member that names its own connection, however, is not listened to and gets nothing that is not for it."""
    trust = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust
    identity = Identity.load(lab.devices["mole"].home.identity, ENTROPY)
    names = (b"kitchen", id_of(lab, "kitchen"), b"\0\0\0\0\1", b"\0\x6b\x8b\x45\x67", b"x" * 5)
    async with canary(lab):
        for name in names:
            watch = Watch(lab)
            with Raw(lab.port, trust.coordinator.curve_pub, identity.curve, name=name) as sly:
                assert await sly.outcome() == "in"
                sly.send(b"S" + bytes(16), b"", b"")
                if name[0]:
                    await watch.turns_away()
                assert "kitchen" in lab.states("alive")
                heard = sly.socket.poll(50)
                assert not heard or sly.socket.recv_multipart()[0][:1] == b"N"


async def test_the_newest_connection_of_a_key_is_the_one_that_counts(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as older:
        await older.ask("nodes")
        watch = Watch(lab)
        with Raw(lab.port, older.trust.coordinator.curve_pub, older.identity.curve) as newer:
            assert await newer.outcome() == "in"
            newer.send(b"S" + bytes(16), b"", b"")
            await newer.receive()
            older.send(written(older, MessageType.REQUEST, Request("nodes", encode_value({}))))
            await watch.turns_away()


async def test_another_member_knocks_with_a_key_that_is_not_its_own(lab: Lab) -> None:
    """A public key is public: without its secret the handshake ends."""
    kitchen = lab.devices["kitchen"].home
    trust = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust
    public = Identity.load(kitchen.identity, ENTROPY, start=False).curve.public
    async with canary(lab):
        fake = fresh_key()
        fake.public = public
        with Raw(lab.port, trust.coordinator.curve_pub, fake) as liar:
            assert await liar.outcome() != "in"
        assert "kitchen" in lab.states("alive")


# ------------------------------------------------------------------------------------------ papers of one's own


async def test_a_certificate_with_widened_roles_or_effects(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        signed = mole.trust.signed_certificate
        own = decode(Certificate, signed.payload)
        wider = [
            msgspec.structs.replace(own, roles=("coordinator", "owner"), serial=own.serial + 1),
            msgspec.structs.replace(own, capabilities=(), serial=own.serial + 1),
            msgspec.structs.replace(own, kind="issuer", serial=own.serial + 1),
            msgspec.structs.replace(own, expires_ms=own.expires_ms + CERTIFICATE_LIFETIME_MS),
        ]
        for count, certificate in enumerate(wider, 1):
            watch = Watch(lab)
            # Signed by itself; with the true signature under other bytes; by a made-up issuer under the true name.
            self_signed = sign_certificate(certificate, mole.identity.signing)
            kept = msgspec.structs.replace(signed, payload=msgspec.msgpack.encode(certificate))
            other = sign_certificate(certificate, fresh_identity().signing)
            for paper in (self_signed, kept, msgspec.structs.replace(other, author=signed.author)):
                mole.send(written(mole, MessageType.HELLO, greeting(mole, paper)))
            await watch.refuses("CERTIFICATE_REFUSED", 3)
            assert watch.refused() == {"CERTIFICATE_REFUSED": 3}, count
        found = next(node for node in lab.ask("nodes") if node["name"] == "mole")
        assert found["role"] == "node"


async def test_a_certificate_of_another_mesh(lab: Lab) -> None:
    stranger = Household(11, CLOCK.now_ms())
    stranger.add("mole")
    async with canary(lab), member(lab, "spy") as spy:
        watch = Watch(lab)
        spy.send(written(spy, MessageType.HELLO, greeting(spy, stranger.certificates["mole"])))
        await watch.refuses("CERTIFICATE_REFUSED")


async def test_anothers_certificate_shown_as_ones_own(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole, member(lab, "spy") as spy:
        watch = Watch(lab)
        spy.send(written(spy, MessageType.HELLO, greeting(spy, mole.trust.signed_certificate)))
        await watch.refuses("REVOKED")
        # The signature of one purpose does not serve another.
        domain = sign_certificate(
            decode(Certificate, mole.trust.signed_certificate.payload), mole.identity.signing
        )
        assert CERTIFICATE_DOMAIN
        mole.send(written(mole, MessageType.ADVERT, SignedAdvert(domain)))
        await mole.ask("nodes")
        await spy.ask("nodes")


# --------------------------------------------------------------------------------------------------- the channel


@pytest.mark.parametrize("mechanism", ["null", "plain"])
async def test_a_downgrade_to_no_curve(lab: Lab, mechanism: str) -> None:
    async with canary(lab):
        with Raw(lab.port, plain="member" if mechanism == "plain" else "") as naked:
            assert await naked.outcome() in ("refused", "ended")
            assert not naked.socket.poll(0)


async def test_a_stranger_under_curve_is_refused_at_the_socket(lab: Lab) -> None:
    trust = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust
    async with canary(lab):
        watch = Watch(lab)
        with Raw(lab.port, trust.coordinator.curve_pub, fresh_key()) as stranger:
            assert await stranger.outcome() == "refused"
        await watch.turns_away()
        # And one that expects another server does not get through either.
        with Raw(lab.port, fresh_key().public, fresh_key()) as lost:
            assert await lost.outcome() != "in"


async def test_man_in_the_middle_with_another_curve_key(lab: Lab) -> None:
    """A real node that is led to the adversary's socket says nothing to it, and finds the real one."""
    await lab.join("hall")
    with Pretender() as middle:
        hall = lab.device("hall", {"KINDMESH_MESH_SEEDS": f"127.0.0.1:{middle.port}"})
        await hall.up()
        async with canary(lab):
            await lab.alive("hall")
            assert not middle.heard()
    await hall.down()


async def test_man_in_the_middle_who_changes_or_listens(lab: Lab) -> None:
    async with canary(lab):

        def flip(data: bytes, towards_server: bool) -> bytes:
            return data[:-1] + bytes([data[-1] ^ 1]) if len(data) > 400 else data

        async with Proxy(lab.port, flip) as middle:
            misled = Mole(lab.devices["mole"].home, f"127.0.0.1:{middle.port}")
            met: list[bool] = []
            misled.uplink.on_peer(lambda _, here: met.append(here))
            misled.uplink._known = [f"127.0.0.1:{middle.port}"]
            await misled.uplink.start()
            await asyncio.sleep(2.0)
            await misled.uplink.close()
            assert met == []
            assert len(middle.seen) > 400
        async with (
            Proxy(lab.port) as listener,
            Mole(lab.devices["mole"].home, f"127.0.0.1:{listener.port}") as mole,
        ):
            assert mole.uplink.address == f"127.0.0.1:{listener.port}"
            request = {"operation": "device.echo", "args": {"text": "nobody hears this"}, "wait": True}
            assert (await mole.ask("submit", request))["state"] == "succeeded"
            assert b"nobody hears this" not in listener.seen
            assert mole.identity.signing.public not in listener.seen


async def test_nobody_new_gets_in_while_the_zap_handler_hangs(lab: Lab) -> None:
    """The coordinator's loop stands still, and with it who decides about newcomers: so nobody comes in."""
    trust = Mole(lab.devices["mole"].home, "127.0.0.1:1").trust
    identity = Identity.load(lab.devices["mole"].home.identity, ENTROPY)
    async with canary(lab):
        coordinator = lab.ask("status")["pid"]
        assert coordinator in pids(lab.desk)
        os.kill(coordinator, signal.SIGSTOP)
        try:
            with Raw(lab.port, trust.coordinator.curve_pub, identity.curve) as waiting:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await waiting.outcome()
                os.kill(coordinator, signal.SIGCONT)
                assert await waiting.outcome() == "in"
        finally:
            os.kill(coordinator, signal.SIGCONT)

        async def back() -> bool:
            return {"desk", "kitchen"} <= lab.states("alive")

        await within(back, "the household is back")
