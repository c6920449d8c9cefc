"""Looks for the coordinator on the local network while it cannot be reached where it was last.

Known addresses come first, and cost nothing. Only after `PATIENCE` beats without a session does a device look around by
mDNS; what it finds is a hint that the uplink tries and believes only against the pinned key. As soon as there is a
session it stops looking, so that an idle node neither runs a responder nor wakes up for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from kindmesh.mesh.uplink import Uplink
from kindmesh.protocol.errors import KindmeshError

log = logging.getLogger("kindmesh.node.lookout")

PATIENCE: Final = 5
"""Heartbeats without a session before looking around."""


class Finder(Protocol):
    """The part of `kindmesh.mesh.discovery.Discovery` that is needed; one use each."""

    async def start(self) -> None:
        """Begin to look around."""

    def addresses(self, device: bytes) -> Sequence[str]:
        """`host:port` addresses under which that device announces itself."""

    def coordinators(self) -> Sequence[str]:
        """`host:port` addresses under which coordinators of the mesh announce themselves."""

    async def close(self) -> None:
        """Stop looking."""


class Lookout:
    """`beat` once a heartbeat, `close` at the end; `make` gives a fresh finder."""

    def __init__(self, uplink: Uplink, make: Callable[[], Finder]) -> None:
        self._uplink = uplink
        self._make = make
        self._alone = 0
        self._finder: Finder | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def coordinators(self) -> Sequence[str]:
        """Where coordinators of this mesh announce themselves, whichever they are; while it looks around."""
        return self._finder.coordinators() if self._finder is not None else ()

    def beat(self) -> None:
        """Begin to look, pass on what was found, or stop, as the session is."""
        connected = self._uplink.connected(self._uplink.coordinator)
        self._alone = 0 if connected else self._alone + 1
        if self._task is not None and not self._task.done():
            return
        if connected and self._finder is not None:
            finder, self._finder = self._finder, None
            self._task = asyncio.get_running_loop().create_task(finder.close())
        elif self._finder is not None:
            for address in self._finder.addresses(self._uplink.coordinator):
                self._uplink.hint(address)
        elif self._alone >= PATIENCE:
            self._finder = self._make()
            self._task = asyncio.get_running_loop().create_task(self._start(self._finder))

    async def _start(self, finder: Finder) -> None:
        try:
            await finder.start()
        except KindmeshError as error:
            log.warning("cannot look around", extra={"code": error.code})

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._finder is not None:
            await self._finder.close()
            self._finder = None


__all__ = ["PATIENCE", "Finder", "Lookout"]
