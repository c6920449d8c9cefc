"""Looking at schedules and changing them: `list show history next pause resume run remove`."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.as_person import AsPerson, connect_as
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.coordinator.cli.schedule_words import next_words, outcome
from kindmesh.coordinator.heart.schedules.words import duration
from kindmesh.mesh.home import Home

_EMPTY = "There are no schedules. kindmesh schedule add makes one."


def _call(person: str, method: str, params: dict[str, Any]) -> Any:
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        return client.call(method, params)


def run_list(out: Output, person: str) -> int:
    """All schedules, one line each."""
    found = _call(person, "schedule.list", {})
    rows = [
        [
            one["name"],
            one["state"],
            one["when"],
            next_words(one),
            outcome(one["last"]) if one["last"] else "not yet",
            str(one["missed"]),
        ]
        for one in found
    ]
    lines = table(["NAME", "STATE", "WHEN", "NEXT", "LAST", "MISSED"], rows) if rows else [_EMPTY]
    out.result({"ok": True, "schedules": found}, *lines)
    return EXIT_DONE


def run_show(out: Output, name: str, person: str) -> int:
    """Everything about one schedule."""
    found = _call(person, "schedule.show", {"name": name})
    args = " ".join(f"{key}={value}" for key, value in found["args"].items())
    grace = duration(found["grace_ms"])
    misfire = {
        "skip": "missed times are skipped",
        "once": f"of missed times the newest is made up for, up to {grace} late",
        "all": f"missed times are made up for, the newest {found['catch_up']}, up to {grace} late",
    }[found["misfire"]]
    lines = [
        f"{found['name']}: {found['state']}{', ' + found['why'] if found['why'] else ''}",
        f"  does      {found['operation']} {args}".rstrip(),
        f"  on        {found['target_name'] or 'whichever device serves best'}",
        f"  when      {found['when']} ({found['zone']})",
        f"  missed    {misfire}",
        f"  overlap   {found['overlap']}",
        f"  made      {found['created']} by {found['made_by']}",
    ]
    if found["delay_ms"]:
        lines.append(f"  jitter    each run {duration(found['delay_ms'])} later")
    lines.append("Next:" if found["coming"] else f"Next: {next_words(found)}")
    lines += [
        f"  {due['local']}{' - ' + due['why_not'] if due['why_not'] else ''}" for due in found["coming"]
    ]
    if found["history"]:
        lines += ["History, newest first:", *_firing_lines(found["history"])]
    if found["misses"]:
        lines += [f"Missed ({found['missed']}), newest first:", *_firing_lines(found["misses"])]
    out.result({"ok": True, **found}, *lines)
    return EXIT_DONE


def _firing_lines(firings: list[dict[str, Any]]) -> list[str]:
    return [
        f"  {one['local']}  {outcome(one)}{'  job ' + one['job'] if one['job'] else ''}" for one in firings
    ]


def run_history(out: Output, name: str, limit: int, person: str, *, misses: bool) -> int:
    """What it did and missed."""
    found = _call(person, "schedule.history", {"name": name, "limit": limit, "misses": misses})
    out.result(
        {"ok": True, "name": name, "history": found}, *(_firing_lines(found) or ["Nothing happened yet."])
    )
    return EXIT_DONE


def run_pause(out: Output, name: str, person: str, *, resume: bool) -> int:
    """Pause or resume."""
    found = _call(person, "schedule.resume" if resume else "schedule.pause", {"name": name})
    said = (
        f"{name} goes on; next: {next_words(found)}."
        if resume
        else f"{name} is paused. kindmesh schedule resume {name} lets it go on."
    )
    out.result({"ok": True, **found}, said)
    return EXIT_DONE


def run_run(out: Output, name: str, person: str) -> int:
    """Start it now."""
    found = _call(person, "schedule.run", {"name": name})
    out.result(
        {"ok": True, **found}, f"{name} is started. kindmesh schedule history {name} shows how it ends."
    )
    return EXIT_DONE


def run_remove(out: Output, name: str, person: str) -> int:
    """Forget it."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        found = client.call("schedule.remove", {"name": name})
        if isinstance(client, AsPerson):
            for one in client.call("people", {})["delegations"]:
                if one["acting"] == f"goal:schedule-{name}":
                    client.call("undelegate", {"delegation": one["delegation"]})
    out.result(found, f"{name} is removed.")
    return EXIT_DONE


def run_next(out: Output, days: int, person: str) -> int:
    """The calendar of what comes."""
    found = _call(person, "schedule.calendar", {"days": days})
    lines = [
        f"{due['local']}  {due['name']}  {due['operation']}{' - ' + due['why_not'] if due['why_not'] else ''}"
        for due in found["coming"]
    ]
    if found["more"]:
        lines.append("... and more. Fewer --days show less.")
    out.result({"ok": True, **found}, *(lines or [f"Nothing is due within {days} days."]))
    return EXIT_DONE


__all__ = ["run_history", "run_list", "run_next", "run_pause", "run_remove", "run_run", "run_show"]
