"""A device with a hundred capabilities, for `kindmesh bench heart`: real ones, with manifests, on a real node.

`crowd000` to `crowd099` each offer `.echo` (answers at once) and `.wait` (answers after `wait_ms`, and can be repeated
elsewhere). `python -m kindmesh.coordinator.bench.crowd --home FOLDER` is the node's own program with these beside the
usual one; `crowd_mesh` pairs and starts it. The classes are made when they are asked for by name, so that a hundred of
them are a loop and not a hundred pages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from functools import cache
from typing import Any, Final

import msgspec

from kindmesh.capabilities.base import Capability, Context, operation
from kindmesh.capabilities.registry import ENTRIES, Entry, Part
from kindmesh.mesh.clock import SystemClock, SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.zmq_transport import ZmqTransport
from kindmesh.node.app import Node
from kindmesh.node.config import load_config
from kindmesh.node.process import serve
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation

COUNT: Final = 100
WAIT_MAX_MS: Final = 60_000
_TEXT: Final = Field("text", "text", "Anything", max_length=1_000)
_WAIT: Final = Field(
    "wait_ms", "integer", "How long", required=False, minimum=0, maximum=WAIT_MAX_MS, default=encode_value(0)
)
_LIMITS: Final = Limits(
    timeout_ms=2 * WAIT_MAX_MS, max_concurrent=1_100, max_input_bytes=4_096, max_output_bytes=4_096
)


class Said(msgspec.Struct, frozen=True):
    """The same text."""

    text: str


def capability(number: int) -> str:
    """The name of a capability, `number` 0..99."""
    return f"crowd{number:03d}"


@cache
def manifest(name: str) -> Manifest:
    """What `name` offers."""
    echo = Operation(
        f"{name}.echo", "Answer with the same text", (_TEXT,), (_TEXT,), int(Effect.READ), True, limits=_LIMITS,
        session_call=True,
    )  # fmt: skip
    wait = Operation(
        f"{name}.wait", "Answer later", (_TEXT, _WAIT), (_TEXT,), int(Effect.READ), True, limits=_LIMITS
    )
    return Manifest(name, "1", name, (echo, wait))


@cache
def implementation(name: str) -> type[Capability]:
    """The class that serves `name`."""

    @operation(f"{name}.echo")
    async def echo(self: Capability, context: Context, text: str) -> Said:
        return Said(text)

    @operation(f"{name}.wait")
    async def wait(self: Capability, context: Context, text: str, wait_ms: int = 0) -> Said:
        await asyncio.sleep(wait_ms / 1000)
        return Said(text)

    return type(name.title(), (Capability,), {"manifest": manifest(name), "echo": echo, "wait": wait})


def __getattr__(name: str) -> Any:
    """`MANIFEST_crowd007` and `Class_crowd007`, as the registry's entries name them."""
    kind, _, which = name.partition("_")
    if kind == "MANIFEST" and which.startswith("crowd"):
        return manifest(which)
    if kind == "Class" and which.startswith("crowd"):
        return implementation(which)
    raise AttributeError(name)


def crowd_entries(count: int = COUNT) -> tuple[Entry, ...]:
    """The first `count` of them, after the `device` that every node has."""
    usual = tuple(entry for entry in ENTRIES if entry.capability == "device")
    return usual + tuple(
        Entry(
            name,
            f"kindmesh.coordinator.bench.crowd:MANIFEST_{name}",
            (Part(name, f"kindmesh.coordinator.bench.crowd:Class_{name}", (f"{name}.echo", f"{name}.wait")),),
        )
        for name in map(capability, range(count))
    )


def main() -> None:
    """The node of one such device, until SIGTERM."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--home", required=True)
    home = Home.locate(parser.parse_args().home)

    def say(event: str, **details: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **details}) + "\n")
        sys.stdout.flush()

    with home.lock("node"):
        node = Node(
            home,
            load_config(home.config_file, os.environ),
            clock=SystemClock(),
            entropy=SystemEntropy(),
            transport=ZmqTransport(),
            entries=crowd_entries(),
        )
        asyncio.run(serve(node, say))


if __name__ == "__main__":
    main()


__all__ = [
    "COUNT",
    "Said",
    "capability",
    "crowd_entries",
    "implementation",
    "main",
    "manifest",
]
