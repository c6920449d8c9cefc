"""The pure modules import no IO, no clock and no randomness: protocol, and every machine by its file name.

import-linter checks the same for the modules listed in pyproject.toml; this finds them by name, so that a new machine
cannot be forgotten there.
"""

from __future__ import annotations

import ast
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator")
TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACTS = {contract["id"]: contract for contract in TOOL["importlinter"]["contracts"]}
BANNED = set(CONTRACTS["pure-protocol"]["forbidden_modules"])


def pure_files() -> list[str]:
    every = (
        path.relative_to(ROOT).as_posix() for portion in PORTIONS for path in (ROOT / portion).rglob("*.py")
    )
    return sorted(
        name
        for name in every
        if any(fnmatch(name, pattern) for pattern in TOOL["kindmesh"]["coverage"]["complete"])
    )


def module_of(name: str) -> str:
    return name.split("/", 1)[1].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("name", pure_files())
def test_a_pure_module_imports_no_io_clock_or_randomness(name: str) -> None:
    assert imported(ast.parse((ROOT / name).read_text())) & BANNED == set()


def test_every_machine_is_in_the_contract() -> None:
    machines = {module_of(name) for name in pure_files() if not name.startswith("protocol/")}
    assert machines - set(CONTRACTS["pure-machines"]["source_modules"]) == set()
    assert set(CONTRACTS["pure-machines"]["forbidden_modules"]) == BANNED
