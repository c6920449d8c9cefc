"""The door as the coordinator judges it, without sockets: every way through its table, and every way it refuses."""

from __future__ import annotations

import msgspec
import pytest
from tests.protocol.samples import ENROL_GRANTED, ENROL_HELLO, INVITATION, seed

from kindmesh.mesh.pairing_machine import (
    KNOCKS_MAX,
    Closed,
    Failed,
    Instruction,
    Knocked,
    Paired,
    PairingMachine,
    Send,
)
from kindmesh.protocol.crypto import CurveKey, SigningKey
from kindmesh.protocol.enrol import (
    DEVICE_DOMAIN,
    DONE_DOMAIN,
    EnrolChallenge,
    EnrolClosed,
    EnrolDone,
    EnrolGranted,
    EnrolHello,
    EnrolMessage,
    EnrolPending,
    EnrolProof,
    EnrolRefused,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import EnrolmentRefused, InvalidTransition, UnknownMember
from kindmesh.protocol.limits import PAIR_FAILURES_MAX

EXPIRES_MS = 1_000_000
NOW_MS = 1_000
NONCE = bytes(range(32))


class Guest:
    """A device at the door, with keys of its own."""

    def __init__(self, name: str, curve: str = "") -> None:
        self.signing = SigningKey(seed(f"pairing {name}"))
        self.hop = CurveKey(seed(f"pairing curve {curve or name}")).public
        self.hello: EnrolHello = msgspec.structs.replace(
            ENROL_HELLO,
            ed_pub=self.signing.public,
            curve_pub=self.hop,
            role=INVITATION.role,
        )
        self.hash = transcript(INVITATION, self.hello, EnrolChallenge(NONCE))

    @property
    def proof(self) -> EnrolProof:
        return EnrolProof(proof_mac(INVITATION, self.hash), self.signing.sign(DEVICE_DOMAIN + self.hash))

    @property
    def wrong_proof(self) -> EnrolProof:
        return EnrolProof(bytes(len(self.proof.mac)), self.proof.signature)

    @property
    def done(self) -> EnrolDone:
        return EnrolDone(self.signing.sign(DONE_DOMAIN + self.hash))


class Door:
    def __init__(self) -> None:
        self.machine = PairingMachine(INVITATION, EXPIRES_MS)

    def hear(self, guest: Guest, message: EnrolMessage, now_ms: int = NOW_MS) -> list[Instruction]:
        told = self.machine.handle(guest.hop, message, now_ms, NONCE)
        self.machine.validate()
        return told

    def knock(self, guest: Guest) -> list[Instruction]:
        self.hear(guest, guest.hello)
        return self.hear(guest, guest.proof)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def phone() -> Guest:
    return Guest("phone")


def refusals(told: list[Instruction]) -> list[str]:
    return [
        one.message.error.message
        for one in told
        if isinstance(one, Send) and isinstance(one.message, EnrolRefused)
    ]


def test_a_device_that_proves_itself_and_is_granted_gets_in(door: Door, phone: Guest) -> None:
    assert door.hear(phone, phone.hello) == [Send(phone.hop, EnrolChallenge(NONCE))]
    pending, knocked = door.hear(phone, phone.proof)
    assert pending == Send(phone.hop, EnrolPending())
    assert isinstance(knocked, Knocked)
    assert len(knocked.code) == 4
    assert door.machine.grant(phone.hop, ENROL_GRANTED) == [Send(phone.hop, ENROL_GRANTED)]
    assert door.hear(phone, phone.done) == [
        Send(phone.hop, EnrolClosed()),
        Paired(phone.hop, phone.hello),
        Closed("paired"),
    ]
    assert not door.machine.admits(phone.hop)


def test_a_device_whose_link_broke_gets_the_same_papers_again(door: Door, phone: Guest) -> None:
    door.knock(phone)
    door.machine.grant(phone.hop, ENROL_GRANTED)
    assert door.knock(phone) == [Send(phone.hop, ENROL_GRANTED)]
    assert isinstance(door.hear(phone, phone.done)[-1], Closed)


def test_a_used_invitation_lets_nobody_else_in(door: Door, phone: Guest) -> None:
    door.knock(phone)
    late, twin = Guest("late"), Guest("twin", curve="phone")
    door.hear(late, late.hello)
    door.machine.grant(phone.hop, ENROL_GRANTED)
    assert door.machine.admits(phone.hop)
    assert not door.machine.admits(Guest("stranger").hop)
    for guest in (Guest("stranger"), late, twin):
        assert refusals(door.hear(guest, guest.hello)) == ["this invitation was used already"]


def test_the_grant_turns_away_those_who_stood_at_the_door_already(door: Door, phone: Guest) -> None:
    proven, unproven = Guest("proven"), Guest("unproven")
    for guest in (phone, proven, unproven):
        door.hear(guest, guest.hello)
    for guest in (phone, proven):
        door.hear(guest, guest.proof)
    told = door.machine.grant(phone.hop, ENROL_GRANTED)
    assert told[0] == Send(phone.hop, ENROL_GRANTED)
    assert [send.hop_key for send in told[1:] if isinstance(send, Send)] == [proven.hop, unproven.hop]
    assert len(refusals(told)) == 2
    assert refusals(door.hear(unproven, unproven.proof))
    with pytest.raises(InvalidTransition):
        door.machine.grant(proven.hop, ENROL_GRANTED)
    # Also one whose hello came in between.
    door.machine.knocks[unproven.hop].state = "challenged"
    assert refusals(door.hear(unproven, unproven.proof))
    door.machine.validate()


def test_the_owner_refuses_and_only_who_waits_can_be_answered(door: Door, phone: Guest) -> None:
    with pytest.raises(UnknownMember):
        door.machine.refuse(phone.hop, EnrolmentRefused("no"))
    door.knock(phone)
    assert refusals(door.machine.refuse(phone.hop, EnrolmentRefused("no"))) == ["no"]
    with pytest.raises(InvalidTransition, match="refused cannot grant"):
        door.machine.grant(phone.hop, ENROL_GRANTED)


def test_a_wrong_proof_counts_and_enough_of_them_close_the_window(door: Door, phone: Guest) -> None:
    told: list[Instruction] = []
    for left in range(PAIR_FAILURES_MAX - 1, -1, -1):
        door.hear(phone, phone.hello)
        told = door.hear(phone, phone.wrong_proof)
        assert [one.left for one in told if isinstance(one, Failed)] == [left]
    assert told[-1] == Closed("failures")
    assert refusals(door.hear(phone, phone.hello)) == ["the window is closed"]


def test_messages_out_of_turn_are_refused(door: Door, phone: Guest) -> None:
    assert refusals(door.hear(phone, phone.proof)) == ["a device has to say hello first"]
    door.hear(phone, phone.hello)
    assert refusals(door.hear(phone, EnrolPending())) == ["this message is not a device's to send"]
    door.knock(phone)
    assert refusals(door.hear(phone, phone.proof)) == ["the proof came twice"]


def test_a_confirmation_before_the_grant_is_refused(door: Door, phone: Guest) -> None:
    door.knock(phone)
    assert refusals(door.hear(phone, phone.done)) == ["a knock that is pending cannot done"]


def test_those_who_wait_are_told_when_the_window_closes(door: Door, phone: Guest) -> None:
    shy = Guest("shy")
    door.knock(phone)
    door.hear(shy, shy.hello)
    told = door.machine.tick(EXPIRES_MS)
    assert refusals(told) == ["the window was closed"] * 2
    assert told[-1] == Closed("expired")
    assert door.machine.tick(EXPIRES_MS) == door.machine.close() == []


def test_a_confirmation_that_comes_again_changes_nothing(door: Door, phone: Guest) -> None:
    door.knock(phone)
    door.machine.grant(phone.hop, ENROL_GRANTED)
    door.hear(phone, phone.done)
    door.machine.open = True
    assert door.hear(phone, phone.done) == [Send(phone.hop, EnrolClosed())]


def test_a_flood_of_knocks_crowds_out_only_who_proved_nothing(door: Door) -> None:
    guests = [Guest(str(number)) for number in range(KNOCKS_MAX + 2)]
    for guest in guests[: KNOCKS_MAX + 1]:
        door.hear(guest, guest.hello)
    assert guests[0].hop not in door.machine.knocks
    for guest in guests[1 : KNOCKS_MAX + 1]:
        assert isinstance(door.hear(guest, guest.proof)[-1], Knocked)
    assert refusals(door.hear(guests[-1], guests[-1].hello)) == ["too many devices are waiting"]


def granted(machine: PairingMachine, guest: Guest, papers: EnrolGranted | None) -> None:
    machine.handle(guest.hop, guest.hello, NOW_MS, NONCE)
    machine.knocks[guest.hop].papers = papers


def test_broken_rules_are_noticed(phone: Guest) -> None:
    machine = PairingMachine(INVITATION, EXPIRES_MS)
    granted(machine, phone, ENROL_GRANTED)
    with pytest.raises(InvalidTransition, match="not burned"):
        machine.validate()
    machine = PairingMachine(INVITATION, EXPIRES_MS)
    machine.failures = PAIR_FAILURES_MAX
    with pytest.raises(InvalidTransition, match="too many failures"):
        machine.validate()
    machine = PairingMachine(INVITATION, EXPIRES_MS)
    granted(machine, phone, None)
    machine.knocks |= {bytes([number]) * 32: machine.knocks[phone.hop] for number in range(KNOCKS_MAX)}
    with pytest.raises(InvalidTransition, match="too many knocks"):
        machine.validate()
