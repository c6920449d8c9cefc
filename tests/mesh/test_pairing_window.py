"""One pairing window against everything that can happen at it, in any order: devices that read the invitation and
thieves that did not, an owner who answers, time that passes.

Always: one secret lets in one device; five failures close the window; two devices at the door show the same code only
if they agreed on the same transcript; nobody is asked about who did not prove the secret.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.mesh.test_pairing_machine import Guest
from tests.protocol.samples import ENROL_GRANTED, INVITATION, seed

from kindmesh.mesh.pairing_machine import Closed, Failed, Greeted, Instruction, Knocked, PairingMachine, Send
from kindmesh.protocol.enrol import (
    DEVICE_DOMAIN,
    DONE_DOMAIN,
    EnrolChallenge,
    EnrolDone,
    EnrolGranted,
    EnrolProof,
    check_code,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import InvalidTransition, KindmeshError, UnknownMember
from kindmesh.protocol.limits import PAIR_FAILURES_MAX, PAIR_HELLOS_MAX

EXPIRES_MS = 1_000_000
GUESTS = [Guest(f"window {number}") for number in range(4)]
WRONG = msgspec.structs.replace(INVITATION, secret=bytes(len(INVITATION.secret)))
guests = st.sampled_from(GUESTS)


class Window(RuleBasedStateMachine):
    """The machine, and a model of it: who was challenged with what, who got papers, how often it was refused."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = PairingMachine(INVITATION, EXPIRES_MS)
        self.now_ms = 0
        self.nonces = 0
        self.challenges: dict[bytes, bytes] = {}
        self.let_in: set[bytes] = set()
        self.asked: dict[bytes, str] = {}
        self.failures = 0
        self.closed = ""

    def _told(self, told: list[Instruction]) -> None:
        for one in told:
            if isinstance(one, Failed):
                self.failures += 1
                assert one.left == max(0, PAIR_FAILURES_MAX - self.failures)
            elif isinstance(one, Closed):
                assert not self.closed
                self.closed = one.reason
            elif isinstance(one, Knocked):
                self.asked[one.hop_key] = one.code
            elif isinstance(one, Send) and isinstance(one.message, EnrolGranted):
                self.let_in.add(one.hop_key)
            elif isinstance(one, Greeted):
                self.nonces += 1
                nonce = seed(f"window nonce {self.nonces}")
                self.challenges[one.hop_key] = nonce
                self._told(self.machine.challenge(one.hop_key, nonce))

    def _hear(self, guest: Guest, message: Any) -> None:
        self._told(self.machine.handle(guest.hop, message, self.now_ms))

    def _agreed(self, guest: Guest, invitation: Any = INVITATION) -> bytes:
        challenge = EnrolChallenge(self.challenges.get(guest.hop, bytes(32)))
        return transcript(invitation, guest.hello, challenge, guest.nonce)

    @rule(guest=guests)
    def says_hello(self, guest: Guest) -> None:
        self._hear(guest, guest.hello)

    @rule(guest=guests)
    def proves_the_secret(self, guest: Guest) -> None:
        agreed = self._agreed(guest)
        signature = guest.signing.sign(DEVICE_DOMAIN + agreed)
        self._hear(guest, EnrolProof(proof_mac(INVITATION, agreed), signature, guest.nonce))
        if guest.hop in self.asked and self.machine.knocks[guest.hop].state == "pending":
            assert self.asked[guest.hop] == check_code(agreed)

    @rule(guest=guests)
    def guesses_the_secret(self, guest: Guest) -> None:
        before = dict(self.asked)
        agreed = self._agreed(guest, WRONG)
        signature = guest.signing.sign(DEVICE_DOMAIN + agreed)
        self._hear(guest, EnrolProof(proof_mac(WRONG, agreed), signature, guest.nonce))
        assert self.asked == before

    @rule(guest=guests, other=guests)
    def shows_anothers_proof(self, guest: Guest, other: Guest) -> None:
        before = dict(self.asked)
        agreed = self._agreed(other)
        signature = other.signing.sign(DEVICE_DOMAIN + agreed)
        self._hear(guest, EnrolProof(proof_mac(INVITATION, agreed), signature, other.nonce))
        if guest is not other:
            assert self.asked == before

    @rule(guest=guests)
    def confirms(self, guest: Guest) -> None:
        self._hear(guest, EnrolDone(guest.signing.sign(DONE_DOMAIN + self._agreed(guest))))

    @rule(guest=guests)
    def the_owner_says_yes(self, guest: Guest) -> None:
        waiting = guest.hop in self.machine.knocks and self.machine.knocks[guest.hop].state == "pending"
        try:
            self._told(self.machine.grant(guest.hop, ENROL_GRANTED))
        except (InvalidTransition, UnknownMember):
            assert not waiting
        else:
            assert waiting
            assert guest.hop in self.asked

    @rule(guest=guests)
    def the_owner_says_no(self, guest: Guest) -> None:
        try:
            self._told(self.machine.refuse(guest.hop, KindmeshError("no")))
        except (InvalidTransition, UnknownMember):
            return
        assert self.machine.knocks[guest.hop].state == "refused"

    @precondition(lambda self: self.now_ms < EXPIRES_MS)
    @rule(passed_ms=st.sampled_from([1, 1_000, EXPIRES_MS // 3]))
    def time_passes(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        self._told(self.machine.tick(self.now_ms))

    @invariant()
    def one_secret_lets_in_one_device(self) -> None:
        assert len(self.let_in) <= 1
        self.machine.validate()

    @invariant()
    def five_failures_close_it(self) -> None:
        assert self.machine.failures == self.failures
        if self.failures >= PAIR_FAILURES_MAX or self.now_ms >= EXPIRES_MS:
            assert not self.machine.open
        assert self.machine.open is not bool(self.closed)

    @invariant()
    def it_remembers_few(self) -> None:
        assert self.machine.hellos <= PAIR_HELLOS_MAX + 1
        assert len(self.machine.knocks) <= PAIR_HELLOS_MAX

    @invariant()
    def the_codes_at_the_door_differ(self) -> None:
        codes = [knock.code for knock in self.machine.knocks.values() if knock.state == "pending"]
        assert len(set(codes)) == len(codes)

    @invariant()
    def a_closed_window_admits_nobody(self) -> None:
        if not self.machine.open:
            assert not any(self.machine.admits(guest.hop) for guest in GUESTS)


TestWindow = Window.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=40)
