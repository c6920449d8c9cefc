"""`call` and `review`: having something done, and the owner's yes where it needs one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.as_person import AsPerson, connect_as, has_key, person_named
from kindmesh.coordinator.cli.local import check_target, connect, download, is_coordinator, upload
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, exit_code
from kindmesh.coordinator.cli.review_approval import answer_request
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, NeedsApproval, Uncertain, WireError, error_from_wire

TIMEOUT_MAX_S: Final = 7 * 86_400.0
_STATES = {
    "queued": "waiting for its turn",
    "waiting_device": "waiting for a device",
    "waiting_approval": "waiting for the owner's yes",
    "placed": "on its way",
    "accepted": "accepted",
    "running": "running",
}


def fields_of(capabilities: list[dict[str, Any]], operation: str) -> dict[str, dict[str, Any]]:
    """The input fields of an operation by name, as some device offers it; empty when none does."""
    for offer in capabilities:
        for found in offer["operations"]:
            if found["name"] == operation:
                return {field["name"]: field for field in found["input"]}
    return {}


def run_call(
    out: Output,
    operation: str,
    words: Sequence[str],
    *,
    save: Path | None,
    target: str,
    timeout_s: float | None,
    session: bool,
    explain: bool,
    full: bool,
    approve: bool,
    person: str = "",
    purpose: str = "household",
    acting: str = "",
) -> int:
    """Run one operation and show what came of it."""
    if timeout_s is not None and not 0 < timeout_s <= TIMEOUT_MAX_S:
        raise InvalidInput("the time is more than 0 seconds and at most 7 days", field="timeout")
    if save is not None:
        check_target(save)
    home = Home.locate()
    whom = ""
    if acting and person and is_coordinator(home) and not has_key(home, person):
        # What runs here for somebody has that person's delegation, and needs no signature for each request.
        with connect(home) as asking:
            known = person_named(asking, person)
        if known is None:
            raise InvalidInput(
                f"there is nobody called {person[:64]!r}", field="as", hint="kindmesh people lists them."
            )
        person, whom = "", known["person"]
    with connect_as(home, person) as client:
        fields = fields_of(client.call("capabilities"), operation)

        def take(path: Path) -> dict[str, Any]:
            return upload(client, path, lambda part: out.progress(f"{path.name} {part * 100:.0f} %"))

        request: dict[str, Any] = {"operation": operation, "args": parse_arguments(words, fields, take)}
        if target:
            request["target"] = target
        if purpose != "household":
            request["purpose"] = purpose
        if acting:
            request["acting"] = acting
        if whom:
            request["acting_for"] = whom
        if explain:
            return _explain(out, client, request)
        if session:
            value = client.call("call", {**request, "timeout_ms": max(1, int((timeout_s or 10) * 1000))})
            out.result({"ok": True, "value": value}, *value_lines(value))
            return EXIT_DONE
        if timeout_s is not None:
            request["deadline_ms"] = int(time.time() * 1000 + timeout_s * 1000)
        job = submit_job(out, home, client, {**request, "full": full, "wait": True}, approve)
        if job["state"] != "succeeded":
            return failed_job(out, job)
        saved = _save(client, job, save)
        lines = value_lines(job["value"]) + (
            [f"Saved {saved['bytes']} bytes to {saved['path']}."] if saved else []
        )
        out.result({"ok": True, **job, **({"saved": saved} if saved else {})}, *lines)
    return EXIT_DONE


def submit_job(
    out: Output, home: Home, client: ControlClient, request: dict[str, Any], approve: bool
) -> dict[str, Any]:
    """Submit a job and wait for its end, with progress; the job. With `approve` the owner is asked here.

    Raises:
        NeedsApproval: somebody has to say yes, and cannot be asked here; the job waits.
    """
    stream = client.stream("submit", request)
    while True:
        try:
            event: dict[str, Any] = next(stream)
        except StopIteration as end:
            job: dict[str, Any] = end.value
            out.clear()
            return job
        state = event.get("state", "")
        if state == "waiting_approval":
            owner = is_coordinator(home) and not isinstance(client, AsPerson)
            if not (approve and owner):
                hint = "The owner answers with kindmesh review on the coordinator; the job waits meanwhile."
                raise NeedsApproval(f"{request['operation']} needs the owner's yes", hint=hint)
            answer_request(out, home, event["request"])
        elif event.get("fraction") is not None:
            out.progress(f"{request['operation']} {event['fraction'] * 100:.0f} % {event.get('text', '')}")
        elif state in _STATES:
            where = f" on {event['device_name']}" if event.get("device_name") else ""
            out.progress(f"{request['operation']}: {_STATES[state]}{where}")


def failed_job(out: Output, job: dict[str, Any]) -> int:
    """Say why a job did not succeed; the exit code."""
    error = job.get("error") or {"code": "JOB", "message": f"{job['operation']} {job['state']}", "hint": ""}
    wire = WireError(error["code"], error["message"], error.get("hint", ""), error.get("field", ""))
    raised = error_from_wire(wire)
    if out.as_json:
        out.result({"ok": False, **job})
    else:
        out.trouble(raised)
        out.note(f"Its story: kindmesh jobs {job['job']}")
    if job["state"] == "uncertain":
        return exit_code(Uncertain())
    return exit_code(raised)


def _save(client: ControlClient, job: dict[str, Any], save: Path | None) -> dict[str, Any] | None:
    if save is None:
        return None
    artifacts = [value for value in job["value"].values() if isinstance(value, dict) and "artifact" in value]
    if not artifacts:
        raise InvalidInput("this operation gave no file to save", field="save")
    written = download(client, artifacts[0], job["job"], save)
    return {"path": str(save), "bytes": written, "artifact": artifacts[0]["artifact"]}


def value_lines(value: dict[str, Any]) -> list[str]:
    """A result for people: long text on its own, artifacts by size, the rest as `name: value`."""
    lines: list[str] = []
    for name, item in value.items():
        if isinstance(item, dict) and "artifact" in item:
            lines.append(f"{name}: {item['artifact']} ({item.get('size_bytes', '?')} bytes)")
        elif isinstance(item, str) and (len(item) > 60 or "\n" in item):
            lines += [f"{name}:", *(f"  {line}" for line in item.splitlines())]
        elif isinstance(item, list) and len(item) > 4:
            lines.append(f"{name}: {len(item)} items (all of them with --json)")
        else:
            lines.append(f"{name}: {item}")
    return lines


def _explain(out: Output, client: ControlClient, request: dict[str, Any]) -> int:
    """Every candidate with its score, and why not."""
    explained: dict[str, Any] = client.call("explain", request)
    lines = []
    for candidate in explained["candidates"]:
        if candidate.get("why_not"):
            lines.append(f"{candidate['device_name']:<16} no: {candidate['why_not']}")
        else:
            parts = ", ".join(f"{name} {value:+.2f}" for name, value in candidate["parts"].items())
            lines.append(f"{candidate['device_name']:<16} {candidate['score']:.3f}  ({parts})")
    out.result(explained, *lines)
    return EXIT_DONE


__all__ = ["failed_job", "fields_of", "run_call", "submit_job", "value_lines"]
