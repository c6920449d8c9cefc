"""What is answered: a reply, filled from the home as it is now.

After acting, only what the state shows is claimed: when all shows what was asked, the official response says so; else
each thing is named with what it is ("The hall light is off. The bedroom light did not answer."). Questions about state
are answered from state; what is not known is said to be so, and what was heard of long ago carries its age.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.attributes import about, low, sensed
from kindmesh.coordinator.brain.cortex.intents.comparing import told
from kindmesh.coordinator.brain.cortex.intents.expected import shows
from kindmesh.coordinator.brain.cortex.intents.household import class_of, known, number
from kindmesh.coordinator.brain.cortex.intents.official import responses
from kindmesh.coordinator.brain.cortex.intents.resolve import told_apart
from kindmesh.coordinator.brain.cortex.intents.templates import render
from kindmesh.coordinator.brain.cortex.intents.timers import RUNNING, view
from kindmesh.coordinator.brain.cortex.intents.truths import truth
from kindmesh.coordinator.brain.cortex.intents.words import joined, say, state_word, words
from kindmesh.coordinator.brain.cortex.terms import Recognised, Reply
from kindmesh.protocol.errors import InvalidInput

STALE_MS: Final = 3_600_000
"""A state not heard of for this long is said with its age."""
LISTED_MAX: Final = 12
"""Things that are listed by name when somebody asks what there is."""
NAMED_MAX: Final = 4
"""Things that an answer names one by one."""
UNIT_S: Final = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
_RUNNING: Final = frozenset({"media_player", "climate", "humidifier", "water_heater"})
"""Domains whose states say how they run; all but off is on."""
QUERY: Final = "HassGetState"
_NOTHING: Final[Mapping[str, Any]] = {}


class StateView(str):
    """A state as the templates see it: its text, with the entity beside it."""

    entity: Entity
    language: str

    @classmethod
    def of(cls, one: Entity, language: str) -> StateView:
        """The view of an entity."""
        made = cls(one.state)
        made.entity, made.language = one, language
        return made

    @property
    def state(self) -> str:
        """The state as people call it."""
        return friendly(self.entity, self.language)

    @property
    def state_with_unit(self) -> str:
        """The state with its unit, if it has one."""
        unit = self.entity.attributes.get("unit_of_measurement")
        return f"{self.state} {unit}" if unit else self.state

    @property
    def domain(self) -> str:
        """The entity's domain."""
        return self.entity.domain

    @property
    def name(self) -> str:
        """The entity's name."""
        return self.entity.name

    @property
    def entity_id(self) -> str:
        """The entity's id."""
        return self.entity.id

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The entity's attributes."""
        return self.entity.attributes


def friendly(one: Entity, language: str) -> str:
    """A state in words: `on` of a window's sensor is "open"."""
    return state_word(language, one.domain, class_of(one), one.state)


def is_in(one: Entity, wanted: str, language: str) -> bool:
    """Whether a thing is in the state that was asked for, by either of its names."""
    said = wanted.casefold()
    if said == "on" and one.domain in _RUNNING:
        return known(one) and one.state.casefold() not in ("off", "standby")
    return known(one) and said in (one.state.casefold(), friendly(one, language).casefold())


def answer(reply: Reply, recognised: Recognised, home: Home, now_ms: int) -> str:
    """The words for a reply. `home`: as it is now, after what was done."""
    if reply.text or not reply.key:
        return reply.text
    intent, _, response = reply.key.partition("/")
    language = str(reply.values.get("language", "en"))
    if intent == QUERY:
        return _query(response, reply.values, home, now_ms, language)
    if intent == "HassClimateGetTemperature":
        return _temperature(reply.key, reply.values, home, now_ms, language)
    if intent == "HassGetWeather":
        return _weather(reply.key, reply.values, home, now_ms, language)
    if intent in ("HassGetCurrentTime", "HassGetCurrentDate"):
        return _clock(reply.key, reply.values, now_ms)
    if intent == "HassTimerStatus":
        return _timers(reply.values, home, now_ms)
    return _done(reply, recognised, home, language)


def _template(language: str, intent: str, response: str) -> str:
    own = words(language).get("responses", {}).get(intent, {})
    found = own.get(response) or responses(language).get(intent, {}).get(response, "")
    return str(found)


def _entities(values: Mapping[str, Any], home: Home) -> tuple[Entity, ...]:
    return tuple(home.entities[one] for one in values.get("ids", ()) if one in home.entities)


