"""Where a permit is refused: every way in which one does not fit, and what stop halts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.node.gate import Standing, check_job, check_repeat, is_halted, open_job_permit
from kindmesh.protocol.anchors import open_bundle
from kindmesh.protocol.certificate import CapabilityGrant, open_certificate
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    CertificateExpired,
    PermitExpired,
    PermitMismatch,
    PermitMissing,
    PermitRefused,
    PermitStale,
    Stopped,
)
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.messages.jobs import Job, is_alert
from kindmesh.protocol.permit import Permit, open_permit, sign_permit

NOW = 1_800_000_000_000
HOUSE = Household(1, NOW)
PHONE = HOUSE.add("phone")
OTHER = HOUSE.add("other")
ANCHORS = open_bundle(HOUSE.bundle, HOUSE.mesh)
CERTIFICATE = open_certificate(HOUSE.certificates["phone"], HOUSE.issuer.public, HOUSE.mesh)
ARGS = encode_value({"text": "milk"})
JOB_ID = b"j" * 16
APPEND = Operation("notes.append", "Write down a note", (), (), int(Effect.WRITE), idempotent=False)


def permit(**changes: Any) -> Permit:
    fields: dict[str, Any] = {
        "target": PHONE.device_id, "operation": "notes.append", "args": ARGS, "effects": int(Effect.WRITE),
        "job_id": JOB_ID, **changes,
    }  # fmt: skip
    return open_permit(HOUSE.permit(**fields), HOUSE.medulla.public)


def job(allowed: Permit | None = None, **changes: Any) -> Job:
    allowed = allowed or permit()
    base = Job(
        JOB_ID, allowed.run_id, 0, 1, "notes.append", ARGS, NOW + 60_000, "interactive",
        sign_permit(allowed, HOUSE.medulla),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def standing(**changes: Any) -> Standing:
    base = Standing(
        mesh=HOUSE.mesh, device=PHONE.device_id, certificate=CERTIFICATE, policy_version=1, stale=False, stopped=False,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def judge(allowed: Permit, *, at: int = NOW, operation: Operation = APPEND, **changes: Any) -> None:
    check_job(job(allowed, **{key: value for key, value in changes.items() if key not in STANDING}), allowed, operation,
              standing(**{key: value for key, value in changes.items() if key in STANDING}), at)  # fmt: skip


STANDING = set(Standing.__struct_fields__)


def test_a_permit_for_exactly_this_is_accepted() -> None:
    judge(permit())


def test_a_job_without_a_permit_is_refused() -> None:
    with pytest.raises(PermitMissing):
        open_job_permit(job(permit=None), ANCHORS)


def test_a_permit_of_another_signer_is_refused() -> None:
    forged = sign_permit(permit(), SigningKey(b"x" * 32))
    with pytest.raises(PermitRefused):
        open_job_permit(job(permit=forged), ANCHORS)


def test_a_permit_of_medulla_opens() -> None:
    assert open_job_permit(job(), ANCHORS).job_id == JOB_ID


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": OTHER.device_id}, "target"),
        ({"mesh": b"m" * 20}, "mesh"),
        ({"operation": "notes.list"}, "operation"),
        ({"epoch": 2}, "epoch"),
        ({"args": b"\x80"}, "args"),
        ({"effects": int(Effect.READ)}, "effects"),
        ({"job_id": b"k" * 16}, "job"),
    ],
)
def test_a_permit_for_something_else_is_refused_and_the_difference_named(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(PermitMismatch) as caught:
        judge(permit(**changes))
    assert caught.value.field == field


@pytest.mark.parametrize("changes", [{"run_id": b"x" * 16}, {"step": 3}])
def test_a_permit_for_another_run_or_step_is_refused(changes: dict[str, Any]) -> None:
    allowed = permit()
    with pytest.raises(PermitMismatch):
        judge(allowed, **changes)


def test_a_permit_past_its_end_is_refused() -> None:
    with pytest.raises(PermitExpired):
        judge(permit(), at=NOW + 10**9)


def test_a_permit_from_an_older_policy_is_refused() -> None:
    with pytest.raises(PermitStale):
        judge(permit(), policy_version=2)


@pytest.mark.parametrize("changes", [{"kind": "session"}, {"isolation": "none"}])
def test_what_this_version_does_not_honour_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(PermitRefused):
        judge(permit(**changes))


@pytest.mark.parametrize(
    ("granted", "field"), [({"device": 255}, "capability"), ({"notes": 1, "device": 255}, "effects")]
)
def test_what_the_owner_did_not_grant_to_this_device_is_refused(granted: dict[str, int], field: str) -> None:
    capabilities = tuple(CapabilityGrant(name, effects) for name, effects in granted.items())
    with pytest.raises(PermitRefused) as caught:
        judge(permit(), certificate=msgspec.structs.replace(CERTIFICATE, capabilities=capabilities))
    assert caught.value.field == field


def test_a_stale_revocation_list_leaves_only_reading_and_notifying() -> None:
    with pytest.raises(PermitRefused) as caught:
        judge(permit(), stale=True)
    assert caught.value.field == "revocations"
    say = Operation("speech.say", "", (), (), int(Effect.NOTIFY), idempotent=False)
    allowed = permit(operation="speech.say", effects=int(Effect.NOTIFY))
    check_job(job(allowed, operation="speech.say"), allowed, say, standing(stale=True), NOW)


def test_a_stopped_device_does_not_speak_but_still_alerts() -> None:
    say = Operation("speech.say", "", (), (), int(Effect.NOTIFY), idempotent=False)
    allowed = permit(operation="speech.say", effects=int(Effect.NOTIFY))
    with pytest.raises(Stopped):
        check_job(job(allowed, operation="speech.say"), allowed, say, standing(stopped=True), NOW)
    alert = job(allowed, operation="speech.say", priority="emergency")
    check_job(alert, allowed, say, standing(stopped=True), NOW)


@pytest.mark.parametrize(
    ("operation", "effects", "priority", "halted"),
    [
        ("robot.go_to", Effect.MOVE, "interactive", True),
        ("robot.go_to", Effect.MOVE, "emergency", True),
        ("home.switch", Effect.ACTUATE | Effect.READ, "background", True),
        ("speech.say", Effect.NOTIFY, "interactive", True),
        ("speech.say", Effect.NOTIFY, "emergency", False),
        ("speech.render", Effect.READ, "interactive", False),
        ("notify.push", Effect.NOTIFY, "interactive", False),
        ("notes.append", Effect.WRITE, "interactive", False),
    ],
)
def test_stop_halts_motion_actuation_and_speech_and_never_an_alert(
    operation: str, effects: Effect, priority: Any, halted: bool
) -> None:
    assert is_halted(operation, int(effects), priority) == halted


def test_a_job_that_comes_again_needs_the_permit_it_came_with_but_not_a_fresh_one() -> None:
    check_repeat(job(), permit(), standing(policy_version=9))


@pytest.mark.parametrize(
    "changes",
    [
        {"target": OTHER.device_id},
        {"mesh": b"m" * 20},
        {"epoch": 2},
        {"args": b"\x80"},
        {"operation": "notes.list"},
    ],
)
def test_a_job_that_comes_again_with_a_permit_for_something_else_gets_no_answer(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(PermitMismatch):
        check_repeat(job(), permit(**changes), standing())


LATER = CERTIFICATE.expires_ms + 2 * CLOCK_SKEW_MS
EARLIER = CERTIFICATE.not_before_ms - 2 * CLOCK_SKEW_MS
SAY = Operation("speech.say", "", (), (), int(Effect.NOTIFY), idempotent=False)


@pytest.mark.parametrize(
    ("at", "sender_current"), [(LATER, True), (LATER, False), (NOW, False), (EARLIER, True)]
)
def test_with_an_ended_certificate_only_alerts_are_left(at: int, sender_current: bool) -> None:
    def try_it(operation: Operation, priority: Any) -> None:
        effects = int(operation.effects)
        allowed = permit(operation=operation.name, effects=effects, issued_ms=at, expires_ms=at + 60_000)
        order = job(allowed, operation=operation.name, priority=priority)
        check_job(order, allowed, operation, standing(sender_current=sender_current), at)

    for operation, priority in ((APPEND, "emergency"), (APPEND, "interactive"), (SAY, "interactive")):
        with pytest.raises(CertificateExpired) as caught:
            try_it(operation, priority)
        assert "renews" in caught.value.hint
    try_it(SAY, "emergency")


@pytest.mark.parametrize(
    ("priority", "effects", "alert"),
    [
        ("emergency", Effect.NOTIFY, True),
        ("emergency", Effect.NOTIFY | Effect.READ, True),
        ("emergency", Effect.NOTIFY | Effect.SENSE, False),
        ("emergency", 0, False),
        ("interactive", Effect.NOTIFY, False),
    ],
)
def test_an_alert_is_an_emergency_that_only_reads_and_notifies(
    priority: Any, effects: int, alert: bool
) -> None:
    assert is_alert(priority, effects) == alert
