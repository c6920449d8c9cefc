"""The threat model and the tests say the same: what it names exists, and no attack is tried that it does not list."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = (ROOT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", MODEL))


def cases_of(path: Path) -> set[str]:
    """Names of the test functions of a file, those of classes too."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
    # A state machine is a test by an assignment: `TestThing = Thing.TestCase`.
    assigned = [node.targets[0] for node in tree.body if isinstance(node, ast.Assign)]
    found |= {name.id for name in assigned if isinstance(name, ast.Name)}
    return {name for name in found if name.startswith(("test_", "Test"))}


def test_every_test_that_the_threat_model_names_exists() -> None:
    missing = [f"{file}::{name}" for file, name in sorted(NAMED) if name not in cases_of(ROOT / file)]
    assert missing == []


def test_every_attack_that_is_tried_is_in_the_threat_model() -> None:
    tried = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sorted((ROOT / "tests" / "security").glob("test_*.py"))
        if path != Path(__file__).resolve()
        for name in cases_of(path)
    }
    assert len(tried) > 60
    assert sorted(tried - NAMED) == []
