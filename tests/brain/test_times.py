"""Times in words: durations, clocks, days and repetitions, across the two days a year on which the clock jumps."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.brain.small_home import NOW_MS, ZONE

from kindmesh.coordinator.brain.cortex.language import language
from kindmesh.coordinator.brain.cortex.normalise import normalise, spoken
from kindmesh.coordinator.brain.cortex.times import When, instant, times
from kindmesh.protocol.errors import InvalidInput

EN, DE = times("en"), times("de")
MINUTE = 60_000


def read(text: str, now_ms: int = NOW_MS, code: str = "en") -> When:
    words = spoken(text, language(code))
    found = times(code).find(words, now_ms, ZONE)
    assert [(one.first, one.last) for one in found] == [(0, len(words) - 1)], found
    return found[0]


def wall(when: When) -> str:
    return datetime.fromtimestamp(when.at_ms / 1000, ZoneInfo(ZONE)).strftime("%d.%m. %H:%M")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("in ten minutes", 10), ("in an hour", 60), ("in an hour and a half", 90), ("in one and a half hours", 90),
        ("in 1 hour and 30 minutes", 90), ("in half an hour", 30), ("half an hour from now", 30), ("in 90 mins", 90),
        ("in a quarter of an hour", 15), ("in twenty five minutes", 25), ("in 2.5 hours", 150),
        ("after two days", 2880),
        ("45 minutes from now", 45),
    ],
)  # fmt: skip
def test_a_delay_counts_from_now(text: str, minutes: int) -> None:
    assert read(text).delay_ms == minutes * MINUTE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at half past seven", "27.11. 19:30"), ("at quarter to eight tonight", "27.11. 19:45"),
        ("at ten past eleven", "27.11. 11:10"), ("at 7:30", "27.11. 19:30"), ("at 5 p.m.", "27.11. 17:00"),
        ("at seven thirty", "27.11. 19:30"), ("at 9", "27.11. 21:00"), ("at 11", "27.11. 11:00"),
        ("at 7 am", "28.11. 07:00"), ("tomorrow at 8", "28.11. 08:00"), ("tomorrow at 3", "28.11. 15:00"),
        ("at nine tonight", "27.11. 21:00"), ("tonight at 9", "27.11. 21:00"),
        ("at eight in the morning", "28.11. 08:00"),
        ("at noon", "27.11. 12:00"), ("at midnight", "28.11. 00:00"), ("next friday at 5 pm", "04.12. 17:00"),
        ("on monday at noon", "30.11. 12:00"), ("on december twenty fifth at noon", "25.12. 12:00"),
        ("on the 5th of december at 9 am", "05.12. 09:00"), ("in two days at 8", "29.11. 08:00"),
        ("tomorrow night at one", "29.11. 01:00"), ("at 17:45", "27.11. 17:45"),
    ],
)  # fmt: skip
def test_a_clock_time_is_the_next_one_to_come(text: str, expected: str) -> None:
    assert wall(read(text)) == expected


def test_a_part_of_the_day_is_vague_and_a_day_has_no_hour() -> None:
    assert read("tomorrow morning").vague
    assert (read("on april two").day, read("on april two").minute) == ("2027-04-02", -1)
    assert read("january 21, 2028").day == "2028-01-21"
    assert (read("next week").day, read("next week").days) == ("2026-11-30", 7)


def test_what_was_today_is_past_and_not_tomorrow() -> None:
    assert read("today at 7 am").past


@pytest.mark.parametrize(
    ("text", "rule", "expected"),
    [
        ("every day at 9", "FREQ=DAILY", "28.11. 09:00"), ("every two hours", "FREQ=HOURLY;INTERVAL=2", ""),
        ("every monday and thursday at half past six", "FREQ=WEEKLY;BYDAY=MO,TH", "30.11. 18:30"),
        ("every weekday at seven am", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "30.11. 07:00"),
    ],
)  # fmt: skip
def test_a_repetition_has_a_rule_and_its_first_time(text: str, rule: str, expected: str) -> None:
    when = read(text)
    assert when.every == rule
    assert not expected or wall(when) == expected


@pytest.mark.parametrize(
    "text", ["at 20 degrees", "at 50 percent", "twenty", "the second lamp", "may", "a quarter"]
)
def test_an_amount_is_no_time(text: str) -> None:
    assert EN.find(normalise(text, language("en")), NOW_MS, ZONE) == ()


def test_the_hour_that_the_clock_skips_comes_after_it_and_the_one_it_repeats_is_the_first() -> None:
    zone = ZoneInfo(ZONE)
    eve = int(datetime(2026, 3, 28, 12, 0, tzinfo=zone).timestamp()) * 1000
    assert datetime.fromtimestamp(read("tomorrow at 2:30 am", eve).at_ms / 1000, UTC).hour == 1
    assert wall(read("tomorrow at 2:30 am", eve)) == "29.03. 03:30"
    autumn = datetime(2026, 10, 25)  # noqa: DTZ001  # only its date is used
    assert datetime.fromtimestamp(instant(autumn.date(), 150, zone) / 1000, UTC).hour == 0
    # An hour from now is sixty minutes, whatever the clock on the wall does.
    late = int(datetime(2026, 3, 29, 1, 30, tzinfo=zone).timestamp()) * 1000
    assert read("in an hour", late).at_ms - late == 60 * MINUTE
    assert wall(read("in an hour", late)) == "29.03. 03:30"


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="zone"):
        EN.find(normalise("in ten minutes", language("en")), NOW_MS, "Nowhere/Atlantis")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in zehn minuten", "27.11. 10:10"), ("um halb acht", "27.11. 19:30"),
        ("um viertel nach sechs", "27.11. 18:15"),
        ("morgen um acht uhr", "28.11. 08:00"), ("heute abend um neun", "27.11. 21:00"),
        ("in einer stunde und dreißig minuten", "27.11. 11:30"), ("um 17 uhr 30", "27.11. 17:30"),
        ("am montag um 9", "30.11. 09:00"), ("in einer halben stunde", "27.11. 10:30"),
        ("in fünfundzwanzig minuten", "27.11. 10:25"), ("morgen früh um sieben", "28.11. 07:00"),
    ],
)  # fmt: skip
def test_german_times_are_the_same_code_with_other_words(text: str, expected: str) -> None:
    assert wall(read(text, code="de")) == expected


_SAID = (
    "in at on every next the half past quarter to an a hour minutes day monday tomorrow tonight morning 7 7:30 am pm"
    " twenty five and , april fifth today week 31 99 0 noon"
)
_WORDS = st.sampled_from(_SAID.split())


@settings(max_examples=150, deadline=None)
@given(st.lists(_WORDS, max_size=10), st.integers(0, 4_000_000_000_000))
def test_any_words_at_any_time_give_times_within_them(words: list[str], now_ms: int) -> None:
    said = spoken(" ".join(words), language("en"))
    last = -1
    for when in EN.find(said, now_ms, ZONE):
        assert last < when.first <= when.last < len(said)
        last = when.last
        assert when.past or when.every or when.at_ms == 0 or when.vague or when.at_ms >= now_ms
