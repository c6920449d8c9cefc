"""What is on the disks after a simulated run, and what has to be true of it.

The coordinator's journal says how every job ended; the devices' own files say what was really done; their journals say
under which permit; Medulla's log says which permits were ever signed, for what, and for whom. `check` compares all
four. `fingerprint` is the hash of the whole history: the same for the same seed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.support.audit import check_rows, entries_of

from kindmesh.coordinator.brain.medulla.service import SCHEMA as MEDULLA_SCHEMA
from kindmesh.coordinator.heart.journal import HEART_SCHEMA, HeartJournal, JobRow
from kindmesh.coordinator.simulate.work import MANIFEST, done
from kindmesh.coordinator.simulate.world import ENDED, START_MS, Submitted, World, home_of
from kindmesh.mesh.audit import AuditRows
from kindmesh.mesh.audit_witness import Remembered, remembered
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.store import Store
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.vault import RunVault
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.node.job_events import Record
from kindmesh.node.journal import NODE_SCHEMA, NodeJournal
from kindmesh.protocol.audit import AuditEntry, AuditHead, content_digest
from kindmesh.protocol.audit_check import LogCheck
from kindmesh.protocol.codec import decode, encode_value
from kindmesh.protocol.ids import key_id

ONCE: Final = ("work.add", "work.switch", "notes.append")
"""Operations whose effect may not happen twice."""


@dataclass
class Evidence:
    """`effects`: (device, job id, operation) of everything that was done; `records`: (device, job id) -> what the
    device's journal has; `permits`: permit id -> Medulla's entry about it."""

    rows: dict[bytes, JobRow] = field(default_factory=dict)
    effects: list[tuple[str, bytes, str]] = field(default_factory=list)
    records: dict[tuple[str, bytes], Record] = field(default_factory=dict)
    permits: dict[bytes, AuditEntry] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    log: list[AuditEntry] = field(default_factory=list)
    keys: dict[int, bytes] = field(default_factory=dict)
    logs: dict[bytes, LogCheck] = field(default_factory=dict)
    heads: list[Remembered] = field(default_factory=list)
    noted: set[tuple[str, bytes, bytes]] = field(default_factory=set)

    def look_at_log(self, store: Store, mesh: bytes, public: bytes) -> None:
        """Check the audit log in a store, and take over what that store remembers of others."""
        rows = AuditRows(store)
        self.logs[key_id(public)] = check_rows(rows, mesh, public, tuple(range(1, rows.size + 1)))
        self.heads += remembered(store)

    def devices_that_did(self, job: Submitted) -> list[str]:
        """One name for every time the job was done."""
        return [device for device, job_id, _ in self.effects if job_id == job.job_id]

    def state(self, job: Submitted) -> str:
        """How the job ended."""
        return self.rows[job.job_id].now.state

    def device(self, job: Submitted) -> str:
        """The device that the coordinator has written down."""
        return self.names.get(self.rows[job.job_id].now.device, "")

    def story(self, job: Submitted) -> list[str]:
        """The words of its story."""
        return [entry[1] for entry in self.rows[job.job_id].now.story]


def gather(world: World) -> Evidence:
    """Read all disks; nothing may run any more."""
    found = Evidence()
    entropy = SeededEntropy("evidence")
    desk = home_of(world.folder, "desk")
    trust = Trust.load(desk.identity)
    store = Store.open(desk.coordinator_journal, HEART_SCHEMA, sync="inline")
    found.look_at_log(store, trust.mesh, trust.coordinator.ed_pub)
    journal = HeartJournal(store, RunVault(store, bytes(32), entropy=entropy))
    found.rows = {row.facts.job_id: row for row in reversed(journal.recent(1000))}
    store.close()
    keys = {job.key: job.job_id for job in world.jobs}
    for name in world.names:
        home = home_of(world.folder, name)
        found.names[Identity.load(home.identity, entropy, start=False).device_id] = name
        found.effects += [(name, job_id, operation) for job_id, operation in done(home.data)]
        notes = home.data / "notes" / "notes.jsonl"
        texts = (
            [json.loads(line)["text"] for line in notes.read_text().splitlines()] if notes.exists() else []
        )
        found.effects += [(name, keys[text], "notes.append") for text in texts]
        store = Store.open(home.node_journal, NODE_SCHEMA, sync="inline")
        found.look_at_log(
            store, trust.mesh, Identity.load(home.identity, entropy, start=False).signing.public
        )
        found.noted |= {
            (name, entry.job_id, entry.subject)
            for entry in entries_of(AuditRows(store))
            if entry.kind == "effect"
        }
        node_journal = NodeJournal(store, bytes(32), entropy)
        for (job_id,) in store.query("SELECT job_id FROM jobs ORDER BY job_id"):
            record = node_journal.find(job_id)
            assert record is not None
            found.records[name, job_id] = record
        store.close()
    store = Store.open(desk.medulla / "state" / "medulla.db", MEDULLA_SCHEMA, sync="inline")
    (medulla,) = trust.membership.anchors.of_kind("medulla")
    found.look_at_log(store, trust.mesh, medulla.ed_pub)
    found.log = entries_of(AuditRows(store))
    found.keys = {entry.seq: AuditRows(store).key(entry.seq) or b"" for entry in found.log if entry.digest}
    store.close()
    found.permits = {
        entry.subject: entry for entry in found.log if (entry.kind, entry.answer) == ("permit", "allow")
    }
    return found


def check(world: World) -> Evidence:
    """Gather, and assert what must hold in every world."""
    found = gather(world)
    assert not world.problems, world.problems
    for job in world.jobs:
        _check_job(found, job)
    alone = {job_id for job_id, row in found.rows.items() if row.facts.run_id == job_id}
    assert alone <= {job.job_id for job in world.jobs}
    for check in found.logs.values():
        assert (check.problems, check.rewritten) == ([], False)
    for one in found.heads:
        head = decode(AuditHead, one.head.payload)
        assert (one.problem, found.logs[one.author].roots[head.size]) == ("", head.root)
    used = Counter(record.permit_id for record in found.records.values())
    assert set(used.values()) <= {1}, "a permit was used by two devices"
    for (device, job_id), record in found.records.items():
        entry = found.permits.get(record.permit_id)
        assert entry is not None, f"{device} took a permit that Medulla never signed"
        if record.state == "done":
            assert (device, job_id, record.permit_id) in found.noted, "an effect that is not in the audit log"
        assert (entry.job_id, found.names[entry.target]) == (job_id, device)
        assert entry.operation == record.operation
    return found


def _check_job(found: Evidence, job: Submitted) -> None:
    if not job.acknowledged:
        return
    row = found.rows[job.job_id]
    told = f"{job.key} {row.facts.operation} {row.now.state}: {row.now.story}"
    assert row.ended_ms, told
    assert row.now.state in ENDED, told
    assert job.endings in ([], [row.now.state]), (told, job.endings)
    did = found.devices_that_did(job)
    permits = [entry for entry in found.permits.values() if entry.job_id == job.job_id]
    for entry in permits:
        assert entry.digest == content_digest(found.keys[entry.seq], _arguments(job)), told
    for device, times in Counter(did).items():
        record = found.records[device, job.job_id]
        assert record.begun, told
        signed = sum(found.names[entry.target] == device for entry in permits)
        assert times <= signed, f"done {times} times on {device} with {signed} permits: {told}"
    if row.facts.operation == "work.switch":
        asked = [entry for entry in found.log if entry.kind == "approval" and entry.job_id == job.job_id]
        assert len(permits) <= len([entry for entry in asked if entry.answer == "allow"]), told
    if row.facts.operation in ONCE:
        assert len(did) <= 1, f"done twice, on {did}: {told}"
        assert row.now.state != "succeeded" or did == [found.device(job)], told
        assert row.now.state in ("succeeded", "uncertain", "cancelled") or not did, (
            f"done, but said not to be: {told}"
        )
    elif row.facts.operation.startswith("work.") and row.now.state == "succeeded":
        assert found.device(job) in did, told


def _arguments(job: Submitted) -> bytes:
    known = MANIFEST.operation(job.wish.operation)
    defaults = {} if known is None else {"before_ms": 0, "after_ms": 0}
    return encode_value({**defaults, **job.wish.args})


def fingerprint(world: World, found: Evidence) -> str:
    """The history as a hash: every job with its story, every effect, every decision of Medulla, every step."""
    numbers = {job.job_id: number for number, job in enumerate(world.jobs)}
    lines: list[object] = [
        [number, row.facts.operation, row.now.state, row.now.epoch, row.ended_ms - START_MS, row.now.story]
        for number, row in ((numbers[job_id], row) for job_id, row in found.rows.items() if job_id in numbers)
    ]
    lines += sorted(
        (device, numbers.get(job_id, -1), operation) for device, job_id, operation in found.effects
    )
    lines += [
        [entry.at_ms, entry.kind, entry.answer, entry.subject.hex(), entry.target.hex()]
        for entry in found.log
    ]
    lines += [[process.name, process.steps] for process in world.processes]
    lines += [world.network.lost, world.clock.monotonic()]
    return hashlib.sha256(repr(lines).encode()).hexdigest()


__all__ = ["ONCE", "Evidence", "check", "fingerprint", "gather"]
