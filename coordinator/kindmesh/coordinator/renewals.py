"""Certificates renewed: those of members, passed on to Medulla, and the coordinator's own.

A member's RENEW is answered by RENEWED; the roster that has the new certificate is on this disk before. One renewal of
a member is under way at a time. The coordinator renews in the same way, with Medulla next door. Its own CURVE key is
what every device pins, so it changes in three steps: the new certificate (old key accepted still) is passed on with
the roster; when every device has that roster, or after `PATIENCE_MS`, the sockets listen with the new key. Devices that
were away for longer learn it from the papers (`kindmesh.mesh.papers`). When a person wants a new key (`rotate`), only
devices that are connected are waited for.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.enrol_host import EnrolHost
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.renewal import Renewals, happens
from kindmesh.mesh.renewal_machine import Phase
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import (
    Busy,
    KindmeshError,
    TransportError,
    error_to_wire,
)
from kindmesh.protocol.messages import Heartbeat, MessageType, Renew, Renewed, Rotate, SessionType
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.coordinator.renewals")

ROTATE_S: Final = 90.0

SETTLE_MS: Final = 5_000
"""For at least this long after the new certificate, or after a start, devices may still come and learn it."""
PATIENCE_MS: Final = 7 * 24 * 3_600_000
"""So long is waited for devices that are away: the old key serves as well, and who learns late has to ask around."""
HURRY_MS: Final = 60_000
"""So long is waited for a device that is connected and does not take the new roster, when a person wants a new key."""


class RenewalService:
    """See the module. `start` on the loop; `tick` once a heartbeat; `heard` with every heartbeat of a device."""

    def __init__(
        self,
        *,
        hub: Hub,
        host: EnrolHost,
        identity: Identity,
        folder: Path,
        trust: Trust,
        trust_service: TrustService,
        medulla: MedullaClient,
        clock: Clock,
        entropy: Entropy,
        rotates: bool = True,
    ) -> None:
        """Raises: StoreDamaged, InsecurePermissions, StoreError: the next key."""
        self._hub = hub
        self._host = host
        self._identity = identity
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla
        self._clock = clock
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._rosters: dict[bytes, int] = {}
        self._heard_ms: dict[bytes, int] = {}
        self._since_ms = clock.now_ms()
        self._version = self._roster_version()
        self._hurried = False
        self.own = Renewals(
            identity=identity, folder=folder, trust=trust, clock=clock, entropy=entropy, ask=self._ask,
            swapped=self._swapped, rotates=rotates, settles=True,
        )  # fmt: skip
        hub.on(MessageType.RENEW, self._on_renew)

    def start(self) -> None:
        """Medulla is next door from now on."""
        self.own.link(True)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def heard(self, peer: bytes, beat: Heartbeat) -> None:
        """A device says which roster it has."""
        issuer = self._trust.signed_certificate.author
        self._heard_ms[peer] = self._clock.now_ms()
        self._rosters[peer] = max(
            (one.roster for one in beat.known.issuers if one.issuer == issuer), default=0
        )

    def _roster_version(self) -> int:
        """Of the roster by whoever certified this coordinator, as it is known here."""
        issuer = self._trust.signed_certificate.author
        return max((one.roster for one in self._trust.membership.heard if one.issuer == issuer), default=0)

    def rotate(self) -> None:
        """A new CURVE key soon: only devices that are connected now are waited for."""
        self._hurried = True
        self.own.want_rotation()

    async def rotate_own(self) -> bool:
        """The same, waiting for it; False if it takes longer than `ROTATE_S` (it goes on all the same)."""
        before = self._identity.curve.public
        self.rotate()
        return await happens(lambda: self._identity.curve.public != before, ROTATE_S)

    async def rotate_device(self, device: bytes) -> bool:
        """Tell a device to change its CURVE key, and wait for it; False if it takes longer than `ROTATE_S`.

        Raises:
            Revoked, UnknownMember. PeerUnreachable, BackPressure: it is not connected.
        """
        membership = self._trust.membership
        before = membership.get(device).curve_pub
        self._hub.tell(device, SessionType.ROTATE, Rotate())
        return await happens(lambda: membership.get(device).curve_pub != before, ROTATE_S)

    def tick(self) -> None:
        """Time passed."""
        self.own.tick()
        if self.own.phase is Phase.SETTLING and self._everybody_knows() and not self._host.is_open:
            self.own.settled()

    def _everybody_knows(self) -> bool:
        now_ms = self._clock.now_ms()
        if now_ms - self._since_ms < SETTLE_MS:
            return False
        certificate = self._trust.certificate
        unaware = [
            member.subject
            for member in self._trust.membership.members()
            if member.kind == "device"
            and member.subject != certificate.subject
            and self._rosters.get(member.subject, 0) < self._version
        ]
        if self._hurried:
            unaware = [subject for subject in unaware if now_ms - self._heard_ms.get(subject, 0) < SETTLE_MS]
            return not unaware or now_ms - self._since_ms > HURRY_MS
        return not unaware or now_ms - certificate.not_before_ms > PATIENCE_MS

    # The coordinator's own.

    def _ask(self, renewal: Signed) -> None:
        self._begin(self, self._renew_own(renewal))

    async def _renew_own(self, renewal: Signed) -> None:
        serial = self._trust.certificate.serial
        try:
            issued = await self._medulla.renew(renewal)
            self._trust_service.take_roster(issued.roster)
        except KindmeshError as error:
            log.warning("the coordinator's certificate was not renewed", extra={"code": error.code})
            self.own.refused()
            return
        if self._trust.certificate.serial == serial:
            self.own.refused()
            return
        self._since_ms, self._version = self._clock.now_ms(), self._roster_version()
        self.own.trust_changed()

    def _swapped(self) -> None:
        self._begin(self._hub, self._rekey())

    async def _rekey(self) -> None:
        self._hurried = False
        await self._hub.rekey()
        await self._host.rekey(self._identity.curve)

    # Those of members.

    def _on_renew(self, envelope: Envelope, body: Any) -> None:
        wish: Renew = body
        src, request = envelope.header.src, envelope.header.message_id
        if src in self._tasks:
            busy = Busy("a renewal of this device is under way", hint="It is answered in a moment.")
            self._answer(src, request, Renewed(error=error_to_wire(busy)))
            return
        self._begin(src, self._renew(src, request, wish.renewal))

    async def _renew(self, src: bytes, request: bytes, renewal: Signed) -> None:
        try:
            issued = await self._medulla.renew(renewal)
            self._trust_service.take_roster(issued.roster)
            answer = Renewed(issued.certificate)
        except KindmeshError as error:
            answer = Renewed(error=error_to_wire(error))
        self._answer(src, request, answer)

    def _answer(self, dst: bytes, request: bytes, answer: Renewed) -> None:
        try:
            self._hub.post(dst, MessageType.RENEWED, answer, reply_to=request)
        except TransportError as error:
            log.info("a renewal was not answered", extra={"code": error.code, "peer": dst.hex()[:8]})

    def _begin(self, key: object, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[key] = task
        task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: object, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a renewal went wrong", exc_info=error)


__all__ = ["HURRY_MS", "PATIENCE_MS", "SETTLE_MS", "RenewalService"]
