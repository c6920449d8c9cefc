"""When schedules are due, against an oracle that steps through time minute by minute and knows nothing of cronsim."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kindmesh.coordinator.heart.schedules import cron, sun
from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.instants import Due, after, before, coming, next_due, passed
from kindmesh.coordinator.heart.schedules.zones import (
    instant_of,
    naive_of,
    show,
    system_zone,
    to_ms,
    zone_named,
)
from kindmesh.protocol.errors import InvalidInput

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "UTC",
    "Africa/Casablanca", "Pacific/Chatham",
)  # fmt: skip


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


def fits(field: str, value: int, least: int, most: int) -> bool:
    """Whether a value meets one field of a cron expression; written from crontab(5)."""
    for part in field.split(","):
        range_, _, step = part.partition("/")
        low, high = least, most
        if range_ != "*":
            begin, _, end = range_.partition("-")
            low, high = int(begin), int(end or (most if step else begin))
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def matches(expression: str, local: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    if not (
        fits(minute, local.minute, 0, 59)
        and fits(hour, local.hour, 0, 23)
        and fits(month, local.month, 1, 12)
    ):
        return False
    number = local.isoweekday()
    days = (
        fits(day, local.day, 1, 31),
        fits(weekday, number, 0, 7) or (number == 7 and fits(weekday, 0, 0, 7)),
    )
    return all(days) if day.startswith("*") or weekday.startswith("*") else any(days)


def oracle(expression: str, zone: ZoneInfo, begin_ms: int, end_ms: int) -> list[int]:
    """Steps through every minute of real time, and through the wall-clock minutes that are left out."""
    found: list[int] = []
    seen: set[datetime] = set()
    at_ms = begin_ms - DAY - begin_ms % MINUTE
    before_local = naive_of(at_ms - MINUTE, zone)
    while at_ms <= end_ms:
        local = naive_of(at_ms, zone)
        skipped = before_local + timedelta(minutes=1)
        due = False
        while skipped < local:
            due = due or matches(expression, skipped)
            seen.add(skipped)
            skipped += timedelta(minutes=1)
        if (due or matches(expression, local)) and (due or local not in seen) and begin_ms < at_ms <= end_ms:
            found.append(at_ms)
        seen.add(local)
        before_local = local
        at_ms += MINUTE
    return found


def due_between(expression: str, zone: ZoneInfo, begin_ms: int, end_ms: int) -> list[int]:
    return list(takewhile(lambda at_ms: at_ms <= end_ms, cron.forward(expression, begin_ms, zone)))


def back_between(expression: str, zone: ZoneInfo, begin_ms: int, end_ms: int) -> list[int]:
    return list(takewhile(lambda at_ms: at_ms > begin_ms, cron.backward(expression, end_ms, zone)))


def part(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, most).map(lambda size: f"*/{size}")
    many = st.lists(number, min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
    return st.one_of(st.just("*"), step, many, span)


EXPRESSIONS = st.tuples(part(0, 59), part(0, 23), part(1, 31), part(1, 12), part(0, 7)).map(" ".join)
CHANGES = st.one_of(
    st.integers(ms("2019-01-01"), ms("2031-01-01")),
    # Around a change of clocks there is more to get wrong.
    st.sampled_from(
        [
            ms("2026-03-29T00:30"), ms("2026-10-25T00:30"), ms("2026-03-08T06:00"), ms("2026-11-01T05:00"),
            ms("2026-04-04T14:30"), ms("2026-10-03T15:00"), ms("2026-09-26T13:00"), ms("2027-02-07T02:00"),
        ]
    ).flatmap(lambda at_ms: st.integers(at_ms - 4 * HOUR, at_ms + 4 * HOUR)),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.sampled_from(ZONES), CHANGES)
@example("30 2 * * *", "Europe/Berlin", ms("2026-03-28T12:00"))
@example("*/15 * * * *", "Australia/Lord_Howe", ms("2026-10-03T12:00"))
@example("*/15 * * * *", "Australia/Lord_Howe", ms("2026-04-04T12:00"))
def test_cron_agrees_with_stepping_through_every_minute(expression: str, zone: str, begin_ms: int) -> None:
    where, end_ms = zone_named(zone), begin_ms + 2 * DAY
    try:
        cron.check_cron(expression)
    except InvalidInput:
        return
    expected = oracle(expression, where, begin_ms, end_ms)
    assert due_between(expression, where, begin_ms, end_ms) == expected
    assert back_between(expression, where, begin_ms, end_ms) == expected[::-1]


@pytest.mark.parametrize("zone", ZONES)
def test_eight_in_the_morning_comes_once_on_every_day_of_twelve_years(zone: str) -> None:
    where = zone_named(zone)
    found = due_between("0 8 * * *", where, ms("2019-01-01"), ms("2031-01-01"))
    locals_ = [naive_of(at_ms, where) for at_ms in found]
    assert {(one.hour, one.minute, one.second) for one in locals_} == {(8, 0, 0)}
    days = [one.date() for one in locals_]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert len(days) >= 12 * 365


@pytest.mark.parametrize(
    ("zone", "day", "expression", "expected"),
    [
        # Forwards: the time does not exist, and runs once at the first instant after the gap.
        ("Europe/Berlin", "2026-03-29", "30 2 * * *", ["03:00 CEST"]),
        ("America/New_York", "2026-03-08", "30 2 * * *", ["03:00 EDT"]),
        ("Australia/Lord_Howe", "2026-10-04", "10 2 * * *", ["02:30 +11"]),
        ("Europe/Berlin", "2026-03-29", "*/30 1-3 * * *", ["01:00 CET", "01:30 CET", "03:00 CEST", "03:30 CEST"]),
        # Backwards: the time occurs twice, and runs the first time.
        ("Europe/Berlin", "2026-10-25", "30 2 * * *", ["02:30 CEST"]),
        ("America/New_York", "2026-11-01", "30 1 * * *", ["01:30 EDT"]),
        ("Australia/Lord_Howe", "2026-04-05", "40 1 * * *", ["01:40 +11"]),
        ("Europe/Berlin", "2026-10-25", "0 1-4 * * *", ["01:00 CEST", "02:00 CEST", "03:00 CET", "04:00 CET"]),
    ],
)  # fmt: skip
def test_what_happens_on_the_day_when_clocks_change(
    zone: str, day: str, expression: str, expected: list[str]
) -> None:
    where = zone_named(zone)
    midnight = instant_of(datetime.fromisoformat(day), where)
    found = due_between(expression, where, midnight, midnight + 23 * HOUR)
    assert [show(at_ms, where).split(" ", 2)[2] for at_ms in found] == expected


def test_a_day_that_a_country_left_out_is_made_up_for_at_the_next_midnight() -> None:
    samoa = zone_named("Pacific/Apia")
    found = due_between("0 8 30 12 *", samoa, ms("2011-01-01"), ms("2012-06-01"))
    assert [show(at_ms, samoa) for at_ms in found] == ["Sat 2011-12-31 00:00 +14"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), st.lists(CHANGES, min_size=2, max_size=2))
def test_wall_clock_times_never_go_back(zone: str, moments: list[int]) -> None:
    where = zone_named(zone)
    first, second = sorted(naive_of(at_ms, where) for at_ms in moments)
    assert instant_of(first, where) <= instant_of(second, where)
    exact = moments[0] - moments[0] % 1000
    assert instant_of(naive_of(exact, where), where) <= exact


# ------------------------------------------------------------------------------------------------- other kinds


def schedule(when: s.When, zone: str = "Europe/Berlin") -> s.Schedule:
    return s.Schedule(b"i" * 16, "it", when, s.Action("device.echo"), zone, 0)


def test_an_interval_is_elapsed_time_over_a_change_of_clocks() -> None:
    every = s.Every(12 * HOUR, ms("2026-03-28T07:00"))
    found = [due.at_ms for due in islice(after(every, "Europe/Berlin", ms("2026-03-28T07:00")), 4)]
    assert [later - earlier for earlier, later in pairwise(found)] == [12 * HOUR] * 3


@given(st.integers(s.EVERY_LEAST_MS, DAY), st.integers(0, ms("2030-01-01")), st.integers(0, ms("2031-01-01")))
def test_an_interval_is_due_at_whole_multiples_from_its_anchor(
    every_ms: int, anchor_ms: int, at_ms: int
) -> None:
    every = s.Every(every_ms, anchor_ms)
    following = next(after(every, "UTC", at_ms)).at_ms
    assert (following - anchor_ms) % every_ms == 0
    assert following == anchor_ms or at_ms < following <= at_ms + every_ms or following > at_ms == anchor_ms
    last = next(before(every, "UTC", at_ms), None)
    assert (last is None) == (at_ms < anchor_ms)
    assert last is None or at_ms - every_ms < last.at_ms <= at_ms


def test_a_one_shot_is_due_once_in_its_zone_or_at_its_instant() -> None:
    local = schedule(s.At("2026-12-01T08:00:00"))
    assert next_due(local, 0) == Due(ms("2026-12-01T07:00"))
    assert next_due(local, ms("2026-12-01T07:00")) is None
    assert passed(local, 0, ms("2026-12-01T07:00")) == ([Due(ms("2026-12-01T07:00"))], False)
    assert passed(local, 0, ms("2026-12-01T06:59")) == ([], False)
    assert next_due(schedule(s.At("", 5)), 0) == Due(5)


def test_a_trigger_is_never_due_by_itself() -> None:
    on = schedule(s.OnEvent("system.device.lost"))
    assert next_due(on, 0) is None
    assert passed(on, 0, DAY) == ([], False)


def test_of_a_long_absence_the_newest_are_named_and_older_ones_are_known_of() -> None:
    minutely = schedule(s.Cron("* * * * *"))
    due, older = passed(minutely, ms("2026-01-01"), ms("2026-01-04"))
    assert older
    assert len(due) == 500
    assert due[-1].at_ms == ms("2026-01-04")
    assert due == sorted(due, key=lambda one: one.at_ms)
    assert passed(minutely, ms("2026-01-04"), ms("2026-01-04")) == ([], False)


def test_what_comes_ends_where_it_is_told_to() -> None:
    daily = schedule(s.Cron("0 8 * * *"))
    assert len(coming(daily, ms("2026-01-01"), count=5)) == 5
    assert len(coming(daily, ms("2026-01-01"), count=500, until_ms=ms("2026-01-08"))) == 7


# --------------------------------------------------------------------------------------------------------- sun


def height(at_ms: int, latitude: float, longitude: float) -> float:
    """The sun's height in degrees, by the low-precision formulas of the Astronomical Almanac (about 0.01 degrees)."""
    days = at_ms / DAY - 10_957.5
    mean = math.radians(280.460 + 0.9856474 * days)
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = mean + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 0.0000004 * days)
    right = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians((18.697374558 + 24.06570982441908 * days) % 24 * 15 + longitude)
    north = math.radians(latitude)
    angle = math.sin(north) * math.sin(declination) + math.cos(north) * math.cos(declination) * math.cos(
        sidereal - right
    )
    return math.degrees(math.asin(angle))


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(52.5, 13.4), (40.7, -74.0), (-36.8, 174.8), (0.1, 179.9), (-54.8, -68.3), (21.3, -157.9), (1.0, 90.0)],
)
def test_the_sun_crosses_the_horizon_when_it_is_said_to(latitude: float, longitude: float) -> None:
    for event, sign in (("sunrise", 1), ("sunset", -1)):
        wanted = s.Sun("sunrise" if event == "sunrise" else "sunset", 0, latitude, longitude)
        found = list(islice(sun.forward(wanted, ms("2026-01-01")), 365))
        assert all(not why for _, why in found)
        for at_ms, _ in found:
            assert height(at_ms, latitude, longitude) == pytest.approx(-0.833, abs=0.35)
            assert (
                sign * (height(at_ms + 5 * MINUTE, latitude, longitude) - height(at_ms, latitude, longitude))
                > 0
            )
        gaps = [later[0] - earlier[0] for earlier, later in pairwise(found)]
        assert min(gaps) > 23 * HOUR
        assert max(gaps) < 25 * HOUR


