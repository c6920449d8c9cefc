"""What devices say they offer, on its way to placement: by way of Medulla.

Medulla judges by the devices' own signed adverts and denies what it has not heard of. So an advert counts here only
when Medulla has taken it over; while Medulla is away it is offered again. Of several adverts of a device the newest
wins. The last one of each is kept in the journal, for the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.journal import HeartJournal
from kindmesh.coordinator.heart.medulla_client import Reviewer
from kindmesh.protocol.certificate import Membership
from kindmesh.protocol.errors import KindmeshError, NotRunning, PeerUnreachable, WrongDestination
from kindmesh.protocol.messages.hello import Advert, open_advert
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.coordinator.heart")

AGAIN_S: Final = 0.5


class Adverts:
    """`changed(device id)` is called when what a device offers counts."""

    def __init__(
        self,
        *,
        members: Membership,
        devices: Devices,
        journal: HeartJournal,
        reviewer: Reviewer,
        changed: Callable[[bytes], None],
    ) -> None:
        self._members = members
        self._devices = devices
        self._journal = journal
        self._reviewer = reviewer
        self._changed = changed
        self._newest: dict[bytes, Signed] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}

    def recall(self) -> None:
        """Take over what the journal has; Medulla has it too."""
        for device, signed in self._journal.adverts():
            try:
                self._devices.advertise(device, self._open(device, signed))
            except KindmeshError as error:
                log.info(
                    "an old advert does not count", extra={"code": error.code, "device": device.hex()[:8]}
                )

    def take(self, device: bytes, signed: Signed) -> None:
        """A device says, signed, what it offers.

        Raises:
            BadSignature, Malformed, UnknownCritical, WrongDestination, UnknownMember, Revoked: it does not count.
        """
        self._open(device, signed)
        self._newest[device] = signed
        if device not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._pass_on(device))
            self._tasks[device] = task
            task.add_done_callback(lambda _: self._tasks.pop(device, None))

    def _open(self, device: bytes, signed: Signed) -> Advert:
        advert = open_advert(signed, self._members.get(device).ed_pub)
        if advert.device != device or advert.mesh != self._members.mesh:
            raise WrongDestination("the advert speaks of another device or mesh")
        return advert

    async def _pass_on(self, device: bytes) -> None:
        while (signed := self._newest.pop(device, None)) is not None:
            try:
                await self._reviewer.advertise(signed)
            except (NotRunning, PeerUnreachable):
                self._newest.setdefault(device, signed)
                await asyncio.sleep(AGAIN_S)
                continue
            except KindmeshError as error:
                log.warning(
                    "Medulla refused an advert", extra={"code": error.code, "device": device.hex()[:8]}
                )
                continue
            self._count(device, signed)

    def _count(self, device: bytes, signed: Signed) -> None:
        try:
            self._devices.advertise(device, self._open(device, signed))
            self._journal.keep_advert(device, signed)
        except KindmeshError as error:
            log.warning("an advert was not kept", extra={"code": error.code, "device": device.hex()[:8]})
        self._changed(device)

    async def close(self) -> None:
        """Stop passing on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["AGAIN_S", "Adverts"]
