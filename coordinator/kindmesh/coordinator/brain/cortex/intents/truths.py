"""Whether something is so: what a word like "running", "done", "plugged in" or "all the way up" means of each thing.

One word means other states of other things: a valve runs when it is open, a dryer when its sensor says so, a vacuum
when it cleans. A row says of which things it can be asked at all, and what of their state makes it true; the words for
it are data of each language (`[truths]`). A thing of which nothing is known is neither so nor not so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain, stem
from kindmesh.coordinator.brain.cortex.intents.household import class_of, known, number
from kindmesh.coordinator.brain.cortex.intents.words import joined, say, state_word

Holds = Callable[[Entity], bool | None]
_NAMED: Final = 4
_FULL: Final = 95.0
"""Percent from which a battery counts as charged."""


class Row(msgspec.Struct, frozen=True):
    """Of things of `domain` (and one of `classes`; empty: any) it is so when `holds` says so; None: not to be said."""

    domain: str
    holds: Holds
    classes: tuple[str, ...] = ()

    def about(self, one: Entity) -> bool:
        """Whether it can be asked of this thing."""
        return one.domain == self.domain and (not self.classes or class_of(one) in self.classes)


def _in(*states: str) -> Holds:
    return lambda one: one.state.casefold() in states


def _not_in(*states: str) -> Holds:
    return lambda one: one.state.casefold() not in states


def _armed(one: Entity) -> bool:
    return one.state.startswith("armed") or one.state in ("arming", "pending", "triggered")


def _not(holds: Holds) -> Holds:
    def other(one: Entity) -> bool | None:
        found = holds(one)
        return None if found is None else not found

    return other


def _level(attribute: str, low: float, high: float) -> Holds:
    """Whether a number is from `low` to `high` (percent, both included)."""

    def within(one: Entity) -> bool | None:
        found = number(one.attributes.get(attribute))
        if found is None:
            return None if one.state.casefold() not in ("off", "closed") else low <= 0
        return low <= found <= high

    return within


def _open(low: float, high: float) -> Holds:
    """Whether something is open so far (percent); without a position open is open and closed is closed."""

    def within(one: Entity) -> bool | None:
        found = number(one.attributes.get("current_position"))
        if found is None:
            found = {"open": 100.0, "closed": 0.0}.get(one.state.casefold())
        return None if found is None else low <= found <= high

    return within


def _charged(one: Entity) -> bool | None:
    own = number(one.state if one.domain == "sensor" else one.attributes.get("battery_level"))
    return None if own is None else own >= _FULL


def _acting(action: str) -> Holds:
    """Whether a climate heats or cools just now; without an action its mode counts."""
    return lambda one: str(one.attributes.get("hvac_action", one.state)).startswith(action)


_RUNS: Final = (
    Row("binary_sensor", _in("on"), ("running", "power", "moving", "opening", "")),
    Row("switch", _in("on")),
    Row("fan", _in("on")),
    Row("humidifier", _in("on")),
    Row("vacuum", _in("cleaning", "returning")),
    Row("lawn_mower", _in("mowing", "returning")),
    Row("valve", _not_in("closed", "closing")),
    Row("timer", _in("active")),
    Row("media_player", _in("playing")),
    Row("climate", _not_in("off")),
    Row("water_heater", _not_in("off")),
)
_DONE: Final = tuple(
    Row(row.domain, _not(row.holds), row.classes) for row in _RUNS if row.domain not in ("climate", "valve")
)
_ALERTS: Final = (
    "smoke", "gas", "carbon_monoxide", "heat", "safety", "tamper", "problem", "sound", "moisture", "cold",
)  # fmt: skip
_SOUNDS: Final = (
    Row("binary_sensor", _in("on"), _ALERTS),
    Row("alarm_control_panel", _in("triggered")),
    Row("siren", _in("on")),
)  # fmt: skip
_FLOWS: Final = Row("valve", _not_in("closed", "closing"))
_WET: Final = (Row("binary_sensor", _in("on"), ("moisture",)),)
_PLUGGED: Final = (Row("binary_sensor", _in("on"), ("plug", "power", "battery_charging")),)
_THERE: Final = (Row("binary_sensor", _in("on"), ("occupancy", "presence", "motion")),)

TRUTHS: Final[Mapping[str, tuple[Row, ...]]] = {
    "runs": _RUNS,
    "done": _DONE,
    "sounds": _SOUNDS,
    "silent": tuple(Row(row.domain, _not(row.holds), row.classes) for row in _SOUNDS),
    "armed": (Row("alarm_control_panel", _armed),),
    "disarmed": (Row("alarm_control_panel", _not(_armed)),),
    "on": (Row("alarm_control_panel", _armed), _FLOWS),
    "off": (Row("alarm_control_panel", _not(_armed)), Row("valve", _in("closed"))),
    "flowing": (_FLOWS,),
    "plugged": _PLUGGED,
    "unplugged": tuple(Row(row.domain, _not(row.holds), row.classes) for row in _PLUGGED),
    "connected": (Row("binary_sensor", _in("on"), ("connectivity", "plug")),),
    "disconnected": (Row("binary_sensor", _in("off"), ("connectivity", "plug")),),
    "wet": _WET,
    "dry": tuple(Row(row.domain, _not(row.holds), row.classes) for row in _WET),
    "in_bed": _THERE,
    "charged": (Row("vacuum", _charged), Row("lawn_mower", _charged), Row("sensor", _charged, ("battery",))),
    "up": (Row("cover", _open(1, 100)),),
    "down": (Row("cover", _open(0, 0)),),
    "stuck": (Row("vacuum", _in("error")), Row("lawn_mower", _in("error"))),
    "charging": (Row("binary_sensor", _in("on"), ("battery_charging", "plug")),),
    "all_open": (Row("cover", _open(100, 100)), Row("valve", _open(100, 100))),
    "all_closed": (Row("cover", _open(0, 0)), Row("valve", _open(0, 0))),
    "half_open": (Row("cover", _open(1, 99)), Row("valve", _open(1, 99))),
    "full_speed": (Row("fan", _level("percentage", 100, 100)), Row("light", _level("brightness", 250, 255))),
    "high": (Row("fan", _level("percentage", 67, 100)),),
    "medium": (Row("fan", _level("percentage", 34, 66.9)),),
    "low": (Row("fan", _level("percentage", 1, 34)),),
    "heats": (Row("climate", _acting("heat")), Row("water_heater", _not_in("off"))),
    "cools": (Row("climate", _acting("cool")),),
}
"""What can be asked, and of what; classes as Home Assistant names them."""
MORE: Final[Mapping[str, tuple[str, ...]]] = {"in_bed": ("bed",)}
"""Words that are also in the name of what is asked about."""
COMMON: Final = frozenset({"on", "off"})
"""Asked of nearly everything: only of these things when nothing else is called so."""


def domains_of(asked: str) -> tuple[str, ...]:
    """Domains of which it can be asked."""
    return tuple(dict.fromkeys(row.domain for row in TRUTHS[asked]))


def asked_of(home: Home, asked: str, ids: Sequence[str]) -> tuple[str, ...]:
    """Those of `ids` of which it can be asked."""
    rows = TRUTHS[asked]
    return tuple(one for one in ids if any(row.about(home.entities[one]) for row in rows))


def called(home: Home, asked: str, said: Sequence[str], language: str) -> tuple[str, ...]:
    """Things of which it can be asked and in one of whose names all of these words are, and what goes without saying
    ("in bed": a bed). "The car plugged in" is about the "Car charger"."""
    wanted = {stem(text.removesuffix("s") if asked == "in_bed" else text, language) for text in said
              if text not in determiners(language)}  # fmt: skip
    also = MORE.get(asked, ())
    if not wanted and not also:
        return ()
    return tuple(
        one.id for one in home.entities.values()
        if any(row.about(one) for row in TRUTHS[asked])
        and any(_has(name, wanted, also, language) for name in (one.name, *one.aliases))
    )  # fmt: skip


def _has(name: str, wanted: set[str], also: tuple[str, ...], language: str) -> bool:
    own = {stem(text, language) for text in plain(name).split()}
    own |= {text.removesuffix("s") for text in own}
    return wanted <= own and own.issuperset(also)


def truth(entities: Sequence[Entity], asked: str, language: str) -> str:
    """The answer: yes or no for all of them, or who is and who is not; what is not known is said to be so."""
    hits: list[Entity] = []
    misses: list[Entity] = []
    unknown: list[Entity] = []
    for one in entities:
        found = (
            next((row.holds(one) for row in TRUTHS[asked] if row.about(one)), None) if known(one) else None
        )
        (unknown if found is None else hits if found else misses).append(one)
    parts = []
    for pool, key in ((hits, "is_so"), (misses, "is_so_not")):
        if pool:
            parts.append(each_so(pool, key, language))
    if unknown:
        parts.append(
            say(language, "not_known", {"names": joined(language, [one.name for one in unknown[:_NAMED]])})
        )
    return " ".join(parts) or say(language, "not_sensed")


_TELLING: Final = (
    ("cover", "current_position", "so_far_open"),
    ("valve", "current_position", "so_far_open"),
    ("fan", "percentage", "so_fast"),
    ("vacuum", "battery_level", "so_charged"),
    ("lawn_mower", "battery_level", "so_charged"),
)


def each_so(pool: Sequence[Entity], key: str, language: str) -> str:
    """One thing with its state in a sentence, several each with its own; `key`: `is_so` or `is_so_not`."""
    if len(pool) == 1:
        return say(language, key, {"name": pool[0].name, "state": _state(pool[0], language)})
    names = [f"{one.name} ({_state(one, language)})" for one in pool[:_NAMED]]
    return say(language, f"{key}_each", {"names": joined(language, names)})


def _state(one: Entity, language: str) -> str:
    """How it is, in words: of what has a position or a speed, that; of a heating what it does."""
    if one.domain == "climate" and one.attributes.get("hvac_action"):
        return str(one.attributes["hvac_action"])
    for domain, attribute, key in _TELLING:
        found = number(one.attributes.get(attribute))
        if one.domain == domain and found is not None:
            state = state_word(language, one.domain, class_of(one), one.state)
            return say(language, key, {"state": state, "value": f"{found:g}"})
    return state_word(language, one.domain, class_of(one), one.state)


__all__ = ["COMMON", "MORE", "TRUTHS", "Row", "asked_of", "called", "domains_of", "each_so", "truth"]
