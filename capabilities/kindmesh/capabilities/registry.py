"""Which capabilities exist, and which of them this device can offer.

A static list of our own: nothing is discovered by entry points, nothing of anybody else's is loaded. Each entry names
where its manifest is (data, cheap to read), the modules its code needs and the extra that installs them, and its
*parts*: which class serves which operations, and how that class is kept. Whether a needed module is there is asked
of the import system without importing it, so listing what a device can do costs no memory and runs no foreign code.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kindmesh.protocol.errors import CapabilityMissing, UnknownOperation
from kindmesh.protocol.manifest import Manifest

__all__ = ["ENTRIES", "Availability", "Entry", "Part", "available", "find_part", "manifest_of"]

Isolation = Literal["inline", "process"]


@dataclass(frozen=True, slots=True)
class Part:
    """One class of a capability and how it is run.

    `isolation` "inline" runs on the node's own loop; "process" in an interpreter of its own, started on first use,
    without keys and without a network. `memory_mib` bounds what that process may allocate (0: unbounded).
    `audio` grants the sound card and the sound server's socket. `search_path` is put in front of the child's
    `sys.path`, for parts that are not installed. `awake` parts (inline) start with the node, not with the first call.
    """

    name: str
    implementation: str
    operations: tuple[str, ...]
    isolation: Isolation = "inline"
    memory_mib: int = 0
    audio: bool = False
    search_path: tuple[str, ...] = ()
    awake: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One capability: `manifest` is `module:NAME`, `modules` the top-level modules its code imports, `settings` a file
    without which a device does not offer it, because there is nothing that it could do. What a household has `once` is
    offered by the coordinator's device, and by others only where `[node] capabilities` names it."""

    capability: str
    manifest: str
    parts: tuple[Part, ...]
    modules: tuple[str, ...] = ()
    extra: str = ""
    settings: str = ""
    once: bool = False


@dataclass(frozen=True, slots=True)
class Availability:
    """An entry as this device stands. `missing` are modules that are not installed; `install` is the one command."""

    entry: Entry
    manifest: Manifest
    missing: tuple[str, ...]
    install: str

    @property
    def ready(self) -> bool:
        """True when everything it needs is installed."""
        return not self.missing


ENTRIES: tuple[Entry, ...] = (
    Entry(
        capability="device",
        manifest="kindmesh.capabilities.device.manifest:MANIFEST",
        parts=(
            Part(
                "device",
                "kindmesh.capabilities.device.handlers:Device",
                ("device.info", "device.echo", "device.echo_stream"),
            ),
        ),
    ),
    Entry(
        capability="notes",
        manifest="kindmesh.capabilities.notes.manifest:MANIFEST",
        parts=(Part("notes", "kindmesh.capabilities.notes.handlers:Notes", ("notes.append", "notes.list")),),
    ),
    Entry(
        capability="home",
        manifest="kindmesh.capabilities.home.manifest:MANIFEST",
        parts=(
            Part(
                "home",
                "kindmesh.capabilities.home.handlers:HomeCapability",
                (
                    "home.control",
                    "home.access",
                    "home.note",
                    "home.get",
                    "home.history",
                    "home.describe",
                    "home.load",
                    "home.tell",
                ),
                awake=True,
            ),
        ),
        once=True,
    ),
    Entry(
        capability="vision",
        manifest="kindmesh.capabilities.vision.manifest:MANIFEST",
        parts=(
            Part(
                "vision",
                "kindmesh.capabilities.vision.handlers:Vision",
                ("vision.read_text",),
                isolation="process",
                memory_mib=1536,
            ),
        ),
        modules=("rapidocr", "onnxruntime", "cv2", "numpy", "PIL"),
        extra="vision",
    ),
    Entry(
        capability="speech",
        manifest="kindmesh.capabilities.speech.manifest:MANIFEST",
        parts=(
            Part(
                "speech-render",
                "kindmesh.capabilities.speech.render:Render",
                ("speech.render",),
                isolation="process",
                memory_mib=256,
            ),
            Part(
                "speech-stream",
                "kindmesh.capabilities.speech.flow:Flow",
                ("speech.stream",),
                isolation="process",
                memory_mib=256,
            ),
            Part(
                "speech-say",
                "kindmesh.capabilities.speech.say:Say",
                ("speech.say",),
                isolation="process",
                memory_mib=256,
                audio=True,
            ),
        ),
        modules=("espeakng_loader",),
        extra="speech",
    ),
    Entry(
        capability="llm",
        manifest="kindmesh.capabilities.llm.manifest:MANIFEST",
        parts=(
            Part(
                "llm",
                "kindmesh.capabilities.llm.handlers:Llm",
                ("llm.chat", "llm.chat_outside", "llm.stream", "llm.stream_outside", "llm.models"),
            ),
        ),
        modules=("anthropic", "httpx2", "openai"),
        extra="llm",
        settings="llm.yaml",
    ),
)


def manifest_of(entry: Entry) -> Manifest:
    """The manifest, read without importing the implementation."""
    module, _, name = entry.manifest.partition(":")
    manifest = getattr(importlib.import_module(module), name)
    if not isinstance(manifest, Manifest):
        raise TypeError(f"{entry.manifest} is not a Manifest")
    return manifest


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def available(entries: Iterable[Entry] = ENTRIES) -> list[Availability]:
    """Every capability we know, with what is missing on this device and the command that installs it."""
    found: list[Availability] = []
    for entry in entries:
        missing = tuple(module for module in entry.modules if not _is_installed(module))
        install = f"pip install 'kindmesh[{entry.extra}]'" if missing else ""
        found.append(Availability(entry, manifest_of(entry), missing, install))
    return found


def find_part(operation: str, entries: Iterable[Entry] = ENTRIES) -> tuple[Entry, Part]:
    """Who serves `operation`.

    Raises:
        UnknownOperation: no capability has it.
        CapabilityMissing: its code needs something that is not installed; the hint is the command.
    """
    for entry in entries:
        for part in entry.parts:
            if operation in part.operations:
                missing = [module for module in entry.modules if not _is_installed(module)]
                if missing:
                    raise CapabilityMissing(
                        f"{operation} needs {', '.join(missing)}, not installed on this device",
                        hint=f"pip install 'kindmesh[{entry.extra}]'",
                    )
                return entry, part
    raise UnknownOperation(f"there is no operation called {operation[:64]!r}", field="operation")
