"""One device of the lab: a state folder, and the processes that a person would start for it.

Everything goes through the command line that people use (`kindmesh init | up | pair | join`), its `--json` read line
by line. Each process is its own session, so that `kill` reaches all that it started, as pulling the plug would. The
passphrase and the invitation travel by environment and standard input, never as arguments.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import DeadlineExceeded, InternalError, WireError, error_from_wire

STOP_S = 10.0
READY_S = 30.0
LINE_MAX = 8 * 1024 * 1024


def command(*words: str) -> list[str]:
    """`kindmesh ...` with this interpreter, wherever it is installed."""
    return [sys.executable, "-m", "kindmesh.coordinator.cli", *words]


class Running:
    """A started command whose standard output is JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self.process.pid

    async def read(self, timeout_s: float = READY_S) -> dict[str, Any]:
        """The next object on its standard output.

        Raises:
            DeadlineExceeded: none within `timeout_s`. InternalError: it ended, or wrote something else.
        """
        if self.process.stdout is None:
            raise InternalError("its output is not connected")
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), timeout_s)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer in {timeout_s:g} s", hint=f"Its log: {self.log}") from error
        if not line:
            code = await self.process.wait()
            raise InternalError(
                f"a process ended with code {code}", hint=f"Its log: {self.log}\n{self.tail()}"
            )
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise InternalError(f"not JSON: {line[:200]!r}", hint=f"Its log: {self.log}") from error
        return found

    async def until(self, *events: str, timeout_s: float = READY_S) -> dict[str, Any]:
        """The next object whose `event` is one of these; an error object is raised as the error it says.

        Raises:
            KindmeshError: what the command reported. DeadlineExceeded, InternalError: as `read`.
        """
        while True:
            found = await self.read(timeout_s)
            if isinstance(found.get("error"), dict):
                error = found["error"]
                raise error_from_wire(WireError(error["code"], error["message"], error.get("hint", "")))
            if found.get("event") in events:
                return found

    async def write(self, line: str) -> None:
        """One line to its standard input."""
        if self.process.stdin is None:
            raise InternalError("its input is not connected")
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    def tail(self, lines: int = 5) -> str:
        """The end of what it wrote to standard error."""
        return (
            "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
        )

    async def stop(self) -> int:
        """Ask it to end (SIGTERM), insist after ten seconds; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_S)
            except TimeoutError:
                await self.kill()
        return await self.process.wait()

    async def kill(self) -> None:
        """`kill -9`, together with everything it started."""
        kill_group(self.pid)
        await self.process.wait()


def kill_group(pid: int) -> None:
    """`kill -9` a process group; fine when it is gone already."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Device:
    """A device called `name`, with its state in `root/name`. `settings` are environment overrides of config.toml;
    `prefix` goes before every command (`ip netns exec NAME`: the device is in another network)."""

    def __init__(
        self,
        root: Path,
        name: str,
        settings: Mapping[str, str],
        env: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._prefix = tuple(prefix)
        self.home = Home(root / name)
        self.logs = root / "logs"
        self._env = {**env, **settings, "KINDMESH_HOME": str(self.home.root)}
        self._count = 0
        self.running: Running | None = None

    async def start(self, *words: str, stdin: bool = False) -> Running:
        """Start a command on this device."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self._count += 1
        log = self.logs / f"{self.name}-{self._count:02d}-{words[0]}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *self._prefix,
                *command(*words),
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._env,
                start_new_session=True,
                limit=LINE_MAX,
            )
        return Running(process, log)

    async def run(self, *words: str, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Run a command with `--json` to its end: its objects.

        Raises:
            KindmeshError: the error that it reported. DeadlineExceeded, InternalError.
        """
        running = await self.start(*words, "--json")
        try:
            output, _ = await asyncio.wait_for(running.process.communicate(), timeout_s)
        except TimeoutError as error:
            await running.kill()
            raise DeadlineExceeded(f"kindmesh {words[0]} did not end", hint=running.tail()) from error
        found = [json.loads(line) for line in output.splitlines()]
        if not found and running.process.returncode:
            raise InternalError(
                f"kindmesh {words[0]} ended with {running.process.returncode}", hint=running.tail()
            )
        if found and isinstance(found[-1], dict) and found[-1].get("error") and "job" not in found[-1]:
            said = found[-1]["error"]
            raise error_from_wire(
                WireError(said["code"], said["message"], said.get("hint", ""), said.get("field", ""))
            )
        return found

    async def up(self) -> None:
        """`kindmesh up`, until it serves.

        Raises:
            KindmeshError: why it does not.
        """
        self.running = await self.start("up", "--json")
        while True:
            event = await self.running.until("up", "ready", "error")
            if event["event"] == "error":
                raise InternalError(event.get("message", "it did not start"), hint=self.running.tail())
            if "part" not in event:
                return

    async def down(self) -> None:
        """End `kindmesh up` gracefully."""
        if self.running is not None:
            await self.running.stop()
            self.running = None

    async def kill(self) -> None:
        """Pull the plug."""
        if self.running is not None:
            await self.running.kill()
            self.running = None

    async def join(self, door: Device, *, save: Path | None = None, fresh: bool = False) -> Events:
        """Pair this device at `door` (the coordinator), with the person's part played from both screens.

        `fresh`: as a new device, although it was one before. Returns the objects that both commands wrote, in order.

        Raises:
            KindmeshError: what either side reported.
        """
        events = Events()
        async with started(door, "pair", *(["--save", str(save)] if save else [])) as pairing:
            window = await pairing.until("window")
            events.append(window)
            async with started(
                self, "join", "-", "--name", self.name, *(["--fresh"] if fresh else [])
            ) as joining:
                await joining.write(window["text"])
                code = await joining.until("code")
                knock = await pairing.until("knock")
                events += [knock, code]
                # The person reads the code from the new device and types it at the coordinator.
                await pairing.write(code["code"])
                events += [await joining.until("joined"), await pairing.until("paired")]
        return events


class Events(list[dict[str, Any]]):
    """Objects in the order they were seen."""

    def named(self, event: str) -> dict[str, Any]:
        """The first with that name.

        Raises:
            InternalError: there is none.
        """
        for one in self:
            if one.get("event") == event:
                return one
        raise InternalError(f"nothing was said about {event}")


@asynccontextmanager
async def started(device: Device, *words: str) -> AsyncIterator[Running]:
    """A command with `--json` that is ended when the block is left."""
    running = await device.start(*words, "--json", stdin=True)
    try:
        yield running
    finally:
        await running.stop()


def base_environment(extra: Sequence[str] = ()) -> dict[str, str]:
    """The caller's environment without Kindmesh settings, so that nothing of the person's own mesh is touched."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith("KINDMESH_") or key in extra
    }


__all__ = ["Device", "Events", "Running", "base_environment", "command", "kill_group", "started"]
