"""Jobs as plain data, for control sockets and people: what `jobs`, `job` and `submit` answer with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kindmesh.coordinator.heart.journal import Ending, JobFacts, Progress
from kindmesh.coordinator.heart.machine_words import StoryEntry
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import Malformed, WireError
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.principal import principal_document, principal_from_text

_device_text = lru_cache(maxsize=1024)(format_id)
_effect_words = lru_cache(maxsize=256)(effect_names)

Names = Callable[[bytes], str]
"""A device's name by its id."""


def summary(facts: JobFacts, now: Progress, ended_ms: int, names: Names) -> dict[str, Any]:
    """One line of a list: nothing that is sealed. `ended_ms` is None while it is open."""
    job = format_time_id(facts.job_id)
    return {
        "job": job,
        "run": job if facts.run_id == facts.job_id else format_time_id(facts.run_id),
        "step": facts.step,
        "operation": facts.operation,
        "state": now.state,
        "device": _device_text(now.device) if now.device else "",
        "device_name": names(now.device),
        "attempts": now.epoch,
        "priority": facts.priority,
        "principal": principal_document(principal_from_text(facts.principal)),
        "effects": list(_effect_words(facts.effects)),
        "full": facts.full,
        "submitted_ms": facts.submitted_ms,
        "deadline_ms": now.deadline_ms,
        "ended_ms": ended_ms or None,
    }


def with_ending(document: dict[str, Any], ending: Ending | None) -> dict[str, Any]:
    """Add what came of it: `value` (None unless it succeeded), `error`, `artifacts`."""
    document["value"], document["error"], document["artifacts"] = None, None, []
    if ending is not None:
        document["error"] = None if ending.error is None else wire_error(ending.error)
        document["artifacts"] = [artifact(made) for made in ending.artifacts]
        document["started_ms"] = ending.started_ms or None
        if ending.value:
            try:
                document["value"] = decode_value(ending.value, limit=RESULT_MAX)
            except Malformed as error:
                document["error"] = wire_error(
                    WireError(error.code, f"the device's result cannot be read: {error}")
                )
    return document


def with_story(document: dict[str, Any], story: list[StoryEntry], names: Names) -> dict[str, Any]:
    """Add `timeline`: `{at_ms, what, device, device_name, detail}` each, and `permits`, the ids of those used."""
    timeline, permits = [], []
    for at_ms, what, device, detail in story:
        said = detail
        if not isinstance(detail, str):
            permit_id, version, isolation = detail
            permits.append(format_time_id(permit_id))
            said = f"permit {permits[-1]}, policy {version}, Medulla isolated by {isolation}"
        timeline.append(
            {
                "at_ms": at_ms,
                "what": what,
                "device": _device_text(device) if device else "",
                "device_name": names(device),
                "detail": said,
            }
        )
    document["timeline"], document["permits"] = timeline, permits
    return document


def artifact(info: ArtifactInfo) -> dict[str, Any]:
    """An artifact as arguments and results name it, with who holds it."""
    return {
        "artifact": info.artifact.hex(),
        "size_bytes": info.size_bytes,
        "media_type": info.media_type,
        "holder": _device_text(info.holder),
    }


def wire_error(error: WireError) -> dict[str, Any]:
    """An error as plain data."""
    document: dict[str, Any] = {
        "code": error.code, "message": error.message, "hint": error.hint, "field": error.field,
    }  # fmt: skip
    if error.retry_ms:
        document["retry_ms"] = error.retry_ms
    return document


__all__ = ["Names", "artifact", "summary", "wire_error", "with_ending", "with_story"]
