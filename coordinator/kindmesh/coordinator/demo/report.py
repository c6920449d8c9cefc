"""The demo's outcome, as data and as a timeline for people."""

from __future__ import annotations

import textwrap
from typing import Any

import msgspec

from kindmesh.coordinator.cli.jobs_commands import milliseconds
from kindmesh.coordinator.demo.story import SAY, Told

NEXT = (
    "kindmesh init                       make your own mesh (then kindmesh up)",
    "kindmesh pair                       on this device, and on another one:",
    "kindmesh join 'KM1:...'             let it in",
    'kindmesh call speech.render text="Good morning" --save morning.wav',
    "kindmesh jobs                       what was done, where, why, under which permit",
    "kindmesh doctor                     what is wrong, and what to do",
)


def as_data(told: Told) -> dict[str, Any]:
    """Everything, with `permits` gathered from the jobs and `ok` last."""
    data: dict[str, Any] = msgspec.to_builtins(told)
    data["permits"] = [
        {"permit": permit, "job": job["job"], "operation": job["operation"]}
        for job in told.jobs
        for permit in job.get("permits", [])
    ]
    data["next"] = [line.split("  ")[0] for line in NEXT]
    data["ok"] = is_ok(told)
    return data


def is_ok(told: Told) -> bool:
    """The letter was read, the device died in mid-job, and the job ended once, on another attempt."""
    journal = told.kill.get("journal", {})
    return bool(
        told.text
        and journal.get("intent")
        and not journal.get("result")
        and told.recovery.get("attempts", 0) > 1
        and told.wav.get("bytes", 0) > 44
        and sum(job["operation"] == "speech.render" and job["state"] == "succeeded" for job in told.jobs) == 1
    )


def timeline(told: Told) -> list[str]:
    """Who did what, why that device, which permit allowed it, how long."""
    lines = ["", "The letter:", *textwrap.indent(told.text, "  | ", lambda line: True).splitlines(), ""]
    if told.jobs:
        begun = min(job["submitted_ms"] for job in told.jobs)
        lines.append(f'What happened to "{SAY}":')
        for job in told.jobs:
            took = milliseconds((job.get("ended_ms") or job["submitted_ms"]) - job["submitted_ms"])
            lines += ["", f"  {job['operation']:<18} {job['state']} in {took}"]
            for entry in job.get("timeline", []):
                at_s = (entry["at_ms"] - begun) / 1000
                who = entry.get("device_name") or ""
                lines.append(
                    f"    {at_s:7.3f} s  {entry['what']:<12} {who:<8} {entry.get('detail') or ''}".rstrip()
                )
                if (
                    job["job"] == told.kill.get("job")
                    and entry["what"] == "permitted"
                    and who == told.kill["device"]
                ):
                    lines.append(f"{'':>16}  KILLED       {who:<8} kill -9; its journal: INTENT, no RESULT")
    wav = told.wav
    if wav:
        lines += ["", f"The sound is in {wav['path']} ({wav['duration_ms'] / 1000:.1f} s of speech)."]
    lines.append(
        f"The invitation's QR is in {told.invitation_png}; it was used up and opens nothing any more."
    )
    lines.append(
        f"Medulla was isolated by: {told.isolation}. Total time: {told.seconds.get('total', 0):.1f} s."
    )
    lines += ["", "What to try next:", *(f"  {line}" for line in NEXT)]
    return lines


__all__ = ["as_data", "is_ok", "timeline"]
