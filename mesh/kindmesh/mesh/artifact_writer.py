"""Writing one artifact: chunks go to disk as they come, the hash decides at the end whether it exists.

    open --write*--> open --finish--> complete (visible)
      `--abort, error, end of process--> nothing, or whole chunks to resume when the id was known before

`Room` keeps the account: bytes on disk for all artifacts together, and who writes what. It is shared with threads.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from kindmesh.mesh.artifact_file import ChunkFile, stored_size
from kindmesh.mesh.files import disk_error
from kindmesh.protocol.errors import (
    ArtifactDamaged,
    ArtifactError,
    ArtifactTooLarge,
    InternalError,
    QuotaExceeded,
)
from kindmesh.protocol.limits import ARTIFACT_CHUNK


class ArtifactInfo(msgspec.Struct, frozen=True):
    """What is known of a complete artifact; sizes in bytes, `stored_bytes` on disk."""

    id: bytes
    size: int
    media_type: str
    modified_ms: int
    stored_bytes: int


class Room:
    """How much is used, of how much, and which files are being written."""

    def __init__(self, max_bytes: int, quota: int) -> None:
        self.max_bytes = max_bytes
        self.quota = quota
        self.used = 0
        self._busy: set[Path] = set()
        self._lock = threading.Lock()

    def check_size(self, size: int) -> None:
        """Raise ArtifactTooLarge when an artifact of `size` bytes is not allowed."""
        if size > self.max_bytes:
            raise ArtifactTooLarge(
                f"The artifact is larger than the {self.max_bytes} bytes that are allowed.",
                hint="Send something smaller, or raise the limit in config.toml.",
            )

    def check_room(self, size: int) -> None:
        """Raise ArtifactTooLarge or QuotaExceeded when a new artifact of `size` bytes would not fit now."""
        self.check_size(size)
        if self.used + stored_size(size) > self.quota:
            raise self._over()

    def take(self, count: int) -> None:
        """Account for `count` more bytes on disk; negative gives back. Raises QuotaExceeded."""
        with self._lock:
            if count > 0 and self.used + count > self.quota:
                raise self._over()
            self.used += count

    def drop(self, path: Path) -> None:
        """Remove a file, if it is there, and give its bytes back."""
        if path.is_file():
            size = path.stat().st_size
            path.unlink()
            self.take(-size)

    def claim(self, path: Path) -> None:
        """One writer a file. Raises ArtifactError."""
        with self._lock:
            if path in self._busy:
                raise ArtifactError("This artifact is being written already.", hint="Wait for it.")
            self._busy.add(path)

    def release(self, path: Path) -> None:
        """The file is nobody's any more."""
        self._busy.discard(path)

    def is_busy(self, path: Path) -> bool:
        """True while a writer has that file."""
        return path in self._busy

    def _over(self) -> QuotaExceeded:
        return QuotaExceeded(
            f"The {self.quota} bytes set aside for artifacts are used up.",
            hint="Delete artifacts, or set more aside in config.toml.",
        )


Settle = Callable[[ChunkFile, bytes, int], ArtifactInfo]
"""Makes a written file visible: (file, id, size)."""


class Writer:
    """One artifact on its way in. As a context manager it aborts unless `finish` was reached."""

    def __init__(self, room: Room, file: ChunkFile, expected: bytes | None, settle: Settle) -> None:
        """Not for callers: use `ArtifactStore.writer` or `resume`."""
        self._room = room
        self._file = file
        self._expected = expected
        self._settle = settle
        self._hash = hashlib.sha256()
        self._tail = bytearray()
        self._hashed = 0
        self._open = True

    @property
    def offset(self) -> int:
        """Bytes of plaintext taken so far: where the next `write` goes."""
        return self._hashed + len(self._tail)

    def write(self, data: bytes) -> None:
        """Append. Whole chunks are on disk when this returns.

        Raises:
            ArtifactTooLarge: more than allowed; what is on disk is removed.
            QuotaExceeded, DiskFull, StoreError: the writer is aborted; an expected artifact can be resumed.
        """
        self._usable()
        try:
            self._room.check_size(self.offset + len(data))
        except ArtifactTooLarge:
            self.abort(keep=False)
            raise
        self._tail += data
        while len(self._tail) >= ARTIFACT_CHUNK:
            self._flush(bytes(memoryview(self._tail)[:ARTIFACT_CHUNK]))
            del self._tail[:ARTIFACT_CHUNK]

    def finish(self) -> ArtifactInfo:
        """Check the hash and make the artifact visible, durably.

        Raises:
            ArtifactDamaged: it is not the expected one; what was written is removed.
            QuotaExceeded, DiskFull, StoreError: as `write`.
        """
        self._usable()
        size = self.offset
        if self._tail:
            self._flush(bytes(self._tail))
            self._tail.clear()
        digest = self._hash.digest()
        if self._expected is not None and digest != self._expected:
            self.abort(keep=False)
            raise ArtifactDamaged("What arrived is not the artifact that was asked for.")
        try:
            info = self._settle(self._file, digest, size)
        except BaseException:
            self.abort(keep=False)
            raise
        self._end()
        return info

    def abort(self, *, keep: bool = True) -> None:
        """Give up; whole chunks of an expected artifact stay for `resume` if `keep`. Harmless when finished."""
        if not self._open:
            return
        self._end()
        if not keep or self._expected is None:
            self._room.drop(self._file.path)

    def rehash(self) -> None:
        """Take in what a resumed file holds, up to the first chunk that is not whole and unchanged."""
        try:
            while (plain := self._file.next_valid()) is not None:
                self._hash.update(plain)
                self._hashed += len(plain)
        except OSError as error:
            raise disk_error(error, self._file.path, doing="read") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def _flush(self, plain: bytes) -> None:
        stored = stored_size(len(plain)) - stored_size(0)
        try:
            self._room.take(stored)
            try:
                self._file.append(plain)
            except BaseException:
                self._room.take(-stored)
                raise
        except BaseException:
            self.abort()
            raise
        self._hash.update(plain)
        self._hashed += len(plain)

    def _usable(self) -> None:
        if not self._open:
            raise InternalError("This artifact writer is closed.")

    def _end(self) -> None:
        self._open = False
        self._file.close()
        self._room.release(self._file.path)


__all__ = ["ArtifactInfo", "Room", "Settle", "Writer"]
