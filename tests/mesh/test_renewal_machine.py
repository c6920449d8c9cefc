"""When a certificate is renewed and how a CURVE key changes: decided from what lies on the disk."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.protocol.samples import CERTIFICATES

from kindmesh.mesh.renewal_machine import (
    AGAIN_MAX_MS,
    AGAIN_MS,
    ANSWER_MS,
    SPREAD,
    Ask,
    Held,
    Instruction,
    Keys,
    Linked,
    MakeKey,
    Phase,
    Refused,
    RenewalMachine,
    RotateWanted,
    Settled,
    Swap,
    Tick,
)
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS

PHONE = CERTIFICATES["phone"]
OLD, NEW = PHONE.curve_pub, b"n" * 32
BORN = PHONE.not_before_ms
HALF = BORN + CERTIFICATE_LIFETIME_MS // 2


def phase_of(device: Device) -> Phase:
    return device.machine.phase


class Device:
    """Feeds a machine, and keeps the time."""

    def __init__(self, **settings: Any) -> None:
        keys = settings.pop("keys", Keys(OLD))
        self.machine = RenewalMachine(settings.pop("certificate", PHONE), keys, **settings)
        self.now_ms = BORN

    def tell(self, *events: Any, jitter: float = 0.5) -> list[Instruction]:
        steps: list[Instruction] = []
        for event in events:
            steps += self.machine.handle(event, self.now_ms, jitter)
        return steps


def renewed(serial: int, curve_pub: bytes = OLD, previous: bytes = b"", at_ms: int = HALF) -> Certificate:
    return msgspec.structs.replace(
        PHONE, serial=serial, curve_pub=curve_pub, curve_previous=previous, not_before_ms=at_ms,
        expires_ms=at_ms + CERTIFICATE_LIFETIME_MS,
    )  # fmt: skip


def test_a_young_certificate_is_left_alone() -> None:
    device = Device()
    assert device.tell(Linked(True), Tick()) == []
    assert phase_of(device) is Phase.RESTING
    device.now_ms = HALF - 1
    assert device.tell(Tick()) == []


def test_a_whole_renewal_changes_the_key_and_comes_to_rest() -> None:
    device = Device()
    device.tell(Linked(True), Tick(), jitter=0.0)
    device.now_ms = HALF + CERTIFICATE_LIFETIME_MS // SPREAD + 1
    assert device.tell(Tick()) == [MakeKey()]
    assert device.tell(Keys(OLD, NEW)) == [Ask(PHONE.serial, NEW)]
    assert phase_of(device) is Phase.ASKING
    assert device.tell(Tick()) == []
    assert device.tell(Held(renewed(6, NEW, OLD, device.now_ms))) == [Swap()]
    assert device.tell(Keys(NEW)) == []
    assert phase_of(device) is Phase.RESTING
    assert device.machine.due_ms > device.now_ms + CERTIFICATE_LIFETIME_MS // 2


def test_renewals_of_a_household_are_spread() -> None:
    dues = set()
    for jitter in (0.25, 0.5, 0.999):
        device = Device()
        device.tell(Tick(), jitter=jitter)
        dues.add(device.machine.due_ms)
        assert HALF <= device.machine.due_ms <= HALF + CERTIFICATE_LIFETIME_MS // SPREAD
    assert len(dues) == 3


def test_who_keeps_the_key_asks_without_one() -> None:
    device = Device(rotates=False)
    device.tell(Linked(True))
    device.now_ms = PHONE.expires_ms
    assert device.tell(Tick()) == [Ask(PHONE.serial, b"")]
    assert phase_of(device) is Phase.ASKING
    assert device.tell(Held(renewed(6, at_ms=device.now_ms))) == []
    assert phase_of(device) is Phase.RESTING


def test_an_ended_certificate_is_renewed_as_soon_as_there_is_a_link() -> None:
    device = Device()
    device.now_ms = PHONE.expires_ms + CERTIFICATE_LIFETIME_MS
    assert device.tell(Tick()) == []
    assert device.tell(Linked(True)) == [MakeKey()]


def test_a_person_who_wants_a_new_key_has_not_to_wait() -> None:
    device = Device(rotates=False)
    assert device.tell(RotateWanted()) == []
    assert device.tell(Linked(True)) == [MakeKey()]
    assert device.tell(Keys(OLD, NEW)) == [Ask(PHONE.serial, NEW)]
    # The owner granted something meanwhile: still the same key.
    assert device.tell(Held(renewed(6))) == [Ask(6, NEW)]
    assert device.tell(Held(renewed(7, NEW, OLD))) == [Swap()]
    assert device.tell(Keys(NEW), Tick()) == []


def test_refusals_and_silence_are_tried_again_with_growing_pauses() -> None:
    device = Device(keys=Keys(OLD, NEW))
    assert device.tell(Linked(True)) == [Ask(PHONE.serial, NEW)]
    pauses = []
    for number in range(12):
        if number % 2:
            device.now_ms += ANSWER_MS
            assert device.tell(Tick()) == []
            device.now_ms += 1
            assert device.tell(Tick()) == []
        else:
            assert device.tell(Refused()) == []
        began = device.now_ms
        while not device.tell(Tick()):
            device.now_ms += 1_000
        pauses.append(device.now_ms - began)
    assert pauses[0] == AGAIN_MS
    assert pauses == sorted(pauses)
    assert pauses[-1] == AGAIN_MAX_MS
    device.tell(Refused())
    assert device.tell(Linked(False)) == []
    assert device.tell(Linked(True)) == [Ask(PHONE.serial, NEW)]


def test_a_pause_has_jitter() -> None:
    device = Device(keys=Keys(OLD, NEW))
    device.tell(Linked(True))
    device.tell(Refused(), jitter=0.0)
    device.now_ms += AGAIN_MS // 2 - 1
    assert device.tell(Tick()) == []
    device.now_ms += 1
    assert device.tell(Tick()) == [Ask(PHONE.serial, NEW)]


def test_an_unchanged_certificate_is_no_news() -> None:
    device = Device(keys=Keys(OLD, NEW))
    device.tell(Linked(True))
    assert device.tell(Held(PHONE)) == []
    assert phase_of(device) is Phase.ASKING


@pytest.mark.parametrize(
    ("keys", "certificate", "phase", "first"),
    [
        (Keys(OLD), PHONE, Phase.RESTING, []),
        (Keys(OLD, NEW), PHONE, Phase.ASKING, [Ask(PHONE.serial, NEW)]),
        (Keys(OLD, NEW), renewed(6, NEW, OLD, BORN), Phase.SETTLING, [Swap()]),
        (Keys(NEW), renewed(6, NEW, OLD, BORN), Phase.RESTING, []),
        (Keys(OLD), renewed(6, NEW, OLD, BORN), Phase.PREPARING, [MakeKey()]),
    ],
)
def test_after_a_kill_the_disk_says_how_it_goes_on(
    keys: Keys, certificate: Certificate, phase: Phase, first: list[Instruction]
) -> None:
    device = Device(keys=keys, certificate=certificate)
    assert device.machine.phase is phase
    assert device.tell(Linked(True)) == first


def test_a_coordinator_swaps_when_its_devices_know() -> None:
    device = Device(keys=Keys(OLD, NEW), certificate=renewed(6, NEW, OLD, BORN), settles=True)
    assert device.tell(Linked(True), Tick()) == []
    assert device.tell(Settled()) == [Swap()]
    assert device.tell(Refused()) == []  # the disk was full
    device.now_ms += 2 * AGAIN_MS
    assert device.tell(Tick()) == [Swap()]
    assert device.tell(Keys(NEW)) == []


class Life(RuleBasedStateMachine):
    """Any order of events and kills: certificate and key never part so that nobody lets the device in."""

    def __init__(self) -> None:
        super().__init__()
        self.certificate, self.keys = PHONE, Keys(OLD)
        self.serial, self.number, self.now_ms = PHONE.serial, 0, BORN
        self.issued: Certificate = PHONE
        self.fuse = -1
        self.boot()

    def boot(self) -> None:
        self.machine = RenewalMachine(self.certificate, self.keys)

    def tell(self, event: Any) -> None:
        """As the driver does: every step at once; but the power may go between any two."""
        steps = self.machine.handle(event, self.now_ms, 0.5)
        while steps:
            if self.fuse == 0:
                self.fuse = -1
                self.boot()
                return
            self.fuse -= 1
            steps += self.act(steps.pop(0))

    def act(self, step: Instruction) -> list[Instruction]:
        if isinstance(step, MakeKey):
            self.number += 1
            self.keys = Keys(self.keys.current, self.keys.following or self.number.to_bytes(32, "big"))
        elif isinstance(step, Swap):
            assert self.keys.following == self.certificate.curve_pub
            self.keys = Keys(self.keys.following)
        else:
            self.medulla(step)
            return []
        return self.machine.handle(self.keys, self.now_ms, 0.5)

    @rule(steps=st.integers(0, 3))
    def killed(self, steps: int) -> None:
        self.fuse = steps

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.tell(Linked(up))

    @rule(hours=st.integers(0, 1_000))
    def passes(self, hours: int) -> None:
        self.now_ms += hours * 3_600_000
        self.tell(Tick())

    @rule()
    def wanted(self) -> None:
        self.tell(RotateWanted())

    @rule()
    def refused(self) -> None:
        self.tell(Refused())

    @precondition(lambda self: self.issued is not self.certificate)
    @rule()
    def learns(self) -> None:
        self.certificate = self.issued
        self.tell(Held(self.certificate))

    def medulla(self, ask: Ask) -> None:
        if ask.serial < self.issued.serial or ask.curve_pub in (b"", self.issued.curve_pub):
            return
        self.serial += 1
        self.issued = renewed(self.serial, ask.curve_pub, self.issued.curve_pub, self.now_ms)

    @invariant()
    def is_let_in(self) -> None:
        assert self.keys.current in (self.issued.curve_pub, self.issued.curve_previous)


TestLife = Life.TestCase
