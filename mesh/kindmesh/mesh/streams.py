"""All streams of one device: the driver between their machines, the links and the programs at this end.

A stream uses the best way there is now (`stream_ways`) and changes over without a pause, since every frame is numbered
and under the stream's own keys. Streams of one device take turns, a frame each, at most `TURN_FRAMES` in one turn of
the loop, so that neither one stream nor all of them together keep anything else waiting. Who opens what is judged
elsewhere (`on_open`); nobody but the two ends of a stream can end it. An end is told again to whoever shows that it did
not hear of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.endpoint import Endpoint
from kindmesh.mesh.stream_end import StreamHandle
from kindmesh.mesh.stream_relay import StreamRelay
from kindmesh.mesh.stream_ways import StreamWays
from kindmesh.protocol import stream_words as w
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.envelope import Envelope, envelope_hash
from kindmesh.protocol.errors import (
    AccessRefused,
    BadSignature,
    Busy,
    KindmeshError,
    Malformed,
    PermitUsed,
    Revoked,
    StreamBroken,
    TransportError,
    error_from_wire,
    error_to_wire,
)
from kindmesh.protocol.limits import STREAMS_MAX
from kindmesh.protocol.messages import (
    MessageType,
    SessionBody,
    SessionType,
    StreamAnswer,
    StreamCarried,
    StreamCredit,
    StreamData,
    StreamEnd,
    StreamOpen,
    StreamResume,
)
from kindmesh.protocol.session import derive_session
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.stream_credit import FIRST_CREDIT
from kindmesh.protocol.stream_machine import StreamMachine
from kindmesh.protocol.stream_spec import StreamBounds

log = logging.getLogger("kindmesh.mesh.streams")

TURN_FRAMES: Final = 16
FULL_S: Final = 0.02
"""How long to wait when a link is full."""
TOMBS_MAX: Final = 64
TOLD_AGAIN_S: Final = 0.5
_INSIDE: Final[dict[int, type[StreamData | StreamCredit | StreamResume]]] = {
    int(SessionType.STREAM_DATA): StreamData,
    int(SessionType.STREAM_CREDIT): StreamCredit,
    int(SessionType.STREAM_RESUME): StreamResume,
}
_TYPES: Final = {body: type_ for type_, body in _INSIDE.items()}
_EVENTS: Final[dict[type, Callable[[Any], w.Event]]] = {
    StreamData: w.DataCame,
    StreamCredit: w.CreditCame,
    StreamResume: w.ResumeCame,
}


class Accepted(msgspec.Struct, frozen=True):
    """What `on_open` says yes with: the bounds, what flows, and whom to give the stream to."""

    bounds: StreamBounds
    takes: bool
    gives: bool
    serve: Callable[[StreamHandle], None]


OnOpen = Callable[[bytes, StreamOpen], Accepted]
"""(opener's device id, what it wants); raises the `KindmeshError` with which it is refused."""


class _Tomb:
    """A stream that ended here."""

    __slots__ = ("end", "peer", "session_id", "told_at")

    def __init__(self, peer: bytes, session_id: bytes, end: StreamEnd, told_at: float) -> None:
        self.peer, self.session_id, self.end, self.told_at = peer, session_id, end, told_at


class Streams:
    """See the module. `endpoint` reaches everybody, perhaps through the coordinator; `attach` adds direct links.
    `relays`: frames for others are passed on."""

    def __init__(self, endpoint: Endpoint, clock: Clock, entropy: Entropy, *, relays: bool = False) -> None:
        self._endpoint = endpoint
        self._ways = StreamWays(endpoint)
        self._clock = clock
        self._entropy = entropy
        self.relay = StreamRelay() if relays else None
        self.on_open: OnOpen = _refuse_all
        self.on_addresses: Callable[[bytes, Sequence[str]], None] = _nobody
        """Told at which addresses (`host:port`) a device that was reached takes direct links."""
        self.addresses: Callable[[], Sequence[str]] = tuple
        """Where this device takes direct links."""
        self._open: dict[tuple[bytes, bool], StreamHandle] = {}
        self._by_session: dict[tuple[bytes, bool], StreamHandle] = {}
        self._tombs: OrderedDict[bytes, _Tomb] = OrderedDict()
        self._ready: OrderedDict[StreamHandle, None] = OrderedDict()
        self._pump: asyncio.Handle | None = None
        self._closed = False
        self.attach(endpoint, direct=False)

    def attach(self, endpoint: Endpoint, *, direct: bool = True) -> None:
        """Take streams of this endpoint as well; `direct`: of its links only to those at their other end."""
        endpoint.on(MessageType.STREAM_OPEN, self._on_open)
        endpoint.on(MessageType.STREAM_ANSWER, self._on_answer)
        endpoint.on(MessageType.STREAM_END, self._on_end)
        endpoint.on_session(SessionType.STREAM, self._on_carried)
        endpoint.on_peer(self._on_peer)
        if direct:
            self._ways.add(endpoint)

    def detach(self, endpoint: Endpoint) -> None:
        """A direct link's endpoint is closed for good."""
        self._ways.remove(endpoint)
        self._on_peer(b"", False)

    @property
    def open_streams(self) -> tuple[StreamHandle, ...]:
        """All that have not ended."""
        return tuple(self._open.values())

    # Opening.

    async def open(self, asked: StreamOpen, target: bytes, *, takes: bool, gives: bool) -> StreamHandle:
        """Open a stream on `target`; returns when it has said yes. `asked` needs no key: one is made here.

        Raises:
            Busy: too many streams here. PeerUnreachable: it does not answer.
            KindmeshError: why it was refused.
        """
        self._check_room()
        machine = StreamMachine(acting=False, takes=takes, gives=gives, now_ms=self._now())
        stream = StreamHandle(asked.stream_id, target, machine, self._happened)
        key = CurveKey(self._entropy.token(32))
        stream.secret = key.secret
        body = msgspec.structs.replace(asked, ephemeral=key.public, credit=FIRST_CREDIT)
        if (asked.stream_id, False) in self._open:
            raise PermitUsed("this stream is open already")
        self._open[asked.stream_id, False] = stream
        _, frames = self._endpoint.letters.write(MessageType.STREAM_OPEN, target, body)
        stream.open_hash = envelope_hash(frames)
        try:
            self._ways.deliver(target, frames)
        except KindmeshError as error:
            self._happened(stream, w.Refused(error))
        self._reroute(stream)
        self._arm(stream)
        try:
            await stream.opened()
        except asyncio.CancelledError:
            stream.abort("cancelled", StreamBroken("whoever opened it is gone"))
            raise
        return stream

    def _check_room(self) -> None:
        if self._closed or len(self._open) >= STREAMS_MAX:
            raise Busy(
                f"{len(self._open)} streams are open here already", hint="Try again when one has ended."
            )

    def _on_answer(self, envelope: Envelope, body: Any) -> None:
        answer: StreamAnswer = body
        stream = self._open.get((answer.stream_id, False))
        if stream is None:
            return
        if envelope.header.src != stream.peer or answer.open_hash != stream.open_hash:
            raise AccessRefused("this is no answer to what was asked")
        if answer.error is not None:
            self._happened(stream, w.Refused(error_from_wire(answer.error)))
            return
        if stream.keys is not None:
            return
        stream.keys = derive_session(
            secret=stream.secret, peer_public=answer.ephemeral, hello_hash=answer.open_hash,
            welcome_hash=envelope.hash, dialler=True,
        )  # fmt: skip
        stream.secret = b""
        self._by_session[stream.keys.session_id, False] = stream
        self._happened(stream, w.Answered(answer.credit, answer.duration_ms))
        if answer.at and stream.route != "direct":
            self.on_addresses(stream.peer, answer.at)

    def _on_open(self, envelope: Envelope, body: Any) -> None:
        asked: StreamOpen = body
        opener = envelope.header.src
        key = CurveKey(self._entropy.token(32))
        try:
            if (asked.stream_id, True) in self._open or asked.stream_id in self._tombs:
                raise PermitUsed("this stream was opened already")
            self._check_room()
            accepted = self.on_open(opener, asked)
        except KindmeshError as error:
            log.warning("stream refused", extra={"code": error.code, "peer": opener.hex()[:8]})
            refusal = StreamAnswer(
                asked.stream_id, envelope.hash, error_to_wire(error), key.public, FIRST_CREDIT
            )
            self._ways.say(opener, MessageType.STREAM_ANSWER, refusal)
            return
        machine = StreamMachine(
            acting=True,
            takes=accepted.takes,
            gives=accepted.gives,
            now_ms=self._now(),
            bounds=accepted.bounds,
        )
        stream = StreamHandle(asked.stream_id, opener, machine, self._happened)
        answer = StreamAnswer(
            asked.stream_id, envelope.hash, None, key.public, FIRST_CREDIT, accepted.bounds.duration_ms,
            accepted.bounds.data_bytes, tuple(self.addresses()),
        )  # fmt: skip
        _, frames = self._endpoint.letters.write(MessageType.STREAM_ANSWER, opener, answer)
        stream.keys = derive_session(
            secret=key.secret, peer_public=asked.ephemeral, hello_hash=envelope.hash,
            welcome_hash=envelope_hash(frames), dialler=False,
        )  # fmt: skip
        machine.sending.credited(asked.credit)
        self._open[asked.stream_id, True] = self._by_session[stream.keys.session_id, True] = stream
        try:
            self._ways.deliver(opener, frames)
        except TransportError as error:
            log.info("a stream was not answered", extra={"code": error.code})
        self._reroute(stream)
        accepted.serve(stream)
        self._arm(stream)
        if asked.at and stream.route != "direct":
            self.on_addresses(opener, asked.at)

    # What arrives.

    def _on_carried(self, peer: bytes, ref: int, body: Any) -> None:
        carried: StreamCarried = body
        if carried.dst != self._endpoint.device_id:
            self._pass_on(peer, carried)
            return
        session_id = carried.frames[0][1:9]
        stream = self._by_session.get((session_id, not carried.back))
        if stream is None or stream.keys is None:
            self._tell_again(session_id)
            return
        if carried.src != stream.peer:
            raise BadSignature("the frame is of another member's stream")
        inner = decode(SessionBody, stream.keys.open(carried.frames))
        kind = _INSIDE.get(inner.type)
        if kind is None:
            raise Malformed(f"frames of type {inner.type} are no part of a stream")
        event = _EVENTS[kind](decode(kind, inner.payload))
        self._happened(stream, event)

    def _pass_on(self, peer: bytes, carried: StreamCarried) -> None:
        if self.relay is None or carried.src != peer:
            raise BadSignature("this device does not carry this frame")
        self.relay.admit(peer, carried.dst, carried.frames[0][1:9], self._clock.monotonic())
        try:
            self._endpoint.tell(carried.dst, SessionType.STREAM, carried)
        except TransportError as error:
            # It is sent again when it is missed.
            log.debug("a frame was not passed on", extra={"code": error.code})

    def _on_end(self, envelope: Envelope, body: Any) -> None:
        end: StreamEnd = body
        stream = self._open.get((end.stream_id, not end.back))
        if stream is not None:
            if envelope.header.src != stream.peer:
                raise AccessRefused("only the two ends of a stream can end it")
            self._happened(stream, w.EndCame(end))
        elif not end.back:
            tomb = self._tombs.get(end.stream_id)
            if tomb is not None and tomb.peer == envelope.header.src:
                self._ways.say(tomb.peer, MessageType.STREAM_END, tomb.end)

    def _tell_again(self, session_id: bytes) -> None:
        """Somebody goes on with a stream that has ended here."""
        now = self._clock.monotonic()
        for tomb in self._tombs.values():
            if tomb.session_id == session_id and now - tomb.told_at >= TOLD_AGAIN_S:
                tomb.told_at = now
                self._ways.say(tomb.peer, MessageType.STREAM_END, tomb.end)

    def _on_peer(self, peer: bytes, up: bool) -> None:
        for stream in list(self._open.values()):
            self._reroute(stream)

    def _reroute(self, stream: StreamHandle) -> None:
        route = self._ways.route(stream.peer)
        if route == stream.route:
            return
        before, stream.route = stream.route, route
        if not route:
            self._happened(stream, w.LinkDown())
        elif before or stream.machine.state == "broken":
            log.info("stream goes another way", extra={"route": route, "peer": stream.peer.hex()[:8]})
            self._happened(stream, w.LinkUp())

    def drop(self, member: bytes, error: KindmeshError | None = None) -> None:
        """End all streams with a member that was removed."""
        for stream in [stream for stream in self._open.values() if stream.peer == member]:
            stream.abort("stopped", error or Revoked("the other device was removed from the mesh"))
        if self.relay is not None:
            self.relay.forget(member)

    # What the machines decide.

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1000)

    def _happened(self, stream: StreamHandle, event: w.Event) -> list[w.Instruction]:
        machine = stream.machine
        steps = machine.handle(event, self._now())
        handed = [step for step in steps if isinstance(step, w.Hand)]
        for step in steps:
            if isinstance(step, w.Transmit):
                self._transmit(stream, step.body)
            elif isinstance(step, w.SayEnd):
                self._say_end(stream, step)
            elif isinstance(step, w.Over):
                self._bury(stream, step)
        if machine.sendable:
            self._ready[stream] = None
            self._wake_pump(0.0)
        stream.wake()
        self._arm(stream)
        return list(handed)

    def _transmit(self, stream: StreamHandle, body: StreamData | StreamCredit | StreamResume) -> bool:
        keys = stream.keys
        if keys is None:
            return False
        frames = keys.seal(encode(SessionBody(_TYPES[type(body)], 0, encode(body))))
        carried = StreamCarried(
            self._endpoint.device_id, stream.peer, stream.acting, (frames[0], frames[1], frames[2])
        )
        try:
            way = self._ways.to(stream.peer)
            way.tell(way.hop_to(stream.peer), SessionType.STREAM, carried)
        except TransportError:
            # Lost, as anything may be: it is sent again when it is missed.
            return False
        return True

    def _say_end(self, stream: StreamHandle, step: w.SayEnd) -> None:
        machine = stream.machine
        taken, given = machine.receiving.offset, machine.sending.offset
        end = StreamEnd(
            stream.stream_id, step.reason, stream.acting, None if step.error is None else error_to_wire(step.error),
            step.value, taken, given,
        )  # fmt: skip
        if stream.acting:
            session_id = stream.keys.session_id if stream.keys is not None else b""
            self._tombs[stream.stream_id] = _Tomb(stream.peer, session_id, end, self._clock.monotonic())
            while len(self._tombs) > TOMBS_MAX:
                self._tombs.popitem(last=False)
        self._ways.say(stream.peer, MessageType.STREAM_END, end)

    def _bury(self, stream: StreamHandle, over: w.Over) -> None:
        self._open.pop((stream.stream_id, stream.acting), None)
        if stream.keys is not None:
            self._by_session.pop((stream.keys.session_id, stream.acting), None)
        self._ready.pop(stream, None)
        if stream.timer is not None:
            stream.timer.cancel()
            stream.timer = None
        if not stream.over.done():
            stream.over.set_result(over)

    # Time, and turns.

    def _arm(self, stream: StreamHandle) -> None:
        due = stream.machine.due_ms
        if stream.over.done() or (stream.timer is not None and stream.armed <= due):
            return
        if stream.timer is not None:
            stream.timer.cancel()
        stream.armed = due
        after = max(0, due - self._now()) / 1000
        stream.timer = asyncio.get_running_loop().call_later(after, self._tick, stream)

    def _tick(self, stream: StreamHandle) -> None:
        stream.timer = None
        if stream.machine.due_ms <= self._now():
            self._happened(stream, w.Tick())
        else:
            self._arm(stream)

    def _wake_pump(self, after: float) -> None:
        if self._pump is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._pump = loop.call_later(after, self._turn) if after else loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._pump = None
        for _ in range(TURN_FRAMES):
            if not self._ready:
                return
            stream, _ = self._ready.popitem(last=False)
            machine = stream.machine
            if not machine.sendable:
                continue
            steps = machine.handle(w.Pull(), self._now())
            sent = [self._transmit(stream, step.body) for step in steps if isinstance(step, w.Transmit)]
            if machine.sendable:
                self._ready[stream] = None
            stream.wake()
            self._arm(stream)
            if not all(sent):
                self._wake_pump(FULL_S)
                return
        if self._ready:
            self._wake_pump(0.0)

    async def close(self) -> None:
        """End all streams, telling the other ends."""
        self._closed = True
        for stream in list(self._open.values()):
            stream.abort("stopped", StreamBroken("this device is just being switched off"))
            if not stream.over.done():
                self._bury(
                    stream, w.Over("stopped", StreamBroken("it is being switched off"), b"", confirmed=False)
                )
        if self._pump is not None:
            self._pump.cancel()


def _refuse_all(opener: bytes, asked: StreamOpen) -> Accepted:
    raise AccessRefused("this device takes no streams", field="operation")


def _nobody(peer: bytes, addresses: Sequence[str]) -> None:
    """Nobody makes direct links here."""


def stream_open(
    stream_id: bytes, operation: str, args: bytes, permit: Signed, at: Sequence[str] = ()
) -> StreamOpen:
    """What to `open`, saying where this device takes direct links; key and credit are filled in there."""
    return StreamOpen(stream_id, operation, args, permit, bytes(32), FIRST_CREDIT, {}, tuple(at))


__all__ = ["Accepted", "OnOpen", "Streams", "stream_open"]
