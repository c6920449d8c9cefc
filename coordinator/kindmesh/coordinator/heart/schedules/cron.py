"""Cron expressions, over `cronsim` (the one module that uses it), by wall-clock time in a zone.

`cronsim` finds matching wall-clock times with no zone at all; what they mean when clocks change is decided in one
place, `zones.instant_of`: a time in a gap runs once at the first instant after it, a time that occurs twice runs the
first time. That holds for every expression alike; whoever wants elapsed time takes an interval.
Day of the month and day of the week: if neither begins with `*` a day that meets either is meant, as in cron(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from kindmesh.coordinator.heart.schedules.words import EXPRESSION_MAX
from kindmesh.coordinator.heart.schedules.zones import instant_of, naive_of, overlap_at
from kindmesh.protocol.errors import InvalidInput

_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday), or SUN to SAT"),
)
_EXAMPLE: Final = 'For example "0 8 * * *": every day at 08:00. Minute, hour, day, month, day of the week.'


def check_cron(expression: str) -> str:
    """The expression with single spaces.

    Raises:
        InvalidInput: where it is wrong, and what goes there; or that no such time ever comes.
    """
    if len(expression) > EXPRESSION_MAX:
        raise InvalidInput(f"a cron expression has at most {EXPRESSION_MAX} characters", field="cron")
    words = expression.split()
    if len(words) != len(_FIELDS):
        raise InvalidInput(
            f"a cron expression has {len(_FIELDS)} fields, {expression[:60]!r} has {len(words)}",
            field="cron",
            hint=_EXAMPLE,
        )
    begin = naive_of(0, ZoneInfo("UTC"))
    column = 0
    for index, word in enumerate(words):
        column = expression.index(word, column)
        alone = ["*"] * len(words)
        alone[index] = word
        name, range_ = _FIELDS[index]
        try:
            CronSim(" ".join(alone), begin)
        except CronSimError as error:
            raise InvalidInput(
                f"{word[:40]!r} (field {index + 1}, at character {column + 1}) is no {name}",
                field="cron",
                hint=f"The {name} goes from {range_}; also *, lists 1,2, ranges 1-5, steps */5.",
            ) from error
        column += len(word)
    plain = " ".join(words)
    try:
        never = next(CronSim(plain, begin), None) is None
    except CronSimError:
        never = True
    if never:
        raise InvalidInput(
            f"{plain!r} never comes", field="cron", hint="No month that is meant has that day."
        )
    return plain


def forward(expression: str, after_ms: int, zone: ZoneInfo) -> Iterator[int]:
    """Due instants later than `after_ms`, ascending, each once."""
    last_ms = after_ms
    # A wall clock that is in the second half of an overlap has yet to meet nothing of its first half.
    for naive in CronSim(expression, naive_of(after_ms, zone)):
        at_ms = instant_of(naive, zone)
        if at_ms > last_ms:
            last_ms = at_ms
            yield at_ms


def backward(expression: str, until_ms: int, zone: ZoneInfo) -> Iterator[int]:
    """Due instants not later than `until_ms`, descending, each once."""
    begin = naive_of(until_ms, zone) + overlap_at(until_ms, zone) + timedelta(seconds=1)
    last_ms = until_ms + 1
    for naive in CronSim(expression, begin.replace(microsecond=0), reverse=True):
        at_ms = instant_of(naive, zone)
        if at_ms < last_ms:
            last_ms = at_ms
            yield at_ms


def first(instants: Iterator[int]) -> int | None:
    """The first of them, or None."""
    return next(islice(instants, 1), None)


__all__ = ["backward", "check_cron", "first", "forward"]
