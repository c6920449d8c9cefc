"""The audit log of a process that is killed: whole, signed to its end, and it agrees with what was done."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.audit import SCHEMA, check_rows, entries_of, open_log

from kindmesh.mesh.audit import AuditRows
from kindmesh.mesh.store import Migration, Schema, Store

WITH_DEEDS = Schema(
    "audit-test", 2, (*SCHEMA.migrations, Migration(2, ("CREATE TABLE deed (id INTEGER PRIMARY KEY)",)))
)

WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from tests.mesh.test_audit_crash import WITH_DEEDS
    from tests.support.audit import AUTHOR, MESH
    from kindmesh.mesh.audit import AuditLog
    from kindmesh.mesh.clock import SystemClock, SystemEntropy
    from kindmesh.mesh.store import Store

    async def work(store, log, number):
        while True:
            store.execute("INSERT INTO deed VALUES (?)", (number,))
            log.note("effect", "succeeded", subject=number.to_bytes(8, "big"), contents=b"words")
            await store.committed()
            os.write(1, number.to_bytes(4, "big"))
            number += 8

    async def main():
        store = Store.open(Path(sys.argv[1]), WITH_DEEDS)
        log = AuditLog(store, mesh=MESH, signing=AUTHOR, clock=SystemClock(), entropy=SystemEntropy())
        assert not log.problem, log.problem
        start = store.query_one("SELECT coalesce(max(id), 0) FROM deed")[0] // 8 * 8 + 8
        async with asyncio.TaskGroup() as group:
            for worker in range(8):
                group.create_task(work(store, log, start + worker))

    asyncio.run(main())
    """
)


def test_kill_9_never_parts_a_deed_from_its_entry_or_an_entry_from_its_signature(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random("audit")
    acknowledged: set[int] = set()
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            acks = writer.stdout.read(4 * chance.randrange(1, 3000))
            writer.send_signal(signal.SIGKILL)
            acks += writer.stdout.read()
        assert writer.returncode == -signal.SIGKILL
        acknowledged |= {int.from_bytes(acks[i : i + 4], "big") for i in range(0, len(acks) // 4 * 4, 4)}
    store = Store.open(path, WITH_DEEDS, sync="inline")
    deeds = {row[0] for row in store.query("SELECT id FROM deed")}
    check = check_rows(AuditRows(store))
    noted = {int.from_bytes(entry.subject, "big") for entry in entries_of(AuditRows(store))}
    store.close()
    assert (check.problems, check.rewritten) == ([], False)
    assert acknowledged <= deeds == noted


def test_a_log_survives_many_abandoned_turns(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random("turns")
    kept = 0
    for _ in range(30):
        store, log = open_log(path)
        for _ in range(chance.randrange(5)):
            for _ in range(chance.randrange(1, 4)):
                log.note("effect", "intent")
                kept += 1
            store.commit_now()
        log.note("effect", "lost")
        store.abandon()
    store, log = open_log(path)
    assert log.committed == kept
    assert not check_rows(log).problems
    store.close()
