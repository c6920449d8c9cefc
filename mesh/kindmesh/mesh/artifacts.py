"""Artifacts: bytes too large for a message, kept by the hash of what they say, sealed at rest.

An artifact's id is the SHA-256 of its plaintext. It becomes visible at once and whole, when all of it is on disk and
the hash is known (and is the expected one); before, it is a `Writer`. A writer that knows its id (a fetch from another
device) leaves its whole chunks behind when the process dies or the link goes, and `resume` goes on from there after
checking and hashing them again; one that does not (a file put in here) leaves nothing. Memory use is one chunk,
whatever the size. Two limits: bytes per artifact, and bytes on disk for all of them together.

    objects/<id>   complete      partial/<id>   expected, resumable      new/<random>   id not known yet

Who may read is decided by the caller: a hash alone grants nothing. One process owns the folder (`Home.lock`); methods
that take longer than a chunk have `async` forms that work in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from functools import partial
from pathlib import Path
from typing import Final, Self

from kindmesh.mesh.artifact_file import (
    HEADER,
    MEDIA_TYPE_MAX,
    ChunkFile,
    Header,
    SealedFile,
    open_header,
    seal_header,
)
from kindmesh.mesh.artifact_writer import ArtifactInfo, Room, Writer
from kindmesh.mesh.clock import Entropy, SystemEntropy
from kindmesh.mesh.files import disk_error, private_folder, sync_folder, write_all
from kindmesh.protocol.crypto import KEY
from kindmesh.protocol.errors import (
    ArtifactDamaged,
    ArtifactError,
    InvalidInput,
)
from kindmesh.protocol.limits import ARTIFACT_CHUNK, ARTIFACT_MAX

QUOTA_DEFAULT: Final = 4 * ARTIFACT_MAX
_ID: Final = 32
_PARTIAL: Final = b"partial\0"
_MEDIA_TYPE: Final = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+(; ?[ -~]+)?")
_NAME: Final = re.compile(r"[0-9a-f]{64}")


class ArtifactStore:
    """All artifacts in one folder."""

    def __init__(self, folder: Path, store_key: bytes, room: Room, entropy: Entropy) -> None:
        """Not for callers: use `open`."""
        self._folder = folder
        self._store_key = store_key
        self._room = room
        self._entropy = entropy

    @classmethod
    def open(
        cls, folder: Path, store_key: bytes, *, max_bytes: int = ARTIFACT_MAX, quota: int = QUOTA_DEFAULT,
        entropy: Entropy | None = None,
    ) -> Self:  # fmt: skip
        """Open (or make) the folder; what a dead process left half-written without a name is removed.

        `max_bytes`: plaintext per artifact. `quota`: bytes on disk for all. `store_key`: 32 bytes.
        Raises DiskFull, StoreError.
        """
        room = Room(max_bytes, quota)
        try:
            for name in ("objects", "partial", "new"):
                private_folder(folder / name)
            for left in (folder / "new").iterdir():
                left.unlink()
            for name in ("objects", "partial"):
                room.used += sum(entry.stat().st_size for entry in os.scandir(folder / name))
        except OSError as error:
            raise disk_error(error, folder, doing="open") from error
        return cls(folder, store_key, room, entropy or SystemEntropy())

    @property
    def used_bytes(self) -> int:
        """Bytes on disk now, of complete and incomplete artifacts."""
        return self._room.used

    def writer(
        self,
        media_type: str = "application/octet-stream",
        *,
        expected: bytes | None = None,
        size: int | None = None,
    ) -> Writer:
        """Start an artifact, from its beginning. `expected`: its id, if known; `size`: its bytes, if known.

        Raises:
            InvalidInput: not a media type. ArtifactTooLarge, QuotaExceeded: `size` does not fit.
            ArtifactError: another writer has the same expected id. DiskFull, StoreError.
        """
        self._check(media_type, size)
        path = self._partial(expected) if expected else self._folder / "new" / self._entropy.token(16).hex()
        self._room.claim(path)
        try:
            return self._start(path, media_type, expected)
        except BaseException:
            self._room.release(path)
            raise

    def resume(
        self, expected: bytes, media_type: str = "application/octet-stream", *, size: int | None = None
    ) -> Writer:
        """Go on with an artifact whose writer ended early, or start it; `Writer.offset` says where to go on.

        Raises: as `writer`.
        """
        self._check(media_type, size)
        path = self._partial(expected)
        self._room.claim(path)
        try:
            header = self._partial_header(path, expected)
            if header is None:
                return self._start(path, media_type, expected)
            before = path.stat().st_size
            file = ChunkFile.resume(path, header.key, self._entropy)
            writer = Writer(self._room, file, expected, partial(self._settle, header.key, header.media_type))
            writer.rehash()
            self._room.take(path.stat().st_size - before)
        except BaseException:
            self._room.release(path)
            raise
        return writer

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> ArtifactInfo:
        """Copy a file in.

        Raises:
            InvalidInput: it cannot be read. ArtifactTooLarge, QuotaExceeded, DiskFull: nothing is left behind.
        """
        try:
            if not path.is_file():
                raise InvalidInput(f"{path} is not a file.", hint="Check the path.", field="path")
            with path.open("rb") as source, self.writer(media_type, size=path.stat().st_size) as writer:
                while piece := source.read(ARTIFACT_CHUNK):
                    writer.write(piece)
                return writer.finish()
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="path") from error

    def put(self, data: bytes, media_type: str = "application/octet-stream") -> ArtifactInfo:
        """Keep some bytes. Raises as `writer`."""
        with self.writer(media_type, size=len(data)) as writer:
            writer.write(data)
            return writer.finish()

    def has(self, artifact_id: bytes) -> bool:
        """True when a complete artifact with that id is here."""
        return self._object(artifact_id).is_file()

    def stat(self, artifact_id: bytes) -> ArtifactInfo:
        """What is known of it.

        Raises:
            ArtifactMissing: not here. ArtifactDamaged: its file was changed.
        """
        with self._open(artifact_id) as file:
            return _info(artifact_id, file)

    def list(self) -> list[ArtifactInfo]:
        """All complete artifacts whose file is sound, oldest first."""
        found = []
        for entry in os.scandir(self._folder / "objects"):
            if _NAME.fullmatch(entry.name):
                try:
                    found.append(self.stat(bytes.fromhex(entry.name)))
                except ArtifactError:
                    continue
        return sorted(found, key=lambda info: (info.modified_ms, info.id))

    def read(self, artifact_id: bytes, offset: int = 0, length: int = ARTIFACT_CHUNK) -> bytes:
        """Up to `length` bytes from `offset`; shorter at the end, empty after it. Opens whole chunks only.

        Raises:
            InvalidInput: negative. ArtifactMissing: not here. ArtifactDamaged: its file was changed.
        """
        if offset < 0 or length < 0:
            raise InvalidInput("An offset and a length are not negative.", field="offset")
        with self._open(artifact_id) as file:
            end = min(offset + length, file.header.size)
            parts = []
            while offset < end:
                index, start = divmod(offset, ARTIFACT_CHUNK)
                part = file.chunk(index)[start : start + end - offset]
                parts.append(part)
                offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def export(self, artifact_id: bytes, path: Path) -> ArtifactInfo:
        """Write the plaintext to `path` (0600), whole and verified, or not at all.

        Raises:
            ArtifactMissing, ArtifactDamaged: as `read`. DiskFull, StoreError: it cannot be written.
        """
        temporary = path.with_name(f".{path.name}.{self._entropy.token(6).hex()}.new")
        with self._open(artifact_id) as file:
            digest = hashlib.sha256()
            try:
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                try:
                    for index in range(file.chunks):
                        plain = file.chunk(index)
                        digest.update(plain)
                        write_all(fd, plain)
                    os.fsync(fd)
                finally:
                    os.close(fd)
                if digest.digest() != artifact_id:
                    raise ArtifactDamaged()
                os.rename(temporary, path)
                sync_folder(path.parent)
            except OSError as error:
                raise disk_error(error, path) from error
            finally:
                temporary.unlink(missing_ok=True)
            return _info(artifact_id, file)

    def verify(self, artifact_id: bytes) -> None:
        """Open every chunk and hash it all. Raises ArtifactMissing, ArtifactDamaged."""
        digest = hashlib.sha256()
        with self._open(artifact_id) as file:
            for index in range(file.chunks):
                digest.update(file.chunk(index))
        if digest.digest() != artifact_id:
            raise ArtifactDamaged()

    def delete(self, artifact_id: bytes) -> bool:
        """Forget a complete or incomplete artifact: its key is overwritten, then the file goes. False: not here."""
        gone = False
        for path in (self._object(artifact_id), self._partial(artifact_id)):
            if path.is_file() and not self._room.is_busy(path):
                try:
                    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
                    try:
                        write_all(fd, bytes(HEADER))
                        os.fsync(fd)
                    finally:
                        os.close(fd)
                    self._room.drop(path)
                    sync_folder(path.parent)
                except OSError as error:
                    raise disk_error(error, path, doing="delete") from error
                gone = True
        return gone

    async def put_file_async(self, path: Path, media_type: str = "application/octet-stream") -> ArtifactInfo:
        """`put_file` in a thread."""
        return await asyncio.to_thread(self.put_file, path, media_type)

    async def resume_async(
        self, expected: bytes, media_type: str = "application/octet-stream", *, size: int | None = None
    ) -> Writer:
        """`resume` in a thread: what is there already is hashed again, which takes a while for gigabytes."""
        return await asyncio.to_thread(partial(self.resume, expected, media_type, size=size))

    async def export_async(self, artifact_id: bytes, path: Path) -> ArtifactInfo:
        """`export` in a thread."""
        return await asyncio.to_thread(self.export, artifact_id, path)

    def _check(self, media_type: str, size: int | None) -> None:
        if len(media_type) > MEDIA_TYPE_MAX or not _MEDIA_TYPE.fullmatch(media_type):
            raise InvalidInput("This is not a media type such as image/jpeg.", field="media_type")
        if size is not None:
            self._room.check_room(size)

    def _start(self, path: Path, media_type: str, expected: bytes | None) -> Writer:
        key = self._entropy.token(KEY)
        header = self._header(key, -1, media_type, _PARTIAL + (expected or b""))
        try:
            self._room.drop(path)
        except OSError as error:
            raise disk_error(error, path) from error
        self._room.take(HEADER)
        try:
            file = ChunkFile.create(path, key, header, self._entropy)
        except BaseException:
            self._room.take(-HEADER)
            raise
        return Writer(self._room, file, expected, partial(self._settle, key, media_type))

    def _partial_header(self, path: Path, expected: bytes) -> Header | None:
        """The header of an incomplete artifact, None when there is none that can be gone on with."""
        try:
            with path.open("rb") as found:
                return open_header(found.read(HEADER), self._store_key, _PARTIAL + expected)
        except (FileNotFoundError, ArtifactDamaged):
            return None
        except OSError as error:
            raise disk_error(error, path, doing="resume") from error

    def _header(self, key: bytes, size: int, media_type: str, binding: bytes) -> bytes:
        return seal_header(Header(key, size, media_type), self._store_key, binding, self._entropy)

    def _object(self, artifact_id: bytes) -> Path:
        return self._folder / "objects" / _name(artifact_id)

    def _partial(self, artifact_id: bytes) -> Path:
        return self._folder / "partial" / _name(artifact_id)

    def _open(self, artifact_id: bytes) -> SealedFile:
        return SealedFile(self._object(artifact_id), artifact_id, self._store_key)

    def _settle(
        self, key: bytes, media_type: str, file: ChunkFile, artifact_id: bytes, size: int
    ) -> ArtifactInfo:
        target = self._object(artifact_id)
        try:
            known = self.stat(artifact_id)
        except ArtifactError:
            file.complete(self._header(key, size, media_type, artifact_id))
        else:
            self._room.drop(file.path)
            return known
        try:
            self._room.drop(target)
            os.rename(file.path, target)
            sync_folder(target.parent)
        except OSError as error:
            raise disk_error(error, target) from error
        return self.stat(artifact_id)


def _name(artifact_id: bytes) -> str:
    if len(artifact_id) != _ID:
        raise InvalidInput("An artifact's id has 32 bytes.", field="artifact")
    return artifact_id.hex()


def _info(artifact_id: bytes, file: SealedFile) -> ArtifactInfo:
    header = file.header
    return ArtifactInfo(artifact_id, header.size, header.media_type, file.modified_ms, file.stored_bytes)


__all__ = ["ArtifactInfo", "ArtifactStore", "Writer"]
