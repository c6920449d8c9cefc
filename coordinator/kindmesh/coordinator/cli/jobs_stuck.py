"""`jobs settle` and `jobs dead`: what to do about jobs and results that are stuck."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.jobs_commands import clock_time
from kindmesh.coordinator.cli.local import connect
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput


def run_settle(out: Output, job: str, answer: list[str], note: str, *, again: bool, person: str = "") -> int:
    """Say whether an uncertain job happened; with `again` ask for it anew, once, in the name of who says so."""
    if len(answer) != 1:
        raise InvalidInput(
            "say either --happened or --did-not-happen",
            field="answer",
            hint="Look first; nobody is in a hurry.",
        )
    if again and answer[0] == "happened":
        raise InvalidInput("what happened is not started again", field="again")
    with connect_as(Home.locate(), person, timeout_ms=30_000) as client:
        found: dict[str, Any] = client.call("jobs.settle", {"id": job, "answer": answer[0], "note": note})
        if again:
            anew = client.call("submit", _anew(found))
            found["again"] = anew["job"]
    word = "happened" if answer[0] == "happened" else "did not happen"
    lines = [f"{found['operation']} ({found['job']}): it {word}. This was written down."]
    if again:
        lines.append(f"Started anew as {found['again']}.")
    out.result(found, *lines)
    return EXIT_DONE


def _anew(job: dict[str, Any]) -> dict[str, Any]:
    if job.get("args") is None:
        raise InvalidInput(
            "what this job was given is not known any more", field="again", hint="Call it again."
        )
    return {
        "operation": job["operation"],
        "args": job["args"],
        "target": job["device"],
        "priority": job["priority"],
        "full": job["full"],
        "key": f"again-{job['job']}",
    }


def run_dead(out: Output, letter: str, *, everything: bool) -> int:
    """Dead letters, or what is in one."""
    wanted = {"id": letter} if letter else {"all": everything}
    with connect(Home.locate(), timeout_ms=10_000) as client:
        found: dict[str, Any] = client.call("jobs.dead", wanted)
    letters = found["letters"]
    if letter:
        out.result(letters[0], *_lines(letters[0]))
        return EXIT_DONE
    if out.as_json:
        for one in letters:
            out.result(one)
        for one in found["overflow"]:
            out.result({"overflow": one["kind"], "times": one["times"], "last_ms": one["last_ms"]})
        return EXIT_DONE
    if not letters:
        out.result(None, "Everything was delivered.")
    else:
        rows = [
            [one["id"], one["kind"], one["state"], one["device_name"] or "-", str(one["times"]),
             clock_time(one["last_ms"]), one["what"]]
            for one in letters
        ]  # fmt: skip
        out.result(None, *table(["LETTER", "KIND", "STATE", "DEVICE", "TIMES", "LAST", "WHAT"], rows))
    for one in found["overflow"]:
        out.note(
            f"{one['times']} letters ({one['kind']}) had to make room, the last {clock_time(one['last_ms'])}."
        )
    return EXIT_DONE


def _lines(letter: dict[str, Any]) -> list[str]:
    facts = [
        ("letter", letter["id"]), ("kind", letter["kind"]), ("state", letter["state"]),
        ("device", letter["device_name"]), ("job", letter["job"]), ("what", letter["what"]), ("code", letter["code"]),
        ("first", clock_time(letter["first_ms"])), ("last", clock_time(letter["last_ms"])),
        ("times", str(letter["times"])), ("by", letter["by"]), ("note", letter["note"]),
    ]  # fmt: skip
    lines = [f"{name:<8} {value}" for name, value in facts if value]
    contents = letter.get("contents")
    if contents and "outcome" in contents:
        error = contents["error"]
        lines.append(f"{'says':<8} {contents['outcome']}{': ' + error['message'] if error else ''}")
    return lines


def run_close(out: Output, redeliver: str, dismiss: str, note: str) -> int:
    """Try a letter again, or say that it was dealt with."""
    if redeliver and dismiss:
        raise InvalidInput("either --redeliver or --dismiss", field="dismiss")
    method = "jobs.redeliver" if redeliver else "jobs.dismiss"
    with connect(Home.locate(), timeout_ms=60_000) as client:
        found: dict[str, Any] = client.call(method, {"id": redeliver or dismiss, "note": note})
    word = "was delivered again" if redeliver else "was put away"
    out.result(found, f"{found['id']} {word}.{' Job: ' + found['job'] if redeliver else ''}")
    return EXIT_DONE


__all__ = ["run_close", "run_dead", "run_settle"]
