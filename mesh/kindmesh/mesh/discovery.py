"""Finding devices on the local network: mDNS (`_kindmesh._tcp.local.`), and addresses that a person wrote down.

Seeds and mDNS are equals: a network without multicast works with seeds alone, and where mDNS cannot run, `problem` says
why. What comes out are hints (`DiscoveredPeer`), bounded and checked for form; who answers at an address proves it with
its keys. A device that vanishes says nothing here (mDNS would notice after an hour); heartbeats decide who is alive.

Responders cooperate: a restarted device may take its name again at once instead of asking around for a second.
zeroconf is imported by `start`, so that a node that does not look around never loads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from kindmesh.mesh.announcement import (
    SERVICE,
    SHORT,
    DiscoveredPeer,
    Presence,
    read_announcement,
    short_text,
    write_txt,
)
from kindmesh.protocol.errors import InternalError

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

log = logging.getLogger("kindmesh.mesh.discovery")

PEERS_MAX: Final = 64
"""Announcements remembered at once; further ones are ignored."""
RESOLVE_MS: Final = 3_000
GOODBYE_S: Final = 2.0


class Discovery:
    """Looks for the devices of a mesh and, after `announce`, is found by them. `start` and `close` once each.

    Args:
        mesh: the id of the mesh whose devices count (20 bytes); empty: of any.
        own: the id of this device, which is not reported.
        seeds: "host:port" addresses that are hinted from the beginning.
        interfaces: IP addresses of the interfaces to use; empty: all.
        mdns: False uses the seeds alone.
    """

    def __init__(
        self,
        mesh: bytes,
        own: bytes,
        *,
        seeds: Sequence[str] = (),
        interfaces: Sequence[str] = (),
        mdns: bool = True,
    ) -> None:
        self.problem = "" if mdns else "mDNS is switched off"
        self._mesh, self._own, self._mdns = mesh[:SHORT], own[:SHORT], mdns
        self._interfaces = list(interfaces)
        self._found: dict[str, DiscoveredPeer] = {}
        self._news: asyncio.Queue[DiscoveredPeer | None] = asyncio.Queue()
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._info: AsyncServiceInfo | None = None
        self._presence: Presence | None = None
        self._seen: list[str] = []
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._sending: asyncio.Future[None] | None = None
        for seed in seeds:
            self._report(
                seed, DiscoveredPeer(device=b"", mesh=b"", role="", addresses=(seed,), source="seed")
            )

    async def start(self) -> None:
        """Begin to look around; where mDNS cannot run, `problem` says so."""
        if not self._mdns:
            return
        missing = sorted(set(self._interfaces) - set(_machine_addresses()))
        if missing:
            self.problem = f"mDNS cannot run here: no interface has the address {missing[0]}"
            return
        from zeroconf import InterfaceChoice, NotRunningException  # noqa: PLC0415 - loaded only where it is used
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415

        # An address that goes away is normal life (see `refresh`); what keeps mDNS from running is in `problem`.
        logging.getLogger("zeroconf").setLevel(logging.ERROR)
        try:
            zeroconf = AsyncZeroconf(interfaces=self._interfaces or InterfaceChoice.All)
            await zeroconf.zeroconf.async_wait_for_start()
        except (OSError, NotRunningException) as error:
            self.problem = f"mDNS cannot run on this network: {error}"
            log.warning("no mDNS here", extra={"reason": type(error).__name__})
            return
        self._zeroconf, self._seen = zeroconf, _machine_addresses()
        self._browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[self._changed])

    async def announce(self, presence: Presence) -> None:
        """Let others find this device; again with other values to correct it. Does nothing without mDNS."""
        if self._zeroconf is None:
            return
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        name = short_text(presence.device)
        info = AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=presence.port,
            properties=write_txt(presence),
            server=f"{name}.local.",
            parsed_addresses=list(presence.hosts or own_addresses()),
        )
        await self._settle()
        if self._info is None:
            sending = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        elif self._info.name == info.name:
            sending = await self._zeroconf.async_update_service(info)
        else:
            raise InternalError("a device does not change its id")
        self._info, self._sending, self._presence = info, asyncio.ensure_future(sending), presence

    async def refresh(self) -> bool:
        """Notice that this machine's addresses changed (another lease, a cable, Wi-Fi that came later): use the
        interfaces that are there now, and announce the new addresses. False when nothing changed; costs little.
        """
        seen = _machine_addresses()
        if self._zeroconf is None or self._interfaces or seen == self._seen:
            return False
        self._seen = seen
        await self._settle()
        await self._zeroconf.async_update_interfaces()
        if self._presence is not None:
            await self.announce(self._presence)
        log.info("addresses changed", extra={"count": len(seen)})
        return True

    async def events(self) -> AsyncIterator[DiscoveredPeer]:
        """Hints as they come, seeds first; ends with `close`. For one reader."""
        while (peer := await self._news.get()) is not None:
            yield peer

    def peers(self) -> list[DiscoveredPeer]:
        """All hints of now."""
        return list(self._found.values())

    def addresses(self, device: bytes) -> list[str]:
        """Where to look for a device (id of 20 bytes): what it announced itself, then the seeds."""
        hints = sorted(
            (p for p in self._found.values() if p.may_be(device)), key=lambda p: p.source == "seed"
        )
        return list(dict.fromkeys(address for peer in hints for address in peer.addresses))

    def coordinators(self) -> list[str]:
        """Where coordinators of the mesh announce themselves, whichever they are."""
        found = [peer.addresses for peer in self._found.values() if peer.role == "coordinator"]
        return list(dict.fromkeys(address for addresses in found for address in addresses))

    async def close(self) -> None:
        """Say goodbye and stop. Twice is fine."""
        zeroconf, self._zeroconf = self._zeroconf, None
        self._news.put_nowait(None)
        if zeroconf is None:
            return
        if self._browser is not None:
            await self._browser.async_cancel()
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._settle()
                await zeroconf.async_close()

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        from zeroconf import ServiceStateChange as Change  # noqa: PLC0415

        if state_change is Change.Removed:
            peer = self._found.pop(name, None)
            if peer is not None:
                self._news.put_nowait(_gone(peer))
        elif name not in self._reading and len({*self._reading, *self._found, name}) <= PEERS_MAX:
            task = asyncio.get_running_loop().create_task(self._read(zeroconf, name))
            self._reading[name] = task
            task.add_done_callback(lambda _: self._reading.pop(name, None))

    async def _read(self, zeroconf: Zeroconf, name: str) -> None:
        from zeroconf import IPVersion  # noqa: PLC0415
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

        info = AsyncServiceInfo(SERVICE, name)
        if not info.load_from_cache(zeroconf):
            await info.async_request(zeroconf, RESOLVE_MS)
        peer = read_announcement(info.properties, info.port, info.parsed_scoped_addresses(IPVersion.All))
        if peer is not None and self._mesh in (b"", peer.mesh) and peer.device != self._own:
            self._report(name, peer)

    def _report(self, name: str, peer: DiscoveredPeer) -> None:
        if self._found.get(name) != peer:
            self._found[name] = peer
            self._news.put_nowait(peer)

    async def _settle(self) -> None:
        if self._sending is not None:
            await self._sending
            self._sending = None


def own_addresses() -> list[str]:
    """The IP addresses of this machine that others may reach; loopback only if there is nothing else."""
    outward = [ip for ip in _machine_addresses() if not ip.startswith(("127.", "fe80:")) and ip != "::1"]
    return outward or ["127.0.0.1"]


def _machine_addresses() -> list[str]:
    import ifaddr  # noqa: PLC0415 - comes with zeroconf

    return [str(ip.ip) if ip.is_IPv4 else ip.ip[0] for card in ifaddr.get_adapters() for ip in card.ips]


def _gone(peer: DiscoveredPeer) -> DiscoveredPeer:
    return DiscoveredPeer(
        device=peer.device,
        mesh=peer.mesh,
        role=peer.role,
        addresses=peer.addresses,
        source=peer.source,
        here=False,
        doors=peer.doors,
    )


__all__ = ["PEERS_MAX", "Discovery", "own_addresses"]
