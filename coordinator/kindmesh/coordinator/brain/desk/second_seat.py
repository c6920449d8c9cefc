"""Where the second reviewer is: the model that an owner names (`second` in a device's `llm.yaml`), kept on the disk.

    told of      a device says that it has one: it is the one from now on, also after a restart
    missed       its device is away, or does not answer: no plan of a model is done without a second look
    given up     its device answers that it has none any more, or has left the mesh; another device says that it has one

Devices are asked when a plan is to be looked at, and each time that one comes to the mesh, so that one that goes away
before anything was planned is missed all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.desk.keeping import Keeping
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.bounds import KeyId, Line
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError, Malformed, UnknownOperation

log = logging.getLogger("kindmesh.coordinator.desk")

LOOK_MS: Final = 2_000
"""How long a device may take to tell its models."""
AGAIN_MS: Final = 60_000
"""When one that did not tell them is asked again."""
_NEVER: Final = 1 << 62
_MODELS: Final = "llm.models"
_OWNER, _NOTE = "the mesh", b"second reviewer"


class Seat(msgspec.Struct, array_like=True, frozen=True):
    """The device, and the model's name there."""

    device: KeyId
    model: Line


class Found(msgspec.Struct, frozen=True):
    """`seat` of the second reviewer, None: nobody named one. `missed`: it is not there. `same`: it is called as one of
    the models that plan."""

    seat: Seat | None = None
    missed: bool = False
    same: bool = False


class SecondSeat:
    """See the module."""

    def __init__(self, heart: Heart, keeping: Keeping, trust: Callable[[], Trust], clock: Clock) -> None:
        self._heart = heart
        self._keeping = keeping
        self._trust = trust
        self._clock = clock
        self._asked: dict[bytes, tuple[int, int]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self) -> Found:
        """Ask every device that has models.

        Raises:
            DiskFull, StoreError: what was heard could not be written down, or read.
        """
        sessions = {device: self._heart.devices.find(device).session for device in self._devices()}
        answers = await asyncio.gather(*(self._models(device) for device in sessions))
        pairs = zip(sessions, answers, strict=True)
        told = {device: models for device, models in pairs if models is not None}
        again_ms = self._clock.now_ms() + AGAIN_MS
        for device, session in sessions.items():
            self._asked[device] = (session, _NEVER if device in told else again_ms)
        models = [(device, one) for device, many in told.items() for one in many]
        second = next(((device, one) for device, one in models if one.get("second") is True), None)
        if second is None:
            return self._missed(told)
        device, chosen = second
        seat = Seat(device, str(chosen.get("name", ""))[:64])
        self._remember(seat)
        called = chosen.get("called")
        same = any(one.get("called") == called for _, one in models if one.get("second") is not True)
        return Found(seat, same=same)

    def _missed(self, told: dict[bytes, list[dict[str, Any]]]) -> Found:
        known = self.known()
        if known is None:
            return Found()
        if known.device in told or self._trust().membership.find(known.device) is None:
            self._keeping.remove("choice", _OWNER, _NOTE)
            return Found()
        return Found(known, missed=True)

    def known(self) -> Seat | None:
        """What is remembered.

        Raises:
            StoreError: it cannot be read.
        """
        data = self._keeping.get("choice", _OWNER, _NOTE)
        try:
            return None if data is None else decode(Seat, data)
        except Malformed:
            return None

    def name(self, seat: Seat) -> str:
        """As people call it: the model on the device."""
        return f"{seat.model} on {self._heart.devices.name(seat.device)}"

    def findings(self) -> list[tuple[str, str, str]]:
        """What `doctor` says of it: level, sentence, hint."""
        seat = self.known()
        if seat is None or self._trust().membership.find(seat.device) is None:
            return []
        name, device = self.name(seat), self._heart.devices.name(seat.device)
        if self._heart.devices.is_here(seat.device):
            return [("ok", f"What other models plan is looked at by {name}.", "")]
        hint = (
            f"Is {device} on, and in the same network? If it shall look at plans no more: take `second` out of its"
            f" llm.yaml, or kindmesh revoke {device}."
        )
        return [("warn", f"What other models plan waits for a yes: {name} is not there.", hint)]

    # ------------------------------------------------------------------------------------------------- watched

    def tick(self) -> None:
        """Once a heartbeat: ask whoever came to the mesh since."""
        if self._task is not None and not self._task.done():
            return
        if any(map(self._is_due, self._devices())):
            self._task = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Wait for no more of it than the part that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        try:
            await self.find()
        except KindmeshError as error:
            log.warning("the second reviewer could not be looked for", extra={"code": error.code})

    def _is_due(self, device: bytes) -> bool:
        """Whether it was not asked since it came, or did not answer a while ago."""
        session, again_ms = self._asked.get(device, (-1, 0))
        return session != self._heart.devices.find(device).session or self._clock.now_ms() >= again_ms

    def _devices(self) -> list[bytes]:
        """Those that have models and are there."""
        try:
            seats = self._heart.devices.seats(_MODELS)
        except UnknownOperation:
            return []
        devices = {seat.device.device_id for seat in seats}
        return sorted(device for device in devices if self._heart.devices.is_here(device))

    async def _models(self, device: bytes) -> list[dict[str, Any]] | None:
        """What a device has; None when it does not say."""
        try:
            answer = await self._heart.call(_MODELS, {}, target=device, within_ms=LOOK_MS)
        except KindmeshError as error:
            log.info("models were not told", extra={"code": error.code})
            return None
        found = answer.get("models")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None

    def _remember(self, seat: Seat) -> None:
        if seat != self.known():
            self._keeping.put("choice", _OWNER, _NOTE, encode(seat), self._clock.now_ms())


__all__ = ["AGAIN_MS", "LOOK_MS", "Found", "Seat", "SecondSeat"]
