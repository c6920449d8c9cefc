"""Days, clock times, parts of the day and repetitions in words, one after the other; `times` makes instants of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.durations import Durations, is_one, phrase_length
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, starts
from kindmesh.coordinator.brain.cortex.numbers import number_at

_MINUTE: Final = 60_000
_DAY: Final = 86_400_000
_CLOCK: Final = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?(am|pm|h|uhr)?")
_ORDINAL: Final = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)")
_YEAR: Final = re.compile(r"20\d{2}")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""As in RFC 5545, Monday first."""


class Read(msgspec.Struct):
    """What was gathered of one time so far. `minute`: of the day; `sure`: am or pm is known; `delay`: ms; `sun`:
    sunrise or sunset, `offset`: ms after it."""

    day: date | None = None
    days: int = 1
    minute: int = -1
    sure: bool = False
    part: tuple[int, int, int] | None = None
    delay: int = -1
    every: str = ""
    firm: bool = False
    today: bool = False
    sun: str = ""
    offset: int = 0


class _Said(msgspec.Struct):
    hour: int = -1
    minute: int = 0
    length: int = 0
    exact: bool = False
    half: str = ""


class TimeReader:
    """Reads the times of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = language.times
        self._units = language.times.units
        self._amounts = language.words.get("units", ())
        self._durations = Durations(language)
        self._suns = tuple(frozenset(name.split(" ")) for name in self._words.sun)

    def component(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        """How many words from `at` on belong to the time; what they say is noted in `got`."""
        for part in (self._sun, self._every, self._delay, self._day, self._part, self._clock):
            taken = part(words, at, got, today)
            if taken:
                return taken
        return 0

    def _sun(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        """ "At sunset", "half an hour before sunrise", "when the sun goes down"."""
        if got.sun or got.minute >= 0 or got.delay >= 0:
            return 0
        there = {word.low for word in words[at:]}
        if not any(phrase <= there for phrase in self._suns):
            return 0
        ms, length = self._durations.read(words, at)
        side = -1 if is_one(words, at + length, self._words.before) else 1
        led = (
            length + 1
            if length and is_one(words, at + length, (*self._words.before, *self._words.past))
            else 0
        )
        if not led:
            ms = 0
            led = phrase_length(words, at, self._words.sun_at)
        for name, event in self._words.sun.items():
            phrase = name.split(" ")
            begin = (
                at
                + led
                + (1 if is_one(words, at + led, self._words.the) and phrase[0] not in self._words.the else 0)
            )
            if starts(words, phrase, begin) and (led or got.day is not None or got.every):
                got.sun, got.offset, got.firm = event, side * ms, True
                return begin + len(phrase) - at
        return 0

    def _every(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        if got.every:
            return 0
        if is_one(words, at, self._words.daily):
            got.every, got.firm = "FREQ=DAILY", True
            return 1
        if not is_one(words, at, self._words.every):
            return 0
        if is_one(words, at + 1, self._words.weekday_words):
            got.every, got.firm = "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", True
            return 2
        days, length = [], 1
        while at + length < len(words) and words[at + length].low in self._words.weekdays:
            days.append(WEEKDAYS[self._words.weekdays[words[at + length].low]])
            length += 1
            if is_one(words, at + length, (*self._words.and_, COMMA)) and at + length + 1 < len(words):
                length += 1 if words[at + length + 1].low in self._words.weekdays else 0
        if days:
            got.every, got.firm = f"FREQ=WEEKLY;BYDAY={','.join(dict.fromkeys(days))}", True
            return length
        if at + 1 < len(words) and words[at + 1].low in self._words.parts:
            got.every, got.part, got.firm = "FREQ=DAILY", self._words.parts[words[at + 1].low], True
            return 2
        count, taken = number_at(words, at + 1, self._language)
        if is_one(words, at + 1, self._words.one):
            taken = 0
        unit = words[at + 1 + taken].low if at + 1 + taken < len(words) else ""
        ms = self._units.get(unit, 0)
        names = {_MINUTE: "_MINUTELY", 60 * _MINUTE: "HOURLY", _DAY: "DAILY", 7 * _DAY: "WEEKLY"}
        if ms not in names or (taken and (count < 1 or count != int(count))):
            return 0
        got.every = f"FREQ={names[ms]}" + (f";INTERVAL={int(count)}" if taken and count > 1 else "")
        got.firm = True
        return 2 + taken

    def _delay(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        if got.delay >= 0 or got.day is not None or got.minute >= 0:
            return 0
        if is_one(words, at, self._words.within):
            ms, length = self._durations.read(words, at + 1)
            if length and ms:
                got.delay, got.firm = ms, True
                return 1 + length + phrase_length(words, at + 1 + length, self._words.hence)
        ms, length = self._durations.read(words, at)
        after = phrase_length(words, at + length, self._words.hence) if length else 0
        if after and ms:
            got.delay, got.firm = ms, True
            return length + after
        return 0

    def _day(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        if got.day is not None:
            return 0
        skip = 1 if is_one(words, at, self._words.on) else 0
        for name, days in self._words.days.items():
            phrase = name.split(" ")
            if starts(words, phrase, at + skip):
                got.day, got.firm, got.today = today + timedelta(days=days), True, days == 0
                part = self._words.parts.get(name)
                if part is not None and days == 0:
                    got.part = part
                return skip + len(phrase)
        next_ = is_one(words, at + skip, self._words.next_)
        this = is_one(words, at + skip, self._words.this)
        lead = skip + (1 if next_ or this else 0)
        name = words[at + lead].low.removesuffix("'s") if at + lead < len(words) else ""
        if name in self._words.weekdays:
            ahead = (self._words.weekdays[name] - today.weekday()) % 7
            got.day, got.firm = today + timedelta(days=ahead or (7 if next_ else 0)), True
            # "Next Friday" said on a Wednesday is the one of next week, to most; the nearer one is "this Friday".
            if next_ and ahead > 0 and ahead + today.weekday() < 7:
                got.day = got.day + timedelta(days=7)
            got.today = not ahead and not next_
            return lead + 1
        if (next_ or this) and self._units.get(name) == 7 * _DAY:
            start = today + timedelta(days=7 - today.weekday()) if next_ else today
            got.day, got.days, got.firm = start, 7 if next_ else 7 - today.weekday(), True
            return lead + 1
        return self._date(words, at, skip, got, today)

    def _date(self, words: Sequence[Word], at: int, skip: int, got: Read, today: date) -> int:
        the = 1 if is_one(words, at + skip, self._words.the) else 0
        number, length = self._ordinal(words, at + skip + the)
        begin = at + skip + the + length
        of = 1 if length and is_one(words, begin, self._words.of) else 0
        month = self._words.months.get(words[begin + of].low, 0) if length and begin + of < len(words) else 0
        taken = skip + the + length + of + 1
        if not month and at + skip < len(words) and words[at + skip].low in self._words.months:
            month = self._words.months[words[at + skip].low]
            the = 1 if is_one(words, at + skip + 1, self._words.the) else 0
            number, length = self._ordinal(words, at + skip + 1 + the)
            if not length:
                value, length = number_at(words, at + skip + 1 + the, self._language)
                number = int(value)
            taken = skip + 1 + the + length
        elif not month and length and the and skip:
            month, taken = 0, skip + the + length
        elif not month:
            return 0
        made = _next_date(today, month, number) if length else None
        year = at + taken + (1 if is_one(words, at + taken, (COMMA,)) else 0)
        if made is not None and month and year < len(words) and _YEAR.fullmatch(words[year].low):
            made, taken = _date_in(int(words[year].low), month, number), year + 1 - at
        if made is None:
            return 0
        got.day, got.firm, got.today = made, True, made == today
        return taken

    def _ordinal(self, words: Sequence[Word], at: int) -> tuple[int, int]:
        if at >= len(words):
            return 0, 0
        found = _ORDINAL.fullmatch(words[at].low)
        if found:
            return int(found[1]), 1
        if words[at].low in self._words.ordinals:
            return self._words.ordinals[words[at].low], 1
        value, length = number_at(words, at, self._language)
        after = words[at + 1].low if at + 1 < len(words) else ""
        if length == 1 and value in (20, 30) and 0 < self._words.ordinals.get(after, 0) < 10:
            return int(value) + self._words.ordinals[after], 2
        if length and value == int(value) and at + length < len(words):
            follows = at + length + (1 if is_one(words, at + length, self._words.of) else 0)
            if follows < len(words) and words[follows].low in self._words.months:
                return int(value), length
        return 0, 0

    def _part(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        if got.part is not None:
            return 0
        for lead in (*self._words.part_in, ""):
            phrase = lead.split(" ") if lead else []
            if not starts(words, phrase, at):
                continue
            name = words[at + len(phrase)].low if at + len(phrase) < len(words) else ""
            if name in self._words.parts and (lead or got.day is not None or got.minute >= 0):
                got.part, got.firm = self._words.parts[name], True
                return len(phrase) + 1
        if (
            is_one(words, at, self._words.this)
            and at + 1 < len(words)
            and words[at + 1].low in self._words.parts
        ):
            got.part, got.firm = self._words.parts[words[at + 1].low], True
            got.day, got.today = got.day or today, True
            return 2
        return 0

    def _clock(self, words: Sequence[Word], at: int, got: Read, today: date) -> int:
        if got.minute >= 0:
            return 0
        skip = 1 if is_one(words, at, self._words.at) else 0
        begin = at + skip
        if begin < len(words) and words[begin].low in self._words.noon:
            got.minute, got.sure, got.firm = self._words.noon[words[begin].low], True, True
            return skip + 1
        taken = self._spoken_clock(words, begin, got)
        if taken:
            got.firm = True
            return skip + taken
        said = self._digits(words, begin, bool(skip))
        if said is None or not said.length:
            return 0
        firm = bool(said.half) or said.exact
        if not firm and not skip and got.day is None:
            return 0
        # A number with a unit behind it is an amount: "at 20 degrees", "at 50 percent".
        following = words[begin + said.length].low if begin + said.length < len(words) else ""
        if not firm and (self._durations.unit(words, begin + said.length) or following in self._amounts):
            return 0
        got.minute = (said.hour % 24) * 60 + said.minute
        got.sure = bool(said.half) or said.hour > 12 or said.hour == 0 or words[begin].low.startswith("0")
        got.firm = got.firm or firm
        return skip + said.length

    def _digits(self, words: Sequence[Word], begin: int, led: bool) -> _Said | None:
        """An hour in digits or words, with minutes and its half of the day; None: this is no hour."""
        found = _CLOCK.fullmatch(words[begin].low) if begin < len(words) else None
        said = _Said()
        if found:
            said.hour, said.minute, said.length = int(found[1]), int(found[2] or 0), 1
            said.exact = found[2] is not None and ":" in words[begin].low
            said.half = found[3] if found[3] in ("am", "pm") else ""
        else:
            value, said.length = number_at(words, begin, self._language)
            said.hour = int(value) if said.length and value == int(value) else -1
        self._minutes(words, begin, said, found, led)
        if not said.half:
            for half, names in (("am", self._words.am), ("pm", self._words.pm)):
                if is_one(words, begin + said.length, names):
                    said.half, said.length = half, said.length + 1
                    break
        if said.half:
            if not 1 <= said.hour <= 12:
                return None
            said.hour = said.hour % 12 + (12 if said.half == "pm" else 0)
        wrong = said.hour < 0 or said.hour > 24 or said.minute > 59 or (said.hour == 24 and said.minute)
        return None if wrong else said

    def _minutes(
        self, words: Sequence[Word], begin: int, said: _Said, found: re.Match[str] | None, led: bool
    ) -> None:
        if not said.length:
            return
        bare = found is None or (found[2] is None and not found[3])
        more, taken = number_at(words, begin + said.length, self._language)
        if bare and taken and 10 <= more < 60 and more == int(more) and said.hour <= 24:
            said.minute, said.length, said.exact = int(more), said.length + taken, said.exact or led
        suffix = found is not None and found[3] in ("h", "uhr")
        if suffix or is_one(words, begin + said.length, self._words.oclock):
            said.length += 0 if suffix else 1
            said.exact = True
            more, taken = number_at(words, begin + said.length, self._language)
            if self._words.half_to and taken and 1 <= more < 60 and not said.minute:
                said.minute, said.length = int(more), said.length + taken

    def _spoken_clock(self, words: Sequence[Word], at: int, got: Read) -> int:
        """ "half past seven", "quarter to eight", "ten past six"; in German also "halb acht"."""
        lead = 1 if is_one(words, at, self._words.one) else 0
        minutes, length, direction = 0, 0, 0
        if is_one(words, at + lead, self._words.half):
            minutes, length = 30, 1
            if self._words.half_to:
                direction = -1
        elif is_one(words, at + lead, self._words.quarter):
            minutes, length = 15, 1
        else:
            value, length = number_at(words, at + lead, self._language)
            minutes = int(value) if length and value == int(value) and 0 < value < 60 else 0
            if (
                self._units.get(words[at + lead + length].low if at + lead + length < len(words) else "")
                == _MINUTE
            ):
                length += 1
        if not length or not minutes:
            return 0
        begin = at + lead + length
        if not direction:
            if is_one(words, begin, self._words.past):
                direction = 1
            elif is_one(words, begin, self._words.to):
                direction = -1
            else:
                return 0
            begin += 1
        hour, taken = number_at(words, begin, self._language)
        if begin < len(words) and words[begin].low in self._words.noon:
            got.minute = (self._words.noon[words[begin].low] + direction * minutes) % 1440
            got.sure = True
            return begin + 1 - at
        if not taken or not 1 <= hour <= 24 or hour != int(hour):
            return 0
        end = begin + taken
        end += 1 if is_one(words, end, self._words.oclock) else 0
        pm = is_one(words, end, self._words.pm)
        am = is_one(words, end, self._words.am)
        value = int(hour) * 60 + direction * minutes
        if pm or am:
            value = (int(hour) % 12 + (12 if pm else 0)) * 60 + direction * minutes
        got.minute, got.sure = value % 1440, pm or am or hour > 12
        return end + (1 if pm or am else 0) - at


def _date_in(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _next_date(today: date, month: int, day: int) -> date | None:
    """The next date of that day and month (0: any month) from today on, within ten years; None when there is none."""
    for ahead in range(121):
        index = today.month - 1 + ahead
        year, number = today.year + index // 12, index % 12 + 1
        if month and number != month:
            continue
        try:
            made = date(year, number, day)
        except ValueError:
            continue
        if made >= today:
            return made
    return None


__all__ = ["WEEKDAYS", "Read", "TimeReader"]
