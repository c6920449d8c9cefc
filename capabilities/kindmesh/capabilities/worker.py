"""The outside of a worker process: starting it on first use, talking to it, and ending it in time.

One `WorkerProcess` stands for one part with isolation "process". States, all held by one lock so that one call runs
at a time: *absent* -> (first call) *loaded* -> (a call) *busy* -> *loaded* -> (idle for `idle_s`) *absent*. Rules:
- whatever ends a call other than its answer (deadline, cancellation, nonsense from the worker) kills the process
  group, and the process is reaped before the caller goes on; a killed model is loaded again by the next call;
- a worker that ends by itself is a `CapabilityCrashed` naming it; more than `intensity` crashes within a minute and
  the part rests until that minute is over, so that a broken model cannot keep a small board busy with dying;
- the child gets a clean environment, one end of a socket pair, a work folder, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kindmesh.capabilities.base import Duplex, Progress, Tell
from kindmesh.capabilities.registry import Part
from kindmesh.capabilities.worker_stream import Bridge
from kindmesh.capabilities.worker_wire import (
    Begin,
    Call,
    Chunk,
    Done,
    Failed,
    Frames,
    FromWorker,
    Published,
    Ready,
    Taken,
    Working,
    pack,
)
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import (
    CapabilityCrashed,
    DeadlineExceeded,
    KindmeshError,
    Malformed,
    Stopped,
    error_from_wire,
)
from kindmesh.protocol.limits import EVENT_DATA_MAX, EVENT_DEPTH_MAX

__all__ = ["WorkerProcess", "WorkerStatistics"]

LOAD_TIMEOUT_S: Final = 60.0
INTENSITY: Final = 5
INTENSITY_WINDOW_S: Final = 60.0

_PASSED_ON: Final = ("ANDROID_DATA", "ANDROID_ROOT", "LD_LIBRARY_PATH", "PREFIX", "TERMUX_VERSION")
_PASSED_ON_FOR_AUDIO: Final = (
    "KINDMESH_PLAYER",
    "PATH",
    "PIPEWIRE_RUNTIME_DIR",
    "PULSE_SERVER",
    "XDG_RUNTIME_DIR",
)
_RECYCLED_AFTER: Final = ("CAPABILITY", "INTERNAL")
"""Errors after which a worker's memory cannot be trusted to be sane."""

_log = logging.getLogger("kindmesh.capabilities.worker")


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """A snapshot. `pid` 0 and `rss_mib` 0 while nothing is loaded; `load_ms` is of the last start, as seen inside."""

    part: str
    pid: int
    rss_mib: float
    starts: int
    calls: int
    crashes: int
    load_ms: int
    confinement: str


class _Live:
    """One running process and the connection to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self.ready = Ready(0, "")
        self._connection = connection
        self._frames = Frames()
        self._sending = asyncio.Lock()

    async def send(self, message: Begin | Call | Chunk | Taken) -> None:
        # Two tasks of a call that streams send: their frames must not mix.
        async with self._sending:
            await asyncio.get_running_loop().sock_sendall(self._connection, pack(message))

    async def receive(self) -> FromWorker | None:
        """The next message; None when the process ended or closed its end."""
        loop = asyncio.get_running_loop()
        while True:
            message = self._frames.from_worker()
            if message is not None:
                return message
            try:
                data = await loop.sock_recv(self._connection, 65_536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._frames.feed(data)

    async def end(self) -> int:
        """Kill the whole group, reap the process; returns its exit status (negative: the signal).

        The connection is shut down first and closed last, so that a call still waiting on it hears of the end.
        """
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status = await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self.process.wait))
        self._connection.close()
        return status


def _portions() -> list[str]:
    """Where this distribution's code is, for a child that may not have it on its own path."""
    return [str(Path(path).parent) for path in sys.modules["kindmesh"].__path__]


def child_environment(workdir: Path, *, audio: bool, environ: Mapping[str, str]) -> dict[str, str]:
    """All that a worker sees of the environment."""
    kept = {name: environ[name] for name in _PASSED_ON if name in environ}
    if audio:
        kept |= {name: environ[name] for name in _PASSED_ON_FOR_AUDIO if name in environ}
    kept |= {
        "HOME": str(workdir),
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "2",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(_portions()),
        "TMPDIR": str(workdir),
    }
    if site.ENABLE_USER_SITE and site.USER_BASE:
        kept["PYTHONUSERBASE"] = site.USER_BASE
    return kept


