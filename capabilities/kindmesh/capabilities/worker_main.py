"""The inside of a worker process: `python -m kindmesh.capabilities.worker_main FD`.

Order matters and is fixed: hear how to be (`Begin`), set the memory and file limits, give up all rights that are not
needed (before the first thread and before any foreign code), start the thread that listens to the host, then import
and load the implementation. When the host's end of the connection closes, for whatever reason, the process kills its
own process group at once, players and all, even in the middle of native code: a worker never outlives its node.
One call runs at a time. Whatever is not a typed error becomes one that names the place in the code and no values.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from kindmesh.capabilities.base import Capability, Context, Services, invoke
from kindmesh.capabilities.worker_stream import WorkerDuplex
from kindmesh.capabilities.worker_wire import (
    Begin,
    Call,
    Chunk,
    Done,
    Failed,
    Frames,
    FromHost,
    FromWorker,
    Output,
    Published,
    Ready,
    Taken,
    Working,
    pack,
)
from kindmesh.mesh.confine import Sandbox, apply, runtime_paths
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import (
    ArtifactMissing,
    CapabilityError,
    InternalError,
    KindmeshError,
    Malformed,
    error_to_wire,
)
from kindmesh.protocol.manifest import check_fields
from kindmesh.protocol.messages.events import Labels
from kindmesh.protocol.topics import topics_of, undeclared

__all__ = ["main"]

READABLE: Final = (
    "/dev/urandom",
    "/dev/zero",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/sys/devices/system/cpu",
)
AUDIO_READABLE: Final = (
    "/etc/alsa",
    "/etc/asound.conf",
    "/etc/pipewire",
    "/etc/pulse",
    "/proc/asound",
    "/sys/class/sound",
    "/sys/devices",
    "/var/lib/alsa",
)


class Wire:
    """The worker's end of the connection; `send` may be called from any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = Frames()
        self._turn = threading.Lock()

    def receive(self) -> FromHost | None:
        """The next message; None when the host is gone or talks nonsense."""
        try:
            while True:
                message = self._frames.from_host()
                if message is not None:
                    return message
                data = self._connection.recv(65_536)
                if not data:
                    return None
                self._frames.feed(data)
        except (OSError, Malformed):
            return None

    def send(self, message: FromWorker) -> None:
        """Send one message; a host that is gone is not told anything."""
        frame = pack(message)
        with self._turn:
            try:
                self._connection.sendall(frame)
            except OSError:
                end()


def end() -> None:
    """The end of this process and of everything it started."""
    os.killpg(0, signal.SIGKILL)


