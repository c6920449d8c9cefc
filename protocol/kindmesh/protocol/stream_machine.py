"""One end of one stream: what may be sent, what is asked for again, when and why it ends. Pure.

    opener          opening -> open <-> broken          open, broken -> closing -> ended
                       |________ |________|______________________________________/
    acting device   open <-> broken, both -> ended

`opening`: STREAM_OPEN is under way. `open`: frames flow. `broken`: there is no way to the other end; it goes on when
there is one, within `STREAM_RESUME_MS`, else it ends. `closing`: the opener said that it ends, and waits for the
device to say that it has stopped. `ended`: nothing is sent any more; what had arrived can still be taken.

Rules: credit as in `stream_credit`, in either direction. The acting device counts the bytes of both directions and the
time (a broken link counts) and ends the stream at either bound; it says `done` only when all it sent has arrived. What
is missing is asked for when a later frame shows it, and sent again when nothing was acknowledged for a while, each
time after twice as long. An end that is silent is asked whether it lives; after `STREAM_RESUME_MS` it is taken for
gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, get_args

from kindmesh.protocol import stream_words as w
from kindmesh.protocol.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidTransition,
    KindmeshError,
    Malformed,
    PeerUnreachable,
    StreamBroken,
    StreamLimit,
    error_from_wire,
)
from kindmesh.protocol.limits import STREAM_OPEN_MS, STREAM_RESUME_MS
from kindmesh.protocol.messages.streams import StreamReason, StreamResume
from kindmesh.protocol.stream_credit import Receiving, Sending
from kindmesh.protocol.stream_spec import StreamBounds

State = Literal["opening", "open", "broken", "closing", "ended"]
TELL_MS: Final = 20
"""How long a credit that is not urgent waits for more to say."""
GAP_MS: Final = 200
"""How often the same gap is asked for."""
AGAIN_MS: Final = 500
"""After how long without an acknowledgement the first missing frame is sent again, the first time."""
AGAIN_MAX_MS: Final = 4_000
PROBE_MS: Final = 2_000
CLOSE_MS: Final = 3_000
CLOSE_AGAIN_MS: Final = 500
_STORY_MAX: Final = 48
_NEVER: Final = 1 << 62
_LIVE: Final = ("open", "broken")

_Move: TypeAlias = Callable[[Any, int], list[w.Instruction]]


class StreamMachine:
    """See the module. `acting`: the end of the device that acts, with the `bounds` that it enforces (`data_bytes` of
    both directions together); `takes` and `gives`: whether the other end, and this one, sends anything."""

    def __init__(
        self, *, acting: bool, takes: bool, gives: bool, now_ms: int, bounds: StreamBounds | None = None
    ) -> None:
        self.acting = acting
        self.state: State = "open" if acting else "opening"
        self.takes = takes
        self.sending = Sending()
        self.receiving = Receiving()
        self.story: list[str] = []
        self._gives = gives
        self._bounds = bounds
        self._until_ms = now_ms + (bounds.duration_ms if bounds is not None else STREAM_OPEN_MS)
        self._heard_ms = self._asked_ms = now_ms
        self._tell_ms = self._again_ms = _NEVER
        self._again_after = AGAIN_MS
        self._gap = (-1, 0)
        self._finished: bytes | None = None
        self._ending = w.SayEnd("broken", None, b"")

    # What this side's program may do.

    @property
    def writable(self) -> bool:
        """Whether `Write` is possible."""
        return self.state in _LIVE and self._gives and self._finished is None and self.sending.writable

    @property
    def readable(self) -> bool:
        """Whether `Take` is possible."""
        return self.receiving.readable

    @property
    def sendable(self) -> bool:
        """Whether `Pull` would send something."""
        return self.state == "open" and self.sending.due() is not None

    @property
    def input_over(self) -> bool:
        """Whether everything that the other end wanted to send was taken."""
        return not self.readable and (self.receiving.closed or not self.takes or self.state == "ended")

    @property
    def due_ms(self) -> int:
        """When to `Tick` next."""
        if self.state == "ended":
            return _NEVER
        if self.state == "open":
            probe = max(self._heard_ms, self._asked_ms) + PROBE_MS
            gone = self._heard_ms + STREAM_RESUME_MS
            return min(self._until_ms, self._tell_ms, self._again_ms, probe, gone)
        if self.state == "broken":
            return min(self._until_ms, self._heard_ms + STREAM_RESUME_MS)
        return self._until_ms if self.state == "opening" else min(self._until_ms, self._again_ms)

    # Events.

    def handle(self, event: w.Event, now_ms: int) -> list[w.Instruction]:
        """What to do about `event`; `now_ms` on a clock that never goes back.

        Raises:
            InvalidTransition: the table does not have it; a bug.
        """
        name = _TABLE[self.state].get(type(event))
        if name is None:
            raise InvalidTransition(
                f"a stream: {type(event).__name__} in state {self.state}", story=tuple(self.story)
            )
        before = self.state
        move: _Move = getattr(self, f"_{name}")
        try:
            steps = move(event, now_ms)
        except Malformed as error:
            steps = self._end("broken", error, now_ms)
        if self.state != before and len(self.story) < _STORY_MAX:
            self.story.append(f"{before}+{type(event).__name__}->{self.state}")
        return steps

    def validate(self) -> None:
        """Raise `InternalError` when a rule is broken; tests call it after every event."""
        broken = [f"sending: {rule}" for rule in self.sending.broken_rules()]
        broken += [f"receiving: {rule}" for rule in self.receiving.broken_rules()]
        total = self.sending.offset + self.receiving.offset
        if self._bounds is not None and self.state != "ended" and total > self._bounds.data_bytes:
            broken.append("more bytes than allowed")
        if broken:
            raise InternalError(f"a stream breaks rules in {self.state}: {broken} {self.story}")

    def _answered(self, event: w.Answered, now_ms: int) -> list[w.Instruction]:
        self.state = "open"
        self._heard_ms = now_ms
        # The device keeps the time; this side only does not wait for ever if it does not.
        self._until_ms = now_ms + event.duration_ms + CLOSE_MS
        self.sending.credited(event.credit)
        return []

    def _refused(self, event: w.Refused, now_ms: int) -> list[w.Instruction]:
        return self._over("failed", event.error, confirmed=True)

    def _link_down(self, event: w.LinkDown, now_ms: int) -> list[w.Instruction]:
        self.state = "broken"
        self._heard_ms = now_ms
        return []

    def _link_up(self, event: w.LinkUp, now_ms: int) -> list[w.Instruction]:
        self.state = "open"
        self._heard_ms = self._asked_ms = now_ms
        self._tell_ms = _NEVER
        # What was under way may be lost: both say what they have.
        return [w.Transmit(self.receiving.credit()), w.Transmit(StreamResume(self.receiving.received))]

    def _write(self, event: w.Write, now_ms: int) -> list[w.Instruction]:
        if not self.writable:
            raise InvalidTransition("a stream: Write without room", story=tuple(self.story))
        if self._passes(len(event.data)):
            return self._limit(now_ms)
        self.sending.write(event.data, last=event.last)
        return []

    def _close_output(self, event: w.CloseOutput, now_ms: int) -> list[w.Instruction]:
        self.sending.close()
        return []

    def _pull(self, event: w.Pull, now_ms: int) -> list[w.Instruction]:
        frame = self.sending.due()
        if frame is None:
            return []
        self.sending.sent()
        if self._again_ms == _NEVER:
            self._again_after = AGAIN_MS
            self._again_ms = now_ms + AGAIN_MS
        return [w.Transmit(frame)]

    def _take(self, event: w.Take, now_ms: int) -> list[w.Instruction]:
        if not self.readable:
            raise InvalidTransition("a stream: Take of nothing", story=tuple(self.story))
        return [w.Hand(self.receiving.take()), *self._tell(now_ms)]

    def _data(self, event: w.DataCame, now_ms: int) -> list[w.Instruction]:
        self._heard_ms = now_ms
        frame = event.frame
        if not self.takes and not (frame.final and not frame.data):
            raise Malformed("the other end sends where nothing is taken", field="direction")
        if frame.sequence == self.receiving.received and self._passes(len(frame.data)):
            return self._limit(now_ms)
        what = self.receiving.accept(frame)
        if what == "early":
            return self._ask(now_ms)
        if what == "old":
            # Its acknowledgement was lost, or is on its way.
            self._tell_ms = min(self._tell_ms, now_ms + TELL_MS)
            return []
        return self._tell(now_ms)

    def _ask(self, now_ms: int) -> list[w.Instruction]:
        missing, asked_ms = self._gap
        if missing == self.receiving.received and now_ms < asked_ms + GAP_MS:
            return []
        self._gap = (self.receiving.received, now_ms)
        return [w.Transmit(StreamResume(self.receiving.received))]

    def _tell(self, now_ms: int) -> list[w.Instruction]:
        if self.receiving.news == "much" and self.state == "open":
            self._tell_ms = _NEVER
            return [w.Transmit(self.receiving.credit())]
        self._tell_ms = min(self._tell_ms, now_ms + TELL_MS)
        return []

    def _credit(self, event: w.CreditCame, now_ms: int) -> list[w.Instruction]:
        self._heard_ms = now_ms
        if self.sending.credited(event.credit):
            self._again_after = AGAIN_MS
            self._again_ms = now_ms + AGAIN_MS
        if not self.sending.in_flight:
            self._again_ms = _NEVER
        return self._done_when_arrived()

    def _done_when_arrived(self) -> list[w.Instruction]:
        if self._finished is None or not self.sending.arrived:
            return []
        return [
            w.SayEnd("done", None, self._finished),
            *self._over("done", None, self._finished, confirmed=True),
        ]

    def _resume(self, event: w.ResumeCame, now_ms: int) -> list[w.Instruction]:
        self._heard_ms = now_ms
        self.sending.rewind(event.resume.received)
        self._tell_ms = _NEVER
        return [w.Transmit(self.receiving.credit())]

    def _finish(self, event: w.Finish, now_ms: int) -> list[w.Instruction]:
        self._finished = event.value
        self.sending.close()
        return []

    def _end_came(self, event: w.EndCame, now_ms: int) -> list[w.Instruction]:
        end = event.end
        error = None if end.error is None else error_from_wire(end.error)
        if self.acting:
            # The opener gives up: say that all of it has stopped.
            return [w.SayEnd(end.reason, error, b""), *self._over(end.reason, error, confirmed=True)]
        if end.reason != "done" and error is None:
            error = StreamBroken(f"the device ended the stream: {end.reason}")
        return self._over(end.reason, error, end.value, confirmed=True)

    def _closed(self, event: w.EndCame, now_ms: int) -> list[w.Instruction]:
        """The device confirms what this side wanted."""
        ending = self._ending
        return self._over(ending.reason, ending.error, confirmed=True)

    def _abort(self, event: w.Abort, now_ms: int) -> list[w.Instruction]:
        return self._end(event.reason, event.error, now_ms)

    def _tick_opening(self, event: w.Tick, now_ms: int) -> list[w.Instruction]:
        if now_ms < self._until_ms:
            return []
        return self._end("broken", PeerUnreachable("the device did not answer in time"), now_ms)

    def _tick_broken(self, event: w.Tick, now_ms: int) -> list[w.Instruction]:
        if now_ms >= self._until_ms:
            return self._late(now_ms)
        if now_ms >= self._heard_ms + STREAM_RESUME_MS:
            return self._gone(now_ms)
        return []

    def _tick(self, event: w.Tick, now_ms: int) -> list[w.Instruction]:
        steps = self._tick_broken(event, now_ms)
        if steps:
            return steps
        if now_ms >= self._tell_ms:
            self._tell_ms = _NEVER
            steps.append(w.Transmit(self.receiving.credit()))
        if now_ms >= self._again_ms:
            steps += self._send_again(now_ms)
        if now_ms >= max(self._heard_ms, self._asked_ms) + PROBE_MS:
            self._asked_ms = now_ms
            steps.append(w.Transmit(StreamResume(self.receiving.received)))
        return steps

    def _send_again(self, now_ms: int) -> list[w.Instruction]:
        """The oldest frame only: what follows it is asked for, if it is missing as well."""
        self._again_after = min(2 * self._again_after, AGAIN_MAX_MS)
        self._again_ms = now_ms + self._again_after
        return [w.Transmit(self.sending.oldest)]

    def _tick_closing(self, event: w.Tick, now_ms: int) -> list[w.Instruction]:
        ending = self._ending
        if now_ms >= self._until_ms:
            return self._over(ending.reason, ending.error, confirmed=False)
        if now_ms < self._again_ms:
            return []
        self._again_ms = now_ms + CLOSE_AGAIN_MS
        return [ending]

    def _nothing(self, event: w.Event, now_ms: int) -> list[w.Instruction]:
        return []

    # Ends.

    def _passes(self, size: int) -> bool:
        """Whether that much more would be more than this device may let through."""
        bounds = self._bounds
        return bounds is not None and self.sending.offset + self.receiving.offset + size > bounds.data_bytes

    def _limit(self, now_ms: int) -> list[w.Instruction]:
        return self._end("limit", StreamLimit("the stream had the bytes that it was allowed"), now_ms)

    def _late(self, now_ms: int) -> list[w.Instruction]:
        return self._end("deadline", DeadlineExceeded("the stream had its time"), now_ms)

    def _gone(self, now_ms: int) -> list[w.Instruction]:
        seconds = STREAM_RESUME_MS // 1000
        return self._end(
            "broken", StreamBroken(f"nothing was heard from the other end for {seconds} s"), now_ms
        )

    def _end(self, reason: StreamReason, error: KindmeshError, now_ms: int) -> list[w.Instruction]:
        said = w.SayEnd(reason, error, b"")
        if self.acting:
            return [said, *self._over(reason, error, confirmed=True)]
        self.state = "closing"
        self._ending = said
        self._until_ms = now_ms + CLOSE_MS
        self._again_ms = now_ms + CLOSE_AGAIN_MS
        return [said]

    def _over(
        self, reason: StreamReason, error: KindmeshError | None, value: bytes = b"", *, confirmed: bool
    ) -> list[w.Instruction]:
        self.state = "ended"
        return [w.Over(reason, error, value, confirmed)]


_EVENTS: Final[tuple[type[w.Event], ...]] = get_args(w.Event)
_TABLE: Final[dict[State, dict[type[w.Event], str]]] = {
    "opening": {
        w.Answered: "answered", w.Refused: "refused", w.EndCame: "end_came", w.LinkUp: "nothing",
        w.LinkDown: "nothing", w.Abort: "abort", w.Tick: "tick_opening",
    },
    "open": {
        w.Answered: "nothing", w.Refused: "nothing", w.LinkUp: "link_up", w.LinkDown: "link_down",
        w.Write: "write", w.CloseOutput: "close_output", w.Pull: "pull", w.Take: "take", w.DataCame: "data",
        w.CreditCame: "credit", w.ResumeCame: "resume", w.EndCame: "end_came", w.Finish: "finish",
        w.Abort: "abort", w.Tick: "tick",
    },
    "broken": {
        w.Answered: "nothing", w.Refused: "nothing", w.LinkUp: "link_up", w.LinkDown: "nothing",
        w.Write: "write", w.CloseOutput: "close_output", w.Pull: "nothing", w.Take: "take", w.DataCame: "data",
        w.CreditCame: "credit", w.ResumeCame: "resume", w.EndCame: "end_came", w.Finish: "finish",
        w.Abort: "abort", w.Tick: "tick_broken",
    },
    "closing": {
        **dict.fromkeys(_EVENTS, "nothing"),
        w.Refused: "refused", w.Take: "take", w.EndCame: "closed", w.Write: "write", w.Tick: "tick_closing",
    },
    "ended": {**dict.fromkeys(_EVENTS, "nothing"), w.Take: "take", w.Write: "write"},
}  # fmt: skip
"""For each state the events that it may get, and which method judges them. What is not here is a bug of the driver."""

__all__ = ["State", "StreamMachine"]
