"""A coordinator that was taken over: it has the mesh's messages and Medulla's ear, and sends what must not be done.

Each forgery is a job that nobody asked for. What the device should do about it: refuse it, or do it once.

    none        without a permit                    arguments  the permit is for other arguments
    target      the permit is for another device    expired    it is sent when its time is over
    signature   changed after Medulla signed it     again      a job that was done, once more
    earlier     an attempt from before the one that was done
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from kindmesh.coordinator.app import Coordinator
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.mesh.clock import Entropy
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_TTL_MS
from kindmesh.protocol.messages import Job, MessageType
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import Signed

OPERATION: Final = "work.add"
OVER_S: Final = (PERMIT_TTL_MS + 2 * CLOCK_SKEW_MS + 60_000) / 1000
"""After this a permit has ended on every clock that is right within reason."""
HOUR_MS: Final = 3_600_000


class Forger:
    """Works inside one life of a coordinator."""

    def __init__(self, coordinator: Coordinator, entropy: Entropy) -> None:
        self._coordinator = coordinator
        self._entropy = entropy

    async def forge(self, how: str, target: bytes, other: bytes) -> None:
        """Send one forgery to `target`; `other` is another device. What cannot be sent now is not sent."""
        job_id = new_id(self._coordinator.clock.now_ms(), self._entropy.token(RANDOM_BYTES))
        try:
            await self._forge(how, target, other, job_id)
        except KindmeshError:
            # Medulla says no, or is away; or the device cannot be reached: there is nothing to defend against.
            return

    async def _forge(self, how: str, target: bytes, other: bytes, job_id: bytes) -> None:
        args = _args("forged")
        if how == "none":
            self._send(target, job_id, args, None)
            return
        signed = await self._permit(other if how == "target" else target, job_id, args, 1)
        if signed is None:
            return
        if how == "arguments":
            self._send(target, job_id, _args("changed"), signed)
        elif how == "signature":
            broken = bytes([signed.signature[0] ^ 1]) + signed.signature[1:]
            self._send(target, job_id, args, msgspec.structs.replace(signed, signature=broken))
        elif how == "expired":
            await asyncio.sleep(OVER_S)
            self._send(target, job_id, args, signed)
        elif how == "again":
            for pause_s in (0.5, 0.01, 5.0):
                self._send(target, job_id, args, signed)
                await asyncio.sleep(pause_s)
        elif how == "earlier":
            later = await self._permit(target, job_id, args, 2)
            self._send(target, job_id, args, later, 2)
            await asyncio.sleep(1.0)
            self._send(target, job_id, args, signed, 1)
        else:
            self._send(target, job_id, args, signed)

    async def _permit(self, target: bytes, job_id: bytes, args: bytes, epoch: int) -> Signed | None:
        request = PermitRequest(job_id, 0, job_id, OPERATION, target, args, epoch, OWNER)
        return (await self._coordinator.medulla.permit(request)).permit

    def _send(self, target: bytes, job_id: bytes, args: bytes, permit: Signed | None, epoch: int = 1) -> None:
        deadline_ms = self._coordinator.clock.now_ms() + HOUR_MS
        job = Job(job_id, job_id, 0, epoch, OPERATION, args, deadline_ms, "interactive", permit)
        self._coordinator.hub.post(target, MessageType.JOB, job)


def _args(text: str) -> bytes:
    return encode_value({"text": text, "before_ms": 0, "after_ms": 0})


__all__ = ["Forger"]
