"""What the simulated devices can do: operations that take time and leave a line for every beginning.

`work.read` and `work.tidy` may be done again, the others may not; `work.read` only reads, `work.switch` needs the
owner's yes. Each waits `before_ms`, does it, and waits `after_ms`. A line in `work/done` on the device has the job's id
and the operation.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Capability, Context, operation
from kindmesh.capabilities.registry import ENTRIES, Entry, Part
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

_TIMES = tuple(
    Field(name, "integer", name, required=False, minimum=0, default=encode_value(0))
    for name in ("before_ms", "after_ms")
)


def _operation(name: str, effects: Effect, *, idempotent: bool) -> Operation:
    return Operation(
        name, name, (Field("text", "text", "Anything"), *_TIMES), (Field("text", "text", "The same"),), int(effects),
        idempotent, limits=Limits(timeout_ms=20_000, max_concurrent=8),
    )  # fmt: skip


MANIFEST = Manifest(
    "work",
    "1",
    "Work",
    (
        _operation("work.read", Effect.READ, idempotent=True),
        _operation("work.tidy", Effect.WRITE, idempotent=True),
        _operation("work.add", Effect.WRITE, idempotent=False),
        _operation("work.switch", Effect.ACTUATE, idempotent=False),
    ),
)


class Said(msgspec.Struct, frozen=True):
    text: str


class Work(Capability):
    manifest: ClassVar[Manifest] = MANIFEST

    @operation("work.read")
    async def read(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        return await self._do("read", context, text, before_ms, after_ms)

    @operation("work.tidy")
    async def tidy(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        return await self._do("tidy", context, text, before_ms, after_ms)

    @operation("work.add")
    async def add(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        return await self._do("add", context, text, before_ms, after_ms)

    @operation("work.switch")
    async def switch(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        return await self._do("switch", context, text, before_ms, after_ms)

    async def _do(self, what: str, context: Context, text: str, before_ms: int, after_ms: int) -> Said:
        await asyncio.sleep(before_ms / 1000)
        context.data_dir.mkdir(parents=True, exist_ok=True)
        with (context.data_dir / "done").open("a") as file:
            file.write(f"{context.job_id.hex()} work.{what}\n")
        await asyncio.sleep(after_ms / 1000)
        return Said(text)


def done(data_dir: Path) -> list[tuple[bytes, str]]:
    """(job id, operation) of everything that a device did."""
    path = data_dir / "work" / "done"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(bytes.fromhex(job), operation) for job, operation in map(str.split, lines)]


_NAMES = tuple(found.name for found in MANIFEST.operations)
WORKS: tuple[Entry, ...] = (
    *[entry for entry in ENTRIES if entry.capability in ("device", "notes")],
    Entry("work", f"{__name__}:MANIFEST", (Part("work", f"{__name__}:Work", _NAMES),)),
)  # fmt: skip

__all__ = ["MANIFEST", "WORKS", "Work", "done"]
