"""Bodies of session frames: high-rate, read-only or re-askable.

`SessionBody` is the frame's body: a type, a reference that pairs replies with calls, and the payload's bytes.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.audit import AUDIT_HEADS_MAX, AuditNews, AuditSeen
from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    DurationMs,
    Fraction,
    Line,
    Reference,
    Result,
    TimeId,
    TimeMs,
    Word,
)
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.messages.hello import NodeFacts
from kindmesh.protocol.messages.trust import TrustKnown

TAKEN_MAX: Final = 64
"""Results that one message acknowledges."""


class SessionBody(msgspec.Struct, array_like=True, frozen=True):
    """`type` is a `SessionType`; `ref` (0..2**63-1) pairs a reply with its call."""

    type: Count
    ref: Reference
    payload: bytes


class Heartbeat(msgspec.Struct, array_like=True, frozen=True):
    """Every second, both ways. `known` lets the other side notice that it has newer trust to send; `audit_seen` is how
    much of the other side's audit logs the sender remembers, `audit` what is new of its own; `held`: the other side's
    identity is used by two devices."""

    beat: Count
    clock_ms: TimeMs
    facts: NodeFacts | None
    known: TrustKnown
    advert_version: Count
    audit_seen: Annotated[tuple[AuditSeen, ...], Meta(max_length=AUDIT_HEADS_MAX)] = ()
    audit: Annotated[tuple[AuditNews, ...], Meta(max_length=AUDIT_HEADS_MAX)] = ()
    held: bool = False


class Call(msgspec.Struct, array_like=True, frozen=True):
    """A read-only session call: `args` are canonical MessagePack; answered within `timeout_ms` or not at all."""

    operation: Word
    args: Arguments
    timeout_ms: DurationMs


class CallReply(msgspec.Struct, array_like=True, frozen=True):
    """`value` (canonical MessagePack) or `error`."""

    value: Result
    error: WireError | None = None


class JobAccepted(msgspec.Struct, array_like=True, frozen=True):
    """The job is in the node's journal; `state` is `accepted` or `running`."""

    job_id: TimeId
    epoch: Count
    state: Word


class JobProgress(msgspec.Struct, array_like=True, frozen=True):
    """`fraction` 0..1 of a running job, and what it does now."""

    job_id: TimeId
    epoch: Count
    fraction: Fraction
    text: Line = ""


class ResultTaken(msgspec.Struct, array_like=True, frozen=True):
    """The result is in the coordinator's journal; the node may forget it after its keeping time. `more`: those of other
    jobs (id, epoch) as well; who does not know this field tells those results again."""

    job_id: TimeId
    epoch: Count
    more: Annotated[tuple[tuple[TimeId, Count], ...], Meta(max_length=TAKEN_MAX)] = ()


class Draining(msgspec.Struct, array_like=True, frozen=True):
    """This device is going to end (`on`), and what runs there may take up to `grace_ms`; or it is not, after all."""

    on: bool
    grace_ms: DurationMs
    reason: Line = ""


class Relay(msgspec.Struct, array_like=True, frozen=True):
    """Custody: a signed envelope's three frames on their way to its `dst`; `hops` so far, at most 4."""

    frames: tuple[bytes, bytes, bytes]
    hops: Count = 0


__all__ = [
    "TAKEN_MAX",
    "Call",
    "CallReply",
    "Draining",
    "Heartbeat",
    "JobAccepted",
    "JobProgress",
    "Relay",
    "ResultTaken",
    "SessionBody",
]
