"""`audit show`, `verify`, `export` and `accept`: what was decided and done, and that nobody changed it."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.cli.audit_sources import Logs
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output, sentence
from kindmesh.mesh.audit_export import export, open_export
from kindmesh.mesh.audit_verify import Report, Source, verify
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE, Trust
from kindmesh.protocol.audit import AuditEntry, open_entry
from kindmesh.protocol.errors import InvalidInput, KindmeshError, Malformed, NotInitialised
from kindmesh.protocol.ids import format_id, format_time_id, parse_id

LOGS: Final = ("coordinator", "medulla", "node")
FOLLOW_S: Final = 1.0
_UNITS: Final = {"s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)")


def span_ms(text: str) -> int:
    """Milliseconds of `90s`, `30m`, `12h`, `2d`, `1w`.

    Raises:
        InvalidInput: it is none of these.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"{text!r} is no length of time", field="since", hint="For instance 30m, 12h or 2d."
        )
    return int(found[1]) * _UNITS[found[2]] * 1000


def run_show(out: Output, *, device: str, log: str, since: str, kind: str, limit: int, follow: bool) -> int:
    """Entries of the logs, oldest first, the newest `limit` of them; with `follow` also those that come."""
    if log and log not in LOGS:
        raise InvalidInput(f"there is no log {log!r}", field="log", hint=f"One of: {', '.join(LOGS)}.")
    from_ms = time.time_ns() // 1_000_000 - span_ms(since) if since else 0
    with Logs(_home(), everything=bool(device)) as logs:
        chosen = [one.source for one in logs.find(device, log)]
        if not chosen:
            why = "; ".join(f"{one.what}: {one.why}" for one in logs.missing)
            raise InvalidInput("there is no such log here", hint=why or "kindmesh nodes lists the devices.")
        newest: deque[tuple[int, int, AuditEntry]] = deque()
        at = [0] * len(chosen)
        for number, source in enumerate(chosen):
            last: deque[AuditEntry] = deque(maxlen=limit)
            for row, entry in _entries(source, 0):
                at[number] = row
                if entry.at_ms >= from_ms and kind in ("", entry.kind):
                    last.append(entry)
            newest.extend((entry.at_ms, number, entry) for entry in last)
        for _, number, entry in sorted(newest, key=lambda found: found[0])[-limit:]:
            _show(out, logs, chosen[number], entry)
        while follow:
            time.sleep(FOLLOW_S)
            for number, source in enumerate(chosen):
                for row, entry in _entries(source, at[number]):
                    at[number] = row
                    if kind in ("", entry.kind):
                        _show(out, logs, source, entry)
    return EXIT_DONE


def _entries(source: Source, after: int) -> Iterator[tuple[int, AuditEntry]]:
    """Those that can be read; `verify` names the others."""
    while page := source.page(after):
        for number, row in page:
            after = number
            try:
                entry = open_entry(row.entry)
            except Malformed:
                continue
            yield number, entry


def _show(out: Output, logs: Logs, source: Source, entry: AuditEntry) -> None:
    place = source.place
    subject = _subject(logs, entry.subject)
    target = logs.name(entry.target) if len(entry.target) == 20 else entry.target.hex()
    if out.as_json:
        out.result({
            "log": place.log, "device": place.device, "seq": entry.seq, "at_ms": entry.at_ms, "kind": entry.kind,
            "answer": entry.answer, "operation": entry.operation, "subject": subject, "target": target,
            "job": format_time_id(entry.job_id) if entry.job_id else "",
            "run": format_time_id(entry.run_id) if entry.run_id else "",
            "rules": list(entry.rules), "code": entry.code, "number": entry.number, "digest": entry.digest,
        })  # fmt: skip
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.at_ms / 1000))
    words = [
        at,
        f"{place.device}/{place.log}",
        f"{entry.kind} {entry.answer}",
        entry.operation,
        f"[{subject}]" if subject else "",
        f"for {target}" if target else "",
        f"by {', '.join(entry.rules)}" if entry.rules else "",
        entry.code,
        f"x{entry.number}" if entry.number > 1 and entry.answer == "refused" else "",
    ]
    out.result(None, "  ".join(word for word in words if word))