def limit(begin: Begin) -> None:
    """Bound memory (private, writable), file size, open files; no core dumps.

    RLIMIT_DATA and not RLIMIT_AS: neural network runtimes map far more address space than they ever touch.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if begin.memory_mib:
        resource.setrlimit(resource.RLIMIT_DATA, (begin.memory_mib << 20, begin.memory_mib << 20))
    if begin.file_mib:
        resource.setrlimit(resource.RLIMIT_FSIZE, (begin.file_mib << 20, begin.file_mib << 20))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    bound = 256 if most == resource.RLIM_INFINITY else min(256, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (bound, bound))


def sandbox(begin: Begin) -> Sandbox:
    """The rights this worker keeps: its work folder, the interpreter's files, and sound where that was granted."""
    runtime = runtime_paths()
    return Sandbox(
        read=[*runtime, *READABLE, *begin.search_path, *(AUDIO_READABLE if begin.audio else ())],
        write=[begin.workdir],
        execute=[*runtime, *begin.programs] if begin.audio else (),
        devices=["/dev/null", *(("/dev/snd",) if begin.audio else ())],
        connect=list(begin.audio_sockets),
        network="none",
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FolderArtifacts:
    """Artifacts of one call: inputs lie in its folder already, outputs are named to the host at the end."""

    def __init__(self, folder: Path, inputs: dict[str, str]) -> None:
        self._folder = folder
        self._inputs = inputs
        self.outputs: list[Output] = []

    async def open(self, artifact_id: str, folder: Path) -> Path:
        """The file that the host put there."""
        name = self._inputs.get(artifact_id)
        if name is None:
            raise ArtifactMissing(f"the file {artifact_id[:8]} was not handed over")
        return self._folder / name

    async def put_file(self, path: Path, media_type: str) -> str:
        """Hash the file and remember it; the host takes it when the call has succeeded."""
        digest = await asyncio.to_thread(digest_of, path)
        size = os.stat(path).st_size
        self.outputs.append(Output(digest, str(path.relative_to(self._folder)), size, media_type))
        return digest


def typed(error: BaseException, what: str) -> KindmeshError:
    """`error` as one of ours; an unexpected one names its kind and the place it comes from, never a value."""
    if isinstance(error, KindmeshError):
        return error
    if isinstance(error, MemoryError):
        return CapabilityError(
            f"{what} needed more memory than it may have", hint="Try with something smaller."
        )
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    return InternalError(f"{what} failed with {type(error).__name__} at {place}")


def publish(part: Capability, wire: Wire, topic: str, values: dict[str, Any], labels: Labels | None) -> None:
    """Check an event where its mistake can be understood, and pass it on; the host checks it again.

    Raises:
        InvalidInput: the manifest does not declare the topic, or the values are not what it says.
    """
    declared = topics_of([part.manifest])
    if topic not in declared:
        raise undeclared(topic, declared)
    wire.send(Published(topic, encode_value(check_fields(declared[topic].fields, values)), labels))


async def serve(part: Capability, call: Call, wire: Wire, duplex: WorkerDuplex | None = None) -> FromWorker:
    """Run one call to its `Done` or `Failed`."""
    folder = Path(call.folder)
    artifacts = FolderArtifacts(folder, call.inputs)
    context = Context(
        job_id=call.job_id,
        deadline=time.monotonic() + call.remaining_ms / 1000,
        workdir=folder,
        data_dir=folder,
        artifacts=artifacts,
        report=lambda fraction, text: wire.send(Working(fraction, text[:200])),
        tell=partial(publish, part, wire),
        duplex=duplex,
    )
    running = asyncio.ensure_future(invoke(part, call.operation, context, decode_value(call.arguments)))
    await asyncio.wait([running])
    error = running.exception()
    if error is not None:
        return Failed(error_to_wire(typed(error, call.operation)))
    return Done(encode_value(running.result()), tuple(artifacts.outputs))


async def load(implementation: str, services: Services) -> Capability:
    """Import, create and start the part named `module:Class`."""
    module, _, name = implementation.partition(":")
    made = getattr(importlib.import_module(module), name)()
    if not isinstance(made, Capability):
        raise InternalError(f"{implementation} is no capability")
    await made.start(services)
    return made


async def work(begin: Begin, wire: Wire, confinement: str) -> None:
    """Load, say so, then answer calls until the connection ends."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[FromHost] = asyncio.Queue()

    def listen() -> None:
        while (message := wire.receive()) is not None:
            loop.call_soon_threadsafe(inbox.put_nowait, message)
        end()

    threading.Thread(target=listen, name="host", daemon=True).start()
    loading = asyncio.ensure_future(load(begin.implementation, Services(Path(begin.workdir))))
    await asyncio.wait([loading])
    error = loading.exception()
    if error is not None:
        wire.send(Failed(error_to_wire(typed(error, begin.implementation))))
        return
    wire.send(Ready(int((time.monotonic() - began) * 1000), confinement))
    while True:
        message = await inbox.get()
        if isinstance(message, Call):
            if not message.streams:
                wire.send(await serve(loading.result(), message, wire))
                continue
            duplex = WorkerDuplex(wire.send)
            serving = asyncio.ensure_future(serve(loading.result(), message, wire, duplex))
            await feed(duplex, serving, inbox)
            wire.send(serving.result())


async def feed(
    duplex: WorkerDuplex, serving: asyncio.Future[FromWorker], inbox: asyncio.Queue[FromHost]
) -> None:
    """Pass on what the host says of the stream, until the call has ended."""
    while not serving.done():
        coming = asyncio.ensure_future(inbox.get())
        pending: list[asyncio.Future[Any]] = [coming, serving]
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            coming.cancel()
            await asyncio.wait({coming})
        elif isinstance(message := coming.result(), (Chunk, Taken)):
            duplex.came(message)


def main(arguments: list[str]) -> None:
    """Run as a worker on the connection whose descriptor number is the only argument."""
    connection = socket.socket(fileno=int(arguments[0]))
    connection.set_inheritable(False)
    wire = Wire(connection)
    begin = wire.receive()
    if not isinstance(begin, Begin):
        return
    sys.path[:0] = begin.search_path
    limit(begin)
    confinement = json.dumps(msgspec.to_builtins(apply(sandbox(begin)).as_dict()))
    asyncio.run(work(begin, wire, confinement))


if __name__ == "__main__":
    main(sys.argv[1:])
