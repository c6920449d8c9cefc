"""Listens to the event bus for one schedule, and tells its trigger's machine what it hears and when time has passed.

What the trigger has seen is written down at most once in `SAVE_S`, and with each firing; so after `kill -9` a count
or a wait goes on from at most a second ago. Events that its maker may not know of are not heard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from kindmesh.coordinator.heart.schedules.trigger_machine import (
    Clock,
    Event,
    Heard,
    Remembered,
    TriggerMachine,
    look_up,
    meets,
)
from kindmesh.coordinator.heart.schedules.words import OnEvent
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages.events import MeshEvent

log = logging.getLogger("kindmesh.coordinator.schedules")

SAVE_S: Final = 1.0
LOOK_MS: Final = 5_000
_ANY: Final = 1024**2


class Bus(Protocol):
    """What is needed of the event bus."""

    def subscribe(
        self, pattern: str, callback: Callable[[MeshEvent], None], *, name: str = ""
    ) -> Callable[[], None]:
        """Call `callback` for each event that fits, until what is returned is called."""


class Trigger:
    """See the module. `fire(why)` is called when the schedule is due, `save` with all that is to be kept."""

    def __init__(
        self,
        when: OnEvent,
        kept: bytes,
        *,
        now_ms: Callable[[], int],
        may_hear: Callable[[MeshEvent], bool],
        fire: Callable[[str], None],
        save: Callable[[bytes], None],
    ) -> None:
        remembered = decode(Remembered, kept, limit=_ANY) if kept else None
        self.machine = TriggerMachine(when, remembered)
        self._when = when
        self._now_ms = now_ms
        self._may_hear = may_hear
        self._fire = fire
        self._save = save
        self._end: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.TimerHandle | None = None

    def listen(self, bus: Bus, name: str) -> None:
        """Begin."""
        self._end = bus.subscribe(self._when.pattern, self._on_event, name=f"schedule {name}")
        self._tell(Clock(), "")

    def close(self) -> None:
        """No more; what was seen and not written yet is lost."""
        for handle in (self._timer, self._saving):
            if handle is not None:
                handle.cancel()
        if self._end is not None:
            self._end()
            self._end = None

    def _on_event(self, event: MeshEvent) -> None:
        if not self._may_hear(event):
            return
        data = {"source": format_id(event.source), "topic": event.topic, **event.values()}
        if not meets(self._when.where, data):
            return
        change = self._when.change
        value, found = look_up(data, change.field) if change is not None else (None, True)
        self._tell(Heard(f"{event.source.hex()} {event.topic}", value, found), event.topic)

    def _tell(self, event: Event, why: str) -> None:
        before = encode(self.machine.remembered)
        fires = self.machine.handle(event, self._now_ms())
        if fires:
            self._keep()
            self._fire(why or self._when.pattern)
        elif self._saving is None and encode(self.machine.remembered) != before:
            self._saving = asyncio.get_running_loop().call_later(SAVE_S, self._keep)
        self._arm()

    def _keep(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        try:
            self._save(encode(self.machine.remembered))
        except KindmeshError as error:
            # It is written again with the next event.
            log.error("what a trigger has seen was not written", extra={"code": error.code})

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_ms = self.machine.wake_ms()
        if wake_ms:
            wait_ms = min(max(wake_ms - self._now_ms(), 1), LOOK_MS)
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._rang)

    def _rang(self) -> None:
        self._timer = None
        self._tell(Clock(), "")


__all__ = ["SAVE_S", "Bus", "Trigger"]