def audio_sockets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where a sound server of this user may listen."""
    found = [environ["PULSE_SERVER"].removeprefix("unix:")] if "PULSE_SERVER" in environ else []
    for name in ("PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        if environ.get(name):
            found += [f"{environ[name]}/pipewire-0", f"{environ[name]}/pulse"]
    return tuple(path for path in found if path.startswith("/"))


def _audio_programs(environ: Mapping[str, str]) -> tuple[str, ...]:
    chosen = shutil.which(environ.get("KINDMESH_PLAYER", ""))
    return (os.path.realpath(chosen),) if chosen else ()


def _spawn(part: Part, workdir: Path) -> _Live:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kindmesh.capabilities.worker_main", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("KINDMESH_WORKER_STDERR") else subprocess.DEVNULL,
            env=child_environment(workdir, audio=part.audio, environ=os.environ),
            cwd=workdir,
            start_new_session=True,
        )
    return _Live(process, ours)


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"it ended with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"


class WorkerProcess:
    """One part in a process of its own. `workdir` belongs to it alone; `idle_s` is in seconds."""

    def __init__(self, part: Part, workdir: Path, *, idle_s: float = 120.0) -> None:
        self.part = part
        self.workdir = workdir
        self._idle_s = idle_s
        self._live: _Live | None = None
        self._turn = asyncio.Lock()
        self._used = asyncio.Event()
        self._used_at = 0.0
        self._crashed_at: deque[float] = deque(maxlen=INTENSITY)
        self._starts = self._calls = self._crashes = self._load_ms = 0
        self._confinement = ""

    async def call(
        self,
        call: Call,
        *,
        deadline: float,
        progress: Progress,
        tell: Tell | None = None,
        duplex: Duplex | None = None,
    ) -> Done:
        """Run one call; `deadline` in seconds on the monotonic clock, waiting for the turn included. `tell` hears of
        the events that it publishes; `duplex` is its stream.

        Raises:
            DeadlineExceeded: the time is over; the worker was killed.
            CapabilityCrashed: the worker ended in mid-call, talked nonsense, or is resting after crashes.
            Stopped: `unload` was called from outside in mid-call.
            KindmeshError: what the operation raised.
        """
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())), self._turn:
                live = await self._loaded()
                self._calls += 1
                if duplex is None:
                    answer = await self._answer(live, call, progress, tell)
                else:
                    async with Bridge(live.send, duplex) as bridge:
                        answer = await self._answer(live, call, progress, tell, bridge)
        except TimeoutError:
            raise DeadlineExceeded(f"{call.operation} took longer than allowed and was stopped") from None
        if isinstance(answer, Failed):
            raise error_from_wire(answer.error)
        return answer

    async def watch_idle(self) -> None:
        """Unload when nothing was asked for `idle_s`; runs as long as the host does."""
        while True:
            await self._used.wait()
            left = self._used_at + self._idle_s - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
                continue
            async with self._turn:
                if time.monotonic() - self._used_at >= self._idle_s:
                    self._used.clear()
                    await self.unload()

    async def unload(self) -> None:
        """End the process, if there is one; the memory is free when this returns."""
        live, self._live = self._live, None
        if live is not None:
            await live.end()
            _log.info("worker unloaded", extra={"part": self.part.name, "pid": live.process.pid})

    def statistics(self) -> WorkerStatistics:
        """What it is doing now."""
        pid = self._live.process.pid if self._live is not None else 0
        return WorkerStatistics(
            part=self.part.name,
            pid=pid,
            rss_mib=_rss_mib(pid),
            starts=self._starts,
            calls=self._calls,
            crashes=self._crashes,
            load_ms=self._load_ms,
            confinement=self._confinement,
        )

    async def _answer(
        self, live: _Live, call: Call, progress: Progress, tell: Tell | None, bridge: Bridge | None = None
    ) -> Done | Failed:
        answered = False
        try:
            await live.send(call)
            _start(bridge)
            while True:
                message = await live.receive()
                match message:
                    case Working(fraction, text):
                        progress(fraction, text)
                    case Published():
                        self._publish(message, tell)
                    case Chunk() | Taken():
                        _streamed(bridge, message)
                    case Done():
                        answered = True
                        await _drained(bridge)
                        return message
                    case Failed(error):
                        answered = error.code not in _RECYCLED_AFTER
                        return message
                    case None if self._live is not live:
                        raise Stopped(f"{call.operation} was stopped: this device is shutting down")
                    case None:
                        raise await self._crash(live, call.operation, gone=True)
                    case Ready():
                        raise Malformed("said twice that it is ready")
        except ConnectionError as error:
            raise await self._crash(live, call.operation, gone=True) from error
        except Malformed as error:
            raise await self._crash(live, call.operation, gone=False) from error
        finally:
            self._used_at = time.monotonic()
            self._used.set()
            if not answered or (bridge is not None and not bridge.fed):
                await self.unload()

    def _publish(self, message: Published, tell: Tell | None) -> None:
        """Pass an event on; one that is refused is named, and the call goes on: nobody waits for it there."""
        if tell is None:
            return
        try:
            values = decode_value(message.values, limit=EVENT_DATA_MAX, depth=EVENT_DEPTH_MAX)
            tell(message.topic, values, message.labels)
        except KindmeshError as error:
            _log.warning("an event was refused", extra={"code": error.code, "part": self.part.name})

    async def _loaded(self) -> _Live:
        if self._live is not None:
            if self._live.process.poll() is None:
                return self._live
            await self.unload()
        self._refuse_while_resting()
        self.workdir.mkdir(parents=True, exist_ok=True, mode=0o700)
        live = self._live = _spawn(self.part, self.workdir)
        self._starts += 1
        answer: Ready | Failed | None = None
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                answer = await self._begin(live)
        except ConnectionError as error:
            raise await self._crash(live, "loading", gone=True) from error
        except (Malformed, TimeoutError) as error:
            raise await self._crash(live, "loading", gone=False) from error
        finally:
            self._used_at = time.monotonic()
            self._used.set()
            if not isinstance(answer, Ready):
                await self.unload()
        if isinstance(answer, Failed):
            raise error_from_wire(answer.error)
        return live

    async def _begin(self, live: _Live) -> Ready | Failed:
        part = self.part
        await live.send(
            Begin(
                part.implementation,
                str(self.workdir),
                memory_mib=part.memory_mib,
                audio=part.audio,
                audio_sockets=audio_sockets(os.environ) if part.audio else (),
                programs=_audio_programs(os.environ) if part.audio else (),
                search_path=part.search_path,
            )
        )
        match await live.receive():
            case Ready(load_ms, confinement) as answer:
                self._load_ms, self._confinement = load_ms, confinement
                _log.info(
                    "worker loaded", extra={"part": part.name, "pid": live.process.pid, "load_ms": load_ms}
                )
                return answer
            case Failed() as answer:
                return answer
            case None:
                raise await self._crash(live, "loading", gone=True)
            case _:
                raise Malformed("answered before it was asked")

    async def _crash(self, live: _Live, during: str, *, gone: bool) -> CapabilityCrashed:
        """End what is left of a worker that failed, and the error that says so; `gone` when it ended by itself."""
        self._live = None
        self._crashes += 1
        self._crashed_at.append(time.monotonic())
        status = await live.end()
        how = _how_it_ended(status) if gone else "it did not answer as agreed"
        _log.warning(
            "worker crashed", extra={"part": self.part.name, "pid": live.process.pid, "status": status}
        )
        return CapabilityCrashed(
            f"the worker {self.part.name} failed during {during}: {how}",
            hint="It starts afresh with the next request. If it happens again, the input may be to blame.",
        )

    def _refuse_while_resting(self) -> None:
        if len(self._crashed_at) < INTENSITY:
            return
        left = self._crashed_at[0] + INTENSITY_WINDOW_S - time.monotonic()
        if left > 0:
            raise CapabilityCrashed(
                f"the worker {self.part.name} failed {INTENSITY} times within a minute and is resting",
                hint=f"Try again in {int(left) + 1} seconds.",
            )


def _start(bridge: Bridge | None) -> None:
    if bridge is not None:
        bridge.start()


def _streamed(bridge: Bridge | None, message: Chunk | Taken) -> None:
    if bridge is None:
        raise Malformed("streamed where nothing streams")
    bridge.came(message)


async def _drained(bridge: Bridge | None) -> None:
    if bridge is not None:
        await bridge.drained()


def _rss_mib(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) if pid else 0
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
