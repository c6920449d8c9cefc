"""Members that lie, strangers, replays, the curious and the removed: each is refused by name, and counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.household import Household
from tests.system.kit import PATIENCE_S, Mole, medulla_key, mesh, say, soon, turned_away

from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import folder_key
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.crypto import CurveKey, SigningKey, sha256
from kindmesh.protocol.envelope import make_envelope
from kindmesh.protocol.errors import AccessRefused, PeerUnreachable, Revoked
from kindmesh.protocol.ids import new_id, parse_id
from kindmesh.protocol.limits import PERMIT_TTL_MS, WIRE_VERSIONS
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import (
    Hello,
    JobResult,
    MessageType,
    Relay,
    Request,
    SessionType,
    Stop,
    TrustKnown,
)
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import Signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A desk, a kitchen, and a member called mole whose messages the tests write."""
    async with mesh(tmp_path_factory.mktemp("messages") / "lab", "kitchen") as lab:
        await lab.join("mole")
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def mole(lab: Lab) -> AsyncIterator[Mole]:
    """The mole, connected."""
    async with Mole(lab.devices["mole"].home, f"127.0.0.1:{lab.port}") as mole:
        yield mole


def id_of(lab: Lab, name: str) -> bytes:
    return parse_id(next(node["id"] for node in lab.ask("nodes") if node["name"] == name))


def written_as(mole: Mole, src: bytes, type_: MessageType, body: bytes) -> list[bytes]:
    """A message that the mole signs and in which it calls itself `src`."""
    now_ms = SystemClock().now_ms()
    return make_envelope(
        mole.identity.signing, type_=int(type_), message_id=new_id(now_ms, b"\1" * 10), src=src, dst=mole.coordinator,
        boot=99, tag=b"\2" * 8, sequence=1, issued_ms=now_ms, body=body,
    )  # fmt: skip


async def test_a_device_that_lies_about_its_source_is_refused_and_counted(lab: Lab, mole: Mole) -> None:
    kitchen = id_of(lab, "kitchen")
    job_id = new_id(SystemClock().now_ms(), b"\3" * 10)
    forged = encode(JobResult(job_id, 1, "succeeded", encode_value({"text": "lie"}), None, b"", 0, 0))
    before = await mole.refused()
    mole.send(written_as(mole, kitchen, MessageType.JOB_RESULT, forged))
    after = await mole.refused()
    assert after.get("SOURCE_MISMATCH", 0) == before.get("SOURCE_MISMATCH", 0) + 1
    # In custody, where the hop proves nothing, the signature does.
    frames = written_as(mole, kitchen, MessageType.JOB_RESULT, forged)
    mole.uplink.tell(mole.coordinator, SessionType.RELAY, Relay((frames[0], frames[1], frames[2])))
    assert (await mole.refused()).get("BAD_SIGNATURE", 0) == before.get("BAD_SIGNATURE", 0) + 1
    # The liar is heard when it speaks as itself, and kitchen is not blamed.
    assert lab.ask("status")["refused"]["SOURCE_MISMATCH"] == after["SOURCE_MISMATCH"]
    assert "kitchen" in lab.states("alive")


async def test_a_replayed_message_is_refused_and_does_nothing_twice(lab: Lab, mole: Mole) -> None:
    before = (await mole.refused()).get("REPLAYED", 0)
    mark = len(mole.tap.sent)
    job = await mole.ask("submit", {"operation": "device.echo", "args": {"text": "once"}, "wait": True})
    assert job["state"] == "succeeded"
    recorded = mole.tap.sent[mark]
    count = len(lab.ask("jobs", {"limit": 1000}))
    for _ in range(3):
        mole.send(recorded)
    assert (await mole.refused())["REPLAYED"] == before + 3
    assert len(lab.ask("jobs", {"limit": 1000})) == count


async def test_a_message_recorded_in_an_earlier_boot_opens_nothing(lab: Lab, mole: Mole) -> None:
    await mole.ask("submit", {"operation": "device.echo", "args": {"text": "old"}, "wait": True})
    recorded = mole.tap.sent[-1]
    async with Mole(lab.devices["mole"].home, f"127.0.0.1:{lab.port}") as later:
        before = (await later.refused()).get("REPLAYED", 0)
        later.send(recorded)
        assert (await later.refused())["REPLAYED"] == before + 1