def _filled(
    key: str, values: Mapping[str, Any], entities: Sequence[Entity], extra: Mapping[str, Any] = _NOTHING
) -> str:
    """The template of `key` (`intent/response`), filled."""
    intent, _, response = key.partition("/")
    language = str(values.get("language", "en"))
    by_id = {one.id: one for one in entities}

    def state_attr(entity_id: str, attribute: str) -> Any:
        found = by_id.get(entity_id)
        return found.attributes.get(attribute) if found is not None else None

    slots = {**values.get("slots", {}), **extra}
    wanted = str(values.get("state", ""))
    matched = [StateView.of(one, language) for one in entities if not wanted or is_in(one, wanted, language)]
    unmatched = [
        StateView.of(one, language) for one in entities if wanted and not is_in(one, wanted, language)
    ]
    return render(_template(language, intent, response), {
        "slots": slots,
        "state": StateView.of(entities[0], language) if entities else "",
        "query": {"matched": matched, "unmatched": unmatched},
        "state_attr": state_attr,
    })  # fmt: skip


def _query(response: str, values: Mapping[str, Any], home: Home, now_ms: int, language: str) -> str:
    entities = told_apart(_entities(values, home), home)
    if response == "truth":
        return truth(entities, str(values.get("state", "")), language) + _age(entities, now_ms, language)
    if response in ("extreme", "compare"):
        return told(response, values, entities, home, language) + _age(entities, now_ms, language)
    if response == "which_not":
        left = [
            one for one in entities if known(one) and not is_in(one, str(values.get("state", "")), language)
        ]
        return joined(language, [one.name for one in left]) or say(language, "none_of_them")
    if response == "place":
        return _places(entities, home, language)
    if response == "listed":
        return _listed(entities, language)
    if response == "low":
        return low(home, language)
    if response == "sensed":
        return sensed(entities, language) + _age(entities, now_ms, language)
    if response == "attribute":
        asked = str(values.get("slots", {}).get("attribute", ""))
        return about(entities, asked, home, language) + _age(entities, now_ms, language)
    sure = tuple(one for one in entities if known(one))
    lost = tuple(one for one in entities if not known(one))
    single = response in ("one", "one_yesno", "where")
    if not sure and (lost or single):
        return _unknown(lost, language) if lost else say(language, "not_known", {"names": "that"})
    said = _filled(f"{QUERY}/{response}", values, sure) or _each(sure, language)
    if single and response == "one_yesno" and len(sure) > 1:
        said = _each(sure, language)
    if lost:
        said = (
            f"{said}. {say(language, 'not_known', {'names': joined(language, [one.name for one in lost])})}"
        )
    return said + _age(sure, now_ms, language)


def _each(entities: Iterable[Entity], language: str) -> str:
    return ", ".join(f"{one.name}: {StateView.of(one, language).state_with_unit}" for one in entities)


def _places(entities: Sequence[Entity], home: Home, language: str) -> str:
    """Where things are: room by room."""
    said = []
    for one in entities[:NAMED_MAX]:
        area = home.areas.get(one.area)
        key = "stands_in" if area is not None else "stands_nowhere"
        said.append(say(language, key, {"name": one.name, "area": area.name if area is not None else ""}))
    return " ".join(said)


def _listed(entities: Sequence[Entity], language: str) -> str:
    """What there is: how many, and what they are called."""
    if not entities:
        return say(language, "there_are_none")
    names = joined(language, [one.name for one in entities[:LISTED_MAX]])
    key = (
        "there_is" if len(entities) == 1 else "there_are" if len(entities) <= LISTED_MAX else "there_are_more"
    )
    return say(language, key, {"n": str(len(entities)), "names": names})


def _unknown(lost: Sequence[Entity], language: str) -> str:
    if len(lost) > 1:
        return say(language, "not_known", {"names": joined(language, [one.name for one in lost[:NAMED_MAX]])})
    key = "unavailable" if lost[0].state.casefold() == "unavailable" else "unknown"
    return say(language, key, {"name": lost[0].name})


