"""Finding home again: what a node does when its coordinator cannot be reached, or does not know it any more.

Dialling and mDNS (`uplink`, `lookout`) come first. After `PATIENCE` heartbeats without a session the node asks for the
mesh's public papers at the places it knows, each round at most `PLACES_MAX` of them, and ever less often. Papers are
believed as far as the pinned mesh id vouches for them, and tell one of these:

    the same coordinator, newer keys       its certificate is taken over, and it is dialled with them
    a newer list of who decides            the coordinator was replaced: this device asks to be let in again
    this device was removed                that is kept, and `doctor` says so
    another coordinator of the same mesh   it is followed when the own one stays away (`AWAY_BEATS`)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kindmesh.mesh.papers import papers_address
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.enrol import EnrolGranted
from kindmesh.protocol.errors import (
    AuthenticationError,
    KindmeshError,
    NeedsApproval,
    Revoked,
    TransportError,
)
from kindmesh.protocol.messages import TrustUpdate
from kindmesh.protocol.papers import ReadPapers
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.node.homecoming")

PATIENCE: Final = 5
"""Heartbeats without a session before papers are asked for."""
AWAY_BEATS: Final = 20
"""Heartbeats without a session before another coordinator is followed."""
PLACES_MAX: Final = 8
PAUSE_MIN: Final = 3
PAUSE_MAX: Final = 60
"""Heartbeats between two rounds; the pause doubles while nothing comes of it."""

AskPapers = Callable[[str, bytes], Awaitable[ReadPapers]]
"""(address of the papers, mesh id) -> papers."""
ComeBack = Callable[[str, Certificate, int], Awaitable[EnrolGranted]]
"""(door, coordinator, version of the anchors) -> papers for this device."""


class Homecoming:
    """`beat` once a heartbeat, `close` at the end. `places` gives `host:port` of mesh sockets that may be the mesh's;
    `problem` is the last thing that a person should know, empty when there is none."""

    def __init__(
        self,
        uplink: Uplink,
        trust: Trust,
        *,
        ask: AskPapers,
        come_back: ComeBack,
        places: Callable[[], Sequence[str]],
    ) -> None:
        self._uplink = uplink
        self._trust = trust
        self._ask = ask
        self._come_back = come_back
        self._places = places
        self._alone = 0
        self._next = PATIENCE
        self._pause = PAUSE_MIN
        self._turn = 0
        self._task: asyncio.Task[None] | None = None
        self.problem: KindmeshError | None = None

    @property
    def removed(self) -> bool:
        """Whether this device knows that it was removed from the mesh."""
        return self._trust.is_removed or isinstance(self.problem, Revoked)

    def beat(self) -> None:
        """Begin a round when it is time."""
        if self._uplink.connected(self._uplink.coordinator):
            self._alone, self._next, self._pause, self.problem = 0, PATIENCE, PAUSE_MIN, None
            return
        self._alone += 1
        if self._alone < self._next or (self._task is not None and not self._task.done()):
            return
        self._next = self._alone + self._pause
        self._pause = min(2 * self._pause, PAUSE_MAX)
        self._task = asyncio.get_running_loop().create_task(self._round(), name="homecoming")

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _round(self) -> None:
        places = list(dict.fromkeys(filter(None, map(papers_address, self._places()))))
        if not places:
            return
        first, self._turn = self._turn % len(places), self._turn + 1
        for place in (places[first:] + places[:first])[:PLACES_MAX]:
            try:
                papers = await self._ask(place, self._trust.mesh)
                if await self._heed(papers, place):
                    self._pause = PAUSE_MIN
                    return
            except TransportError as error:
                log.info("no papers there", extra={"code": error.code})
            except KindmeshError as error:
                log.warning("papers were of no use", extra={"code": error.code})

    async def _heed(self, read: ReadPapers, place: str) -> bool:
        """Do what the papers call for; whether something came of it."""
        trust = self._trust
        if read.anchors.rank < trust.membership.anchors.rank:
            return False
        if read.anchors.find(trust.signed_certificate.author, "issuer") is None:
            return await self._return(read, place)
        trust.merge(TrustUpdate(revocations=read.papers.revocations, bundle=read.papers.bundle))
        if self.removed:
            return False
        for certificate, signed in read.coordinators:
            own = certificate.subject == trust.coordinator.subject
            gone = trust.membership.find(trust.coordinator.subject) is None or self._alone >= AWAY_BEATS
            if own or gone:
                return self._follow(certificate, signed, read, place)
        return False

    def _follow(self, certificate: Certificate, signed: Signed, read: ReadPapers, place: str) -> bool:
        known = self._trust.coordinator
        if certificate.subject == known.subject and certificate.serial <= known.serial:
            for address in _reachable(read.papers.addresses, place):
                self._uplink.hint(address)
            return False
        log.warning("another certificate of a coordinator counts now", extra={"serial": certificate.serial})
        self._trust.follow(signed)
        self._uplink.follow(_reachable(read.papers.addresses, place))
        return True

    async def _return(self, read: ReadPapers, place: str) -> bool:
        """The coordinator was replaced; ask to be let in again."""
        for certificate, _ in read.coordinators:
            for door in _reachable(read.papers.doors, place):
                try:
                    granted = await self._come_back(door, certificate, read.anchors.version)
                except TransportError as error:
                    log.info("the door did not answer", extra={"code": error.code})
                    continue
                except (AuthenticationError, NeedsApproval) as error:
                    self.problem = error
                    log.warning("not let in again", extra={"code": error.code})
                    return False
                self._trust.readmit(granted)
                self.problem = None
                log.warning("let in again; the coordinator was replaced")
                self._uplink.follow(_reachable(granted.addresses, place))
                return True
        return False


def _reachable(addresses: Sequence[str], place: str) -> list[str]:
    """First at the host that answered, where the others say; then the addresses as they are."""
    host = place.rpartition(":")[0]
    near = [f"{host}:{address.rpartition(':')[2]}" for address in addresses[:1]]
    return list(dict.fromkeys([*near, *addresses]))[:PLACES_MAX]


__all__ = ["AWAY_BEATS", "PATIENCE", "AskPapers", "ComeBack", "Homecoming"]
