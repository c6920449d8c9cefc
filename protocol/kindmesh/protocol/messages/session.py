"""Bodies of session frames: high-rate, read-only or re-askable.

`SessionBody` is the frame's body: a type, a reference that pairs replies with calls, and the payload's bytes.
"""

from __future__ import annotations

import msgspec

from kindmesh.protocol.errors import WireError
from kindmesh.protocol.messages.hello import NodeFacts
from kindmesh.protocol.signed import Signed


class SessionBody(msgspec.Struct, array_like=True, frozen=True):
    """`type` is a `SessionType`; `ref` (0..2**63-1) pairs a reply with its call."""

    type: int
    ref: int
    payload: bytes


class Heartbeat(msgspec.Struct, array_like=True, frozen=True):
    """Every second, both ways. Versions let the other side notice that it should send or ask for newer trust."""

    beat: int
    clock_ms: int
    facts: NodeFacts | None
    roster_version: int
    revocation_version: int
    policy_version: int
    advert_version: int


class Call(msgspec.Struct, array_like=True, frozen=True):
    """A read-only session call: `args` are canonical MessagePack; answered within `timeout_ms` or not at all."""

    operation: str
    args: bytes
    timeout_ms: int


class CallReply(msgspec.Struct, array_like=True, frozen=True):
    """`value` (canonical MessagePack) or `error`."""

    value: bytes
    error: WireError | None = None


class JobAccepted(msgspec.Struct, array_like=True, frozen=True):
    """The job is in the node's journal; `state` is `accepted` or `running`."""

    job_id: bytes
    epoch: int
    state: str


class JobProgress(msgspec.Struct, array_like=True, frozen=True):
    """`fraction` 0..1 of a running job, and what it does now."""

    job_id: bytes
    epoch: int
    fraction: float
    text: str = ""


class ResultTaken(msgspec.Struct, array_like=True, frozen=True):
    """The result is in the coordinator's journal; the node may forget it after its keeping time."""

    job_id: bytes
    epoch: int


class TrustUpdate(msgspec.Struct, array_like=True, frozen=True):
    """Newer trust, each part signed by who makes it (issuer, issuer, owner, issuer)."""

    roster: Signed | None = None
    revocations: Signed | None = None
    policy: Signed | None = None
    certificate: Signed | None = None


class Relay(msgspec.Struct, array_like=True, frozen=True):
    """Custody: a signed envelope's three frames on their way to its `dst`; `hops` so far, at most 4."""

    frames: tuple[bytes, bytes, bytes]
    hops: int = 0


__all__ = ["Call", "CallReply", "Heartbeat", "JobAccepted", "JobProgress", "Relay", "ResultTaken", "SessionBody",
           "TrustUpdate"]
