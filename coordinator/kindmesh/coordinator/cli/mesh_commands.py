"""`nodes`, `capabilities`, `jobs`, `stop`: looking at the mesh and holding it back."""

from __future__ import annotations

import time
from typing import Any

from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.local import connect, connect_node
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, age, sentence, table
from kindmesh.mesh.home import Home


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.0f} %"


def run_nodes(out: Output) -> int:
    """All devices with their state, load, battery and temperature."""
    with connect_as(Home.locate(), timeout_ms=10_000) as client:
        nodes: list[dict[str, Any]] = client.call("nodes")
    if out.as_json:
        for node in nodes:
            out.result(node)
        return EXIT_DONE
    rows = []
    for node in nodes:
        facts = node.get("facts") or {}
        heat = facts.get("temperature_c")
        rows.append(
            [
                node["name"],
                node["role"],
                node["state"],
                age(node.get("age_ms")),
                _percent(facts.get("load")),
                _percent(facts.get("battery")),
                "unknown" if heat is None else f"{heat:.0f} C",
                str(facts.get("running", 0)),
                node["id"],
            ]
        )
    headings = ["NAME", "ROLE", "STATE", "SEEN", "LOAD", "BATTERY", "HEAT", "JOBS", "ID"]
    out.result(None, *table(headings, rows))
    for node in nodes:
        if node.get("note"):
            out.note(sentence(node["note"]))
    return EXIT_DONE


def run_capabilities(out: Output) -> int:
    """What the devices can do, and what is missing for the rest."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        offers: list[dict[str, Any]] = client.call("capabilities")
    if out.as_json:
        for offer in offers:
            out.result(offer)
        return EXIT_DONE
    rows, hints = [], []
    for offer in offers:
        for operation in offer["operations"]:
            state = "ready" if offer["ready"] else "missing"
            if not operation["granted"]:
                state = "not granted"
            inputs = " ".join(
                field["name"] if field["required"] else f"[{field['name']}]" for field in operation["input"]
            )
            rows.append(
                [operation["name"], offer["device_name"], state, ",".join(operation["effects"]), inputs]
            )
        if offer.get("hint"):
            hints.append(f"{offer['capability']} on {offer['device_name']}: {offer['hint']}")
    out.result(None, *table(["OPERATION", "DEVICE", "STATE", "EFFECTS", "TAKES"], rows))
    for hint in hints:
        out.note(hint)
    return EXIT_DONE


def run_jobs(out: Output, job: str, limit: int, state: str, *, person: str = "") -> int:
    """Recent jobs, or the whole story of one."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        if job:
            found: dict[str, Any] = client.call("job", {"id": job})
            out.result(found, *job_lines(found))
            return EXIT_DONE
        jobs: list[dict[str, Any]] = client.call(
            "jobs", {"limit": limit, **({"state": state} if state else {})}
        )
    if out.as_json:
        for one in jobs:
            out.result(one)
        return EXIT_DONE
    rows = [
        [
            one["job"],
            one["operation"],
            one["state"],
            one.get("device_name") or "-",
            str(one.get("attempts", 0)),
            duration(one),
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["submitted_ms"] / 1000)),
        ]
        for one in jobs
    ]
    out.result(None, *table(["JOB", "OPERATION", "STATE", "DEVICE", "TRIES", "TOOK", "SUBMITTED"], rows))
    return EXIT_DONE


def run_cancel(out: Output, job: str, person: str = "") -> int:
    """Cancel a job."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        found: dict[str, Any] = client.call("cancel", {"id": job})
    out.result({"ok": True, **found}, f"Asked {job} to end; it is {found['state']} now.")
    return EXIT_DONE


def duration(job: dict[str, Any]) -> str:
    """How long a job took, or has taken until now."""
    ended = job.get("ended_ms")
    if ended is None:
        return "..."
    return milliseconds(ended - job["submitted_ms"])


def milliseconds(value: int) -> str:
    """`12 ms`, `1.2 s`, `3.4 min`."""
    if value < 1_000:
        return f"{value} ms"
    return f"{value / 1_000:.1f} s" if value < 120_000 else f"{value / 60_000:.1f} min"


def job_lines(job: dict[str, Any]) -> list[str]:
    """A job's document for people: what became of it, then its timeline."""
    lines = [f"{job['operation']}: {job['state']} after {duration(job)}"]
    if job.get("error"):
        lines.append(sentence(job["error"]["message"]))
        if job["error"].get("hint"):
            lines.append(job["error"]["hint"])
    start = job["submitted_ms"]
    for entry in job.get("timeline", []):
        who = f" {entry['device_name']}" if entry.get("device_name") else ""
        detail = f"  {entry['detail']}" if entry.get("detail") else ""
        lines.append(f"  {entry['at_ms'] - start:>7} ms  {entry['what']}{who}{detail}")
    return lines


def run_stop(out: Output, reset: bool, reason: str) -> int:
    """Halt motion, actuation and speech everywhere; or let this device go on."""
    home = Home.locate()
    if reset:
        with connect_node(home) as client:
            client.call("stop.reset")
        out.result(
            {"ok": True, "reset": True}, "This device may act again. Reset the others at each of them."
        )
        return EXIT_DONE
    with connect(home, timeout_ms=10_000) as client:
        told: dict[str, Any] = client.call("stop", {"reason": reason})
    devices = ", ".join(told.get("devices", [])) or "no device"
    out.result(
        {"ok": True, **told},
        f"Stopped: {devices}.",
        "Each device stays stopped until kindmesh stop --reset is typed on it.",
    )
    return EXIT_DONE


__all__ = [
    "duration",
    "job_lines",
    "milliseconds",
    "run_cancel",
    "run_capabilities",
    "run_jobs",
    "run_nodes",
    "run_stop",
]
