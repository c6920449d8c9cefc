"""Facts about this machine, each read where the system keeps it; what cannot be read is None or "unknown".

Sources: the device tree or DMI for the model, /proc/meminfo, /proc/uptime, the scheduler's affinity mask for the
processors. On systems without /proc those fields are None rather than guessed.
"""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path
from typing import ClassVar

import msgspec

from kindmesh.capabilities.base import Capability, Context, operation
from kindmesh.capabilities.device.manifest import MANIFEST
from kindmesh.protocol.manifest import Manifest

__all__ = ["Device", "Echo", "EchoStreamed", "Info"]

_MODEL_FILES = ("proc/device-tree/model", "sys/devices/virtual/dmi/id/product_name")


class Info(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `device.info`; sizes in bytes, None where the system does not tell."""

    model: str
    os: str
    machine: str
    python: str
    cpu_count: int
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    uptime_ms: int | None = None


class Echo(msgspec.Struct, frozen=True):
    """The answer of `device.echo`."""

    text: str


class EchoStreamed(msgspec.Struct, frozen=True):
    """The answer of `device.echo_stream`, both directions alike."""

    pieces: int
    bytes: int


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _meminfo(root: Path) -> dict[str, int]:
    amounts: dict[str, int] = {}
    for line in (_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[0] if rest.split() else ""
        if number.isdigit():
            amounts[name] = int(number) * 1024
    return amounts


def _uptime_ms(root: Path) -> int | None:
    words = (_text(root / "proc/uptime") or "").split()
    try:
        return int(float(words[0]) * 1000) if words else None
    except ValueError:
        return None


def _system(root: Path) -> str:
    for line in (_text(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME" and value.strip('"'):
            return f"{value.strip(chr(34))} ({platform.system()} {platform.release()})"
    return f"{platform.system()} {platform.release()}".strip() or "unknown"


def read_info(root: Path = Path("/")) -> Info:
    """What this machine says about itself; `root` is where its file system begins."""
    memory = _meminfo(root)
    models = [model for model in (_text(root / name) for name in _MODEL_FILES) if model]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Info(
        model=models[0][:200] if models else "unknown",
        os=_system(root)[:200],
        machine=platform.machine() or "unknown",
        python=platform.python_version(),
        cpu_count=usable,
        memory_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        uptime_ms=_uptime_ms(root),
    )


class Device(Capability):
    """Serves `device.info`, `device.echo` and `device.echo_stream` on the node's own loop."""

    manifest: ClassVar[Manifest] = MANIFEST

    @operation("device.info")
    async def info(self, context: Context) -> Info:
        """Tell what this device is."""
        return read_info()

    @operation("device.echo")
    async def echo(self, context: Context, text: str) -> Echo:
        """Answer with the same text."""
        return Echo(text)

    @operation("device.echo_stream")
    async def echo_stream(self, context: Context, delay_ms: int = 0) -> EchoStreamed:
        """Send back what comes."""
        pieces = size = 0
        while (piece := await context.stream.read()) is not None:
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            await context.stream.write(piece.data, last=piece.last)
            pieces += 1
            size += len(piece.data)
        return EchoStreamed(pieces, size)
