"""One sealed artifact on disk: how its bytes lie, and how a chunk is sealed and opened.

    512 bytes    magic | nonce | sealed header: the artifact's own key, size, media type; padded
    chunk 0      nonce (24) | sealed (16 longer than its plaintext of 262144 bytes)
    chunk 1 ...  the last one may be shorter; an empty artifact has none

The random per-artifact key is sealed under the folder's store key, together with the size, and bound to the
artifact's id. Chunks are bound to their index, so that reordering is noticed; the size is in the sealed header, so that
truncation and extension are; another artifact's chunks have another key. Nonces are random (24 bytes), since a resumed
transfer may seal the same index twice with other bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

import msgspec

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.files import disk_error, write_all
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import NONCE, seal, unseal
from kindmesh.protocol.errors import ArtifactDamaged, ArtifactMissing, BadSeal, Malformed
from kindmesh.protocol.limits import ARTIFACT_CHUNK

HEADER: Final = 512
SLOT: Final = ARTIFACT_CHUNK + NONCE + 16
MEDIA_TYPE_MAX: Final = 127
_MAGIC: Final = b"KMESHA1\n"
_PADDED: Final = HEADER - len(_MAGIC) - NONCE - 16
_LABEL: Final = b"kindmesh-artifact-v1\0"


class Header(msgspec.Struct, array_like=True, frozen=True):
    """What the sealed header says; `size` is in bytes of plaintext, -1 while the artifact is not complete."""

    key: bytes
    size: int
    media_type: str


def seal_header(header: Header, store_key: bytes, binding: bytes, entropy: Entropy) -> bytes:
    """The first 512 bytes; `binding` is the artifact's id, or what names an incomplete one."""
    plain = encode(header)
    padded = len(plain).to_bytes(2, "big") + plain + bytes(_PADDED - 2 - len(plain))
    nonce = entropy.token(NONCE)
    return _MAGIC + nonce + seal(store_key, nonce, padded, _LABEL + binding)


def open_header(data: bytes, store_key: bytes, binding: bytes) -> Header:
    """Undo `seal_header`.

    Raises:
        ArtifactDamaged: changed, cut short, another artifact's, or another folder's.
    """
    start = len(_MAGIC)
    if len(data) != HEADER or data[:start] != _MAGIC:
        raise ArtifactDamaged("The artifact's file is not one of ours, or was cut short.")
    try:
        padded = unseal(store_key, data[start : start + NONCE], data[start + NONCE :], _LABEL + binding)
        return decode(Header, padded[2 : 2 + int.from_bytes(padded[:2], "big")])
    except (BadSeal, Malformed) as error:
        raise ArtifactDamaged("The artifact's header was changed, or belongs to another folder.") from error


def seal_chunk(key: bytes, index: int, plain: bytes, entropy: Entropy) -> bytes:
    """One chunk as it lies on disk."""
    nonce = entropy.token(NONCE)
    return nonce + seal(key, nonce, plain, _LABEL + index.to_bytes(8, "big"))


def open_chunk(key: bytes, index: int, sealed: bytes) -> bytes:
    """Undo `seal_chunk`. Raises ArtifactDamaged."""
    try:
        return unseal(key, sealed[:NONCE], sealed[NONCE:], _LABEL + index.to_bytes(8, "big"))
    except BadSeal as error:
        raise ArtifactDamaged(f"Chunk {index} of the artifact was changed.") from error


def stored_size(size: int) -> int:
    """Bytes on disk for `size` bytes of plaintext."""
    whole, rest = divmod(size, ARTIFACT_CHUNK)
    return HEADER + whole * SLOT + (rest + NONCE + 16 if rest else 0)


