"""Writes what is derived from the code: the public-API pin and the tables of docs/reference.

`just docs` writes; `--check` (a test runs it) names what is out of date and changes nothing. A generated page starts
with a line that says so. Everything comes from importing our own modules, so a document cannot disagree with the
program for longer than one test run.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import reference

from kindmesh.protocol.plan import plan_schema

ROOT = Path(__file__).resolve().parent.parent
PORTIONS = ("protocol", "mesh", "capabilities", "node", "coordinator")


def modules() -> Iterator[str]:
    """The dotted name of each of our modules that is meant to be imported."""
    for portion in PORTIONS:
        for path in sorted((ROOT / portion / "kindmesh").rglob("*.py")):
            parts = path.relative_to(ROOT / portion).with_suffix("").parts
            if parts[-1] != "__main__":
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public_api() -> str:
    """`__all__` of each module, as JSON; a package that only holds a docstring has none."""
    found = {}
    for name in modules():
        module = importlib.import_module(name)
        if hasattr(module, "__all__"):
            found[name] = sorted(module.__all__)
        elif not (module.__file__ or "").endswith("__init__.py"):
            raise SystemExit(f"{name} has no __all__: say what is public there")
    return json.dumps(found, indent=1) + "\n"


def generated() -> dict[str, str]:
    """File name, relative to the repository, and what should be in it."""
    pages = {
        f"docs/reference/{name}.md": reference.NOTE + page().rstrip("\n") + "\n"
        for name, page in reference.PAGES.items()
    }
    schema = json.dumps(plan_schema(), indent=1) + "\n"
    return {"tests/house/public_api.json": public_api(), "docs/reference/plan.schema.json": schema, **pages}


def main() -> int:
    """The exit code: 1 when `--check` found something out of date."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in generated().items():
        path = ROOT / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for name in stale:
        print(f"{name} is out of date: run `just docs`" if check else f"{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
