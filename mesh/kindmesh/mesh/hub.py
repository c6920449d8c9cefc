"""The accepting end: sessions of many members, and relaying between them.

A session is `offered` when WELCOME was sent and `live` when the first frame under its keys has verified; only then are
the member's signed messages taken, so that recorded messages of an earlier connection open nothing. The newest live
session of a member wins. Membership is asked for every message: a key that is revoked loses its session at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.endpoint import NO_SESSION, Endpoint
from kindmesh.mesh.post import Post
from kindmesh.mesh.rate_machine import Allowance, Kind
from kindmesh.mesh.transport import Listener, Transport, TransportStatistics
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.envelope import Header, envelope_hash
from kindmesh.protocol.errors import (
    AddressInUse,
    KindmeshError,
    Malformed,
    PeerUnreachable,
    RateLimited,
    Revoked,
    StoreError,
    TransportError,
    UnknownMember,
    UnsupportedVersion,
)
from kindmesh.protocol.limits import HEADER_MAX, WIRE_VERSION
from kindmesh.protocol.messages import Hello, MessageType, Relay, SessionType, TrustUpdate, Welcome
from kindmesh.protocol.session import SessionKeys, derive_session, is_session_frame

log = logging.getLogger("kindmesh.mesh.hub")

_HELLO: Final = bytes([MessageType.HELLO])
_KINDS: Final[dict[bytes, Kind]] = {_HELLO: "hello", bytes([MessageType.STOP]): "stop"}
"""By the type's byte of a header; all others are `signed`."""
_TOLD: Final = frozenset(10**power for power in range(12))
"""Which of a member's refused messages are logged: a flood must not become a flood of log lines."""
REBIND_S: Final = 0.1
REBIND_TRIES: Final = 50


