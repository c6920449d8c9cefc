"""The Medulla exam: benign plans, which should be allowed, and what a liar makes of them, which must not be.

Judged through `kindmesh review --manifests --batch`, as others would: the manifests are our own capabilities' and those
of other systems (data/manifests). A benign plan that is not allowed is a *needless question*; a mutation all of whose
plans are allowed is *missed*.
"""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.exams import more_mutations
from tests.exams.answering import DATA, rows_of
from tests.exams.fourth_mutations import fourth
from tests.exams.mutations import Case, cases

from kindmesh.capabilities.registry import ENTRIES, manifest_of
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.manifest import Field, Manifest, effect_names

Result = dict[str, Any]
FIRST: Final = datetime(2027, 1, 4, 15, 0)  # noqa: DTZ001 - local time, as a batch is given it
OWN: Final = ("device", "home", "notes", "speech", "vision")
SETS: Final = {
    "": "benign_plans", "_held_out": "held_out_plans", "_third": "third_plans", "_fourth": "fourth_plans",
}  # fmt: skip
"""The plans of each set, by how its part of the result is called."""
COMMAND_S: Final = 1_800
Review = Callable[[Sequence[Mapping[str, Any]]], dict[str, dict[str, Any]]]
"""Lines of a batch, and the answers by id."""


def _field(field: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"name": field.name, "type": field.type, "title": field.title, "required": field.required,
                             "max_length": field.max_length, "items": field.items}  # fmt: skip
    found |= {key: value for key in ("minimum", "maximum") if (value := getattr(field, key)) is not None}
    if field.choices:
        found["choices"] = list(field.choices)
    if field.default:
        found["default"] = decode_value(field.default)
    return found


def manifest_document(manifest: Manifest) -> dict[str, Any]:
    """A manifest of ours, as `kindmesh review --manifests` reads others'."""
    return {
        "capability": manifest.capability,
        "version": manifest.version,
        "title": manifest.title,
        "operations": [
            {
                "name": one.name,
                "title": one.title,
                "input": [_field(field) for field in one.input],
                "output": [_field(field) for field in one.output],
                "effects": effect_names(one.effects),
                "idempotent": one.idempotent,
                "data_classes": list(one.data_classes),
            }
            for one in manifest.operations
        ],
    }


def manifests() -> list[dict[str, Any]]:
    """Ours and those of the other systems."""
    own = [manifest_document(manifest_of(one)) for one in ENTRIES if manifest_of(one).capability in OWN]
    others = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / "manifests").glob("*.json"))
    ]
    return [*own, *others, *_tools()]


def _tools() -> list[dict[str, Any]]:
    """The tools of the third and the fourth set's systems, with JSON Schemas, as those describe them."""
    return [
        one for name in ("third", "fourth")
        for one in json.loads((DATA / f"{name}_tools.json").read_text(encoding="utf-8"))
    ]  # fmt: skip


def schemas() -> dict[str, dict[str, Any]]:
    """`effects` and `properties` by the name that plans use; a tool without a dot is `tools.NAME` there."""
    found = {name: {"effects": sorted(known), "properties": {}} for name, known in effects().items()}
    for one in _tools():
        name = one["name"] if "." in one["name"] else f"tools.{one['name']}"
        found[name] = {"effects": one["effects"], "properties": one["parameters"]["properties"]}
    return found


def effects() -> dict[str, frozenset[str]]:
    """The names of each operation's effects."""
    known = {
        one["name"]: frozenset(one["effects"])
        for manifest in manifests()
        for one in manifest.get("operations", ())
    }
    for one in _tools():
        name = one["name"] if "." in one["name"] else f"tools.{one['name']}"
        known[name] = frozenset(one["effects"])
    return known


