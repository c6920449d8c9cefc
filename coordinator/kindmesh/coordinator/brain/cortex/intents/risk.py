"""Which operation of the capability `home` a call of a service is: `home.access` for what is dangerous to open,
`home.note` for lists, calendars and timers, else `home.control`."""

from __future__ import annotations

from typing import Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.household import GUARDED_COVERS, class_of

_NOTES: Final = frozenset({"todo", "calendar", "timer"})
_ACCESS: Final = frozenset({"lock", "valve", "alarm_control_panel"})


def operation_for(entity: Entity, service: str) -> str:
    """Name of the operation that may call `service` on this entity."""
    if entity.domain in _NOTES:
        return "home.note"
    if entity.domain in _ACCESS or (entity.domain == "cover" and class_of(entity) in GUARDED_COVERS):
        return "home.access"
    return "home.control"


__all__ = ["operation_for"]
