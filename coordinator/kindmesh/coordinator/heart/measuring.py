"""What the result of a job says of the device that did it: how long it takes, whether it is busy, whether it fails.

Only failures that are the device's own count against it (`FAULTS`): a bad value, a refusal, a busy device or a
cancelled job say nothing about it; and a full disk is told at once to whoever asks, until there is room again.
"""

from __future__ import annotations

import logging
from typing import Final

from kindmesh.coordinator.heart.devices import Devices, Seat
from kindmesh.coordinator.heart.entry import Entry
from kindmesh.coordinator.heart.telling import Telling
from kindmesh.mesh.breaker_machine import Closed, Failed, Worked
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.messages import JobResult

log = logging.getLogger("kindmesh.coordinator.heart")

FAULTS: Final = frozenset(
    {
        "CAPABILITY_MISSING", "INTERNAL", "INSECURE_PERMISSIONS", "NO_AUDIO_DEVICE",
        "STORE", "STORE_DAMAGED", "DEADLINE_EXCEEDED",
    }
)  # fmt: skip
"""Codes of failures that lie with the device. A crash is not among them: the device counts its own, those that came
without the coordinator too, and quarantines what keeps crashing."""


class Measuring:
    """See the module."""

    def __init__(self, devices: Devices, telling: Telling, clock: Clock) -> None:
        self._devices = devices
        self._telling = telling
        self._clock = clock

    def result(self, entry: Entry, device: bytes, result: JobResult) -> None:
        """A device's result of an open job, before its machine hears of it."""
        if device != entry.machine.device:
            return
        seat, code = self._devices.seat(device, entry.facts.operation), ""
        if result.error is not None:
            code = result.error.code
        if result.outcome == "succeeded":
            if seat is not None and entry.sent_at:
                seat.took((self._clock.monotonic() - entry.sent_at) * 1000)
                self._judge(seat, Worked())
        elif code == "BUSY" and not result.started_ms:
            self._devices.find(device).busy()
        elif seat is not None and code in FAULTS and (result.started_ms or code != "DEADLINE_EXCEEDED"):
            self._judge(seat, Failed(code))

    def _judge(self, seat: Seat, event: Worked | Failed) -> None:
        """A verdict about an operation on a device; people hear of it when that changes something."""
        device, operation = seat.device, seat.operation.name
        for news in seat.breaker.handle(event, self._clock.now_ms()):
            state = "closed" if type(news) is Closed else "open"
            log.warning("a breaker changed", extra={"device": device.device_id.hex()[:8], "state": state})
            self._telling.everybody(
                {
                    "event": "breaker",
                    "device": format_id(device.device_id),
                    "device_name": device.name,
                    "operation": operation,
                    "state": state,
                    "why": seat.breaker.why_not(self._clock.now_ms()),
                }
            )


__all__ = ["FAULTS", "Measuring"]
