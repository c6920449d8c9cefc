"""Runs as plain data, for control sockets and people."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_journal import RunJournal, RunRow
from kindmesh.coordinator.heart.runs.run_words import UNDO, Item, Trouble
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.limits import ARGUMENTS_MAX, PLAN_MAX
from kindmesh.protocol.plan import Ask, Plan, Step, plan_from_document
from kindmesh.protocol.plan_check import needs
from kindmesh.protocol.plan_labels import Traced
from kindmesh.protocol.principal import principal_document, principal_from_text


def summary(row: RunRow) -> dict[str, Any]:
    """One line of a list: nothing that is sealed."""
    return {
        "run": format_time_id(row.run_id),
        "state": row.state,
        "where": row.where,
        "parent": format_time_id(row.parent[0]) if row.parent[0] else "",
        "parent_path": row.parent[1],
        "principal": principal_document(principal_from_text(row.principal)),
        "priority": row.priority,
        "purpose": row.purpose,
        "begun_ms": row.begun_ms,
        "deadline_ms": row.until_ms or None,
        "ended_ms": row.ended_ms or None,
    }


def document(row: RunRow, journal: RunJournal, heart: Heart) -> dict[str, Any]:
    """All about one run: `steps` in the plan's order with what comes `before` each, `items` in the order of beginning,
    `output`, `error`."""
    found = summary(row)
    try:
        asked, result = journal.asked(row), journal.result(row)
        plan = plan_from_document(decode_value(asked.plan, limit=PLAN_MAX, depth=64))
        items = journal.items(row.run_id)
    except KindmeshError as error:
        return {
            **found,
            "name": "",
            "note": error.message,
            "steps": [],
            "items": [],
            "output": None,
            "error": None,
        }
    return {
        **found,
        "name": plan.name,
        "inputs": decode_value(asked.inputs, limit=ARGUMENTS_MAX),
        "steps": [step_document(step) for step in plan.steps],
        "items": [_item(item, plan, heart) for item in items],
        "output": None if result.output is None else result.output.value,
        "label": label_document(result.output),
        "error": error_document(result.cause),
        "not_undone": [
            item.path.removeprefix(UNDO)
            for item in items
            if item.path.startswith(UNDO) and item.state not in ("succeeded", "running", "backing_off")
        ],
    }


def step_document(step: Step) -> dict[str, Any]:
    """A step of a plan, without its values."""
    return {
        "id": step.id,
        "title": step.title,
        "kind": step.kind,
        "what": what(step),
        "before": sorted(needs(step)[0]),
        "repeats": "for_each" if step.for_each is not None else "while" if step.while_ is not None else "",
        "conditional": step.when is not True,
        "compensate": step.compensate.call if step.compensate is not None else "",
    }


def what(step: Step) -> str:
    """What a step does, in a word or two."""
    if step.event is not None:
        return f"event {step.event.topic}"
    if step.ask is not None:
        return "ask a person"
    if step.pause is not None:
        return "pause"
    return step.call or "sub-run"


def _item(item: Item, plan: Plan, heart: Heart) -> dict[str, Any]:
    found: dict[str, Any] = {
        "path": item.path,
        "step": item.step,
        "state": item.state,
        "begun_ms": item.begun_ms,
        "ended_ms": item.ended_ms or None,
        "due_ms": item.due_ms or None,
        "deadline_ms": item.until_ms or None,
        "attempts": item.attempt,
        "error": error_document(item.trouble),
        "label": label_document(item.output),
        "origins": list(item.output.origins) if item.output is not None else [],
        "output": None if item.output is None else item.output.value,
        "job": None,
        "run": "",
    }
    if item.ref and plan.step(item.step).sub is not None and not item.path.startswith(UNDO):
        found["run"] = format_time_id(item.ref)
    elif item.ref:
        found["job"] = _job(item.ref, heart)
    return found


def _job(job_id: bytes, heart: Heart) -> dict[str, Any]:
    try:
        job = heart.job(job_id)
    except UnknownJob:
        return {"job": format_time_id(job_id), "state": "", "device_name": "", "permits": [], "attempts": 0}
    return {name: job[name] for name in ("job", "state", "device_name", "permits", "attempts")}


def error_document(trouble: Trouble | None) -> dict[str, str] | None:
    """Why something went wrong, as errors are told everywhere."""
    if trouble is None:
        return None
    return {
        "code": trouble.code,
        "message": trouble.message,
        "hint": trouble.hint,
        "field": trouble.field,
    }


def label_document(value: Traced | None) -> dict[str, Any] | None:
    """A value's label."""
    if value is None:
        return None
    label = value.label
    return {
        "source": label.source,
        "readers": list(label.readers),
        "data_class": list(label.data_class),
        "purpose": list(label.purpose),
        "words": list(label.words),
    }


def change(live: Live, item: Item) -> dict[str, Any]:
    """An event for who watches a run."""
    return {
        "event": "item",
        "run": format_time_id(live.row.run_id),
        "path": item.path,
        "what": what(live.machine.steps[item.step]),
        "state": item.state,
        "attempt": item.attempt,
    }


def question(live: Live, item: Item, asked: Ask) -> dict[str, Any]:
    """A question that waits for a person. `question_id` names it: run and path."""
    run = format_time_id(live.row.run_id)
    return {
        "question_id": f"{run}/{item.path}",
        "run": run,
        "path": item.path,
        "name": live.machine.plan.name,
        "question": item.given.value if item.given is not None else "",
        "source": item.given.label.source if item.given is not None else "user",
        "answer": {
            name: {
                "type": known.type,
                "title": known.title,
                "required": known.field(name).required,
                "choices": list(known.choices),
            }
            for name, known in asked.answer.items()
        },
        "who": list(asked.who),
        "principal": principal_document(principal_from_text(live.row.principal)),
        "asked_ms": item.begun_ms,
        "deadline_ms": item.until_ms or None,
    }


__all__ = [
    "change",
    "document",
    "error_document",
    "label_document",
    "question",
    "step_document",
    "summary",
    "what",
]
