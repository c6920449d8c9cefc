"""What the coordinator tells and hears by mDNS: itself, its door while a typed code is waited for, and devices without
a screen that wait to be adopted. Everything heard is a hint; keys decide.

Where mDNS is off or cannot run, `problem` says so, nothing is announced and nothing is found.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kindmesh.mesh.addresses import parse_address
from kindmesh.mesh.announcement import NO_MESH, Presence

if TYPE_CHECKING:
    from kindmesh.mesh.discovery import Discovery

log = logging.getLogger("kindmesh.coordinator.neighbours")

ADDRESSES_EVERY_S: Final = 5.0
"""How often to look whether this machine has other addresses now."""
ANYWHERE: Final = ("0.0.0.0", "*", "::")  # noqa: S104 - compared, not bound


class Neighbours:
    """`start` and `close` once each; `address` is where the mesh socket listens, once it does."""

    def __init__(self, mesh: bytes, device: bytes, address: Callable[[], str], *, mdns: bool) -> None:
        self.problem = "" if mdns else "mDNS is switched off here"
        self._mesh, self._device, self._address = mesh, device, address
        self._discovery: Discovery | None = None
        self._looking: asyncio.Task[None] | None = None
        self._door = 0

    async def start(self) -> None:
        """Announce the coordinator."""
        if self.problem:
            return
        from kindmesh.mesh.discovery import Discovery  # noqa: PLC0415 - only with mDNS

        discovery = Discovery(self._mesh, self._device)
        await discovery.start()
        if discovery.problem:
            log.warning("mdns does not run here; devices use the addresses they know")
            self.problem = discovery.problem
            await discovery.close()
            return
        self._discovery = discovery
        await self._announce()
        self._looking = asyncio.create_task(_keep_current(discovery), name="addresses")

    async def show_door(self, port: int) -> None:
        """Announce the port that tells the door's keys; 0 takes it back."""
        self._door = port
        await self._announce()

    async def waiting(self) -> Discovery | None:
        """A started look for devices that wait to be adopted, to be closed by the caller; None without mDNS."""
        if self.problem:
            return None
        from kindmesh.mesh.discovery import Discovery  # noqa: PLC0415 - only with mDNS

        found = Discovery(NO_MESH, self._device)
        await found.start()
        return found

    async def close(self) -> None:
        """Say goodbye."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._discovery is not None:
            await self._discovery.close()
            self._discovery = None

    async def _announce(self) -> None:
        if self._discovery is None:
            return
        address = parse_address(self._address())
        hosts: dict[str, Any] = {} if address.host in ANYWHERE else {"hosts": (address.host,)}
        presence = Presence(
            device=self._device, mesh=self._mesh, role="coordinator", port=address.port, **hosts
        )
        await self._discovery.announce(msgspec.structs.replace(presence, door=self._door))


async def _keep_current(discovery: Discovery) -> None:
    while True:
        await asyncio.sleep(ADDRESSES_EVERY_S)
        await discovery.refresh()


__all__ = ["Neighbours"]
