"""A device that waits to be adopted, without sockets: who may send it somewhere, and who may not."""

from __future__ import annotations

import msgspec
from tests.protocol.samples import ADOPT_HELLO, ADOPT_OFFER, CURVE, INVITATION, LABEL, seed

from kindmesh.mesh.adopt_machine import (
    TALKS_MAX,
    AdoptInstruction,
    AdoptionMachine,
    Go,
    Tell,
    TurnedAway,
)
from kindmesh.protocol.adopt import (
    AdoptChallenge,
    AdoptMessage,
    AdoptOffer,
    AdoptRefused,
    adopt_accepted,
    adopt_offer,
    adopt_transcript,
)
from kindmesh.protocol.enrol import Invitation
from kindmesh.protocol.limits import ADOPT_FAILURES_MAX

HOST, OTHER = CURVE["desk"].public, b"o" * 32
NONCE = seed("adopt-phone")
AGREED = adopt_transcript(LABEL, HOST, ADOPT_HELLO, AdoptChallenge(NONCE))


def offer(invitation: Invitation = INVITATION) -> AdoptOffer:
    return adopt_offer(LABEL, AGREED, invitation)


def refusal(told: list[AdoptInstruction]) -> str:
    found = [one.message for one in told if isinstance(one, Tell)]
    assert isinstance(found[0], AdoptRefused)
    return found[0].error.message


def test_who_read_the_label_sends_the_device_to_its_door() -> None:
    machine = AdoptionMachine(LABEL)
    assert machine.handle(HOST, ADOPT_HELLO, NONCE) == [Tell(HOST, AdoptChallenge(NONCE))]
    accepted = Tell(HOST, adopt_accepted(LABEL, AGREED, INVITATION))
    assert machine.handle(HOST, offer(), NONCE) == [accepted, Go(INVITATION)]
    assert refusal(machine.handle(OTHER, ADOPT_HELLO, NONCE)) == "this device is on its way to a door already"
    assert machine.failures == 0
    machine.again()
    assert machine.handle(HOST, ADOPT_HELLO, NONCE) == [Tell(HOST, AdoptChallenge(NONCE))]


def test_wrong_proofs_are_counted_and_then_nobody_is_answered() -> None:
    machine = AdoptionMachine(LABEL)
    wrong = msgspec.structs.replace(offer(), mac=bytes(32))
    for left in range(ADOPT_FAILURES_MAX - 1, -1, -1):
        machine.handle(HOST, ADOPT_HELLO, NONCE)
        told = machine.handle(HOST, wrong, NONCE)
        assert refusal(told) == "who wants to adopt this device did not read its label"
        assert [one.left for one in told if isinstance(one, TurnedAway)] == [left]
    assert not machine.admits()
    assert machine.handle(HOST, ADOPT_HELLO, NONCE) == []


def test_an_invitation_to_somebody_elses_door_is_refused() -> None:
    for field in ("mesh", "ed_pub", "curve_pub"):
        machine = AdoptionMachine(LABEL)
        machine.handle(HOST, ADOPT_HELLO, NONCE)
        elsewhere = msgspec.structs.replace(INVITATION, **{field: getattr(INVITATION, field)[::-1]})
        told = machine.handle(HOST, offer(elsewhere), NONCE)
        assert refusal(told) == "the invitation leads to somebody else's door"


def test_what_is_not_the_next_message_is_refused() -> None:
    machine = AdoptionMachine(LABEL)
    messages: tuple[AdoptMessage, ...] = (ADOPT_OFFER, AdoptChallenge(NONCE))
    for message in messages:
        told = machine.handle(HOST, message, NONCE)
        assert refusal(told) == "this message is not the next one of an adoption"
    newer = msgspec.structs.replace(ADOPT_HELLO, version=2)
    assert "version 2" in refusal(machine.handle(HOST, newer, NONCE))
    # A talk is of one connection: what was agreed over another one is worth nothing here.
    machine.handle(OTHER, ADOPT_HELLO, NONCE)
    told = machine.handle(OTHER, offer(), NONCE)
    assert refusal(told) == "who wants to adopt this device did not read its label"


def test_talks_that_lead_nowhere_do_not_pile_up() -> None:
    machine = AdoptionMachine(LABEL)
    for number in range(TALKS_MAX + 3):
        machine.handle(bytes([number]) * 32, ADOPT_HELLO, NONCE)
    assert len(machine.talks) == TALKS_MAX
    assert bytes(32) not in machine.talks