def _subject(logs: Logs, subject: bytes) -> str:
    if len(subject) == 20:
        return logs.name(subject)
    return format_time_id(subject) if len(subject) == 16 else subject.hex()


def run_verify(out: Output, file: Path | None, mesh: str, *, everything: bool) -> int:
    """Check the logs and what others remember of them; 1 when anything is wrong."""
    if file is not None:
        opened = open_export(file, parse_id(mesh) if mesh else _own_mesh())
        report = verify(opened.mesh, opened.sources, opened.memories, _teller(out))
        return _tell(out, report, [])
    if mesh:
        raise InvalidInput("--mesh goes with --file", field="mesh")
    with Logs(_home(), everything=everything) as logs:
        report = verify(logs.mesh, logs.sources, logs.memories, _teller(out))
        return _tell(out, report, [f"{one.what}: {one.why}" for one in logs.missing])


def _tell(out: Output, report: Report, missing: list[str]) -> int:
    if out.as_json:
        body: dict[str, Any] = report.as_dict()
        out.result({**body, "not_checked": missing})
        return EXIT_DONE if report.ok else EXIT_FAILED
    for log in report.logs:
        asked = [one for one in report.witnesses if (one.log, one.device) == (log.log, log.device)]
        known = sum(one.ok for one in asked)
        witnessed = f"; {known} of {len(asked)} witnesses agree" if asked else "; no witness was asked"
        out.result(None, f"{log.device} ({log.log}): {log.entries} entries{witnessed}")
    for one in report.problems:
        which = f" entry {one.first}" if one.first == one.last else f" entries {one.first} to {one.last}"
        out.result(None, f"PROBLEM  {one.device} ({one.log}){which if one.last else ''}: {one.problem}")
    for line in missing:
        out.note(f"Not checked: {sentence(line)}")
    out.result(
        None, "All is as it was signed." if report.ok else "Somebody changed a log, or a disk is failing."
    )
    return EXIT_DONE if report.ok else EXIT_FAILED


def run_export(out: Output, file: Path, *, everything: bool) -> int:
    """Write the logs into one file that can be verified anywhere."""
    with Logs(_home(), everything=everything) as logs:
        count = export(
            file, logs.mesh, logs.trust.bundles, logs.logs, memories=logs.memories, progress=_teller(out)
        )
        names = [f"{one.source.place.device} ({one.source.place.log})" for one in logs.logs]
        pin = format_id(logs.mesh)
    out.result(
        {"ok": True, "file": os.fspath(file), "entries": count, "logs": names, "mesh": pin},
        f"{count} entries of {', '.join(names)} are in {file}.",
        f"Anywhere: kindmesh audit verify --file {file.name} --mesh {pin}",
    )
    return EXIT_DONE


def run_accept(out: Output, device: str) -> int:
    """The owner has looked at an alarm: begin anew to witness that log."""
    home = _home()
    if not is_coordinator(home):
        raise NotInitialised("alarms are looked at on the coordinator's device")
    with Logs(home) as logs:
        found = [subject for subject, name in logs.names.items() if device in (name, format_id(subject))]
    if not found:
        raise InvalidInput(f"nobody here is called {device!r}", field="device")
    accepted = False
    with connect(home, timeout_ms=10_000) as client:
        for author in found:
            accepted = client.call("audit.accept", {"author": author})["ok"] or accepted
    if not accepted:
        raise InvalidInput(f"nothing was remembered of a log of {device}", field="device")
    out.result({"ok": True, "device": device}, f"The log of {device} is witnessed anew, as it is now.")
    return EXIT_DONE


def _home() -> Home:
    home = Home.locate()
    if not (home.identity / TRUST_FILE).exists():
        raise NotInitialised()
    return home


def _own_mesh() -> bytes:
    try:
        return Trust.load(_home().identity).mesh
    except KindmeshError as error:
        hint = "Add --mesh ID, as the household's kindmesh status --json or the recovery kit says it."
        raise InvalidInput("the mesh has to be named, there is none here", field="mesh", hint=hint) from error


def _teller(out: Output) -> Any:
    return lambda name, entries: out.progress(f"{name}: {entries} entries")


__all__ = ["run_accept", "run_export", "run_show", "run_verify", "span_ms"]
