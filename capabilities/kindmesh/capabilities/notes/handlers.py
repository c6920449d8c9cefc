"""Notes in one file, a line each: `{"written_ms": ..., "text": ...}` as JSON.

A note is acknowledged only after its bytes were synced to the disk. Writing is one `write` call in append mode, done
by one call at a time. A line without its end is what a power cut left of a note that nobody was told about: the next
append cuts it off first, so no note is ever glued to another. A write that began is finished even when the caller
gives up, because half a note is worse than one too many; the journal of the node knows that its outcome counts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from kindmesh.capabilities.base import Capability, Context, Services, operation
from kindmesh.capabilities.notes.manifest import MANIFEST
from kindmesh.protocol.errors import DiskFull, InvalidInput, StoreDamaged, StoreError
from kindmesh.protocol.manifest import Manifest

__all__ = ["Appended", "Listing", "Notes"]


class _Line(msgspec.Struct):
    written_ms: int
    text: str


class Appended(msgspec.Struct, frozen=True):
    """The answer of `notes.append`: the note's number, from 1, and when it was written (UTC)."""

    line: int
    written_ms: int


class Listing(msgspec.Struct, frozen=True):
    """The answer of `notes.list`."""

    notes: list[dict[str, Any]]
    total: int


def _store_error(error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("the disk is full, the note was not written")
    return StoreError(f"the notes cannot be used: {error.strerror}")


def append_line(path: Path, text: str, now_ms: int) -> int:
    """Write one note and sync it; returns its number, from 1."""
    record = msgspec.json.encode(_Line(now_ms, text)) + b"\n"
    created = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        content = _read_all(descriptor)
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.ftruncate(descriptor, whole)
        try:
            if os.write(descriptor, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, whole)
            raise
    finally:
        os.close(descriptor)
    if created:
        _sync_folder(path.parent)
    return content.count(b"\n") + 1


def _read_all(descriptor: int) -> bytes:
    parts = []
    while block := os.read(descriptor, 1 << 16):
        parts.append(block)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: Path, first: int, count: int) -> Listing:
    """Notes number `first` and up, `count` at most."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        lines = []
    notes: list[dict[str, Any]] = []
    for number, line in enumerate(lines[first - 1 : first - 1 + count], start=first):
        try:
            record = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError as error:
            raise StoreDamaged(f"note {number} is damaged") from error
        notes.append({"line": number, "written_ms": record.written_ms, "text": record.text})
    return Listing(notes, len(lines))


class Notes(Capability):
    """Serves `notes.append` and `notes.list`."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._path = Path()
        self._turn = asyncio.Lock()

    async def start(self, services: Services) -> None:
        """Find the folder; the file comes with the first note."""
        services.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = services.data_dir / "notes.jsonl"

    @operation("notes.append")
    async def append(self, context: Context, text: str) -> Appended:
        """Write down a note; answers when it is on the disk."""
        if not text.strip():
            raise InvalidInput("the note is empty", field="text", hint="Say what to write down.")
        async with self._turn:
            context.check()
            now_ms = time.time_ns() // 1_000_000
            writing = asyncio.ensure_future(asyncio.to_thread(append_line, self._path, text, now_ms))
            try:
                line = await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait([writing])
                raise
            except OSError as error:
                raise _store_error(error) from error
        return Appended(line, now_ms)

    @operation("notes.list")
    async def list(self, context: Context, first: int = 1, count: int = 20) -> Listing:
        """Read the notes, oldest first."""
        try:
            return await asyncio.to_thread(read_lines, self._path, first, count)
        except OSError as error:
            raise _store_error(error) from error
