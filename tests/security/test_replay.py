"""What was said once is not taken twice: every message type, in the same connection, in a new one, after restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from tests.security.adversary import CLOCK, ENTROPY, greeting, member, relayed, written
from tests.security.kit import Watch, canary, household, within
from tests.system.kit import Mole

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.identity import Identity
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.errors import PeerUnreachable
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.limits import TTL_DEFAULT_MS
from kindmesh.protocol.messages import (
    Advert,
    ArtifactData,
    ArtifactGet,
    JobResult,
    MessageType,
    Request,
    SessionType,
    SignedAdvert,
    Stop,
)
from kindmesh.protocol.messages.hello import sign_advert
from kindmesh.protocol.signed import Signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERMIT = Signed(b"", b"p" * 20, b"s" * 64)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and two members whose messages the adversary has."""
    async with household(tmp_path_factory.mktemp("replay"), "mole", "spy") as lab:
        yield lab


def everything(mole: Mole) -> dict[MessageType, msgspec.Struct]:
    """One valid body of every type that a member says to its coordinator."""
    device, now_ms = mole.identity.device_id, CLOCK.now_ms()
    job = new_id(now_ms, ENTROPY.token(10))
    advert = Advert(mole.trust.mesh, device, mole.identity.boot, 1, now_ms, ())
    return {
        MessageType.HELLO: greeting(mole),
        MessageType.ADVERT: SignedAdvert(sign_advert(advert, mole.identity.signing)),
        MessageType.JOB_RESULT: JobResult(job, 1, "succeeded", encode_value({}), None, b"", 0, 0),
        MessageType.ARTIFACT_GET: ArtifactGet(b"a" * 32, 0, 1, PERMIT),
        MessageType.ARTIFACT_DATA: ArtifactData(b"a" * 32, 0, 0, "", b""),
        MessageType.REQUEST: Request("nodes", encode_value({})),
    }


async def recorded(mole: Mole, watch: Watch) -> dict[MessageType, list[bytes]]:
    """Every type, said once: and none of them was refused for being said before."""
    said = {type_: written(mole, type_, body) for type_, body in everything(mole).items()}
    for frames in said.values():
        mole.send(frames)
    await mole.ask("nodes")
    assert "REPLAYED" not in watch.refused()
    return said


