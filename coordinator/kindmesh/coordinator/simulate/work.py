"""What the simulated devices can do: operations that take time and leave a line for every beginning.

`work.read`, `work.tidy` and `alarm.tell` may be done again, the others may not; `work.read` only reads, `work.switch`
needs the owner's yes, `alarm.tell` is what emergencies are about. Each waits `before_ms`, does it, and waits
`after_ms`. A line in `done` on the device has the job's id and the operation; whoever runs the simulation is told at
that very moment (`Process.witness`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Capability, Context, operation
from kindmesh.capabilities.registry import ENTRIES, Entry, Part
from kindmesh.coordinator.simulate.process import OWNER
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
ALARM = Manifest("alarm", "1", "Alarm", (_operation("alarm.tell", Effect.NOTIFY, idempotent=True),))
"""What emergencies are about: whoever is told twice is told."""


class Said(msgspec.Struct, frozen=True):
    """What it was given."""

    text: str


class Work(Capability):
    """All operations do the same: wait, leave a line, wait."""

    manifest: ClassVar[Manifest] = MANIFEST

    @operation("work.read")
    async def read(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        """Only reads."""
        return await _do("work.read", context, text, before_ms, after_ms)

    @operation("work.tidy")
    async def tidy(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        """Writes, and may be done again."""
        return await _do("work.tidy", context, text, before_ms, after_ms)

    @operation("work.add")
    async def add(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        """Writes, and may not."""
        return await _do("work.add", context, text, before_ms, after_ms)

    @operation("work.switch")
    async def switch(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        """Needs the owner's yes."""
        return await _do("work.switch", context, text, before_ms, after_ms)


class Alarm(Capability):
    """Tells somebody."""

    manifest: ClassVar[Manifest] = ALARM

    @operation("alarm.tell")
    async def tell(self, context: Context, text: str, before_ms: int = 0, after_ms: int = 0) -> Said:
        """As all others, and may be done again."""
        return await _do("alarm.tell", context, text, before_ms, after_ms)


async def _do(what: str, context: Context, text: str, before_ms: int, after_ms: int) -> Said:
    await asyncio.sleep(before_ms / 1000)
    process = OWNER.get()
    if process is not None and process.witness is not None:
        given = {"text": text, "before_ms": before_ms, "after_ms": after_ms}
        process.witness(context.job_id, what, given)
    context.data_dir.mkdir(parents=True, exist_ok=True)
    with (context.data_dir / "done").open("a") as file:
        file.write(f"{context.job_id.hex()} {what}\n")
    await asyncio.sleep(after_ms / 1000)
    return Said(text)


def done(data_dir: Path) -> list[tuple[bytes, str]]:
    """(job id, operation) of everything that a device did."""
    paths = [path for name in ("work", "alarm") if (path := data_dir / name / "done").exists()]
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [(bytes.fromhex(job), operation) for job, operation in map(str.split, lines)]


_NAMES = tuple(found.name for found in MANIFEST.operations)
WORKS: tuple[Entry, ...] = (
    *[entry for entry in ENTRIES if entry.capability in ("device", "notes")],
    Entry("work", f"{__name__}:MANIFEST", (Part("work", f"{__name__}:Work", _NAMES),)),
    Entry("alarm", f"{__name__}:ALARM", (Part("alarm", f"{__name__}:Alarm", ("alarm.tell",)),)),
)  # fmt: skip

__all__ = ["ALARM", "MANIFEST", "WORKS", "Alarm", "Work", "done"]
