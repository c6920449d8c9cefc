"""Restart intensity: what to do when a long-lived part of a process ends by itself. Pure.

    running --ended--> waiting --its pause is over--> running
                          `-- ended more than `INTENSITY` times within `WINDOW_MS` --> given up

A part that is meant to live as long as the process and ends is a failure, with or without an error. It is begun again
at once, then after pauses that double from `PAUSE_MS`; one that ran for `WINDOW_MS` starts afresh. When it is given up,
its process ends, so that whoever watches processes can begin it from a clean start: half a process is worse than none.
Times are milliseconds of any clock that does not jump.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

INTENSITY: Final = 5
WINDOW_MS: Final = 60_000
PAUSE_MS: Final = 500

State = Literal["running", "waiting", "given up"]


class Begun(msgspec.Struct, frozen=True):
    """The part runs (again)."""

    part: str


class Ended(msgspec.Struct, frozen=True):
    """The part ended by itself; `why` is the code of its error, or empty."""

    part: str
    why: str = ""


Event: TypeAlias = Begun | Ended


class Restart(msgspec.Struct, frozen=True):
    """Begin the part again after so long, then tell `Begun`."""

    part: str
    after_ms: int


class GiveUp(msgspec.Struct, frozen=True):
    """The part cannot be kept running: end the process."""

    part: str
    why: str


Instruction: TypeAlias = Restart | GiveUp


class _Part(msgspec.Struct):
    state: State
    ends: deque[int]
    whys: list[str]


class Restarts:
    """See the module."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def state(self, part: str) -> State:
        """How it is.

        Raises:
            KeyError: it was never begun.
        """
        return self._parts[part].state

    def ends(self) -> dict[str, int]:
        """How often each part ended within the last window, as of its last end."""
        return {name: len(part.ends) for name, part in self._parts.items() if part.ends}

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do about `event`.

        Raises:
            InvalidTransition: it does not run and ended, or runs and was begun; a bug of ours.
        """
        part = self._parts.get(event.part)
        match event, None if part is None else part.state:
            case Begun(name), None:
                self._parts[name] = _Part("running", deque(maxlen=INTENSITY), [])
                return []
            case Begun(), "waiting" if part is not None:
                part.state = "running"
                return []
            case Ended(name, why), "running" if part is not None:
                return self._ended(part, name, why, now_ms)
            case _:
                story = () if part is None else (part.state, *part.whys)
                raise InvalidTransition(f"{type(event).__name__} of {event.part}", story=story)

    def validate(self) -> None:
        """Check what must always hold.

        Raises:
            InvalidTransition: it does not.
        """
        for name, part in self._parts.items():
            if part.state != "running" and not part.ends:
                raise InvalidTransition(f"{name} is {part.state} and never ended")

    def _ended(self, part: _Part, name: str, why: str, now_ms: int) -> list[Instruction]:
        recent = [at_ms for at_ms in part.ends if now_ms - at_ms < WINDOW_MS]
        part.whys = [*part.whys[-INTENSITY:], why]
        part.ends = deque([*recent, now_ms], maxlen=INTENSITY + 1)
        if len(part.ends) > INTENSITY:
            part.state = "given up"
            return [GiveUp(name, why)]
        part.state = "waiting"
        return [Restart(name, PAUSE_MS << (len(recent) - 1) if recent else 0)]


__all__ = [
    "INTENSITY", "PAUSE_MS", "WINDOW_MS", "Begun", "Ended", "Event", "GiveUp", "Instruction", "Restart", "Restarts",
    "State",
]  # fmt: skip
