"""What is on the disks after the processes of a household were ended, and what has to be true of it.

The coordinator's journal says how every job ended; the devices' own files say what was really done; their journals say
under which permit; Medulla's log says which permits were ever signed, for what, and for whom. All are read only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.service import SCHEMA as MEDULLA_SCHEMA
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.coordinator.heart.machine_words import ENDED, StoryEntry
from kindmesh.mesh.audit import AuditRows
from kindmesh.mesh.home import Home
from kindmesh.mesh.store import Store
from kindmesh.node.journal import NODE_SCHEMA
from kindmesh.protocol.audit import AuditEntry, open_entry

ONCE: Final = "notes.append"
"""The operation whose effect may not happen twice; the text of a note is the key of its job."""
VISIBLE: Final = frozenset({"waiting_approval", "waiting_device"})
_story = msgspec.msgpack.Decoder(list[StoryEntry]).decode


class Asked(msgspec.Struct):
    """A job that was asked for: `job_id` is empty until it was acknowledged (then `acknowledged_s`, monotonic)."""

    key: str
    operation: str
    priority: str
    job_id: bytes = b""
    acknowledged_s: float = 0.0
    ended_s: float = 0.0


class Violation(msgspec.Struct, frozen=True):
    """One thing that must never be: `kind`, the key of the job that it is about (or empty), what was seen, and the
    job's story as the journal has it."""

    kind: str
    job: str
    text: str
    story: list[str]


class Disks(msgspec.Struct):
    """See the module. `jobs`: job id -> (state, whether it ended, story); `notes`: device -> texts; `records`: (device,
    job id) -> permit id; `permits`: permit id -> Medulla's entry; `names`: device id -> name."""

    jobs: dict[bytes, tuple[str, bool, list[StoryEntry]]]
    keys: dict[str, bytes]
    notes: dict[str, list[str]]
    records: dict[tuple[str, bytes], bytes]
    permits: dict[bytes, AuditEntry]
    names: dict[bytes, str]
    tracebacks: list[str]


def read_disks(desk: Home, nodes: Mapping[str, Home], names: Mapping[bytes, str], logs: Path) -> Disks:
    """Read all disks; nothing may run any more.

    Raises:
        StoreError and its kin: a journal cannot be read.
    """
    store = Store.open_readonly(desk.coordinator_journal, HEART_SCHEMA)
    try:
        rows = store.query("SELECT job_id, key, state, ended_ms, story FROM job")
    finally:
        store.close()
    jobs = {job: (state, bool(ended), _story(story)) for job, _, state, ended, story in rows}
    keys = {key: job for job, key, *_ in rows if key}
    notes, records = {}, {}
    for name, home in nodes.items():
        path = home.data / "notes" / "notes.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        notes[name] = [json.loads(line)["text"] for line in lines]
        store = Store.open_readonly(home.node_journal, NODE_SCHEMA)
        try:
            for job, permit in store.query("SELECT job_id, permit_id FROM jobs WHERE begun = 1"):
                records[name, job] = permit
        finally:
            store.close()
    store = Store.open_readonly(desk.medulla / "state" / "medulla.db", MEDULLA_SCHEMA)
    try:
        entries = list(_entries(AuditRows(store)))
    finally:
        store.close()
    permits = {entry.subject: entry for entry in entries if (entry.kind, entry.answer) == ("permit", "allow")}
    return Disks(jobs, keys, notes, records, permits, dict(names), _tracebacks(logs))


def _entries(rows: AuditRows) -> Iterable[AuditEntry]:
    seen = 0
    while page := rows.page(seen):
        seen += len(page)
        for _, row in page:
            yield open_entry(row.entry)


def _tracebacks(logs: Path) -> list[str]:
    return [
        f"{log.name}: {line[:500]}"
        for log in sorted(logs.glob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if "Traceback" in line or '"at":[' in line
    ]


class Verdict(msgspec.Struct):
    """What came of it; `states` counts how acknowledged jobs ended or wait."""

    lost: int = 0
    duplicate_effects: int = 0
    unpermitted_effects: int = 0
    states: dict[str, int] = {}
    violations: list[Violation] = []


def judge(disks: Disks, asked: Iterable[Asked]) -> Verdict:
    """Compare the disks with each other and with what people were told."""
    found, jobs = Verdict(), list(asked)
    states: Counter[str] = Counter()
    times = Counter(text for texts in disks.notes.values() for text in texts)

    def bad(kind: str, job: str, text: str) -> None:
        found.violations.append(Violation(kind, job, text, story_of(disks, job)))

    for job in jobs:
        did = times.pop(job.key, 0)
        if did > 1:
            found.duplicate_effects += 1
            bad("duplicate_effect", job.key, f"{job.operation} was done {did} times")
        if not job.job_id:
            continue
        if job.job_id not in disks.jobs:
            found.lost += 1
            bad("lost", job.key, "it was acknowledged, and the coordinator's journal does not have it")
            continue
        state, ended, story = disks.jobs[job.job_id]
        states[state] += 1
        if not ended and state not in VISIBLE:
            bad("stuck", job.key, f"it is {state}, although everything was up")
        if sum(entry[1] in ENDED for entry in story) > 1:
            bad("contradiction", job.key, "it has two endings")
        if job.operation == ONCE:
            if state == "succeeded" and not did:
                bad("contradiction", job.key, "it is said to be done, and nothing was")
            if did and state not in ("succeeded", "uncertain"):
                bad("contradiction", job.key, f"it is said to be {state}, and was done")
    for text, count in times.items():
        bad("unknown_effect", text, f"a note that nobody asked for, {count} times")
    _check_permits(disks, {job.job_id: job.key for job in jobs}, found, bad)
    for line in disks.tracebacks[:3]:
        bad("crash", "", line)
    found.states = dict(sorted(states.items()))
    return found


def _check_permits(disks: Disks, keys: Mapping[bytes, str], found: Verdict, bad: Any) -> None:
    begun = {(name, job) for name, job in disks.records}
    for name, texts in disks.notes.items():
        for text in texts:
            job = disks.keys.get(text, b"")
            if (name, job) not in begun:
                found.unpermitted_effects += 1
                bad("unpermitted_effect", text, f"{name} did it, and its journal does not say so")
    used: set[bytes] = set()
    for (name, job), permit in disks.records.items():
        entry, key = disks.permits.get(permit), keys.get(job, "")
        if entry is None:
            why = "Medulla never signed its permit"
        elif (entry.job_id, disks.names.get(entry.target, "")) != (job, name):
            why = "its permit is for another job or device"
        elif permit in used:
            why = "its permit was used before"
        else:
            used.add(permit)
            continue
        found.unpermitted_effects += 1
        bad("unpermitted_effect", key, f"{name} began it: {why}")


def story_of(disks: Disks, key: str) -> list[str]:
    """The story of the job with that key, a line for each entry."""
    known = disks.jobs.get(disks.keys.get(key, b""))
    return [] if known is None else [_line(disks, entry) for entry in known[2]]


def _line(disks: Disks, entry: StoryEntry) -> str:
    at_ms, what, device, why = entry
    return " ".join(filter(None, (str(at_ms), what, disks.names.get(device, ""), str(why))))


__all__ = ["ONCE", "Asked", "Disks", "Verdict", "Violation", "judge", "read_disks", "story_of"]
