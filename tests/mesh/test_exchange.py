"""Artifacts between members: who may read what, and holders and askers that do not keep to the rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.exchange import Exchange
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.uplink import Uplink
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import AccessRefused, ArtifactDamaged, KindmeshError
from kindmesh.protocol.limits import ARTIFACT_CHUNK
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages import (
    ArtifactData,
    ArtifactGet,
    Heartbeat,
    MessageType,
    SessionType,
    TrustKnown,
)
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.permit import open_permit, sign_permit
from kindmesh.protocol.principal import OWNER, device_principal
from kindmesh.protocol.signed import Signed

CLOCK, ENTROPY = SystemClock(), SystemEntropy()
LETTER = b"Dear Ada, " * 60_000
BEAT = Heartbeat(1, 0, None, TrustKnown(), 0)


class Member:
    """A node with a store; `made` is what its journal would say of artifacts."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.name = name
        identity = rig.household.identities[name]
        self.trust = rig.household.trust(name)
        clock = MeshClock(CLOCK)
        post = Post(identity, self.trust, clock, ENTROPY)
        transport = rig.network.transport(name)
        self.uplink = Uplink(post, clock, ENTROPY, transport, scheme="memory://", addresses=["desk"])
        self.device_id = identity.device_id
        self.store = ArtifactStore.open(rig.folder / name, b"k" * 32)
        self.made: set[tuple[bytes, bytes]] = set()
        self.exchange = Exchange(self.uplink, self.store, self.trust, clock, self._produced)
        self.live = asyncio.Event()
        self.uplink.on_peer(self._peer)

    def _produced(self, job_id: bytes, artifact: bytes) -> bool:
        return any(name == artifact and job_id in (b"", job) for job, name in self.made)

    def _peer(self, peer: bytes, up: bool) -> None:
        if up:
            self.uplink.tell(peer, SessionType.HEARTBEAT, BEAT)
            self.live.set()

    def put(self, data: bytes = LETTER) -> ArtifactInfo:
        info = self.store.put(data, "text/plain")
        return ArtifactInfo(info.id, info.size, info.media_type, self.device_id)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.household = Household(9, int(time.time() * 1000))
        desk = self.household.add("desk", "coordinator")
        for name in ("phone", "kitchen"):
            self.household.add(name)
        self.network = MemoryNetwork(4)
        post = Post(desk, self.household.trust("desk"), CLOCK, ENTROPY)
        self.desk = Hub(post, CLOCK, ENTROPY, self.network.transport("desk"), "memory://desk")
        self.desk.on_session(SessionType.HEARTBEAT, lambda peer, ref, body: None)
        self.phone, self.kitchen = Member(self, "phone"), Member(self, "kitchen")

    def input_permit(self, reader: Member, info: ArtifactInfo, **changes: Any) -> tuple[Signed, bytes]:
        args = encode_value({"image": {"artifact": info.artifact.hex()}})
        permit = self.household.permit(
            target=reader.device_id,
            operation="vision.read_text",
            args=args,
            effects=int(Effect.READ),
            **changes,
        )
        return permit, args


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    await made.desk.start()
    for member in (made.phone, made.kitchen):
        await member.uplink.start()
        await asyncio.wait_for(member.live.wait(), 5)
    yield made
    for member in (made.phone, made.kitchen):
        await member.uplink.close()
    await made.desk.close()


async def test_an_input_is_fetched_by_the_device_that_the_owners_job_is_for(rig: Rig) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    await rig.kitchen.exchange.fetch(info, permit, args)
    assert rig.kitchen.store.read(info.artifact, 0, 10) == LETTER[:10]


async def test_a_device_that_only_knows_the_hash_gets_nothing_by_asking_for_a_job_of_its_own(
    rig: Rig,
) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=device_principal(rig.kitchen.device_id))
    with pytest.raises(AccessRefused):
        await rig.kitchen.exchange.fetch(info, permit, args)
    # The same file as the result of a job is another matter: for whom it was made, the coordinator checks.
    rig.phone.made.add((b"j" * 16, info.artifact))
    await rig.kitchen.exchange.fetch(info, permit, args)


async def test_what_a_device_asks_for_itself_may_use_its_own_files(rig: Rig) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=device_principal(rig.phone.device_id))
    await rig.kitchen.exchange.fetch(info, permit, args)


@pytest.mark.parametrize(
    "change",
    [
        lambda rig: {"target": rig.phone.device_id},
        lambda rig: {"mesh": b"m" * 20},
        lambda rig: {"expires_ms": rig.household.now_ms - 600_000},
        lambda rig: {"args_hash": b"h" * 32},
    ],
)
async def test_a_permit_that_does_not_fit_opens_nothing(
    rig: Rig, change: Callable[[Rig], dict[str, Any]]
) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    fits = open_permit(permit, rig.household.medulla.public)
    wrong = sign_permit(msgspec.structs.replace(fits, **change(rig)), rig.household.medulla)
    with pytest.raises(AccessRefused):
        await rig.kitchen.exchange.fetch(info, wrong, args)


