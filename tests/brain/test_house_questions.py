"""Questions about a household, each with its answer, written down from the states in the home's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation

DATA = Path(__file__).parent / "data"
ROWS = [
    json.loads(line) for line in (DATA / "house_questions.jsonl").read_text(encoding="utf-8").splitlines()
]
HOME = home_from_text((DATA / "question_home.yaml").read_text(encoding="utf-8"))
NOW_MS = 1_795_789_000_000
"""Friday, 27 November 2026, a quarter past two in the afternoon (UTC)."""
CORTEX = Cortex()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_a_question_is_answered_from_the_states_and_does_nothing(row: Mapping[str, Any]) -> None:
    found = CORTEX.understand(row["text"], Situation(HOME, NOW_MS, area="kitchen"))
    assert found.plan is None
    assert not any(one.acts for one in found.recognised)
    if "answer" in row:
        assert found.reply == row["answer"]
    else:
        assert not found.understood
