"""Schedules at work, over the real Heart and journal: what is due is done, once, and what was missed is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.coordinator.heart_kit import APPEND, ECHO
from tests.coordinator.schedule_kit import DAY, HOUR, MINUTE, PILLS, TimeRig, at_time, ms

from kindmesh.coordinator.heart.schedules import journal
from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.coordinator.heart.schedules.findings import schedule_findings
from kindmesh.coordinator.heart.schedules.journal import MISSES_KEPT
from kindmesh.coordinator.heart.schedules.place import draw_delay
from kindmesh.mesh.store import Store
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import Busy, DiskFull, InvalidInput, KindmeshError
from kindmesh.protocol.plan import plan_from_document, plan_to_bytes
from kindmesh.protocol.principal import Principal

EIGHT = s.Cron("0 8 * * *")
ANN = Principal("goal", "schedule-pills", "Ann", "a" * 32)


@at_time("2026-05-01T07:00")
async def test_the_pills_at_eight_every_day(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT)
    await rig.pass_to("2026-05-28T09:00")
    assert rig.story("pills") == [(f"05-{day:02} 08:00", "succeeded") for day in range(1, 29)]
    assert rig.done() == 28


@at_time("2026-03-27T12:00")
async def test_the_pills_at_half_past_two_on_the_nights_when_clocks_change(rig: TimeRig) -> None:
    await rig.add("pills", s.Cron("30 2 * * *"), zone="Europe/Berlin")
    await rig.pass_to("2026-03-30T12:00")
    assert rig.story("pills") == [
        ("03-28 01:30", "succeeded"), ("03-29 01:00", "succeeded"), ("03-30 00:30", "succeeded"),
    ]  # fmt: skip


@at_time("2026-10-24T12:00")
async def test_the_hour_that_comes_twice_runs_once(rig: TimeRig) -> None:
    await rig.add("pills", s.Cron("30 2 * * *"), zone="Europe/Berlin")
    await rig.pass_to("2026-10-26T12:00")
    assert rig.story("pills") == [("10-25 00:30", "succeeded"), ("10-26 01:30", "succeeded")]


@at_time("2026-05-01T07:00")
async def test_after_a_power_cut_of_three_days_the_newest_is_made_up_for_and_the_others_are_told(
    rig: TimeRig,
) -> None:
    await rig.add("pills", EIGHT, grace_ms=2 * HOUR)
    await rig.add("every-pill", EIGHT, misfire="all", grace_ms=7 * DAY)
    await rig.add("no-late-pill", EIGHT, misfire="skip")
    await rig.pass_to("2026-05-01T09:00")
    await rig.off()
    rig.at("2026-05-04T09:00")
    await rig.on()
    await rig.pass_to("2026-05-05T09:00")
    both = ("05-01 08:00", "succeeded"), ("05-05 08:00", "succeeded")
    days = [f"05-{day:02} 08:00" for day in (2, 3, 4)]
    assert rig.story("pills") == [both[0], *zip(days, ("late", "late", "succeeded"), strict=True), both[1]]
    assert rig.story("every-pill") == [both[0], *[(day, "succeeded") for day in days], both[1]]
    assert rig.story("no-late-pill") == [both[0], *[(day, "away") for day in days], both[1]]
    late = rig.history("pills")[1]
    assert HOUR <= late.late_ms < HOUR + MINUTE


@at_time("2026-05-01T07:59:50")
async def test_a_restart_at_eight_is_on_time(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, misfire="skip")
    await rig.off()
    rig.at("2026-05-01T08:00:10")
    await rig.on()
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]


@at_time("2026-05-01T07:00")
async def test_a_clock_that_is_set_back_over_eight_does_nothing_twice(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT)
    await rig.pass_to("2026-05-01T08:05")
    rig.at("2026-05-01T07:30")
    await rig.pass_to("2026-05-01T09:00")
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]
    assert rig.done() == 1
    await rig.pass_to("2026-05-02T09:00")
    assert rig.done() == 2


@at_time("2026-05-01T07:00")
async def test_a_clock_that_was_wrong_by_a_year_for_an_hour_leaves_no_gap(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT)
    rig.at("2027-05-01T07:10")
    await rig.pass_to("2027-05-01T07:40")
    assert rig.history("pills")[-1].count > 300
    rig.at("2026-05-01T07:40")
    await rig.pass_to("2026-05-04T09:00")
    assert rig.story("pills") == [(f"05-{day:02} 08:00", "succeeded") for day in range(1, 5)]


@at_time("2026-05-01T07:00")
async def test_a_restored_clock_after_a_restart_does_nothing_twice(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT)
    await rig.pass_to("2026-05-03T09:00")
    await rig.off()
    rig.at("2026-05-01T07:00")
    await rig.on()
    await rig.pass_to("2026-05-04T09:00")
    assert rig.done() == 4
    assert rig.story("pills") == [(f"05-{day:02} 08:00", "succeeded") for day in range(1, 5)]


@at_time("2026-05-01T07:00")
async def test_a_board_without_a_clock_goes_by_the_time_of_the_mesh(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT)
    rig.at("1970-01-01T00:00")
    assert rig.schedules.now_ms() == rig.clock.now_ms()


@at_time("2026-05-01T07:00")
async def test_a_one_shot_runs_once_and_is_over(rig: TimeRig) -> None:
    held = await rig.add("call", s.At("2026-05-01T08:00:00"))
    await rig.pass_to("2026-05-01T08:01")
    assert held.machine.state == "ended"
    await rig.off()
    await rig.on()
    await rig.pass_to("2026-05-02T09:00")
    assert rig.story("call") == [("05-01 08:00", "succeeded")]


@at_time("2026-05-01T07:00")
async def test_an_interval_keeps_its_beat_over_a_restart(rig: TimeRig) -> None:
    await rig.add("sip", s.Every(30 * MINUTE, ms("2026-05-01T07:00")))
    await rig.pass_to("2026-05-01T08:10")
    await rig.off()
    await rig.on()
    await rig.pass_to("2026-05-01T09:10")
    assert [when for when, _ in rig.story("sip")] == [
        "05-01 07:30",
        "05-01 08:00",
        "05-01 08:30",
        "05-01 09:00",
    ]


@at_time("2026-05-01T07:00")
async def test_the_delay_of_a_jitter_moves_the_start(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, delay_ms=5 * MINUTE, jitter_ms=10 * MINUTE)
    await rig.pass_to("2026-05-01T08:04")
    assert rig.story("pills") == []
    await rig.pass_to("2026-05-01T08:06")
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]


@at_time("2026-05-01T07:00")
async def test_the_sun_decides_and_a_day_without_sunset_is_told(rig: TimeRig) -> None:
    await rig.add("lamp", s.Sun("sunset", -15 * MINUTE, 69.65, 18.96), zone="Europe/Oslo")
    await rig.pass_to("2026-05-20T23:00")
    told = [what for _, what in rig.story("lamp")]
    assert set(told[:15]) == {"succeeded"}
    assert told[-1] == "sun"
    assert "does not set here on 2026-05-20" in rig.history("lamp")[0].why


# ---------------------------------------------------------------------------------------- when it does not go well


@at_time("2026-05-01T07:00")
async def test_a_device_that_is_away_at_eight_does_it_when_it_is_back_within_the_grace_time(
    rig: TimeRig,
) -> None:
    await rig.add("pills", EIGHT)
    rig.nodes["phone"].down()
    await rig.pass_to("2026-05-01T08:20")
    assert rig.story("pills") == [("05-01 08:00", "started")]
    rig.nodes["phone"].up()
    await rig.pass_to("2026-05-01T08:21")
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]


@at_time("2026-05-01T07:00")
async def test_how_a_run_failed_is_in_the_history(rig: TimeRig) -> None:
    rig.medulla.answer = lambda request: "deny"
    held = await rig.add("pills", EIGHT)
    await rig.pass_to("2026-05-01T08:01")
    (firing,) = rig.history("pills")
    assert firing.state == "failed"
    assert "the owner's policy forbids it" in rig.schedules.starter.problem(held.schedule, firing.ref)


@at_time("2026-05-01T07:00")
async def test_what_is_not_offered_any_more_is_tried_for_the_grace_time_and_then_told(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, grace_ms=5 * MINUTE)
    rig.nodes["phone"].advertise([ECHO])
    await rig.pass_to("2026-05-01T08:02")
    assert rig.story("pills") == [("05-01 08:00", "starting")]
    await rig.pass_to("2026-05-01T08:06")
    (firing,) = rig.history("pills")
    assert firing.state == "not started"
    assert "no device offers" in firing.why
    rig.nodes["phone"].advertise([ECHO, APPEND])
    await rig.pass_to("2026-05-02T08:06")
    assert rig.story("pills")[-1] == ("05-02 08:00", "succeeded")


@at_time("2026-05-01T07:00")
async def test_values_that_do_not_fit_any_more_are_told_at_once(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, action=s.Action("notes.append", encode_value({"text": 5})))
    await rig.pass_to("2026-05-01T08:00:01")
    assert rig.story("pills") == [("05-01 08:00", "not started")]


@at_time("2026-05-01T07:00")
async def test_a_run_that_goes_on_makes_the_next_one_wait_or_miss(rig: TimeRig) -> None:
    beat = s.Every(10 * MINUTE, ms("2026-05-01T07:00"))
    rig.nodes["phone"].hold = True
    await rig.add("skips", beat, overlap="skip", grace_ms=3 * HOUR)
    await rig.add("queues", beat, overlap="queue", grace_ms=3 * HOUR)
    await rig.pass_to("2026-05-01T07:31")
    assert [what for _, what in rig.story("skips")] == ["started", "overlap", "overlap"]
    assert [what for _, what in rig.story("queues")] == ["started", "waiting", "overlap"]
    rig.nodes["phone"].hold = False
    rig.nodes["phone"].finish()
    await rig.settle(60)
    assert [what for _, what in rig.story("queues")] == ["succeeded", "succeeded", "overlap"]


@at_time("2026-05-01T07:00")
async def test_a_full_disk_at_eight_delays_and_loses_nothing(rig: TimeRig) -> None:
    class Full(Store):
        full = False

        def _engine_commit(self) -> KindmeshError | None:
            return DiskFull("the disk is full") if self.full else super()._engine_commit()

    await rig.off()
    rig.store_class = Full
    await rig.on()
    await rig.add("pills", EIGHT)
    assert isinstance(rig.store, Full)
    rig.store.full = True
    await rig.pass_to("2026-05-01T08:10")
    rig.store.full = False
    await rig.pass_to("2026-05-01T08:11")
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]
    assert rig.done() == 1


# -------------------------------------------------------------------------------------------------------- plans


def plan(*steps: dict[str, Any], **more: Any) -> s.Action:
    made = plan_from_document({"plan": 1, "name": "morning", "steps": list(steps), **more})
    return s.Action("", encode_value({}), b"", plan_to_bytes(made))


STEPS: tuple[dict[str, Any], ...] = (
    {"id": "look", "call": "device.echo", "args": {"text": "hi"}},
    {"id": "note", "call": "notes.append", "args": {"text": "the pills"}, "after": ["look"]},
)


@at_time("2026-05-01T07:00")
async def test_a_whole_plan_is_run_at_its_time(rig: TimeRig) -> None:
    held = await rig.add("morning", EIGHT, action=plan(*STEPS))
    await rig.pass_to("2026-05-01T08:01")
    (firing,) = rig.history("morning")
    assert firing.state == "succeeded"
    assert rig.runs.document(firing.ref)["name"] == "morning"
    assert rig.schedules.starter.problem(held.schedule, firing.ref) == ""
    assert rig.done() == 2


@at_time("2026-05-01T07:00")
async def test_a_plan_that_is_under_way_goes_on_over_a_restart(rig: TimeRig) -> None:
    await rig.add("morning", EIGHT, action=plan(*STEPS))
    rig.nodes["phone"].hold = True
    await rig.pass_to("2026-05-01T08:00:01")
    await rig.off()
    rig.nodes["phone"].kill()
    rig.nodes["phone"].hold = False
    await rig.on()
    await asyncio.sleep(30)
    await rig.settle(60)
    assert [what for _, what in rig.story("morning")] == ["succeeded"]


@at_time("2026-05-01T07:00")
async def test_why_a_plan_failed_is_told(rig: TimeRig) -> None:
    rig.medulla.answer = lambda request: "deny"
    held = await rig.add("morning", EIGHT, action=plan(*STEPS))
    await rig.pass_to("2026-05-01T08:01")
    (firing,) = rig.history("morning")
    assert firing.state == "failed"
    assert "forbids" in rig.schedules.starter.problem(held.schedule, firing.ref)


# --------------------------------------------------------------------------------------------- what people want


@at_time("2026-05-01T07:00")
async def test_a_pause_is_seen_and_survives_a_restart(rig: TimeRig) -> None:
    held = await rig.add("pills", EIGHT)
    await rig.schedules.change(held, w.PauseAsked("ann"))
    with pytest.raises(InvalidInput, match="is paused, not active"):
        await rig.schedules.change(held, w.PauseAsked("ann"))
    await rig.pass_to("2026-05-01T09:00")
    await rig.off()
    await rig.on()
    await rig.pass_to("2026-05-02T09:00")
    found = rig.schedules.find("pills")
    assert found is not None
    assert found.machine.why == "paused by ann"
    await rig.schedules.change(found, w.ResumeAsked("ann"))
    await rig.pass_to("2026-05-03T09:00")
    assert [what for _, what in rig.story("pills")] == ["paused", "paused", "succeeded"]


@at_time("2026-05-01T07:00")
async def test_run_now_runs_beside_its_times(rig: TimeRig) -> None:
    held = await rig.add("pills", EIGHT)
    first, second = await rig.schedules.run_now(held, "ann"), await rig.schedules.run_now(held, "ann")
    assert first != second
    await rig.pass_to("2026-05-01T08:01")
    assert [what for _, what in rig.story("pills")] == ["succeeded"] * 3
    assert rig.history("pills")[-1].why == "run now, by ann"


@at_time("2026-05-01T07:00")
async def test_run_now_has_a_bound(rig: TimeRig) -> None:
    rig.nodes["phone"].hold = True
    held = await rig.add("pills", EIGHT)
    for _ in range(16):
        await rig.schedules.run_now(held, "ann")
    with pytest.raises(Busy, match="16 runs"):
        await rig.schedules.run_now(held, "ann")


@at_time("2026-05-01T07:00")
async def test_what_a_removed_person_made_stops_and_says_so(rig: TimeRig) -> None:
    held = await rig.add("pills", EIGHT, maker=ANN)
    await rig.add("others", EIGHT)
    await rig.pass_to("2026-05-01T08:30")
    rig.schedules.leave(Principal("person", "a" * 32, "Ann"))
    await rig.pass_to("2026-05-02T09:00")
    assert (held.machine.state, held.machine.why) == (
        "stopped",
        "Ann, who made it, was removed from the mesh",
    )
    assert len(rig.story("pills")) == 1
    assert len(rig.story("others")) == 2
    with pytest.raises(InvalidInput, match="is stopped: Ann"):
        await rig.schedules.run_now(held, "the owner")


@at_time("2026-05-01T07:00")
async def test_a_removal_that_the_coordinator_did_not_live_to_see_counts_after_the_restart(
    rig: TimeRig,
) -> None:
    await rig.add("pills", EIGHT, maker=ANN)
    await rig.off()
    rig.gone = frozenset({"a" * 32})
    await rig.on()
    await rig.pass_to("2026-05-02T09:00")
    assert rig.story("pills") == []
    found = rig.schedules.find("pills")
    assert found is not None
    assert found.machine.state == "stopped"


@at_time("2026-05-01T07:00")
async def test_a_schedule_that_is_removed_leaves_no_word_behind(rig: TimeRig) -> None:
    secret = s.Action("notes.append", encode_value({"text": "a word nobody else has: xylograph"}))
    held = await rig.add("xylophone-pills", EIGHT, action=secret)
    await rig.pass_to("2026-05-01T08:30")
    await rig.schedules.remove(held)
    assert rig.schedules.find("xylophone-pills") is None
    rig.store.scrub()
    assert b"xylograph" not in rig.bytes_on_disk()
    assert b"xylophone" not in rig.bytes_on_disk()
    await rig.off()
    await rig.on()
    assert rig.schedules.all() == []


@at_time("2026-05-01T07:00")
async def test_what_a_schedule_says_and_is_called_is_sealed_on_the_disk(rig: TimeRig) -> None:
    await rig.add(
        "xylophone-pills", EIGHT, action=s.Action("notes.append", encode_value({"text": "xylograph"}))
    )
    await rig.pass_to("2026-05-01T08:30")
    assert rig.done() == 1
    assert b"xylograph" not in rig.bytes_on_disk()
    assert b"xylophone" not in rig.bytes_on_disk()


@at_time("2026-05-01T07:00")
async def test_a_name_is_taken_once_and_there_is_a_bound(rig: TimeRig) -> None:
    held = await rig.add("pills", EIGHT)
    with pytest.raises(InvalidInput, match="there is a schedule 'pills' already"):
        await rig.add("pills", EIGHT)
    rig.schedules._held.update({number.to_bytes(16, "big"): held for number in range(s.SCHEDULES_MAX)})
    with pytest.raises(Busy, match="500 schedules"):
        await rig.add("more", EIGHT)
    for number in range(s.SCHEDULES_MAX):
        del rig.schedules._held[number.to_bytes(16, "big")]


@at_time("2026-05-01T07:00")
async def test_the_history_is_bounded_and_what_was_dropped_is_never_due_again(rig: TimeRig) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(journal, "STARTED_KEPT", 20)
    held = await rig.add("sip", s.Every(10_000, ms("2026-05-01T07:00")), misfire="skip")
    await rig.pass_to("2026-05-01T07:06:41")
    firings = rig.history("sip")
    assert [one.state for one in firings] == ["succeeded"] * 20
    assert held.pruned_ms == firings[-1].due_ms - 10_000
    rig.at("2026-05-01T07:00")
    await rig.pass_to("2026-05-01T07:02")
    assert rig.done() == 40
    assert held.machine.cursor_ms == held.pruned_ms
    patch.undo()


@at_time("2026-05-01T07:00")
async def test_misses_are_kept_and_bounded(rig: TimeRig) -> None:
    held = await rig.add("sip", s.Every(10_000, ms("2026-05-01T07:00")), misfire="skip")
    for hour in range(8, 16):
        await rig.off()
        rig.at(f"2026-05-01T{hour:02}:00")
        await rig.on()
    missed = rig.schedules.journal.history(held.schedule.schedule_id, 500, misses=True)
    assert len(missed) == MISSES_KEPT
    assert rig.schedules.journal.missed(held.schedule.schedule_id) > MISSES_KEPT


@at_time("2026-05-01T07:00")
async def test_whoever_watches_is_told_what_was_started_and_missed(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, overlap="skip")
    rig.nodes["phone"].hold = True
    await rig.pass_to("2026-05-01T08:01")
    rig.nodes["phone"].finish()
    await rig.settle(20)
    told = [event["what"] for event in rig.events if event["event"] == "schedule"]
    assert told == ["started", "succeeded"]


@at_time("2026-05-01T07:00")
async def test_one_that_was_damaged_stops_none_of_the_others_and_is_told(rig: TimeRig) -> None:
    bad = await rig.add("damaged", EIGHT)
    await rig.add("pills", EIGHT)
    rig.store.execute("UPDATE schedule SET sealed = x'00' WHERE schedule_id = ?", (bad.schedule.schedule_id,))
    rig.store.commit_now()
    await rig.off()
    await rig.on()
    await rig.pass_to("2026-05-01T08:01")
    assert rig.story("pills") == [("05-01 08:00", "succeeded")]
    ((level, message, _),) = schedule_findings(rig.schedules)
    assert (level, message[:32]) == ("fail", "1 schedules cannot be read from ")


@at_time("2026-05-01T07:00")
async def test_the_doctor_is_told_what_stopped_and_what_was_missed_lately(rig: TimeRig) -> None:
    await rig.add("pills", EIGHT, misfire="skip")
    await rig.add("annas", EIGHT, maker=ANN)
    await rig.off()
    rig.at("2026-05-01T09:00")
    await rig.on()
    rig.schedules.leave(Principal("person", "a" * 32, "Ann"))
    missed, stopped = schedule_findings(rig.schedules)
    assert missed[1].startswith(
        "The schedule pills on Fri 2026-05-01 08:00 UTC: missed: nothing could be started"
    )
    assert stopped[1] == "The schedule annas is stopped: Ann, who made it, was removed from the mesh."
    await rig.pass_to("2026-05-02T08:01")
    assert [message for _, message, _ in schedule_findings(rig.schedules)] == [stopped[1]]


@at_time("2026-05-01T07:00")
async def test_with_no_schedule_no_timer_is_left(rig: TimeRig) -> None:
    held = await rig.add("pills", EIGHT)
    await rig.schedules.remove(held)
    await asyncio.sleep(10)
    assert rig.schedules._timer is None


def test_a_share_of_the_jitter_is_below_it() -> None:
    assert draw_delay(60_000, b"\xff" * 8) == 59_999
    assert draw_delay(60_000, bytes(8)) == 0
    assert draw_delay(0, b"\xff" * 8) == 0
    assert PILLS.operation == "notes.append"
