"""Medulla's permission, checked by the device that acts.

A permit is Medulla's signature over everything the act is bound to. Kinds: `once` (one job), `session` (a bounded
stream: `duration_ms` and `stream_bytes`, both directions together, counted by the node that acts), `standing` (reflexes
and grants: `args_hash` of a template). This version issues and honours `once` and `session`; `standing` is refused by
name until its rules exist. A node acts only when all of it fits: mesh, kind, target, operation, hash of the argument
bytes *as received*, job (of a session: the stream), epoch, policy version not below the highest it has seen, time, and
use count. A moved job gets a new permit with a higher epoch; a session permit opens one stream, once, and only for the
device that is its reader.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from kindmesh.protocol.bounds import (
    Count,
    Effects,
    Hash,
    KeyId,
    OptionalKey,
    OptionalTimeId,
    TimeId,
    TimeMs,
    Word,
)
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import BadSignature, PermitExpired, PermitMismatch, PermitRefused, PermitStale
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_MAX
from kindmesh.protocol.manifest import HARMLESS, effect_names
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

PERMIT_DOMAIN: Final = b"kindmesh-permit-v1\0"
PermitKind = Literal["once", "session", "standing"]
_HONOURED: Final = ("once", "session")
Isolation = Literal["uid", "landlock", "none"]


class Permit(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `permit_id`, `run_id`, `job_id`, `parent` (a sub-run's permit, or empty) have 16 bytes; `step`
    numbers the step of the run; `target` is a device id; `args_hash` is SHA-256; `epoch` is the attempt's fencing
    token; `max_uses` is 1 for `once`; `principal` is who asked, and for
    which `purpose`; `approved_by` the key id (20 bytes) of the person who said yes, if one was asked; `readers` are
    devices that may fetch the artifacts made under this permit; `label` is what Medulla knows of where the arguments
    came from, without the words: the device signs it with what it gives (None: it is not known)."""

    mesh: KeyId
    kind: PermitKind
    permit_id: TimeId
    run_id: TimeId
    step: Count
    job_id: TimeId
    operation: Word
    target: KeyId
    args_hash: Hash
    effects: Effects
    policy_version: Count
    epoch: Count
    issued_ms: TimeMs
    expires_ms: TimeMs
    max_uses: Count
    principal: Principal
    isolation: Isolation
    parent: OptionalTimeId = b""
    approval_id: OptionalTimeId = b""
    readers: tuple[KeyId, ...] = ()
    duration_ms: Count = 0
    stream_bytes: Count = 0
    purpose: Word = "household"
    approved_by: OptionalKey = b""
    label: Carried | None = None


def sign_permit(permit: Permit, key: SigningKey) -> Signed:
    """Signed by Medulla's permit key."""
    return sign_struct(permit, PERMIT_DOMAIN, key)


def open_permit(signed: Signed, medulla_pub: bytes) -> Permit:
    """The permit, its signature checked and nothing else.

    Raises:
        PermitRefused: Medulla did not sign this.
    """
    try:
        return open_signed(signed, Permit, PERMIT_DOMAIN, medulla_pub, limit=PERMIT_MAX)
    except BadSignature as error:
        raise PermitRefused("Medulla did not sign this permit") from error


def check_permit(
    permit: Permit,
    *,
    mesh: bytes,
    target: bytes,
    operation: str,
    effects: int,
    job_id: bytes,
    args: bytes,
    epoch: int,
    policy_version: int,
    now_ms: int,
    kind: PermitKind = "once",
) -> None:
    """Refuse the permit unless it allows exactly this act here and now; uses are counted by the node's journal.

    `kind` is what the act needs: `once` for a job, `session` for a stream. `effects` are those of the node's
    own manifest; `args` the argument bytes as received; `policy_version` the highest this node has seen; `now_ms` this
    node's clock.

    Raises:
        PermitMismatch: for something else (the field is named).
        PermitExpired: outside its time.
        PermitStale: an older policy.
        PermitRefused: a kind that this version does not honour, or an effect Medulla may not allow unisolated.
    """
    for field, have, want in (
        ("mesh", permit.mesh, mesh),
        ("target", permit.target, target),
        ("operation", permit.operation, operation),
        ("job", permit.job_id, job_id),
        ("epoch", permit.epoch, epoch),
    ):
        if have != want:
            raise PermitMismatch(f"the permit is for another {field}", field=field)
    if permit.args_hash != sha256(args):
        raise PermitMismatch("the permit is for other values", field="args")
    if effects & ~permit.effects:
        missing = ", ".join(effect_names(effects & ~permit.effects))
        raise PermitMismatch(f"the permit does not cover: {missing}", field="effects")
    if permit.kind not in _HONOURED or permit.max_uses != 1:
        raise PermitRefused(f"this version does not honour {permit.kind} permits", field="kind")
    if permit.kind != kind:
        raise PermitMismatch(f"this needs a {kind} permit, not a {permit.kind} one", field="kind")
    if kind == "session" and not (permit.duration_ms and permit.stream_bytes):
        raise PermitRefused("a session permit bounds duration and bytes, this one does not", field="kind")
    if permit.isolation == "none" and permit.effects & ~HARMLESS:
        raise PermitRefused(
            "Medulla is not isolated there, so it may allow nothing beyond read and notify", field="isolation"
        )
    if now_ms > permit.expires_ms + CLOCK_SKEW_MS or now_ms < permit.issued_ms - CLOCK_SKEW_MS:
        when = "past its end" if now_ms > permit.issued_ms else "not valid yet"
        raise PermitExpired(f"the permit is {when}", hint="Is this device's clock right?")
    if permit.policy_version < policy_version:
        raise PermitStale(
            f"the permit comes from policy {permit.policy_version}, this device knows {policy_version}"
        )


__all__ = [
    "Isolation",
    "Permit",
    "PermitKind",
    "check_permit",
    "open_permit",
    "sign_permit",
]
