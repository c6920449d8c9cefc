"""Artifacts as capabilities and people on this device reach them: plain files in and out of the sealed store.

`HeldArtifacts` hands a capability its inputs as files in its own work folder and takes over what it made. `Uploads`
takes a file from a local client piece by piece; one that is not finished within `IDLE_S` after its last piece is
thrown away, and so are all when the node ends.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kindmesh.mesh.artifacts import ArtifactStore, Writer
from kindmesh.mesh.clock import Entropy
from kindmesh.protocol.errors import Busy, InvalidInput
from kindmesh.protocol.limits import ARTIFACT_CHUNK

IDLE_S: Final = 60.0
UPLOADS_MAX: Final = 16
_HEX: Final = frozenset("0123456789abcdef")


def artifact_id(text: Any) -> bytes:
    """The 32 bytes behind 64 hex characters; `InvalidInput` when it is something else."""
    if not isinstance(text, str) or len(text) != 64 or not set(text) <= _HEX:
        hint = "An artifact is 64 hexadecimal characters."
        raise InvalidInput("this does not name a file", field="artifact", hint=hint)
    return bytes.fromhex(text)


class HeldArtifacts:
    """Implements `kindmesh.capabilities.base.Artifacts` over the node's store."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def open(self, artifact_id: str, folder: Path) -> Path:
        """The artifact as a plain file beneath `folder`."""
        path = folder / f"in-{artifact_id[:16]}"
        await self._store.export_async(bytes.fromhex(artifact_id), path)
        return path

    async def put_file(self, path: Path, media_type: str) -> str:
        """Take over a file; returns the artifact's id."""
        return (await self._store.put_file_async(path, media_type)).id.hex()


class _Upload:
    __slots__ = ("until", "writer")

    def __init__(self, writer: Writer, until: float) -> None:
        self.writer = writer
        self.until = until


class Uploads:
    """Files on their way in; `monotonic` in seconds."""

    def __init__(self, store: ArtifactStore, entropy: Entropy, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._entropy = entropy
        self._monotonic = monotonic
        self._open: dict[str, _Upload] = {}

    def begin(self, params: Any) -> dict[str, Any]:
        """`{media_type, size_bytes}` -> `{upload}`.

        Raises:
            InvalidInput, ArtifactTooLarge, QuotaExceeded, DiskFull, Busy.
        """
        values = _values(params)
        media, size = values.get("media_type", "application/octet-stream"), values.get("size_bytes")
        if not isinstance(media, str):
            raise InvalidInput("media_type should be text", field="media_type")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            raise InvalidInput("size_bytes should be a whole number", field="size_bytes")
        if len(self._open) >= UPLOADS_MAX:
            raise Busy("too many files are on their way in", hint="Wait until some of them are here.")
        name = self._entropy.token(16).hex()
        self._open[name] = _Upload(self._store.writer(media, size=size), self._monotonic() + IDLE_S)
        return {"upload": name}

    def append(self, params: Any) -> dict[str, Any]:
        """`{upload, data}` -> `{size_bytes}` so far. Raises as `begin`; the upload is gone then."""
        values = _values(params)
        upload, data = self._find(values), values.get("data")
        if not isinstance(data, bytes) or len(data) > ARTIFACT_CHUNK:
            raise InvalidInput(f"a piece is at most {ARTIFACT_CHUNK} bytes", field="data")
        whole = False
        try:
            upload.writer.write(data)
            whole = True
        finally:
            if not whole:
                self._drop(values["upload"])
        upload.until = self._monotonic() + IDLE_S
        return {"size_bytes": upload.writer.offset}

    def finish(self, params: Any) -> dict[str, Any]:
        """`{upload}` -> the artifact `{artifact, size_bytes, media_type}`."""
        values = _values(params)
        upload = self._find(values)
        try:
            info = upload.writer.finish()
        finally:
            self._drop(values["upload"])
        return {"artifact": info.id.hex(), "size_bytes": info.size, "media_type": info.media_type}

    def tick(self) -> None:
        """Throw away what nobody goes on with."""
        now = self._monotonic()
        for name in [name for name, upload in self._open.items() if upload.until < now]:
            self._drop(name)

    def close(self) -> None:
        """Throw away all."""
        for name in list(self._open):
            self._drop(name)

    def _find(self, values: dict[str, Any]) -> _Upload:
        upload = self._open.get(str(values.get("upload")))
        if upload is None:
            hint = "It may have taken too long; begin again."
            raise InvalidInput("there is no such upload", field="upload", hint=hint)
        return upload

    def _drop(self, name: str) -> None:
        upload = self._open.pop(name)
        upload.writer.abort(keep=False)


def _values(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise InvalidInput("the parameters are not a set of named values")
    return params


__all__ = ["HeldArtifacts", "Uploads", "artifact_id"]
