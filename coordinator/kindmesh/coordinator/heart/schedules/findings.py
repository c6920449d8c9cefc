"""What `kindmesh doctor` learns of schedules: what cannot be read, has stopped, or went wrong the last time."""

from __future__ import annotations

from typing import Final, Literal

from kindmesh.coordinator.heart.schedules.journal import Firing
from kindmesh.coordinator.heart.schedules.service import Schedules
from kindmesh.coordinator.heart.schedules.zones import show, zone_named

DAY_MS: Final = 86_400_000
Line = tuple[Literal["ok", "warn", "fail"], str, str]
_WELL: Final = ("waiting", "starting", "started", "succeeded", "cancelled")


def schedule_findings(schedules: Schedules) -> list[Line]:
    """(level, message, hint) for each that wants to be looked at; nothing that is older than a day."""
    found: list[Line] = []
    unreadable = schedules.journal.unreadable
    if unreadable:
        found.append(
            (
                "fail",
                f"{unreadable} schedules cannot be read from the journal; nothing is started for them.",
                "Make them again: kindmesh schedule add. The log names them by id.",
            )
        )
    now_ms = schedules.now_ms()
    for held in schedules.all():
        name, machine = held.schedule.name, held.machine
        if machine.state == "stopped":
            hint = f"Make it anew, or kindmesh schedule remove {name}."
            found.append(("warn", f"The schedule {name} is stopped: {machine.why}.", hint))
            continue
        last = next(iter(schedules.journal.history(held.schedule.schedule_id, 1)), None)
        if last is not None and last.due_ms > now_ms - DAY_MS and _went_wrong(last):
            when = show(last.due_ms, zone_named(held.schedule.zone))
            why = f": {last.why}" if last.why else ""
            hint = f"kindmesh schedule history {name} says more; kindmesh schedule run {name} does it now."
            found.append(("warn", f"The schedule {name} on {when}: {last.state}{why}.", hint))
    return found


def _went_wrong(firing: Firing) -> bool:
    return firing.state not in _WELL and firing.reason not in ("paused", "sun")


__all__ = ["schedule_findings"]
