"""Notes: numbered, synced, whole."""

from __future__ import annotations

import asyncio
import errno
import time
from pathlib import Path

import pytest
from tests.capabilities.conftest import OpenBench

from kindmesh.capabilities.notes.handlers import _store_error, append_line, read_lines
from kindmesh.protocol.errors import DiskFull, InvalidInput, StoreDamaged, StoreError


async def test_notes_are_numbered_and_listed_in_order(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        before = time.time_ns() // 1_000_000
        written = [
            await bench.call("notes.append", {"text": text}) for text in ("one", "two\nlines 🍎", "three")
        ]
        assert [note["line"] for note in written] == [1, 2, 3]
        assert before <= written[0]["written_ms"] <= time.time_ns() // 1_000_000
        listed = await bench.call("notes.list", {"first": 2, "count": 1})
        assert listed["total"] == 3
        assert listed["notes"] == [
            {"line": 2, "written_ms": written[1]["written_ms"], "text": "two\nlines 🍎"}
        ]
        assert (await bench.call("notes.list", {"first": 9}))["notes"] == []


async def test_appending_twice_writes_twice(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        numbers = await asyncio.gather(*(bench.call("notes.append", {"text": "same"}) for _ in range(20)))
        assert sorted(answer["line"] for answer in numbers) == list(range(1, 21))
        assert (await bench.call("notes.list"))["total"] == 20


async def test_notes_outlive_the_host(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        await bench.call("notes.append", {"text": "kept"})
    async with open_bench() as bench:
        assert (await bench.call("notes.list"))["notes"][0]["text"] == "kept"


async def test_an_empty_note_is_refused(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        with pytest.raises(InvalidInput) as refused:
            await bench.call("notes.append", {"text": " \n "})
        assert refused.value.field == "text"


def test_what_a_power_cut_left_of_a_note_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    append_line(path, "whole", 1)
    with path.open("ab") as file:
        file.write(b'{"written_ms":2,"te')
    assert append_line(path, "next", 3) == 2
    assert [note["text"] for note in read_lines(path, 1, 10).notes] == ["whole", "next"]


def test_a_damaged_note_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    append_line(path, "whole", 1)
    with path.open("ab") as file:
        file.write(b"garbage\n")
    with pytest.raises(StoreDamaged, match="note 2"):
        read_lines(path, 1, 10)


def test_a_full_disk_is_told_as_such() -> None:
    assert isinstance(_store_error(OSError(errno.ENOSPC, "no space")), DiskFull)
    assert type(_store_error(OSError(errno.EIO, "broken"))) is StoreError
