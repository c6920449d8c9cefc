"""Who is there: what one device believes about its peers, from their heartbeats and from silence. Pure.

    unknown --> alive <--> suspect --> dead --> alive          (a heartbeat always brings a device back)
        `-----------------------------> dead
    any state --> left --> alive                                (it said goodbye; only a newer heartbeat returns it)

- *unknown*: expected, never heard since this process began. *alive*: heard lately. *suspect*: silent for longer than
  `suspect_after_ms`, or its link broke; do not give it new work. *dead*: silent for `DEAD_MS`; its work moves.
- Heartbeats carry the peer's boot counter and a number; what is not newer than the last one is ignored, so that late
  copies cannot bring anybody back. A newer boot is announced even from alive to alive: what it was doing is gone.
- Other evidence: *spoke* (an authenticated message; it has no number, so it cannot undo a goodbye) and *link lost*.
- Only `Tick` judges silence, every `TICK_MS`; how it is measured is in `kindmesh.mesh.suspicion`.

Everything that comes in here was authenticated before. Every change is one `Announce`; nothing else comes out.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from kindmesh.mesh.suspicion import DEAD_MS, listened_ms, smoothed, suspect_after_ms
from kindmesh.protocol.errors import InvalidTransition

STORY: Final = 12
"""Changes that a peer's story goes back."""