class SealedFile:
    """An open, complete artifact. Use as a context manager; every read is authenticated."""

    def __init__(self, path: Path, artifact_id: bytes, store_key: bytes) -> None:
        """Open it and check the header.

        Raises:
            ArtifactMissing: no such file. ArtifactDamaged: changed or cut short. StoreError: unreadable.
        """
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise ArtifactMissing(f"Artifact {artifact_id.hex()[:16]} is not on this device.") from error
        except OSError as error:
            raise disk_error(error, path, doing="read") from error
        self._path = path
        try:
            self.header = open_header(self._pread(HEADER, 0), store_key, artifact_id)
            found = os.fstat(self._fd)
            if self.header.size < 0 or found.st_size != stored_size(self.header.size):
                raise ArtifactDamaged("The artifact's file was cut short or extended.")
        except ArtifactDamaged:
            os.close(self._fd)
            raise
        self.modified_ms = found.st_mtime_ns // 1_000_000
        self.stored_bytes = found.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.header.size // ARTIFACT_CHUNK)

    def chunk(self, index: int) -> bytes:
        """The plaintext of one chunk. Raises ArtifactDamaged."""
        length = min(ARTIFACT_CHUNK, self.header.size - index * ARTIFACT_CHUNK) + NONCE + 16
        return open_chunk(self.header.key, index, self._pread(length, HEADER + index * SLOT))

    def _pread(self, length: int, offset: int) -> bytes:
        data = b""
        while len(data) < length:
            try:
                piece = os.pread(self._fd, length - len(data), offset + len(data))
            except OSError as error:
                raise disk_error(error, self._path, doing="read") from error
            if not piece:
                break
            data = data + piece if data else piece
        return data


class ChunkFile:
    """An incomplete artifact: chunks are appended whole; the header is sealed for good at the end."""

    def __init__(self, path: Path, fd: int, key: bytes, entropy: Entropy) -> None:
        """Not for callers: use `create` or `resume`."""
        self.path = path
        self._fd = fd
        self._key = key
        self._entropy = entropy
        self.chunks = 0

    @classmethod
    def create(cls, path: Path, key: bytes, header: bytes, entropy: Entropy) -> Self:
        """Make the file; `header` marks it as incomplete. Raises DiskFull, StoreError; then there is no file."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                write_all(fd, header)
            except OSError:
                os.close(fd)
                path.unlink()
                raise
        except OSError as error:
            raise disk_error(error, path) from error
        return cls(path, fd, key, entropy)

    @classmethod
    def resume(cls, path: Path, key: bytes, entropy: Entropy) -> Self:
        """Take up an existing file with its key: call `next_valid` until it says None. Raises StoreError."""
        try:
            return cls(path, os.open(path, os.O_RDWR | os.O_NOFOLLOW), key, entropy)
        except OSError as error:
            raise disk_error(error, path, doing="resume") from error

    def next_valid(self) -> bytes | None:
        """The next whole, unchanged chunk of a resumed file, or None: what follows is cut off."""
        sealed = os.pread(self._fd, SLOT, HEADER + self.chunks * SLOT)
        if len(sealed) == SLOT:
            try:
                plain = open_chunk(self._key, self.chunks, sealed)
            except ArtifactDamaged:
                plain = b""
            if plain:
                self.chunks += 1
                return plain
        os.ftruncate(self._fd, HEADER + self.chunks * SLOT)
        return None

    def append(self, plain: bytes) -> None:
        """Seal and write one chunk; on failure the file is as before. Raises DiskFull, StoreError."""
        place = HEADER + self.chunks * SLOT
        try:
            os.lseek(self._fd, place, os.SEEK_SET)
            write_all(self._fd, seal_chunk(self._key, self.chunks, plain, self._entropy))
        except OSError as error:
            os.ftruncate(self._fd, place)
            raise disk_error(error, self.path) from error
        self.chunks += 1

    def complete(self, header: bytes) -> None:
        """Write the final header and make everything durable. Raises DiskFull, StoreError."""
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            write_all(self._fd, header)
            os.fsync(self._fd)
        except OSError as error:
            raise disk_error(error, self.path) from error

    def close(self) -> None:
        """Close; again is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


__all__ = [
    "HEADER",
    "MEDIA_TYPE_MAX",
    "SLOT",
    "ChunkFile",
    "Header",
    "SealedFile",
    "open_chunk",
    "open_header",
    "seal_chunk",
    "seal_header",
    "stored_size",
]
