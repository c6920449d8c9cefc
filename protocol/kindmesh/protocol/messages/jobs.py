"""Jobs on their way to a node and back, and `stop`.

A job carries its permit; the node checks it whoever sent it. `epoch` is the fencing token of this attempt: a node
refuses an epoch below the highest it has seen for the job. A result stays with the node until it was taken.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    Hash,
    KeyId,
    Line,
    OptionalTimeId,
    Result,
    TimeId,
    TimeMs,
    Word,
)
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.extensions import Ext
from kindmesh.protocol.manifest import HARMLESS
from kindmesh.protocol.signed import Signed

Priority = Literal["emergency", "interactive", "background"]
Outcome = Literal["succeeded", "failed", "cancelled", "interrupted", "uncertain"]


class ArtifactInfo(msgspec.Struct, array_like=True, frozen=True):
    """An artifact and who holds it: `artifact` is SHA-256 of its bytes (32), `holder` a device id."""

    artifact: Hash
    size_bytes: Count
    media_type: Line
    holder: KeyId


class Job(msgspec.Struct, array_like=True, frozen=True):
    """`args` are canonical MessagePack (a map) and are hashed as received; `deadline_ms` is UTC; `sources` say where
    the artifacts in `args` can be fetched."""

    job_id: TimeId
    run_id: TimeId
    step: Count
    epoch: Count
    operation: Word
    args: Arguments
    deadline_ms: TimeMs
    priority: Priority
    permit: Signed | None
    sources: tuple[ArtifactInfo, ...] = ()
    ext: Ext = {}


class JobCancel(msgspec.Struct, array_like=True, frozen=True):
    """Stop working on a job; the node answers with its result."""

    job_id: TimeId
    epoch: Count
    reason: Line = ""


class JobResult(msgspec.Struct, array_like=True, frozen=True):
    """`value` is canonical MessagePack (a map) when `outcome` is succeeded, else empty. `interrupted`: it was begun,
    had no effect and may be done again elsewhere; `uncertain`: begun, and nobody can know how it ended."""

    job_id: TimeId
    epoch: Count
    outcome: Outcome
    value: Result
    error: WireError | None
    permit_id: OptionalTimeId
    started_ms: TimeMs
    ended_ms: TimeMs
    artifacts: tuple[ArtifactInfo, ...] = ()
    ext: Ext = {}


class Stop(msgspec.Struct, array_like=True, frozen=True):
    """Halt motion, actuation and speech, and stay halted; any member may send it, no permit is
    needed. Leaving the stopped state needs local input on each device, so there is no message for it."""

    reason: Line = ""


def is_alert(priority: Priority, effects: int) -> bool:
    """Whether a job is an alert: an emergency that only reads and notifies. Neither `stop` nor an ended certificate
    holds it back."""
    return priority == "emergency" and effects > 0 and not effects & ~HARMLESS


__all__ = ["ArtifactInfo", "Job", "JobCancel", "JobResult", "Outcome", "Priority", "Stop", "is_alert"]
