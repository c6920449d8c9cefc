"""Coming back at the enrol door, over real sockets and in memory; and what is refused there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.enrol_host import EnrolHost
from kindmesh.mesh.memory import MemoryNetwork
from kindmesh.mesh.readmit_guest import come_back
from kindmesh.mesh.readmit_host import RATE, WAITING_MAX, ReadmitHost
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.protocol.anchors import AnchorList, open_bundle, sign_anchors
from kindmesh.protocol.certificate import Certificate, open_certificate, sign_certificate
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import EnrolChallenge, EnrolGranted, EnrolPending, EnrolRefused
from kindmesh.protocol.errors import (
    CertificateRefused,
    KindmeshError,
    NeedsApproval,
    PeerUnreachable,
    Revoked,
)
from kindmesh.protocol.policy import sign_policy
from kindmesh.protocol.readmit import (
    Readmission,
    ReadmitHello,
    ReadmitMessage,
    ReadmitProof,
    open_readmission,
    sign_readmission,
)

CLOCK, ENTROPY = SystemClock(), SystemEntropy()


class Door:
    """The door of a coordinator that was made anew for `before`'s mesh; `answer` is what it decides."""

    def __init__(self, transport: Transport, scheme: str, listen: str) -> None:
        now_ms = int(time.time() * 1000)
        self.transport, self.scheme = transport, scheme
        self.before = Household(11, now_ms - 1_000)
        self.before.add("desk", "coordinator")
        self.phone = self.before.add("phone")
        self.trust = self.before.trust("phone")
        self.heir = Household(12, now_ms)
        self.heir.root, self.heir.mesh = self.before.root, self.before.mesh
        self.heir.bundle = sign_anchors(
            AnchorList(self.heir.mesh, now_ms, now_ms, self._anchors()), self.before.root
        )
        self.desk = self.heir.add("attic", "coordinator")
        self.coordinator = self._opened("attic")
        self.host = EnrolHost(CLOCK, ENTROPY, transport, listen, self.desk.curve)
        self.asked: list[ReadmitProof] = []
        self.answer: KindmeshError | None = None
        self.wider = False
        self.host.take_back(self.decide)

    def _anchors(self) -> tuple[Certificate, ...]:
        house = self.heir
        return (
            house._certificate(house.owner, "person", "Owner", ("owner",)),
            house._certificate(house.issuer, "issuer", "issuer", ()),
            house._certificate(house.medulla, "medulla", "medulla", ()),
        )

    def _opened(self, name: str) -> Certificate:
        return open_certificate(self.heir.certificates[name], self.heir.issuer.public, self.heir.mesh)

    async def decide(self, hop_key: bytes, proof: ReadmitProof) -> EnrolGranted:
        assert hop_key == self.phone.curve.public
        open_readmission(proof.wish, self.phone.signing.public)
        self.asked.append(proof)
        if self.answer is not None:
            raise self.answer
        serial = self.trust.certificate.serial + 1
        roles = ("node", "bridge") if self.wider else ("node",)
        anew = msgspec.structs.replace(self.trust.certificate, serial=serial, roles=roles)
        self.heir.certificates["phone"] = sign_certificate(anew, self.heir.issuer)
        return EnrolGranted(
            bundle=self.heir.bundle,
            certificate=self.heir.certificates["phone"],
            coordinator=self.heir.certificates["attic"],
            rosters=(self.heir.roster(),),
            revocations=(self.heir.revocations(),),
            policy=sign_policy(
                msgspec.structs.replace(self.heir.policy, mesh=self.heir.mesh, version=9), self.heir.owner
            ),
            addresses=("127.0.0.1:7437",),
        )

    async def come(self) -> EnrolGranted:
        return await come_back(
            self.host.address.removeprefix(self.scheme),
            self.coordinator,
            open_bundle(self.heir.bundle, self.heir.mesh).version,
            trust=self.trust,
            identity=self.phone,
            clock=CLOCK,
            transport=self.transport,
            scheme=self.scheme,
        )


