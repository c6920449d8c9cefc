"""Keeps a process's long-lived tasks running: drives `restart_machine`.

A task that ends by itself is named in the log, counted, told to `on_end`, and begun again. One that keeps ending is
given up, and `given_up` returns with why: whoever runs the process then ends it, for its launcher to begin it anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from kindmesh.mesh.clock import Clock
from kindmesh.mesh.restart_machine import Begun, Ended, Event, GiveUp, Restart, Restarts
from kindmesh.protocol.errors import KindmeshError, Unstable

log = logging.getLogger("kindmesh.mesh.keeper")

OnEnd = Callable[[str, str, str], None]
"""(task, `restarted` or `given up`, the error's code or empty)."""


class Keeper:
    """See the module; `close` once."""

    def __init__(self, clock: Clock, on_end: OnEnd) -> None:
        self._clock = clock
        self._on_end = on_end
        self._machine = Restarts()
        self._begin: dict[str, Callable[[], Awaitable[None]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False
        self._gave_up: Unstable | None = None
        self._news = asyncio.Event()

    def keep(self, name: str, begin: Callable[[], Awaitable[None]]) -> None:
        """Run `begin()` for as long as the process lives."""
        self._begin[name] = begin
        self._start(name)

    async def given_up(self) -> Unstable:
        """Returns when some task could not be kept running, with what to tell."""
        while self._gave_up is None:
            await self._news.wait()
            self._news.clear()
        return self._gave_up

    def ends(self) -> dict[str, int]:
        """How often tasks ended by themselves lately."""
        return self._machine.ends()

    async def close(self) -> None:
        """End all tasks."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, name: str) -> None:
        self._timers.pop(name, None)
        self._handle(Begun(name))
        task = asyncio.ensure_future(_run(self._begin[name]))
        task.set_name(name)
        self._tasks[name] = task
        task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._closed:
            return
        error = None if task.cancelled() else task.exception()
        why = (
            "" if error is None else error.code if isinstance(error, KindmeshError) else type(error).__name__
        )
        log.error("a part ended by itself", exc_info=error, extra={"task": name})
        self._handle(Ended(name, why))

    def _handle(self, event: Event) -> None:
        for step in self._machine.handle(event, int(self._clock.monotonic() * 1000)):
            match step:
                case Restart(name, after_ms):
                    loop = asyncio.get_running_loop()
                    self._timers[name] = loop.call_later(after_ms / 1000, self._start, name)
                    self._tell(name, "restarted", event)
                case GiveUp(name, why):
                    self._gave_up = Unstable(
                        f"{name} keeps ending by itself{f' ({why})' if why else ''}",
                        hint="The log says more; kindmesh doctor looks at the rest.",
                    )
                    self._tell(name, "given up", event)
                    self._news.set()

    def _tell(self, name: str, what: str, event: Event) -> None:
        self._on_end(name, what, event.why if isinstance(event, Ended) else "")


async def _run(begin: Callable[[], Awaitable[None]]) -> None:
    await begin()


__all__ = ["Keeper", "OnEnd"]
