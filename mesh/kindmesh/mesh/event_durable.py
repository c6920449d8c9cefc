"""Durable events: kept where they happen, and sent until they were taken. Over `event_log`.

    node                          the coordinator                       a node that follows
      keep (disk)  --DURABLE_EVENT-->  check, keep (disk)  --DURABLE_EVENT-->  check, keep (disk)
                   <--EVENT_TAKEN---                       <--EVENT_TAKEN---
    forget later                     subscribers hear of it                 its own followers hear of it

Both ends work the same: a follower has a place in the log, at most `WINDOW` events behind it are on their way, and what
was not taken within `AGAIN_S` or before the link was lost is sent again. What comes twice is taken once, by its id. A
follower on this device (`follow`) is called inside the transaction that moves its place: whatever it writes into the
same store happens once, also across `kill -9`.
Somebody who sends what it must not publish gets it acknowledged and dropped, named and counted, or it would block what
comes after it; a topic that is not declared *yet* is not acknowledged and comes again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.event_links import Admit, Current, Seen
from kindmesh.mesh.event_log import EventLog, Row
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.envelope import Envelope
from kindmesh.protocol.errors import AccessRefused, InvalidInput, KindmeshError, StoreError
from kindmesh.protocol.limits import TTL_DEFAULT_MS
from kindmesh.protocol.messages import (
    DurableEvent,
    EventFollow,
    EventTaken,
    MeshEvent,
    MessageType,
    SessionType,
)
from kindmesh.protocol.messages.events import check_pattern, fits, may_read, open_event, sign_event

log = logging.getLogger("kindmesh.mesh.event_durable")

WINDOW: Final = 64
AGAIN_S: Final = 5.0
TRIES: Final = 3
"""So often a local follower that raises is tried with an event before the next one has its turn."""
_HERE, _DEVICE = "here/", "device/"
DurableCallback = Callable[[MeshEvent], None]


class _Sending:
    """What is on its way to one device: sequence and id, and how far the log was read for it."""

    __slots__ = ("at", "flying", "patterns", "read")

    def __init__(self, patterns: tuple[str, ...], read: int) -> None:
        self.patterns, self.read = patterns, read
        self.flying: dict[bytes, int] = {}
        self.at = 0.0


class DurableEvents:
    """See the module. `coordinator`: the other end's id on a node, empty on the coordinator itself."""

    def __init__(
        self,
        bus: EventBus,
        log_: EventLog,
        endpoint: Endpoint,
        trust: Trust,
        clock: Clock,
        *,
        signing: SigningKey,
        seen: Seen,
        admit: Admit,
        current: Current,
        relays: bool = False,
    ) -> None:
        self.log = log_
        self.unwritten = 0
        """Durable events that the disk did not take."""
        self.refused: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()
        """Events that a follower here could not deal with, by its name."""
        self._bus, self._endpoint, self._trust, self._clock = bus, endpoint, trust, clock
        self._signing, self._seen, self._admit, self._current = signing, seen, admit, current
        self._relays = relays
        self._sending: dict[bytes, _Sending] = {}
        self._here: dict[str, tuple[str, DurableCallback]] = {}
        self._tries: Counter[str] = Counter()
        self._asked = False
        self._pumping: asyncio.Handle | None = None
        endpoint.on(MessageType.DURABLE_EVENT, self._on_event)
        endpoint.on(MessageType.EVENT_FOLLOW, self._on_follow)
        endpoint.on_session(SessionType.EVENT_TAKEN, self._on_taken)
        endpoint.on_peer(self._on_peer)
        bus.tap(self._keep, self._is_durable, name="the event log")
        self._recall()

    def _recall(self) -> None:
        for name, (patterns, seq) in self.log.followers().items():
            if name.startswith(_DEVICE):
                self._sending[bytes.fromhex(name.removeprefix(_DEVICE))] = _Sending(patterns, seq)
        if not self._relays:
            self._aim()

    def _aim(self) -> None:
        """What happens here is for the mesh's coordinator; when it was replaced, what the last one did not take is for
        the new one."""
        coordinator = self._trust.coordinator.subject
        if coordinator in self._sending:
            return
        others = [other for other in self._sending if other != coordinator]
        place = self.log.follow(_name(coordinator), ("*",))
        if others:
            place = min(self.log.followers()[_name(other)][1] for other in others)
            self.log.rewind(_name(coordinator), place)
        for other in others:
            del self._sending[other]
            self.log.unfollow(_name(other))
        self._sending[coordinator] = _Sending(("*",), place)

    # ------------------------------------------------------------------------------------- what happens here

    def _is_durable(self, topic: str) -> bool:
        try:
            return self._bus.topic(topic).durable
        except InvalidInput:
            return False  # declared elsewhere in the mesh, and kept there

    def _keep(self, event: MeshEvent) -> None:
        if event.source != self._bus.source:
            return
        try:
            self.log.append(sign_event(event, self._signing), event)
        except StoreError as error:
            self.unwritten += 1
            log.error("an event could not be kept", extra={"code": error.code, "topic": event.topic})
            return
        self._seen.new(event.event_id)
        self.log.store.after_sync(self._kept)

    def _kept(self, error: KindmeshError | None) -> None:
        if error is not None:
            self.unwritten += 1
            log.error("an event could not be kept", extra={"code": error.code})
            return
        self.pump_soon()

    def follow(self, name: str, pattern: str, callback: DurableCallback) -> Callable[[], None]:
        """Have `callback(event)` called for each durable event that fits, once, in the order of the log, also for those
        that came while this program was down; from the first time that `name` follows. Call what is returned to stop
        listening (its place is kept); `unfollow` gives it up.

        Raises:
            InvalidInput: the pattern is none, or the name is taken. DiskFull, StoreError.
        """
        check_pattern(pattern)
        if name in self._here:
            raise InvalidInput(f"{name!r} follows events already", field="name")
        self.log.follow(_HERE + name, (pattern,))
        self._here[name] = (pattern, callback)
        self._ask_for()
        self.pump_soon()
        return partial(self._end, name)

    def _end(self, name: str) -> None:
        self._here.pop(name, None)

    def unfollow(self, name: str) -> None:
        """It wants nothing any more; nothing is kept for it."""
        self._here.pop(name, None)
        self.log.unfollow(_HERE + name)
        self._ask_for()

    # ---------------------------------------------------------------------------------------------- sending

    def pump_soon(self) -> None:
        """Send and hand on what there is, once, after this turn."""
        if self._pumping is None:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def close(self) -> None:
        """No more."""
        if self._pumping is not None:
            self._pumping.cancel()

    def tick(self) -> None:
        """Now and then: send again what was not taken."""
        now = self._clock.monotonic()
        for peer, sending in self._sending.items():
            if sending.flying and now - sending.at >= AGAIN_S and self._endpoint.connected(peer):
                self._rewind(peer, sending)
                self.pump_soon()
        if self._tries:
            self.pump_soon()

    def _rewind(self, peer: bytes, sending: _Sending) -> None:
        sending.read = min(sending.flying.values()) - 1
        sending.flying.clear()

    def _pump(self) -> None:
        self._pumping = None
        try:
            for name in list(self._here):
                self._hand_on(name)
            for peer, sending in list(self._sending.items()):
                if self._endpoint.connected(peer):
                    self._send(peer, sending)
        except StoreError as error:
            log.error("the event log cannot be used", extra={"code": error.code})

    def _send(self, peer: bytes, sending: _Sending) -> None:
        while len(sending.flying) < WINDOW:
            rows = self.log.after(sending.read, WINDOW - len(sending.flying))
            for row in rows:
                if self._is_for(peer, sending, row.event):
                    try:
                        self._current(peer)
                        self._endpoint.post(
                            peer, MessageType.DURABLE_EVENT, DurableEvent(row.signed), ttl_ms=TTL_DEFAULT_MS
                        )
                    except KindmeshError as error:
                        log.info("event not sent yet", extra={"code": error.code, "peer": peer.hex()[:8]})
                        return
                    sending.flying[row.event.event_id] = row.seq
                    sending.at = self._clock.monotonic()
                sending.read = row.seq
            if not rows:
                break
        if not sending.flying and sending.read:
            self.log.move(_name(peer), sending.read)

    def _is_for(self, peer: bytes, sending: _Sending, event: MeshEvent) -> bool:
        if not self._relays:
            return event.source == self._bus.source
        return (
            event.source != peer
            and may_read(event.labels, event.source, peer)
            and any(fits(pattern, event.topic) for pattern in sending.patterns)
        )

    def _on_taken(self, peer: bytes, ref: int, body: EventTaken) -> None:
        sending = self._sending.get(peer)
        if sending is None:
            return
        for event_id in body.event_ids:
            sending.flying.pop(event_id, None)
        self.log.move(_name(peer), min(sending.flying.values()) - 1 if sending.flying else sending.read)
        self.pump_soon()

    def _on_peer(self, peer: bytes, up: bool) -> None:
        if up and not self._relays and peer == self._trust.coordinator.subject:
            self._aim()
        sending = self._sending.get(peer)
        if sending is not None and sending.flying:
            self._rewind(peer, sending)
        if up:
            self._ask_for()
            if sending is not None:
                self.pump_soon()

    # --------------------------------------------------------------------------------------------- followers

    def _ask_for(self) -> None:
        """Tell the coordinator what this device follows; it keeps that, so only when there is anything to say."""
        if self._relays or not self._endpoint.connected(self._trust.coordinator.subject):
            return
        names = [name for name in self.log.followers() if name.startswith(_HERE)]
        if not names and not self._asked:
            return
        patterns = sorted({pattern for name in names for pattern in self.log.followers()[name][0]})
        self._asked = bool(names)
        try:
            self._endpoint.post(
                self._trust.coordinator.subject, MessageType.EVENT_FOLLOW, EventFollow(tuple(patterns))
            )
        except KindmeshError as error:
            log.info("what is followed was not told", extra={"code": error.code})

    def _on_follow(self, envelope: Envelope, body: EventFollow) -> None:
        peer = envelope.header.src
        if not self._relays:
            raise AccessRefused("only the coordinator keeps events for others")
        self._current(peer)
        for pattern in body.patterns:
            check_pattern(pattern)
        if not body.patterns:
            self.forget_device(peer)
            return
        seq = self.log.follow(_name(peer), body.patterns)
        known = self._sending.get(peer)
        if known is None:
            self._sending[peer] = _Sending(body.patterns, seq)
        else:
            known.patterns = body.patterns
        self.pump_soon()

    def forget_device(self, peer: bytes) -> None:
        """A device was removed, or follows nothing any more."""
        if self._sending.pop(peer, None) is not None:
            self.log.unfollow(_name(peer))

    def _hand_on(self, name: str) -> None:
        """Let a follower on this device have what is new to it."""
        pattern, callback = self._here[name]
        follower = _HERE + name
        place = self.log.followers()[follower][1]
        for row in self.log.after(place, WINDOW):
            if fits(pattern, row.event.topic) and not self._call(name, callback, row):
                return
            if not fits(pattern, row.event.topic):
                self.log.move(follower, row.seq)
            place = row.seq
        if place < self.log.end():
            self.pump_soon()

    def _call(self, name: str, callback: DurableCallback, row: Row) -> bool:
        """False when it has to be tried again."""
        try:
            with self.log.store.atomic():
                callback(row.event)
                self.log.move(_HERE + name, row.seq)
        except Exception as error:  # noqa: BLE001 - a mistake of a follower is named, and is nobody else's
            self._tries[name] += 1
            code = error.code if isinstance(error, KindmeshError) else type(error).__name__
            log.error("a follower of events went wrong", extra={"code": code, "subscriber": name})
            if self._tries[name] < TRIES or isinstance(error, StoreError):
                return False
            self.passed_over[name] += 1
            log.error("an event is passed over", extra={"subscriber": name, "topic": row.event.topic})
            self.log.move(_HERE + name, row.seq)
        self._tries.pop(name, None)
        return True

    # ---------------------------------------------------------------------------------------- what arrives

    def _on_event(self, envelope: Envelope, body: Any) -> None:
        signed, sender = body.event, envelope.header.src
        if not self._relays and sender != self._trust.coordinator.subject:
            raise AccessRefused("only the coordinator passes events on")
        event = open_event(signed, self._trust.membership.get(signed.author).ed_pub)
        try:
            if not self._relays and not may_read(event.labels, event.source, self._bus.source):
                raise AccessRefused("an event that is not for this device", field="labels.readers")
            self._admit(sender, event)
        except (AccessRefused, InvalidInput) as error:
            if isinstance(error, InvalidInput) and error.field == "topic":
                raise
            self.refused[error.code] += 1
            log.warning("an event was dropped", extra={"code": error.code, "peer": sender.hex()[:8]})
            self._acknowledge(sender, event.event_id)
            return
        new = self.log.append(signed, event)
        self.log.store.after_sync(partial(self._arrived, sender, event, new))

    def _arrived(self, sender: bytes, event: MeshEvent, new: bool, error: KindmeshError | None) -> None:
        if error is not None:
            log.error("an event could not be kept", extra={"code": error.code})
            return
        self._acknowledge(sender, event.event_id)
        if new and self._seen.new(event.event_id):
            self._bus.accept(event)
        if new:
            self.pump_soon()

    def _acknowledge(self, peer: bytes, event_id: bytes) -> None:
        try:
            self._endpoint.tell(peer, SessionType.EVENT_TAKEN, EventTaken((event_id,)))
        except KindmeshError as error:
            log.info("not acknowledged yet", extra={"code": error.code, "peer": peer.hex()[:8]})


def _name(device: bytes) -> str:
    return _DEVICE + device.hex()


__all__ = ["AGAIN_S", "WINDOW", "DurableCallback", "DurableEvents"]
