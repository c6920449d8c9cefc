"""The home as a capability: calls go through the operation their risk asks for, outlive a kill, and are told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.capabilities.conftest import OpenBench

from kindmesh.capabilities.base import Services
from kindmesh.capabilities.home.handlers import events_of
from kindmesh.capabilities.home.home_clock import STALE_AFTER, advance, next_ms, stale
from kindmesh.capabilities.home.home_store import HISTORY_MAX, HomeStore
from kindmesh.capabilities.home.inventory import home_from_document
from kindmesh.capabilities.home.manifest import MANIFEST
from kindmesh.capabilities.home.merging import difference, merged
from kindmesh.capabilities.home.model import Change, Entity, Home
from kindmesh.capabilities.home.provider import Happened, SimulatedHome
from kindmesh.capabilities.home.risk import operation_for
from kindmesh.capabilities.home.services import apply, differences
from kindmesh.capabilities.home.telling import TOLD_MAX, tell
from kindmesh.protocol.errors import InvalidInput, StoreDamaged
from kindmesh.protocol.topics import declare, declared_topics

NOW = 1_700_000_000_000
ROWS: list[dict[str, Any]] = [
    {"id": "light.a", "name": "Lamp", "state": "off"},
    {"id": "lock.front", "state": "locked"},
    {"id": "cover.garage_door", "state": "closed"},
    {"id": "cover.blind", "state": "open", "attributes": {"device_class": "blind"}},
    {"id": "timer.tea", "state": "idle", "attributes": {"duration": "0:03:00"}},
    {"id": "todo.shopping", "state": "0"},
    {"id": "switch.oven", "state": "off"},
    {"id": "switch.fountain", "state": "off", "attributes": {"risk": "access"}},
    {"id": "cover.kitchen_window_blind", "state": "open"},
    {"id": "switch.oven_light", "state": "off"},
    {"id": "scene.leave", "attributes": {"entities": {"lock.front": "locked", "light.a": "off"}}},
    {"id": "scene.film", "attributes": {"entities": {"cover.blind": "closed"}}},
]
DOCUMENT = {"floors": [{"id": "g"}], "areas": [{"id": "hall", "floor": "g"}], "entities": ROWS}


@pytest.mark.parametrize(
    ("entity", "service", "operation"),
    [
        ("light.a", "light.turn_on", "home.control"),
        ("lock.front", "lock.unlock", "home.access"),
        ("lock.front", "lock.lock", "home.access"),
        ("cover.garage_door", "cover.open_cover", "home.access"),
        ("cover.garage_door", "homeassistant.turn_on", "home.access"),
        ("cover.garage_door", "cover.stop_cover", "home.control"),
        ("cover.blind", "cover.open_cover", "home.control"),
        ("cover.kitchen_window_blind", "cover.close_cover", "home.control"),
        ("switch.oven_light", "switch.turn_on", "home.control"),
        ("timer.tea", "timer.start", "home.note"),
        ("todo.shopping", "todo.add_item", "home.note"),
        ("switch.oven", "switch.turn_on", "home.access"),
        ("switch.fountain", "switch.turn_on", "home.access"),
        ("scene.leave", "scene.turn_on", "home.access"),
        ("scene.film", "scene.turn_on", "home.control"),
    ],
)
def test_risk_is_told_by_what_a_thing_is(entity: str, service: str, operation: str) -> None:
    home = home_from_document(DOCUMENT)
    assert operation_for(home.entities[entity], service, home) == operation


def test_without_the_home_a_scene_with_a_blind_is_taken_for_one_with_a_door() -> None:
    home = home_from_document(DOCUMENT)
    assert operation_for(home.entities["scene.film"], "scene.turn_on") == "home.access"


async def test_a_call_through_the_wrong_operation_is_refused_and_changes_nothing(
    open_bench: OpenBench,
) -> None:
    async with open_bench() as bench:
        await bench.call("home.load", {"inventory": DOCUMENT})
        before = (await bench.call("home.get"))["entities"]
        for operation, service, entity in (
            ("home.control", "lock.unlock", "lock.front"),
            ("home.control", "homeassistant.turn_on", "cover.garage_door"),
            ("home.control", "scene.turn_on", "scene.leave"),
            ("home.note", "light.turn_on", "light.a"),
            ("home.control", "timer.start", "timer.tea"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await bench.call(operation, {"service": service, "entities": ["light.a", entity]})
            assert "Call home." in refused.value.hint or refused.value.field == "service"
        assert (await bench.call("home.get"))["entities"] == before


async def test_what_was_done_is_told_kept_and_can_be_read_back(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        await bench.call("home.load", {"inventory": DOCUMENT})
        call = {"service": "light.turn_on", "entities": ["light.a"], "data": {"brightness_pct": 50}}
        done = await bench.call("home.control", call)
        assert [(one["attribute"], one["after"]) for one in done["changes"]] == [
            ("state", "on"),
            ("brightness", 128),
        ]
        (lamp,) = (await bench.call("home.get", {"entities": ["light.a"]}))["entities"]
        assert (lamp["state"], lamp["attributes"]) == ("on", {"brightness": 128})
        past = (await bench.call("home.history", {"entity": "light.a", "count": 1}))["changes"]
        assert [(one["attribute"], one["why"]) for one in past] == [("brightness", "light.turn_on")]
        assert (await bench.call("home.control", call))["changes"] == []
    async with open_bench() as bench:
        assert (await bench.call("home.get", {"entities": ["light.a"]}))["entities"] == [lamp]
        described = await bench.call("home.describe")
        assert (described["entities"], described["undoable"]) == (len(ROWS), True)
        assert [area["id"] for area in described["areas"]] == ["hall"]


async def test_a_new_inventory_keeps_states_and_can_be_taken_back(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        await bench.call("home.load", {"inventory": DOCUMENT})
        await bench.call("home.control", {"service": "light.turn_on", "entities": ["light.a"]})
        await bench.call(
            "home.note", {"service": "timer.start", "entities": ["timer.eggs"], "data": {"duration": 300}}
        )
        more = {**DOCUMENT, "entities": [*ROWS[:4], {"id": "light.new", "state": "on"}]}
        found = await bench.call("home.load", {"inventory": more})
        assert found["added"] == ["light.new"]
        assert found["removed"] == [row["id"] for row in ROWS[4:]]
        states = {row["id"]: row["state"] for row in (await bench.call("home.get"))["entities"]}
        assert (states["light.a"], states["timer.eggs"]) == ("on", "active")
        back = await bench.call("home.load", {"undo": True})
        assert back["removed"] == ["light.new"]
        assert (await bench.call("home.load", {"undo": True}))["added"] == ["light.new"]
        fresh = await bench.call("home.load", {"inventory": DOCUMENT, "fresh": True})
        assert "light.a" in fresh["changed"]


async def test_an_inventory_comes_as_a_file_too(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        file = bench.artifacts.add(b"entities:\n - {id: light.a, state: off}\n")
        assert (await bench.call("home.load", {"file": file}))["added"] == ["light.a"]
        for wrong in (b"\xff\xfe", b"entities: 3"):
            with pytest.raises(InvalidInput):
                await bench.call("home.load", {"file": bench.artifacts.add(wrong)})
        with pytest.raises(InvalidInput):
            await bench.call("home.load", {"file": file, "undo": True})
        with pytest.raises(InvalidInput):
            await bench.call("home.load", {"inventory": {"entities": [{"id": "x"}]}})
        assert [row["id"] for row in (await bench.call("home.get"))["entities"]] == ["light.a"]


async def test_an_unknown_entity_is_named(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        with pytest.raises(InvalidInput, match=r"light\.x"):
            await bench.call("home.get", {"entities": ["light.x"]})
        with pytest.raises(InvalidInput, match=r"light\.x"):
            await bench.call("home.control", {"service": "light.turn_on", "entities": ["light.x"]})
        with pytest.raises(InvalidInput, match="before this one"):
            await bench.call("home.load", {"undo": True})


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from kindmesh.capabilities.home.home_store import HomeStore
from kindmesh.capabilities.home.inventory import home_from_document
from kindmesh.capabilities.home.provider import SimulatedHome

async def main():
    home = SimulatedHome(HomeStore.open(Path(sys.argv[1])), lambda: 1_700_000_000_000, lambda happened: None)
    rows = [{"id": f"light.l{n}", "state": "off"} for n in range(50)]
    await home.load(home_from_document({"entities": rows}), fresh=False)
    await home.call("light.turn_on", ["light.l1"], {})
    home._store.write(home.home, home.home.with_entities(), (), "never", 1)
    with home._store.store.atomic():
        home._store.store.execute("DELETE FROM entity")
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_kill_in_the_middle_of_a_write_leaves_what_was_acknowledged(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, tmp_path], capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr.decode()
    store = HomeStore.open(tmp_path)
    states = [one.state for one in store.home().entities.values()]
    assert (len(states), states.count("on")) == (50, 1)
    assert [row["entity"] for row in store.history("", 0, 9)] == ["light.l1"]
    store.store.close()


@asynccontextmanager
async def running(folder: Path, clock: list[int], told: list[Happened]) -> AsyncIterator[SimulatedHome]:
    store = HomeStore.open(folder)
    home = SimulatedHome(store, lambda: clock[0], told.append)
    task = asyncio.create_task(home.run())
    try:
        yield home
    finally:
        task.cancel()
        await asyncio.wait([task])
        store.store.close()


async def test_a_timer_that_ran_out_while_the_device_was_off_is_told_when_it_is_back(tmp_path: Path) -> None:
    clock, told = [NOW], list[Happened]()
    async with running(tmp_path, clock, told) as home:
        await home.load(home_from_document(DOCUMENT), fresh=False)
        await home.call("timer.start", ["timer.tea"], {})
    clock[0] += 200_000
    heard = asyncio.Event()
    store = HomeStore.open(tmp_path)

    def watch(happened: Happened) -> None:
        told.append(happened)
        heard.set()

    again = SimulatedHome(store, lambda: clock[0], watch)
    task = asyncio.create_task(again.run())
    await asyncio.wait_for(heard.wait(), 20)
    task.cancel()
    await asyncio.wait([task])
    store.store.close()
    assert again.home.entities["timer.tea"].state == "idle"
    (topic, values), (changed, _) = events_of(told[-1])
    assert (topic, changed) == ("perception.home.timer_finished", "perception.home.changed")
    assert values == {"entity": "timer.tea", "name": "Tea", "duration": "0:03:00", "late_ms": 20_000}


def test_time_ends_timers_brings_machines_home_and_turns_the_pages_of_calendars() -> None:
    event = {"summary": "Doctor", "start": "2023-11-14T23:00:00+00:00", "end": "2023-11-15T00:00:00+00:00"}
    home = home_from_document(
        {
            "entities": [
                {"id": "timer.a", "state": "idle"},
                {"id": "vacuum.a", "state": "cleaning"},
                {"id": "calendar.a", "state": "off", "attributes": {"events": [event]}},
            ]
        }
    )
    home, _ = apply(home, "timer.start", ["timer.a"], {"duration": "60"}, NOW)
    home, _ = apply(home, "vacuum.return_to_base", ["vacuum.a"], {}, NOW)
    assert advance(home, NOW + 59_999).finished == ()
    assert next_ms(home, NOW) == NOW + 60_000
    seen: list[tuple[int, list[str], tuple[str, ...]]] = []
    now = NOW
    while (due := next_ms(home, now)) is not None and len(seen) < 10:
        now = due
        home, finished = advance(home, now)
        seen.append((now - NOW, [one.state for one in home.entities.values()], finished))
    assert seen == [
        (60_000, ["idle", "returning", "off"], ("timer.a",)),
        (120_000, ["idle", "docked", "off"], ()),
        (2_800_000, ["idle", "docked", "on"], ()),
        (6_400_000, ["idle", "docked", "off"], ()),
    ]
    assert advance(home, now).home is home


def test_only_a_sensor_that_was_heard_of_long_ago_is_stale() -> None:
    hour = 3_600_000
    assert not stale(Entity("sensor.a", "A"), NOW)
    assert not stale(Entity("sensor.a", "A", changed_ms=NOW - hour), NOW)
    assert stale(Entity("sensor.a", "A", changed_ms=NOW - 7 * hour), NOW)
    assert not stale(Entity("light.a", "A", changed_ms=NOW - 99 * hour), NOW)
    assert stale(Entity("sensor.a", "A", attributes={"stale_after_s": 60}, changed_ms=NOW - hour), NOW)


def test_merging_keeps_what_is_unless_the_file_says_otherwise() -> None:
    old = home_from_document(
        {"entities": [{"id": "light.a", "state": "off"}, {"id": "light.b", "state": "off"}]}
    )
    live, _ = apply(old, "light.turn_on", ["light.a", "light.b"], {}, NOW)
    new = home_from_document(
        {
            "entities": [
                {"id": "light.a", "name": "Other", "state": "off"},
                {"id": "light.b", "state": "unavailable"},
            ]
        }
    )
    after = merged(live, old, new, NOW)
    assert [(one.name, one.state) for one in after.entities.values()] == [
        ("Other", "on"),
        ("B", "unavailable"),
    ]
    assert difference(after, after).nothing


def test_history_is_bounded_by_count_and_by_age(tmp_path: Path) -> None:
    store = HomeStore.open(tmp_path)
    change = Change("light.a", "state", "off", "on")
    store.write(Home(), Home(), [change], "old", NOW - 40 * 86_400_000)
    store.write(Home(), Home(), [change] * (HISTORY_MAX + 5), "many", NOW)
    rows = store.history("light.a", 0, HISTORY_MAX * 2)
    assert (len(rows), {row["why"] for row in rows}) == (HISTORY_MAX, {"many"})
    store.store.close()


def test_the_topics_are_as_topics_are_declared() -> None:
    changed, finished = declared_topics(MANIFEST)
    assert declare(changed, finished) == MANIFEST.ext
    assert (changed.durable, finished.durable) == (False, True)


async def test_a_home_that_cannot_be_read_is_told_and_nothing_is_overwritten(tmp_path: Path) -> None:
    store = HomeStore.open(tmp_path)
    store.store.execute("INSERT INTO entity (id, row) VALUES ('light.a', '{')")
    with pytest.raises(StoreDamaged):
        SimulatedHome(store, lambda: NOW, lambda happened: None)
    store.store.close()
    assert Services(tmp_path).tell is None


async def test_giving_up_on_a_call_does_not_make_memory_and_disk_differ(tmp_path: Path) -> None:
    clock, told = [NOW], list[Happened]()
    async with running(tmp_path, clock, told) as home:
        await home.load(home_from_document(DOCUMENT), fresh=False)
        call = asyncio.create_task(home.call("light.turn_on", ["light.a"], {}))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        in_memory = home.home.entities["light.a"].state
    store = HomeStore.open(tmp_path)
    assert store.home().entities["light.a"].state == in_memory
    assert len(told) == (in_memory == "on")
    store.store.close()


# --------------------------------------------------------------------------------------------- what sensors tell

SENSORS: list[dict[str, Any]] = [
    {"id": "sensor.garden", "name": "Garden", "state": "18", "attributes": {"unit_of_measurement": "°C"}},
    {"id": "binary_sensor.door", "name": "Door", "state": "off"},
    {"id": "light.a", "name": "Lamp", "state": "off"},
]


async def test_what_sensors_tell_is_on_disk_in_the_history_and_told_to_the_mesh(
    open_bench: OpenBench, tmp_path: Path
) -> None:
    told = [
        {"entity": "sensor.garden", "state": 21.5, "attributes": {"battery": 80}},
        {"entity": "binary_sensor.door", "state": True},
    ]
    async with open_bench() as bench:
        await bench.call("home.load", {"inventory": {"entities": SENSORS}})
        answer = await bench.call("home.tell", {"states": told})
        assert [(one["entity"], one["attribute"], one["after"]) for one in answer["changes"]] == [
            ("sensor.garden", "state", "21.5"), ("sensor.garden", "battery", 80), ("binary_sensor.door", "state", "on"),
        ]  # fmt: skip
        past = (await bench.call("home.history", {"entity": "binary_sensor.door"}))["changes"]
        assert [(one["before"], one["after"], one["why"]) for one in past] == [("off", "on", "told")]
    async with open_bench() as bench:
        (garden,) = (await bench.call("home.get", {"entities": ["sensor.garden"]}))["entities"]
        assert (garden["state"], garden["attributes"]) == (
            "21.5",
            {"unit_of_measurement": "°C", "battery": 80},
        )


def test_being_heard_of_makes_a_sensor_fresh_also_when_it_says_the_same() -> None:
    home = home_from_document({"entities": SENSORS})
    hour = 3_600_000
    old = tell(home, [{"entity": "sensor.garden", "state": "18", "attributes": {STALE_AFTER: 60}}], NOW)
    assert stale(old.entities["sensor.garden"], NOW + hour)
    again = tell(old, [{"entity": "sensor.garden", "state": "18"}], NOW + hour)
    assert differences(old, again) == ()
    assert not stale(again.entities["sensor.garden"], NOW + hour)
    gone = tell(old, [{"entity": "sensor.garden", "state": "unavailable"}], NOW)
    assert gone.entities["sensor.garden"].state == "unavailable"


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"entity": "light.a", "state": "on"}, "states[1].entity", "as its services leave it"),
        ({"entity": "sensor.gardn", "state": "1"}, "states[1].entity", "there is no"),
        ({"entity": 5, "state": "1"}, "states[1].entity", "there is no"),
        ({"entity": "binary_sensor.door", "state": "off"}, "states[1].entity", "told of twice"),
        ({"entity": "sensor.garden"}, "states[1]", "entity, state"),
        ({"entity": "sensor.garden", "state": "1", "unit": "C"}, "states[1]", "entity, state"),
        ("sensor.garden", "states[1]", "entity, state"),
        ({"entity": "sensor.garden", "state": []}, "states[1].state", ""),
        ({"entity": "sensor.garden", "state": "x" * 300}, "states[1].state", "longer"),
        ({"entity": "sensor.garden", "state": "1", "attributes": [1]}, "states[1].attributes", "named values"),
        ({"entity": "sensor.garden", "state": "1", "attributes": {"a": float("nan")}}, "states[1].attributes.a", ""),
    ],
)  # fmt: skip
async def test_what_cannot_be_told_is_refused_by_its_place_and_nothing_is_taken_over(
    open_bench: OpenBench, row: Any, field: str, says: str
) -> None:
    home = home_from_document({"entities": SENSORS})
    with pytest.raises(InvalidInput) as error:
        tell(home, [{"entity": "binary_sensor.door", "state": "on"}, row], NOW)
    assert (error.value.field, says in error.value.message) == (field, True)
    async with open_bench() as bench:
        await bench.call("home.load", {"inventory": {"entities": SENSORS}})
        with pytest.raises(InvalidInput):
            await bench.call("home.tell", {"states": [{"entity": "binary_sensor.door", "state": "on"}, row]})
        (door,) = (await bench.call("home.get", {"entities": ["binary_sensor.door"]}))["entities"]
        assert door["state"] == "off"


@pytest.mark.parametrize("told", [[], [{"entity": "sensor.garden", "state": "1"}] * (TOLD_MAX + 1)])
def test_one_call_tells_of_something_and_not_of_everything(told: list[Any]) -> None:
    with pytest.raises(InvalidInput) as error:
        tell(home_from_document({"entities": SENSORS}), told, NOW)
    assert error.value.field == "states"
