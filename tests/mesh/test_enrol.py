"""Pairing over real sockets and in memory: the whole way, and every way it is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.enrol_guest import Guest
from kindmesh.mesh.enrol_host import EnrolHost, Purpose, WindowEvent
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.pairing_machine import Closed, Failed, Greeted, Knocked, Paired
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.enrol import (
    EnrolGranted,
    Invitation,
    OfferSummary,
    invitation_from_text,
    invitation_to_text,
)
from kindmesh.protocol.errors import CertificateRefused, DeadlineExceeded, EnrolmentRefused, PeerUnreachable
from kindmesh.protocol.limits import PAIR_FAILURES_MAX
from kindmesh.protocol.policy import sign_policy

ENTROPY = SystemEntropy()
OFFERS = (OfferSummary("speech", "Speech", 9),)


class Door:
    """A coordinator's door with an owner who can be told what to answer."""

    def __init__(self, transport: Transport, scheme: str, listen: str) -> None:
        self.household = Household(3, int(time.time() * 1000))
        self.desk = self.household.add("desk", "coordinator")
        self.transport, self.scheme = transport, scheme
        self.host = EnrolHost(SystemClock(), ENTROPY, transport, listen, self.desk.curve)
        self.events: asyncio.Queue[WindowEvent] = asyncio.Queue()

    def open(self, ttl_ms: int = 60_000) -> Invitation:
        return self.host.open(self.purpose(), ttl_ms=ttl_ms, watch=self.watch)

    def purpose(self, code: str = "") -> Purpose:
        return Purpose(
            mesh=self.household.mesh,
            ed_pub=self.desk.signing.public,
            hints=[self.host.address.removeprefix(self.scheme)],
            code=code,
        )

    def watch(self, event: WindowEvent) -> None:
        """The owner's program answers every hello; the rest is for the test."""
        if isinstance(event, Greeted):
            self.host.challenge(event.hop_key, ENTROPY.token(32))
        else:
            self.events.put_nowait(event)

    def papers(self, identity: Identity) -> EnrolGranted:
        self.household.identities["guest"] = identity
        self.household.certificates["guest"] = self.household._certify(
            identity.signing, "device", "guest", ("node",), self.household.issuer, identity.curve.public
        )
        return EnrolGranted(
            bundle=self.household.bundle,
            certificate=self.household.certificates["guest"],
            coordinator=self.household.certificates["desk"],
            rosters=(self.household.roster(),),
            revocations=(self.household.revocations(),),
            policy=sign_policy(self.household.policy, self.household.owner),
            addresses=("127.0.0.1:1",),
        )

    def guest(self, invitation: Invitation, identity: Identity | None = None) -> tuple[Guest, Identity]:
        identity = identity or Identity(
            SigningKey(ENTROPY.token(32)), CurveKey(ENTROPY.token(32)), 1, ENTROPY.token(8)
        )
        guest = Guest(
            invitation,
            identity,
            "kitchen",
            OFFERS,
            transport=self.transport,
            entropy=ENTROPY,
            scheme=self.scheme,
        )
        return guest, identity

    async def next(self, kind: type[Any]) -> Any:
        event = await asyncio.wait_for(self.events.get(), 10)
        assert isinstance(event, kind), event
        return event


@pytest.fixture(params=["memory", "zmq"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    if request.param == "memory":
        made = Door(MemoryNetwork(5).transport("all"), "memory://", "memory://door")
    else:
        made = Door(ZmqTransport(), "tcp://", "tcp://127.0.0.1:0")
    await made.host.start()
    yield made
    await made.host.close()


async def test_a_device_with_the_invitation_is_let_in_when_the_owner_agrees(door: Door) -> None:
    invitation = invitation_from_text(invitation_to_text(door.open()))
    guest, identity = door.guest(invitation)
    codes: list[str] = []
    stored: list[EnrolGranted] = []
    joining = asyncio.ensure_future(guest.knock(codes.append, stored.append, 20))
    knock = await door.next(Knocked)
    assert knock.hello.name == "kitchen"
    assert knock.hello.offers == OFFERS
    papers = door.papers(identity)
    door.host.grant(knock.hop_key, papers)
    assert await joining == papers
    assert stored == [papers]
    assert codes == [knock.code]
    await door.next(Paired)
    assert (await door.next(Closed)).reason == "paired"


async def test_the_owner_can_refuse(door: Door) -> None:
    guest, _ = door.guest(door.open())
    joining = asyncio.ensure_future(guest.knock(lambda code: None, lambda papers: None, 20))
    knock = await door.next(Knocked)
    door.host.refuse(knock.hop_key, EnrolmentRefused("the owner said no"))
    with pytest.raises(EnrolmentRefused, match="the owner said no"):
        await joining


async def test_a_guessed_secret_is_refused_and_five_of_them_close_the_window(door: Door) -> None:
    invitation = door.open()
    wrong = msgspec.structs.replace(invitation, secret=b"x" * 16)
    for attempt in range(PAIR_FAILURES_MAX):
        guest, _ = door.guest(wrong)
        with pytest.raises(EnrolmentRefused):
            await guest.knock(lambda code: None, lambda papers: None, 20)
        failed = await door.next(Failed)
        assert failed.left == PAIR_FAILURES_MAX - 1 - attempt
    assert (await door.next(Closed)).reason == "failures"
    guest, _ = door.guest(invitation)
    with pytest.raises((PeerUnreachable, DeadlineExceeded, EnrolmentRefused)):
        await guest.knock(lambda code: None, lambda papers: None, 6)


async def test_papers_for_another_device_or_from_another_mesh_are_not_stored(door: Door) -> None:
    invitation = door.open()
    guest, _ = door.guest(invitation)
    stored: list[EnrolGranted] = []
    joining = asyncio.ensure_future(guest.knock(lambda code: None, stored.append, 20))
    knock = await door.next(Knocked)
    _, other = door.guest(invitation)
    door.host.grant(knock.hop_key, door.papers(other))
    with pytest.raises((EnrolmentRefused, CertificateRefused)):
        await joining
    assert stored == []


async def test_a_used_invitation_lets_nobody_else_in(door: Door) -> None:
    invitation = door.open()
    guest, identity = door.guest(invitation)
    joining = asyncio.ensure_future(guest.knock(lambda code: None, lambda papers: None, 20))
    knock = await door.next(Knocked)
    door.host.grant(knock.hop_key, door.papers(identity))
    await joining
    second, _ = door.guest(invitation)
    with pytest.raises((PeerUnreachable, DeadlineExceeded, EnrolmentRefused)):
        await second.knock(lambda code: None, lambda papers: None, 6)


async def test_a_window_closes_by_itself(door: Door) -> None:
    door.open(ttl_ms=50)
    assert (await door.next(Closed)).reason == "expired"


async def test_a_man_in_the_middle_with_another_key_is_not_talked_to(door: Door) -> None:
    invitation = msgspec.structs.replace(door.open(), curve_pub=CurveKey(b"m" * 32).public)
    guest, _ = door.guest(invitation)
    with pytest.raises((PeerUnreachable, DeadlineExceeded)):
        await guest.knock(lambda code: None, lambda papers: None, 6)
    assert door.events.empty()
