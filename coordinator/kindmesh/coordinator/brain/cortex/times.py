"""Durations, clock times, days and repetitions in a sentence, in the household's zone.

    "in an hour and a half"      a delay          "every monday at nine"      a repetition
    "half past seven tomorrow"   an instant       "tomorrow morning"          vague: someone has to ask which hour

Rules: everything follows from the words, `now_ms` and the zone. Without am or pm and a day, the next one to come is
meant; with another day, the one in waking hours (7 to 18:59). What the clock skips when it goes forward is moved
forward by as much; what it says twice is the first. A time of today that has passed is the one of tomorrow, unless
"today" was said: then it is `past`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from kindmesh.coordinator.brain.cortex.durations import Durations
from kindmesh.coordinator.brain.cortex.language import Language, language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words
from kindmesh.coordinator.brain.cortex.time_words import WEEKDAYS, Read, TimeReader
from kindmesh.protocol.errors import InvalidInput

MINUTE: Final = 60_000
DAY: Final = 86_400_000
KEPT: Final = 128
"""Words of which the times are remembered."""


class When(msgspec.Struct, frozen=True):
    """A time that was said. `delay_ms`: from now on, 0 if it was no delay; `at_ms`: the instant (UTC ms), 0 when the
    words leave it open; `day`: the local date as in ISO 8601, or empty; `days`: how many from there ("this week");
    `minute`: of that day, -1 if not said; `vague`: a part of the day was said and no hour; `every`: a repetition as in
    RFC 5545 (`FREQ=DAILY`), or empty; `past`: it is over; `firm`: nobody can take these words for anything but a time;
    `first`, `last`: which words they are; `sun`: `sunrise` or `sunset`, `offset_ms` after (negative: before) which it
    is: its instant depends on the place (`sunlight`)."""

    at_ms: int = 0
    delay_ms: int = 0
    day: str = ""
    days: int = 1
    minute: int = -1
    vague: bool = False
    every: str = ""
    past: bool = False
    firm: bool = False
    first: int = 0
    last: int = 0
    at: tuple[int, ...] = ()
    leading: bool = False
    sun: str = ""
    offset_ms: int = 0


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            f"there is no time zone {name[:40]!r}", field="zone", hint="Write it like Europe/Berlin."
        ) from error


def local(ms: int, zone: ZoneInfo) -> datetime:
    """The wall clock at an instant."""
    return datetime.fromtimestamp(ms // 1000, zone).replace(microsecond=ms % 1000 * 1000)


def instant(day: date, minute: int, zone: ZoneInfo) -> int:
    """When the wall clock of that day shows this minute (UTC ms); see the module for the days that have it twice or
    not at all."""
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    return int(wall.astimezone(UTC).timestamp()) * 1000


class Times:
    """Finds times in the words of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._reader = TimeReader(language)
        self._durations = Durations(language)
        self._found = lru_cache(maxsize=KEPT)(self._find)

    def duration(self, words: Sequence[Word]) -> int:
        """The duration that all of the words say (ms), or 0."""
        return self._durations.whole(words)

    def find(self, words: Words, now_ms: int, zone: str) -> tuple[When, ...]:
        """Every time in the words, in order. The same words are looked at by several readings of one sentence."""
        return self._found(words, now_ms, zone)

    def _find(self, words: Words, now_ms: int, zone: str) -> tuple[When, ...]:
        found: list[When] = []
        at = 0
        while at < len(words):
            when = None if words[at].literal else self.read(words, at, now_ms, zone)
            if when is None:
                at += 1
                continue
            found.append(when)
            at = when.last + 1
        return tuple(found)

    def extract(
        self, words: Words, now_ms: int, zone: str, *, firm: bool = False
    ) -> tuple[Words, When | None]:
        """The words without their time, and the time; a day and an hour that stand apart are one time. With `firm`,
        only what can be nothing else."""
        found = [when for when in self.find(words, now_ms, zone) if when.firm or not firm]
        if not found:
            return words, None
        if len(found) > 1:
            joined = self._both(found[0], found[1], words, now_ms, zone)
            if joined is not None:
                left = self._cut(self._cut(words, found[1]), found[0])
                return left, joined
        when = found[0] if found[0].first == 0 else found[-1]
        return self._cut(words, when), when

    def read(self, words: Words, at: int, now_ms: int, zone: str) -> When | None:
        """The time that begins at this word, as long as it goes; None when there is none."""
        tz = zone_of(zone)
        now = local(now_ms, tz)
        got = Read()
        end = at
        while end < len(words):
            taken = self._reader.component(words, end, got, now.date())
            if not taken and end > at and words[end].text == COMMA:
                taken = self._reader.component(words, end + 1, got, now.date())
                taken += 1 if taken else 0
            if not taken:
                break
            end += taken
        if end == at:
            return None
        when = self._resolved(got, now, now_ms, tz)
        if when is None:
            return None
        positions = tuple(sorted({word.at for word in words[at:end] if word.text != COMMA}))
        return msgspec.structs.replace(when, first=at, last=end - 1, at=positions, leading=at == 0)

    # From parts to a time.

    def _resolved(self, got: Read, now: datetime, now_ms: int, zone: ZoneInfo) -> When | None:
        today = now.date()
        if got.sun:
            on = got.day.isoformat() if got.day is not None and not got.today else ""
            return When(day=on, vague=True, every=got.every, firm=True, sun=got.sun, offset_ms=got.offset)
        if got.delay >= 0 and got.minute < 0 and got.part is None:
            if got.delay > 3650 * DAY:
                return None
            return When(at_ms=now_ms + got.delay, delay_ms=got.delay, every=got.every, firm=True)
        if got.delay >= 0:
            if got.delay % DAY or got.delay > 3650 * DAY:
                return None
            got.day = today + timedelta(days=got.delay // DAY)
        if got.minute < 0 and got.part is not None and got.every:
            got.minute, got.sure = got.part[2] % 24 * 60, True
            got.part = None
        if got.minute < 0:
            if got.day is None and got.part is None and not got.every:
                return None
            if got.every and got.day is None:
                return When(every=got.every, firm=True)
            day = got.day or today
            part = got.part
            at_ms = instant(day, part[2] % 24 * 60, zone) if part else 0
            if part and at_ms and at_ms < now_ms and day == today:
                at_ms = 0
            return When(
                at_ms=at_ms,
                day=day.isoformat(),
                days=got.days,
                vague=part is not None,
                every=got.every,
                firm=got.firm,
            )
        return self._at_hour(got, today, now_ms, zone)

    def _at_hour(self, got: Read, today: date, now_ms: int, zone: ZoneInfo) -> When | None:
        minute = got.minute
        choices = [minute] if got.sure else sorted({minute % 720, minute % 720 + 720})
        if got.part is not None and not got.sure:
            first, last, _ = got.part
            fitting = [
                one
                for one in choices
                if first * 60 <= one < last * 60 or first * 60 <= one + 1440 < last * 60
            ]
            choices = fitting or choices
        night = got.part is not None and got.part[1] > 24
        if got.day is None or (got.today and got.day == today):
            days = [got.day or today] if got.today and not night else [today, today + timedelta(days=1)]
            if got.every:
                days = _days_of(got.every, today)
            ahead = sorted(
                (instant(day, one, zone), day, one)
                for day in days
                for one in choices
                if instant(day, one, zone) > now_ms
            )
            if got.every:
                ahead = ahead or [(0, today, choices[0])]
                if not got.sure and got.part is None:
                    one = next((one for one in choices if 420 <= one < 1140), choices[0])
                    later = sorted(item for item in ahead if item[2] == one)
                    ahead = later or ahead
            if not ahead:
                return When(
                    at_ms=instant(days[0], choices[-1], zone), day=days[0].isoformat(), minute=choices[-1], past=True,
                    firm=got.firm,
                )  # fmt: skip
            at_ms, day, minute = ahead[0]
        else:
            day = got.day
            if len(choices) > 1:
                choices = [one for one in choices if 420 <= one < 1140] or choices
            minute = choices[0]
            # "Tomorrow night at one" is in the night that begins then.
            if night and minute < 360:
                day = day + timedelta(days=1)
            at_ms = instant(day, minute, zone)
        return When(
            at_ms=at_ms, day=day.isoformat(), days=got.days, minute=minute, every=got.every, firm=got.firm,
            past=at_ms < now_ms and not got.every,
        )  # fmt: skip

    def _both(self, one: When, other: When, words: Words, now_ms: int, zone: str) -> When | None:
        first, second = words[one.first : one.last + 1], words[other.first : other.last + 1]
        for order in ((*first, *second), (*second, *first)):
            when = self.read(order, 0, now_ms, zone)
            if when is not None and when.last == len(order) - 1:
                return msgspec.structs.replace(when, first=one.first, last=other.last, leading=one.first == 0)
        return None

    def _cut(self, words: Words, when: When) -> Words:
        before, after = words[: when.first], words[when.last + 1 :]
        if before and before[-1].text == COMMA:
            before = before[:-1]
        if not before and after and after[0].text == COMMA:
            after = after[1:]
        return (*before, *after)


def _days_of(every: str, today: date) -> list[date]:
    """The days of the week to come on which a repetition falls."""
    week = [today + timedelta(days=ahead) for ahead in range(8)]
    _, _, named = every.partition("BYDAY=")
    wanted = named.split(",") if named else list(WEEKDAYS)
    return [day for day in week if WEEKDAYS[day.weekday()] in wanted]


@cache
def times(code: str) -> Times:
    """The finder of a language, by its code; made once.

    Raises:
        InvalidInput: there is no such language.
    """
    return Times(language(code))


__all__ = ["DAY", "MINUTE", "Times", "When", "instant", "local", "times", "zone_of"]
