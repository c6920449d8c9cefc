"""Which Kindmesh this command talks to: the process that runs for the state folder, over its control socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import InvalidInput, NotInitialised
from kindmesh.protocol.limits import ARTIFACT_CHUNK


def is_coordinator(home: Home) -> bool:
    """Whether this state folder belongs to a mesh's coordinator."""
    return (home.coordinator / "identity" / TRUST_FILE).exists()


def connect(home: Home, *, timeout_ms: int | None = None) -> ControlClient:
    """A client for the coordinator here, else for the node here (which passes on what is not its own business).

    Raises:
        NotInitialised: this folder belongs to no mesh yet.
    """
    if is_coordinator(home):
        return ControlClient(home.socket("coordinator"), timeout_ms=timeout_ms)
    if not (home.identity / TRUST_FILE).exists():
        raise NotInitialised()
    return ControlClient(home.socket("node"), timeout_ms=timeout_ms)


def connect_node(home: Home) -> ControlClient:
    """A client for this device's own node."""
    return ControlClient(home.socket("node"))


def upload(client: ControlClient, path: Path, progress: Callable[[float], None]) -> dict[str, Any]:
    """Make an artifact of a file: `{"artifact", "size_bytes", "media_type"}`.

    Raises:
        InvalidInput: the file cannot be read. ArtifactTooLarge, QuotaExceeded, DiskFull.
    """
    try:
        if path.exists() and not path.is_file():
            raise InvalidInput(f"{path} is not a file", field="path")
        with path.open("rb") as source:
            size = path.stat().st_size
            begun = client.call("artifact.put_begin", {"media_type": media_type(path), "size_bytes": size})
            sent = 0
            while part := source.read(ARTIFACT_CHUNK):
                client.call("artifact.put_append", {"upload": begun["upload"], "data": part})
                sent += len(part)
                progress(sent / max(size, 1))
            finished: dict[str, Any] = client.call("artifact.put_finish", {"upload": begun["upload"]})
            return finished
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise InvalidInput(f"{path} cannot be read: {why}", field="path") from error


def download(client: ControlClient, artifact: dict[str, Any], job: str, path: Path) -> int:
    """Write an artifact to `path` (a partial file is not left behind); the number of bytes.

    Raises:
        AccessRefused, ArtifactMissing, ArtifactDamaged.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as target:
            offset, size = 0, int(artifact["size_bytes"])
            while offset < size:
                request = {
                    "artifact": artifact["artifact"],
                    "offset": offset,
                    "length": ARTIFACT_CHUNK,
                    "job": job,
                }
                part = client.call("artifact.read", request)["data"]
                if not part:
                    break
                target.write(part)
                offset += len(part)
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", field="save") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return offset


def check_target(path: Path) -> None:
    """Refuse a path to which nothing can be written, before anything is done for it.

    Raises:
        InvalidInput.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder", field="save", hint="Name the file, too.")
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}", field="save", hint="Make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"{folder} cannot be written to", field="save")


_MEDIA_TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".wav": "audio/wav", ".txt": "text/plain", ".pdf": "application/pdf",
}  # fmt: skip


def media_type(path: Path) -> str:
    """By the file's ending."""
    return _MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")


__all__ = ["check_target", "connect", "connect_node", "download", "is_coordinator", "media_type", "upload"]