async def test_a_stranger_with_a_certificate_of_its_own_root_does_not_get_in(lab: Lab, mole: Mole) -> None:
    """It is refused at the socket; and where a member shows such a certificate, the greeting is refused."""
    stranger = Household(7, SystemClock().now_ms())
    identity = stranger.add("kitchen")
    before = await turned_away(lab)
    channel = ZmqTransport().dial(
        f"tcp://127.0.0.1:{lab.port}", mole.trust.coordinator.curve_pub, identity.curve
    )
    heard: list[list[bytes]] = []
    try:
        await channel.start(lambda _, frames: heard.append(frames))

        async def refused_at_the_door() -> bool:
            return await turned_away(lab) > before

        assert await soon(refused_at_the_door, 5.0)
        with pytest.raises(PeerUnreachable):
            channel.send([b"let me in"])
        assert not channel.connected
        assert heard == []
    finally:
        await channel.close()
    # A real member's connection, a stranger's paper.
    papers = Hello(
        stranger.certificates["kitchen"], CurveKey(b"\5" * 32).public, b"\6" * 32, WIRE_VERSIONS, TrustKnown(),
        SystemClock().now_ms(),
    )  # fmt: skip
    refused = await mole.refused()
    mole.uplink.post(mole.coordinator, MessageType.HELLO, papers)
    after = await mole.refused()
    assert sum(after.values()) == sum(refused.values()) + 1
    assert after.get("CERTIFICATE_REFUSED", 0) + after.get("BAD_SIGNATURE", 0) > refused.get(
        "CERTIFICATE_REFUSED", 0
    ) + refused.get("BAD_SIGNATURE", 0)


async def test_noise_on_a_live_connection_is_counted_and_answered_by_silence(lab: Lab, mole: Mole) -> None:
    before = sum((await mole.refused()).values())
    noise = ([b"?"], [b"\x00" * 600, b"", b""], [b"\xff", b"\xff", b"\xff"], [b"S" + b"\1" * 40, b"x"])
    for frames in noise:
        mole.send(frames)
    assert sum((await mole.refused()).values()) > before
    job = await mole.ask("submit", {"operation": "device.echo", "args": {"text": "fine"}, "wait": True})
    assert job["state"] == "succeeded"


async def test_an_artifact_is_not_given_to_a_member_without_a_grant(
    lab: Lab, mole: Mole, tmp_path: Path
) -> None:
    said = await say(lab.desk, "call", "speech.render", "text=a secret", "--on", "kitchen")
    made = said.objects[-1]["value"]["audio"]
    artifact = bytes.fromhex(made["artifact"])
    info = ArtifactInfo(artifact, made["size_bytes"], made["media_type"], id_of(lab, "kitchen"))
    store = ArtifactStore.open(
        tmp_path / "held", folder_key(tmp_path / "key", entropy=SystemEntropy()), quota=1 << 24
    )
    exchange = Exchange(mole.uplink, store, mole.trust, mole.clock, lambda job, name: False)
    key = medulla_key(lab)
    naming = encode_value({"image": {"artifact": made["artifact"]}})
    other = encode_value({"image": {"artifact": "00" * 32}})
    mine, kitchens = mole.identity.device_id, info.holder
    refused: list[tuple[Signed, bytes]] = [
        (permit_for(mole, mine, naming, mole.identity.signing), naming),  # not Medulla's
        (permit_for(mole, mine, other, key), other),  # for another artifact
        (permit_for(mole, mine, other, key), naming),  # arguments that it is not bound to
        (permit_for(mole, kitchens, naming, key), naming),  # another reader's
        (permit_for(mole, kitchens, naming, key, readers=(mine,)), b""),  # made under another job
        (permit_for(mole, mine, naming, key, expired=True), naming),
    ]
    for permit, args in refused:
        with pytest.raises(AccessRefused):
            await exchange.fetch(info, permit, args)
    assert not store.has(artifact)
    # The coordinator does not fetch it for whoever knows the hash either.
    with pytest.raises(Exception, match="job"):
        await mole.ask("artifact.read", {"artifact": made["artifact"], "job": "0" * 26})
    # The same way works with a grant, so it was the grant that was missing.
    await exchange.fetch(info, permit_for(mole, mine, naming, key), naming)
    assert store.has(artifact)


