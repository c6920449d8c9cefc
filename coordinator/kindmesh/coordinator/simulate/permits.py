"""Was that effect permitted? Judged from the effect itself, and by nothing that the device's own gate uses.

The signature is checked over the bytes that the device had, against the key that the household was founded with; what
the permit says is compared with what the capability was really called with, not with what the message claims.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.crypto import sha256, verify
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.messages.jobs import Job
from kindmesh.protocol.permit import Permit

DOMAIN: Final = b"kindmesh-permit-v1\0"
WORK_MS: Final = 25_000
"""Longer than the operations here may take, from the decision to the effect."""


class Witnessed(msgspec.Struct, frozen=True):
    """Who acted: its id, whether it knows that it was removed, from when its newest list of removals is, the true time
    (both UTC ms), and for how long its process did not run lately."""

    device_id: bytes
    removed: bool
    revocations_ms: int
    true_ms: int
    asleep_ms: int


def permit_problem(
    anchors: tuple[bytes, bytes],
    about: Witnessed,
    job: Job | None,
    *,
    operation: Operation,
    args: dict[str, Any],
) -> tuple[str, Permit | None]:
    """(why an effect was not permitted, empty if it was; the permit). `anchors`: the mesh, and Medulla's public key."""
    mesh, medulla = anchors
    if job is None:
        return "nobody told it to", None
    signed = job.permit
    if signed is None:
        return "without a permit", None
    if not verify(medulla, signed.signature, DOMAIN + signed.payload):
        return "Medulla did not sign its permit", None
    try:
        permit = decode(Permit, signed.payload)
    except Malformed:
        return "its permit cannot be read", None
    wanted: tuple[tuple[str, object, object], ...] = (
        ("mesh", permit.mesh, mesh),
        ("device", permit.target, about.device_id),
        ("operation", permit.operation, operation.name),
        ("job", permit.job_id, job.job_id),
        ("attempt", permit.epoch, job.epoch),
        ("run", permit.run_id, job.run_id),
        ("arguments", permit.args_hash, sha256(encode_value(args))),
        ("kind", permit.kind, "once"),
        ("effects", operation.effects & ~permit.effects, 0),
    )
    for what, has, should in wanted:
        if has != should:
            return f"its permit does not fit the {what}", permit
    late_ms = about.true_ms - permit.expires_ms - CLOCK_SKEW_MS - WORK_MS - about.asleep_ms
    if late_ms > 0:
        return f"its permit had ended {late_ms + CLOCK_SKEW_MS + WORK_MS} ms before", permit
    return "", permit


__all__ = ["Witnessed", "permit_problem"]
