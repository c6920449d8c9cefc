"""A run as text: its graph, one line for each step, with states, times, devices, permits and attempts.

A step stands below the latest of the steps before it; what else it waits for is named. Iterations and compensations
stand below their step.

    kindmesh run morning.yaml --dry         kindmesh jobs show RUN
    read        vision.read_text            read        succeeded   1.1 s  on phone   vision.read_text
    |-- say     speech.say                  |-- say     running     ...    on desk    speech.say
    `-- note    notes.append                `-- note    waiting                       notes.append
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kindmesh.coordinator.cli.jobs_commands import clock_time, milliseconds
from kindmesh.coordinator.cli.output import sentence

_WORDS: Final = {
    "backing_off": "tries again",
    "asking": "waits for a person",
    "listening": "waits for an event",
    "pausing": "waits",
    "recalling": "looks for a memo",
    "repeating": "repeats",
}
_INDENT: Final = "    "


def tree(steps: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """(what is drawn before it, step, what else it waits for), in the order of drawing."""
    known = {step["id"]: step for step in steps}
    depth: dict[str, int] = {}
    pending = [step["id"] for step in steps]
    while pending:
        name = pending.pop()
        if name in depth:
            continue
        before = [one for one in known[name]["before"] if one not in depth]
        if before:
            pending += [name, *before]
        else:
            depth[name] = 1 + max((depth[one] for one in known[name]["before"]), default=-1)
    below: dict[str, list[dict[str, Any]]] = {}
    for step in steps:
        above = max(step["before"], key=lambda one: (depth[one], one), default="")
        below.setdefault(above, []).append(step)
    yield from _below("", "", below)


def _below(
    above: str, prefix: str, below: dict[str, list[dict[str, Any]]]
) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    steps = below.get(above, [])
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        drawn = "" if not above else prefix + ("`-- " if last else "|-- ")
        yield drawn, step, [name for name in step["before"] if name != above]
        inner = prefix + ("" if not above else _INDENT if last else "|   ")
        yield from _below(step["id"], inner, below)


def plan_lines(checked: dict[str, Any]) -> list[str]:
    """A plan that was checked, for people."""
    rows = []
    for drawn, step, also in tree(checked["steps"]):
        rows.append((drawn + step["id"], " ".join([step["what"], *_remarks(step, also)])))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {rest}" for name, rest in rows]
    lines += [f"Note: {warning}" for warning in checked["warnings"]]
    return lines


def _remarks(step: dict[str, Any], also: list[str]) -> list[str]:
    found = []
    if step["repeats"]:
        found.append(f"({step['repeats'].replace('_', ' ')})")
    if step["conditional"]:
        found.append("(if its condition holds)")
    if also:
        found.append(f"(also after {', '.join(also)})")
    if step["compensate"]:
        found.append(f"(undone by {step['compensate']})")
    return found


def run_lines(run: dict[str, Any]) -> list[str]:
    """A run's document for people: what became of it, its facts, its graph."""
    name = run.get("name") or "run"
    took = milliseconds(run["ended_ms"] - run["begun_ms"]) if run["ended_ms"] else ""
    head = f"{name}: {run['state']}" + (f" after {took}" if took else "")
    if run["where"]:
        head += f", at {run['where']}"
    lines = [head]
    error = run.get("error")
    if error:
        lines.append(sentence(error["message"]))
        lines += [error["hint"]] if error["hint"] else []
    if run.get("note"):
        lines.append(sentence(run["note"]))
    if run.get("not_undone"):
        lines.append(f"Could not be undone: {', '.join(run['not_undone'])}. Please look after it yourself.")
    facts = [("run", run["run"]), ("begun", clock_time(run["begun_ms"])), ("priority", run["priority"])]
    if run["parent"]:
        facts.append(("part of", f"{run['parent']}, step {run['parent_path']}"))
    lines += [f"  {key:<10} {value}" for key, value in facts]
    return [*lines, *graph_lines(run)]


def graph_lines(run: dict[str, Any]) -> list[str]:
    """The graph with how each step stands."""
    items: dict[str, list[dict[str, Any]]] = {}
    for item in run["items"]:
        items.setdefault(item["step"], []).append(item)
    rows: list[list[str]] = []
    for drawn, step, also in tree(run["steps"]):
        of_step = sorted(items.get(step["id"], []), key=_place)
        base = [item for item in of_step if item["path"] == step["id"]]
        rest = " ".join([step["what"], *_remarks(step, also)])
        # In a run that has ended, what has not begun never will.
        absent = ["not begun" if run["ended_ms"] else "waiting", "", ""]
        rows.append([drawn + step["id"], *(_columns(base[0], run) if base else absent), rest])
        pad = drawn.replace("`-- ", _INDENT).replace("|-- ", "|   ")
        parts = [item for item in of_step if item["path"] != step["id"]]
        rows += [[f"{pad}  {item['path']}", *_columns(item, run), ""] for item in parts]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return [
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]
        ).rstrip()
        for row in rows
    ]


def _place(item: dict[str, Any]) -> tuple[bool, int]:
    return item["path"].startswith("undo:"), item["begun_ms"]


def _columns(item: dict[str, Any], run: dict[str, Any]) -> list[str]:
    """State, time, and who did it."""
    ended = item["ended_ms"]
    took = milliseconds(ended - item["begun_ms"]) if ended else "" if run["ended_ms"] else "..."
    if item["due_ms"] and not ended:
        took = f"until {clock_time(item['due_ms'])}"
    elif item["deadline_ms"] and item["state"] in ("asking", "listening"):
        took = f"until {clock_time(item['deadline_ms'])}"
    where = []
    job = item["job"]
    if job:
        where += [f"on {job['device_name']}"] if job["device_name"] else []
        where += [f"job {job['job']}"]
        where += [f"permit {job['permits'][-1]}"] if job["permits"] else []
        tries = max(item["attempts"], job["attempts"])
        where += [f"{tries} tries"] if tries > 1 else []
    if item["run"]:
        where.append(f"run {item['run']}")
    if item["error"] and item["state"] != "succeeded":
        where.append(f"({item['error']['message']})")
    return [_WORDS.get(item["state"], item["state"]), took, ", ".join(where)]


__all__ = ["graph_lines", "plan_lines", "run_lines", "tree"]