def test_a_day_without_sunset_is_there_with_its_reason() -> None:
    wanted = s.Sun("sunset", -15 * MINUTE, 69.65, 18.96)
    year = list(takewhile(lambda one: one[0] < ms("2027-01-01"), sun.forward(wanted, ms("2026-01-01"))))
    summer = [why for at_ms, why in year if ms("2026-06-01") < at_ms < ms("2026-07-01")]
    winter = [why for at_ms, why in year if ms("2026-12-05") < at_ms < ms("2026-12-31")]
    assert all("stays above the horizon" in why for why in summer)
    assert all("stays below the horizon" in why for why in winter)
    assert {why for at_ms, why in year if ms("2026-03-01") < at_ms < ms("2026-04-01")} == {""}
    assert len(year) in range(363, 368)
    back = list(takewhile(lambda one: one[0] > ms("2026-01-01"), sun.backward(wanted, ms("2027-01-01"))))
    assert back == year[::-1]


def test_an_offset_moves_it() -> None:
    plain, early = (s.Sun("sunrise", offset, 52.5, 13.4) for offset in (0, -HOUR))
    day = date(2026, 5, 1)
    assert sun.sun_on(early, day)[0] == sun.sun_on(plain, day)[0] - HOUR


# ------------------------------------------------------------------------------------------- what people get wrong


