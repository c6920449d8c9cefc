"""What the capabilities of a device count as having been given, and passing on the owner's word to count anew.

    labels         of one device, by capability; this machine's own users only
    labels.reset   the owner's signed `LabelReset`; the device judges it

Nothing is decided or kept here.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.params import Params
from kindmesh.mesh.hub import Hub
from kindmesh.protocol.codec import decode, decode_value, encode_value
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.label_reset import ORIGINS
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.principal import Principal

WITHIN_MS: Final = 5_000
"""How long a device may take."""


class LabelsDesk:
    """See the module."""

    def __init__(self, hub: Hub, devices: Devices) -> None:
        self._hub = hub
        self._devices = devices

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {"labels": self._labels, "labels.reset": self._reset}

    async def _labels(self, params: Params, emit: Emit, who: Principal) -> Any:
        device = self._devices.resolve(params.text("device"))
        found = await self._ask(device, "mesh.labels", {})
        labels = found.get("labels") if isinstance(found, dict) else None
        if not isinstance(labels, list):
            raise Malformed("the device told no labels")
        return {
            "device": format_id(device),
            "name": self._devices.name(device),
            "labels": [_document(one) for one in labels],
        }

    async def _reset(self, params: Params, emit: Emit, who: Principal) -> Any:
        device = self._devices.resolve(params.text("device"))
        found = await self._ask(device, "mesh.labels_reset", {"reset": params.data("reset")})
        return {
            "ok": True,
            "device": format_id(device),
            "name": self._devices.name(device),
            **_document(found),
        }

    async def _ask(self, device: bytes, call: str, args: dict[str, Any]) -> Any:
        return decode_value(await self._hub.call(device, call, encode_value(args), WITHIN_MS))


def _document(told: Any) -> dict[str, Any]:
    """One label, as a device told it.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(told, dict) or not isinstance(told.get("capability"), str):
        raise Malformed("the device told no label")
    data, reset_ms = told.get("label"), told.get("reset_ms", 0)
    label = decode(Carried, data if isinstance(data, bytes) else b"")
    return {
        "capability": told["capability"][:80],
        "source": label.source,
        "counts_as": ORIGINS[label.source],
        "label": data,
        "reset_ms": reset_ms if isinstance(reset_ms, int) else 0,
    }


__all__ = ["WITHIN_MS", "LabelsDesk"]
