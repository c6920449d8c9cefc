"""What is switched, pressed, chosen or set to a number: switches and their helpers, buttons, selects, numbers, texts.

Source: https://www.home-assistant.io/integrations/switch/ and the pages of the other domains beside it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Service,
    amend,
    cannot,
    choice,
    limit,
    measure,
    number,
    table,
    tidy,
    truth,
    within,
    word,
)
from kindmesh.protocol.errors import InvalidInput


def instant(now_ms: int) -> str:
    """A moment as Home Assistant writes it: `2026-11-27T07:00:00+00:00`."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds")


def turn_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    """On."""
    return amend(entity, {}, "on")


def turn_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    """Off."""
    return amend(entity, {}, "off")


def toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    """The other way."""
    return amend(entity, {}, "off" if entity.state == "on" else "on")


def _press(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, instant(now_ms))


def _trigger(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"last_triggered": instant(now_ms)})


def _value(entity: Entity) -> float:
    try:
        return float(entity.state)
    except ValueError:
        return measure(entity, "min", 0)


def _set_value(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(
        entity, {}, str(within(entity, data["value"], limit(entity, "min"), limit(entity, "max"), "value"))
    )


def _step(entity: Entity, data: Data, direction: int) -> Entity:
    step = data.get("amount", measure(entity, "step", 1))
    value = _value(entity) + direction * step
    low, high = limit(entity, "min"), limit(entity, "max")
    value = value if low is None else max(low, value)
    value = value if high is None else min(high, value)
    return amend(entity, {}, str(tidy(value)))


def _increment(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _step(entity, data, 1)


def _decrement(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _step(entity, data, -1)


def _select(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, choice(entity, data["option"], "options", "option"))


def _options(entity: Entity) -> list[str]:
    options = entity.attributes.get("options")
    if not isinstance(options, list) or not options:
        raise cannot(entity, "be moved on: it has no list of options")
    return [str(option) for option in options]


def _move(entity: Entity, data: Data, by: int) -> Entity:
    options = _options(entity)
    at = options.index(entity.state) + by if entity.state in options else (0 if by > 0 else len(options) - 1)
    at = at % len(options) if data.get("cycle", True) else min(len(options) - 1, max(0, at))
    return amend(entity, {}, options[at])


def _next(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _move(entity, data, 1)


def _previous(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _move(entity, data, -1)


def _first(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, _options(entity)[0])


def _last(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, _options(entity)[-1])


def _set_text(entity: Entity, data: Data, now_ms: int) -> Entity:
    value: str = data["value"]
    if not measure(entity, "min", 0) <= len(value) <= measure(entity, "max", 255):
        raise InvalidInput(f"{entity.name} takes a shorter or longer text", field="data.value")
    return amend(entity, {}, value)


def _set_datetime(entity: Entity, data: Data, now_ms: int) -> Entity:
    parts = [data[name] for name in ("date", "time") if name in data]
    value = data.get("datetime", " ".join(parts))
    if not value:
        raise InvalidInput("neither a date nor a time is given", field="data.datetime")
    return amend(entity, {}, value)


_SWITCHED: Final = ("switch", "input_boolean", "automation", "remote")
_CYCLE: Final = (truth("cycle", "after the last comes the first", required=False),)
_VALUE: Final = (number("value", "the new value", -1e9, 1e9, required=True),)
_AMOUNT: Final = (number("amount", "how much, instead of a step", 0, 1e9),)


def _build() -> dict[str, Service]:
    found: list[Service] = []
    for domain in _SWITCHED:
        extra: tuple[Any, ...] = (
            (truth("stop_actions", "", required=False),) if domain == "automation" else ()
        )
        found += [
            Service(f"{domain}.turn_on", "Switch on", turn_on),
            Service(f"{domain}.turn_off", "Switch off", turn_off, extra),
            Service(f"{domain}.toggle", "The other way", toggle, idempotent=False),
        ]
    found.append(Service("automation.trigger", "Run it now", _trigger, idempotent=False))
    found += [
        Service(f"{one}.press", "Press it", _press, idempotent=False) for one in ("button", "input_button")
    ]
    for domain in ("number", "input_number"):
        found.append(Service(f"{domain}.set_value", "Set it", _set_value, _VALUE))
    found += [
        Service("input_number.increment", "A step up", _increment, _AMOUNT, idempotent=False),
        Service("input_number.decrement", "A step down", _decrement, _AMOUNT, idempotent=False),
    ]
    for domain in ("counter",):
        found += [
            Service(f"{domain}.increment", "One more", _increment, idempotent=False),
            Service(f"{domain}.decrement", "One less", _decrement, idempotent=False),
            Service(f"{domain}.set_value", "Set it", _set_value, _VALUE),
        ]
    for domain in ("select", "input_select"):
        option = (word("option", "one of options", required=True),)
        found += [
            Service(f"{domain}.select_option", "Choose", _select, option),
            Service(f"{domain}.select_next", "The next one", _next, _CYCLE, idempotent=False),
            Service(f"{domain}.select_previous", "The one before", _previous, _CYCLE, idempotent=False),
            Service(f"{domain}.select_first", "The first one", _first),
            Service(f"{domain}.select_last", "The last one", _last),
        ]
    for domain in ("text", "input_text"):
        found.append(
            Service(f"{domain}.set_value", "Write", _set_text, (word("value", "the text", required=True),))
        )
    when = (word("datetime", "date and time"), word("date", "2026-11-27"), word("time", "07:30:00"))
    found.append(Service("input_datetime.set_datetime", "Set it", _set_datetime, when))
    return table(*found)


SWITCHES: Final = _build()

__all__ = ["SWITCHES", "instant", "toggle", "turn_off", "turn_on"]