@pytest.mark.parametrize(
    ("expression", "said", "hint"),
    [
        ("0 25 * * *", "'25' (field 2, at character 3) is no hour", "0 to 23"),
        ("0  8 * * FOO", "'FOO' (field 5, at character 10) is no day of the week", "SUN to SAT"),
        ("60 8 * * *", "'60' (field 1, at character 1) is no minute", "0 to 59"),
        ("0 8 0 * *", "'0' (field 3, at character 5) is no day of the month", "1 to 31"),
        ("0 8 * 13 *", "'13' (field 4, at character 7) is no month", "1 to 12"),
        ("0 8 * *", "has 5 fields", "every day at 08:00"),
        ("", "has 5 fields", "every day at 08:00"),
        ("0 0 30 2 *", "never comes", "has that day"),
        ("* " * 150, "at most 200", ""),
    ],
)
def test_a_cron_expression_that_is_wrong_is_shown_where(expression: str, said: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cron.check_cron(expression)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.field == "cron"


def test_a_cron_expression_is_kept_with_single_spaces() -> None:
    assert cron.check_cron("  0   8 * *  mon-fri ") == "0 8 * * mon-fri"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("berlin", "Europe/Berlin"), ("Europe/Berln", "Europe/Berlin"), ("new york", "America/New_York"),
        ("Lord_Howe", "Australia/Lord_Howe"), ("../../etc/passwd", "region/city"), ("", "region/city"),
        ("/etc/localtime", "region/city"),
    ],
)  # fmt: skip
def test_an_unknown_zone_names_near_ones(name: str, near: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        zone_named(name)
    assert near in caught.value.hint
    assert caught.value.field == "zone"


def test_the_zone_of_this_machine_is_found_or_is_utc(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    link = folder / "localtime"
    link.symlink_to("/usr/share/zoneinfo/America/New_York")
    assert system_zone({"TZ": "Asia/Tokyo"}, link) == "Asia/Tokyo"
    assert system_zone({"TZ": ":Asia/Tokyo"}, link) == "Asia/Tokyo"
    assert system_zone({}, folder / "nothing") == "UTC"
    assert system_zone({"TZ": "CET-1CEST"}, folder / "nothing") == "UTC"
    resolved = link.resolve()
    assert system_zone({}, link) == ("America/New_York" if "America/New_York" in str(resolved) else "UTC")
