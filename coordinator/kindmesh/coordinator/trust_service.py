"""The mesh's trust as the coordinator passes it on: it holds signed papers, it can make none.

Medulla signs roster and revocations, the owner signs the policy; this keeps the latest of each, gives them to every
device that has older ones (seen in its heartbeat), and ends the session of whoever was revoked. The revocation list is
signed anew every hour, because a list older than a day leaves devices with {read, notify} only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.messages import Trust as SignedTrust
from kindmesh.mesh.hub import Hub
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import open_revocations
from kindmesh.protocol.errors import KindmeshError, StoreError, TransportError
from kindmesh.protocol.messages import Heartbeat, SessionType, TrustKnown, TrustUpdate
from kindmesh.protocol.signed import Signed

log = logging.getLogger("kindmesh.coordinator.trust")

REFRESH_S: Final = 3600.0
RETRY_S: Final = 5.0
LEARNING_MAX: Final = 16
"""News from devices that Medulla is told of at once; what is left out comes again with the next heartbeat."""


class TrustService:
    """For one hub. `run` refreshes for ever; everything else is called on the loop."""

    def __init__(self, hub: Hub, trust: Trust, medulla: MedullaClient) -> None:
        self._hub = hub
        self._trust = trust
        self._medulla = medulla
        self._learning: set[asyncio.Task[None]] = set()
        self._known: dict[bytes, TrustKnown] = {}
        self._heard = asyncio.Event()
        self._gone_handlers: list[Callable[[bytes], None]] = []
        hub.on_session(SessionType.TRUST_UPDATE, self._on_update)

    def on_gone(self, handler: Callable[[bytes], None]) -> None:
        """Tell `handler(member id)` of every member that was removed, whoever said so."""
        self._gone_handlers.append(handler)

    def _on_update(self, peer: bytes, ref: int, update: TrustUpdate) -> None:
        """A device knows something newer, which others decided: Medulla hears of it, too."""
        try:
            self.apply(msgspec.structs.replace(update, certificate=None))
        except StoreError as error:
            log.error("newer trust is not on the disk", extra={"code": error.code})
        if len(self._learning) < LEARNING_MAX:
            task = asyncio.get_running_loop().create_task(self._learn(update), name="learn")
            self._learning.add(task)
            task.add_done_callback(self._learning.discard)

    def learn_all(self) -> None:
        """What is known here was grown by others than Medulla: it hears of all of it."""
        trust = self._trust
        update = TrustUpdate(trust.rosters, trust.revocations, trust.signed_policy, bundle=trust.bundle)
        if len(self._learning) < LEARNING_MAX:
            task = asyncio.get_running_loop().create_task(self._learn(update), name="learn")
            self._learning.add(task)
            task.add_done_callback(self._learning.discard)

    async def _learn(self, update: TrustUpdate) -> None:
        bundles = (update.bundle,) if update.bundle is not None else ()
        try:
            learned = await self._medulla.learn(
                bundles=bundles, rosters=update.rosters, revocations=update.revocations, policy=update.policy
            )
            self.take(learned.trust)
        except KindmeshError as error:
            log.warning("Medulla did not take over what a device knew", extra={"code": error.code})

    async def heard_by_all(self, within_s: float) -> tuple[set[bytes], set[bytes]]:
        """Wait until every connected device has said, in a heartbeat, that it has all we have; (those who have, those
        who have not within `within_s` or are not connected)."""
        own = self._hub.device_id
        everybody = {one.subject for one in self._trust.membership.members() if one.kind == "device"} - {own}
        told: set[bytes] = set()
        try:
            async with asyncio.timeout(within_s):
                while True:
                    told = {one for one in everybody if self._hub.connected(one) and self._has_all(one)}
                    if all(one in told or not self._hub.connected(one) for one in everybody):
                        break
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            log.info("not every device has confirmed yet", extra={"count": len(everybody - told)})
        return told, everybody - told

    def _has_all(self, peer: bytes) -> bool:
        known = self._known.get(peer)
        return known is not None and not self._trust.lacking(known)

    async def refresh(self) -> None:
        """Ask Medulla for what is signed now, and pass it on.

        Raises:
            NotRunning, PeerUnreachable: Medulla is not there.
        """
        self.take(await self._medulla.trust())

    async def run(self) -> None:
        """Refresh at once and every hour; when Medulla is away, try again every few seconds."""
        while True:
            try:
                await self.refresh()
                await asyncio.sleep(REFRESH_S)
            except KindmeshError as error:
                log.warning("trust was not refreshed", extra={"code": error.code})
                await asyncio.sleep(RETRY_S)

    def take(self, signed: SignedTrust) -> None:
        """Take over what Medulla just signed."""
        self.apply(TrustUpdate((signed.roster,), (signed.revocations,), signed.policy))

    def take_roster(self, roster: Signed) -> None:
        """Take over a roster that Medulla just signed."""
        self.apply(TrustUpdate(rosters=(roster,)))

    def apply(self, update: TrustUpdate) -> None:
        """Merge, end the sessions of those revoked, and tell everybody else.

        Raises:
            DiskFull, StoreError: done all the same, but not on this disk.
        """
        before = {member.subject for member in self._trust.membership.members()}
        unsaved: StoreError | None = None
        try:
            # Whose word counts comes first: a removal may be by somebody who was named just now.
            changed = self._trust.merge(TrustUpdate(bundle=update.bundle))
        except StoreError as error:
            changed, unsaved = True, error
        self._warn(update)
        try:
            if not self._trust.merge(update) and not changed:
                return
        except StoreError as error:
            unsaved = error
        self._spread(update, before)
        if unsaved is not None:
            raise unsaved

    def _warn(self, update: TrustUpdate) -> None:
        """Tell those who are being removed, while there is still a session with them."""
        membership = self._trust.membership
        for signed in update.revocations:
            removed = open_revocations(signed, membership.ever_pub(signed.author, "issuer"))
            for subject in removed.subjects:
                if self._hub.connected(subject):
                    self._push(subject, TrustUpdate(revocations=(signed,)))

    def _spread(self, update: TrustUpdate, before: set[bytes]) -> None:
        after = {member.subject for member in self._trust.membership.members()}
        for gone in before - after:
            self._hub.drop(gone)
            self._hub.forget(gone)
            self._known.pop(gone, None)
            for handler in self._gone_handlers:
                handler(gone)
        for member in after:
            if self._hub.connected(member):
                self._push(member, update)

    def compare(self, peer: bytes, beat: Heartbeat) -> None:
        """Send what the author of this heartbeat lacks, and note what it has."""
        self._known[peer] = beat.known
        self._heard.set()
        for update in self._trust.lacking(beat.known):
            self._push(peer, update)

    def _push(self, peer: bytes, update: TrustUpdate) -> None:
        try:
            self._hub.tell(peer, SessionType.TRUST_UPDATE, update)
        except TransportError as error:
            # Its next heartbeat shows that it still has the old ones.
            log.info("trust not passed on", extra={"code": error.code, "peer": peer.hex()[:8]})


__all__ = ["TrustService"]
