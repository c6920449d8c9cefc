"""How things are: the coordinator itself, the devices and what they can do, what is wrong, what happens now.

    status nodes capabilities doctor watch clock

Whoever is bounded by a role sees what that role could use; `watch` is for this machine's own users.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.audit_service import AuditService
from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.readmission import Returning
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.principal import Principal


class StatusDesk:
    """See the module. Other parts add to what `doctor` finds: each finding is (level, message, hint)."""

    def __init__(
        self,
        *,
        heart: Heart,
        hub: Hub,
        trust: Trust,
        medulla: MedullaClient,
        auditing: AuditService,
        returning: Returning,
        people: PeopleDesk,
    ) -> None:
        self._heart = heart
        self._hub = hub
        self._trust = trust
        self._medulla = medulla
        self._auditing = auditing
        self._returning = returning
        self._people = people
        self._begun = time.monotonic()
        self.papers_problem = ""
        self.event_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple
        self.schedule_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple
        self.second_findings: Callable[[], Sequence[tuple[str, str, str]]] = tuple

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "status": self._status,
            "nodes": self._nodes,
            "capabilities": self._capabilities,
            "doctor": self._doctor,
            "watch": self._watch,
            "clock": self._clock,
        }

    async def _status(self, params: Params, emit: Emit, who: Principal) -> Any:
        status = await self._medulla.status()
        return {
            "mesh": format_id(self._trust.mesh),
            "device": format_id(self._hub.device_id),
            "name": self._trust.certificate.name,
            "address": self._hub.address,
            "pid": os.getpid(),
            "uptime_ms": int((time.monotonic() - self._begun) * 1000),
            "jobs": self._heart.statistics(),
            "refused": dict(self._hub.refused),
            "turned_away": self._hub.statistics().refused,
            "policy_version": self._trust.policy.version,
            "medulla": {
                "pid": status.pid,
                "uid": status.uid,
                "isolation": status.isolation,
                "permits": status.permits,
            },
        }

    async def _nodes(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._people.check_look(who)
        return list(self._heart.devices.nodes())

    async def _capabilities(self, params: Params, emit: Emit, who: Principal) -> Any:
        return self._people.visible(who, list(self._heart.devices.capabilities()))

    async def _doctor(self, params: Params, emit: Emit, who: Principal) -> Any:
        from kindmesh.coordinator.findings import coordinator_findings  # noqa: PLC0415 - memory, until somebody asks

        events = [
            {"check": check, "level": level, "message": message, "hint": hint}
            for check, lines in (
                ("events", self.event_findings()),
                ("schedules", self.schedule_findings()),
                ("second reviewer", self.second_findings()),
            )
            for level, message, hint in lines
        ]
        found = await coordinator_findings(
            self._heart,
            self._trust,
            self._medulla,
            self._hub,
            self._auditing.findings(),
            papers_problem=self.papers_problem,
            returning=len(self._returning.waiting()),
        )
        return [*found, *events]

    async def _watch(self, params: Params, emit: Emit, who: Principal) -> Any:
        end = self._heart.watch(emit)
        try:
            emit({"event": "watching"})
            await asyncio.get_running_loop().create_future()
        finally:
            end()

    async def _clock(self, params: Params, emit: Emit, who: Principal) -> Any:
        return {"now_ms": self._people.now_ms(), "mesh": format_id(self._trust.mesh), "skew_ms": 0}


__all__ = ["StatusDesk"]