class Hub(Endpoint):
    """Listens at `address`; `start` and `close` once each."""

    def __init__(
        self, post: Post, clock: Clock, entropy: Entropy, transport: Transport, address: str
    ) -> None:
        super().__init__(post, clock, entropy)
        self._transport = transport
        self._listener: Listener = transport.listen(address, post.identity.curve, self._admit)
        self._hops: dict[bytes, bytes] = {}
        self._live: dict[bytes, SessionKeys] = {}
        self._offered: dict[bytes, tuple[SessionKeys, Header]] = {}
        self._allowances: dict[bytes, Allowance] = {}

    @property
    def address(self) -> str:
        """Where it listens, as the transport writes addresses."""
        return self._listener.address

    async def start(self) -> None:
        """Bind.

        Raises:
            AddressInUse, ConfigError.
        """
        await self._listener.start(self._receive)

    async def close(self) -> None:
        """Stop listening; sessions end."""
        await self._listener.close()
        for peer in list(self._live):
            self.drop(peer)

    async def rekey(self) -> None:
        """Listen with the identity's present CURVE key. Links end and are dialled anew, sessions with them.

        Raises:
            AddressInUse, ConfigError: the address could not be taken again; nobody can connect.
        """
        address = self._listener.address
        await self._listener.close()
        for attempt in range(REBIND_TRIES):
            self._listener = self._transport.listen(address, self._post.identity.curve, self._admit)
            try:
                await self._listener.start(self._receive)
                return
            except AddressInUse:
                if attempt == REBIND_TRIES - 1:
                    raise
                await asyncio.sleep(REBIND_S)

    def statistics(self) -> TransportStatistics:
        """Counters of the listener."""
        return self._listener.statistics()

    def drop(self, peer: bytes) -> None:
        """End a member's session (it was revoked, or is silent)."""
        self._offered.pop(peer, None)
        self._hops.pop(peer, None)
        if self._live.pop(peer, None) is not None:
            self._peer_changed(peer, False)

    def forget(self, peer: bytes) -> None:
        """A member was removed: nothing of it need be remembered. A full disk keeps nobody from being removed: what is
        then left in the file harms nobody, since its key never counts again."""
        self._allowances.pop(peer, None)
        try:
            self._post.recollection.forget(peer)
        except StoreError as error:
            log.error(
                "a removed member is still in a file", extra={"code": error.code, "peer": peer.hex()[:8]}
            )

    def _admit(self, curve_pub: bytes) -> bool:
        return self._post.trust.membership.by_curve(curve_pub) is not None

    def _session(self, peer: bytes) -> SessionKeys | None:
        return self._live.get(peer)

    def _send(self, peer: bytes, frames: Sequence[bytes]) -> None:
        # A member that changed its CURVE key may still be connected with the one before.
        current = self._post.trust.membership.get(peer).curve_pub
        self._listener.send(self._hops.get(peer, current), frames)

    def _next_hop(self, dst: bytes) -> bytes:
        if dst not in self._live:
            raise PeerUnreachable()
        return dst

    def _receive(self, hop_key: bytes, frames: list[bytes]) -> None:
        certificate = self._post.trust.membership.by_curve(hop_key)
        if certificate is None:
            self._refuse(UnknownMember(), hop_key)
            return
        peer = certificate.subject
        try:
            self._check_allowance(peer, frames)
            if is_session_frame(frames[0]):
                self._receive_session(peer, hop_key, frames)
            elif peer in self._live:
                if self._is_hello(frames):
                    self._on_hello(peer, hop_key, frames)
                else:
                    self._deliver(frames, peer)
            elif self._is_hello(frames):
                self._on_hello(peer, hop_key, frames)
            else:
                self._listener.send(hop_key, [NO_SESSION])
        except RateLimited as error:
            self._count_refusal(error, peer)
            if self._allowances[peer].refused in _TOLD:
                log.warning("a member sends too much", extra={"code": error.code, "peer": peer.hex()[:8]})
        except TransportError as error:
            log.info("could not answer", extra={"code": error.code, "peer": peer.hex()[:8]})
        except KindmeshError as error:
            self._refuse(error, peer)

    def _check_allowance(self, peer: bytes, frames: Sequence[bytes]) -> None:
        """Look no further at what is more than one member may send."""
        now = self._clock.monotonic()
        allowance = self._allowances.get(peer)
        if allowance is None:
            allowance = self._allowances[peer] = Allowance(now)
        kind: Kind = "session" if is_session_frame(frames[0]) else _KINDS.get(frames[0][2:3], "signed")
        if not allowance.take(kind, sum(map(len, frames)), now):
            raise RateLimited()

    def floods(self) -> dict[bytes, int]:
        """How many messages of each member were more than it may send."""
        return {peer: one.refused for peer, one in self._allowances.items() if one.refused}

    def _is_hello(self, frames: Sequence[bytes]) -> bool:
        if len(frames) != 3 or len(frames[0]) > HEADER_MAX:
            raise Malformed(f"a message has 3 frames, not {len(frames)}")
        # [version, type, ...]: the type is the third byte of a header in the only version there is.
        return frames[0][2:3] == _HELLO

    def _receive_session(self, peer: bytes, hop_key: bytes, frames: Sequence[bytes]) -> None:
        session_id = frames[0][1:9]
        live = self._live.get(peer)
        if live is not None and live.session_id == session_id:
            self._deliver_session(peer, live, frames)
            return
        offered = self._offered.get(peer)
        if offered is None or offered[0].session_id != session_id:
            self._listener.send(hop_key, [NO_SESSION + session_id])
            return
        # The first frame that verifies confirms the session; its body is then handled as any other.
        keys, greeting = offered
        body = keys.open(frames)
        del self._offered[peer]
        self._confirmed(peer, greeting.boot, greeting.tag)
        if live is not None:
            self._peer_changed(peer, False)
        self._live[peer], self._hops[peer] = keys, hop_key
        self._peer_changed(peer, True)
        self._deliver_body(peer, body)

    def _on_hello(self, peer: bytes, hop_key: bytes, frames: Sequence[bytes]) -> None:
        envelope, body = self._post.read(frames, peer)
        if not isinstance(body, Hello):
            # `_is_hello` looks at one byte; the header, decoded, says something else.
            raise Malformed("the message is not the greeting that it looks like")
        if WIRE_VERSION not in body.versions:
            raise UnsupportedVersion(
                f"the device speaks wire versions {body.versions}, this one {WIRE_VERSION}"
            )
        trust = self._post.trust
        certificate = trust.membership.add(body.certificate)
        if certificate.subject != peer:
            raise Revoked("the certificate shown is another member's")
        ephemeral = CurveKey(self._entropy.token(32))
        welcome = Welcome(
            hello_hash=envelope.hash,
            certificate=trust.signed_certificate,
            ephemeral=ephemeral.public,
            nonce=self._entropy.token(32),
            version=WIRE_VERSION,
            clock_ms=self._clock.now_ms(),
            trust=next(iter(trust.lacking(body.known)), TrustUpdate()),
        )
        _, answer = self._post.write(MessageType.WELCOME, peer, welcome, reply_to=envelope.header.message_id)
        keys = derive_session(
            secret=ephemeral.secret,
            peer_public=body.ephemeral,
            hello_hash=envelope.hash,
            welcome_hash=envelope_hash(answer),
            dialler=False,
        )
        self._offered[peer] = keys, envelope.header
        self._listener.send(hop_key, answer)

    def _forward(self, dst: bytes, relay: Relay) -> None:
        self.tell(dst, SessionType.RELAY, relay)


__all__ = ["Hub"]
