"""Names of the home's things are ready from one permit to the next, anew once somebody offers something else, and
bounded."""

from __future__ import annotations

import msgspec

from kindmesh.coordinator.brain.medulla.offers import NAMES_KEPT, Offers, ReadyNames


def device(number: int) -> bytes:
    return bytes([number]) * 20


OFFERED = {
    device(number): Offers((1, 1), {}, names={f"light.l{number}": (f"lamp {number}",)})
    for number in range(NAMES_KEPT + 1)
}


def test_a_device_knows_its_own_things_by_their_ids_and_those_of_others_by_none_that_it_could_be_given() -> (
    None
):
    names = ReadyNames().of(device(1), OFFERED)
    assert names["light.l1"] == ("lamp 1",)
    assert "light.l2" not in names
    assert names[f"light.l2@{device(2).hex()}"] == ("lamp 2",)


def test_names_are_ready_until_somebody_offers_something_else() -> None:
    ready = ReadyNames()
    made = ready.of(device(1), OFFERED)
    assert ready.of(device(1), dict(OFFERED)) is made
    changed = msgspec.structs.replace(OFFERED[device(2)], names={"light.l2": ("new lamp",)})
    assert ready.of(device(1), {**OFFERED, device(2): changed}) is not made


def test_the_names_of_the_devices_that_were_asked_for_last_are_kept() -> None:
    ready = ReadyNames()
    first = ready.of(device(0), OFFERED)
    kept = [ready.of(device(number), OFFERED) for number in range(1, NAMES_KEPT + 1)]
    assert [ready.of(device(number), OFFERED) for number in range(1, NAMES_KEPT + 1)] == kept
    assert ready.of(device(1), OFFERED) is kept[0]
    assert ready.of(device(0), OFFERED) is not first
