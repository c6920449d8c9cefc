"""What somebody asks for, made into a `Schedule`: every field checked, each refusal names what was wrong.

When it is due comes in one of `cron`, `every_ms`, `at`, `sun`, `event`. The operation has to be known here and its
values have to fit, and who makes it has to be allowed to do it now; whether that still holds when it is due, Medulla
judges then.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.instants import at_instant
from kindmesh.coordinator.heart.schedules.place import Place, draw_delay
from kindmesh.coordinator.heart.schedules.zones import LATEST_MS, to_ms, zone_named
from kindmesh.coordinator.params import Params
from kindmesh.mesh.clock import Entropy
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.messages.events import check_pattern
from kindmesh.protocol.principal import Principal
from kindmesh.protocol.roles import PURPOSES

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_KINDS: Final = ("cron", "every_ms", "at", "sun", "event")
_DAY_MS: Final = 86_400_000


def read_schedule(
    params: Params, action: s.Action, maker: Principal, place: Place, *, now_ms: int, entropy: Entropy
) -> s.Schedule:
    """The schedule that `params` ask for.

    Raises:
        InvalidInput: names the field.
    """
    zone = params.text("zone", "") or place.zone
    zone_named(zone)
    rules = read_rules(params)
    when = read_when(params, zone, place, now_ms)
    return s.Schedule(
        schedule_id=new_id(now_ms, entropy.token(RANDOM_BYTES)),
        name=read_name(params.text("name")),
        when=when,
        action=action,
        zone=zone,
        created_ms=now_ms,
        rules=rules,
        priority=params.choice("priority", ("emergency", "interactive", "background"), "interactive"),
        purpose=params.choice("purpose", PURPOSES, "household"),
        maker=maker,
        delay_ms=draw_delay(rules.jitter_ms, entropy.token(8)),
    )


def read_name(name: str) -> str:
    """The name of a schedule.

    Raises:
        InvalidInput: what a name looks like.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:64]!r} is no name for a schedule",
            field="name",
            hint="Lower case letters, digits, - and _, at most 48: morning-pills.",
        )
    return name


def read_rules(params: Params) -> s.Rules:
    """Misfire, grace, overlap, jitter."""
    misfire = params.choice("misfire", s.MISFIRES, "once")
    usual_ms = {"skip": 0, "once": s.GRACE_DEFAULT_MS, "all": 7 * _DAY_MS}[misfire]
    return s.Rules(
        misfire,
        params.number("grace_ms", usual_ms, most=s.GRACE_MAX_MS),
        params.number("catch_up", s.CATCH_UP_DEFAULT, least=1, most=s.CATCH_UP_MAX),
        params.choice("overlap", s.OVERLAPS, "allow"),
        params.number("jitter_ms", 0, most=s.JITTER_MAX_MS),
    )


def read_when(params: Params, zone: str, place: Place, now_ms: int) -> s.When:
    """When it is due.

    Raises:
        InvalidInput: none or several of the ways, or what is wrong with the one.
    """
    given = [kind for kind in _KINDS if params.values.get(kind) not in (None, "", 0)]
    if len(given) != 1:
        found = f"it has {' and '.join(given)}" if given else "it has none"
        raise InvalidInput(
            f"a schedule is due in one way, {found}",
            field="when",
            hint='One of --cron "0 8 * * *", --every 30m, --at 2026-12-01T08:00, --sunset -15m, --on TOPIC.',
        )
    kind = given[0]
    if kind == "cron":
        from kindmesh.coordinator.heart.schedules.cron import check_cron  # noqa: PLC0415 - memory, until it is needed

        return s.Cron(check_cron(params.text("cron")))
    if kind == "every_ms":
        every_ms = params.number("every_ms", least=s.EVERY_LEAST_MS, most=s.EVERY_MOST_MS)
        anchor_ms = params.number("anchor_ms", now_ms, most=LATEST_MS)
        return s.Every(every_ms, anchor_ms)
    if kind == "at":
        return _at(params.text("at"), zone, now_ms)
    if kind == "sun":
        return _sun(params, place)
    return read_event(Params(params.mapping("event")))


