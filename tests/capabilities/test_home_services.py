"""Services: what Home Assistant would do; changes are exactly the differences; nothing is lost, nothing half-done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.capabilities.home.inventory import home_from_document
from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.services import SERVICES, apply, differences, service_domain
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Field

NOW = 1_700_000_000_000


def home_of(*entities: dict[str, Any]) -> Home:
    return home_from_document({"entities": list(entities)})


def do(entity: dict[str, Any], service: str, **data: Any) -> dict[str, Any]:
    """The changes of one call to one entity: attribute -> after."""
    home = home_of(entity)
    after, changes = apply(home, service, [entity["id"]], data, NOW)
    assert changes == differences(home, after)
    return {one.attribute: one.after for one in changes}


COLOUR = {"id": "light.a", "state": "off", "attributes": {"supported_color_modes": ["hs", "color_temp"]}}
COVER = {"id": "cover.a", "state": "open", "attributes": {"current_position": 100}}
FAN = {"id": "fan.a", "state": "on", "attributes": {"percentage": 50, "percentage_step": 25}}
HEAT = {
    "id": "climate.a",
    "state": "heat",
    "attributes": {
        "temperature": 20,
        "current_temperature": 19,
        "min_temp": 7,
        "max_temp": 30,
        "hvac_modes": ["off", "heat"],
    },
}
PLAYER = {
    "id": "media_player.a",
    "state": "playing",
    "attributes": {"volume_level": 0.95, "media_title": "Song"},
}
LIST = {
    "id": "todo.a",
    "attributes": {"items": ["Milk", {"summary": "Eggs", "uid": "e", "status": "completed"}]},
}


@pytest.mark.parametrize(
    ("entity", "service", "data", "changed"),
    [
        ({"id": "light.a", "state": "off"}, "light.turn_on", {}, {"state": "on"}),
        (
            {"id": "light.a", "state": "off"},
            "light.turn_on",
            {"brightness_pct": 50},
            {"state": "on", "brightness": 128},
        ),
        (
            {"id": "light.a", "state": "on", "attributes": {"brightness": 100}},
            "light.turn_on",
            {"brightness_step_pct": -20},
            {"brightness": 49},
        ),
        (
            {"id": "light.a", "state": "on", "attributes": {"brightness": 100}},
            "light.turn_off",
            {},
            {"state": "off", "brightness": None},
        ),
        (
            {"id": "light.a", "state": "on", "attributes": {"brightness": 9}},
            "light.turn_on",
            {"brightness": 0},
            {"state": "off", "brightness": None},
        ),
        (
            COLOUR,
            "light.turn_on",
            {"color_temp_kelvin": 9_000},
            {"state": "on", "brightness": 255, "color_temp_kelvin": 6_535, "color_mode": "color_temp"},
        ),
        (
            COLOUR,
            "light.turn_on",
            {"color_name": "Red"},
            {
                "state": "on",
                "brightness": 255,
                "rgb_color": [255, 0, 0],
                "hs_color": [0.0, 100.0],
                "color_mode": "hs",
            },
        ),
        (COVER, "cover.set_cover_position", {"position": 30}, {"current_position": 30}),
        (COVER, "cover.close_cover", {}, {"state": "closed", "current_position": 0}),
        (COVER, "homeassistant.turn_off", {}, {"state": "closed", "current_position": 0}),
        ({"id": "cover.a", "state": "closed"}, "cover.toggle", {}, {"state": "open"}),
        (FAN, "fan.set_percentage", {"percentage": 60}, {"percentage": 75}),
        (FAN, "fan.decrease_speed", {}, {"percentage": 25}),
        (FAN, "fan.set_percentage", {"percentage": 0}, {"percentage": 0, "state": "off"}),
        (FAN, "fan.oscillate", {"oscillating": "true"}, {"oscillating": True}),
        (HEAT, "climate.set_temperature", {"temperature": "21.5"}, {"temperature": 21.5}),
        (HEAT, "climate.turn_off", {}, {"state": "off"}),
        ({"id": "lock.a", "state": "locked"}, "lock.unlock", {}, {"state": "unlocked"}),
        (PLAYER, "media_player.volume_up", {}, {"volume_level": 1}),
        (PLAYER, "media_player.media_pause", {}, {"state": "paused"}),
        (PLAYER, "media_player.turn_off", {}, {"state": "off", "media_title": None}),
        (PLAYER, "media_player.media_next_track", {}, {"media_track": 2}),
        ({"id": "vacuum.a", "state": "docked"}, "vacuum.start", {}, {"state": "cleaning"}),
        ({"id": "vacuum.a", "state": "docked"}, "vacuum.return_to_base", {}, {}),
        ({"id": "lawn_mower.a", "state": "mowing"}, "lawn_mower.dock", {}, {"state": "returning"}),
        ({"id": "valve.a", "state": "open"}, "valve.close_valve", {}, {"state": "closed"}),
        (
            {"id": "humidifier.a", "state": "on"},
            "humidifier.set_humidity",
            {"humidity": 45},
            {"humidity": 45},
        ),
        (
            {"id": "select.a", "state": "b", "attributes": {"options": ["a", "b"]}},
            "select.select_next",
            {},
            {"state": "a"},
        ),
        (
            {"id": "input_number.a", "state": "9", "attributes": {"max": 10, "step": 2}},
            "input_number.increment",
            {},
            {"state": "10"},
        ),
        ({"id": "button.a"}, "button.press", {}, {"state": "2023-11-14T22:13:20+00:00"}),
        (
            {"id": "alarm_control_panel.a", "state": "disarmed"},
            "alarm_control_panel.alarm_arm_night",
            {},
            {"state": "armed_night"},
        ),
        (
            {"id": "list.a", "state": "0"},
            "todo.add_item",
            {"item": " Tea "},
            {"state": "1", "items": [{"uid": "1", "summary": "Tea", "status": "needs_action"}]},
        ),
        (
            LIST,
            "todo.update_item",
            {"item": "milk", "status": "completed"},
            {
                "state": "0",
                "items": [
                    {"uid": "1", "summary": "Milk", "status": "completed"},
                    {"uid": "e", "summary": "Eggs", "status": "completed"},
                ],
            },
        ),
        (
            LIST,
            "todo.remove_item",
            {"item": "e"},
            {"state": "1", "items": [{"uid": "1", "summary": "Milk", "status": "needs_action"}]},
        ),
        (
            {"id": "timer.a", "state": "idle", "attributes": {"duration": "0:05:00"}},
            "timer.start",
            {},
            {"state": "active", "remaining": "0:05:00", "finishes_at": "2023-11-14T22:18:20+00:00"},
        ),
        (
            {
                "id": "timer.a",
                "state": "paused",
                "attributes": {"duration": "0:05:00", "remaining": "0:01:00"},
            },
            "timer.change",
            {"duration": "-0:00:30"},
            {"remaining": "0:00:30"},
        ),
        (
            {
                "id": "timer.a",
                "state": "active",
                "attributes": {"duration": "0:05:00", "finishes_at": "2023-11-14T22:14:20+00:00"},
            },
            "timer.pause",
            {},
            {"state": "paused", "remaining": "0:01:00", "finishes_at": None},
        ),
        (
            {"id": "calendar.a", "state": "off"},
            "calendar.create_event",
            {
                "summary": "Dentist",
                "start_date_time": "2023-11-14T22:00:00+00:00",
                "end_date_time": "2023-11-14T23:00:00+00:00",
            },
            {
                "state": "on",
                "message": "Dentist",
                "start_time": "2023-11-14T22:00:00+00:00",
                "end_time": "2023-11-14T23:00:00+00:00",
                "events": [
                    {
                        "uid": "1",
                        "summary": "Dentist",
                        "start": "2023-11-14T22:00:00+00:00",
                        "end": "2023-11-14T23:00:00+00:00",
                    }
                ],
            },
        ),
    ],
)
def test_a_service_does_what_it_does_in_home_assistant(
    entity: dict[str, Any], service: str, data: dict[str, Any], changed: dict[str, Any]
) -> None:
    assert do(entity, service, **data) == changed


@pytest.mark.parametrize(
    ("entity", "service", "data", "field"),
    [
        ({"id": "light.a"}, "light.turn_onn", {}, "service"),
        ({"id": "light.a"}, "switch.turn_on", {}, "service"),
        ({"id": "sensor.a"}, "homeassistant.turn_on", {}, "entities"),
        ({"id": "light.a"}, "light.turn_on", {"brightness": 300}, "data.brightness"),
        ({"id": "light.a"}, "light.turn_on", {"color_name": "octarine"}, "data.color_name"),
        ({"id": "light.a"}, "light.turn_on", {"power": 3}, "data.power"),
        (
            {"id": "light.a", "attributes": {"supported_color_modes": ["onoff"]}},
            "light.turn_on",
            {"brightness": 3},
            "entities",
        ),
        (
            {"id": "cover.a", "attributes": {"supported_features": 3}},
            "cover.set_cover_position",
            {"position": 3},
            "service",
        ),
        (HEAT, "climate.set_temperature", {"temperature": 40}, "data.temperature"),
        (HEAT, "climate.set_temperature", {}, "data.temperature"),
        (HEAT, "climate.set_hvac_mode", {"hvac_mode": "cool"}, "data.hvac_mode"),
        (LIST, "todo.remove_item", {"item": ["Bread"]}, "data.item"),
        ({"id": "timer.a"}, "timer.start", {}, "data.duration"),
        ({"id": "timer.a", "state": "idle"}, "timer.change", {"duration": "60"}, "entities"),
        ({"id": "timer.a"}, "timer.start", {"duration": "05:00"}, "data.duration"),
        ({"id": "lock.a", "attributes": {"code_format": "number"}}, "lock.unlock", {}, "data.code"),
        ({"id": "calendar.a"}, "calendar.create_event", {"summary": "x"}, "data.start_date_time"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_field_and_a_hint(
    entity: dict[str, Any], service: str, data: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        do(entity, service, **data)
    assert refused.value.field == field


def test_one_wrong_name_changes_nothing_and_names_the_near_one() -> None:
    home = home_of({"id": "light.kitchen", "state": "off"})
    with pytest.raises(InvalidInput) as refused:
        apply(home, "light.turn_on", ["light.kitchen", "light.kitchn"], {}, NOW)
    assert refused.value.hint == "Did you mean light.kitchen?"


def test_an_unavailable_entity_is_left_as_it_is() -> None:
    home = home_of({"id": "light.a", "state": "unavailable"}, {"id": "light.b", "state": "off"})
    after, changes = apply(home, "light.turn_on", ["light.a", "light.b"], {}, NOW)
    assert after.entities["light.a"].state == "unavailable"
    assert [one.entity for one in changes] == ["light.b"]
    assert after.entities["light.b"].changed_ms == NOW


def test_a_plain_lamp_among_dimmable_ones_is_switched_on() -> None:
    plain = {"id": "light.plain", "state": "off", "attributes": {"supported_color_modes": ["onoff"]}}
    home = home_of(plain, {"id": "light.dims", "state": "off"})
    _, changes = apply(home, "light.turn_on", ["light.plain", "light.dims"], {"brightness_pct": 10}, NOW)
    assert [(one.entity, one.attribute) for one in changes] == [
        ("light.plain", "state"),
        ("light.dims", "state"),
        ("light.dims", "brightness"),
    ]


def test_a_scene_sets_what_it_says_and_a_script_makes_its_calls() -> None:
    home = home_of(
        {"id": "light.a", "state": "on"},
        {"id": "fan.a", "state": "off"},
        {
            "id": "scene.night",
            "attributes": {"entities": {"light.a": "off", "fan.a": {"state": "on", "percentage": 20}}},
        },
        {
            "id": "script.bed",
            "state": "off",
            "attributes": {"sequence": [{"action": "scene.turn_on", "target": {"entity_id": "scene.night"}}]},
        },
    )
    after, changes = apply(home, "script.turn_on", ["script.bed"], {}, NOW)
    assert (after.entities["light.a"].state, after.entities["fan.a"].attributes) == (
        "off",
        {"percentage": 20},
    )
    assert {one.entity for one in changes} == {"light.a", "fan.a", "scene.night", "script.bed"}


def test_scripts_that_call_each_other_end() -> None:
    steps = [{"service": "script.turn_on", "target": {"entity_id": "script.a"}}]
    home = home_of({"id": "script.a", "attributes": {"sequence": steps}})
    with pytest.raises(InvalidInput, match="too deep"):
        apply(home, "script.turn_on", ["script.a"], {}, NOW)


def test_a_timer_that_is_not_there_is_made() -> None:
    after, changes = apply(Home(), "timer.start", ["timer.tea"], {"duration": 180, "name": "Tea"}, NOW)
    assert after.entities["timer.tea"].name == "Tea"
    assert (changes[0].before, changes[0].after) == (None, "active")
    with pytest.raises(InvalidInput):
        apply(Home(), "timer.start", ["timer.Tea !"], {"duration": 180}, NOW)


def _value(field: Field) -> st.SearchStrategy[Any]:
    if field.choices:
        return st.sampled_from(field.choices)
    if field.name.endswith("duration"):
        return st.integers(-10, 600).map(str) | st.just("0:01:00")
    if field.name.startswith(("start", "end")):
        return st.sampled_from(["2023-11-14T22:00:00+00:00", "2023-11-15T08:00:00", "2023-11-15"])
    if field.type == "text":
        return st.sampled_from(["a", "b", "milk", "red", "eco"])
    if field.type == "boolean":
        return st.booleans()
    if field.type == "list":
        size = int(field.minimum or 1)
        inner = st.sampled_from(["a", "milk"]) if field.items == "text" else st.integers(0, 255)
        return st.lists(inner, min_size=size, max_size=size)
    low, high = int(field.minimum or 0), int(field.maximum or 0)
    return st.integers(max(low, -300), max(low, min(high, 300)))


@st.composite
def calls(draw: st.DrawFn) -> tuple[Home, str, list[str], dict[str, Any]]:
    """A home of a few entities of one domain with attributes of all sorts, and a call of one of its services."""
    name = draw(st.sampled_from(sorted(SERVICES)))
    domain = service_domain(name)
    attributes = st.fixed_dictionaries(
        {},
        optional={
            "brightness": st.none() | st.integers(0, 255),
            "supported_color_modes": st.sampled_from([["onoff"], ["hs"], ["color_temp", "rgb"], []]),
            "color_temp_kelvin": st.none() | st.integers(2_000, 6_000),
            "current_position": st.integers(0, 100),
            "percentage": st.integers(0, 100),
            "percentage_step": st.sampled_from([10, 33.33, 0]),
            "temperature": st.integers(5, 30),
            "hvac_action": st.just("idle"),
            "current_temperature": st.integers(5, 30),
            "hvac_modes": st.just(["off", "heat", "heat_cool"]),
            "volume_level": st.floats(0, 1),
            "options": st.just(["a", "b"]),
            "preset_modes": st.just(["eco", "b"]),
            "supported_features": st.integers(0, 1 << 16),
            "items": st.just(["milk", {"summary": "a", "status": "completed"}]),
            "duration": st.sampled_from(["0:05:00", 60, "soon"]),
            "remaining": st.just("0:00:30"),
            "entities": st.just({f"{domain}.x1": {"state": "on", "brightness": 3}}),
            "events": st.just([{"summary": "milk", "start": "2023-11-14", "end": "2023-11-15"}]),
        },
    )
    states = st.sampled_from(
        [
            "on",
            "off",
            "open",
            "closed",
            "playing",
            "paused",
            "active",
            "idle",
            "unavailable",
            "heat",
            "a",
            "7",
        ]
    )
    rows: list[dict[str, Any]] = [
        {"id": f"{domain}.x{n}", "state": draw(states), "attributes": draw(attributes)}
        for n in range(draw(st.integers(1, 3)))
    ]
    fields = [one for one in SERVICES[name].fields if one.required or draw(st.booleans())]
    data = {one.name: draw(_value(one)) for one in fields}
    return home_of(*rows), name, [row["id"] for row in rows], data


@settings(max_examples=600, deadline=None)
@given(calls())
def test_nothing_is_lost_changes_are_the_difference_and_idempotent_means_it(
    call: tuple[Home, str, list[str], dict[str, Any]],
) -> None:
    home, service, names, data = call
    try:
        after, changes = apply(home, service, names, data, NOW)
    except InvalidInput:
        return
    assert list(after.entities) == list(home.entities)
    rebuilt = {one.id: (one.state, dict(one.attributes)) for one in home.entities.values()}
    for change in changes:
        state, attributes = rebuilt[change.entity]
        assert change.before != change.after or type(change.before) is not type(change.after)
        if change.attribute == "state":
            assert change.before == state
            rebuilt[change.entity] = (change.after, attributes)
        else:
            assert change.before == attributes.get(change.attribute)
            attributes[change.attribute] = change.after
    for one in after.entities.values():
        state, attributes = rebuilt[one.id]
        assert one.state == state
        assert all(one.attributes.get(key) == value for key, value in attributes.items())
        assert (one.changed_ms == NOW) == (one != home.entities[one.id])
    rows = [
        {"id": one.id, "state": one.state, "attributes": one.attributes} for one in after.entities.values()
    ]
    assert list(home_of(*rows).entities) == list(after.entities)
    if SERVICES[service].idempotent:
        again, more = apply(after, service, names, data, NOW + 60_000)
        assert more == ()
        assert again == after
