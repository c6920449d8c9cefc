"""Signed messages of one identity, in and out: where a message is verified.

`write` signs; `read` is the one place where a signed message is checked before anybody sees its body: shape, mesh
membership of the author, revocation, certificate time, signature, age, replay, and that a direct message's author is
the device at the other end of the hop. Only then is the body decoded into the struct of its type.
Direct messages are numbered per boot (window, begun by each handshake: what is older than the session is not taken on
it); relayed ones may come late and in any order, so their ids are remembered until they expire, over restarts, per
author, so that nobody can use up another's room. With whom a session is, is a *start* of a member (boot number and
tag); what comes directly is from that start. Whether two starts of one identity live at once is judged when sessions
are confirmed (`boot_machine`), never by what a message claims.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from kindmesh.mesh.boot_machine import Start
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.recollection import Recollection
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import check_validity
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.envelope import Envelope, make_envelope, open_envelope, peek_header
from kindmesh.protocol.errors import BackPressure, Malformed, Replayed, SourceMismatch, StoreError
from kindmesh.protocol.extensions import check_extensions
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.limits import CLOCK_SKEW_MS, TTL_DEFAULT_MS
from kindmesh.protocol.messages import BODIES, Job, MessageType
from kindmesh.protocol.replay import SequenceWindow

log = logging.getLogger("kindmesh.mesh.post")

_HANDSHAKE = frozenset({MessageType.HELLO, MessageType.WELCOME})
_EVEN_EXPIRED = frozenset(
    {
        MessageType.STOP,
        MessageType.RENEW,
        MessageType.RENEWED,
        MessageType.JOB_RESULT,
        MessageType.REQUEST,
        MessageType.REPLY,
    }
)
"""What is read also from a member whose certificate has ended: nobody should have to renew papers to stop a machine,
and renewing is how it gets new ones. Of jobs, results and requests only those of alerts count (`is_alert`): who takes
them sees to that. HELLO and WELCOME say who is there."""
_ONCE = frozenset({MessageType.REQUEST})
"""What is remembered by its id although it came directly: done twice, it would have done two things."""
STARTS_MAX = 4
"""Starts of one member of which windows are kept."""
_ANSWERED = frozenset({MessageType.JOB})
"""Where a critical extension that is not known is answered by whoever takes the message, and not by silence."""


class Post:
    """Writes as `identity`, reads what is for it; `trust` says who belongs to the mesh."""

    def __init__(
        self,
        identity: Identity,
        trust: Trust,
        clock: Clock,
        entropy: Entropy,
        recollection: Recollection | None = None,
    ) -> None:
        self.identity = identity
        self.trust = trust
        self.recollection = recollection or Recollection()
        self._clock = clock
        self._entropy = entropy
        self._windows: dict[bytes, dict[Start, SequenceWindow]] = {}
        self._speaking: dict[bytes, Start] = {}

    def write(
        self,
        type_: MessageType,
        dst: bytes,
        body: msgspec.Struct,
        *,
        reply_to: bytes = b"",
        ttl_ms: int = TTL_DEFAULT_MS,
        trace: bytes = b"",
    ) -> tuple[bytes, list[bytes]]:
        """(message id, frames) of a signed message to `dst` (20-byte id)."""
        now_ms = self._clock.now_ms()
        message_id = new_id(now_ms, self._entropy.token(RANDOM_BYTES))
        identity = self.identity
        frames = make_envelope(
            identity.signing,
            type_=int(type_),
            message_id=message_id,
            src=identity.device_id,
            dst=dst,
            boot=identity.boot,
            tag=identity.tag,
            sequence=identity.next_sequence(),
            issued_ms=now_ms,
            body=encode(body),
            ttl_ms=ttl_ms,
            in_reply_to=reply_to,
            trace=trace,
        )
        return message_id, frames

    def read(self, frames: Sequence[bytes], hop: bytes | None) -> tuple[Envelope, Any]:
        """Check a message and decode its body; `hop` is the id of the device at the other end, None when relayed.

        The body is of the struct that `BODIES` names for the type.

        Raises:
            Malformed and its kin, AuthenticationError and its kin (see `protocol.errors`).
        """
        header = peek_header(frames)
        try:
            type_ = MessageType(header.type)
        except ValueError as error:
            raise Malformed(f"message type {header.type} is not known here") from error
        if hop is not None and header.src != hop:
            raise SourceMismatch()
        if hop is None and type_ in _HANDSHAKE:
            raise SourceMismatch("a handshake is between two ends of one link and is never relayed")
        now_ms = self._clock.now_ms()
        # A handshake is fresh by its challenge, and is how a device with a wrong clock learns the right time.
        judged_ms = header.issued_ms if type_ in _HANDSHAKE else now_ms
        certificate = self.trust.membership.get(header.src)
        if type_ not in _EVEN_EXPIRED and type_ not in _HANDSHAKE and type_ is not MessageType.JOB:
            check_validity(certificate, now_ms)
        envelope = open_envelope(
            frames, dst=self.identity.device_id, now_ms=judged_ms, public_key=lambda _: certificate.ed_pub
        )
        start = Start(header.boot, header.tag)
        if hop is None:
            known = self._windows.get(header.src, {}).get(start)
            if known is not None and known.has(header.boot, header.sequence):
                raise Replayed()
        elif type_ in _HANDSHAKE:
            window = self._window(hop, start)
            window.accept(header.boot, header.sequence)
            window.begin()
        else:
            self._check_start(hop, start)
            self._window(hop, start).accept(header.boot, header.sequence)
        if hop is None or type_ in _ONCE:
            until_ms = header.issued_ms + header.ttl_ms + CLOCK_SKEW_MS
            try:
                self.recollection.accept(header.src, header.message_id, until_ms, now_ms)
            except (StoreError, BackPressure) as error:
                # What came directly is guarded by its session's window, and to stop again does no harm: neither a full
                # disk nor a full memory may keep anybody from stopping the house.
                if hop is None and type_ is not MessageType.STOP:
                    raise
                log.error(
                    "a message is not remembered", extra={"code": error.code, "peer": header.src.hex()[:8]}
                )
        body = decode(BODIES[type_], envelope.body)
        if isinstance(body, Job) and body.priority != "emergency":
            check_validity(certificate, now_ms)
        if type_ not in _ANSWERED:
            check_extensions(getattr(body, "ext", {}))
        return envelope, body

    def check_current(self, peer: bytes) -> None:
        """For what only members with valid certificates may ask of each other.

        Raises:
            CertificateExpired: the peer's, or this member's own, has ended or not begun.
            Revoked, UnknownMember.
        """
        now_ms = self._clock.now_ms()
        check_validity(self.trust.membership.get(peer), now_ms)
        check_validity(self.trust.certificate, now_ms)

    def confirmed(self, member: bytes, boot: int, tag: bytes) -> bool:
        """The start (of that boot number, with that tag) at the other end has proved that it lives: a session with it
        begins. True when that shows, for the first time, that the identity was copied.

        Raises:
            DiskFull, StoreError: as told, but a restart will have forgotten it.
        """
        start = Start(boot, tag)
        self._speaking[member] = start
        known = member in self.recollection.boots.copied
        verdict = self.recollection.confirm(member, start)
        if verdict == "copy" and not known:
            log.error("two devices use one identity", extra={"peer": member.hex()[:8]})
        return verdict == "copy" and not known

    def _check_start(self, member: bytes, start: Start) -> None:
        """A direct message comes from the start with which there is a session, or from a later one."""
        speaking = self._speaking.setdefault(member, start)
        if start == speaking:
            return
        copied = member in self.recollection.boots.copied
        if start.boot > speaking.boot and not copied:
            self._speaking[member] = start
            return
        if start.boot < speaking.boot:
            raise Replayed("the message is from before the device's last restart")
        name = self.trust.membership.get(member).name
        raise SourceMismatch(
            f"two devices speak as {name}: its keys were copied, or an old copy of it was started",
            hint=f"kindmesh review asks what to do about {name}.",
        )

    def _window(self, member: bytes, start: Start) -> SequenceWindow:
        """The window of one start; the last few of each member are kept."""
        windows = self._windows.setdefault(member, {})
        window = windows.pop(start, None) or SequenceWindow()
        windows[start] = window
        if len(windows) > STARTS_MAX:
            del windows[next(iter(windows))]
        return window


__all__ = ["Post"]
