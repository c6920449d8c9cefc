"""One member's end of the mesh: who is connected, what to send them, whom to tell what arrived.

`Endpoint` is what nodes and the coordinator write against; `Hub` (accepts sessions) and `Uplink` (dials one) share
this base. It owns the pairing of calls with replies, the custody of relayed messages and the tables of handlers.
Rules: a handler sees only what `Post.read` or the session keys have authenticated; a bad message is counted, logged by
its error code and answered by silence or a "no session" notice, never by a crash; handlers run on the loop and return
at once.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.post import Post
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.envelope import Envelope, peek_header
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateExpired,
    DeadlineExceeded,
    KindmeshError,
    Malformed,
    PeerUnreachable,
    StoreError,
    error_from_wire,
    error_to_wire,
)
from kindmesh.protocol.limits import TTL_DEFAULT_MS
from kindmesh.protocol.messages import (
    SESSION_BODIES,
    Call,
    CallReply,
    MessageType,
    Relay,
    SessionBody,
    SessionType,
)
from kindmesh.protocol.session import SessionKeys

log = logging.getLogger("kindmesh.mesh.endpoint")

MessageHandler = Callable[[Envelope, Any], None]
"""The body is of the struct that `BODIES` names for the type."""
SessionHandler = Callable[[bytes, int, Any], None]
"""(peer id, ref, body); the body is of the struct that `SESSION_BODIES` names for the type."""
PeerHandler = Callable[[bytes, bool], None]
RefusalHandler = Callable[[bytes, str], None]
OnAnswer = Callable[[bytes | KindmeshError], None]
"""Told once: the value that a call gave (canonical MessagePack), or why there is none."""

_SESSION_BODIES = {int(type_): body for type_, body in SESSION_BODIES.items()}
RELAY_HOPS_MAX = 4
REFUSALS_TOLD = 200
"""So many refusals of a kind are logged one by one, then every 200th."""
NO_SESSION = b"N"
"""First byte of the notice "I have no such session": begin again. CURVE authenticates who says so."""


class Endpoint(ABC):
    """See the module. `device_id` is this member's 20-byte id."""

    def __init__(self, post: Post, clock: Clock, entropy: Entropy) -> None:
        self._post = post
        self._clock = clock
        self._entropy = entropy
        self.device_id = post.identity.device_id
        self.refused: Counter[str] = Counter()
        """How many messages were refused, by error code."""
        self._handlers: dict[int, MessageHandler] = {}
        self._session_handlers: dict[int, SessionHandler] = {}
        self._peer_handlers: list[PeerHandler] = []
        self._refusal_handlers: list[RefusalHandler] = []
        self._copy_handlers: list[Callable[[bytes], None]] = []
        self._calls: dict[int, tuple[bytes, OnAnswer, asyncio.TimerHandle]] = {}
        self._next_ref = 1
        self.on_session(SessionType.CALL_REPLY, self._on_call_reply)
        self.on_session(SessionType.RELAY, self._on_relay)

    # What an endpoint can be told to do.

    def on(self, type_: MessageType, handler: MessageHandler) -> None:
        """Hand signed messages of this type to `handler(envelope, body)`; the author is `envelope.header.src`."""
        self._handlers[int(type_)] = handler

    def on_session(self, type_: SessionType, handler: SessionHandler) -> None:
        """Hand session bodies of this type to `handler(peer id, ref, body)`."""
        self._session_handlers[int(type_)] = handler

    def on_peer(self, handler: PeerHandler) -> None:
        """Tell `handler(peer id, up)` when a session begins and when it is lost."""
        self._peer_handlers.append(handler)

    def on_refusal(self, handler: RefusalHandler) -> None:
        """Tell `handler(peer id or its CURVE key, error code)` of every message that was refused."""
        self._refusal_handlers.append(handler)

    @abstractmethod
    def _session(self, peer: bytes) -> SessionKeys | None:
        """The live session with a member that is directly connected."""

    @abstractmethod
    def _send(self, peer: bytes, frames: Sequence[bytes]) -> None:
        """To a directly connected member; raises `TransportError`s."""

    @abstractmethod
    def _next_hop(self, dst: bytes) -> bytes:
        """The directly connected member through which `dst` is reached; raises `PeerUnreachable`."""

    @property
    def letters(self) -> Post:
        """What writes and reads signed messages here; one for each identity."""
        return self._post

    @property
    def cloned(self) -> frozenset[bytes]:
        """Members under whose id more than one device was heard."""
        return frozenset(self._post.recollection.boots.copied)

    def on_copy(self, handler: Callable[[bytes], None]) -> None:
        """Tell `handler(member id)` when it shows that a member's identity was copied."""
        self._copy_handlers.append(handler)

    def release(self, member: bytes) -> None:
        """The owner says that this member is one device after all.

        Raises:
            DiskFull, StoreError.
        """
        self._post.recollection.release(member)

    def _confirmed(self, member: bytes, boot: int, tag: bytes) -> None:
        """A session with this start of a member begins."""
        try:
            copied = self._post.confirmed(member, boot, tag)
        except StoreError as error:
            log.error("a restart of a member is not on the disk", extra={"code": error.code})
            copied = member in self.cloned
        if copied:
            for handler in self._copy_handlers:
                handler(member)

    def connected(self, peer: bytes) -> bool:
        """Whether there is a live session with this member."""
        return self._session(peer) is not None

    def post(
        self,
        dst: bytes,
        type_: MessageType,
        body: msgspec.Struct,
        *,
        reply_to: bytes = b"",
        ttl_ms: int = TTL_DEFAULT_MS,
        trace: bytes = b"",
    ) -> bytes:
        """Send a signed message; directly, or in custody of the next hop. Returns its id (16 bytes).

        Raises:
            PeerUnreachable, BackPressure, FrameTooLarge, TransportClosed: it was not sent.
        """
        hop = self._next_hop(dst)
        message_id, frames = self._post.write(type_, dst, body, reply_to=reply_to, ttl_ms=ttl_ms, trace=trace)
        self._pass_on(hop, dst, frames)
        return message_id

    def deliver(self, dst: bytes, frames: Sequence[bytes]) -> None:
        """Send a message that `letters.write` made, for what has to know its bytes. Raises as `post`."""
        self._pass_on(self._next_hop(dst), dst, frames)

    def hop_to(self, dst: bytes) -> bytes:
        """The directly connected member through which `dst` is reached: itself, or who relays.

        Raises:
            PeerUnreachable.
        """
        return self._next_hop(dst)

    def _pass_on(self, hop: bytes, dst: bytes, frames: Sequence[bytes]) -> None:
        if hop == dst:
            self._send(hop, frames)
        else:
            self.tell(hop, SessionType.RELAY, Relay((frames[0], frames[1], frames[2])))

    def tell(self, dst: bytes, type_: SessionType, body: msgspec.Struct, ref: int = 0) -> None:
        """Send a session body to a directly connected member.

        Raises:
            PeerUnreachable, BackPressure, FrameTooLarge, TransportClosed: it was not sent.
        """
        session = self._session(dst)
        if session is None:
            raise PeerUnreachable()
        self._send(dst, session.seal(encode(SessionBody(int(type_), ref, encode(body)))))

    async def call(self, dst: bytes, operation: str, args: bytes, timeout_ms: int) -> bytes:
        """A read-only session call: the reply's value (canonical MessagePack).

        Raises:
            PeerUnreachable, BackPressure: not sent.
            DeadlineExceeded: no answer within `timeout_ms`.
            KindmeshError: what the other side answered.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.ask(dst, operation, args, timeout_ms, partial(_resolve, answer))
        return await answer

    def ask(self, dst: bytes, operation: str, args: bytes, timeout_ms: int, done: OnAnswer) -> None:
        """As `call`, without waiting: `done` is called once, in the turn in which the answer comes.

        Raises:
            PeerUnreachable, BackPressure: not sent; `done` is not called.
        """
        ref = self._next_ref
        self._next_ref += 1
        self.tell(dst, SessionType.CALL, Call(operation, args, timeout_ms), ref)
        timer = asyncio.get_running_loop().call_later(timeout_ms / 1000, self._call_timed_out, ref, operation)
        self._calls[ref] = (dst, done, timer)

    def _call_timed_out(self, ref: int, operation: str) -> None:
        _, done, _ = self._calls.pop(ref)
        done(DeadlineExceeded(f"{operation} was not answered in time"))

    # What arrives.

    def _deliver(self, frames: Sequence[bytes], hop: bytes | None) -> None:
        """Verify a signed message and hand it over."""
        envelope, body = self._post.read(frames, hop)
        handler = self._handlers.get(envelope.header.type)
        if handler is None:
            raise Malformed(f"messages of type {envelope.header.type} are not taken here")
        handler(envelope, body)

    def _deliver_session(self, peer: bytes, session: SessionKeys, frames: Sequence[bytes]) -> None:
        self._deliver_body(peer, session.open(frames))

    def _deliver_body(self, peer: bytes, body: bytes) -> None:
        outer = decode(SessionBody, body)
        handler = self._session_handlers.get(outer.type)
        if handler is None:
            raise Malformed(f"session bodies of type {outer.type} are not taken here")
        if outer.type == SessionType.CALL:
            try:
                self._post.check_current(peer)
            except CertificateExpired as error:
                self._refuse(error, peer)
                self.tell(peer, SessionType.CALL_REPLY, CallReply(b"", error_to_wire(error)), outer.ref)
                return
        handler(peer, outer.ref, decode(_SESSION_BODIES[outer.type], outer.payload))

    def _refuse(self, error: KindmeshError, peer: bytes) -> None:
        self._count_refusal(error, peer)
        count = self.refused[error.code]
        if count > REFUSALS_TOLD and count % REFUSALS_TOLD:
            return
        log.warning("message refused", extra={"code": error.code, "peer": peer.hex()[:8]})

    def _count_refusal(self, error: KindmeshError, peer: bytes) -> None:
        self.refused[error.code] += 1
        for handler in self._refusal_handlers:
            handler(peer, error.code)

    def _on_call_reply(self, peer: bytes, ref: int, body: CallReply) -> None:
        call = self._calls.get(ref)
        # References are easy to guess: only the member that was asked may answer.
        if call is None or call[0] != peer:
            return
        _, done, timer = self._calls.pop(ref)
        timer.cancel()
        done(body.value if body.error is None else error_from_wire(body.error))

    def _on_relay(self, peer: bytes, ref: int, body: Relay) -> None:
        header = peek_header(body.frames)
        if header.dst == self.device_id:
            self._deliver(body.frames, None)
            return
        if body.hops >= RELAY_HOPS_MAX:
            raise Malformed("the message went round in circles")
        self._forward(header.dst, Relay(body.frames, body.hops + 1))

    def _forward(self, dst: bytes, relay: Relay) -> None:
        """Pass a relayed message on; only a hub does."""
        raise BadSignature("this device does not relay")

    def _peer_changed(self, peer: bytes, up: bool) -> None:
        for handler in self._peer_handlers:
            handler(peer, up)


def _resolve(answer: asyncio.Future[bytes], found: bytes | KindmeshError) -> None:
    if answer.done():
        return
    if isinstance(found, KindmeshError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


__all__ = ["NO_SESSION", "Endpoint"]
