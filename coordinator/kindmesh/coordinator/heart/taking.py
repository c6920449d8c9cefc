"""Telling devices which results are on the disk here, several at once.

A device keeps a result until it is told, and tells it again meanwhile; so nothing is lost by telling a little later,
and much is saved: one frame for all results of `WAIT_S` in place of one for each. What cannot be told now is told when
the device tells the result again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from kindmesh.mesh.endpoint import Endpoint
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.messages import ResultTaken, SessionType
from kindmesh.protocol.messages.session import TAKEN_MAX

log = logging.getLogger("kindmesh.coordinator.heart")

WAIT_S: Final = 0.02
"""How long a result may wait for others; a device tells it again after two seconds."""


class Taking:
    """See the module."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waiting: dict[bytes, list[tuple[bytes, int]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def taken(self, device: bytes, job_id: bytes, epoch: int) -> None:
        """The result of that job and epoch is on the disk, as hard as its job asks for."""
        waiting = self._waiting.setdefault(device, [])
        waiting.append((job_id, epoch))
        if len(waiting) >= TAKEN_MAX:
            self._tell(device, self._waiting.pop(device))
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._flush)

    def close(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()

    def _flush(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for device, jobs in waiting.items():
            self._tell(device, jobs)

    def _tell(self, device: bytes, jobs: list[tuple[bytes, int]]) -> None:
        (job_id, epoch), *more = jobs
        try:
            self._endpoint.tell(device, SessionType.RESULT_TAKEN, ResultTaken(job_id, epoch, tuple(more)))
        except KindmeshError as error:
            # It sends the results again when it is back, and is told then.
            log.info("results not acknowledged yet", extra={"code": error.code, "count": len(jobs)})


__all__ = ["WAIT_S", "Taking"]
