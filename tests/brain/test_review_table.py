"""The table of rules in the docs is the one in the code."""

from __future__ import annotations

from pathlib import Path

from kindmesh.coordinator.brain.medulla.review_table import TABLE

ROOT = Path(__file__).resolve().parents[2]


def test_the_docs_have_every_rule_as_the_code_has_it() -> None:
    text = (ROOT / "docs" / "explanation" / "medulla.md").read_text()
    for name, words in TABLE.items():
        assert f"| `{name}` | {words.about} | {words.remedy} |" in text
    assert sum(line.startswith("| `") for line in text.splitlines()) == len(TABLE)
