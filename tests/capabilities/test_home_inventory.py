"""The inventory file: strict about slips, lenient about what does not matter, the same after writing and reading."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.home.inventory import (
    ENTITIES_MAX,
    home_from_document,
    home_from_text,
    home_to_document,
    state_text,
)
from kindmesh.protocol.errors import InvalidInput

SMALL = """
floors:
  - {id: ground, name: Ground floor, aliases: downstairs}
areas:
  - {id: kitchen, name: Kitchen, floor: ground}
  - {id: shed}
entities:
  - {id: light.kitchen, name: Kitchen light, area: kitchen, state: off, attributes: {brightness: null}}
  - {id: sensor.kitchen_temperature, area: kitchen, state: 21.5, attributes: {unit_of_measurement: "°C"}}
  - {id: switch.kettle, state: true}
  - {id: lock.shed, aliases: [shed door, "shed door"], area: shed}
"""


def test_a_small_inventory_is_read() -> None:
    home = home_from_text(SMALL)
    assert home.floors["ground"].aliases == ("downstairs",)
    assert home.areas["shed"].name == "Shed"
    states = {one.id: one.state for one in home.entities.values()}
    assert states == {
        "light.kitchen": "off",
        "sensor.kitchen_temperature": "21.5",
        "switch.kettle": "on",
        "lock.shed": "unknown",
    }
    assert home.entities["sensor.kitchen_temperature"].name == "Kitchen temperature"
    assert home.entities["lock.shed"].aliases == ("shed door",)
    assert home.entities["light.kitchen"].attributes == {"brightness": None}


def test_what_is_written_reads_as_the_same_home() -> None:
    home = home_from_text(SMALL)
    document = home_to_document(home)
    assert home_from_document(document) == home
    assert home_from_text(msgspec.json.encode(document).decode()) == home


def test_a_list_that_a_program_names_and_uses_again_is_read() -> None:
    home = home_from_text(
        "entities:\n - {id: fan.a, attributes: {preset_modes: &modes [eco, sleep]}}\n"
        " - {id: fan.b, attributes: {preset_modes: *modes}}\n"
    )
    assert home.entities["fan.b"].attributes == {"preset_modes": ["eco", "sleep"]}


def test_a_small_file_that_stands_for_a_huge_one_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 5)]
    text = "entities:\n - id: light.a\n   attributes:\n" + "".join(f"     {row}\n" for row in rows)
    with pytest.raises(InvalidInput, match="too many values"):
        home_from_text(text)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "the inventory"),
        ({"rooms": []}, "rooms"),
        ({"entities": {}}, "entities"),
        ({"entities": [{"name": "no id"}]}, "entities[0].id"),
        ({"entities": [{"id": "Light.Kitchen"}]}, "entities[0].id"),
        ({"entities": [{"id": "light.a"}, {"id": "light.a"}]}, "entities[1].id"),
        ({"entities": [{"id": "light.a", "area": "attic"}]}, "entities[0].area"),
        ({"areas": [{"id": "attic", "floor": "top"}]}, "areas[0].floor"),
        ({"areas": [{"id": "a b"}]}, "areas[0].id"),
        ({"entities": [{"id": "light.a", "brightness": 3}]}, "entities[0].brightness"),
        ({"entities": [{"id": "light.a", "attributes": []}]}, "entities[0].attributes"),
        ({"entities": [{"id": "light.a", "attributes": {"x": float("nan")}}]}, "entities[0].attributes.x"),
        ({"entities": [{"id": "light.a", "attributes": {"x": [object()]}}]}, "entities[0].attributes.x[0]"),
        ({"entities": [{"id": "light.a", "attributes": {"x": 2**60}}]}, "entities[0].attributes.x"),
        ({"entities": [{"id": "light.a", "aliases": [3]}]}, "entities[0].aliases"),
        ({"entities": [{"id": "light.a", "aliases": {}}]}, "entities[0].aliases"),
        ({"entities": [{"id": "light.a", "state": ["on"]}]}, "entities[0].state"),
        ({"entities": [{"id": "light.a", "name": " "}]}, "entities[0].name"),
        ({"entities": [{"id": "light.a", "changed_ms": -1}]}, "entities[0].changed_ms"),
        ({"entities": [{"id": f"light.a{n}"} for n in range(ENTITIES_MAX + 1)]}, "entities"),
        (
            {"entities": [{"id": f"light.a{n}", "attributes": {"x": "y" * 4000}} for n in range(200)]},
            "entities",
        ),
    ],
)
def test_a_slip_is_refused_with_its_place(document: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        home_from_document(document)
    assert refused.value.field == field


def test_a_wrong_area_names_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidInput) as refused:
        home_from_document(
            {"areas": [{"id": "living", "name": "Lounge"}], "entities": [{"id": "light.a", "area": "lounge"}]}
        )
    assert refused.value.hint == "Did you mean living?"


def test_text_that_is_no_inventory_is_refused() -> None:
    for text in ("entities: [", "42", "entities:\n - &a [*a]\n", "\ud800"):
        with pytest.raises(InvalidInput):
            home_from_text(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "entities", "areas", "attributes", "state", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_plain_data_is_a_home_or_refused(document: Any) -> None:
    try:
        home = home_from_document(document)
    except InvalidInput:
        return
    assert home_from_document(home_to_document(home)) == home


@given(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=255)
)
def test_a_state_is_text_and_stays_the_same_when_read_again(value: Any) -> None:
    once = state_text(value)
    assert state_text(once) == once
