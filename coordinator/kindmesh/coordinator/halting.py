"""Halting everything at once: `stop` is everybody's, waits for nobody, and says which devices it did not reach.

Each device sets its own latch and ends what moves, switches or speaks (see the node's `executor`); alerts go on. A
device that is away when it is said learns nothing of it: it is named in the answer, so that somebody goes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.params import Params
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.hub import Hub
from kindmesh.protocol.errors import TransportError
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.messages import MessageType, Stop
from kindmesh.protocol.principal import Principal


class Halting:
    """See the module; `on_stop` is told who said it, and why."""

    def __init__(self, heart: Heart, hub: Hub, audit: AuditLog) -> None:
        self._heart = heart
        self._hub = hub
        self._audit = audit
        self.on_stop: Callable[[Principal, str], None] | None = None

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {"stop": self._stop}

    async def _stop(self, params: Params, emit: Emit, who: Principal) -> Any:
        return await self.stop(params.text("reason", "")[:200], who)

    async def stop(self, reason: str, who: Principal) -> dict[str, Any]:
        """Halt every device; which were told, and which were not reached."""
        told, missed = [], []
        for node in self._heart.devices.nodes():
            if node["role"] != "node":
                continue
            try:
                self._hub.post(parse_id(node["id"]), MessageType.STOP, Stop(reason))
                told.append(node["name"])
            except TransportError:
                missed.append(node["name"])
        self._audit.note("stop", "passed on", number=len(told))
        if self.on_stop is not None:
            self.on_stop(who, reason)
        return {"devices": told, "not_reached": missed}


__all__ = ["Halting"]