class State(StrEnum):
    """What is believed about a peer."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


class Signal(StrEnum):
    """What may change a belief."""

    HEARD = "heard"
    SPOKE = "spoke"
    LINK_LOST = "link lost"
    QUIET = "quiet"
    GONE = "gone"
    GOODBYE = "goodbye"


TRANSITIONS: Final[dict[tuple[State, Signal], State]] = {
    (State.UNKNOWN, Signal.HEARD): State.ALIVE,
    (State.UNKNOWN, Signal.SPOKE): State.ALIVE,
    (State.UNKNOWN, Signal.LINK_LOST): State.UNKNOWN,
    (State.UNKNOWN, Signal.GONE): State.DEAD,
    (State.UNKNOWN, Signal.GOODBYE): State.LEFT,
    (State.ALIVE, Signal.HEARD): State.ALIVE,
    (State.ALIVE, Signal.SPOKE): State.ALIVE,
    (State.ALIVE, Signal.LINK_LOST): State.SUSPECT,
    (State.ALIVE, Signal.QUIET): State.SUSPECT,
    (State.ALIVE, Signal.GOODBYE): State.LEFT,
    (State.SUSPECT, Signal.HEARD): State.ALIVE,
    (State.SUSPECT, Signal.SPOKE): State.ALIVE,
    (State.SUSPECT, Signal.LINK_LOST): State.SUSPECT,
    (State.SUSPECT, Signal.GONE): State.DEAD,
    (State.SUSPECT, Signal.GOODBYE): State.LEFT,
    (State.DEAD, Signal.HEARD): State.ALIVE,
    (State.DEAD, Signal.SPOKE): State.ALIVE,
    (State.DEAD, Signal.LINK_LOST): State.DEAD,
    (State.DEAD, Signal.GOODBYE): State.LEFT,
    (State.LEFT, Signal.HEARD): State.ALIVE,
    (State.LEFT, Signal.SPOKE): State.LEFT,
    (State.LEFT, Signal.LINK_LOST): State.LEFT,
    (State.LEFT, Signal.GOODBYE): State.LEFT,
}
"""The whole machine. Silence is only judged where it means something: there is no (dead, quiet)."""


class HeartbeatSeen(msgspec.Struct, frozen=True):
    """A heartbeat of `peer` (device id): its boot counter and the number of the heartbeat since that boot."""

    peer: bytes
    boot: int
    seq: int


class Left(msgspec.Struct, frozen=True):
    """`peer` said goodbye; its goodbye is numbered like a heartbeat."""

    peer: bytes
    boot: int
    seq: int


class Spoke(msgspec.Struct, frozen=True):
    """`peer` sent something else that was authenticated and is no replay."""

    peer: bytes


class LinkLost(msgspec.Struct, frozen=True):
    """The link to `peer` broke."""

    peer: bytes


class Expected(msgspec.Struct, frozen=True):
    """`peer` is a member; watch for it. Nothing changes if it is watched already."""

    peer: bytes


class Forgotten(msgspec.Struct, frozen=True):
    """`peer` is no member any more."""

    peer: bytes


class Tick(msgspec.Struct, frozen=True):
    """Time passed."""


Event: TypeAlias = HeartbeatSeen | Left | Spoke | LinkLost | Expected | Forgotten | Tick


class Announce(msgspec.Struct, frozen=True):
    """`peer` is in `state` since `since_ms`; before, it was in `before`. `boot` is None if it was never heard."""

    peer: bytes
    state: State
    since_ms: int
    before: State
    boot: int | None


class Member(msgspec.Struct, frozen=True):
    """What is believed about a peer now; `silent_ms` is the time listened since it was last heard."""

    peer: bytes
    state: State
    since_ms: int
    silent_ms: int
    jitter_ms: int
    boot: int | None


class _Record(msgspec.Struct):
    since_ms: int
    heard: int
    beat: int
    state: State = State.UNKNOWN
    boot: int | None = None
    seq: int = -1
    jitter_ms: int = 0
    story: list[str] = msgspec.field(default_factory=list)


def next_state(state: State, signal: Signal, story: tuple[str, ...] = ()) -> State:
    """What the table says.

    Raises:
        InvalidTransition: nothing; carries `story`.
    """
    try:
        return TRANSITIONS[state, signal]
    except KeyError:
        raise InvalidTransition(
            f"nothing is said about a peer that is {state} and {signal}", story=story
        ) from None


class Membership:
    """The beliefs about all peers. Times are milliseconds of any one clock; jumps do no harm."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._listened = 0
        self._records: dict[bytes, _Record] = {}

    def handle(self, event: Event, now_ms: int) -> list[Announce]:
        """Take one event in; the changes that it makes, in the order of the peers' ids.

        Raises:
            InvalidTransition: a bug of ours.
        """
        self._listened += listened_ms(self._now_ms, now_ms)
        self._now_ms = now_ms
        match event:
            case Tick():
                return [change for peer in sorted(self._records) for change in self._judge(peer)]
            case HeartbeatSeen():
                return self._heard(event)
            case Left():
                return self._goodbye(event)
            case Expected(peer):
                self._record(peer)
                return []
            case Forgotten(peer):
                self._records.pop(peer, None)
                return []
            case Spoke(peer):
                self._record(peer).heard = self._listened
                return self._move(peer, Signal.SPOKE)
            case _:
                return self._link_lost(event)

    def state(self, peer: bytes) -> State:
        """What is believed about `peer`; unknown for one that nobody mentioned."""
        record = self._records.get(peer)
        return State.UNKNOWN if record is None else record.state

    def members(self) -> list[Member]:
        """Everybody, in the order of their ids."""
        return [
            Member(peer, r.state, r.since_ms, self._listened - r.heard, r.jitter_ms, r.boot)
            for peer, r in sorted(self._records.items())
        ]

    def story(self, peer: bytes) -> tuple[str, ...]:
        """The last changes of `peer`, oldest first."""
        record = self._records.get(peer)
        return () if record is None else tuple(record.story)

    def validate(self) -> None:
        """Check what must always hold.

        Raises:
            InvalidTransition: it does not.
        """
        for peer, record in self._records.items():
            heard_of = record.boot is not None or record.state is not State.LEFT
            if not (0 <= record.heard <= self._listened and record.jitter_ms >= 0 and heard_of):
                raise InvalidTransition(f"the record of {peer.hex()[:8]} is wrong", story=tuple(record.story))

    def _record(self, peer: bytes) -> _Record:
        record = self._records.get(peer)
        if record is None:
            record = self._records[peer] = _Record(self._now_ms, self._listened, self._listened)
        return record

    def _heard(self, event: HeartbeatSeen) -> list[Announce]:
        record = self._record(event.peer)
        boot = record.boot
        if boot is not None and (event.boot, event.seq) <= (boot, record.seq):
            return []
        if event.boot == boot and event.seq == record.seq + 1:
            record.jitter_ms = smoothed(record.jitter_ms, self._listened - record.beat)
        record.boot, record.seq = event.boot, event.seq
        record.heard = record.beat = self._listened
        return self._move(event.peer, Signal.HEARD, restarted=boot is not None and event.boot != boot)

    def _goodbye(self, event: Left) -> list[Announce]:
        record = self._record(event.peer)
        if record.boot is not None and (event.boot, event.seq) <= (record.boot, record.seq):
            return []
        record.boot, record.seq, record.heard = event.boot, event.seq, self._listened
        return self._move(event.peer, Signal.GOODBYE)

    def _link_lost(self, event: LinkLost) -> list[Announce]:
        self._record(event.peer)
        return self._move(event.peer, Signal.LINK_LOST)

    def _judge(self, peer: bytes) -> list[Announce]:
        record = self._records[peer]
        silence = self._listened - record.heard
        changes: list[Announce] = []
        if record.state is State.ALIVE and silence > suspect_after_ms(record.jitter_ms):
            changes += self._move(peer, Signal.QUIET)
        if record.state in {State.UNKNOWN, State.SUSPECT} and silence > DEAD_MS:
            changes += self._move(peer, Signal.GONE)
        return changes

    def _move(self, peer: bytes, signal: Signal, *, restarted: bool = False) -> list[Announce]:
        record = self._records[peer]
        before, state = record.state, next_state(record.state, signal, tuple(record.story))
        if state is before and not restarted:
            return []
        record.state, record.since_ms = state, self._now_ms
        record.story.append(f"{self._now_ms}: {before} -> {state} ({signal})")
        del record.story[:-STORY]
        return [Announce(peer, state, self._now_ms, before, record.boot)]


__all__ = [
    "STORY",
    "TRANSITIONS",
    "Announce",
    "Event",
    "Expected",
    "Forgotten",
    "HeartbeatSeen",
    "Left",
    "LinkLost",
    "Member",
    "Membership",
    "Signal",
    "Spoke",
    "State",
    "Tick",
    "next_state",
]
