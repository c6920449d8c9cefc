"""What a device must still know after a restart, so that nothing old is taken for new.

    <folder>/seen      ids of messages that came in custody (and of requests), until they expire: records are only ever
                       appended; what is expired is dropped when the file is read, at a start, and when it has grown
    <folder>/boots     the highest confirmed start of each member, and which identities were found copied

An id is in the file before the message is handed on: `kill -9` cannot make it forgotten. (A power cut can take the last
moments; what has an effect is guarded by the journal then: a job is known by its id.) With a folder of None everything
stays in memory (simulator, tests).
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path
from typing import Final

from kindmesh.mesh.boot_machine import Book, Boots, Start, Verdict
from kindmesh.mesh.files import disk_error, private_folder, read_private, write_all, write_private
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError, Malformed, StoreDamaged
from kindmesh.protocol.replay import MessageMemory

log = logging.getLogger("kindmesh.mesh.recollection")

SEEN_FILE: Final = "seen"
BOOTS_FILE: Final = "boots"
PER_AUTHOR: Final = 65_536
"""Ids of one author that are remembered at once; more are refused, so that an author fills only its own room."""
REWRITE_AT: Final = 4 * 2**20
"""Bytes that were appended before the file is written anew."""
_RECORD: Final = struct.Struct(">20s16sQ")
_FILE_MAX: Final = 256 * 2**20


class Recollection:
    """See the module; one per identity and process."""

    def __init__(self, folder: Path | None = None) -> None:
        """Read what is there.

        Raises:
            StoreDamaged: the file of starts is not what was written.
            InsecurePermissions, StoreError, DiskFull.
        """
        self._folder = private_folder(folder) if folder is not None else None
        self._memories: dict[bytes, MessageMemory] = {}
        self._appended = self._size = 0
        self._fd = -1
        self.boots = Boots(self._read_book())
        self._loaded = False

    def _read_book(self) -> Book | None:
        path = self._folder / BOOTS_FILE if self._folder is not None else None
        if path is None or not path.exists():
            return None
        try:
            return decode(Book, read_private(path))
        except Malformed as error:
            raise StoreDamaged(
                f"{path} is damaged", hint="Remove it: restarts are counted anew then."
            ) from error

    # ------------------------------------------------------------------------------------------------ messages

    def accept(self, author: bytes, message_id: bytes, expires_ms: int, now_ms: int) -> None:
        """Take note of a message (ids of 20 and 16 bytes), until it could not be accepted anyway.

        Raises:
            Replayed: seen before. BackPressure: its author has too many alive. DiskFull, StoreError.
        """
        if not self._loaded:
            self._load(now_ms)
        self._memory(author).accept(message_id, expires_ms, now_ms)
        if self._fd < 0:
            return
        self._append(_RECORD.pack(author, message_id, expires_ms))
        if self._appended >= REWRITE_AT:
            self._rewrite(now_ms)

    def _memory(self, author: bytes) -> MessageMemory:
        memory = self._memories.get(author)
        if memory is None:
            memory = self._memories[author] = MessageMemory(PER_AUTHOR)
        return memory

    def _load(self, now_ms: int) -> None:
        self._loaded = True
        if self._folder is None:
            return
        self._rewrite(now_ms)
        for author, message_id, expires_ms in self._records(now_ms):
            try:
                self._memory(author).accept(message_id, expires_ms, now_ms)
            except KindmeshError as error:
                log.warning("a remembered message does not fit", extra={"code": error.code})

    def _records(self, now_ms: int) -> list[tuple[bytes, bytes, int]]:
        path = self._path()
        if not path.exists():
            return []
        data = read_private(path, limit=_FILE_MAX)
        # A record that was cut off by a crash is the last one; its message was never handed on.
        whole = len(data) - len(data) % _RECORD.size
        return [record for record in _RECORD.iter_unpack(data[:whole]) if record[2] >= now_ms]

    def _path(self) -> Path:
        if self._folder is None:
            raise StoreDamaged("nothing is kept on disk here")
        return self._folder / SEEN_FILE

    def _append(self, record: bytes) -> None:
        try:
            write_all(self._fd, record)
        except OSError as error:
            # Half a record would put all that follow out of step.
            os.ftruncate(self._fd, self._size)
            raise disk_error(error, self._path()) from error
        self._size += len(record)
        self._appended += len(record)

    def _rewrite(self, now_ms: int) -> None:
        path = self._path()
        write_private(path, b"".join(_RECORD.pack(*record) for record in self._records(now_ms)))
        self.close()
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            raise disk_error(error, path, doing="open") from error
        self._appended = 0

    # -------------------------------------------------------------------------------------------------- starts

    def confirm(self, member: bytes, start: Start) -> Verdict:
        """As `Boots.confirm`, and on disk when it changed something.

        Raises:
            DiskFull, StoreError: judged all the same, but not on disk.
        """
        verdict = self.boots.confirm(member, start)
        if verdict != "same":
            self._save()
        return verdict

    def release(self, member: bytes) -> None:
        """As `Boots.release`, and on disk."""
        self.boots.release(member)
        self._save()

    def forget(self, member: bytes) -> None:
        """As `Boots.forget`, and on disk."""
        self.boots.forget(member)
        self._save()

    def _save(self) -> None:
        if self._folder is not None:
            write_private(self._folder / BOOTS_FILE, encode(self.boots.book()))

    def close(self) -> None:
        """Free the file; again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


__all__ = ["BOOTS_FILE", "PER_AUTHOR", "SEEN_FILE", "Recollection"]