def _at(text: str, zone: str, now_ms: int) -> s.At:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidInput(
            f"{text[:40]!r} is no date and time", field="at", hint="Write 2026-12-01T08:00."
        ) from error
    local = moment.replace(microsecond=0).isoformat()
    when = s.At(local) if moment.tzinfo is None else s.At("", max(0, to_ms(moment)))
    if at_instant(when, zone) <= now_ms:
        raise InvalidInput(
            f"{text[:40]} has passed ({zone})", field="at", hint="Name a time that is yet to come."
        )
    return when


def _sun(params: Params, place: Place) -> s.Sun:
    event: s.SunEvent = "sunset"
    event = params.choice("sun", s.SUN_EVENTS, event)
    offset_ms = params.values.get("offset_ms", 0)
    if not isinstance(offset_ms, int) or abs(offset_ms) > s.OFFSET_MAX_MS:
        raise InvalidInput("the offset is at most 12 hours before or after", field="offset_ms")
    where = [
        _degrees(params, "latitude", 90, place.latitude),
        _degrees(params, "longitude", 180, place.longitude),
    ]
    if where[0] is None or where[1] is None:
        raise InvalidInput(
            "where this home is decides when the sun rises and sets, and nobody said so yet",
            field="latitude",
            hint="Set latitude and longitude in config.toml under [household], or give --latitude and --longitude.",
        )
    return s.Sun(event, offset_ms, where[0], where[1])


def _degrees(params: Params, name: str, most: int, usual: float | None) -> float | None:
    value = params.values.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= most:
        raise InvalidInput(f"the {name} goes from -{most} to {most} degrees", field=name)
    return float(value)


def read_event(params: Params) -> s.OnEvent:
    """What a trigger waits for.

    Raises:
        InvalidInput: names the field.
    """
    pattern = check_pattern(params.text("topic"))
    where = tuple(
        s.Condition(_field(one), one.choice("test", s.TESTS, "="), _scalar(one, "value"))
        for one in params.items("where")
    )
    if len(where) > s.CONDITIONS_MAX:
        raise InvalidInput(f"at most {s.CONDITIONS_MAX} conditions", field="where")
    quiet_ms = params.number("quiet_ms", 0, most=s.QUIET_MAX_MS)
    max_wait_ms = params.number("max_wait_ms", 0, most=s.QUIET_MAX_MS)
    usual: s.Debounce = "trailing" if quiet_ms else "none"
    debounce = params.choice("debounce", s.DEBOUNCES, usual)
    if debounce != "none" and not quiet_ms:
        raise InvalidInput(
            "debouncing needs a quiet time", field="quiet_ms", hint="For instance --quiet 30s."
        )
    if max_wait_ms and max_wait_ms < quiet_ms:
        raise InvalidInput("the longest wait is shorter than the quiet time", field="max_wait_ms")
    return s.OnEvent(
        pattern, where, _change(params), params.number("every_nth", 1, least=1, most=s.NTH_MAX), debounce, quiet_ms,
        max_wait_ms,
    )  # fmt: skip


def _change(params: Params) -> s.Change | None:
    given = Params(params.mapping("change"))
    if not given.values:
        return None
    return s.Change(
        _field(given),
        "from" not in given.values,
        _scalar(given, "from"),
        "to" not in given.values,
        _scalar(given, "to"),
        given.number("for_ms", 0, most=s.QUIET_MAX_MS),
    )


def _field(params: Params) -> str:
    field = params.text("field")
    if len(field) > 80 or not _FIELD.fullmatch(field):
        raise InvalidInput(
            f"{field[:40]!r} names no field of an event", field="field", hint="Words with dots: door.state."
        )
    return field


def _scalar(params: Params, name: str) -> s.Scalar:
    value = params.values.get(name)
    if value is not None and not isinstance(value, (str, int, float)):
        raise InvalidInput(f"{name} should be text, a number, or true or false", field=name)
    if isinstance(value, str) and len(value) > s.EXPRESSION_MAX:
        raise InvalidInput(f"{name} has at most {s.EXPRESSION_MAX} characters", field=name)
    return value


__all__ = ["read_event", "read_name", "read_rules", "read_schedule", "read_when"]
