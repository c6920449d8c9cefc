"""What can be asked for in a schedule, field by field; and how the command line says it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.coordinator.schedule_kit import HOUR, MINUTE, PILLS, ms

from kindmesh.coordinator.cli.schedule_add import Happening, Timing, event_params, timing_params
from kindmesh.coordinator.cli.schedule_words import changed, condition, milliseconds, outcome, scalar
from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.asking import read_schedule
from kindmesh.coordinator.heart.schedules.desk import place_of
from kindmesh.coordinator.heart.schedules.documents import describe
from kindmesh.coordinator.heart.schedules.place import Place
from kindmesh.coordinator.params import Params
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.node.config import HouseholdSection
from kindmesh.protocol.errors import ConfigError, InvalidInput
from kindmesh.protocol.principal import OWNER

NOW = ms("2026-05-01T07:00")
BERLIN = Place("Europe/Berlin", 52.5, 13.4)


def read(place: Place = BERLIN, **params: Any) -> s.Schedule:
    given = Params({"name": "pills", **params})
    return read_schedule(given, PILLS, OWNER, place, now_ms=NOW, entropy=SeededEntropy(1))


@pytest.mark.parametrize(
    ("params", "when", "said"),
    [
        ({"cron": "0 8 * * *"}, s.Cron("0 8 * * *"), "cron 0 8 * * *"),
        ({"every_ms": 30 * MINUTE}, s.Every(30 * MINUTE, NOW), "every 30 min"),
        ({"at": "2026-12-01T08:00"}, s.At("2026-12-01T08:00:00"), "once, Tue 2026-12-01 08:00 CET"),
        ({"at": "2026-12-01T08:00+00:00"}, s.At("", ms("2026-12-01T08:00")), "once, Tue 2026-12-01 09:00 CET"),
        (
            {"sun": "sunset", "offset_ms": -15 * MINUTE},
            s.Sun("sunset", -15 * MINUTE, 52.5, 13.4),
            "15 min before sunset",
        ),
        ({"sun": "sunrise", "latitude": 1, "longitude": 2}, s.Sun("sunrise", 0, 1.0, 2.0), "at sunrise"),
        ({"sun": "sunrise", "offset_ms": HOUR}, s.Sun("sunrise", HOUR, 52.5, 13.4), "1 h after sunrise"),
        ({"event": {"topic": "system.device.lost"}}, s.OnEvent("system.device.lost"), "on system.device.lost"),
        (
            {"event": {"topic": "a.b".replace("a", "perception"), "where": [{"field": "n", "test": "<", "value": 3}],
                       "change": {"field": "d", "from": 1, "to": 2, "for_ms": MINUTE}, "every_nth": 3,
                       "quiet_ms": MINUTE, "max_wait_ms": HOUR}},
            s.OnEvent("perception.b", (s.Condition("n", "<", 3),), s.Change("d", False, 1, False, 2, MINUTE), 3,
                      "trailing", MINUTE, HOUR),
            "on perception.b, n < 3, d changes from 1 to 2 for 1 min, every 3 times, after 1 min of quiet",
        ),
        (
            {"event": {"topic": "memory.*", "change": {"field": "d"}, "debounce": "leading", "quiet_ms": MINUTE}},
            s.OnEvent("memory.*", (), s.Change("d"), 1, "leading", MINUTE),
            "on memory.*, d changes, then not for 1 min",
        ),
    ],
)  # fmt: skip
def test_when_it_is_due(params: dict[str, Any], when: s.When, said: str) -> None:
    made = read(**params)
    assert made.when == when
    assert describe(made.when, made.zone) == said


@pytest.mark.parametrize(
    ("params", "field", "said"),
    [
        ({}, "when", "it has none"),
        ({"cron": "0 8 * * *", "every_ms": HOUR}, "when", "cron and every_ms"),
        ({"cron": "0 25 * * *"}, "cron", "is no hour"),
        ({"every_ms": 9_999}, "every_ms", "between 10000"),
        ({"at": "tomorrow"}, "at", "no date and time"),
        ({"at": "2026-05-01T08:59"}, "at", "has passed (Europe/Berlin)"),
        ({"cron": "0 8 * * *", "zone": "Mars/Olympus"}, "zone", "no time zone"),
        ({"cron": "0 8 * * *", "name": "My Pills"}, "name", "no name for a schedule"),
        ({"cron": "0 8 * * *", "misfire": "maybe"}, "misfire", "skip, once, all"),
        ({"cron": "0 8 * * *", "grace_ms": -1}, "grace_ms", "between"),
        ({"cron": "0 8 * * *", "jitter_ms": 2 * HOUR}, "jitter_ms", "between"),
        ({"cron": 5}, "cron", "should be text"),
        ({"sun": "noon"}, "sun", "sunrise, sunset"),
        ({"sun": "sunset", "offset_ms": 13 * HOUR}, "offset_ms", "12 hours"),
        ({"sun": "sunset", "latitude": 91}, "latitude", "-90 to 90"),
        ({"sun": "sunset", "longitude": "east"}, "longitude", "-180 to 180"),
        ({"event": {"topic": "weather.rain"}}, "pattern", "no topic begins with"),
        ({"event": {"topic": "system.*", "where": [{"field": "a b"}]}}, "field", "no field of an event"),
        (
            {"event": {"topic": "system.*", "where": [{"field": "a", "value": [1]}]}},
            "value",
            "text, a number",
        ),
        ({"event": {"topic": "system.*", "where": [{"field": "a", "value": "x" * 201}]}}, "value", "at most"),
        ({"event": {"topic": "system.*", "where": [{"field": "a"}] * 17}}, "where", "at most 16"),
        ({"event": {"topic": "system.*", "debounce": "leading"}}, "quiet_ms", "needs a quiet time"),
        ({"event": {"topic": "system.*", "quiet_ms": HOUR, "max_wait_ms": 1}}, "max_wait_ms", "shorter"),
    ],
)
def test_what_is_wrong_is_named(params: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**params)
    assert caught.value.field == field
    assert said in caught.value.message + caught.value.hint


def test_the_sun_needs_to_know_where_this_home_is() -> None:
    with pytest.raises(InvalidInput, match="nobody said so yet"):
        read(Place("UTC"), sun="sunset")


def test_rules_have_their_defaults_by_policy() -> None:
    assert read(cron="0 8 * * *").rules == s.Rules("once", HOUR, 10, "allow", 0)
    assert read(cron="0 8 * * *", misfire="skip").rules.grace_ms == 0
    assert read(cron="0 8 * * *", misfire="all").rules.grace_ms == 7 * 24 * HOUR
    late = read(cron="0 8 * * *", jitter_ms=HOUR)
    assert 0 <= late.delay_ms < HOUR


def test_the_household_says_where_it_is() -> None:
    assert place_of(HouseholdSection("Europe/Oslo", 69.6, 18.9)) == Place("Europe/Oslo", 69.6, 18.9)
    assert place_of(HouseholdSection("Europe/Oslo")) == Place("Europe/Oslo")
    assert place_of(HouseholdSection()).zone
    with pytest.raises(ConfigError, match=r"household\.timezone: there is no time zone 'Oslo/Europe'"):
        place_of(HouseholdSection("Oslo/Europe"))


# --------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("text", "said"), [("30m", 1_800_000), ("2h", 7_200_000), ("5min", 300_000), ("1d", 86_400_000)]
)
def test_a_length_of_time(text: str, said: int) -> None:
    assert milliseconds(text, "every") == said
    assert milliseconds(f"-{text}", "sunset", signed=True) == -said


@pytest.mark.parametrize("text", ["", "30", "-30m", "1.5h", "0", "m"])
def test_no_length_of_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="no length of time"):
        milliseconds(text, "every")
    assert milliseconds("0", "sunset", signed=True) == 0


def test_options_become_what_the_coordinator_takes() -> None:
    assert timing_params(Timing(sunset="-15m", tz="UTC", latitude=1.5)) == {
        "sun": "sunset", "offset_ms": -900_000, "zone": "UTC", "latitude": 1.5,
    }  # fmt: skip
    assert timing_params(Timing(cron="0 8 * * *", at="x", every="1h")) == {
        "cron": "0 8 * * *", "at": "x", "every_ms": HOUR,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match="one way"):
        timing_params(Timing(sunset="0", sunrise="0"))
    given = Happening("perception.*", ("n<3",), "d=1..2", "1m", 3, "30s", "5m", leading=True)
    assert event_params(given) == {
        "topic": "perception.*", "every_nth": 3, "where": [{"field": "n", "test": "<", "value": 3}],
        "change": {"field": "d", "from": 1, "to": 2, "for_ms": 60_000}, "quiet_ms": 30_000, "debounce": "leading",
        "max_wait_ms": 300_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (Happening(nth=3), "on"), (Happening("system.*", lasting="1m"), "for"),
        (Happening("system.*", leading=True), "quiet"), (Happening("system.*", max_wait="1m"), "quiet"),
        (Happening("system.*", ("hall",)), "where"),
        (Happening("system.*", change="=open"), "change"),
    ],
)  # fmt: skip
def test_options_about_events_that_do_not_go_together(given: Happening, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        event_params(given)
    assert caught.value.field == field


def test_values_are_what_they_look_like() -> None:
    assert [scalar(text) for text in ("3", "1.5", "true", "null", "open", '"3"', "[1]", "")] == [
        3, 1.5, True, None, "open", "3", "[1]", "",
    ]  # fmt: skip
    assert condition("door.state != open") == {"field": "door.state", "test": "!=", "value": "open"}
    assert changed("state") == {"field": "state"}
    assert changed("state=open") == {"field": "state", "to": "open"}
    assert changed("state=shut..") == {"field": "state", "from": "shut"}


def test_how_a_firing_ended_in_words() -> None:
    fired = {
        "state": "failed",
        "late_ms": 3_600_000,
        "why": "run now",
        "problem": "no sound",
        "count": 1,
        "more": False,
    }
    assert outcome(fired) == "failed, 60 min late: run now; no sound"
    missed = {"state": "missed", "why": "late", "count": 450, "more": True}
    assert outcome(missed) == "missed 450 or more times (late)"
