"""The door as the coordinator judges it, without sockets: every way through its table, and every way it refuses."""

from __future__ import annotations

import msgspec
import pytest
from tests.protocol.samples import ENROL_GRANTED, ENROL_HELLO, INVITATION, seed

from kindmesh.mesh.pairing_machine import (
    Closed,
    Exchange,
    Failed,
    Greeted,
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
    Invitation,
    check_code,
    host_mac,
    nonce_commitment,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import EnrolmentRefused, InvalidTransition, UnknownMember
from kindmesh.protocol.limits import PAIR_FAILURES_MAX, PAIR_HELLOS_MAX
from kindmesh.protocol.typed import (
    TypedConfirm,
    TypedShare,
    TypedStart,
    typed_accepted,
    typed_confirm,
    typed_secret,
)

EXPIRES_MS = 1_000_000
NOW_MS = 1_000
NONCE = bytes(range(32))


class Guest:
    """A device at the door, with keys of its own."""

    def __init__(
        self, name: str, curve: str = "", invitation: Invitation = INVITATION, nonce: bytes = b""
    ) -> None:
        self.invitation = invitation
        self.nonce = nonce or seed(f"nonce {name}")
        self.signing = SigningKey(seed(f"pairing {name}"))
        self.hop = CurveKey(seed(f"pairing curve {curve or name}")).public
        self.hello: EnrolHello = msgspec.structs.replace(
            ENROL_HELLO,
            ed_pub=self.signing.public,
            curve_pub=self.hop,
            role=INVITATION.role,
            commitment=nonce_commitment(self.nonce),
        )
        self.hash = transcript(invitation, self.hello, EnrolChallenge(NONCE), self.nonce)

    @property
    def proof(self) -> EnrolProof:
        mac = proof_mac(self.invitation, self.hash)
        return EnrolProof(mac, self.signing.sign(DEVICE_DOMAIN + self.hash), self.nonce)

    @property
    def wrong_proof(self) -> EnrolProof:
        return EnrolProof(bytes(len(self.proof.mac)), self.proof.signature, self.nonce)

    @property
    def done(self) -> EnrolDone:
        return EnrolDone(self.signing.sign(DONE_DOMAIN + self.hash))


class Door:
    """The machine, with an owner's program that answers every hello at once."""

    def __init__(self, *, typed: bool = False, only: tuple[bytes, bytes] | None = None) -> None:
        self.machine = PairingMachine(INVITATION, EXPIRES_MS, typed=typed, only=only)

    def hear(self, guest: Guest, message: EnrolMessage, now_ms: int = NOW_MS) -> list[Instruction]:
        told = self.machine.handle(guest.hop, message, now_ms)
        self.machine.validate()
        if told and isinstance(told[-1], Greeted):
            assert told.pop() == Greeted(guest.hop, guest.hello)
            told += self.machine.challenge(guest.hop, NONCE)
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
    assert pending == Send(phone.hop, EnrolPending(host_mac(INVITATION, phone.hash)))
    assert knocked == Knocked(phone.hop, phone.hello, check_code(phone.hash), phone.nonce)
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
    assert refusals(door.hear(phone, EnrolPending(bytes(32)))) == ["this message is not a device's to send"]
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


def test_a_flood_of_hellos_closes_the_window(door: Door) -> None:
    guests = [Guest(str(number)) for number in range(PAIR_HELLOS_MAX + 1)]
    for guest in guests[:-1]:
        assert door.hear(guest, guest.hello) == [Send(guest.hop, EnrolChallenge(NONCE))]
    told = door.hear(guests[-1], guests[-1].hello)
    assert told[-1] == Closed("knocks")
    assert refusals(told) == ["too many devices have knocked", *["the window was closed"] * PAIR_HELLOS_MAX]


def test_nobody_meets_a_wanted_code_by_saying_hello_again_and_again(door: Door, phone: Guest) -> None:
    """A thief of the invitation gets one code for each hello, and cannot choose it: it commits first."""
    door.knock(phone)
    wanted, codes = check_code(phone.hash), []
    for number in range(PAIR_HELLOS_MAX):
        told = door.knock(Guest("thief", nonce=seed(f"try {number}")))
        codes += [one.code for one in told if isinstance(one, Knocked)]
    assert len(set(codes)) == len(codes) == PAIR_HELLOS_MAX - 1
    assert wanted not in codes
    assert not door.machine.open


def test_a_nonce_that_was_not_committed_to_is_refused(door: Door, phone: Guest) -> None:
    door.hear(phone, phone.hello)
    phone.nonce = seed("better nonce")
    phone.hash = transcript(INVITATION, phone.hello, EnrolChallenge(NONCE), phone.nonce)
    assert refusals(door.hear(phone, phone.proof)) == ["the device changed its nonce after it had seen ours"]


def test_two_devices_with_the_same_code_cannot_both_wait(door: Door, phone: Guest) -> None:
    door.knock(phone)
    door.machine.knocks[phone.hop].code = check_code(Guest("twin").hash)
    assert refusals(door.knock(Guest("twin"))) == ["another device at the door has the same code"]
    door.knock(Guest("other"))
    door.machine.knocks[Guest("other").hop].code = door.machine.knocks[phone.hop].code
    with pytest.raises(InvalidTransition, match="same code"):
        door.machine.validate()


def test_a_challenge_is_given_once_and_only_to_who_said_hello(door: Door, phone: Guest) -> None:
    with pytest.raises(UnknownMember):
        door.machine.challenge(phone.hop, NONCE)
    assert door.machine.handle(phone.hop, phone.hello, NOW_MS) == [Greeted(phone.hop, phone.hello)]
    assert refusals(door.hear(phone, phone.proof)) == ["the proof came before the challenge"]
    door.hear(phone, phone.hello)
    with pytest.raises(InvalidTransition, match="challenged cannot challenge"):
        door.machine.challenge(phone.hop, NONCE)


def test_papers_are_given_again_to_one_who_proves_itself_twice(door: Door, phone: Guest) -> None:
    door.knock(phone)
    door.machine.grant(phone.hop, ENROL_GRANTED)
    assert door.hear(phone, phone.proof) == [Send(phone.hop, ENROL_GRANTED)]


def test_a_window_for_a_label_is_for_that_device_only(phone: Guest) -> None:
    door = Door(only=(phone.hello.ed_pub, phone.hop))
    stranger = Guest("stranger")
    assert not door.machine.admits(stranger.hop)
    assert refusals(door.hear(stranger, stranger.hello)) == ["this window is for another device"]
    assert door.machine.admits(phone.hop)
    assert isinstance(door.knock(phone)[-1], Knocked)


# ------------------------------------------------------------------------------------------------------ typed codes

KEY = seed("spake")
SHARE = b"A" + seed("share")
TYPED = msgspec.structs.replace(INVITATION, secret=typed_secret(KEY))


def begin(door: Door, guest: Guest) -> list[Instruction]:
    assert door.hear(guest, TypedStart(1, SHARE)) == [Exchange(guest.hop, SHARE)]
    return door.machine.exchanged(guest.hop, SHARE, KEY)


def test_a_device_with_the_typed_code_knocks_with_the_secret_that_it_derived() -> None:
    door, phone = Door(typed=True), Guest("phone", invitation=TYPED)
    assert begin(door, phone) == [Send(phone.hop, TypedShare(SHARE))]
    told = door.hear(phone, typed_confirm(KEY))
    assert told == [Send(phone.hop, typed_accepted(KEY, INVITATION.expires_s, INVITATION.role))]
    assert door.machine.failures == 0
    assert isinstance(door.knock(phone)[-1], Knocked)
    assert door.machine.grant(phone.hop, ENROL_GRANTED) == [Send(phone.hop, ENROL_GRANTED)]
    assert refusals(door.hear(Guest("late"), TypedStart(1, SHARE))) == ["this code was used already"]
    assert isinstance(door.hear(phone, phone.done)[-1], Closed)


def test_a_typed_code_that_was_begun_counts_until_it_is_confirmed() -> None:
    door = Door(typed=True)
    guests = [Guest(str(number), invitation=TYPED) for number in range(PAIR_FAILURES_MAX + 1)]
    for number, guest in enumerate(guests[:-1], 1):
        begin(door, guest)
        assert door.machine.failures == number
    # Any of them may still confirm; nobody else may begin.
    assert not refusals(door.hear(guests[0], typed_confirm(KEY)))
    begin(door, guests[0])
    told = door.hear(guests[-1], TypedStart(1, SHARE))
    assert told[-1] == Closed("failures")
    assert len(refusals(told)) == PAIR_FAILURES_MAX


def test_wrong_confirmations_of_a_typed_code_close_the_window() -> None:
    door = Door(typed=True)
    told: list[Instruction] = []
    for left in range(PAIR_FAILURES_MAX - 1, -1, -1):
        guest = Guest(f"guess {left}")
        begin(door, guest)
        told = door.hear(guest, TypedConfirm(bytes(32)))
        assert [one.left for one in told if isinstance(one, Failed)] == [left]
    assert told[-1] == Closed("failures")


def test_typed_messages_out_of_turn_are_refused(door: Door, phone: Guest) -> None:
    assert refusals(door.hear(phone, TypedStart(1, SHARE))) == ["this window has no typed code"]
    assert refusals(door.hear(phone, typed_confirm(KEY))) == ["nothing is there to be confirmed"]
    typed = Door(typed=True)
    with pytest.raises(UnknownMember):
        typed.machine.exchanged(phone.hop, SHARE, KEY)
    assert refusals(typed.hear(phone, TypedStart(2, SHARE))) == ["the device pairs with version 2, we with 1"]
    assert refusals(typed.hear(phone, phone.hello)) == ["this window is for a typed code"]
    typed.hear(phone, TypedStart(1, SHARE))
    assert refusals(typed.hear(phone, typed_confirm(KEY))) == ["nothing is there to be confirmed"]
    assert typed.machine.failures == 3
    other, error = Door(typed=True), EnrolmentRefused("no share")
    other.hear(phone, TypedStart(1, SHARE))
    assert other.machine.spoiled(phone.hop, error)[-1] == Failed(phone.hop, error, PAIR_FAILURES_MAX - 1)


def granted(machine: PairingMachine, guest: Guest, papers: EnrolGranted | None) -> None:
    machine.handle(guest.hop, guest.hello, NOW_MS)
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
    machine.knocks |= {bytes([number]) * 32: machine.knocks[phone.hop] for number in range(PAIR_HELLOS_MAX)}
    with pytest.raises(InvalidTransition, match="too many knocks"):
        machine.validate()
