"""`jobs list`, `show`, `cancel`: looking at jobs, and what to do about one."""

from __future__ import annotations

import time
from typing import Any

from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, sentence, table
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import UnknownJob


def run_list(out: Output, limit: int, state: str, person: str = "") -> int:
    """Recent jobs, the newest first."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
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
            _state(one),
            one.get("device_name") or "-",
            str(one.get("attempts", 0)),
            duration(one),
            clock_time(one["submitted_ms"]),
        ]
        for one in jobs
    ]
    out.result(None, *table(["JOB", "OPERATION", "STATE", "DEVICE", "TRIES", "TOOK", "SUBMITTED"], rows))
    return EXIT_DONE


def run_show(out: Output, job: str, person: str = "") -> int:
    """The whole story of one job."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        run = as_run(client, "run.show", job)
        if run is not None:
            from kindmesh.coordinator.cli.run_graph import run_lines

            out.result(run, *run_lines(run))
            return EXIT_DONE
        found: dict[str, Any] = client.call("job", {"id": job})
    out.result(found, *job_lines(found))
    return EXIT_DONE


def run_cancel(out: Output, job: str, person: str = "") -> int:
    """Cancel a job."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        run = as_run(client, "run.cancel", job)
        found: dict[str, Any] = run if run is not None else client.call("cancel", {"id": job})
    out.result({"ok": True, **found}, f"Asked {job} to end; it is {found['state']} now.")
    return EXIT_DONE


def run_runs(out: Output, limit: int, person: str = "") -> int:
    """Recent runs, the newest first."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        runs: list[dict[str, Any]] = client.call("run.list", {"limit": limit})
    if out.as_json:
        for one in runs:
            out.result(one)
        return EXIT_DONE
    rows = [
        [one["run"], one["state"], one["where"] or "-", _run_took(one), clock_time(one["begun_ms"])]
        for one in runs
    ]
    out.result(None, *table(["RUN", "STATE", "AT", "TOOK", "BEGUN"], rows))
    return EXIT_DONE


def _run_took(run: dict[str, Any]) -> str:
    return milliseconds(run["ended_ms"] - run["begun_ms"]) if run["ended_ms"] else "..."


def as_run(client: ControlClient, method: str, named: str) -> dict[str, Any] | None:
    """What a method says about the run with that id, or None when it is no run's."""
    try:
        found: dict[str, Any] = client.call(method, {"id": named})
    except UnknownJob:
        return None
    return found


def clock_time(at_ms: int) -> str:
    """A time as the clock on the wall has it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


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
    """A job's document for people: what became of it, then its facts, then its timeline."""
    lines = [f"{job['operation']}: {job['state']} after {duration(job)}"]
    if job.get("error"):
        lines.append(sentence(job["error"]["message"]))
        if job["error"].get("hint"):
            lines.append(job["error"]["hint"])
    lines += settled_lines(job)
    if job.get("why"):
        lines.append(f"Waits: {job['why']}")
    lines += _facts(job)
    start = job["submitted_ms"]
    for entry in job.get("timeline", []):
        who = f" {entry['device_name']}" if entry.get("device_name") else ""
        detail = f"  {entry['detail']}" if entry.get("detail") else ""
        lines.append(f"  {entry['at_ms'] - start:>7} ms  {entry['what']}{who}{detail}")
    return lines


def settled_lines(job: dict[str, Any]) -> list[str]:
    """Whether an uncertain job happened after all, and who says so; or how to say it."""
    if job["state"] != "uncertain" or "settled" not in job:
        return []
    settled = job["settled"]
    if settled is None:
        return [f"Say which: kindmesh jobs settle {job['job']} --happened, or --did-not-happen"]
    word = "It happened" if settled["happened"] else "It did not happen"
    lines = [f"{word}, says {settled['by']} ({clock_time(settled['at_ms'])})."]
    if settled["note"]:
        lines.append(f"Note: {settled['note']}")
    if settled["contradicted"]:
        lines.append("Its device has told the opposite since; see below.")
    return lines


def _state(job: dict[str, Any]) -> str:
    settled = job.get("settled")
    if not settled:
        return str(job["state"])
    return f"{job['state']} ({'happened' if settled['happened'] else 'did not happen'})"


def _facts(job: dict[str, Any]) -> list[str]:
    if "priority" not in job:
        return []
    facts = [
        ("job", job["job"]),
        ("submitted", clock_time(job["submitted_ms"])),
        ("priority", job["priority"]),
    ]
    if job.get("device_name"):
        facts.append(("device", job["device_name"]))
    facts.append(("attempts", str(job.get("attempts", 0))))
    facts += [("permit", permit) for permit in job.get("permits", [])]
    return [f"  {name:<10} {value}" for name, value in facts]


__all__ = [
    "as_run",
    "clock_time",
    "duration",
    "job_lines",
    "milliseconds",
    "run_cancel",
    "run_list",
    "run_runs",
    "run_show",
]
