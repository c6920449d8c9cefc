"""The home as the devices that have one tell it now: all of them asked at once, and put together.

A device that is away, or does not answer in time, keeps what it last told: its entities stay known, so that a person
hears by name what does not answer; `silent` says since when. What each device has (not the states) is kept on the disk,
so that this also holds after a restart. Where two devices have an entity of the same id, the one with the lower device
id counts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home
from kindmesh.coordinator.brain.desk.keeping import Keeping
from kindmesh.coordinator.heart.devices import Seat
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import KindmeshError, Malformed, UnknownOperation
from kindmesh.protocol.ids import format_id

log = logging.getLogger("kindmesh.coordinator.desk")

READ_MS: Final = 1_500
"""How long a device may take to tell its home."""
OWNER: Final = "the mesh"
"""Whose notes the inventories are."""
_LIMIT: Final = 1024 * 1024
LOOK: Final = "home.get"
"""What tells how things are."""
_GET, _DESCRIBE = LOOK, "home.describe"


class Told(msgspec.Struct, frozen=True):
    """What a device told of its home, and when (UTC ms; 0: before this start)."""

    home: Home
    at_ms: int


class Seen(msgspec.Struct, frozen=True):
    """All homes as one. `where`: entity -> device, as text; `silent`: devices that did not answer now, with when they
    last did (UTC ms; 0: not since this start)."""

    home: Home
    where: dict[str, str]
    silent: dict[str, int]

    def since(self, entity: str) -> int | None:
        """When an entity was last told of, if its device is silent now; else None."""
        return self.silent.get(self.where.get(entity, ""))


class Homes:
    """See the module."""

    def __init__(self, heart: Heart, keeping: Keeping, clock: Clock) -> None:
        self._heart = heart
        self._keeping = keeping
        self._clock = clock
        self._told: dict[bytes, Told] = {}
        self._shapes: dict[bytes, bytes] = {}

    async def read(self, check: Callable[[Seat], None]) -> Seen:
        """Ask all devices; `check` refuses who may not look at what a device offers.

        Raises:
            AccessRefused: from `check`.
        """
        try:
            seats = self._heart.devices.seats(_GET)
        except UnknownOperation:
            return Seen(Home(), {}, {})
        for seat in seats:
            check(seat)
        devices = sorted({seat.device.device_id for seat in seats})
        answers = await asyncio.gather(*(self._ask(device) for device in devices))
        return self._joined(devices, dict(zip(devices, answers, strict=True)))

    async def again(self, seen: Seen, entities: set[str]) -> tuple[Home, frozenset[str]]:
        """The home with these entities read anew, and those of them that could be. One that no device had before (a
        new timer) is looked for on all of them."""
        wanted: dict[str, list[str]] = {}
        for entity in sorted(entities):
            wanted.setdefault(seen.where.get(entity, ""), []).append(entity)
        devices = {format_id(device): device for device in self._told}
        new = set(wanted.pop("", ()))
        if new:
            wanted = {device: wanted.get(device, []) for device in sorted({*devices, *wanted})}
        known = [device for device in wanted if device in devices]
        answers = await asyncio.gather(
            *(self._anew(devices[device], None if new else wanted[device]) for device in known)
        )
        fresh = [
            entity
            for device, answer in zip(known, answers, strict=True)
            for entity in answer
            if entity.id in new or entity.id in wanted[device]
        ]
        return seen.home.with_entities(*fresh), frozenset(one.id for one in fresh)

    async def _anew(self, device: bytes, entities: list[str] | None) -> list[Entity]:
        """The states of these, as far as the device tells them. One that it no longer has makes it refuse the whole
        question, and says nothing of the others: then it is asked for all it has."""
        found = await self._states(device, entities)
        if found is None and entities is not None and self._heart.devices.is_here(device):
            found = await self._states(device, None)
        return found or []

    async def _ask(self, device: bytes) -> bool:
        """Whether it told its home now."""
        described, states = await asyncio.gather(
            self._call(device, _DESCRIBE, {}), self._states(device, None)
        )
        if described is None or states is None:
            return False
        try:
            floors = {one.id: one for one in msgspec.convert(described.get("floors", []), list[Floor])}
            areas = {one.id: one for one in msgspec.convert(described.get("areas", []), list[Area])}
        except msgspec.ValidationError as error:
            log.warning("a device told no home", extra={"peer": device.hex()[:8], "why": str(error)[:80]})
            return False
        home = Home(floors, areas, {one.id: one for one in states})
        self._told[device] = Told(home, self._clock.now_ms())
        self._keep(device, home)
        return True

    async def _states(self, device: bytes, entities: list[str] | None) -> list[Entity] | None:
        answer = await self._call(device, _GET, {} if entities is None else {"entities": entities})
        if answer is None:
            return None
        try:
            return msgspec.convert(answer.get("entities", []), list[Entity])
        except msgspec.ValidationError as error:
            log.warning("a device told no states", extra={"peer": device.hex()[:8], "why": str(error)[:80]})
            return None

    async def _call(self, device: bytes, operation: str, args: dict[str, Any]) -> dict[str, Any] | None:
        if not self._heart.devices.is_here(device):
            return None
        try:
            answer = await self._heart.call(operation, args, target=device, within_ms=READ_MS)
        except KindmeshError as error:
            log.info("a home was not told", extra={"peer": device.hex()[:8], "code": error.code})
            return None
        return answer

    def _joined(self, devices: list[bytes], answered: dict[bytes, bool]) -> Seen:
        floors: dict[str, Floor] = {}
        areas: dict[str, Area] = {}
        entities: dict[str, Entity] = {}
        where: dict[str, str] = {}
        silent: dict[str, int] = {}
        for device in devices:
            told = self._told.get(device) or self._remembered(device)
            if not answered[device]:
                silent[format_id(device)] = 0 if told is None else told.at_ms
            if told is None:
                continue
            self._told.setdefault(device, told)
            floors = {**told.home.floors, **floors}
            areas = {**told.home.areas, **areas}
            for entity in told.home.entities.values():
                if entity.id not in entities:
                    entities[entity.id] = entity
                    where[entity.id] = format_id(device)
        return Seen(Home(floors, areas, entities), where, silent)

    # ------------------------------------------------------------------------------------------- on the disk

    def _keep(self, device: bytes, home: Home) -> None:
        """What a device has, without the states, when that is not what was kept."""
        shape = encode_value(
            {
                "floors": msgspec.to_builtins(list(home.floors.values())),
                "areas": msgspec.to_builtins(list(home.areas.values())),
                "entities": [
                    {"id": one.id, "name": one.name, "aliases": list(one.aliases), "area": one.area}
                    for one in home.entities.values()
                ],
            }
        )
        digest = sha256(shape)
        if self._shapes.get(device) == digest or len(shape) > _LIMIT:
            return
        try:
            self._keeping.put("home", OWNER, device, shape, self._clock.now_ms())
        except KindmeshError as error:
            # It is told anew with the next sentence; only a restart in between would miss it.
            log.warning("what a device has was not kept", extra={"code": error.code})
            return
        self._shapes[device] = digest

    def _remembered(self, device: bytes) -> Told | None:
        try:
            kept = self._keeping.get("home", OWNER, device)
            if kept is None:
                return None
            found = decode_value(kept, limit=_LIMIT)
            home = Home(
                {one.id: one for one in msgspec.convert(found["floors"], list[Floor])},
                {one.id: one for one in msgspec.convert(found["areas"], list[Area])},
                {one.id: one for one in msgspec.convert(found["entities"], list[Entity])},
            )
        except (KindmeshError, Malformed, msgspec.ValidationError, KeyError) as error:
            log.warning("what a device had cannot be read", extra={"why": type(error).__name__})
            return None
        return Told(home, 0)


__all__ = ["LOOK", "READ_MS", "Homes", "Seen", "Told"]
