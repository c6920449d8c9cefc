"""The dialling end: one session with the coordinator, begun again for ever until it is closed.

    idle -> dialling -> greeting -> live
              ^  ^________/  |        |
              |______________|________|   link down, silence, "no session", no answer

`dialling` tries the known addresses in turn (those of the settings and remembered ones), and between them the newest
hints from discovery, each for `DIAL_MS`; anybody in the network can give hints, so few are kept and they never crowd
out what is known. `greeting` has sent HELLO and waits for WELCOME. `live` has session keys; silence for `SILENCE_MS`
(the coordinator answers heartbeats) begins again. What the coordinator sends of newer trust is merged before the
session is announced. The address that worked is remembered, and from time to time what time it is at least, so that a
coordinator that lies about the time cannot keep a revocation list young over a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.endpoint import NO_SESSION, Endpoint
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.post import Post
from kindmesh.mesh.transport import Channel, Transport
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.envelope import envelope_hash
from kindmesh.protocol.errors import (
    BadSignature,
    KindmeshError,
    Malformed,
    PeerUnreachable,
    StoreError,
    TransportError,
    UnsupportedVersion,
)
from kindmesh.protocol.limits import WIRE_VERSIONS
from kindmesh.protocol.messages import Hello, MessageType, SessionType, TrustUpdate, Welcome
from kindmesh.protocol.session import SessionKeys, derive_session, is_session_frame

log = logging.getLogger("kindmesh.mesh.uplink")

DIAL_MS: Final = 2_000
GREET_MS: Final = 2_000
SILENCE_MS: Final = 3_500
KEEP_FLOOR_S: Final = 1_800.0
"""How often the time that it is at least is written down, for the next start."""
HINTS_MAX: Final = 8
KNOWN_MAX: Final = 8


class Uplink(Endpoint):
    """Dials the coordinator named by `post.trust`; `start` and `close` once each."""

    def __init__(
        self,
        post: Post,
        clock: MeshClock,
        entropy: Entropy,
        transport: Transport,
        *,
        scheme: str = "tcp://",
        addresses: Sequence[str] = (),
    ) -> None:
        super().__init__(post, clock, entropy)
        self._mesh_clock = clock
        self._transport = transport
        self._scheme = scheme
        self._known: list[str] = list(dict.fromkeys([*addresses, *post.trust.addresses]))
        self._hints: list[str] = []
        self._turn = 0
        self._dialled = b""
        self._channel: Channel | None = None
        self._live: SessionKeys | None = None
        self._ephemeral: CurveKey | None = None
        self._hello: tuple[bytes, bytes] = (b"", b"")
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._kept = clock.monotonic()
        self._closed = False
        self._redial: asyncio.Task[None] | None = None
        self._trust_handlers: list[Callable[[], None]] = []
        self.address = ""
        self.on_session(SessionType.TRUST_UPDATE, self._on_trust_update)

    @property
    def _target(self) -> Certificate:
        """Who is dialled."""
        return self._post.trust.coordinator

    @property
    def coordinator(self) -> bytes:
        """The id of the member that is dialled."""
        return self._target.subject

    async def start(self) -> None:
        """Begin to dial; returns at once."""
        self._begin_dial()

    async def close(self) -> None:
        """End the session and free the link."""
        self._closed = True
        self._stop_timer()
        self._remember(floor_ms=self._mesh_clock.floor_ms)
        if self._redial is not None:
            self._redial.cancel()
            await asyncio.gather(self._redial, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()
        self._lost()

    def redial(self) -> None:
        """Dial again from the start, with the keys that are known now: this device's or the coordinator's changed."""
        self._turn = 0
        self._begin_dial()

    def hint(self, address: str) -> None:
        """`host:port` where the coordinator may be (from discovery): tried next, its key decides."""
        if address in self._known or address in self._hints:
            return
        self._hints = [address, *self._hints[: HINTS_MAX - 1]]
        if self._channel is None and not self._closed:
            self._begin_dial()

    @property
    def places(self) -> list[str]:
        """`host:port` addresses where the coordinator was, or may be."""
        return [*self._known, *self._hints]

    def follow(self, addresses: Sequence[str]) -> None:
        """Dial the coordinator that `trust` names now, first at these addresses (`host:port`)."""
        self._known = list(dict.fromkeys([*addresses, *self._known]))[:KNOWN_MAX]
        self._hints, self._turn = [], 0
        self._begin_dial()

    def on_trust(self, handler: Callable[[], None]) -> None:
        """Tell `handler` when newer trust was merged."""
        self._trust_handlers.append(handler)

    def _session(self, peer: bytes) -> SessionKeys | None:
        return self._live if peer == self.coordinator else None

    def _send(self, peer: bytes, frames: Sequence[bytes]) -> None:
        if self._channel is None:
            raise PeerUnreachable("the coordinator cannot be reached now")
        self._channel.send(frames)

    def _next_hop(self, dst: bytes) -> bytes:
        if self._live is None:
            raise PeerUnreachable("the coordinator cannot be reached now")
        return self.coordinator

    # Dialling and greeting.

    def _begin_dial(self) -> None:
        if self._closed or not (self._known or self._hints):
            return
        if self._redial is not None and not self._redial.done():
            # A name takes long to look up; see how far it is in a while.
            self._arm(DIAL_MS)
            return
        self._redial = asyncio.get_running_loop().create_task(self._dial(), name="uplink-dial")

    async def _dial(self) -> None:
        self._lost()
        self._stop_timer()
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
        self._arm(DIAL_MS)
        self.address, self._dialled = self._next_address()
        try:
            channel = self._transport.dial(
                self._scheme + self.address, self._dialled, self._post.identity.curve
            )
            self._channel = channel
            await channel.start(self._receive, self._link_changed)
        except KindmeshError as error:
            # No address, or nobody has that name now: the timer goes on with the next one.
            log.info("cannot dial", extra={"code": error.code})

    def _next_address(self) -> tuple[str, bytes]:
        """Known addresses and hints by turns, each with the CURVE keys that the coordinator may have now."""
        coordinator = self._target
        keys = [key for key in (coordinator.curve_pub, coordinator.curve_previous) if key]
        turn, which = divmod(self._turn, len(keys))
        self._turn += 1
        if not self._hints or not self._known:
            both = self._known or self._hints
            return both[turn % len(both)], keys[which]
        ours = self._hints if turn % 2 else self._known
        return ours[turn // 2 % len(ours)], keys[which]

    def _arm(self, after_ms: int) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(after_ms / 1000, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._clock.monotonic() - self._kept > KEEP_FLOOR_S:
            self._kept = self._clock.monotonic()
            self._remember(floor_ms=self._mesh_clock.floor_ms)
        if self._live is not None:
            quiet_ms = (self._clock.monotonic() - self._heard) * 1000
            if quiet_ms < SILENCE_MS:
                self._arm(max(1, int(SILENCE_MS - quiet_ms)))
                return
            self._lost()
            self._greet()
            return
        self._begin_dial()

    def _link_changed(self, up: bool) -> None:
        if up:
            self._greet()
        else:
            self._lost()
            if self._dialled != self._target.curve_pub:
                # It has a new key, and now uses it.
                self.redial()
            else:
                self._arm(DIAL_MS)

    def _greet(self) -> None:
        """Send HELLO; an answer or the timer goes on from here."""
        self._arm(GREET_MS)
        trust = self._post.trust
        self._ephemeral = CurveKey(self._entropy.token(32))
        hello = Hello(
            certificate=trust.signed_certificate,
            ephemeral=self._ephemeral.public,
            nonce=self._entropy.token(32),
            versions=WIRE_VERSIONS,
            known=trust.known,
            clock_ms=self._clock.now_ms(),
        )
        message_id, frames = self._post.write(MessageType.HELLO, self.coordinator, hello)
        self._hello = (message_id, envelope_hash(frames))
        try:
            self._send(self.coordinator, frames)
        except TransportError as error:
            log.info("could not greet", extra={"code": error.code})

    def _receive(self, hop_key: bytes, frames: list[bytes]) -> None:
        try:
            if self._live is not None and is_session_frame(frames[0]):
                self._deliver_session(self.coordinator, self._live, frames)
                self._heard = self._clock.monotonic()
            elif len(frames) == 1 and frames[0][:1] == NO_SESSION:
                self._on_no_session(frames[0][1:])
            elif len(frames) == 3 and frames[0][2:3] == bytes([MessageType.WELCOME]):
                self._on_welcome(frames)
            else:
                self._deliver(frames, self.coordinator)
                self._heard = self._clock.monotonic()
        except KindmeshError as error:
            self._refuse(error, self.coordinator)

    def _on_no_session(self, session_id: bytes) -> None:
        if self._live is not None and session_id in (b"", self._live.session_id):
            self._lost()
            self._greet()

    def _on_welcome(self, frames: list[bytes]) -> None:
        envelope, body = self._post.read(frames, self.coordinator)
        if not isinstance(body, Welcome):
            raise Malformed("the message is not the welcome that it looks like")
        if self._ephemeral is None or body.hello_hash != self._hello[1]:
            raise BadSignature("this welcome answers another greeting")
        if body.version not in WIRE_VERSIONS:
            raise UnsupportedVersion(f"the coordinator wants wire version {body.version}")
        ephemeral, self._ephemeral = self._ephemeral, None
        # It names our fresh greeting under its signature: that start of the coordinator lives now.
        self._confirmed(self.coordinator, envelope.header.boot, envelope.header.tag)
        self._learn_time(body.clock_ms)
        self.take_trust(body.trust)
        self._lost()
        self._live = derive_session(
            secret=ephemeral.secret,
            peer_public=body.ephemeral,
            hello_hash=body.hello_hash,
            welcome_hash=envelope_hash(frames),
            dialler=True,
        )
        self._heard = self._clock.monotonic()
        self._arm(SILENCE_MS)
        self._known = [self.address, *(known for known in self._known if known != self.address)][:KNOWN_MAX]
        self._hints = [hint for hint in self._hints if hint != self.address]
        self._remember(addresses=tuple(self._known))
        self._peer_changed(self.coordinator, True)

    def _learn_time(self, clock_ms: int) -> None:
        self._mesh_clock.learn(clock_ms)

    def _lost(self) -> None:
        if self._live is not None:
            self._live = None
            self._peer_changed(self.coordinator, False)

    # Newer trust.

    def _on_trust_update(self, peer: bytes, ref: int, body: TrustUpdate) -> None:
        self.take_trust(body)

    def take_trust(self, update: TrustUpdate) -> None:
        """Merge what may be newer, and tell whoever wants to know.

        Raises:
            BadSignature, CertificateRefused, Malformed: see `Trust.merge`.
        """
        trust = self._post.trust
        try:
            changed = trust.merge(update)
        except StoreError as error:
            # What is newer counts at once; it is written with the next change that the disk takes.
            log.error("newer trust is not on the disk", extra={"code": error.code})
            changed = True
        if changed:
            membership = trust.membership
            floor_ms = max(membership.revocations_issued_ms, trust.policy.issued_ms, trust.floor_ms)
            self._remember(floor_ms=floor_ms)
            self._mesh_clock.raise_floor(floor_ms)
            for handler in self._trust_handlers:
                handler()

    def _remember(self, *, addresses: tuple[str, ...] | None = None, floor_ms: int | None = None) -> None:
        try:
            self._post.trust.remember(addresses=addresses, floor_ms=floor_ms)
        except StoreError as error:
            log.error("what was learned is not on the disk", extra={"code": error.code})


__all__ = ["Uplink"]
