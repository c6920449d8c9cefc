"""Times of day and days: what a text says of them, and whether a value is one of those.

`time_said("friday 15:00", words of "on friday at 3 pm")` is true, `"friday 22:00"` is not. Where only a part of the day
was said ("tomorrow morning") any time in it fits; where only the day was, any time that people begin things at.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla.review_days import day_of, read, weekday
from kindmesh.coordinator.brain.medulla.review_lexicon import NUMBERS, TEMPORAL
from kindmesh.coordinator.brain.medulla.review_words import Words, stem, tokens

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT: Final = {day[:3]: day for day in _DAYS} | {"tues": "tuesday", "thur": "thursday", "thurs": "thursday"}
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_PARTS: Final = {
    "morning": (5, 12), "breakfast": (6, 10), "noon": (12, 12), "midday": (12, 12), "lunch": (11, 14),
    "afternoon": (12, 18), "evening": (17, 23), "dinner": (17, 21), "tonight": (17, 24), "night": (18, 29),
    "bedtime": (20, 24), "midnight": (0, 0), "sunrise": (4, 9), "sunset": (15, 22), "dawn": (4, 8), "dusk": (16, 23),
}  # fmt: skip
_CLOCK: Final = re.compile(
    r"(?<![\d.:])(\d{1,2})(?:[:.h](\d{2}))?(?::\d{2})?\s*(a\.?m|p\.?m|o'?clock|uhr)?(?![\d%])"
)
_VALUE: Final = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?\s*(am|pm)?")
_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_SPOKEN: Final = {
    word: number for word, number in NUMBERS.items() if 0 < number <= 24 and word not in ("couple", "pair")
}
_BESIDE: Final = frozenset({"at", "am", "pm", "oclock", "o", "t", "z", "the", "on", "in"})


_ORDINALS: Final = frozenset(
    [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "eleventh",
        "twelfth",
    ]
)
"""Days of a month: "the ninth at ten" says one time of day."""


@lru_cache(maxsize=256)
def clock_times(text: str) -> frozenset[tuple[int, int]]:
    """Times of day that a text says, as hour and minute, in every way that they can be meant."""
    found: set[tuple[int, int]] = set()
    for hour, minute, half in _CLOCK.findall(text):
        found |= _either(int(hour), int(minute or 0), half.replace(".", ""))
    words = re.findall(r"[a-z]+|\d+", text)
    for number, word in enumerate(words):
        hour = _SPOKEN.get(word, int(word) if word.isdigit() and int(word) <= 24 else 0)
        if not hour or word in _ORDINALS:
            continue
        before, after = words[max(0, number - 3) : number], words[number + 1 : number + 4]
        half = next((one for one in after if one in ("am", "pm")), "")
        if not word.isdigit():
            found |= _either(hour, 0, half)
        if after and after[0] in NUMBERS and NUMBERS[after[0]] >= 5:
            more = NUMBERS[after[0]]
            more += (
                NUMBERS[after[1]] if len(after) > 1 and more >= 20 and NUMBERS.get(after[1], 10) < 10 else 0
            )
            found |= _either(hour, int(more), half) if more < 60 else set()
        if "past" in before:
            past = _minutes(before[: before.index("past")])
            found |= _either(hour, past, half) if past else set()
        if "half" in before:
            found |= _either(hour, 30, half)
        if "to" in before and _minutes(before[: before.index("to")]):
            found |= _either(hour - 1 or 12, 60 - _minutes(before[: before.index("to")]), half)
    return frozenset(found)


def _minutes(before: list[str]) -> int:
    if "quarter" in before:
        return 15
    if "half" in before:
        return 30
    return next((int(NUMBERS[word]) for word in before if 0 < NUMBERS.get(word, 0) < 60), 0)


def _either(hour: int, minute: int, half: str) -> set[tuple[int, int]]:
    if hour > 24 or minute > 59:
        return set()
    if half == "am":
        return {(hour % 12, minute)}
    if half == "pm":
        return {(hour % 12 + 12, minute)}
    return (
        {(hour % 24, minute), (hour % 12, minute), (hour % 12 + 12, minute)}
        if hour <= 12
        else {(hour % 24, minute)}
    )


def time_said(value: str, words: Words, today: int | None = None, *, ending: bool = False) -> bool:
    """Whether a time or a date written as text follows from what was said; `today`: where that is known; `ending`: it
    is when something ends, which also follows from how long it takes."""
    text = value.casefold().strip()
    day = _DATE.search(text)
    if day and not _day_said(day, words, today):
        return False
    rest = _DATE.sub(" ", text)
    named = [word for word in tokens(_VALUE.sub(" ", rest)) if word not in _BESIDE and not word[0].isdigit()]
    if not all(words.says(stem(_SHORT.get(word, word))) or words.says(stem(word)) for word in named):
        return False
    clock = _VALUE.search(rest.replace("t", " ")) if day else _VALUE.search(rest)
    if clock is None:
        digits = re.findall(r"\d+", _DATE.sub(" ", text))
        return all(words.number(float(one)) for one in digits) and bool(named or day or digits)
    return _clock_said(int(clock[1]), int(clock[2]), clock[3] or "", words, ending=ending)


_AFTER: Final = re.compile(r"\b(?:in|after|within|later|from now|half)\b")
_DAYISH: Final = frozenset(stem(word) for word in TEMPORAL) - frozenset(
    map(
        stem,
        (
            "minute",
            "hour",
            "second",
            "half",
            "quarter",
            "past",
            "later",
            "until",
            "before",
            "after",
            "am",
            "pm",
        ),
    )
)
"""Words that say on which day, or when of the day, and not only how long."""
_LONG: Final = frozenset({"hour", "minut", "min", "later", "half"})


def _clock_said(hour: int, minute: int, half: str, words: Words, *, ending: bool = False) -> bool:
    wanted = _either(hour, minute, half) if half else {(hour, minute)}
    said = clock_times(words.meant)
    if said & wanted:
        return True
    parts = [bounds for part, bounds in _PARTS.items() if stem(part) in words.stems]
    if parts:
        return any(
            first <= hour <= last or first <= hour + 24 <= last for first, last in parts
        ) and not _hours(words)
    relative = bool(words.stems & _LONG) and (ending or bool(_AFTER.search(words.meant)))
    return relative or (not said and not _DAYISH.isdisjoint(words.stems) and minute == 0)


def _hours(words: Words) -> bool:
    return bool(re.search(r"\d{1,2}[:.]\d{2}|\d\s*(am|pm)|o'?clock", words.meant))


_ISO: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_NUMERIC: Final = re.compile(r"(?<![\d.,/])(\d{1,2})[./](\d{1,2})(?:[./](?:\d{4}|\d{2})?)?(?![\d,])")
_ORDINAL: Final = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b|\b(\d{1,2})\.(?!\d)")
_SPANS: Final = re.compile(r"\b(\w+) (days?|nights?|weeks?|months?)\b")
_SPAN_DAYS: Final = {"day": 1, "night": 1, "week": 7, "month": 30}
_AT_HOUR: Final = re.compile(r"\b(?:at|by|from|until|till|um|ab|bis) \d")
_NEAR: Final = 14
_FAR: Final = 400


def _day_said(found: re.Match[str], words: Words, today: int | None) -> bool:
    year, month, number = (int(part) for part in found.groups())
    day = day_of(year, month, number)
    if day is None:
        return False
    text = words.meant
    if found[0] in words.text:
        return True
    spans = {_span(*one) for one in _SPANS.findall(text)} - {0}
    written = {one for one_ in _ISO.findall(words.text) if (one := read(one_)) is not None}
    if written:
        return any(day - one in spans for one in written)
    ahead = None if today is None else day - today
    said = {word for word in (*words.stems, *(_SHORT.get(word, "") for word in words.stems)) if word}
    days = {stem(one) for one in _DAYS} & {stem(one) for one in said}
    months = {stem(one) for one in _MONTHS if one != "may"} & said
    if days and stem(_DAYS[weekday(day)]) not in days:
        return False
    if months:
        near = ahead is None or abs(ahead) <= _FAR or words.number(float(year))
        return near and stem(_MONTHS[month - 1]) in months and words.number(float(number))
    if any({int(one), int(other)} == {number, month} for one, other in _NUMERIC.findall(text)):
        return ahead is None or abs(ahead) <= _FAR or words.number(float(year))
    if days:
        return ahead is None or -1 <= ahead <= _NEAR + 7 * ("week" in words.stems)
    if {int(one or other) for one, other in _ORDINAL.findall(text)} & {number}:
        return ahead is None or -1 <= ahead <= 62
    if not (words.temporal or _AT_HOUR.search(text)):
        return False
    return True if ahead is None else _relative(ahead, day, words, spans)


def _relative(ahead: int, day: int, words: Words, spans: set[int]) -> bool:
    """Whether so many days from now is what was said without a name or number of the day."""
    text = words.meant
    if "after tomorrow" in text:
        return ahead == 2
    if "tomorrow" in text:
        return ahead == 1
    if "yesterday" in text:
        return ahead == -1
    if spans and re.search(r"\b(?:in|after|for|later|from now|every|next)\b", text):
        return any(abs(ahead - one) <= one // 10 for one in spans) or ahead in (0, 1)
    if "weekend" in words.stems:
        return weekday(day) >= 4 and 0 <= ahead <= _NEAR
    if words.stems & {
        "week",
        "month",
        "year",
        "christma",
        "easter",
        "birthday",
        "summer",
        "winter",
        "spring",
        "autumn",
    }:
        return 0 <= ahead <= (_NEAR if "week" in words.stems else 62 if "month" in words.stems else _FAR)
    return 0 <= ahead <= 1


def _span(number: str, unit: str) -> int:
    """Days of "three weeks"; 0: no number."""
    many = (
        int(number)
        if number.isdigit() and len(number) < 5
        else int(NUMBERS.get(number, 1 if number in ("a", "an") else 0))
    )
    return many * _SPAN_DAYS[unit.rstrip("s")]


__all__ = ["clock_times", "time_said"]
