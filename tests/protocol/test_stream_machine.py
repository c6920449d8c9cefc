"""Streams: never more than credit; every byte arrives once and in order, or there is a clear end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kindmesh.protocol import stream_words as w
from kindmesh.protocol.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidTransition,
    KindmeshError,
    Malformed,
    NoDeviceAble,
    PeerUnreachable,
    StreamBroken,
    StreamLimit,
    error_to_wire,
)
from kindmesh.protocol.limits import (
    STREAM_FRAME_MAX,
    STREAM_OPEN_MS,
    STREAM_RESUME_MS,
    STREAM_WINDOW_BYTES,
    STREAM_WINDOW_FRAMES,
)
from kindmesh.protocol.messages.streams import StreamCredit, StreamData, StreamEnd, StreamResume
from kindmesh.protocol.stream_credit import FIRST_CREDIT, Receiving, Sending
from kindmesh.protocol.stream_machine import (
    AGAIN_MAX_MS,
    AGAIN_MS,
    CLOSE_AGAIN_MS,
    CLOSE_MS,
    GAP_MS,
    PROBE_MS,
    TELL_MS,
    StreamMachine,
)
from kindmesh.protocol.stream_spec import StreamBounds

ID = b"s" * 16
WIDE = StreamBounds(1_000_000, 1 << 40)


@dataclass
class Side:
    """One end with what it said and gave."""

    machine: StreamMachine
    now: int = 0
    out: deque[Any] = field(default_factory=deque)
    got: list[StreamData] = field(default_factory=list)
    over: w.Over | None = None

    def tell(self, event: w.Event) -> list[w.Instruction]:
        steps = self.machine.handle(event, self.now)
        self.machine.validate()
        for step in steps:
            if isinstance(step, w.Transmit):
                self.out.append(step.body)
            elif isinstance(step, w.SayEnd):
                wire = None if step.error is None else error_to_wire(step.error)
                self.out.append(StreamEnd(ID, step.reason, self.machine.acting, wire, step.value))
            elif isinstance(step, w.Hand):
                self.got.append(step.frame)
            else:
                assert self.over is None, "it ended twice"
                self.over = step
        return steps

    def hear(self, body: Any) -> None:
        kinds: dict[type, Any] = {
            StreamData: w.DataCame, StreamCredit: w.CreditCame, StreamResume: w.ResumeCame, StreamEnd: w.EndCame,
        }  # fmt: skip
        if self.machine.state != "opening" or isinstance(body, StreamEnd):
            self.tell(kinds[type(body)](body))

    def pump(self) -> None:
        while self.machine.sendable:
            self.tell(w.Pull())

    def said(self) -> list[Any]:
        found = list(self.out)
        self.out.clear()
        return found


def pair(bounds: StreamBounds = WIDE, *, takes: bool = True, gives: bool = True) -> tuple[Side, Side]:
    """(opener, acting device), open; `takes` and `gives` as the device does."""
    opener = Side(StreamMachine(acting=False, takes=gives, gives=takes, now_ms=0))
    device = Side(StreamMachine(acting=True, takes=takes, gives=gives, now_ms=0, bounds=bounds))
    device.machine.sending.credited(FIRST_CREDIT)
    opener.tell(w.Answered(FIRST_CREDIT, bounds.duration_ms))
    return opener, device


def exchange(one: Side, other: Side) -> None:
    """Nothing is lost, until both are silent."""
    while True:
        one.pump()
        other.pump()
        if not (one.out or other.out):
            return
        for sender, receiver in ((one, other), (other, one)):
            for body in sender.said():
                receiver.hear(body)


# ------------------------------------------------------------------------------------------------ the whole of it


def test_bytes_flow_both_ways_and_the_end_comes_after_all_of_them() -> None:
    opener, device = pair()
    opener.tell(w.Write(b"up", True))
    opener.tell(w.CloseOutput())
    device.tell(w.Write(b"down", False))
    exchange(opener, device)
    while device.machine.readable:
        device.tell(w.Take())
    assert [frame.data for frame in device.got] == [b"up", b""]
    assert device.machine.input_over
    device.tell(w.Finish(b"value"))
    assert not device.machine.writable
    exchange(opener, device)
    assert opener.over == w.Over("done", None, b"value", True)
    assert device.over is not None
    assert device.over.reason == "done"
    # What had arrived can still be taken.
    while opener.machine.readable:
        opener.tell(w.Take())
    assert [frame.data for frame in opener.got] == [b"down", b""]
    assert opener.machine.input_over
    assert not opener.machine.writable
    assert opener.machine.story == ["opening+Answered->open", "open+EndCame->ended"]


def test_a_slow_consumer_stops_the_producer_and_nothing_is_sent_twice_for_it() -> None:
    opener, device = pair()
    while opener.machine.writable:
        opener.tell(w.Write(b"x", True))
        opener.pump()
        exchange(opener, device)
    # Twelve frames are with the device, twelve more wait here; no clock makes more of it.
    sent = opener.machine.sending.highest
    assert sent == STREAM_WINDOW_FRAMES
    for _ in range(50):
        opener.now += 1_000
        device.now += 1_000
        opener.tell(w.Tick())
        device.tell(w.Tick())
        frames = [body for body in opener.out if isinstance(body, StreamData)]
        assert frames == []
        exchange(opener, device)
    assert opener.machine.state == device.machine.state == "open"
    device.tell(w.Take())
    device.now += TELL_MS
    device.tell(w.Tick())
    exchange(opener, device)
    assert opener.machine.sending.highest == sent + 1


def test_a_window_of_large_pieces_is_bounded_in_bytes() -> None:
    opener, device = pair()
    piece = bytes(STREAM_FRAME_MAX)
    while opener.machine.writable:
        opener.tell(w.Write(piece, True))
    assert opener.machine.sending.offset == STREAM_WINDOW_BYTES
    exchange(opener, device)
    opener.tell(w.Write(piece, True))
    assert opener.tell(w.Pull()) == [], "the device has taken nothing"
    for _ in range(3):
        device.tell(w.Take())
    exchange(opener, device)
    assert opener.machine.sending.highest == 9


# ------------------------------------------------------------------------------------------------------- property

PIECES = st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=30)
FATES = st.lists(
    st.sampled_from(["pass", "pass", "pass", "lose", "double", "late", "cut"]), min_size=1, max_size=60
)


class BadLink:
    """Two ends and a link that loses, doubles, delays and cuts, as `fates` say, and is well after that."""

    def __init__(
        self, up: list[tuple[bytes, bool]], down: list[tuple[bytes, bool]], fates: list[str]
    ) -> None:
        self.opener, self.device = pair()
        self.left = {id(self.opener): deque(up), id(self.device): deque(down)}
        self.link: dict[int, list[Any]] = {id(self.opener): [], id(self.device): []}
        self.fates = iter(fates)
        self.finished = False

    def turn(self, number: int, pauses: int) -> None:
        for side, other in ((self.opener, self.device), (self.device, self.opener)):
            self.write(side)
            self.carry(side, other)
            if side.machine.readable and (number % 5 == 0 or (pauses >> (number % 31)) & 1):
                side.tell(w.Take())
            side.now += 25
            if side.machine.due_ms <= side.now:
                side.tell(w.Tick())
        device = self.device
        if device.machine.input_over and not self.left[id(device)] and not self.finished:
            self.finished = True
            device.tell(w.Finish(b"v"))
        if device.over is not None and not self.link[id(device)]:
            # The driver says an end again to whoever goes on; see `mesh.streams`.
            self.link[id(device)].append(StreamEnd(ID, device.over.reason, True, None, b"v"))

    def write(self, side: Side) -> None:
        pieces = self.left[id(side)]
        while pieces and side.machine.writable:
            side.tell(w.Write(*pieces.popleft()))
        if side is self.opener and not pieces and side.machine.state in ("open", "broken"):
            side.tell(w.CloseOutput())
        if side.machine.sendable:
            side.tell(w.Pull())

    def carry(self, side: Side, other: Side) -> None:
        waiting = self.link[id(side)]
        waiting += side.said()
        if not waiting:
            return
        fate, body = next(self.fates, "pass"), waiting.pop(0)
        if fate == "late":
            waiting.append(body)
        elif fate == "cut":
            side.tell(w.LinkDown())
            side.tell(w.LinkUp())
        for _ in range({"pass": 1, "double": 2}.get(fate, 0)):
            other.hear(body)


@settings(max_examples=40, deadline=None)
@given(PIECES, PIECES, FATES, st.integers(0, 2**31))
def test_whatever_the_link_does_every_byte_arrives_once_and_in_order(
    up: list[tuple[bytes, bool]], down: list[tuple[bytes, bool]], fates: list[str], pauses: int
) -> None:
    link = BadLink(up, down, fates)
    for number in range(4_000):
        link.turn(number, pauses)
        if link.opener.over is not None:
            break
    opener, device = link.opener, link.device
    assert opener.over is not None
    assert device.over is not None
    while opener.machine.readable:
        opener.tell(w.Take())
    assert opener.over.reason == device.over.reason == "done"
    for got, wanted in ((device.got, up), (opener.got, down)):
        assert [(frame.data, frame.last) for frame in got if not frame.final] == wanted
        assert [frame.sequence for frame in got] == list(range(len(wanted) + 1))


# --------------------------------------------------------------------------------------------------------- losses


def test_a_lost_frame_is_asked_for_at_once_and_not_again_and_again() -> None:
    opener, device = pair()
    for number in range(4):
        opener.tell(w.Write(bytes([number]), True))
    opener.pump()
    first, *others = opener.said()
    for body in others:
        device.hear(body)
    assert device.said() == [StreamResume(0)]
    device.now += GAP_MS
    device.hear(others[0])
    assert device.said() == [StreamResume(0)]
    opener.hear(StreamResume(0))
    opener.pump()
    again = [body for body in opener.said() if isinstance(body, StreamData)]
    assert again == [first, *others]
    for body in again:
        device.hear(body)
    assert device.machine.receiving.received == 4


def test_a_frame_that_nothing_follows_is_sent_again_with_longer_and_longer_pauses() -> None:
    opener, device = pair()
    opener.tell(w.Write(b"last", True))
    opener.pump()
    (frame,) = opener.said()
    times = []
    for _ in range(90):
        opener.now += 100
        opener.tell(w.CreditCame(StreamCredit(0, 12, STREAM_WINDOW_BYTES)))
        if opener.machine.due_ms <= opener.now:
            opener.tell(w.Tick())
        times += [opener.now for body in opener.said() if body == frame]
    assert times[:3] == [AGAIN_MS, AGAIN_MS + 1_000, AGAIN_MS + 3_000]
    assert times[-1] - times[-2] <= AGAIN_MAX_MS
    device.hear(frame)
    device.hear(frame)
    device.now += TELL_MS
    device.tell(w.Tick())
    granted = [body for body in device.said() if isinstance(body, StreamCredit)]
    assert [credit.received for credit in granted] == [1]
    opener.hear(granted[0])
    assert opener.machine.sending.arrived


def test_a_grant_that_was_lost_is_found_out_by_asking_whether_the_other_lives() -> None:
    opener, device = pair()
    for _ in range(STREAM_WINDOW_FRAMES):
        opener.tell(w.Write(b"x", True))
    exchange(opener, device)
    while device.machine.readable:
        device.tell(w.Take())
    device.said()
    opener.tell(w.Write(b"more", True))
    assert not opener.machine.sendable
    opener.now = device.now = PROBE_MS
    opener.tell(w.Tick())
    exchange(opener, device)
    assert device.machine.receiving.received == STREAM_WINDOW_FRAMES + 1


def test_a_broken_link_is_gone_on_from_where_it_was() -> None:
    opener, device = pair()
    for number in range(5):
        opener.tell(w.Write(bytes([number]), True))
    opener.pump()
    frames = opener.said()
    device.hear(frames[0])
    for side in (opener, device):
        side.tell(w.LinkDown())
        side.tell(w.LinkDown())
    opener.tell(w.Write(b"5", True))
    assert opener.tell(w.Pull()) == []
    assert not opener.machine.sendable
    opener.now = device.now = STREAM_RESUME_MS - 1
    opener.tell(w.Tick())
    device.tell(w.Tick())
    opener.tell(w.LinkUp())
    device.tell(w.LinkUp())
    exchange(opener, device)
    while device.machine.readable:
        device.tell(w.Take())
    assert b"".join(frame.data for frame in device.got) == b"\0\1\2\3\0045"


def test_reading_goes_on_while_the_link_is_broken_and_grants_nothing_into_it() -> None:
    opener, device = pair()
    for _ in range(STREAM_WINDOW_FRAMES):
        opener.tell(w.Write(b"x", True))
    exchange(opener, device)
    device.tell(w.LinkDown())
    while device.machine.readable:
        device.tell(w.Take())
    assert device.said() == []
    device.tell(w.LinkUp())
    assert StreamCredit(12, 24, 12 + STREAM_WINDOW_BYTES) in device.said()


# ----------------------------------------------------------------------------------------------------------- ends


def test_a_link_that_stays_broken_ends_both_ends() -> None:
    opener, device = pair()
    for side in (opener, device):
        side.tell(w.LinkDown())
        assert side.machine.due_ms == STREAM_RESUME_MS
        side.now = STREAM_RESUME_MS
        side.tell(w.Tick())
    assert device.over is not None
    assert isinstance(device.over.error, StreamBroken)
    assert opener.machine.state == "closing"
    opener.now += CLOSE_MS
    opener.tell(w.Tick())
    assert opener.over is not None
    assert (opener.over.reason, opener.over.confirmed) == ("broken", False)


def test_a_silent_end_is_asked_and_then_taken_for_gone() -> None:
    _, device = pair()
    asked = []
    while device.over is None:
        device.now = device.machine.due_ms
        device.tell(w.Tick())
        asked += [(device.now, body) for body in device.said() if isinstance(body, StreamResume)]
    assert [at for at, _ in asked] == [2_000, 4_000, 6_000, 8_000]
    assert device.over.reason == "broken"
    assert device.now == STREAM_RESUME_MS


def test_the_device_ends_it_when_its_time_is_over_also_over_a_broken_link() -> None:
    for broken in (False, True):
        _, device = pair(StreamBounds(500, 1_000))
        if broken:
            device.tell(w.LinkDown())
        assert device.machine.due_ms == 500
        device.now = 500
        device.tell(w.Tick())
        assert device.over is not None
        assert isinstance(device.over.error, DeadlineExceeded)


@pytest.mark.parametrize("way", ["in", "out"])
def test_the_device_counts_bytes_of_both_directions_and_lets_none_past_the_bound(way: str) -> None:
    opener, device = pair(StreamBounds(1_000_000, 10))
    opener.tell(w.Write(b"12345", True))
    exchange(opener, device)
    device.tell(w.Write(b"12345", True))
    exchange(opener, device)
    if way == "in":
        opener.tell(w.Write(b"!", True))
        opener.pump()
        for body in opener.said():
            device.hear(body)
    else:
        device.tell(w.Write(b"!", True))
    assert device.over is not None
    assert device.over.reason == "limit"
    assert device.machine.sending.offset + device.machine.receiving.offset == 10
    for body in device.said():
        opener.hear(body)
    assert opener.over is not None
    assert isinstance(opener.over.error, StreamLimit)


def test_what_opens_and_is_refused_or_not_answered_has_ended() -> None:
    opener = Side(StreamMachine(acting=False, takes=True, gives=True, now_ms=0))
    opener.tell(w.LinkUp())
    opener.tell(w.LinkDown())
    opener.tell(w.Refused(NoDeviceAble()))
    assert opener.over is not None
    assert isinstance(opener.over.error, NoDeviceAble)
    late = Side(StreamMachine(acting=False, takes=True, gives=True, now_ms=0))
    assert late.machine.due_ms == STREAM_OPEN_MS
    late.now = STREAM_OPEN_MS - 1
    assert late.tell(w.Tick()) == []
    late.now += 1
    late.tell(w.Tick())
    assert late.machine.state == "closing"
    late.tell(w.Refused(NoDeviceAble()))
    assert late.over is not None
    early = Side(StreamMachine(acting=False, takes=True, gives=True, now_ms=0))
    early.tell(w.EndCame(StreamEnd(ID, "stopped", True)))
    assert early.over is not None
    assert isinstance(early.over.error, StreamBroken)


def test_cancelling_waits_for_the_device_to_say_that_it_has_stopped() -> None:
    opener, device = pair()
    opener.tell(w.Abort("cancelled", Cancelled()))
    assert opener.machine.due_ms == CLOSE_AGAIN_MS
    opener.tell(w.Tick())
    assert len(opener.said()) == 1
    opener.now = CLOSE_AGAIN_MS
    opener.tell(w.Tick())
    (end,) = opener.said()
    device.hear(end)
    assert device.over is not None
    assert device.over.reason == "cancelled"
    (answer,) = device.said()
    opener.hear(answer)
    assert opener.over is not None
    assert (opener.over.reason, opener.over.confirmed) == ("cancelled", True)
    assert isinstance(opener.over.error, Cancelled)


def test_what_was_there_before_cancelling_can_still_be_taken() -> None:
    opener, device = pair()
    device.tell(w.Write(b"x", True))
    exchange(opener, device)
    opener.tell(w.Abort("cancelled", Cancelled()))
    opener.tell(w.Take())
    assert [frame.data for frame in opener.got] == [b"x"]


def test_the_device_may_end_it_and_the_opener_hears_why() -> None:
    opener, device = pair()
    device.tell(w.Abort("failed", NoDeviceAble("no microphone")))
    exchange(opener, device)
    assert opener.over is not None
    assert opener.over.error is not None
    assert (opener.over.reason, opener.over.error.message) == ("failed", "no microphone")


# ------------------------------------------------------------------------------------------------ the other cheats


def cheated(cheat: Any, *, takes: bool = True) -> KindmeshError:
    _, device = pair(takes=takes)
    device.tell(w.Write(b"x", True))
    device.pump()
    device.hear(cheat)
    assert device.over is not None
    assert device.over.reason == "broken"
    assert device.over.error is not None
    return device.over.error


@pytest.mark.parametrize(
    "cheat",
    [
        StreamData(STREAM_WINDOW_FRAMES, 0, b""),
        StreamData(0, STREAM_WINDOW_BYTES, b"x"),
        StreamData(0, 5, b"x"),
        StreamData(0, 0, b"x", True, True),
        StreamCredit(2, 12, 1_000),
        StreamResume(2),
    ],
    ids=str,
)
def test_an_end_that_breaks_the_rules_is_shown_the_door(cheat: Any) -> None:
    assert isinstance(cheated(cheat), Malformed)


def test_input_where_nothing_is_taken_is_refused_but_its_end_is_not() -> None:
    assert cheated(StreamData(0, 0, b"x"), takes=False).field == "direction"
    _, device = pair(takes=False)
    assert device.machine.input_over
    device.hear(StreamData(0, 0, b"", True, True))
    assert device.over is None


def test_nothing_comes_after_the_last_frame() -> None:
    _, device = pair()
    device.hear(StreamData(0, 0, b"", True, True))
    device.hear(StreamData(1, 0, b"more"))
    assert device.over is not None
    assert isinstance(device.over.error, Malformed)


def test_credit_never_falls_whatever_the_order_of_the_news() -> None:
    sending = Sending()
    sending.credited(StreamCredit(0, 5, 100))
    sending.credited(StreamCredit(0, 3, 200))
    for _ in range(5):
        sending.write(b"x" * 20, last=True)
        assert sending.due() is not None
        sending.sent()
    assert sending.due() is None
    assert sending.in_flight == 5
    assert sending.oldest.sequence == 0
    assert not sending.broken_rules()


def test_closing_twice_is_closing_once() -> None:
    sending = Sending()
    sending.close()
    sending.close()
    assert sending.written == 1
    assert not sending.writable


# ------------------------------------------------------------------------------------------------------ our own bugs


def test_events_that_the_table_does_not_have_are_a_bug_with_its_story() -> None:
    machine = StreamMachine(acting=False, takes=True, gives=True, now_ms=0)
    with pytest.raises(InvalidTransition):
        machine.handle(w.Finish(b""), 0)
    opener, _ = pair()
    for _ in range(STREAM_WINDOW_FRAMES):
        opener.tell(w.Write(b"", True))
    for event in (w.Write(b"", True), w.Take()):
        with pytest.raises(InvalidTransition) as caught:
            opener.machine.handle(event, 0)
        assert caught.value.story == ("opening+Answered->open",)


def test_a_late_event_after_the_end_is_nothing() -> None:
    _, device = pair()
    device.tell(w.Abort("failed", NoDeviceAble()))
    device.said()
    for event in (w.Tick(), w.Pull(), w.LinkUp(), w.LinkDown(), w.CloseOutput(), w.Finish(b""),
                  w.DataCame(StreamData(0, 0, b"")), w.Abort("failed", NoDeviceAble())):  # fmt: skip
        assert device.tell(event) == []
    assert device.machine.due_ms > 1 << 60


def test_the_story_is_bounded() -> None:
    opener, _ = pair()
    for _ in range(100):
        opener.tell(w.LinkDown())
        opener.tell(w.LinkUp())
    assert len(opener.machine.story) < 60


@pytest.mark.parametrize("name", ["base", "offset", "highest"])
def test_validate_finds_a_broken_rule_of_the_sender(name: str) -> None:
    opener, _ = pair(StreamBounds(1_000, 100))
    if name == "offset":
        opener = pair(StreamBounds(1_000, 100))[1]
    setattr(opener.machine.sending, name, 1_000)
    with pytest.raises(InternalError, match="breaks rules"):
        opener.machine.validate()


def test_validate_finds_a_broken_rule_of_the_receiver() -> None:
    opener, _ = pair()
    opener.machine.receiving.received = 99
    with pytest.raises(InternalError, match="receiving"):
        opener.machine.validate()
    assert Receiving().broken_rules() == []


def test_words_are_values() -> None:
    assert msgspec.structs.replace(w.Write(b"a", True), last=False) == w.Write(b"a", False)
    assert isinstance(PeerUnreachable(), KindmeshError)
