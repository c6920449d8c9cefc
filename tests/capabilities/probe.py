"""A capability whose only purpose is to misbehave, to see what a worker process and its host make of it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from kindmesh.capabilities.base import Artifact, Capability, Context, operation
from kindmesh.capabilities.registry import Entry, Part
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.manifest import Effect, Field, Limits, Manifest, Operation
from kindmesh.protocol.messages.events import Labels
from kindmesh.protocol.stream_spec import StreamMedia, StreamSpec
from kindmesh.protocol.topics import Topic, declare

ROOT: Final = str(Path(__file__).resolve().parents[2])


def _operation(name: str, *fields: Field, output: tuple[Field, ...] = ()) -> Operation:
    return Operation(
        name=f"probe.{name}",
        title=name,
        input=fields,
        output=output or (Field("text", "text", max_length=100_000),),
        effects=int(Effect.READ),
        idempotent=True,
        limits=Limits(),
    )


STREAM: Final = StreamSpec("both", StreamMedia("bytes"), StreamMedia("bytes"))

MANIFEST: Final = Manifest(
    capability="probe",
    version="1",
    title="Probe",
    operations=(
        _operation("echo", Field("text", "text")),
        _operation(
            "wait",
            Field("seconds", "number"),
            Field("child", "boolean", required=False, default=encode_value(False)),
        ),
        _operation("die", Field("how", "text", choices=("exit", "kill", "segfault"))),
        _operation("shout", Field("text", "text")),
        _operation("fail", Field("how", "text")),
        _operation("allocate", Field("mib", "integer")),
        msgspec.structs.replace(_operation("echo_stream"), stream=STREAM),
        msgspec.structs.replace(_operation("greedy"), stream=STREAM),
        _operation("look", Field("path", "text")),
        _operation("connect", Field("port", "integer")),
        _operation("surroundings"),
        _operation("lie", Field("how", "text")),
        _operation("keep", Field("size", "integer"), output=(Field("file", "artifact"),)),
        _operation("steal", Field("path", "text"), output=(Field("file", "artifact"),)),
        _operation("measure", Field("file", "artifact")),
        _operation("tell", Field("topic", "text"), Field("room", "text")),
    ),
    ext=declare(Topic("perception.probe.noticed", "something was noticed", (Field("room", "text"),))),
)


class Text(msgspec.Struct):
    text: str


class Number(msgspec.Struct):
    text: int


class File(msgspec.Struct):
    file: Artifact


def _sleeper(seconds: float) -> int:
    return subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"]).pid


def _read(path: str) -> str:
    try:
        return "read " + Path(path).read_text(encoding="utf-8")
    except OSError as error:
        return type(error).__name__


def _open_files() -> list[str]:
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2)
    return [os.readlink(link) for link in links if os.path.lexists(link)]


class Probe(Capability):
    manifest: ClassVar[Manifest] = MANIFEST

    @operation("probe.echo")
    async def echo(self, context: Context, text: str) -> Text:
        return Text(text)

    @operation("probe.echo_stream")
    async def echo_stream(self, context: Context) -> Text:
        count = 0
        while (piece := await context.stream.read()) is not None:
            await context.stream.write(piece.data, last=piece.last)
            count += 1
        return Text(str(count))

    @operation("probe.greedy")
    async def greedy(self, context: Context) -> Text:
        for number in range(1_000):
            await context.stream.write(bytes(1_000))
            context.progress(None, str(number))
        return Text("all")

    @operation("probe.tell")
    async def tell(self, context: Context, topic: str, room: str) -> Text:
        context.publish(topic, {"room": room}, labels=Labels(purpose="care"))
        return Text("told")

    @operation("probe.wait")
    async def wait(self, context: Context, seconds: float, child: bool = False) -> Text:
        pid = _sleeper(seconds) if child else 0
        (context.workdir / "half-done").write_bytes(b"something")
        context.progress(0.5, str(pid))
        await asyncio.sleep(seconds)
        return Text("waited")

    @operation("probe.die")
    async def die(self, context: Context, how: str) -> Text:
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGSEGV)
        return Text("alive")

    @operation("probe.shout")
    async def shout(self, context: Context, text: str) -> Text:
        for descriptor in (1, 2):
            os.write(descriptor, text.encode() * 1000)
        sys.stdout.write(text)
        sys.stdout.flush()
        return Text("shouted")

    @operation("probe.fail")
    async def fail(self, context: Context, how: str) -> Text:
        raise ValueError(how)

    @operation("probe.allocate")
    async def allocate(self, context: Context, mib: int) -> Text:
        return Text(str(len(bytearray(mib << 20))))

    @operation("probe.look")
    async def look(self, context: Context, path: str) -> Text:
        return Text(_read(path))

    @operation("probe.connect")
    async def connect(self, context: Context, port: int) -> Text:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return Text("connected")
        except OSError as error:
            return Text(type(error).__name__)

    @operation("probe.surroundings")
    async def surroundings(self, context: Context) -> Text:
        return Text(msgspec.json.encode({"names": sorted(os.environ), "files": _open_files()}).decode())

    @operation("probe.lie")
    async def lie(self, context: Context, how: str) -> Number:
        return Number(7)

    @operation("probe.keep")
    async def keep(self, context: Context, size: int) -> File:
        path = context.workdir / "kept.bin"
        path.write_bytes(bytes(size))
        return File(await context.keep(path, "application/x-zeros"))

    @operation("probe.steal")
    async def steal(self, context: Context, path: str) -> File:
        link = context.workdir / "link"
        link.symlink_to(path)
        target = context.workdir / "decoy"
        target.write_bytes(b"decoy")
        kept = await context.keep(target, "text/plain")
        target.unlink()
        link.rename(target)
        return File(kept)

    @operation("probe.measure")
    async def measure(self, context: Context, file: Artifact) -> Text:
        path = await context.file(file)
        return Text(f"{path.stat().st_size} {path.parent == context.workdir}")


PART: Final = Part(
    name="probe",
    implementation="tests.capabilities.probe:Probe",
    operations=tuple(operation.name for operation in MANIFEST.operations),
    isolation="process",
    memory_mib=256,
    search_path=(ROOT,),
)
ENTRY: Final = Entry(capability="probe", manifest="tests.capabilities.probe:MANIFEST", parts=(PART,))
