"""How the exams ask: through the command line as a script would, or through the same public API in this process.

`by_command` runs `kindmesh ask --batch` once per home and gives its answers by id. `by_api` does the same with
the Cortex and the home's services, without the review; that is quicker for a few sentences, and tells what was
understood (`understood`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from kindmesh.capabilities.home.inventory import home_from_text
from kindmesh.capabilities.home.model import Home
from kindmesh.capabilities.home.services import apply
from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan import Plan, plan_to_document
from kindmesh.protocol.plan_values import evaluate

FOLDER = Path(__file__).parent
DATA = FOLDER / "data"
LANGUAGES = {"german_flat": "de", "german_second": "de"}
"""The language of a set of sentences, where it is not English."""
HOME_OF = {"german_second": "german_flat"}
"""The home that a set is about, where the set has another name."""
COMMAND_S = 600
NOW_MS = 1_800_000_000_000
ACTS = frozenset({"home.control", "home.access", "home.note"})
OFFERED = ACTS | {"home.get", "home.history", "home.describe"}


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def inventory(name: str) -> Path:
    """The file of one of the exam's homes."""
    return FOLDER / "homes" / f"{HOME_OF.get(name, name)}.yaml"


@lru_cache(maxsize=16)
def home(name: str) -> Home:
    """One of the exam's homes."""
    return home_from_text(inventory(name).read_text(encoding="utf-8"))


@lru_cache(maxsize=2)
def cortex(language: str) -> Cortex:
    """Made once: its grammars take a while to read."""
    return Cortex(language)


def by_api(name: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to `rows` in the home of that name, in this process, as if every plan were allowed."""
    return [_answer(name, row) for row in rows]


def _answer(name: str, row: dict[str, Any]) -> dict[str, Any]:
    loaded = home(name)
    begun = loaded.with_entities(*(
        msgspec.structs.replace(
            loaded.entities[key], state=one.get("state", loaded.entities[key].state),
            attributes={**loaded.entities[key].attributes, **one.get("attributes", {})},
        )
        for key, one in row.get("setup", {}).items()
    ))  # fmt: skip
    found = understood(name, row["text"], row.get("area", ""), NOW_MS, begun)
    out: dict[str, Any] = {"id": row["id"], "understood": found.understood, "reply": found.question or found.reply,
                           "plan": None, "verdict": None, "changes": []}  # fmt: skip
    after = begun
    if found.plan is not None:
        out |= {"plan": plan_to_document(found.plan), "verdict": "allow"}
        after, out["changes"] = _applied(begun, found.plan)
    if found.understood and not found.question:
        out["reply"] = cortex(LANGUAGES.get(name, "en")).answer(found, after, NOW_MS)
    return out


def _applied(begun: Home, plan: Plan) -> tuple[Home, list[dict[str, Any]]]:
    """What the calls that nothing delays make of a home; what it refuses is not done."""
    after, later = begun, set[str]()
    for step in plan.steps:
        if step.pause is not None or later & set(step.after):
            later.add(step.id)
        elif step.call in ACTS:
            args = {key: evaluate(value, {}, key).value for key, value in step.args.items()}
            try:
                after, _ = apply(after, args["service"], args["entities"], args["data"], NOW_MS)
            except InvalidInput:
                continue
    return after, [
        {"entity": key, "attribute": attribute, "before": old.get(attribute), "after": new.get(attribute)}
        for key in after.entities
        for old, new in [(_flat(begun, key), _flat(after, key))]
        for attribute in sorted({*old, *new})
        if old.get(attribute) != new.get(attribute)
    ]


def _flat(home_: Home, key: str) -> dict[str, Any]:
    one = home_.entities.get(key)
    return {} if one is None else {"state": one.state, **one.attributes}


def by_command(name: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same through `kindmesh ask --batch`; fails with what it said if a line has no answer."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "in.jsonl"
        asked.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
        words = ["ask", "--home", str(inventory(name)), "--zone", "UTC", "--batch", str(asked), "--json"]
        if name in LANGUAGES:
            words += ["--language", LANGUAGES[name]]
        done = subprocess.run(
            [sys.executable, "-m", "kindmesh.coordinator.cli", *words],
            capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip
    answers = {one["id"]: one for one in map(json.loads, done.stdout.splitlines()) if "id" in one}
    missing = [row["id"] for row in rows if row["id"] not in answers]
    if missing:
        raise SystemExit(f"no answer to {missing[:5]}: {done.stderr[-2000:]}")
    return [answers[row["id"]] for row in rows]


def understood(name: str, text: str, area: str, now_ms: int, begun: Home | None = None) -> Understanding:
    """What a sentence means in a home, without doing anything."""
    language = LANGUAGES.get(name, "en")
    situation = Situation(
        begun or home(name), now_ms, area=area, language=language, person="owner", operations=OFFERED
    )
    return cortex(language).understand(text, situation)


__all__ = [
    "DATA",
    "FOLDER",
    "LANGUAGES",
    "by_api",
    "by_command",
    "cortex",
    "home",
    "inventory",
    "rows_of",
    "understood",
]