def _age(entities: Iterable[Entity], now_ms: int, language: str) -> str:
    heard = [one.changed_ms for one in entities if one.changed_ms > 0]
    if not heard or now_ms - min(heard) < STALE_MS:
        return ""
    return say(language, "aged", {"age": duration((now_ms - min(heard)) // 1000, language)})


def duration(seconds: int, language: str) -> str:
    """A length of time in its largest unit: "3 hours"."""
    for unit, size in UNIT_S.items():
        if seconds >= size or unit == "second":
            count = seconds // size
            return say(language, unit if count == 1 else f"{unit}s", {"n": str(count)})
    raise AssertionError("a second is the smallest unit")


def in_full(seconds: int, language: str) -> str:
    """A length of time to the second: "1 hour and 30 minutes"."""
    parts = []
    for unit in UNIT_S.values():
        count, seconds = divmod(seconds, unit)
        parts += [duration(count * unit, language)] if count else []
    return joined(language, parts)


def _temperature(key: str, values: Mapping[str, Any], home: Home, now_ms: int, language: str) -> str:
    entities = _entities(values, home)
    if not entities:
        return say(language, "no_temperature")
    sure = tuple(one for one in entities if _degrees(one) is not None)
    if not sure:
        return _unknown(entities, language)
    if len(sure) == 1:
        said = _filled(key, values, sure) or _degrees_of(sure[0], language)
        return said + _age(sure, now_ms, language)
    each = [_degrees_of(one, language) for one in sure[:NAMED_MAX]]
    return ", ".join(each) + _age(sure, now_ms, language)


def _degrees_of(one: Entity, language: str) -> str:
    return say(language, "is_degrees", {"name": one.name, "value": f"{_degrees(one):g}{_unit(one)}"})


def _degrees(one: Entity) -> float | None:
    found = number(one.attributes.get("current_temperature"))
    return found if found is not None else number(one.state)


def _unit(one: Entity) -> str:
    unit = one.attributes.get("unit_of_measurement") or one.attributes.get("temperature_unit")
    return f" {unit}" if unit else " °"


def _weather(key: str, values: Mapping[str, Any], home: Home, now_ms: int, language: str) -> str:
    entities = _entities(values, home)
    if not entities:
        return say(language, "no_weather")
    if not known(entities[0]):
        return _unknown(entities[:1], language)
    said = _filled(key, values, entities[:1]) or _each(entities[:1], language)
    return said + _age(entities[:1], now_ms, language)


def _clock(key: str, values: Mapping[str, Any], now_ms: int) -> str:
    try:
        zone = zoneinfo.ZoneInfo(str(values.get("zone", "UTC")))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(
            "no such time zone", field="zone", hint="an IANA name, such as Europe/Berlin"
        ) from error
    now = dt.datetime.fromtimestamp(now_ms / 1000, tz=zone)
    return _filled(key, values, (), {"time": now.time(), "date": now.date()})


def _timers(values: Mapping[str, Any], home: Home, now_ms: int) -> str:
    timers = [view(one, home, now_ms) for one in _entities(values, home) if one.state in RUNNING]
    return _filled("HassTimerStatus/default", values, (), {"timers": timers})


def _later(reply: Reply, recognised: Recognised, home: Home, language: str) -> str:
    """When something will be done, and at what."""
    ids = dict.fromkeys(str(one) for act in recognised.acts for one in act.args.get("entities", ()))
    names = [home.entities[one].name for one in ids if one in home.entities]
    when = str(reply.values.get("when", ""))
    if not names or len(names) > NAMED_MAX or not (when or recognised.clause.delay_ms):
        return say(language, "later")
    if when:
        when = when[0].upper() + when[1:]
        return say(language, "later_at", {"when": when, "names": joined(language, names)})
    hence = in_full(max(1, round(recognised.clause.delay_ms / 1000)), language)
    return say(language, "later_in", {"in": hence, "names": joined(language, names)})


def _done(reply: Reply, recognised: Recognised, home: Home, language: str) -> str:
    intent = recognised.intent
    if recognised.clause.delay_ms or recognised.clause.at_ms:
        if intent == "HassStartTimer":
            return _filled(reply.key, reply.values, ())
        return _later(reply, recognised, home, language)  # not done yet: nothing to claim
    well: list[Entity] = []
    lost: list[Entity] = []
    for act in recognised.acts:
        service, data = str(act.args.get("service", "")), act.args.get("data", {})
        for one in act.args.get("entities", ()):
            entity = home.entities.get(one)
            if entity is None:
                continue
            (lost if shows(entity, service, data) is False else well).append(entity)
    if lost and intent == "HassMediaSearchAndPlay":
        return _filled(reply.key, reply.values, lost, {"media": False})
    if lost:
        return _partly(well, lost, language)
    extra: dict[str, Any] = {"media": True, "canceled": len(well)}
    said = _filled(reply.key, reply.values, well, extra)
    return said or ("" if intent == "HassNevermind" else say(language, "done"))


def _partly(well: Sequence[Entity], lost: Sequence[Entity], language: str) -> str:
    found: list[str] = []
    by_state: dict[str, list[str]] = {}
    for one in well:
        by_state.setdefault(friendly(one, language), []).append(one.name)
    for state, names in by_state.items():
        key = "is_state" if len(names) == 1 else "are_state"
        found.append(say(language, key, {"name": names[0], "names": joined(language, names), "state": state}))
    found.append(say(language, "no_answer", {"names": joined(language, [one.name for one in lost])}))
    return " ".join(found)


__all__ = ["NAMED_MAX", "STALE_MS", "StateView", "answer", "duration", "friendly", "is_in"]
