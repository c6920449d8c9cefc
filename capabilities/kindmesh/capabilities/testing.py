"""Conformance: what every capability must keep, as checks that anyone's tests can run against any of them.

- `static_problems`: the manifest is valid static data, its schemas can be said as JSON Schema, every operation is
  served by exactly one part, and reading the manifest imports neither the implementation nor what it needs;
- `handler_problems`: the handlers' signatures and answers are the manifest's inputs and outputs;
- `refused_arguments`: for an operation and one good example, calls that must be refused with `InvalidInput`, naming
  the field;
- `FolderArtifacts`: artifacts in a plain folder, to run a `CapabilityHost` without a node;
- `ScriptedDuplex`: a stream that gives what it was made with, and keeps what is written.
Findings are lists of plain sentences, empty when all is well, so that a test can show all of them at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kindmesh.capabilities.base import Capability, Piece, check_signatures
from kindmesh.capabilities.registry import Entry, manifest_of
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import ArtifactMissing, KindmeshError
from kindmesh.protocol.limits import MANIFEST_MAX
from kindmesh.protocol.manifest import Field, Operation, check_manifest, to_json_schema
from kindmesh.protocol.topics import declared_topics

__all__ = ["FolderArtifacts", "ScriptedDuplex", "handler_problems", "refused_arguments", "static_problems"]

_LIST_MODULES: Final = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""
_WRONG: Final[dict[str, Any]] = {
    "text": 7,
    "integer": "seven",
    "number": "seven",
    "boolean": "yes",
    "bytes": "text",
    "list": "item",
    "object": ["item"],
    "artifact": {"artifact": "not a hash"},
}


class FolderArtifacts:
    """Artifacts kept in clear in a folder, by their hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, content: bytes) -> dict[str, Any]:
        """Keep `content`; returns the reference to it, as an argument."""
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        return {"artifact": digest, "size_bytes": len(content), "media_type": "application/octet-stream"}

    def ids(self) -> set[str]:
        """Everything that is kept."""
        return set(os.listdir(self.folder))

    async def open(self, artifact_id: str, folder: Path) -> Path:
        """A copy beneath `folder`."""
        source, copy = self.folder / artifact_id, folder / f"in-{artifact_id[:16]}"
        if artifact_id not in self.ids():
            raise ArtifactMissing(f"there is no artifact {artifact_id[:8]}")
        await asyncio.to_thread(shutil.copyfile, source, copy)
        return copy

    async def put_file(self, path: Path, media_type: str) -> str:
        """Take a copy of `path`."""
        digest = await asyncio.to_thread(_digest, path)
        await asyncio.to_thread(shutil.copyfile, path, self.folder / digest)
        return digest


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ScriptedDuplex:
    """See the module: input is `pieces`, one item each; output is `written`, with whether each piece ends an item."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.written: list[tuple[bytes, bool]] = []

    async def read(self) -> Piece | None:
        """See `Duplex`."""
        return Piece(self._pieces.pop(0)) if self._pieces else None

    async def write(self, data: bytes, *, last: bool = True) -> None:
        """See `Duplex`."""
        self.written.append((data, last))


def static_problems(entry: Entry) -> list[str]:
    """What is wrong with the static side of a capability."""
    problems: list[str] = []
    manifest = manifest_of(entry)
    try:
        check_manifest(manifest)
        declared_topics(manifest)
    except KindmeshError as error:
        problems.append(f"the manifest is refused: {error.message}")
    if manifest.capability != entry.capability or manifest.requires != entry.extra:
        problems.append("the registry and the manifest differ in the name or the extra")
    if len(encode(manifest)) > MANIFEST_MAX:
        problems.append("the manifest is too large to be sent")
    served = sorted(name for part in entry.parts for name in part.operations)
    if served != sorted(operation.name for operation in manifest.operations):
        problems.append(f"the parts serve {served}, not each operation of the manifest once")
    for operation in manifest.operations:
        for fields in (operation.input, operation.output):
            json.dumps(to_json_schema(fields))
    return problems + [f"reading the manifest imports {name}" for name in sorted(_imported(entry))]


def _imported(entry: Entry) -> set[str]:
    """Modules that reading the manifest should not have imported but did, found in a fresh interpreter."""
    listing = subprocess.run(
        [sys.executable, "-c", _LIST_MODULES, entry.manifest.partition(":")[0]],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    loaded = set(json.loads(listing.stdout))
    return loaded & {*entry.modules, *(part.implementation.partition(":")[0] for part in entry.parts)}


def handler_problems(entry: Entry) -> list[str]:
    """What is wrong with the handlers; imports the implementation, so its extra must be installed."""
    problems: list[str] = []
    for part in entry.parts:
        module, _, name = part.implementation.partition(":")
        cls = getattr(importlib.import_module(module), name)
        if not (isinstance(cls, type) and issubclass(cls, Capability)):
            problems.append(f"{part.implementation} is no Capability")
            continue
        if cls.manifest != manifest_of(entry):
            problems.append(f"{part.implementation} has another manifest")
        problems += check_signatures(cls, part.operations)
    return problems


def refused_arguments(operation: Operation, good: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Arguments that must be refused, each with the name of the field to blame. `good` are valid ones."""
    yield "no_such_value", {**good, "no_such_value": 1}
    for field in operation.input:
        if field.required:
            yield field.name, {name: value for name, value in good.items() if name != field.name}
        yield field.name, {**good, field.name: _WRONG[field.type]}
        yield field.name, {**good, field.name: None}
        for beyond in _beyond(field):
            yield field.name, {**good, field.name: beyond}


def _beyond(field: Field) -> Iterator[Any]:
    if field.type in ("integer", "number"):
        kind = int if field.type == "integer" else float
        if field.minimum is not None:
            yield kind(field.minimum) - 1
        if field.maximum is not None:
            yield kind(field.maximum) + 1
    elif field.type == "text":
        yield "x" * (field.max_length + 1)
