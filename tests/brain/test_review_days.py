"""Days as numbers: the same as the calendar of the standard library."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.brain.medulla.review_days import day_of, read, weekday, written

_FIRST = date(1970, 1, 1).toordinal()


@given(st.dates())
def test_a_day_is_numbered_written_and_read_as_in_the_calendar(day: date) -> None:
    number = day.toordinal() - _FIRST
    assert day_of(day.year, day.month, day.day) == number == read(day.isoformat())
    assert written(number) == day.isoformat()
    assert weekday(number) == day.weekday()


@pytest.mark.parametrize(
    "text", ["2027-02-29", "2100-02-29", "2027-13-01", "2027-04-31", "2027-00-10", "2027-1-1", ""]
)
def test_what_is_no_day_has_no_number(text: str) -> None:
    assert read(text) is None


def test_a_leap_day_is_a_day() -> None:
    number = read("2028-02-29")
    assert number is not None
    assert [written(number - 1), written(number), written(number + 1)] == [
        "2028-02-28",
        "2028-02-29",
        "2028-03-01",
    ]
