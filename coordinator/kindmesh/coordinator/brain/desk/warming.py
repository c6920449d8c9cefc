"""Reads the grammars before the first sentence comes, so that nobody's first sentence of the day is the slow one.

Begun once, at the first heartbeat at which a device says what the things of its home are called. Every device can have
a home; most have an empty one, and a coordinator with nothing to speak to loads no grammar before somebody asks (half a
second of CPU on a desk, 24 MB). None is loaded before the coordinator serves. It runs in a thread beside the loop, as
every sentence does; a sentence that comes meanwhile waits for it rather than doing the same again. What cannot be
loaded is said when somebody asks, with what to do about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kindmesh.protocol.errors import KindmeshError

log = logging.getLogger("kindmesh.coordinator.desk")


class Warming:
    """See the module. `is_wanted`: whether there is something to speak to; `warm` does it."""

    def __init__(self, is_wanted: Callable[[], bool], warm: Callable[[], Awaitable[None]]) -> None:
        self._is_wanted = is_wanted
        self._warm = warm
        self._task: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Once a heartbeat."""
        if self._task is None and self._is_wanted():
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """Wait for no more of it than the part that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._warm()
        except KindmeshError as error:
            log.info("no grammar is ready", extra={"code": error.code})


__all__ = ["Warming"]
