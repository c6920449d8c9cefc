"""The end of a device's membership: once it knows that it was removed from the mesh, it does nothing for it any more.

Running jobs are cancelled and their results kept here, the link is closed and not dialled again, nobody is looked for.
The process stays, so that whoever stands at the device can still stop it, look at it, and join again.
"""

from __future__ import annotations

import asyncio
import logging

from kindmesh.mesh.removal import removal
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.node.executor import Executor
from kindmesh.protocol.errors import Revoked

log = logging.getLogger("kindmesh.node.leaving")


class Leaving:
    """`look` whenever trust changed; `close` at the end."""

    def __init__(self, trust: Trust, uplink: Uplink, executor: Executor) -> None:
        self._trust = trust
        self._uplink = uplink
        self._executor = executor
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether this device has left."""
        return self._task is not None

    def look(self) -> None:
        """Leave, if this device was removed."""
        if self._task is None:
            why = removal(self._trust)
            if why is not None:
                log.warning("this device was removed from the mesh")
                self._task = asyncio.get_running_loop().create_task(self._leave(why), name="leaving")

    async def _leave(self, why: Revoked) -> None:
        await self._uplink.close()
        await self._executor.drain(0, why)

    async def close(self) -> None:
        """Wait until what was begun is done."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)


__all__ = ["Leaving"]
