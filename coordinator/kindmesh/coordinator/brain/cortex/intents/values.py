"""Numbers, shares, degrees, colours and modes as people say them: "twenty five percent", "halfway", "warm white".

A value has a kind that says what it can be set on. Numbers from -100 to 10000 in digits or words; what is not
understood whole is None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain
from kindmesh.coordinator.brain.cortex.intents.words import words

PERCENT: Final = "percent"
DEGREES: Final = "degrees"
KELVIN: Final = "kelvin"
NUMBER: Final = "number"
COLOUR: Final = "colour"
MODE: Final = "mode"
LEVEL: Final = "level"
"""Low, medium or high, as a share of what a thing can do."""
_DIGITS: Final = re.compile(r"(-?\d{1,5}(?:[.,]\d{1,2})?)(%|°[cf]?|k)?")
DURATION_MAX_S: Final = 86_400 * 7
LOW: Final = -100.0
HIGH: Final = 10_000.0


class Value(msgspec.Struct, frozen=True):
    """`kind`: one of the constants; `value`: a number, or a colour's or mode's name."""

    kind: str
    value: Any


def value_of(said: Sequence[str], language: str) -> Value | None:
    """What plain words say as a value."""
    texts = [text for text in said if text not in determiners(language)]
    if not texts:
        return None
    table = _names(language)
    named = table.get(" ".join(texts))
    if named is not None:
        return named
    kind = NUMBER
    units = words(language)["units"]
    for unit in (PERCENT, DEGREES, KELVIN):
        for name in sorted(units[unit], key=len, reverse=True):
            parts = plain(name).split()
            if texts == parts and len(said) > len(texts):
                return Value(unit, 1)  # "a degree"
            if len(texts) > len(parts) and texts[-len(parts) :] == parts:
                kind, texts = unit, texts[: -len(parts)]
                break
        if kind != NUMBER:
            break
    share = table.get(" ".join(texts)) if kind == DEGREES else None
    if share is not None and share.kind == PERCENT:
        return Value(DEGREES, share.value / 100)  # "half a degree"
    if len(texts) == 1:
        found = _DIGITS.fullmatch(texts[0])
        if found is not None:
            unit = found[2] or ""
            kind = {"%": PERCENT, "k": KELVIN}.get(unit, DEGREES if unit else kind)
            return _number(kind, float(found[1].replace(",", ".")))
    spoken = spoken_number(texts, language)
    return _number(kind, spoken) if spoken is not None else None


def _number(kind: str, value: float) -> Value | None:
    if not LOW <= value <= HIGH:
        return None
    return Value(kind, int(value) if value.is_integer() else value)


def duration_of(said: Sequence[str], language: str) -> int | None:
    """Seconds that plain words say ("an hour and a half", "2 minutes 30 seconds", "half an hour"), or None."""
    table = words(language)["durations"]
    units, shares, between = table["units"], table["shares"], {*table["of"]}
    total = 0.0
    number: list[str] = []
    last = 0
    for text in said:
        if text in units:
            amount = _amount(number, shares, between, language)
            if amount is None:
                return None
            last = units[text]
            total, number = total + amount * last, []
        else:
            number.append(text)
    rest = [text for text in number if text not in table["and"] and text not in between]
    if rest:
        share = shares.get(" ".join(rest))
        if share is None or not last:
            return None
        total += share * last
    return round(total) if 0 < total <= DURATION_MAX_S else None


def _amount(said: list[str], shares: dict[str, float], between: set[str], language: str) -> float | None:
    texts = [text for text in said if text not in words(language)["durations"]["and"]]
    plain_ = [text for text in texts if text not in between]
    if not plain_:
        return 1.0 if texts else None
    share = shares.get(" ".join(plain_))
    if share is not None:
        return share
    found = value_of(said if said[0] not in words(language)["durations"]["and"] else said[1:], language)
    return float(found.value) if found is not None and found.kind == NUMBER else None


@lru_cache(maxsize=8)
def _names(language: str) -> dict[str, Value]:
    table = words(language)["values"]
    found: dict[str, Value] = {}
    for kind in (PERCENT, KELVIN, MODE):
        for name, value in table[kind].items():
            found[plain(name)] = Value(kind, value)
    for name, value in table[COLOUR].items():
        found[plain(name)] = Value(COLOUR, value)
    return found


@lru_cache(maxsize=8)
def _number_words(language: str) -> dict[str, int]:
    return {plain(name): int(value) for name, value in words(language)["numbers"]["words"].items()}


def spoken_number(said: Sequence[str], language: str) -> float | None:
    """A number in words ("a hundred and five", "twenty point five"), or None."""
    table = words(language)["numbers"]
    units, point, hundred = _number_words(language), table["point"], table["hundred"]
    skip = set(table["and"])
    for half in table["and_half"]:
        parts = plain(half).split()
        if len(said) > len(parts) and list(said[-len(parts) :]) == parts:
            whole = value_of(said[: -len(parts)], language)
            return whole.value + 0.5 if whole is not None and whole.kind == NUMBER else None
    total = 0
    read = False
    texts = [text for text in said if text not in skip]
    if not texts:
        return None
    for at, text in enumerate(texts):
        if text in point and read:
            rest = [units.get(one) for one in texts[at + 1 :]]
            if not rest or any(one is None or one > 9 for one in rest):
                return None
            return total + float("0." + "".join(str(one) for one in rest))
        if text in hundred:
            total = max(total, 1) * 100
        elif text in units:
            value = int(units[text])
            if read and not (total % 10 == 0 and value < 10) and not (total % 100 == 0 and value < 100):
                return None
            total += value
        else:
            return None
        read = True
    return float(total)


__all__ = [
    "COLOUR", "DEGREES", "HIGH", "KELVIN", "LEVEL", "LOW", "MODE", "NUMBER", "PERCENT", "Value", "duration_of",
    "spoken_number", "value_of",
]  # fmt: skip
