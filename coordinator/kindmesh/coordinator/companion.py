"""Two coordinators of one mesh keep each other's papers: the second dials the first, and stays connected.

It is an uplink like a node's, with the coordinator's own identity: what either side has newer (anchors, removals,
rosters, policy) goes over with the heartbeats. No jobs and no permits. Only one that was made as a second coordinator
knows addresses to dial (`kindmesh recover --second` keeps those of the first), so there is one connection between two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.uplink import Uplink
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.errors import TransportError
from kindmesh.protocol.limits import HEARTBEAT_MS
from kindmesh.protocol.messages import Heartbeat, SessionType

log = logging.getLogger("kindmesh.coordinator.companion")


def other_coordinator(trust: Trust) -> Certificate | None:
    """The coordinator of this mesh that is not this one; of several the one that has been it longest."""
    own = trust.certificate.subject
    others = [
        member
        for member in trust.membership.members()
        if "coordinator" in member.roles and member.subject != own
    ]
    return min(others, key=lambda member: (member.serial, member.subject), default=None)


class Companion(Uplink):
    """`start` and `close` once each; `news` is told when something newer was merged."""

    def __init__(
        self,
        post: Post,
        clock: MeshClock,
        entropy: Entropy,
        transport: Transport,
        *,
        scheme: str,
        news: Callable[[], None],
    ) -> None:
        super().__init__(post, clock, entropy, transport, scheme=scheme)
        self._trust = post.trust
        self._beats = 0
        self._beating: asyncio.TimerHandle | None = None
        self.on_trust(news)
        self.on_session(SessionType.HEARTBEAT, self._on_heartbeat)

    @property
    def _target(self) -> Certificate:
        return other_coordinator(self._trust) or self._trust.coordinator

    async def start(self) -> None:
        """Begin to dial and to send heartbeats."""
        await super().start()
        self._beat()

    async def close(self) -> None:
        """End the session."""
        if self._beating is not None:
            self._beating.cancel()
        await super().close()

    def _beat(self) -> None:
        self._beating = asyncio.get_running_loop().call_later(HEARTBEAT_MS / 1000, self._beat)
        self._beats += 1
        if not self.connected(self.coordinator):
            return
        beat = Heartbeat(self._beats, self._clock.now_ms(), None, self._trust.known, 0)
        self._say(SessionType.HEARTBEAT, beat)

    def _on_heartbeat(self, peer: bytes, ref: int, beat: Any) -> None:
        for update in self._trust.lacking(beat.known):
            self._say(SessionType.TRUST_UPDATE, update)

    def _say(self, type_: SessionType, body: Any) -> None:
        try:
            self.tell(self.coordinator, type_, body)
        except TransportError as error:
            log.info("the other coordinator was not told", extra={"code": error.code})


__all__ = ["Companion", "other_coordinator"]
