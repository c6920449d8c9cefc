"""Real processes that are killed, and disks that are really full."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.protocol.errors import DiskFull, KindmeshError

SCHEMA = Schema(
    "crash", 1, (Migration(1, ("CREATE TABLE entry(id INTEGER PRIMARY KEY, body BLOB) STRICT",)),)
)
INSERT = "INSERT INTO entry(body) VALUES(?)"

WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from kindmesh.mesh.store import Migration, Schema, Store

    SCHEMA = Schema(
        "crash", 1, (Migration(1, ("CREATE TABLE entry(id INTEGER PRIMARY KEY, body BLOB) STRICT",)),)
    )

    async def work(store, worker, wait):
        number = worker
        while True:
            store.execute("INSERT INTO entry VALUES(?, ?)", (number, os.urandom(300)))
            await getattr(store, wait)()
            os.write(1, number.to_bytes(4, "big"))
            number += 8

    async def main():
        store = Store.open(Path(sys.argv[1]), SCHEMA)
        start = store.query_one("SELECT coalesce(max(id), 0) FROM entry")[0] // 8 * 8 + 8
        async with asyncio.TaskGroup() as group:
            for worker in range(8):
                group.create_task(work(store, start + worker, sys.argv[2]))

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("wait", ["committed", "durable"])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, wait: str) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(wait)
    acknowledged: set[int] = set()
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", WRITER, path, wait], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            acks = writer.stdout.read(4 * chance.randrange(1, 6000))
            writer.send_signal(signal.SIGKILL)
            acks += writer.stdout.read()
        assert writer.returncode == -signal.SIGKILL
        acknowledged |= {int.from_bytes(acks[i : i + 4], "big") for i in range(0, len(acks) // 4 * 4, 4)}
    store = Store.open(path, SCHEMA)
    store.check()
    there = {row[0] for row in store.query("SELECT id FROM entry")}
    store.close()
    assert acknowledged <= there
    assert len(acknowledged) > 100


@contextmanager
def limited(folder: Path) -> Iterator[None]:
    """Files of this process cannot grow beyond 300 kB: a full disk for anybody, root or not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """A file system of 600 kB that fills up, and has room again afterwards."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)


Full = Callable[[Path], AbstractContextManager[None]]
FULL_DISKS: list[Full] = [limited]
if os.geteuid() == 0:
    FULL_DISKS.append(tiny_disk)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    yield place
    if place.is_mount():
        subprocess.run(["umount", "-l", place], check=True)


def fill(store: Store) -> int:
    """Commit one entry after the other until the disk is full; returns how many were committed."""
    for done in range(1000):
        try:
            store.execute(INSERT, (os.urandom(20_000),))
            store.commit_now()
        except DiskFull:
            return done
    raise AssertionError("the disk never filled up")


@pytest.mark.parametrize("full", FULL_DISKS)
def test_a_full_disk_is_a_typed_error_and_loses_nothing(folder: Path, full: Full) -> None:
    path = folder / "journal.db"
    with full(folder):
        store = Store.open(path, SCHEMA)
        done = fill(store)
        assert store.query("SELECT count(*) FROM entry") == [(done,)], "nothing half-done"
        for _ in range(3):
            with pytest.raises(DiskFull):
                store.executemany(INSERT, [(os.urandom(20_000),)] * 300)
            with pytest.raises(DiskFull):
                store.execute(INSERT, (b"in the same turn",))
            with pytest.raises(DiskFull):
                store.commit_now()
            store.execute(INSERT, (bytes(500_000),))
            with pytest.raises(DiskFull):
                store.commit_now()
        assert store.query("SELECT count(*) FROM entry") == [(done,)]
    store.execute(INSERT, (b"room again",))
    store.commit_now()
    store.check()
    store.close()
    store = Store.open(path, SCHEMA)
    assert store.query("SELECT count(*) FROM entry") == [(done + 1,)]
    store.close()


@pytest.mark.parametrize("full", FULL_DISKS)
async def test_everyone_who_waits_in_the_failed_turn_is_told(folder: Path, full: Full) -> None:
    outcomes: list[KindmeshError | None] = []

    async def write(size: int, wait: str) -> None:
        try:
            store.execute(INSERT, (bytes(size),))
            await (store.durable() if wait == "durable" else store.committed())
        except KindmeshError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    with full(folder):
        store = Store.open(folder / "journal.db", SCHEMA)
        async with asyncio.TaskGroup() as group:
            for size, wait in (
                (100, "committed"),
                (100, "durable"),
                (2_000_000, "committed"),
                (100, "durable"),
            ):
                group.create_task(write(size, wait))
    assert [type(error) for error in outcomes] == [DiskFull] * 4
    assert len({id(error) for error in outcomes}) == 4
    await write(100, "durable")
    assert outcomes[-1] is None
    assert store.query("SELECT count(*) FROM entry") == [(1,)]
    store.close()


@pytest.mark.parametrize("full", FULL_DISKS)
def test_a_migration_on_a_full_disk_leaves_the_store_usable(folder: Path, full: Full) -> None:
    path = folder / "journal.db"
    newer = Schema(
        "crash", 2, (*SCHEMA.migrations, Migration(2, ("ALTER TABLE entry ADD COLUMN note TEXT",)))
    )
    with full(folder):
        store = Store.open(path, SCHEMA)
        done = fill(store)
        store.close()
        if full is tiny_disk:
            with pytest.raises(DiskFull):
                Store.open(path, newer)
            assert [p.name for p in folder.iterdir() if "backup" in p.name] == []
            store = Store.open(path, SCHEMA)
            store.close()
    store = Store.open(path, newer)
    assert store.query("SELECT count(*) FROM entry") == [(done,)]
    store.close()


def test_a_disk_without_any_room_cannot_start_a_store(folder: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DiskFull):
            Store.open(folder / "journal.db", SCHEMA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    Store.open(folder / "journal.db", SCHEMA).close()
