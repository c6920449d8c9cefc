"""What is on the disks when nothing runs any more, and what has to be true of it.

The coordinator's journal says how every job ended; the devices' journals say under which permit they worked; Medulla's
log says which permits were ever signed, for what, and for whom. They are compared with each other, and with the ledger,
which knows what was really done and told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kindmesh.coordinator.brain.medulla.service import SCHEMA as MEDULLA_SCHEMA
from kindmesh.coordinator.heart.journal import HEART_SCHEMA, HeartJournal, JobRow
from kindmesh.coordinator.simulate.ledger import OPERATIONS, Ledger
from kindmesh.coordinator.simulate.world import ENDED, START_MS, World, home_of
from kindmesh.mesh.audit import PAGE, AuditRows
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.node.journal import NODE_SCHEMA, NodeJournal
from kindmesh.protocol.audit import AuditEntry, open_entry

if TYPE_CHECKING:
    from kindmesh.coordinator.simulate.play import Player

MAY_HAVE_HAPPENED: Final = ("succeeded", "uncertain", "cancelled")
"""Endings of what may not be done twice that do not deny that it was done."""


def judge_disks(world: World, ledger: Ledger, player: Player) -> dict[str, int]:
    """Compare everything; returns how many jobs ended in which state. What is wrong is in the ledger."""
    rows = _rows(world)
    for key in ledger.acknowledged:
        job = player.jobs[key]
        row = rows.get(job.job_id)
        if row is None:
            ledger.violate("lost", "acknowledged, and not in the journal", key)
        else:
            _judge_job(ledger, key, row, unfinished=player.over.is_set())
    _judge_notes(world, ledger, player)
    _judge_permits(world, ledger)
    for number, row in enumerate(rows.values()):
        ended_ms = row.ended_ms - START_MS if row.ended_ms else 0
        ledger.note("row", number, row.facts.operation, row.now.state, row.now.epoch, ended_ms, row.now.story)
    for violation in list(ledger.violations):
        wanted = player.jobs.get(violation.job)
        found = None if wanted is None else rows.get(wanted.job_id)
        if found is not None:
            lines = [
                f"{at_ms - START_MS} journal {what} {world.name_of(device)} {detail}"
                for at_ms, what, device, detail in found.now.story
            ]
            ledger.by_job[violation.job] = sorted(
                [*ledger.by_job[violation.job], *lines], key=lambda line: int(line.split()[0])
            )
    return dict(sorted(Counter(row.now.state for row in rows.values()).items()))


def _rows(world: World) -> dict[bytes, JobRow]:
    store = Store.open(home_of(world.folder, "desk").coordinator_journal, HEART_SCHEMA, sync="inline")
    try:
        journal = HeartJournal(store, RunVault(store, bytes(32), entropy=SeededEntropy("disks")))
        return {row.facts.job_id: row for row in reversed(journal.recent(1_000_000))}
    finally:
        store.close()


def _judge_job(ledger: Ledger, key: str, row: JobRow, *, unfinished: bool) -> None:
    state, operation = row.now.state, OPERATIONS.get(row.facts.operation)
    told = ledger.endings.get(key, [])
    if not row.ended_ms or state not in ENDED:
        if told:
            ledger.violate("contradiction", f"told {told[0]}, and the journal says {state}", key)
        elif not unfinished:
            ledger.violate("stuck", f"everything has ended, and this is {state}", key)
        return
    if told and told[0] != state:
        ledger.violate("contradiction", f"told {told[0]}, and the journal says {state}", key)
    if operation is None:
        return
    did = [effect.device for effect in ledger.effects if effect.job == key]
    if state == "succeeded" and not did:
        ledger.violate("contradiction", "it succeeded, and nobody did it", key)
    if did and not operation.idempotent and state not in MAY_HAVE_HAPPENED:
        ledger.violate("contradiction", f"done on {did[0]}, and said to have {state}", key)


def _judge_notes(world: World, ledger: Ledger, player: Player) -> None:
    """A shipped capability, which tells the ledger nothing: its own files say what it did."""
    times: Counter[str] = Counter()
    for name in world.names:
        notes = home_of(world.folder, name).data / "notes" / "notes.jsonl"
        if notes.exists():
            times.update(json.loads(line)["text"] for line in notes.read_text().splitlines())
    for key, count in times.items():
        if count > 1:
            ledger.violate("duplicate_effect", f"notes.append was done {count} times", key)
    ledger.events["notes"] += sum(times.values())


def _judge_permits(world: World, ledger: Ledger) -> None:
    """Every permit that a device used was signed, for that job on that device, while it was a member; and used once."""
    desk = home_of(world.folder, "desk")
    store = Store.open(desk.medulla / "state" / "medulla.db", MEDULLA_SCHEMA, sync="inline")
    try:
        log = list(_entries(AuditRows(store)))
    finally:
        store.close()
    signed = {entry.subject: entry for entry in log if (entry.kind, entry.answer) == ("permit", "allow")}
    for name, revoked_ms in ledger.revoked_ms.items():
        target = world.identify(name, home_of(world.folder, name))
        late = [
            entry
            for entry in signed.values()
            if entry.target == target and entry.at_ms > START_MS + revoked_ms
        ]
        if late:
            ledger.violate(
                "revoked_acted", f"Medulla permitted {late[0].operation} on {name} after its removal"
            )
    for entry in log:
        ledger.note("log", entry.at_ms, entry.kind, entry.answer, entry.subject.hex(), entry.target.hex())
    used: Counter[bytes] = Counter()
    for name in world.names:
        _judge_records(world, ledger, name, signed, used)
    twice = [permit for permit, times in used.items() if times > 1]
    if twice:
        ledger.violate("unpermitted_effect", f"permit {twice[0].hex()} was used by two devices")


def _judge_records(
    world: World, ledger: Ledger, name: str, signed: dict[bytes, AuditEntry], used: Counter[bytes]
) -> None:
    home = home_of(world.folder, name)
    target = world.identify(name, home)
    store = Store.open(home.node_journal, NODE_SCHEMA, sync="inline")
    try:
        journal = NodeJournal(store, bytes(32), SeededEntropy("disks"))
        for (job_id,) in store.query("SELECT job_id FROM jobs ORDER BY job_id"):
            record = journal.find(job_id)
            if record is None:
                continue
            used[record.permit_id] += 1
            entry = signed.get(record.permit_id)
            if entry is None or (entry.job_id, entry.target) != (job_id, target):
                ledger.violate(
                    "unpermitted_effect",
                    f"{name} took a permit that was never signed for this",
                    world.key_of(job_id),
                )
    finally:
        store.close()


def _entries(rows: AuditRows) -> Iterator[AuditEntry]:
    after = 0
    while after < rows.size:
        for _, row in rows.page(after, PAGE):
            yield open_entry(row.entry)
        after = min(rows.size, after + PAGE)


__all__ = ["judge_disks"]
