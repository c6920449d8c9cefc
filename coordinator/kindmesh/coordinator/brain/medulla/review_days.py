"""Days as numbers since 1970-01-01, and back; only arithmetic, so that what decides needs no calendar of the system.

https://howardhinnant.github.io/date_algorithms.html (`days_from_civil` and `civil_from_days`; Gregorian).
"""

from __future__ import annotations

import re
from typing import Final

DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def day_of(year: int, month: int, day: int) -> int | None:
    """The number of a day; None: there is no such day."""
    if not (1 <= month <= 12 and 1 <= day <= _LENGTHS[month - 1]):
        return None
    if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
        return None
    return _number(year, month, day)


def _number(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def written(day: int) -> str:
    """A day as text: `2027-01-04`."""
    era, of_era = divmod(day + 719_468, 146_097)
    years = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * years + years // 4 - years // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return f"{years + era * 400 + (month <= 2):04}-{month:02}-{of_year - (153 * shifted + 2) // 5 + 1:02}"


def read(text: str) -> int | None:
    """The day that a text is; None: it is none."""
    found = DATE.fullmatch(text)
    return day_of(*(int(part) for part in found.groups())) if found else None


def weekday(day: int) -> int:
    """0 is Monday."""
    return (day + 3) % 7


__all__ = ["DATE", "day_of", "read", "weekday", "written"]
