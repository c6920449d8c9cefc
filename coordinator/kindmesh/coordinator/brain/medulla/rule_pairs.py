"""Which value was said for what: a number with its unit, a place after "to", and of two acts each with its own.

All of these values were said; what a plan may still do wrong is to put one where another belongs. Only clear cases
count: a number whose every mention has the unit of something else, a place that was said on the other side only, and
acts whose things stand in one part of the sentence and whose values in that of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_numbers import numbers_of
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import field_words, is_content, sink_of
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import content, stem
from kindmesh.coordinator.brain.medulla.rule_amounts import known_things, number_of

_SAID: Final = Sentence("said")
_AMOUNT: Final = Sentence("amount")


@lru_cache(maxsize=64)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_KINDS: Final = {
    "time": _stems("minute minutes min second seconds sec hour hours duration length timeout delay ms"),
    "degrees": _stems("celsius temperature temp degree degrees fahrenheit setpoint"),
    "share": _stems("percent pct percentage brightness level position volume"),
    "money": _stems("amount price total cost fare fee budget limit eur usd sum"),
    "weight": _stems("gram grams g kg kilo kilos ml litre litres liter ounce"),
    "count": _stems("count quantity qty copies pieces portions persons people passengers guests tickets nights tablets "
                    "packs passes servings"),
}  # fmt: skip
_UNIT: Final = re.compile(
    r"(?<![\w.,:])(\d+(?:[.,]\d+)?)\s*(minutes?|mins?|seconds?|secs?|hours?|degrees?|°c?|celsius|percent|%|euros?|eur|€|"
    r"dollars?|\$|pounds?|£|grams?|g|kg|ml|litres?|liters?)(?![\w])"
)
_UNIT_KIND: Final = (
    ("min", "time"), ("sec", "time"), ("hour", "time"), ("degree", "degrees"), ("°", "degrees"), ("celsius", "degrees"),
    ("percent", "share"), ("%", "share"), ("eur", "money"), ("€", "money"), ("dollar", "money"), ("$", "money"),
    ("pound", "money"), ("£", "money"), ("g", "weight"), ("kg", "weight"), ("ml", "weight"), ("lit", "weight"),
)  # fmt: skip
_CLOCK: Final = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}:\d{2}(?:\s*[ap]m)?\b|\b\d{1,2}\s*(?:am|pm|o'?clock|uhr)\b"
)
_TIMELY: Final = _stems(
    """time start end date when due at until timestamp hour day month year begin minute second duration length delay
    timeout for ms at_ms"""
)
_THITHER: Final = _stems("drop dropoff destination dest bring deliver ship arrival")
_THENCE: Final = _stems("origin source src pickup departure from")
_TO: Final = re.compile(r" (?:to|into|onto) ")
_CLAUSE: Final = re.compile(r"\band\b|\bthen\b|\bund\b|;|,\s")


def pairs(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    for call in scene.made.calls:
        if call.operation is None or call.undo:
            continue
        for leaf in call.leaves:
            if isinstance(leaf.value, str) and (problem := _wrong_side(scene, call, leaf)):
                yield _SAID(call.step, problem)
            elif scene.has_effect(call) and (problem := _wrong_unit(scene, call, leaf)):
                yield _AMOUNT(call.step, problem)
    yield from _exchanged(scene)


def _wrong_side(scene: Scene, call: Call, leaf: Leaf) -> str:
    names = field_words(call.operation, leaf)
    if not names & (_THITHER | _THENCE) or names & _TIMELY or is_content(call.operation, leaf):
        return ""
    found = _TO.search(scene.words.meant)
    if not found:
        return ""
    parts = set(content(str(leaf.value)))
    before, after = (
        set(content(one)) for one in (scene.words.meant[: found.start()], scene.words.meant[found.end() :])
    )
    if names & _THITHER and parts and parts <= before and not parts <= after:
        return f"{shown(leaf.value)} was not said as where to"
    way = any(field_words(call.operation, other) & (_THITHER | _stems("to")) for other in call.leaves)
    if way and names & _THENCE and not names & _THITHER and parts and parts <= after and not parts <= before:
        return f"{shown(leaf.value)} was not said as where from"
    return ""


def _wrong_unit(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why a number that was said was said of something else."""
    value, names = number_of(call, leaf), field_words(call.operation, leaf)
    if value is None or known_things(scene, call):
        return ""
    kinds = {kind for kind, words in _KINDS.items() if names & words}
    text = scene.words.meant
    if len(kinds) == 1:
        (kind,) = kinds
        units = {
            _kind_of(unit) for number, unit in _UNIT.findall(text) if float(number.replace(",", ".")) == value
        }
        bare = len(re.findall(rf"(?<![\w.,:])0*{re.escape(f'{value:g}')}(?![\w:]|[.,]\d)", text)) > sum(
            float(number.replace(",", ".")) == value for number, _ in _UNIT.findall(text)
        )
        if units and kind not in units and not bare:
            return f"{value:g} was said of something else than the {leaf.path.rpartition('.')[2].replace('_', ' ')}"
    if names & _TIMELY or value in (0, 1) or value not in scene.words.numbers:
        return ""
    if _CLOCK.search(text) and value not in numbers_of(_CLOCK.sub(" ", text)):
        return f"{value:g} was said as a time"
    return ""


def _kind_of(unit: str) -> str:
    return next(kind for start, kind in _UNIT_KIND if unit.startswith(start))


def _exchanged(scene: Scene) -> Iterator[Reason]:
    """Of two acts of the same kind, each has the values that were said with its thing."""
    clauses = [part for part in _CLAUSE.split(scene.words.meant) if part.strip()]
    if len(clauses) < 2:
        return
    by_name: dict[str, list[Call]] = {}
    for call in scene.made.calls:
        if call.operation is not None and scene.has_effect(call) and not call.undo:
            by_name.setdefault(call.name, []).append(call)
    for calls in by_name.values():
        if len(calls) < 2 or any(call.effects & bits.SPEND for call in calls):
            continue
        homes = [_clauses_of(scene, call, clauses, things=True) for call in calls]
        given = {tuple(sorted(str(leaf.value) for leaf in _values(call))) for call in calls}
        for number, call in enumerate(calls if len(given) == len(calls) else ()):
            values = _clauses_of(scene, call, clauses, things=False)
            others = set().union(*(one for at, one in enumerate(homes) if at != number))
            if len(homes[number]) == 1 and len(values) == 1 and values != homes[number] and values <= others:
                yield _SAID(call.step, "what this is given was said of something else")


def _values(call: Call) -> list[Leaf]:
    """What a call is given beside its things."""
    return [leaf for leaf in call.leaves if not sink_of(call.effects, call.name, call.operation, leaf)]


def _clauses_of(scene: Scene, call: Call, clauses: list[str], *, things: bool) -> set[int]:
    """In which parts of the sentence all of the words of a call's things, or of its values, are."""
    found: set[int] = set()
    for leaf in call.leaves:
        is_thing = bool(sink_of(call.effects, call.name, call.operation, leaf))
        if not leaf.known or isinstance(leaf.value, bool) or is_thing is not things:
            continue
        names = scene.facts.names.get(str(leaf.value), ()) if is_thing else ()
        for text in (str(leaf.value), *names):
            parts = set(content(text.replace("_", " ").replace(".", " " if is_thing else ".")))
            found |= {
                at for at, clause in enumerate(clauses)
                if parts and parts <= set(content(clause))
            }  # fmt: skip
    return found


__all__ = ["pairs"]