def permit_for(
    mole: Mole,
    target: bytes,
    args: bytes,
    key: SigningKey,
    *,
    readers: tuple[bytes, ...] = (),
    expired: bool = False,
) -> Signed:
    """A permit to read a picture, as Medulla would sign it."""
    now_ms = SystemClock().now_ms() - (10 * PERMIT_TTL_MS if expired else 0)
    job_id = new_id(now_ms, SystemEntropy().token(10))
    permit = Permit(
        mesh=mole.trust.mesh, kind="once", permit_id=new_id(now_ms, SystemEntropy().token(10)), run_id=job_id, step=0,
        job_id=job_id, operation="vision.read_text", target=target, args_hash=sha256(args), effects=int(Effect.READ),
        policy_version=1, epoch=1, issued_ms=now_ms, expires_ms=now_ms + PERMIT_TTL_MS, max_uses=1, principal=OWNER,
        isolation="landlock", readers=readers,
    )  # fmt: skip
    return sign_permit(permit, key)


@pytest.mark.alone
async def test_a_removed_device_is_refused_within_a_second_on_its_live_connection(lab: Lab) -> None:
    await lab.add("guest")
    await lab.join("spy")
    async with Mole(lab.devices["spy"].home, f"127.0.0.1:{lab.port}") as spy:
        await spy.ask("nodes")
        before = await turned_away(lab)
        for name in ("guest", "spy"):
            assert (await say(lab.desk, "revoke", name)).code == 0
        begun = time.monotonic()
        # It was told, and goes on all the same, on the connection that it has.
        assert spy.trust.is_removed
        assert spy.tap.channel is not None
        for type_, body in (
            (MessageType.STOP, Stop("from a removed device")),
            (MessageType.REQUEST, Request("nodes", encode_value({}))),
        ):
            spy.tap.channel.send(spy.uplink._post.write(type_, spy.coordinator, body)[1])

        async def refused() -> bool:
            return await turned_away(lab) > before

        assert await soon(refused, 1.0)
        assert time.monotonic() - begun < 1.0
    # Both are gone from the list, no job goes there, and a removed device is not let in again.
    assert {node["name"] for node in lab.ask("nodes")}.isdisjoint({"spy", "guest"})
    said = await say(lab.desk, "call", "device.echo", "text=hi", "--on", "guest")
    assert said.code != 0
    assert "guest" in said.error["message"]
    guest = lab.devices["guest"].running
    assert guest is not None
    await guest.until("disconnected")

    # The node itself learns it, and says so, also when it is not running; it comes back as a new device.
    device = lab.devices["guest"]

    async def knows() -> bool:
        found = (await say(device, "doctor")).objects[-1]["findings"]
        return any("was removed from the mesh" in one["message"].lower() for one in found)

    assert await soon(knows, PATIENCE_S)
    assert "join --fresh" in (await say(device, "nodes")).error["hint"]
    await device.down()
    commands = (
        ("nodes",),
        ("call", "device.echo", "text=hi"),
        ("up",),
        ("jobs",),
        ("jobs", "show", "06ckm2"),
        ("events",),
        ("schedule", "list"),
        ("inbox",),
        ("people",),
        ("stream", "speech.stream", "text=hi", "--output", str(lab.root / "sound")),
    )
    for words in commands:
        said = await say(device, *words)
        assert said.code != 0
        assert said.error["code"] == "REVOKED", words
    with pytest.raises(Revoked):
        await device.join(lab.desk)
    await device.join(lab.desk, fresh=True)
    await device.up()
    await lab.alive("guest")
    assert (await say(device, "call", "device.echo", "text=hi", "--on", "guest")).code == 0
    old = Home(next((device.home.root / "former").iterdir()))
    assert Trust.load(old.identity).is_removed
