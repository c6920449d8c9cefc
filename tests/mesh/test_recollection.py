"""What is remembered over a restart, and what a crash or a full disk can do to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kindmesh.mesh.boot_machine import Start
from kindmesh.mesh.recollection import BOOTS_FILE, SEEN_FILE, Recollection
from kindmesh.protocol.errors import BackPressure, DiskFull, InsecurePermissions, Replayed, StoreDamaged

PHONE, DESK = b"p" * 20, b"d" * 20


def number(value: int) -> bytes:
    return value.to_bytes(16, "big")


def test_ids_are_remembered_until_they_expire(tmp_path: Path) -> None:
    kept = Recollection(tmp_path)
    kept.accept(PHONE, number(1), 1_000, 0)
    kept.accept(PHONE, number(2), 5_000, 0)
    kept.accept(DESK, number(1), 5_000, 0)
    kept.close()
    later = Recollection(tmp_path)
    for author, one in ((PHONE, 2), (DESK, 1)):
        with pytest.raises(Replayed):
            later.accept(author, number(one), 5_000, 2_000)
    later.accept(PHONE, number(1), 9_000, 2_000)
    later.close()
    later.close()
    assert (tmp_path / SEEN_FILE).stat().st_size == 3 * 44


def test_a_record_that_a_crash_cut_off_is_the_last_one(tmp_path: Path) -> None:
    kept = Recollection(tmp_path)
    kept.accept(PHONE, number(1), 5_000, 0)
    kept.close()
    with (tmp_path / SEEN_FILE).open("ab") as file:
        file.write(b"half")
    again = Recollection(tmp_path)
    with pytest.raises(Replayed):
        again.accept(PHONE, number(1), 5_000, 0)
    again.accept(PHONE, number(2), 5_000, 0)
    third = Recollection(tmp_path)
    with pytest.raises(Replayed):
        third.accept(PHONE, number(2), 5_000, 0)


def test_a_full_disk_refuses_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Recollection(tmp_path)
    kept.accept(PHONE, number(1), 5_000, 0)
    real = os.write

    def short(fd: int, data: bytes) -> int:
        if len(data) == 44:
            return real(fd, data[:10])
        raise OSError(28, "no room")

    monkeypatch.setattr("kindmesh.mesh.files.os.write", short)
    with pytest.raises(DiskFull):
        kept.accept(PHONE, number(2), 5_000, 0)
    monkeypatch.undo()
    kept.accept(PHONE, number(3), 5_000, 0)
    again = Recollection(tmp_path)
    with pytest.raises(Replayed):
        again.accept(PHONE, number(3), 5_000, 0)


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kindmesh.mesh.recollection.REWRITE_AT", 440)
    kept = Recollection(tmp_path)
    for value in range(100):
        kept.accept(PHONE, number(value), value + 10, value)
    assert (tmp_path / SEEN_FILE).stat().st_size <= 440 + 12 * 44


def test_an_author_fills_only_its_own_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kindmesh.mesh.recollection.PER_AUTHOR", 3)
    kept = Recollection(tmp_path)
    for value in range(3):
        kept.accept(PHONE, number(value), 9_000, 0)
    with pytest.raises(BackPressure):
        kept.accept(PHONE, number(4), 9_000, 0)
    kept.accept(DESK, number(4), 9_000, 0)
    kept.close()
    monkeypatch.setattr("kindmesh.mesh.recollection.PER_AUTHOR", 2)
    fewer = Recollection(tmp_path)
    fewer.accept(DESK, number(5), 9_000, 0)


def test_starts_and_copies_are_remembered(tmp_path: Path) -> None:
    kept = Recollection(tmp_path)
    assert kept.confirm(PHONE, Start(2, b"a" * 8)) == "first"
    assert kept.confirm(PHONE, Start(2, b"a" * 8)) == "same"
    assert Recollection(tmp_path).confirm(PHONE, Start(1, b"b" * 8)) == "copy"
    again = Recollection(tmp_path)
    assert again.boots.copied == {PHONE}
    again.release(PHONE)
    again.forget(PHONE)
    assert Recollection(tmp_path).boots.copied == set()


def test_a_damaged_or_open_file_of_starts_is_an_error(tmp_path: Path) -> None:
    Recollection(tmp_path).confirm(PHONE, Start(2, b"a" * 8))
    path = tmp_path / BOOTS_FILE
    path.chmod(0o644)
    with pytest.raises(InsecurePermissions):
        Recollection(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"nonsense")
    with pytest.raises(StoreDamaged):
        Recollection(tmp_path)


def test_without_a_folder_nothing_is_written() -> None:
    kept = Recollection()
    kept.accept(PHONE, number(1), 5_000, 0)
    with pytest.raises(Replayed):
        kept.accept(PHONE, number(1), 5_000, 0)
    assert kept.confirm(PHONE, Start(1, b"a" * 8)) == "first"
