"""Schedules and firings as plain data and plain words, for control sockets and people; times with their local text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.instants import Due, at_instant, coming
from kindmesh.coordinator.heart.schedules.journal import Firing
from kindmesh.coordinator.heart.schedules.service import Held
from kindmesh.coordinator.heart.schedules.words import duration
from kindmesh.coordinator.heart.schedules.zones import show, zone_named
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.plan import plan_from_bytes
from kindmesh.protocol.principal import describe_principal, principal_document


def describe(when: s.When, zone: str) -> str:
    """When it is due, in words."""
    match when:
        case s.Cron():
            return f"cron {when.expression}"
        case s.Every():
            return f"every {duration(when.every_ms)}"
        case s.At():
            return f"once, {show(at_instant(when, zone), zone_named(zone))}"
        case s.Sun():
            if not when.offset_ms:
                return f"at {when.event}"
            side = "before" if when.offset_ms < 0 else "after"
            return f"{duration(abs(when.offset_ms))} {side} {when.event}"
        case s.OnEvent():
            return _event_words(when)


def _event_words(when: s.OnEvent) -> str:
    words = [f"on {when.pattern}"]
    words += [f"{one.field} {one.test} {one.value}" for one in when.where]
    if when.change is not None:
        begin = "" if when.change.any_from else f" from {when.change.from_value}"
        end = "" if when.change.any_to else f" to {when.change.to_value}"
        stays = f" for {duration(when.change.for_ms)}" if when.change.for_ms else ""
        words.append(f"{when.change.field} changes{begin}{end}{stays}")
    if when.every_nth > 1:
        words.append(f"every {when.every_nth} times")
    if when.debounce == "trailing":
        words.append(f"after {duration(when.quiet_ms)} of quiet")
    elif when.debounce == "leading":
        words.append(f"then not for {duration(when.quiet_ms)}")
    return ", ".join(words)


def due_document(due: Due, zone: str) -> dict[str, Any]:
    """A due instant that is yet to come."""
    return {"at_ms": due.at_ms, "local": show(due.at_ms, zone_named(zone)), "why_not": due.why_not}


def firing_document(firing: Firing, zone: str) -> dict[str, Any]:
    """One line of a history. `job` is the id of what was started, or empty."""
    return {
        "due_ms": firing.due_ms,
        "local": show(firing.due_ms, zone_named(zone)),
        "state": firing.state,
        "reason": firing.reason,
        "why": firing.why,
        "late_ms": firing.late_ms,
        "job": format_time_id(firing.ref) if firing.ref else "",
        "ended_ms": firing.ended_ms or None,
        "first_ms": firing.first_ms or firing.due_ms,
        "count": firing.count,
        "more": firing.more,
    }


def what(action: s.Action) -> str:
    """What is done, in a word or two."""
    if not action.plan:
        return action.operation
    return f"plan {plan_from_bytes(action.plan).name}".strip()


def summary(held: Held, now_ms: int, last: Firing | None, missed: int) -> dict[str, Any]:
    """One line of a list."""
    schedule, machine = held.schedule, held.machine
    following = coming(schedule, max(now_ms, machine.cursor_ms), count=1) if machine.state == "active" else []
    return {
        "name": schedule.name,
        "state": machine.state,
        "why": machine.why,
        "when": describe(schedule.when, schedule.zone),
        "zone": schedule.zone,
        "operation": what(schedule.action),
        "next": due_document(following[0], schedule.zone) if following else None,
        "last": None if last is None else firing_document(last, schedule.zone),
        "missed": missed,
        "made_by": describe_principal(schedule.maker),
        "principal": principal_document(schedule.maker),
    }


def whole(held: Held, names: Callable[[bytes], str]) -> dict[str, Any]:
    """What else there is to say about it: what it does, and its rules."""
    schedule = held.schedule
    action, rules = schedule.action, schedule.rules
    return {
        "args": decode_value(action.args, limit=ARGUMENTS_MAX) if action.args else {},
        "target": format_id(action.target) if action.target else "",
        "target_name": names(action.target),
        "created_ms": schedule.created_ms,
        "created": show(schedule.created_ms, zone_named(schedule.zone)),
        "priority": schedule.priority,
        "purpose": schedule.purpose,
        "misfire": rules.misfire,
        "grace_ms": rules.grace_ms,
        "catch_up": rules.catch_up,
        "overlap": rules.overlap,
        "jitter_ms": rules.jitter_ms,
        "delay_ms": schedule.delay_ms,
        "running": len(held.machine.open),
        "waiting": len(held.machine.backlog),
    }


__all__ = ["describe", "due_document", "firing_document", "summary", "what", "whole"]