@pytest.mark.parametrize(
    ("offset", "length"), [(2**53, 1), (0, 0), (0, 2**53), (10**6, 5), (0, ARTIFACT_CHUNK + 1)]
)
async def test_extreme_pieces_are_refused_by_name(rig: Rig, offset: int, length: int) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    answer: asyncio.Future[ArtifactData] = asyncio.get_running_loop().create_future()
    rig.kitchen.uplink.on(MessageType.ARTIFACT_DATA, lambda envelope, body: answer.set_result(body))
    request = ArtifactGet(info.artifact, offset, length, permit, args)
    rig.kitchen.uplink.post(rig.phone.device_id, MessageType.ARTIFACT_GET, request)
    error = (await asyncio.wait_for(answer, 5)).error
    assert error is not None
    assert error.code == "ARTIFACT_TOO_LARGE"


@pytest.mark.parametrize("size", [len(LETTER) - 1, len(LETTER) + 1, 1])
async def test_a_lie_about_the_size_is_noticed(rig: Rig, size: int) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    lie = ArtifactInfo(info.artifact, size, info.media_type, info.holder)
    with pytest.raises(ArtifactDamaged):
        await rig.kitchen.exchange.fetch(lie, permit, args)
    assert not rig.kitchen.store.has(info.artifact)


async def test_many_that_want_the_same_artifact_share_one_transfer_also_after_a_failure(rig: Rig) -> None:
    info = rig.phone.put()
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    wrong, _ = rig.input_permit(rig.phone, info, principal=OWNER)
    asked: list[int] = []
    serve = rig.phone.uplink._handlers[int(MessageType.ARTIFACT_GET)]

    def count(envelope: Any, body: ArtifactGet) -> None:
        asked.append(body.offset)
        serve(envelope, body)

    rig.phone.uplink.on(MessageType.ARTIFACT_GET, count)
    fetches = [rig.kitchen.exchange.fetch(info, one, args) for one in (wrong, permit, permit, permit)]
    ends = await asyncio.gather(*fetches, return_exceptions=True)
    assert [isinstance(end, KindmeshError) for end in ends] == [True, False, False, False]
    assert asked == [0, 0, ARTIFACT_CHUNK, 2 * ARTIFACT_CHUNK][: len(asked)]
    assert not rig.kitchen.exchange._fetching


def served(rig: Rig) -> list[int]:
    """Offsets that the phone is asked for, as they come."""
    asked: list[int] = []
    serve = rig.phone.uplink._handlers[int(MessageType.ARTIFACT_GET)]

    def count(envelope: Any, body: ArtifactGet) -> None:
        asked.append(body.offset)
        serve(envelope, body)

    rig.phone.uplink.on(MessageType.ARTIFACT_GET, count)
    return asked


async def stopped_after_a_chunk(rig: Rig, info: ArtifactInfo, permit: Signed, args: bytes) -> None:
    """A fetch whose task ends, as its process would, when the first chunk is in the store."""
    first = asyncio.Event()
    fetching = asyncio.ensure_future(rig.kitchen.exchange.fetch(info, permit, args, lambda part: first.set()))
    await asyncio.wait_for(first.wait(), 5)
    fetching.cancel()
    await asyncio.gather(fetching, return_exceptions=True)


async def test_a_transfer_whose_receiver_ended_goes_on_at_the_chunk_where_it_stopped(rig: Rig) -> None:
    info = rig.phone.put(LETTER * 2)
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    asked = served(rig)
    await stopped_after_a_chunk(rig, info, permit, args)
    before = len(asked)
    # The receiver starts again, with the same folder.
    rig.kitchen.store = ArtifactStore.open(rig.folder / "kitchen", b"k" * 32)
    rig.kitchen.exchange = Exchange(
        rig.kitchen.uplink, rig.kitchen.store, rig.kitchen.trust, CLOCK, rig.kitchen._produced
    )
    await rig.kitchen.exchange.fetch(info, permit, args)
    assert rig.kitchen.store.has(info.artifact)
    assert asked[before] >= ARTIFACT_CHUNK
    assert 0 not in asked[before:]


async def test_a_transfer_goes_on_where_it_stopped_when_the_coordinator_between_was_away(rig: Rig) -> None:
    info = rig.phone.put(LETTER * 2)
    permit, args = rig.input_permit(rig.kitchen, info, principal=OWNER)
    asked = served(rig)
    first = asyncio.Event()

    def progress(part: float) -> None:
        if not first.is_set():
            first.set()
            # Both sessions end; the nodes greet anew.
            rig.desk.drop(rig.phone.device_id)
            rig.desk.drop(rig.kitchen.device_id)

    await asyncio.wait_for(rig.kitchen.exchange.fetch(info, permit, args, progress), 20)
    assert rig.kitchen.store.has(info.artifact)
    assert asked.count(0) == 1
    assert sorted(asked) == asked
