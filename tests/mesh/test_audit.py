"""The audit log on disk: what a turn notes is there with it or not at all, always signed, and no change goes unseen."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.audit import AUTHOR, MESH, ManualClock, check_rows, entries_of, open_log

from kindmesh.mesh.audit import MINUTE_MS, REFUSALS_MAX
from kindmesh.protocol.audit import content_digest, open_head
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import StoreConflict
from kindmesh.protocol.merkle import verify_consistency

GROUPS = (1, 3, 1, 2, 5, 1)
SIZE = sum(GROUPS)


def write(path: Path, groups: tuple[int, ...] = GROUPS) -> None:
    """A log of several groups of entries, one commit each."""
    store, log = open_log(path)
    for group, count in enumerate(groups):
        for number in range(count):
            log.note("effect", "intent", subject=bytes([group]), number=number, contents=b"secret words")
        store.commit_now()
    store.close()


def tamper(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for sql, values in statements:
            connection.execute(sql, values)
    connection.close()


def named(path: Path) -> set[int]:
    """The entries that the check names."""
    store, log = open_log(path)
    store.abandon()
    store, log = open_log(path)
    log._notes.clear()  # what opening a broken log notes is not what is checked here
    check = check_rows(log)
    store.abandon()
    return {number for problem in check.problems for number in range(problem.first, problem.last + 1)}


def test_entries_are_chained_and_every_group_is_signed_at_its_end(tmp_path: Path) -> None:
    write(tmp_path / "log.db")
    store, log = open_log(tmp_path / "log.db")
    check = check_rows(log)
    assert (check.problems, check.rewritten, check.entries) == ([], False, SIZE)
    sealed = [number for number, row in log.page(0) if row.seal]
    assert sealed == [sum(GROUPS[: count + 1]) for count in range(len(GROUPS))]
    assert log.head is not None
    assert open_head(log.head, AUTHOR.public, MESH) == check.head
    assert [entry.seq for entry in entries_of(log)] == list(range(1, SIZE + 1))
    store.close()


def test_a_turn_that_is_undone_takes_its_notes_with_it(tmp_path: Path) -> None:
    store, log = open_log(tmp_path / "log.db")
    log.note("effect", "intent")
    store.commit_now()
    log.note("effect", "succeeded")
    store._spoil_turn(StoreConflict("made up"))
    with pytest.raises(StoreConflict):
        store.commit_now()
    assert (log.committed, log.unwritten) == (1, 1)
    log.note("effect", "failed")
    store.commit_now()
    assert [entry.answer for entry in entries_of(log)] == ["intent", "failed"]
    assert not check_rows(log).problems
    store.close()


def test_what_a_crash_leaves_is_whole_and_signed(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    write(path)
    store, log = open_log(path)
    log.note("effect", "intent")
    store.abandon()
    store, log = open_log(path)
    assert (log.committed, log.problem) == (SIZE, "")
    assert not check_rows(log).problems
    store.close()


def test_an_entry_holds_a_keyed_hash_and_forgetting_deletes_the_key(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    store, log = open_log(path)
    log.note("effect", "intent", run_id=b"r" * 16, contents=b"a letter")
    log.note("effect", "intent", run_id=b"s" * 16, contents=b"a letter")
    store.commit_now()
    first, second = entries_of(log)
    key = log.key(1)
    assert key is not None
    assert first.digest == content_digest(key, b"a letter") != second.digest
    assert log.forget(b"r" * 16) == 1
    store.commit_now()
    assert (log.key(1), log.key(2) is None) == (None, False)
    assert log.forget_before(2**53) == 1
    store.commit_now()
    store.scrub()
    assert not check_rows(log).problems
    store.close()
    assert key not in path.read_bytes()
    assert b"a letter" not in path.read_bytes()


def test_a_flood_of_refusals_is_two_entries_a_minute_and_bounded(tmp_path: Path) -> None:
    clock = ManualClock()
    store, log = open_log(tmp_path / "log.db", clock)
    for _ in range(1000):
        log.refused("message", b"p" * 20, "BAD_SIGNATURE")
    log.tick()
    store.commit_now()
    assert [entry.number for entry in entries_of(log)] == [1]
    clock.at_ms += MINUTE_MS + 1
    log.tick()
    store.commit_now()
    assert [(entry.number, entry.code) for entry in entries_of(log)][1] == (999, "BAD_SIGNATURE")
    for peer in range(4 * REFUSALS_MAX):
        log.refused("message", peer.to_bytes(20, "big"), "REPLAYED")
    log.flush()
    store.commit_now()
    found = entries_of(log)[2:]
    assert len(found) <= 2 * REFUSALS_MAX + 2
    assert sum(entry.number for entry in found) == 4 * REFUSALS_MAX
    store.close()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 1300])
def test_proofs_come_from_what_is_kept(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log.db"
    write(path, (size,))
    store, log = open_log(path)
    assert log.head is not None
    root = open_head(log.head, AUTHOR.public, MESH).root
    for seen in {1, size // 3 or 1, size - 1 or 1}:
        news = log.news(seen)
        if seen == size:
            assert news is None
        else:
            assert news is not None
            assert verify_consistency(seen, size, log.root(seen), root, news.proof)
    fresh, ahead = log.news(0), log.news(size + 1)
    assert fresh is not None
    assert ahead is not None
    assert (fresh.proof, ahead.base) == ((), 0)
    assert log.news(size) is None
    store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, SIZE), st.data())
def test_every_flipped_bit_is_found_and_the_entry_is_named(
    tmp_path_factory: pytest.TempPathFactory, number: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "log.db"
    write(path)
    store, log = open_log(path)
    row = log.page(number - 1, 1)[0][1]
    store.close()
    column = data.draw(st.sampled_from(["entry", "seal"])) if row.seal else "entry"
    value = bytearray(getattr(row, column))
    place = data.draw(st.integers(0, len(value) * 8 - 1))
    value[place // 8] ^= 1 << place % 8
    tamper(path, (f"UPDATE audit SET {column} = ? WHERE seq = ?", (bytes(value), number)))  # noqa: S608
    assert number in named(path)


@pytest.mark.parametrize("number", range(1, SIZE + 1))
def test_every_removed_entry_is_found_also_when_the_rest_is_renumbered(tmp_path: Path, number: int) -> None:
    for renumber in (False, True):
        path = tmp_path / f"{renumber}.db"
        write(path)
        statements: list[tuple[str, tuple[Any, ...]]] = [("DELETE FROM audit WHERE seq = ?", (number,))]
        if renumber:
            statements += [
                ("UPDATE audit SET seq = seq - 1 WHERE seq = ?", (n,)) for n in range(number + 1, SIZE + 1)
            ]
        tamper(path, *statements)
        if number < SIZE:
            assert number in named(path)


@pytest.mark.parametrize("number", range(1, SIZE))
def test_every_swap_of_neighbours_is_found(tmp_path: Path, number: int) -> None:
    path = tmp_path / "log.db"
    write(path)
    tamper(
        path,
        ("UPDATE audit SET seq = 1000 WHERE seq = ?", (number,)),
        ("UPDATE audit SET seq = ? WHERE seq = ?", (number, number + 1)),
        ("UPDATE audit SET seq = ? WHERE seq = 1000", (number + 1,)),
    )
    assert {number, number + 1} & named(path)


@pytest.mark.parametrize("number", range(1, SIZE + 2))
def test_every_inserted_entry_is_found(tmp_path: Path, number: int) -> None:
    path = tmp_path / "log.db"
    write(path)
    tamper(
        path,
        *[("UPDATE audit SET seq = seq + 1 WHERE seq = ?", (n,)) for n in range(SIZE, number - 1, -1)],
        (
            "INSERT INTO audit SELECT ?, entry, NULL FROM audit WHERE seq = ?",
            (number, 1 if number > 1 else 2),
        ),
    )
    assert {number, number + 1} & named(path)  # of two that are the same, the second is named


@pytest.mark.parametrize("left", range(1, SIZE))
def test_a_cut_inside_a_group_is_found_and_at_its_end_only_a_witness_knows(tmp_path: Path, left: int) -> None:
    path = tmp_path / "log.db"
    write(path)
    tamper(path, ("DELETE FROM audit WHERE seq > ?", (left,)))
    at_a_seal = left in [sum(GROUPS[: count + 1]) for count in range(len(GROUPS))]
    assert (left in named(path)) is not at_a_seal


def test_a_history_written_anew_without_the_key_is_found_by_its_first_signature(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    write(path, GROUPS[:3])
    store, log = open_log(path)
    log._signing = SigningKey(bytes(32))
    for count in GROUPS[3:]:
        for number in range(count):
            log.note("effect", "intent", number=number)
        store.commit_now()
    store.close()
    assert named(path) == {sum(GROUPS[:3]) + 1, sum(GROUPS[:4])}


def test_a_log_that_was_changed_is_gone_on_with_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    write(path)
    tamper(path, ("UPDATE audit SET seal = ? WHERE seq = ?", (bytes(64), SIZE)))
    store, log = open_log(path)
    assert log.problem
    assert log.head is None
    log.note("effect", "intent")
    store.commit_now()
    assert [(entry.kind, entry.answer) for entry in entries_of(log)[-2:]] == [
        ("audit", "broken"),
        ("effect", "intent"),
    ]
    first, second = check_rows(log).problems
    assert (first.first, first.last) == (SIZE, SIZE)
    assert "signature" in first.text
    assert second.first == SIZE + 1
    store.close()
