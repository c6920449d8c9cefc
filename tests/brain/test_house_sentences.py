"""Sentences that people say, in the household of these tests, each with what has to change, written down first.

A row has `changes` (entity -> attribute -> value; null: only that it changed), or `answer`, or `asks`, or `nothing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.services import apply, differences
from kindmesh.coordinator.brain.cortex.intents import HomeIntents, answer
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Situation, words_of

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "house_sentences.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
READER = HomeIntents()
SLACK = 0.011


def outcome(row: Mapping[str, Any]) -> tuple[Recognised | None, Home, Home]:
    """What a sentence means, and the home before and after."""
    before = household()
    text = row["text"]
    situation = Situation(before, NOW_MS, area=row.get("area", ""))
    found = READER.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)
    after = before
    for act in found.acts if found is not None and not found.question else ():
        after, _ = apply(after, act.args["service"], act.args["entities"], act.args["data"], NOW_MS)
    return found, before, after


def value(home: Home, entity: str, attribute: str) -> Any:
    one = home.entities[entity]
    return one.state if attribute == "state" else one.attributes.get(attribute)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_a_sentence_does_what_it_says_and_nothing_else(row: Mapping[str, Any]) -> None:
    found, before, after = outcome(row)
    changed = {change.entity for change in differences(before, after)}
    assert changed == set(row.get("changes", {}))
    if "answer" in row:
        assert found is not None
        assert answer(found.reply, found, after, NOW_MS) == row["answer"]
    if "asks" in row:
        assert found is not None
        assert found.question
    for entity, attributes in row.get("changes", {}).items():
        for attribute, wanted in attributes.items():
            there = value(after, entity, attribute)
            if wanted is None:
                assert there != value(before, entity, attribute)
            elif isinstance(wanted, float):
                assert there == pytest.approx(wanted, abs=SLACK)
            else:
                assert there == wanted
