"""Schedules that are due when something happens, over the real event bus, Heart and journal."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.coordinator.schedule_kit import MINUTE, TimeRig, at_time

from kindmesh.coordinator.heart.schedules import machine_words as w
from kindmesh.coordinator.heart.schedules import words as s
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages.events import Labels, MeshEvent
from kindmesh.protocol.principal import Principal

ANN = Principal("goal", "schedule-watch", "Ann", "a" * 32)
LOST = s.OnEvent("system.device.lost")


def lost(rig: TimeRig, name: str) -> None:
    rig.bus.emit("system.device.lost", {"device": format_id(rig.nodes["phone"].device_id), "name": name})


def say(rig: TimeRig, topic: str, data_class: str = "device", **values: Any) -> None:
    event = rig.bus.emit("system.stop", {"by": "x"})
    rig.bus.accept(
        MeshEvent(
            event.event_id,
            topic,
            event.source,
            event.at_ms,
            Labels(data_class=data_class),
            encode_value(values),
        )
    )


@at_time("2026-05-01T07:00")
async def test_a_lost_device_makes_it_due(rig: TimeRig) -> None:
    await rig.add("watch", LOST)
    lost(rig, "hall")
    await rig.settle(40)
    (firing,) = rig.history("watch")
    assert (firing.state, firing.why) == ("succeeded", "system.device.lost")


@at_time("2026-05-01T07:00")
async def test_only_the_device_that_is_meant(rig: TimeRig) -> None:
    await rig.add("watch", s.OnEvent("system.device.*", (s.Condition("name", "=", "hall"),)))
    lost(rig, "kitchen")
    await asyncio.sleep(2)
    lost(rig, "hall")
    await rig.settle(40)
    assert len(rig.history("watch")) == 1


@at_time("2026-05-01T07:00")
async def test_a_door_that_stays_open_for_ten_minutes(rig: TimeRig) -> None:
    change = s.Change("door.state", any_to=False, to_value="open", for_ms=10 * MINUTE)
    await rig.add("door", s.OnEvent("perception.door.changed", (), change))
    for state in ("shut", "open"):
        say(rig, "perception.door.changed", door={"state": state})
    await rig.pass_to("2026-05-01T07:09:50")
    assert rig.history("door") == []
    await rig.pass_to("2026-05-01T07:10:10")
    assert [what for _, what in rig.story("door")] == ["succeeded"]


@at_time("2026-05-01T07:00")
async def test_what_a_trigger_has_seen_survives_a_restart(rig: TimeRig) -> None:
    await rig.add("watch", s.OnEvent("system.device.lost", every_nth=3))
    for _ in range(2):
        lost(rig, "hall")
    await asyncio.sleep(2)
    await rig.off()
    await rig.on()
    lost(rig, "hall")
    await rig.settle(40)
    assert len(rig.history("watch")) == 1


@at_time("2026-05-01T07:00")
async def test_a_wait_for_quiet_goes_on_over_a_restart(rig: TimeRig) -> None:
    await rig.add("watch", s.OnEvent("system.device.lost", debounce="trailing", quiet_ms=MINUTE))
    lost(rig, "hall")
    await asyncio.sleep(2)
    await rig.off()
    await rig.on()
    await rig.pass_to("2026-05-01T07:02")
    assert len(rig.history("watch")) == 1


@at_time("2026-05-01T07:00")
async def test_its_maker_hears_only_what_they_may_know(rig: TimeRig) -> None:
    rig.deaf = frozenset({"a" * 32})
    await rig.add("watch", s.OnEvent("perception.*"), maker=ANN)
    say(rig, "perception.pulse.measured", "health", beats=60)
    await asyncio.sleep(2)
    assert rig.history("watch") == []
    say(rig, "perception.door.changed", state="open")
    await rig.settle(40)
    assert len(rig.history("watch")) == 1


@at_time("2026-05-01T07:00")
async def test_a_paused_trigger_notes_what_it_missed_and_a_removed_one_hears_nothing(rig: TimeRig) -> None:
    held = await rig.add("watch", LOST)
    await rig.schedules.change(held, w.PauseAsked("ann"))
    lost(rig, "hall")
    await rig.settle(10)
    assert [what for _, what in rig.story("watch")] == ["paused"]
    subscribed = rig.bus.statistics().subscriptions
    await rig.schedules.remove(held)
    assert rig.bus.statistics().subscriptions == subscribed - 1
    lost(rig, "hall")
    await rig.settle(10)
    assert rig.done() == 0


@at_time("2026-05-01T07:00")
async def test_two_events_of_one_millisecond_have_two_names(rig: TimeRig) -> None:
    held = await rig.add("watch", LOST)
    due = [rig.schedules.new_due(held)]
    rig.schedules._tell(held, w.Triggered(due[0], "one"))
    due.append(rig.schedules.new_due(held))
    assert due[1] == due[0] + 1