@pytest.fixture(params=["memory", "zmq"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    if request.param == "memory":
        made = Door(MemoryNetwork().transport("here"), "memory://", "memory://door")
    else:
        made = Door(ZmqTransport(), "tcp://", "tcp://127.0.0.1:0")
    await made.host.start()
    yield made
    await made.host.close()


async def test_a_device_of_before_is_let_in_without_a_window(door: Door) -> None:
    granted = await door.come()
    assert door.asked[0].credentials == door.trust.credentials
    trust = door.trust
    trust.readmit(granted)
    assert trust.signed_certificate == granted.certificate
    assert not trust.is_retired
    assert trust.coordinator == door.coordinator
    assert trust.addresses == ("127.0.0.1:7437",)
    assert trust.policy.version == 9
    assert trust.credentials.bundles == (door.heir.bundle,), "nothing of before is needed any more"
    again = Trust(None, trust._content)
    assert again.certificate == trust.certificate


@pytest.mark.parametrize(
    "error", [NeedsApproval("ask the owner"), Revoked("removed"), CertificateRefused("no")]
)
async def test_a_no_says_why(door: Door, error: KindmeshError) -> None:
    door.answer = error
    with pytest.raises(type(error)):
        await door.come()
    assert door.trust.credentials.bundles == (door.before.bundle,)


async def test_papers_that_make_more_of_the_device_are_not_taken(door: Door) -> None:
    door.wider = True
    with pytest.raises(CertificateRefused):
        await door.come()


async def test_a_coordinator_without_that_key_gets_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kindmesh.mesh.readmit_guest.ANSWER_S", 0.5)
    door.coordinator = msgspec.structs.replace(door.coordinator, curve_pub=door.phone.curve.public)
    with pytest.raises(PeerUnreachable):
        async with asyncio.timeout(30):
            await door.come()
    assert door.asked == []


class Asked:
    """A host without a transport: what it says is kept."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, ReadmitMessage]] = []
        self.decided = 0
        self.host = ReadmitHost(ENTROPY, lambda hop, message: self.said.append((hop, message)), self.decide)

    async def decide(self, hop_key: bytes, proof: ReadmitProof) -> EnrolGranted:
        self.decided += 1
        raise NeedsApproval("ask")

    def hear(self, hop: bytes, message: msgspec.Struct) -> ReadmitMessage:
        self.host.receive(hop, encode(message))
        return self.said[-1][1]


def proof_for(door: Household, nonce: bytes, name: str = "phone") -> ReadmitProof:
    phone = door.identities[name]
    trust = door.trust(name)
    wish = Readmission(door.mesh, phone.device_id, trust.certificate.serial, 1, nonce, 1)
    return ReadmitProof(sign_readmission(wish, phone.signing), trust.credentials)


async def test_a_challenge_is_answered_once_and_by_whom_it_was_for() -> None:
    house = Household(13, 1_800_000_000_000)
    house.add("desk", "coordinator")
    phone, other = house.add("phone"), house.add("other")
    asked = Asked()
    hop = phone.curve.public
    hello = ReadmitHello(1, phone.device_id, hop)

    first = asked.hear(hop, hello)
    assert isinstance(first, EnrolChallenge)
    proof = proof_for(house, first.nonce)
    assert isinstance(asked.hear(other.curve.public, proof), EnrolRefused), "over another connection"
    asked.hear(hop, proof)
    await asyncio.sleep(0.05)
    assert isinstance(asked.said[-1][1], EnrolPending)
    assert isinstance(asked.hear(hop, proof), EnrolRefused), "again"
    second = asked.hear(hop, hello)
    assert isinstance(second, EnrolChallenge)
    assert second.nonce != first.nonce
    assert isinstance(asked.hear(hop, proof), EnrolRefused), "to a later challenge"
    third = asked.hear(hop, hello)
    assert isinstance(third, EnrolChallenge)
    assert isinstance(asked.hear(hop, proof_for(house, third.nonce, "other")), EnrolRefused), (
        "by another device"
    )
    assert asked.decided == 1
    await asked.host.close()


async def test_noise_and_claims_are_refused_and_nothing_grows() -> None:
    asked = Asked()
    refused = (
        b"",
        b"\xc1" * 50,
        encode(EnrolPending()),
        encode(ReadmitHello(2, b"s" * 20, b"k" * 32)),
        encode(ReadmitHello(1, b"s" * 20, b"x" * 32)),
    )
    for data in refused:
        asked.host.receive(b"k" * 32, data)
        assert isinstance(asked.said[-1][1], EnrolRefused), data
    for number in range(int(RATE) * 5):
        key = number.to_bytes(32, "big")
        asked.host.receive(key, encode(ReadmitHello(1, b"s" * 20, key)))
    challenged = sum(isinstance(message, EnrolChallenge) for _, message in asked.said)
    assert RATE - 1 <= challenged < RATE * 5
    assert len(asked.host._waiting) <= WAITING_MAX
    await asked.host.close()
