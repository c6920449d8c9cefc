"""What was found out about a value is kept, and never taken for another value that only compares equal."""

from __future__ import annotations

from typing import Any

import pytest

from kindmesh.coordinator.brain.medulla import review_looks, review_sources
from kindmesh.coordinator.brain.medulla.review_looks import SHORT, addresses, look
from kindmesh.coordinator.brain.medulla.review_sources import sink_of
from kindmesh.coordinator.brain.medulla.review_trace import UNKNOWN, Leaf
from kindmesh.protocol.manifest import Effect

VALUES: tuple[Any, ...] = (
    1,
    True,
    1.0,
    0,
    False,
    0.0,
    None,
    UNKNOWN,
    "1",
    "",
    [],
    {},
    "anna@example.com",
    "lock.front_door",
    "/etc/x",
)


@pytest.mark.parametrize("field", ["entities", "to", "url", "path", "area", "command", "service", "text"])
@pytest.mark.parametrize(
    "effects", [int(Effect.ACTUATE), int(Effect.SPEND), int(Effect.WRITE), int(Effect.EXECUTE)]
)
def test_kinds_of_sinks_are_those_found_anew_in_whatever_order_values_come(field: str, effects: int) -> None:
    def anew(value: Any) -> str:
        outward = review_sources.is_outward("bank.pay", None, effects)
        words = review_sources.field_words(None, Leaf(field, field, value))
        return review_sources._sink(effects, outward, words, None if value is UNKNOWN else value, "")

    for value in (*VALUES, *reversed(VALUES)):
        assert sink_of(effects, "bank.pay", None, Leaf(field, field, value)) == anew(value)


@pytest.mark.parametrize(
    "text", ["anna@example.com", "write to anna@example.com", "https://example.com", "12:30", ""]
)
def test_long_values_look_as_short_ones_do(text: str) -> None:
    long = text + " " * SHORT
    assert look(long) == look(text) == review_looks._look(text)
    assert addresses(long) == addresses(text) == review_looks._addresses(text)


def test_what_a_caller_does_with_the_addresses_changes_no_later_answer() -> None:
    addresses("anna@example.com").clear()
    assert addresses("anna@example.com") == ["anna@example.com"]