def by_command(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Judge the lines in order with `kindmesh review --batch`."""
    with tempfile.TemporaryDirectory() as folder:
        offered, asked = Path(folder) / "manifests.json", Path(folder) / "plans.jsonl"
        offered.write_text(json.dumps(manifests()), encoding="utf-8")
        asked.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        words = ["review", "--manifests", str(offered), "--batch", str(asked), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "kindmesh.coordinator.cli", *words],
            capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip
    answers = {one["id"]: one for one in map(json.loads, done.stdout.splitlines()) if "id" in one}
    missing = [line["id"] for line in lines if line["id"] not in answers]
    if missing:
        raise SystemExit(f"no verdict on {missing[:5]}: {done.stderr[-2000:]}")
    return answers


def _line(
    row: Mapping[str, Any], name: str, plan: Mapping[str, Any], day: int, text: str = ""
) -> dict[str, Any]:
    """A line of the batch; each case has a day of its own, or where that is given a person of its own, so that what was
    allowed before it weighs on none."""
    if "at" in row["request"]:
        who = {"id": name.rpartition("~")[0] or name, "name": "Ann", "role": row["request"]["principal"]}
        asked = {**row["request"], "principal": who, "text": text or row["request"]["text"]}
        return {"id": name, "plan": plan, "request": asked, "approvals": row["approvals"]}
    said = {
        **row["request"],
        "text": text or row["request"]["text"],
        "at": (FIRST + timedelta(days=day)).isoformat(timespec="minutes"),
    }
    return {"id": name, "plan": plan, "request": said, "approvals": row["approvals"]}


def benign(review: Review = by_command, every: int = 1, name: str = "benign_plans") -> Result:
    """Needless questions, by kind of plan."""
    rows = rows_of(DATA / f"{name}.jsonl")[::every]
    answers = review([_line(row, row["id"], row["plan"], day) for day, row in enumerate(rows)])
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults = []
    for row in rows:
        out = answers[row["id"]]
        kinds[row["kind"]][out["verdict"]] += 1
        if out["verdict"] != "allow":
            faults.append({"id": row["id"], "text": row["request"]["text"], "verdict": out["verdict"],
                           "reasons": out["reasons"]})  # fmt: skip
    ms = sorted(float(out["ms"]) for out in answers.values())
    return {"kinds": {key: dict(kinds[key]) for key in kinds}, "total": len(rows), "questions": len(faults),
            "p50_ms": ms[len(ms) // 2], "p95_ms": ms[len(ms) * 95 // 100], "faults": faults}  # fmt: skip


class Tried(NamedTuple):
    """A mutation, with what a line says beside the plan: approvals, and who asks if not the row's principal."""

    case: Case
    approvals: Sequence[Mapping[str, Any]] = ()
    principal: Any = None


def tried(row: Mapping[str, Any], known: Mapping[str, frozenset[str]]) -> Iterator[Tried]:
    """Every mutation of a row; those of `more_mutations` for the third set, whose rows have a `style`, and of
    `fourth_mutations` for the fourth, with children and strangers that ask for what is grave."""
    if row.get("set") == 4:
        tools = schemas()
        yield from (Tried(case) for case in fourth(row, tools))
        grave = {"spend", "execute"} & {
            effect
            for step in row["plan"]["steps"]
            if "call" in step
            for effect in tools[step["call"]]["effects"]
        }
        whole = Case("somebody else asks", "child, stranger", (row["plan"],))
        yield from (Tried(whole, (), who) for who in ("child", "stranger") if grave)
        return
    if "style" not in row:
        yield from (Tried(case) for case in cases(row, known))
        return
    tools = schemas()
    yield from (Tried(case) for case in cases(more_mutations.labelled(row), known))
    yield from (Tried(case) for case in more_mutations.more(row, tools))
    yield from (Tried(case, approvals) for case, approvals in more_mutations.approved(row))
    yield from (Tried(case, (), who) for case, who in more_mutations.asked_by(row, tools))


def mutated(review: Review = by_command, every: int = 1, name: str = "benign_plans") -> Result:
    """Misses, by mutation and by kind; `every` takes only each so-manieth case."""
    known = effects()
    lines: list[dict[str, Any]] = []
    parts: list[tuple[Mapping[str, Any], str, str, list[str]]] = []
    at = 0
    for row in rows_of(DATA / f"{name}.jsonl"):
        for case, approvals, principal in tried(row, known):
            at += 1
            if at % every:
                continue
            names = [f"{row['id']}~{at}~{part}" for part in range(len(case.plans))]
            for part, plan in zip(names, case.plans, strict=True):
                line = {**_line(row, part, plan, at, case.text), "approvals": [*row["approvals"], *approvals]}
                if principal is not None:
                    line["request"] = {**line["request"], "principal": principal}
                lines.append(line)
            parts.append((row, case.mutation, case.variant, names))
    answers = review(lines)
    plans = {line["id"]: line["plan"] for line in lines}
    by: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    kinds: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults = []
    for asked, mutation, variant, names in parts:
        verdicts = [answers[name]["verdict"] for name in names]
        worst = "deny" if "deny" in verdicts else "ask" if "ask" in verdicts else "allow"
        by[mutation][worst] += 1
        kinds[asked["kind"]][worst] += 1
        if worst == "allow":
            faults.append({"id": names[0], "mutation": mutation, "variant": variant,
                           "text": asked["request"]["text"], "plan": plans[names[-1]]})  # fmt: skip
    return {"mutations": {key: dict(by[key]) for key in by}, "kinds": {key: dict(kinds[key]) for key in kinds},
            "total": len(parts), "missed": len(faults), "faults": faults}  # fmt: skip


def run() -> Result:
    """Both halves, over all sets."""
    found: Result = {}
    for part, name in SETS.items():
        found[f"benign{part}"] = benign(name=name)
        found[f"mutated{part}"] = mutated(name=name)
    return found


__all__ = [
    "SETS",
    "benign",
    "by_command",
    "effects",
    "manifest_document",
    "manifests",
    "mutated",
    "run",
    "schemas",
    "tried",
]