async def test_replay_of_every_message_type_in_the_same_connection(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        said = await recorded(mole, Watch(lab))
        for type_, frames in said.items():
            watch = Watch(lab)
            mole.send(frames)
            await watch.refuses("REPLAYED")
            assert watch.refused() == {"REPLAYED": 1}, type_.name


async def test_replay_of_every_message_type_in_a_new_connection_of_the_same_boot(lab: Lab) -> None:
    async with member(lab, "mole") as mole:
        said = await recorded(mole, Watch(lab))
        kept = mole.identity
    async with canary(lab):
        again = Mole(lab.devices["mole"].home, f"127.0.0.1:{lab.port}")
        await replayed_after(lab, again, kept, said)


async def replayed_after(lab: Lab, again: Mole, kept: Identity, said: dict[MessageType, list[bytes]]) -> None:
    """The device goes on in the same boot, in a new connection, and somebody says all of it again."""
    again.uplink._post.identity = kept
    async with again:
        for type_, frames in said.items():
            watch = Watch(lab)
            again.send(frames)
            await watch.refuses("REPLAYED")
            assert watch.refused() == {"REPLAYED": 1}, type_.name


async def test_replay_of_every_message_type_after_the_device_restarted(lab: Lab) -> None:
    """An older boot counter in a session: whatever its numbers are."""
    async with member(lab, "mole") as mole:
        said = await recorded(mole, Watch(lab))
    async with canary(lab), member(lab, "mole") as later:
        assert later.identity.boot > mole.identity.boot
        for type_, frames in said.items():
            watch = Watch(lab)
            later.send(frames)
            await watch.refuses("REPLAYED")
            assert watch.refused() == {"REPLAYED": 1}, type_.name
        # Also one that was never said, with the highest number there is.
        watch = Watch(lab)
        later.send(written(mole, MessageType.STOP, Stop("from an older boot"), sequence=2**53))
        await watch.refuses("REPLAYED")


async def test_replay_of_every_message_type_after_the_receiver_restarted(lab: Lab) -> None:
    async with member(lab, "mole") as mole:
        said = await recorded(mole, Watch(lab))
        kept = mole.identity
    await lab.desk.down()
    await lab.desk.up()
    await lab.alive("desk", "kitchen")
    async with canary(lab):
        again = Mole(lab.devices["mole"].home, f"127.0.0.1:{lab.port}")
        await replayed_after(lab, again, kept, said)


async def test_replay_of_session_frames_in_the_same_and_in_a_new_connection(lab: Lab) -> None:
    async with canary(lab):
        async with member(lab, "mole") as mole:
            mole._beat()
            await mole.ask("nodes")
            frames = [sent for sent in mole.tap.sent if sent[0][:1] == b"S"]
            assert frames
            watch = Watch(lab)
            mole.send(frames[-1])
            await watch.refuses("REPLAYED")
            changed = [frames[-1][0][:-1] + b"\xff", frames[-1][1], frames[-1][2]]
            mole.send(changed)
            await watch.refuses("BAD_SIGNATURE")
        async with member(lab, "mole") as later:
            watch = Watch(lab)
            lost: list[bool] = []
            later.uplink.on_peer(lambda _, here: lost.append(here))
            for sent in frames:
                later.send(sent)
            # It is told that there is no such session; its own goes on, and nothing was done.
            await later.ask("nodes")
            assert lost == []
            assert watch.refused() == {}


async def test_replay_by_another_member_in_custody(lab: Lab) -> None:
    async with member(lab, "mole") as mole:
        said = await recorded(mole, Watch(lab))
        async with canary(lab), member(lab, "spy") as spy:
            del said[MessageType.HELLO]
            for type_, frames in said.items():
                watch = Watch(lab)
                relayed(spy, frames)
                await watch.refuses("REPLAYED")
                assert watch.refused() == {"REPLAYED": 1}, type_.name


async def test_a_store_and_forward_message_from_before_a_reboot_is_taken_once(lab: Lab) -> None:
    async with member(lab, "mole") as mole:
        body = Request("submit", encode_value({"operation": "device.echo", "args": {"text": "kept for you"}}))
        stored = written(mole, MessageType.REQUEST, body, ttl_ms=TTL_DEFAULT_MS)
    async with canary(lab), member(lab, "mole") as later:
        assert later.identity.boot > mole.identity.boot
        count = len(lab.ask("jobs", {"limit": 1000}))
        watch = Watch(lab)
        relayed(later, stored)

        async def taken() -> bool:
            return len(lab.ask("jobs", {"limit": 1000})) == count + 1

        await within(taken, "the stored message was taken")
        assert watch.refused() == {}
        relayed(later, stored)
        await watch.refuses("REPLAYED")
        assert watch.refused() == {"REPLAYED": 1}
        assert await taken()


async def test_a_stored_message_past_its_time_is_refused(lab: Lab) -> None:
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        old_ms = CLOCK.now_ms() - 10 * 60_000
        relayed(mole, written(mole, MessageType.STOP, Stop("old"), issued_ms=old_ms))
        await watch.refuses("EXPIRED")
        ahead_ms = CLOCK.now_ms() + 10 * 60_000
        relayed(mole, written(mole, MessageType.STOP, Stop("from tomorrow"), issued_ms=ahead_ms))
        await watch.refuses("CLOCK_SKEW")
        assert watch.refused() == {"EXPIRED": 1, "CLOCK_SKEW": 1}


async def test_a_session_frame_without_its_session(lab: Lab) -> None:
    """Nothing is asked of who has no session yet, so a recorded greeting alone opens nothing."""
    async with canary(lab), member(lab, "mole") as mole:
        watch = Watch(lab)
        head = b"S" + ENTROPY.token(8) + bytes(8)
        mole.send([head, ENTROPY.token(16), encode(Stop("no session"))])
        await mole.ask("nodes")
        assert watch.refused() == {}
        with pytest.raises(PeerUnreachable):
            mole.uplink.tell(b"x" * 20, SessionType.HEARTBEAT, Stop())
