"""All capabilities of one device, behind one call.

The node owns one `CapabilityHost` and enters it (`async with`); leaving it ends every worker process and stops every
inline part. `call` checks the arguments against the manifest before anything is started, hands input artifacts over
as plain files, runs the operation inline or in its worker, checks the result, and only then turns the files it made
into artifacts. Rules: a call ends with a result or exactly one error; its folder is gone when it ends; cancelling the
awaiting task, or setting `cancelled`, ends the operation itself (for a worker: kills it) before the call returns.
How many calls run at once, permits and journals are the node's business.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kindmesh.capabilities.base import (
    Artifacts,
    Capability,
    Context,
    Duplex,
    Progress,
    Services,
    Tell,
    checked_result,
    invoke,
)
from kindmesh.capabilities.registry import ENTRIES, Availability, Entry, Part, available, find_part
from kindmesh.capabilities.worker import WorkerProcess, WorkerStatistics
from kindmesh.capabilities.worker_wire import Call, Done
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import Cancelled, CapabilityError, DeadlineExceeded, KindmeshError, Stopped
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import Operation, artifacts_in, check_fields
from kindmesh.protocol.messages.events import Labels

__all__ = ["CapabilityHost"]

log = logging.getLogger("kindmesh.capabilities.host")

_CLOCK: Final = SystemClock()


def _unheard(fraction: float | None, text: str) -> None:
    """Progress nobody asked for."""


class _Inline:
    """A part on the node's own loop, started with the first call."""

    def __init__(self, part: Part, services: Services) -> None:
        self._part = part
        self._services = services
        self._starting = asyncio.Lock()
        self._started: Capability | None = None

    async def get(self) -> Capability:
        if self._started is None:
            async with self._starting:
                if self._started is None:
                    made = _load(self._part.implementation)
                    await made.start(self._services)
                    self._started = made
        return self._started

    async def stop(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            await started.stop()


def _load(implementation: str) -> Capability:
    module, _, name = implementation.partition(":")
    made = getattr(importlib.import_module(module), name)()
    if not isinstance(made, Capability):
        raise TypeError(f"{implementation} is no capability")
    return made


@dataclass(slots=True)
class _Request:
    part: Part
    operation: Operation
    arguments: dict[str, Any]
    folder: Path
    data_dir: Path
    job_id: bytes
    deadline: float
    progress: Progress
    cancelled: asyncio.Event | None
    duplex: Duplex | None = None


class _Served:
    """What never changes about an operation that is served. Joining paths takes longer than a small operation, so one
    that neither takes nor makes files has no folder made: its path names nothing."""

    __slots__ = ("data_dir", "needs_folder", "nowhere", "operation", "part", "root")

    def __init__(self, part: Part, operation: Operation, root: Path, data_dir: Path) -> None:
        self.part, self.operation, self.root, self.data_dir = part, operation, root, data_dir
        self.nowhere = root / "none"
        self.needs_folder = _needs_folder(part, operation)


def _needs_folder(part: Part, operation: Operation) -> bool:
    fields = (*operation.input, *operation.output)
    return part.isolation == "process" or any("artifact" in (item.type, item.items) for item in fields)


class CapabilityHost:
    """Runs operations. `work_root` is a private folder that the host empties; `idle_s` as in `WorkerProcess`;
    `monotonic` is the clock that deadlines are read on (worker processes: always the system's), `now_ms` the wall clock
    of inline parts (UTC); `config_dir` is where the settings of capabilities are."""

    def __init__(
        self,
        *,
        artifacts: Artifacts,
        data_dir: Path,
        work_root: Path,
        idle_s: float = 120.0,
        entries: Sequence[Entry] = ENTRIES,
        monotonic: Callable[[], float] = time.monotonic,
        config_dir: Path | None = None,
        now_ms: Callable[[], int] = _CLOCK.now_ms,
    ) -> None:
        self._artifacts = artifacts
        self._config_dir = config_dir
        self._data_dir = data_dir
        self._work_root = work_root
        self._idle_s = idle_s
        self._entries = tuple(entries)
        self._monotonic = monotonic
        self._now_ms = now_ms
        self.on_event: Callable[[str, str, dict[str, Any], Labels | None], None] | None = None
        """Told (capability, topic, values, labels) of what capabilities publish; raises what it refuses."""
        self.on_named: Callable[[str, Mapping[str, Sequence[str]]], None] | None = None
        """Told (capability, names by the id of a thing) of what inline parts say that their things are called."""
        self._available = available(entries)
        self._operations = {op.name: op for known in self._available for op in known.manifest.operations}
        self._inline: dict[str, _Inline] = {}
        self._workers: dict[str, WorkerProcess] = {}
        self._served: dict[str, _Served] = {}
        self._numbers = itertools.count(1)
        self._tasks: asyncio.TaskGroup | None = None
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_emptied, self._work_root)
        self._tasks = await asyncio.TaskGroup().__aenter__()
        for known in self._available:
            for part in known.entry.parts if known.ready else ():
                self._prepare(known.entry, part)
        for entry in self._entries:
            for part in entry.parts:
                if part.awake and part.name in self._inline:
                    await self._wake(part.name)
        return self

    async def _wake(self, part: str) -> None:
        """Start a part that has to do something between calls; one that cannot says why when it is called."""
        try:
            await self._inline[part].get()
        except KindmeshError as error:
            log.warning("%s does not start yet: %s", part, error.message)

    def _prepare(self, entry: Entry, part: Part) -> None:
        if part.isolation == "process":
            worker = WorkerProcess(part, self._work_root / part.name, idle_s=self._idle_s)
            self._workers[part.name] = worker
            if self._tasks is not None:
                self._watchers.append(self._tasks.create_task(worker.watch_idle(), name=f"idle:{part.name}"))
        else:
            services = Services(
                self._data_dir / entry.capability,
                self._config_dir,
                now_ms=self._now_ms,
                tell=partial(self._heard, entry.capability),
                named=partial(self._named, entry.capability),
                spawn=self._spawn,
            )
            self._inline[part.name] = _Inline(part, services)
        root, data_dir = self._work_root / part.name, self._data_dir / entry.capability
        for name in part.operations:
            self._served[name] = _Served(part, self._operations[name], root, data_dir)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served = {}
        for watcher in self._watchers:
            watcher.cancel()
        for worker in self._workers.values():
            await worker.unload()
        for inline in self._inline.values():
            await inline.stop()
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            await tasks.__aexit__(None, None, None)
        await asyncio.to_thread(shutil.rmtree, self._work_root, ignore_errors=True)

    def availability(self) -> list[Availability]:
        """Every capability we know and what is missing for it here."""
        return list(self._available)

    def statistics(self) -> tuple[WorkerStatistics, ...]:
        """A snapshot of every worker process."""
        return tuple(worker.statistics() for worker in self._workers.values())

    async def call(
        self,
        operation: str,
        arguments: dict[str, Any],
        *,
        job_id: bytes,
        deadline: float,
        progress: Progress = _unheard,
        cancelled: asyncio.Event | None = None,
        duplex: Duplex | None = None,
    ) -> dict[str, Any]:
        """Run one operation; returns its result as plain data, artifacts in it as `{"artifact": hex, ...}`.

        `deadline` is in seconds on the monotonic clock. Setting `cancelled` raises `Cancelled` here.
        `duplex` is the stream of an operation that streams.

        Raises:
            UnknownOperation, CapabilityMissing: not on this device; the hint says what to do.
            InvalidInput: names the field.
            DeadlineExceeded, Cancelled, CapabilityCrashed, Stopped, and whatever the operation raises.
        """
        served = self._served.get(operation)
        if served is None:
            find_part(operation, self._entries)
            raise Stopped(f"{operation} is stopping or not started on this device")
        request = _Request(
            part=served.part,
            operation=served.operation,
            arguments=check_fields(served.operation.input, arguments),
            folder=served.root / str(next(self._numbers)) if served.needs_folder else served.nowhere,
            data_dir=served.data_dir,
            job_id=job_id,
            deadline=deadline,
            progress=progress,
            cancelled=cancelled,
            duplex=duplex,
        )
        running = self._run(request) if served.needs_folder else self._in_line(request)
        if cancelled is None:
            return await running
        return await _unless(cancelled, running)

    async def _run(self, request: _Request) -> dict[str, Any]:
        try:
            request.folder.mkdir(parents=True, mode=0o700)
            if request.part.isolation == "process":
                return await self._in_worker(request)
            return await self._in_line(request)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, request.folder, ignore_errors=True))

    async def _in_line(self, request: _Request) -> dict[str, Any]:
        context = Context(
            job_id=request.job_id,
            deadline=request.deadline,
            workdir=request.folder,
            data_dir=request.data_dir,
            artifacts=self._artifacts,
            report=request.progress,
            cancelled=request.cancelled.is_set if request.cancelled is not None else _never,
            monotonic=self._monotonic,
            tell=self._tell(request.operation),
            duplex=request.duplex,
        )
        name = request.operation.name
        try:
            async with asyncio.timeout(max(0.0, request.deadline - self._monotonic())):
                part = await self._inline[request.part.name].get()
                return await invoke(part, name, context, request.arguments)
        except TimeoutError:
            raise DeadlineExceeded(f"{name} took longer than allowed and was stopped") from None

    async def _in_worker(self, request: _Request) -> dict[str, Any]:
        operation, folder = request.operation, request.folder
        inputs: dict[str, str] = {}
        for artifact_id in artifacts_in(operation.input, request.arguments):
            path = await self._artifacts.open(artifact_id, folder)
            inputs[artifact_id] = str(path.relative_to(folder))
        call = Call(
            operation=operation.name,
            arguments=encode_value(request.arguments),
            folder=str(folder),
            job_id=request.job_id,
            remaining_ms=max(0, int((request.deadline - time.monotonic()) * 1000)),
            inputs=inputs,
            streams=request.duplex is not None,
        )
        worker = self._workers[request.part.name]
        done = await worker.call(
            call,
            deadline=request.deadline,
            progress=request.progress,
            tell=self._tell(operation),
            duplex=request.duplex,
        )
        result = checked_result(operation, decode_value(done.result, limit=RESULT_MAX))
        await self._take(operation, result, done, folder, set(inputs))
        return result

    def _heard(self, capability: str, topic: str, values: dict[str, Any], labels: Labels | None) -> None:
        if self.on_event is not None:
            self.on_event(capability, topic, values, labels)

    def _named(self, capability: str, things: Mapping[str, Sequence[str]]) -> None:
        if self.on_named is not None:
            self.on_named(capability, things)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._tasks is None:
            work.close()
            raise Stopped(f"{name} cannot go on: this device is stopping")
        return self._tasks.create_task(work, name=name)

    def _tell(self, operation: Operation) -> Tell | None:
        """Where the events of a call go: in the name of the capability whose operation runs."""
        if self.on_event is None:
            return None
        return partial(self.on_event, operation.name.partition(".")[0])

    async def _take(
        self, operation: Operation, result: dict[str, Any], done: Done, folder: Path, inputs: set[str]
    ) -> None:
        """Turn the files of a result into artifacts; a worker cannot name any other file or artifact."""
        made = {output.artifact: output for output in done.outputs}
        for artifact_id in artifacts_in(operation.output, result):
            output = made.get(artifact_id)
            if output is None:
                if artifact_id in inputs:
                    continue
                raise CapabilityError(f"{operation.name} answered with a file that it did not make")
            path = folder / output.file
            if not _plain_beneath(path, folder):
                raise CapabilityError(f"{operation.name} answered with something that is no file of its own")
            if await self._artifacts.put_file(path, output.media_type) != artifact_id:
                raise CapabilityError(f"{operation.name} answered with a file that does not fit its hash")


def _never() -> bool:
    return False


def _plain_beneath(path: Path, folder: Path) -> bool:
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(kind) and path.resolve().is_relative_to(folder.resolve())


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)


async def _unless(cancelled: asyncio.Event, running: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The result of `running`, or `Cancelled` once the event is set and `running` has ended."""
    work: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(running)
    watch = asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
    finally:
        watch.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
    raise Cancelled()
