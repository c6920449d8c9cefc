"""Session calls: a quick read-only question to the device that serves best now, with no job and no permit.

Nothing is kept of it and nothing is tried again: it is answered within its time, or the caller is told why not.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.entry import Document
from kindmesh.coordinator.heart.placement import Need
from kindmesh.coordinator.heart.placer import Placer
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import InvalidInput, KindmeshError, NoDeviceAble
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import check_fields


class Calls:
    """See the module."""

    def __init__(self, endpoint: Endpoint, devices: Devices, placer: Placer) -> None:
        self._endpoint = endpoint
        self._devices = devices
        self._placer = placer

    def ask(
        self, operation: str, args: dict[str, Any], *, target: bytes, within_ms: int
    ) -> asyncio.Future[Document]:
        """See `Heart.call`."""
        seats = self._devices.seats(operation)
        offered = seats[0].operation
        if not offered.session_call:
            raise InvalidInput(
                f"{operation} cannot be called without a job", field="operation", hint="Submit it."
            )
        data = encode_value(check_fields(offered.input, args))
        choice = self._placer.choose(Need(operation, target))
        if not choice.device:
            raise NoDeviceAble(f"no device can do {operation} now: {choice.why}", hint=choice.hint)
        answered: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._endpoint.ask(choice.device, operation, data, within_ms, partial(_answered, answered))
        return answered


def _answered(answered: asyncio.Future[Document], found: bytes | KindmeshError) -> None:
    if answered.done():
        return
    try:
        if isinstance(found, KindmeshError):
            raise found
        value = decode_value(found, limit=RESULT_MAX)
    except KindmeshError as error:
        answered.set_exception(error)
    else:
        answered.set_result(value if isinstance(value, dict) else {"value": value})


__all__ = ["Calls"]
