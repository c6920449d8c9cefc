"""A device's result, read with care: it is signed by a member, which does not make it true, or small."""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.coordinator.heart.journal import Ending
from kindmesh.coordinator.heart.machine_words import Finish, ResultArrived
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import Malformed, WireError
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import ARTIFACT_MAX, RESULT_MAX, TEXT_MAX
from kindmesh.protocol.messages.jobs import ArtifactInfo, JobResult
from kindmesh.protocol.receipt import RECEIPT

RETRY_MAX_MS: Final = 60_000
ARTIFACTS_MAX: Final = 64
_HASH: Final = 32
_RECEIPT_MAX: Final = 4_096
_LATEST_MS: Final = 1 << 48
_NAME: Final = 100


def clean(device: bytes, result: JobResult) -> JobResult:
    """The same result with everything within its bounds: artifacts are held by whoever reports them, texts are short,
    a value that is none is an error, times are times."""
    artifacts = tuple(_artifact(device, info) for info in result.artifacts[:ARTIFACTS_MAX])
    error, value, outcome = result.error, result.value, result.outcome
    if outcome == "succeeded" and not _is_map(value):
        value, outcome = b"", "failed"
        error = WireError(Malformed.code, "the device did it, but its result cannot be read")
    if error is not None:
        error = WireError(
            error.code[:_NAME], error.message[:TEXT_MAX], error.hint[:TEXT_MAX], error.field[:_NAME]
        )
    elif outcome != "succeeded":
        error = WireError("UNCERTAIN" if outcome == "uncertain" else "JOB", f"it ended as {outcome}")
    return msgspec.structs.replace(
        result,
        outcome=outcome,
        value=value if outcome == "succeeded" else b"",
        error=error,
        permit_id=result.permit_id if len(result.permit_id) == TIME_ID else b"",
        started_ms=min(max(result.started_ms, 0), _LATEST_MS),
        ended_ms=min(max(result.ended_ms, 0), _LATEST_MS),
        artifacts=tuple(info for info in artifacts if len(info.artifact) == _HASH),
    )


def event(device: bytes, result: JobResult) -> ResultArrived:
    """What the machine is told of a clean result. A refusal to begin names no permit and no time; what was accepted and
    not begun names no time."""
    begun = bool(result.started_ms or (result.permit_id and result.outcome != "interrupted"))
    code = "" if result.error is None else result.error.code
    return ResultArrived(device, result.epoch, result.outcome, code, begun, _retry_ms(result))


def ending(wish: Finish, device: bytes, result: JobResult | None) -> Ending:
    """What is kept of how a job ended: the result that just arrived, or the machine's own reason."""
    if not wish.take or result is None:
        error = None if wish.state == "succeeded" else WireError(wish.code, wish.message, wish.hint)
        return Ending(error=error, device=device)
    return Ending(
        result.value,
        result.error,
        result.artifacts,
        device,
        result.permit_id,
        result.started_ms,
        result.ended_ms,
        result.ext.get(RECEIPT, b"")[:_RECEIPT_MAX],
    )


def _artifact(device: bytes, info: ArtifactInfo) -> ArtifactInfo:
    size = min(max(info.size_bytes, 0), ARTIFACT_MAX)
    return ArtifactInfo(info.artifact, size, info.media_type[:_NAME], device)


def _is_map(value: bytes) -> bool:
    try:
        return isinstance(decode_value(value, limit=RESULT_MAX), dict)
    except Malformed:
        return False


def _retry_ms(result: JobResult) -> int:
    if "retry_ms" not in result.ext:
        return 0
    try:
        wanted = decode_value(result.ext["retry_ms"])
    except Malformed:
        return 0
    return min(max(wanted, 0), RETRY_MAX_MS) if isinstance(wanted, int) else 0


__all__ = ["ARTIFACTS_MAX", "RETRY_MAX_MS", "clean", "ending", "event"]
