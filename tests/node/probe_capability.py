"""A capability for the node's tests: waits, writes, crashes, hangs and makes files on demand."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Artifact, Capability, Context, operation
from kindmesh.capabilities.registry import ENTRIES, Entry, Part
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.topics import Topic, declare

__all__ = ["MANIFEST", "PROBES", "SPEECH", "Fragile", "Probe", "Speech"]

WAIT = Field("wait_ms", "integer", "How long", required=False, minimum=0, default=encode_value(0))
DONE = (Field("text", "text", "What was said"),)


def _operation(
    name: str, effects: Effect, *, idempotent: bool = False, places: int = 8, session_call: bool = False
) -> Operation:
    return Operation(
        name, name, (Field("text", "text", "Anything", max_length=100), WAIT), DONE, int(effects), idempotent,
        limits=Limits(timeout_ms=10_000, max_concurrent=places, max_input_bytes=1_000, max_output_bytes=1_000),
        session_call=session_call,
    )  # fmt: skip


MANIFEST = Manifest(
    "probe",
    "1",
    "A probe",
    (
        _operation("probe.read", Effect.READ, idempotent=True),
        _operation("probe.write", Effect.WRITE, places=2),
        _operation("probe.bug", Effect.READ, idempotent=True),
        _operation("probe.hang", Effect.READ, idempotent=True),
        _operation("probe.large", Effect.READ, idempotent=True),
        _operation("probe.ask", Effect.READ, idempotent=True, session_call=True),
        Operation(
            "probe.make", "Make a file", (Field("text", "text"),), (Field("file", "artifact"),), int(Effect.READ), True
        ),
        Operation(
            "probe.size", "Size of a file", (Field("file", "artifact"),), (Field("size", "integer"),),
            int(Effect.READ), True,
        ),
        _operation("probe.crash", Effect.READ, idempotent=True),
        _operation("probe.crash_write", Effect.WRITE),
    ),
    ext=declare(
        Topic("perception.probe.noticed", "something was noticed", (Field("what", "text"),), data_class="health")
    ),
)  # fmt: skip
SPEECH = Manifest(
    "speech", "1", "Speech", (_operation("speech.say", Effect.NOTIFY), _operation("speech.render", Effect.READ)),
)  # fmt: skip


class Said(msgspec.Struct, frozen=True):
    text: str


class Made(msgspec.Struct, frozen=True):
    file: Artifact


class Size(msgspec.Struct, frozen=True):
    size: int


class Probe(Capability):
    manifest: ClassVar[Manifest] = MANIFEST

    @operation("probe.read")
    async def read(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        context.progress(0.5, "half")
        if text.startswith("tell "):
            context.publish("perception.probe.noticed", {"what": text})
        if text == "lie":
            context.publish("perception.speech.heard", {})
        await asyncio.sleep(wait_ms / 1000)
        return Said(text)

    @operation("probe.write")
    async def write(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        if text == "refuse":
            raise InvalidInput("no", field="text")
        context.data_dir.mkdir(parents=True, exist_ok=True)
        with (context.data_dir / "written").open("a") as file:
            file.write(text + "\n")
        await asyncio.sleep(wait_ms / 1000)
        return Said(text)

    @operation("probe.bug")
    async def bug(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        raise ZeroDivisionError(text)

    @operation("probe.hang")
    async def hang(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        while True:
            try:
                await asyncio.sleep(wait_ms / 1000)
                return Said(text)
            except asyncio.CancelledError:
                continue

    @operation("probe.large")
    async def large(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        return Said("x" * 2_000)

    @operation("probe.ask")
    async def ask(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        if text == "bug":
            raise ZeroDivisionError(text)
        await asyncio.sleep(wait_ms / 1000)
        return Said("x" * 2_000 if text == "large" else text)

    @operation("probe.make")
    async def make(self, context: Context, text: str) -> Made:
        path = context.workdir / "made.txt"
        path.write_text(text)
        return Made(await context.keep(path, "text/plain"))

    @operation("probe.size")
    async def size(self, context: Context, file: Artifact) -> Size:
        return Size((await context.file(file)).stat().st_size)


class Fragile(Capability):
    manifest: ClassVar[Manifest] = MANIFEST

    @operation("probe.crash")
    async def crash(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        os._exit(3)

    @operation("probe.crash_write")
    async def crash_write(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        os._exit(3)


class Speech(Capability):
    manifest: ClassVar[Manifest] = SPEECH

    @operation("speech.say")
    async def say(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        await asyncio.sleep(wait_ms / 1000)
        return Said(text)

    @operation("speech.render")
    async def render(self, context: Context, text: str, wait_ms: int = 0) -> Said:
        await asyncio.sleep(wait_ms / 1000)
        return Said(text)


_HERE = "tests.node.probe_capability"
_ROOT = str(Path(__file__).resolve().parents[2])
_INLINE = tuple(op.name for op in MANIFEST.operations if "crash" not in op.name)
PROBES: tuple[Entry, ...] = (
    *[entry for entry in ENTRIES if entry.capability in ("device", "notes")],
    Entry(
        "probe",
        f"{_HERE}:MANIFEST",
        (
            Part("probe", f"{_HERE}:Probe", _INLINE),
            Part(
                "fragile", f"{_HERE}:Fragile", ("probe.crash", "probe.crash_write"), isolation="process",
                search_path=(_ROOT,),
            ),
        ),
    ),
    Entry("speech", f"{_HERE}:SPEECH", (Part("speech", f"{_HERE}:Speech", ("speech.say", "speech.render")),)),
)  # fmt: skip
