"""Where a permit is refused: the one place that says whether a job may run on this device. Pure.

Whoever brought the job, it is judged by this device's own knowledge: its manifest's effects, its clock, the argument
bytes as they came, the highest policy version it has seen, and what the owner granted it at pairing. In this order:
a permit is there, Medulla signed it, the operation is offered here, the certificate grants it, the permit allows
exactly this (`protocol.permit.check_permit`), the certificates of this device and of the sender are within their time
(else only alerts and standing notify), the revocation list is not stale (else only read and notify), and the device was
not told to stop. Uses are counted by the job machine: a permit names one job and one epoch, and the same
job and epoch never runs twice. A stream is judged by the same rules against its `session` permit, which also names the
one device that may open it, and again whenever what this device knows changes.

`stop` halts motion, actuation and speech, and never an alert: a job of priority `emergency` that only reads or
notifies is one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.anchors import Anchors
from kindmesh.protocol.certificate import Certificate, certificate_state
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    CertificateExpired,
    CertificateRefused,
    PermitMismatch,
    PermitMissing,
    PermitRefused,
    PermitStale,
    Stopped,
)
from kindmesh.protocol.manifest import HARMLESS, Effect, Operation, effect_names
from kindmesh.protocol.messages.jobs import Job, Priority, is_alert
from kindmesh.protocol.messages.streams import StreamOpen
from kindmesh.protocol.permit import Permit, check_permit, open_permit
from kindmesh.protocol.signed import Signed

_MOVING: Final = int(Effect.ACTUATE | Effect.MOVE)
_SPEECH: Final = "speech."
RENEWS: Final = (
    "It renews by itself as soon as it reaches the coordinator; until then it only passes on alerts."
)


class Standing(msgspec.Struct, frozen=True):
    """What this device knows when a job comes; `policy_version` is the highest seen, `stale` says that the
    revocation list is older than a day, `stopped` that the stop latch is set, `sender_current` that the certificate of
    whoever sent the job is within its time."""

    mesh: bytes
    device: bytes
    certificate: Certificate
    policy_version: int
    stale: bool
    stopped: bool
    sender_current: bool = True


def open_job_permit(job: Job, anchors: Anchors) -> Permit:
    """The job's permit, its signature checked and nothing else.

    Raises:
        PermitMissing: there is none.
        PermitRefused: no Medulla of this mesh signed it.
        Malformed: it is no permit.
    """
    if job.permit is None:
        raise PermitMissing("the job came without a permit; this device does nothing without one")
    return open_signed_permit(job.permit, anchors)


def open_signed_permit(signed: Signed, anchors: Anchors) -> Permit:
    """As `open_job_permit`, of a permit that is there.

    Raises:
        PermitRefused, Malformed.
    """
    try:
        return open_permit(signed, anchors.permit_pub(signed.author))
    except CertificateRefused as error:
        raise PermitRefused("no Medulla of this mesh signed this permit") from error


def check_stream(
    asked: StreamOpen, permit: Permit, operation: Operation, standing: Standing, now_ms: int, *, opener: bytes
) -> None:
    """Refuse unless `permit` lets `opener` (a device id) open exactly this stream, here and now.

    Raises:
        As `check_job`; PermitMismatch also when it is another device's.
    """
    check_permit(
        permit,
        mesh=standing.mesh,
        target=standing.device,
        operation=asked.operation,
        effects=operation.effects,
        job_id=asked.stream_id,
        args=asked.args,
        epoch=1,
        policy_version=standing.policy_version,
        now_ms=now_ms,
        kind="session",
    )
    if permit.readers != (opener,):
        raise PermitMismatch("the permit lets another device open this stream", field="readers")
    _check_device(operation, "interactive", permit, standing, now_ms)


def check_running(operation: Operation, permit: Permit, standing: Standing, now_ms: int) -> None:
    """Refuse a stream that was allowed and is under way, when what allowed it has changed.

    Raises:
        PermitStale: the policy is a newer one. PermitRefused, CertificateExpired, Stopped: as `check_job`.
    """
    if permit.policy_version < standing.policy_version:
        raise PermitStale(
            "the rules of the house have changed since this stream began", hint="Start it again."
        )
    _check_device(operation, "interactive", permit, standing, now_ms)


def check_job(job: Job, permit: Permit, operation: Operation, standing: Standing, now_ms: int) -> None:
    """Refuse unless `permit` allows exactly this job, here and now.

    Raises:
        PermitMismatch, PermitExpired, PermitStale, PermitRefused: the permit does not fit.
        CertificateExpired: this device's certificate or the sender's has ended, and this is no alert.
        Stopped: the device was told to stop, and this would move, switch or speak.
    """
    check_permit(
        permit,
        mesh=standing.mesh,
        target=standing.device,
        operation=job.operation,
        effects=operation.effects,
        job_id=job.job_id,
        args=job.args,
        epoch=job.epoch,
        policy_version=standing.policy_version,
        now_ms=now_ms,
    )
    if permit.run_id != job.run_id or permit.step != job.step:
        raise PermitMismatch("the permit is for another run", field="run")
    _check_device(operation, job.priority, permit, standing, now_ms)


def _check_device(
    operation: Operation, priority: Priority, permit: Permit, standing: Standing, now_ms: int
) -> None:
    """What this device itself may do now, whatever is permitted."""
    capability = operation.name.partition(".")[0]
    granted = standing.certificate.granted(capability)
    if not granted:
        raise PermitRefused(
            f"{capability} was not granted to this device",
            hint="The owner is asked about it: kindmesh review at the coordinator.",
            field="capability",
        )
    beyond = operation.effects & ~granted
    if beyond:
        raise PermitRefused(
            f"{capability} on this device was not granted: {', '.join(effect_names(beyond))}",
            hint="The owner is asked about it: kindmesh review at the coordinator.",
            field="effects",
        )
    _check_certificates(priority, permit, operation, standing, now_ms)
    if standing.stale and operation.effects & ~HARMLESS:
        raise PermitRefused(
            "this device has not heard for a day who was removed from the mesh, so it only reads and notifies",
            hint="Bring it near the coordinator, so that they can talk.",
            field="revocations",
        )
    if standing.stopped and is_halted(operation.name, operation.effects, priority):
        raise Stopped(
            "this device was told to stop",
            hint="Whoever is at the device lets it go on: kindmesh stop --reset there.",
        )


def _check_certificates(
    priority: Priority, permit: Permit, operation: Operation, standing: Standing, now_ms: int
) -> None:
    """With a certificate that has ended (or has not begun, by this clock) only alerts are left, and what the owner
    allowed for good: standing permits that read and notify."""
    state = certificate_state(standing.certificate, now_ms)
    if state == "current" and standing.sender_current:
        return
    standing_permit = permit.kind == "standing" and not operation.effects & ~HARMLESS
    if is_alert(priority, operation.effects) or standing_permit:
        return
    if state == "current":
        raise CertificateExpired("the certificate of whoever sent this job has ended", hint=RENEWS)
    why = "has ended" if state == "ended" else "is not valid yet by its clock"
    raise CertificateExpired(f"the certificate of {standing.certificate.name} {why}", hint=RENEWS)


def check_repeat(job: Job, permit: Permit, standing: Standing) -> None:
    """A job that begins nothing new here (it runs, or is answered from the journal): the permit must be for it and
    for this device, but may have ended meanwhile.

    Raises:
        PermitMismatch: it is for something else.
    """
    if (permit.mesh, permit.target) != (standing.mesh, standing.device):
        raise PermitMismatch("the permit is for another device", field="target")
    same = (permit.job_id, permit.epoch, permit.operation) == (job.job_id, job.epoch, job.operation)
    if not same or permit.args_hash != sha256(job.args):
        raise PermitMismatch("the permit is for another job", field="job")


def is_halted(operation: str, effects: int, priority: Priority) -> bool:
    """Whether `stop` halts this: what moves or switches, and speech; never an alert."""
    if is_alert(priority, effects):
        return False
    return bool(effects & _MOVING) or (operation.startswith(_SPEECH) and bool(effects & Effect.NOTIFY))


__all__ = [
    "Standing",
    "check_job",
    "check_repeat",
    "check_running",
    "check_stream",
    "is_halted",
    "open_job_permit",
    "open_signed_permit",
]
