"""Whole utterances through the whole pipeline, in the household of these tests, each with what has to change.

A row has `changes` (entity -> attribute -> value; null: only that it changed), or `answer` (words that it has), or
neither: then nothing may change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.brain.household import NOW_MS, household

from kindmesh.capabilities.home.services import apply, differences
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "whole_sentences.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
CORTEX = Cortex("en")
OPERATIONS = frozenset({"home.control", "home.access", "home.note", "home.get"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_an_utterance_does_what_it_says_and_nothing_else(row: Mapping[str, Any]) -> None:
    before = after = household()
    situation = Situation(before, NOW_MS, area=row.get("area", ""), operations=OPERATIONS)
    found = CORTEX.understand(row["text"], situation)
    acts = [act for part in found.recognised for act in part.acts] if found.plan is not None else []
    for act in acts:
        after, _ = apply(after, act.args["service"], act.args["entities"], act.args["data"], NOW_MS)
    assert {one.entity for one in differences(before, after)} == set(row.get("changes", {})), found.reply
    for entity, attributes in row.get("changes", {}).items():
        one = after.entities[entity]
        for attribute, wanted in attributes.items():
            there = one.state if attribute == "state" else one.attributes.get(attribute)
            assert wanted is None or there == wanted
    for said in row.get("answer", ()):
        assert said in CORTEX.answer(found, after, NOW_MS)
