"""The household of a chaos run: which process is who, how it is struck, and when everything was well.

Kills are `kill -9`, stops are SIGSTOP until SIGCONT. The launcher of the desk starts its parts again by itself, as it
would at home; a node that was killed is started again after a while, as a person would. `calm` remembers when somebody
was struck and when that was over: the stretches in between are those in which work can be expected to get on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.chaos.plan import DESK, NODES, Blow
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.mesh.control_async import AsyncControlClient
from kindmesh.protocol.errors import DeadlineExceeded, KindmeshError

ANSWER_S: Final = 2.0
BACK_S: Final = 40.0
AGAIN_S: Final = 0.1


class Away:
    """When each process was struck, and until when: monotonic seconds; open ones end with `inf`."""

    def __init__(self) -> None:
        self._spans: dict[str, list[list[float]]] = {}

    def begin(self, who: str) -> list[float]:
        """It was struck now; the span is ended by setting its second number."""
        span = [time.monotonic(), float("inf")]
        self._spans.setdefault(who, []).append(span)
        return span

    def clear(self, who: str, since: float, until: float) -> list[tuple[float, float]]:
        """The stretches between these times in which it was well."""
        found, at = [], since
        for begun, over in sorted(map(tuple, self._spans.get(who, []))):
            if begun > at:
                found.append((at, min(begun, until)))
            at = max(at, over)
            if at >= until:
                return found
        return [*found, (at, until)]


class House:
    """A lab with a desk and `NODES`, whose processes can be struck."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.away = Away()
        self.kills = self.stops = 0
        self.history: list[str] = []
        self.begun = time.monotonic()
        self._busy: set[str] = set()

    def note(self, text: str) -> None:
        """One line of what happened."""
        self.history.append(f"{time.monotonic() - self.begun:8.3f} s  {text}")

    async def ask(
        self, method: str, params: Any = None, *, device: str = "desk", part: str = "coordinator"
    ) -> Any:
        """One request to a control socket, or an error within `ANSWER_S`.

        Raises:
            KindmeshError, OSError, TimeoutError: no answer.
        """
        async with asyncio.timeout(ANSWER_S):
            client = await AsyncControlClient.connect(self.lab.devices[device].home.socket(part))
            try:
                return await client.call(method, params)
            finally:
                await client.close()

    async def strike(self, blow: Blow) -> None:
        """Do it, and wait until it is over. Who is down already, or being struck, is left alone."""
        touched = set(DESK) if blow.target == "house" else {blow.target}
        if touched & self._busy:
            return
        self._busy |= touched
        spans = []
        try:
            pid = await self._pid(blow.target)
            if pid == 0:
                return
            self.note(f"{blow.what} {blow.target} ({pid}), {blow.for_s:g} s")
            spans = [self.away.begin(who) for who in touched]
            if blow.what == "stop":
                await self._stop(pid, blow.for_s)
            else:
                await self._kill(blow, pid)
            self.note(f"{blow.target} is back")
        finally:
            self._busy -= touched
            for span in spans:
                span[1] = time.monotonic()

    async def _stop(self, pid: int, for_s: float) -> None:
        self.stops += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def _kill(self, blow: Blow, pid: int) -> None:
        self.kills += 1
        device = self.lab.devices.get("desk" if blow.target == "house" else blow.target)
        if device is not None and blow.target in ("house", *NODES):
            await device.kill()
            await asyncio.sleep(blow.for_s)
            await device.up()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if blow.target in DESK:
            await self._another(blow.target, pid)

    async def _another(self, target: str, pid: int) -> None:
        """Wait until the target answers as another process."""
        end = time.monotonic() + BACK_S
        while await self._pid(target) in (0, pid):
            if time.monotonic() > end:
                raise DeadlineExceeded(f"{target} was not started again within {BACK_S:g} s")
            await asyncio.sleep(AGAIN_S)

    async def _pid(self, target: str) -> int:
        """The process of a target; 0 when it does not answer, or there is none."""
        try:
            if target == "house":
                running = self.lab.desk.running
                return 0 if running is None else running.pid
            if target in ("coordinator", "medulla"):
                status = await self.ask("status")
                return int(status["pid"] if target == "coordinator" else status["medulla"].get("pid") or 0)
            if target == "worker":
                return await self._worker()
            if target in NODES and self.lab.devices[target].running is None:
                return 0
            return int((await self.ask("status", device=target, part="node"))["pid"])
        except (KindmeshError, OSError, TimeoutError):
            return 0

    async def _worker(self) -> int:
        """A capability's process, of the first device that has one now."""
        for name in (*NODES, "desk"):
            parent = await self._pid(name)
            worker = await asyncio.to_thread(_worker_of, parent) if parent else 0
            if worker:
                return worker
        return 0

    def clear_s(self, since: float, until: float) -> float:
        """The longest stretch between these times in which coordinator, Medulla and one and the same node were well."""
        longest = 0.0
        for node in (*NODES, "desk"):
            stretches = [(since, until)]
            for who in ("coordinator", "medulla", node):
                stretches = [
                    (max(a, c), min(b, d))
                    for a, b in stretches
                    for c, d in self.away.clear(who, a, b)
                    if min(b, d) > max(a, c)
                ]
            longest = max([longest, *(end - begin for begin, end in stretches)])
        return longest


def _worker_of(parent: int) -> int:
    """A process of a capability among the children of a node; 0 if there is none."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if b"worker_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return 0


__all__ = ["Away", "House"]
