"""Finding home again: what a node does with the mesh's papers, and what it leaves alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.node.homecoming import AWAY_BEATS, PATIENCE, PAUSE_MAX, Homecoming
from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.certificate import Certificate, open_certificate, sign_certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import EnrolGranted
from kindmesh.protocol.errors import CertificateRefused, PeerUnreachable
from kindmesh.protocol.papers import MeshPapers, ReadPapers, read_papers
from kindmesh.protocol.signed import Signed


class Away:
    """An uplink that is told whether it is connected; what it was told to dial is kept."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.up = False
        self.followed: list[Sequence[str]] = []
        self.hinted: list[str] = []

    @property
    def coordinator(self) -> bytes:
        return self.trust.coordinator.subject

    def connected(self, peer: bytes) -> bool:
        return self.up

    def follow(self, addresses: Sequence[str]) -> None:
        self.followed.append(addresses)

    def hint(self, address: str) -> None:
        self.hinted.append(address)


class World:
    """A phone whose coordinator does not answer; `papers` are what is given at the only place it knows."""

    def __init__(self) -> None:
        self.house = Household(21, int(time.time() * 1000))
        self.house.add("desk", "coordinator")
        self.house.add("phone")
        self.trust = self.house.trust("phone")
        self.uplink = Away(self.trust)
        self.papers: MeshPapers | None = None
        self.asked: list[str] = []
        self.home = Homecoming(
            cast(Uplink, self.uplink),
            self.trust,
            ask=self.ask,
            come_back=self.come_back,
            places=lambda: ["192.0.2.7:7437", "192.0.2.7:7437", "nowhere"],
        )

    async def ask(self, place: str, mesh: bytes) -> ReadPapers:
        self.asked.append(place)
        if self.papers is None:
            raise PeerUnreachable()
        return read_papers(encode(self.papers), mesh)

    async def come_back(self, door: str, coordinator: Certificate, version: int) -> EnrolGranted:
        raise CertificateRefused(f"not at {door}")

    def certificate(self, **changes: Any) -> Signed:
        now = open_certificate(self.house.certificates["desk"], self.house.issuer.public, self.house.mesh)
        return sign_certificate(msgspec.structs.replace(now, **changes), self.house.issuer)

    def give(self, *coordinators: Signed) -> None:
        lists = (self.house.revocations(),)
        self.papers = MeshPapers(1, self.house.bundle, coordinators, lists, ("198.51.100.9:7437",), ())

    async def beat(self, times: int = PATIENCE) -> None:
        for _ in range(times):
            self.home.beat()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if self.home._task is not None:
                await self.home._task


async def test_it_asks_after_some_beats_alone_and_ever_less_often() -> None:
    world = World()
    await world.beat(PATIENCE - 1)
    assert world.asked == []
    await world.beat(1)
    assert world.asked == ["192.0.2.7:7439"]
    await world.beat(400)
    assert 400 / PAUSE_MAX <= len(world.asked) < 20
    world.uplink.up = True
    await world.beat(100)
    asked = len(world.asked)
    world.uplink.up = False
    await world.beat(PATIENCE)
    assert len(world.asked) == asked + 1
    await world.home.close()


async def test_the_same_coordinator_with_newer_keys_is_dialled_with_them() -> None:
    world = World()
    serial = world.trust.coordinator.serial
    world.give(world.certificate(serial=serial + 1, curve_pub=b"c" * 32))
    await world.beat()
    assert world.trust.coordinator.curve_pub == b"c" * 32
    assert world.uplink.followed == [["192.0.2.7:7437", "198.51.100.9:7437"]]
    assert Trust(None, world.trust._content).coordinator.serial == serial + 1


async def test_the_same_coordinator_elsewhere_is_a_hint() -> None:
    world = World()
    world.give(world.house.certificates["desk"])
    await world.beat()
    assert world.uplink.hinted == ["192.0.2.7:7437", "198.51.100.9:7437"]
    assert world.uplink.followed == []


async def test_another_coordinator_is_followed_only_when_the_own_one_stays_away() -> None:
    world = World()
    world.house.add("attic", "coordinator")
    world.give(world.house.certificates["attic"])
    world.trust.membership.merge_roster(world.house.roster())
    await world.beat(AWAY_BEATS - 2)
    assert world.uplink.followed == []
    await world.beat(AWAY_BEATS)
    assert world.trust.coordinator.name == "attic"
    assert world.uplink.followed


async def test_a_removed_device_learns_that_it_was() -> None:
    world = World()
    assert not world.trust.is_removed
    world.house.revoked.append(world.house.identities["phone"].device_id)
    world.give(world.certificate(serial=99, curve_pub=b"c" * 32))
    await world.beat()
    assert bool(world.home.removed)
    assert Trust(None, world.trust._content).is_removed
    assert world.uplink.followed == []


async def test_older_papers_and_papers_of_others_change_nothing() -> None:
    world = World()
    world.give(world.certificate(serial=99))
    before = world.trust._content
    newer = msgspec.structs.replace(open_bundle(world.house.bundle, world.house.mesh), version=2**50)
    world.trust.membership.adopt(newer)
    await world.beat()
    assert world.trust._content is before
    stranger = World()
    stranger.papers = msgspec.structs.replace(
        cast(MeshPapers, world.papers), bundle=Household(22, world.house.now_ms).bundle
    )
    await stranger.beat()
    assert stranger.uplink.followed == []
    assert stranger.uplink.hinted == []


@pytest.mark.parametrize("doors", [(), ("192.0.2.7:7438",)])
async def test_a_coordinator_that_was_replaced_is_asked_to_let_this_device_in(doors: tuple[str, ...]) -> None:
    world = World()
    heir = Household(23, world.house.now_ms + 1)
    heir.root, heir.mesh = world.house.root, world.house.mesh
    from kindmesh.protocol.anchors import AnchorList, sign_anchors

    anchors = (
        heir._certificate(heir.owner, "person", "Owner", ("owner",)),
        heir._certificate(heir.issuer, "issuer", "issuer", ()),
        heir._certificate(heir.medulla, "medulla", "medulla", ()),
    )
    heir.bundle = sign_anchors(AnchorList(heir.mesh, 2**45, 2**45, anchors), heir.root)
    heir.add("attic", "coordinator")
    world.papers = MeshPapers(1, heir.bundle, (heir.certificates["attic"],), (), (), doors)
    await world.beat()
    assert (world.home.problem is not None) == bool(doors)
    assert world.trust.bundle == world.house.bundle, "nothing is taken over before it was let in"
    world.uplink.up = True
    await world.beat(1)
    assert world.home.problem is None
