"""Sunrise and sunset at a place, over `astral` (the one module that uses it).

Days are counted in the place's own solar time (the whole hour nearest to its longitude), so that each has one sunrise
and one sunset, whatever zone the household keeps. Where the sun does not rise or set on a day, `sun_on` says why: that
is a miss somebody can see. Sunrise and sunset are when the upper rim of the sun meets the horizon at sea level, with
the usual refraction; hills and weather are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

from astral import Observer
from astral.sun import elevation, sunrise, sunset

from kindmesh.coordinator.heart.schedules.words import Sun
from kindmesh.coordinator.heart.schedules.zones import to_ms

_DAY = timedelta(days=1)


def sun_on(wanted: Sun, day: date) -> tuple[int, str]:
    """When `wanted` is due on that solar day (UTC ms), and why there is no such moment (then the time is that of noon),
    or empty."""
    solar = _solar(wanted)
    offset = timedelta(milliseconds=wanted.offset_ms)
    moment = _moment(wanted, day, solar) or _between(wanted, day, solar)
    if moment is not None:
        return to_ms(moment + offset), ""
    noon = datetime.combine(day, time(12), tzinfo=solar)
    verb = "rise" if wanted.event == "sunrise" else "set"
    above = elevation(Observer(wanted.latitude, wanted.longitude), noon) > 0
    where = "stays above" if above else "stays below"
    return to_ms(noon + offset), f"the sun does not {verb} here on {day}: it {where} the horizon"


def _solar(wanted: Sun) -> timezone:
    return timezone(timedelta(hours=round(wanted.longitude / 15)))


def _moment(wanted: Sun, day: date, solar: timezone) -> datetime | None:
    find = sunrise if wanted.event == "sunrise" else sunset
    try:
        return find(Observer(wanted.latitude, wanted.longitude), date=day, tzinfo=solar)
    except ValueError:
        return None


def _between(wanted: Sun, day: date, solar: timezone) -> datetime | None:
    """astral leaves a day out when the moment crosses midnight UTC (sunrise near 90 degrees east, sunset near 90 west).
    From one day to the next it moves almost evenly, so it is half way between its neighbours."""
    earlier, later = (_moment(wanted, day + step, solar) for step in (-_DAY, _DAY))
    if earlier is None or later is None:
        return None
    middle = earlier + (later - earlier) / 2
    return middle if middle.date() == day else None


def _days(wanted: Sun, at_ms: int) -> date:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC) - timedelta(milliseconds=wanted.offset_ms)
    return moment.astimezone(_solar(wanted)).date()


def forward(wanted: Sun, after_ms: int) -> Iterator[tuple[int, str]]:
    """(instant, why not) later than `after_ms`, ascending."""
    day = _days(wanted, after_ms) - _DAY
    while day.year < date.max.year:
        found = sun_on(wanted, day)
        if found[0] > after_ms:
            yield found
        day += _DAY


def backward(wanted: Sun, until_ms: int) -> Iterator[tuple[int, str]]:
    """(instant, why not) not later than `until_ms`, descending."""
    day = _days(wanted, until_ms) + _DAY
    while day.year > 1:
        found = sun_on(wanted, day)
        if found[0] <= until_ms:
            yield found
        day -= _DAY


__all__ = ["backward", "forward", "sun_on"]
