"""The store: turns, waiting, errors, schema versions, and what a damaged or foreign file is told."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from kindmesh.mesh.durability import LogSync, Where
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.mesh.virtual import run_virtual
from kindmesh.protocol.errors import (
    InternalError,
    KindmeshError,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreTooNew,
)

V1 = Migration(1, ("CREATE TABLE entry(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",))
V2 = Migration(2, ("ALTER TABLE entry ADD COLUMN mood TEXT", "CREATE INDEX by_mood ON entry(mood)"))
SCHEMA = Schema("test", 1, (V1,))
INSERT = "INSERT INTO entry(text) VALUES(?)"
TEXTS = "SELECT text FROM entry ORDER BY id"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "journal.db"


def texts(store: Store) -> list[str]:
    return [row[0] for row in store.query(TEXTS)]


def seen_by_others(path: Path) -> list[str]:
    other = Store.open_readonly(path, SCHEMA)
    try:
        return texts(other)
    finally:
        other.close()


def test_files_are_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store.open(path, SCHEMA)
        store.execute(INSERT, ("one",))
        store.commit_now()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()} == {0o600}
    assert len(list(path.parent.iterdir())) == 3
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()
    path.chmod(0o644)
    Store.open(path, SCHEMA).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_statements_of_one_turn_are_one_commit(path: Path) -> None:
    store = Store.open(path, SCHEMA)

    async def write(text: str) -> None:
        store.execute(INSERT, (text,))
        assert text not in seen_by_others(path)
        await store.committed()
        assert text in seen_by_others(path)

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(write(str(number)))
    assert store.statistics().commits == 1
    store.close()


async def test_a_turn_commits_even_when_nobody_waits(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("unattended",))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen_by_others(path) == ["unattended"]
    store.close()


@pytest.mark.parametrize("where", ["auto", "thread", "inline"])
async def test_waiters_for_the_disk_share_syncs(path: Path, where: Where) -> None:
    store = Store.open(path, SCHEMA, sync=where)
    at_open = store.statistics().syncs

    async def write(number: int) -> None:
        store.execute(INSERT, (f"{where} {number}",))
        await store.durable()

    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(write(number))
    assert store.statistics().syncs == at_open + 1
    await store.durable()
    assert store.statistics().syncs == at_open + 1, "nothing new to sync"
    store.close()


async def test_who_comes_during_a_sync_waits_for_the_next_one(path: Path) -> None:
    store = Store.open(path, SCHEMA, sync="thread")
    at_open = store.statistics().syncs
    store.execute(INSERT, ("first",))
    first = store.durable()
    await store.committed()
    store.execute(INSERT, ("second",))
    second = store.durable()
    await second
    assert first.done()
    assert store.statistics().syncs == at_open + 2
    store.close()


async def test_callbacks_are_told_in_the_turn_of_the_commit(path: Path) -> None:
    store = Store.open(path, SCHEMA, sync="inline")
    told: list[KindmeshError | None] = []
    store.after_commit(told.append)
    assert told == [None], "nothing pending: at once"
    store.execute(INSERT, ("one",))
    store.after_commit(told.append)
    store.after_sync(told.append)
    assert told == [None]
    store.commit_now()
    assert told == [None, None, None]
    store.close()


async def test_a_callback_that_raises_does_not_rob_the_others(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    told: list[KindmeshError | None] = []

    def broken(error: KindmeshError | None) -> None:
        raise ValueError("broken callback")

    store.execute(INSERT, ("one",))
    store.after_commit(broken)
    store.after_commit(told.append)
    with pytest.raises(ValueError, match="broken callback"):
        store.commit_now()
    await asyncio.sleep(0)
    assert told == [None]
    store.close()


async def test_cancelling_one_waiter_leaves_the_others(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("one",))
    kept, dropped = store.committed(), store.committed()
    dropped.cancel()
    await kept
    assert dropped.cancelled()
    store.close()


def test_without_a_loop_only_commit_now_commits(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("kept",))
    store.commit_now(durable=True)
    store.execute(INSERT, ("dropped",))
    assert seen_by_others(path) == ["kept"]
    store.abandon()
    assert seen_by_others(path) == ["kept"]


def test_what_was_begun_before_there_was_a_loop_keeps_nothing_from_being_committed(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("before the loop",))

    async def one_turn() -> list[str]:
        store.execute(INSERT, ("nobody waits for this",))
        await asyncio.sleep(0)
        return seen_by_others(path)

    assert asyncio.run(one_turn()) == ["before the loop", "nobody waits for this"]
    store.close()


def test_one_store_serves_one_loop_after_another(path: Path) -> None:
    store = Store.open(path, SCHEMA, sync="thread")

    async def write(text: str) -> None:
        store.execute(INSERT, (text,))
        await store.durable()
        store.execute(INSERT, (f"{text} and unattended",))

    for text in ("first", "second"):
        asyncio.run(write(text))
    store.close()
    assert seen_by_others(path) == ["first", "first and unattended", "second", "second and unattended"]


def test_virtual_time_needs_no_thread(path: Path) -> None:
    async def main() -> int:
        store = Store.open(path, SCHEMA, sync="inline")
        store.execute(INSERT, ("one",))
        await store.durable()
        found = len(texts(store))
        store.close()
        return found

    assert run_virtual(main()) == 1


async def test_a_constraint_undoes_its_statement_only(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("one",))
    with pytest.raises(StoreConflict):
        store.execute(INSERT, ("one",))
    with pytest.raises(StoreConflict):
        store.executemany(INSERT, [("two",), ("three",), ("one",)])
    await store.committed()
    assert seen_by_others(path) == ["one"]
    assert store.executemany(INSERT, [("two",), ("three",)]) == 2
    store.close()
    assert seen_by_others(path) == ["one", "two", "three"]


async def test_atomic_undoes_what_is_inside_and_nothing_else(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("outside",))

    def fail_inside() -> None:
        with store.atomic():
            store.execute(INSERT, ("inside",))
            with store.atomic():
                store.execute(INSERT, ("nested",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    with store.atomic():
        store.execute(INSERT, ("kept",))
    await store.committed()
    assert seen_by_others(path) == ["outside", "kept"]
    store.close()


async def test_awaiting_inside_atomic_is_refused_and_undone(path: Path) -> None:
    store = Store.open(path, SCHEMA)

    async def wait_inside() -> None:
        with store.atomic():
            store.execute(INSERT, ("half",))
            await store.committed()

    with pytest.raises(InternalError, match="atomic"):
        await wait_inside()
    store.close()
    assert seen_by_others(path) == []


def test_returning_and_named_parameters(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    assert store.execute_returning(f"{INSERT} RETURNING id", ("one",)) == [(1,)]
    store.execute("INSERT INTO entry(text) VALUES(:text)", {"text": "two"})
    assert store.query_one("SELECT id FROM entry WHERE text = :text", {"text": "two"}) == (2,)
    assert store.query_one("SELECT id FROM entry WHERE text = 'none'") is None
    assert store.execute("DELETE FROM entry") == 2
    store.close()


def test_wrong_sql_is_a_typed_error_and_the_turn_goes_on(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.execute(INSERT, ("one",))
    for wrong in ("SELEKT 1", "INSERT INTO nowhere VALUES(1)", "INSERT INTO entry(text) VALUES(?, ?)"):
        with pytest.raises(StoreError):
            store.execute(wrong)
        with pytest.raises(StoreError):
            store.query(wrong)
        with pytest.raises(StoreError):
            store.query_one(wrong)
        with pytest.raises(StoreError):
            store.execute_returning(wrong)
    store.close()
    assert seen_by_others(path) == ["one"]


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.close()
    store.close()
    store.abandon()
    with pytest.raises(StoreError, match="closed"):
        store.execute(INSERT, ("late",))
    with pytest.raises(StoreError, match="closed"):
        store.query(TEXTS)


def test_a_second_writer_in_the_same_process_is_refused(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    with pytest.raises(StoreError, match="already open"):
        Store.open(path, SCHEMA)
    store.close()
    Store.open(path, SCHEMA).close()


def test_readonly_cannot_write_and_needs_a_store(path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        Store.open_readonly(path, SCHEMA)
    Store.open(path, SCHEMA).close()
    reader = Store.open_readonly(path, SCHEMA)
    with pytest.raises(StoreError, match="reading only"):
        reader.execute(INSERT, ("one",))
    with pytest.raises(StoreError):
        reader.query("DELETE FROM entry")
    reader.close()


def test_migration_keeps_the_data_and_a_backup_of_the_old_version(path: Path) -> None:
    old = Store.open(path, SCHEMA)
    old.execute(INSERT, ("kept",))
    old.close()
    newer = Schema("test", 2, (V1, V2))
    store = Store.open(path, newer)
    assert store.query("SELECT text, mood FROM entry") == [("kept", None)]
    store.close()
    backup = path.with_name("journal.db.v1.backup")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert seen_by_others(backup) == ["kept"]
    with pytest.raises(StoreTooNew) as caught:
        Store.open(path, SCHEMA)
    assert str(path) in caught.value.message
    assert "version 2" in caught.value.message
    assert backup.name in caught.value.hint
    with pytest.raises(StoreTooNew):
        Store.open_readonly(path, SCHEMA)


def test_a_failed_migration_leaves_the_old_store(path: Path) -> None:
    old = Store.open(path, SCHEMA)
    old.execute(INSERT, ("kept",))
    old.close()
    broken = Migration(2, ("ALTER TABLE entry ADD COLUMN mood TEXT", "CREATE NONSENSE"))
    with pytest.raises(StoreError, match="syntax"):
        Store.open(path, Schema("test", 2, (V1, broken)))
    store = Store.open(path, SCHEMA)
    assert store.query("SELECT * FROM entry") == [(1, "kept")]
    store.close()


def test_an_older_store_is_not_read_as_if_it_were_new(path: Path) -> None:
    Store.open(path, SCHEMA).close()
    with pytest.raises(StoreError, match="version 1"):
        Store.open_readonly(path, Schema("test", 2, (V1, V2)))


def test_a_schema_lists_every_version() -> None:
    with pytest.raises(ValueError, match="in order"):
        Schema("test", 2, (V2,))


def test_a_store_of_another_kind_is_refused(path: Path) -> None:
    Store.open(path, SCHEMA).close()
    with pytest.raises(StoreDamaged, match="'other'"):
        Store.open(path, Schema("other", 1, (V1,)))


def fill(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.executemany(INSERT, [(f"{number:0500}",) for number in range(200)])
    store.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is not a store, it is a letter" * 1000)


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(os.urandom(4096 * 3))


@pytest.mark.parametrize("damage", [garbage, cut_short, overwritten])
def test_a_damaged_store_is_a_typed_error_with_a_way_out(path: Path, damage: object) -> None:
    fill(path)
    assert callable(damage)
    damage(path)
    before = path.read_bytes()
    for opening in (Store.open, Store.open_readonly):
        with pytest.raises(StoreDamaged) as caught:
            opening(path, SCHEMA)
        assert str(path) in caught.value.message
        assert "restore" in caught.value.hint
    assert path.read_bytes() == before, "a damaged file is evidence: it is not touched"


KEYED = Schema(
    "test",
    1,
    (Migration(1, ("CREATE TABLE keyed(a TEXT NOT NULL, b TEXT NOT NULL, PRIMARY KEY (b)) WITHOUT ROWID",)),),
)


def test_a_whole_store_is_not_called_damaged_by_an_sqlite_that_miscounts(path: Path) -> None:
    """SQLite 3.40 reports a column of this table as NULL as soon as there is a row."""
    store = Store.open(path, KEYED)
    store.execute("INSERT INTO keyed VALUES ('a', 'b')")
    store.commit_now()
    store.check()
    store.close()
    store = Store.open(path, KEYED)
    assert store.query("SELECT a, b FROM keyed") == [("a", "b")]
    store.close()


def test_a_value_that_is_missing_where_one_must_be_is_damage(path: Path) -> None:
    store = Store.open(path, SCHEMA)
    store.close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE loose(a TEXT)")
        other.execute("INSERT INTO loose VALUES (NULL)")
        other.execute("PRAGMA writable_schema = ON")
        other.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE loose(a TEXT NOT NULL)' WHERE name = 'loose'"
        )
    with pytest.raises(StoreDamaged, match=r"NULL value in loose\.a"):
        Store.open(path, SCHEMA)


def test_the_hint_for_a_damaged_store_names_the_backup(path: Path) -> None:
    fill(path)
    Store.open(path, Schema("test", 2, (V1, V2))).close()
    garbage(path)
    with pytest.raises(StoreDamaged) as caught:
        Store.open(path, SCHEMA)
    assert "journal.db.v1.backup" in caught.value.hint


def test_an_emptied_file_beside_a_log_is_not_taken_for_a_new_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    Path(f"{path}-wal").write_bytes(b"something")
    with pytest.raises(StoreDamaged, match="empty"):
        Store.open(path, SCHEMA)


def test_a_folder_in_the_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError):
        Store.open(path, SCHEMA)


def test_check_and_backup(path: Path) -> None:
    fill(path)
    store = Store.open(path, SCHEMA)
    store.check()
    copy = path.with_name("copy.db")
    store.execute(INSERT, ("pending",))
    store.backup(copy)
    assert seen_by_others(copy)[-1] == "pending"
    with pytest.raises(StoreError):
        store.backup(path.parent / "nowhere" / "copy.db")
    store.close()


async def test_after_a_failed_sync_nothing_is_promised_any_more() -> None:
    log = LogSync("/dev/null", "inline")  # cannot be synced: EINVAL
    told: list[KindmeshError | None] = []
    log.request([told.append, told.append], asyncio.get_running_loop())
    assert [type(error) for error in told] == [StoreError, StoreError]
    assert told[0] is not told[1]
    with pytest.raises(StoreError, match="sync"):
        log.now()
    log.request([told.append], asyncio.get_running_loop())
    assert isinstance(told[-1], StoreError)
    log.close()


async def test_a_failed_sync_in_a_thread_reaches_all_waiters() -> None:
    log = LogSync("/dev/null", "thread")
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(3)]
    for future in futures:
        log.written()
        log.request([future.set_result], loop)
    assert [type(await future) for future in futures] == [StoreError] * 3
    log.close()


async def test_closing_serves_those_who_still_wait(path: Path) -> None:
    store = Store.open(path, SCHEMA, sync="thread")
    store.execute(INSERT, ("one",))
    waiting = [store.committed(), store.durable()]
    store.close()
    await asyncio.gather(*waiting)
    assert seen_by_others(path) == ["one"]
