"""`run`, `inbox`, `answer`: plans from a file, and the questions of runs that wait for a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.jobs_commands import clock_time
from kindmesh.coordinator.cli.local import upload
from kindmesh.coordinator.cli.output import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_LATER,
    EXIT_UNCERTAIN,
    Output,
    exit_code,
    table,
)
from kindmesh.coordinator.cli.run_graph import plan_lines, run_lines
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, WireError, error_from_wire
from kindmesh.protocol.limits import PLAN_MAX
from kindmesh.protocol.plan import check_plain, plan_from_document
from kindmesh.protocol.plan_check import check_plan

_EXITS = {
    "succeeded": EXIT_DONE,
    "uncertain": EXIT_UNCERTAIN,
    "expired": EXIT_LATER,
    "cancelled": EXIT_FAILED,
}


def read_plan(path: str) -> dict[str, Any]:
    """The plan in a file, JSON or YAML by its content; `-` is standard input.

    Raises:
        InvalidInput: it cannot be read, or is neither.
    """
    text = _text(path)
    if text.lstrip().startswith("{"):
        try:
            document = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"{path} is not JSON: {error}", field="file") from error
    else:
        document = _yaml(path, text)
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} holds no plan", field="file", hint="It begins with plan: 1.")
    check_plain(document)
    return document


def _text(path: str) -> str:
    try:
        if path == "-":
            text = sys.stdin.read(PLAN_MAX + 1)
        else:
            with Path(path).open(encoding="utf-8") as source:
                text = source.read(PLAN_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"{path} cannot be read: {why}", field="file") from error
    if len(text) > PLAN_MAX:
        raise InvalidInput(f"{path} is longer than {PLAN_MAX} characters", field="file")
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A map whose names are there once; otherwise one of them would be lost silently."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = value
    return found


def _yaml(path: str, text: str) -> Any:
    from kindmesh.mesh.yaml_text import from_yaml

    return from_yaml(text, path)


def run_run(
    out: Output,
    path: str,
    words: Sequence[str],
    *,
    key: str,
    detach: bool,
    dry: bool,
    priority: str,
    purpose: str,
    person: str,
) -> int:
    """Start the plan in a file, and show what becomes of it."""
    document = read_plan(path)
    try:
        plan = plan_from_document(document)
        check_plan(plan, emergency=priority == "emergency")
    except InvalidInput as error:
        raise InvalidInput(f"{error.field}: {error.message}", field=error.field, hint=error.hint) from error
    fields = {name: {"name": name, "type": known.type} for name, known in plan.inputs.items()}
    with connect_as(Home.locate(), person) as client:

        def take(file: Path) -> dict[str, Any]:
            return upload(client, file, lambda part: out.progress(f"{file.name} {part * 100:.0f} %"))

        request: dict[str, Any] = {"plan": document, "priority": priority, "purpose": purpose}
        if words or not dry:
            request["inputs"] = parse_arguments(words, fields, take)
        if dry:
            checked = client.call("run.check", request)
            out.result(checked, *plan_lines(checked))
            return EXIT_DONE
        if key:
            request["key"] = key
        if detach:
            run = client.call("run.start", request)
            out.result(
                {"ok": True, **run}, f"Started run {run['run']}.", f"Look: kindmesh jobs show {run['run']}"
            )
            return EXIT_DONE
        run = _follow(out, client, {**request, "wait": True})
    return show_end(out, run)


def _follow(out: Output, client: ControlClient, request: dict[str, Any]) -> dict[str, Any]:
    stream = client.stream("run.start", request)
    while True:
        try:
            event: dict[str, Any] = next(stream)
        except StopIteration as end:
            run: dict[str, Any] = end.value
            out.clear()
            return run
        _tell(out, event)


def _tell(out: Output, event: dict[str, Any]) -> None:
    """Progress, on stderr."""
    kind, state = event.get("event"), event.get("state", "")
    if kind == "started":
        out.note(f"Run {event['run']} has begun.")
    elif kind == "item" and state == "asking":
        out.note(f"{event['path']}: waits for a person. See: kindmesh inbox")
    elif kind == "item" and state in (
        "succeeded",
        "skipped",
        "failed",
        "cancelled",
        "uncertain",
        "backing_off",
    ):
        word = "tries again" if state == "backing_off" else state
        out.note(f"{event['path']}: {word}")
    elif kind == "item":
        out.progress(f"{event['path']}: {event['what']} {state}")
    elif kind == "job" and state == "waiting_approval":
        out.note(f"{event['path']}: waits for a yes. See: kindmesh review")
    elif kind == "job":
        where = f" on {event['device_name']}" if event.get("device_name") else ""
        out.progress(f"{event['path']}: {state}{where}")
    elif kind == "progress":
        out.progress(f"{event['path']} {event['fraction'] * 100:.0f} % {event.get('text', '')}")


def show_end(out: Output, run: dict[str, Any]) -> int:
    """How a run ended, with what it gave; the exit code says it too."""
    good = run["state"] == "succeeded"
    if good:
        output = run["output"] or {}
        lines = [f"{name}: {_short(value)}" for name, value in output.items()]
        out.result({"ok": True, **run}, *lines)
        return EXIT_DONE
    out.result({"ok": False, **run}, *run_lines(run))
    error = run["error"]
    if run["state"] in _EXITS or not error:
        return _EXITS.get(run["state"], EXIT_FAILED)
    return exit_code(
        error_from_wire(WireError(error["code"], error["message"], error["hint"], error["field"]))
    )


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(
        value, ensure_ascii=False, default=lambda other: other.hex() if isinstance(other, bytes) else "?"
    )


def run_inbox(out: Output, person: str) -> int:
    """What waits for a person."""
    with connect_as(Home.locate(), person, timeout_ms=10_000) as client:
        found: list[dict[str, Any]] = client.call("inbox")
    if out.as_json:
        for one in found:
            out.result(one)
        return EXIT_DONE
    if not found:
        out.result(None, "Nothing waits for you.")
        return EXIT_DONE
    rows = [
        [
            one["question_id"],
            one["question"] + _claimed(one),
            ", ".join(f"{name} ({known['type']})" for name, known in one["answer"].items())
            or "yes: no values",
            clock_time(one["deadline_ms"]) if one["deadline_ms"] else "-",
            "you" if one["answerable"] else ", ".join(one["who"]),
        ]
        for one in found
    ]
    lines = table(["ID", "QUESTION", "ANSWER WITH", "UNTIL", "FOR"], rows)
    out.result(None, *lines, "Answer: kindmesh answer ID name=value ...")
    return EXIT_DONE


def _claimed(one: dict[str, Any]) -> str:
    """A question that is not only the plan's own words says where its words come from."""
    return "" if one["source"] == "user" else f" [with words from: {one['source']}]"


def run_answer(out: Output, question: str, words: Sequence[str], person: str) -> int:
    """Answer a question."""
    with connect_as(Home.locate(), person, timeout_ms=30_000) as client:
        waiting: list[dict[str, Any]] = client.call("inbox")
        fields: dict[str, dict[str, Any]] = next(
            (one["answer"] for one in waiting if one["question_id"].startswith(question.lower())), {}
        )

        def take(file: Path) -> dict[str, Any]:
            return upload(client, file, lambda part: out.progress(f"{file.name} {part * 100:.0f} %"))

        values = parse_arguments(words, fields, take)
        answered = client.call("inbox.answer", {"id": question, "values": values})
    out.result(answered, f"Answered; run {answered['run']} goes on.")
    return EXIT_DONE


__all__ = ["read_plan", "run_answer", "run_inbox", "run_run", "show_end"]
