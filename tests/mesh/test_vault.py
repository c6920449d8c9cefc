"""The vault: sealed per run, bound to its place, forgotten with its key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kindmesh.mesh.sqlite_file import BACKUP_DAYS
from kindmesh.mesh.store import Migration, Schema, Store
from kindmesh.mesh.vault import RUN_KEY_TABLE, RunVault, folder_key
from kindmesh.protocol.errors import BadSeal, Forgotten, InsecurePermissions, StoreConflict, StoreDamaged

SCHEMA = Schema("vault", 1, (Migration(1, (RUN_KEY_TABLE,)),))
KEY = bytes(range(32))
RUN, OTHER = bytes(16), bytes([1] * 16)
WORDS = b"Dear Ada, the doctor says"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "journal.db", SCHEMA)


def test_what_is_sealed_opens_again_also_in_the_next_process(store: Store) -> None:
    sealed = RunVault(store, KEY).seal(RUN, WORDS, b"arguments")
    store.commit_now()
    assert WORDS not in sealed
    assert len(sealed) == len(WORDS) + 40
    for _ in range(2):
        assert RunVault(store, KEY).unseal(RUN, sealed, b"arguments") == WORDS
    store.close()


def test_a_sealed_value_opens_only_in_its_place(store: Store) -> None:
    vault = RunVault(store, KEY)
    sealed = vault.seal(RUN, WORDS, b"arguments")
    vault.seal(OTHER, WORDS)
    for run, changed, purpose in (
        (OTHER, sealed, b"arguments"),
        (RUN, sealed, b"result"),
        (RUN, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"arguments"),
        (RUN, sealed[:10], b"arguments"),
        (RUN, b"", b"arguments"),
    ):
        with pytest.raises(BadSeal):
            vault.unseal(run, changed, purpose)
    store.close()


def test_equal_words_are_not_seen_to_be_equal(store: Store) -> None:
    vault = RunVault(store, KEY)
    assert vault.seal(RUN, WORDS) != vault.seal(RUN, WORDS)
    store.close()


def test_a_forgotten_run_stays_forgotten(store: Store, tmp_path: Path) -> None:
    vault = RunVault(store, KEY)
    sealed, kept = vault.seal(RUN, WORDS), vault.seal(OTHER, WORDS)
    store.commit_now()
    key_on_disk = store.query("SELECT sealed FROM run_key WHERE run = ?", (RUN,))[0][0]
    assert vault.forget(RUN)
    assert not vault.forget(RUN)
    with pytest.raises(Forgotten):
        vault.unseal(RUN, sealed)
    assert vault.unseal(OTHER, kept) == WORDS
    assert store.scrub()
    for path in tmp_path.iterdir():
        assert key_on_disk not in path.read_bytes(), path
    assert vault.unseal(RUN, vault.seal(RUN, b"new")) == b"new"
    with pytest.raises(BadSeal):
        vault.unseal(RUN, sealed)
    store.close()


def test_a_key_that_was_never_committed_seals_nothing_later(store: Store) -> None:
    vault = RunVault(store, KEY)

    def fail() -> None:
        with store.atomic():
            vault.seal(RUN, WORDS)
            store.execute("INSERT INTO run_key VALUES(?, ?)", (RUN, b"again"))

    with pytest.raises(StoreConflict):
        fail()
    sealed = vault.seal(RUN, WORDS)
    store.commit_now()
    assert RunVault(store, KEY).unseal(RUN, sealed) == WORDS
    store.close()


def test_another_folders_key_opens_nothing(store: Store) -> None:
    sealed = RunVault(store, KEY).seal(RUN, WORDS)
    with pytest.raises(StoreDamaged):
        RunVault(store, bytes(32)).unseal(RUN, sealed)
    store.close()


def test_many_runs_do_not_fill_the_memory(store: Store) -> None:
    vault = RunVault(store, KEY)
    sealed = {}
    for number in range(1500):
        run = number.to_bytes(16, "big")
        sealed[run] = vault.seal(run, run)
    store.commit_now()
    assert all(vault.unseal(run, value) == run for run, value in sealed.items())
    assert len(vault._keys) <= 1024
    store.close()


def test_the_folder_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "identity" / "store.key"
    key = folder_key(path)
    assert len(key) == 32
    assert folder_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(InsecurePermissions):
        folder_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(StoreDamaged):
        folder_key(path)


def test_the_copy_from_a_migration_forgets_too(tmp_path: Path) -> None:
    first, second = Migration(1, (RUN_KEY_TABLE,)), Migration(2, ("CREATE TABLE more(x)",))
    path = tmp_path / "journal.db"
    old = Store.open(path, Schema("test", 1, (first,)))
    vault = RunVault(old, bytes(32))
    for run in (b"r" * 16, b"s" * 16):
        vault.seal(run, b"words")
    sealed = old.query_one("SELECT sealed FROM run_key WHERE run = ?", (b"r" * 16,))
    assert sealed is not None
    old.close()
    store = Store.open(path, Schema("test", 2, (first, second)))
    backup = tmp_path / "journal.db.v1.backup"
    assert sealed[0] in backup.read_bytes()
    assert RunVault(store, bytes(32)).forget(b"r" * 16)
    store.scrub()
    store.close()
    for file in tmp_path.iterdir():
        assert sealed[0] not in file.read_bytes(), file
    # The copy can still be gone back to, with what was not forgotten.
    copy = Store.open_readonly(backup, Schema("test", 1, (first,)))
    assert copy.query("SELECT run FROM run_key") == [(b"s" * 16,)]
    copy.close()


def test_a_copy_that_has_no_such_table_is_removed_by_forgetting(tmp_path: Path) -> None:
    first, second = Migration(1, ("CREATE TABLE words(x)",)), Migration(2, (RUN_KEY_TABLE,))
    path = tmp_path / "journal.db"
    Store.open(path, Schema("test", 1, (first,))).close()
    store = Store.open(path, Schema("test", 2, (first, second)))
    vault = RunVault(store, bytes(32))
    vault.seal(b"r" * 16, b"words")
    assert vault.forget(b"r" * 16)
    assert not (tmp_path / "journal.db.v1.backup").exists()
    store.close()


def test_a_copy_from_a_migration_is_not_kept_for_ever(tmp_path: Path) -> None:
    first, second = Migration(1, (RUN_KEY_TABLE,)), Migration(2, ("CREATE TABLE more(x)",))
    schema, path = Schema("test", 2, (first, second)), tmp_path / "journal.db"
    Store.open(path, Schema("test", 1, (first,))).close()
    Store.open(path, schema).close()
    backup = tmp_path / "journal.db.v1.backup"
    Store.open(path, schema).close()
    assert backup.exists()
    long_ago = backup.stat().st_mtime - (BACKUP_DAYS + 1) * 86_400
    os.utime(backup, (long_ago, long_ago))
    Store.open(path, schema).close()
    assert not backup.exists()
