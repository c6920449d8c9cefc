"""A circuit breaker for one operation on one device: after failures in a row it is passed over for a while. Pure.

    closed --FAILURES failures in a row, within WINDOW_MS--> open (for a pause)
    open --the pause is over, a job goes there--> half_open --it works--> closed
                                                      |--it fails--> open (for twice the pause, at most PAUSE_MAX_MS)
                                                      `--it ends without a verdict--> open (the next job may try)

Only failures that are the device's own count (`FAULTS`): a bad value, a refusal, a busy device or a cancelled job say
nothing about it; and a full disk is told at once to whoever asks, until there is room again. Success anywhere on the
way closes the breaker. Whoever places jobs asks `why_not`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

FAILURES: Final = 3
WINDOW_MS: Final = 300_000
PAUSE_MS: Final = 30_000
PAUSE_MAX_MS: Final = 600_000
FAULTS: Final = frozenset(
    {
        "CAPABILITY_MISSING", "INTERNAL", "INSECURE_PERMISSIONS", "NO_AUDIO_DEVICE",
        "STORE", "STORE_DAMAGED", "DEADLINE_EXCEEDED",
    }
)  # fmt: skip
"""Codes of failures that lie with the device. A crash is not among them: the device counts its own, those that came
without the coordinator too, and quarantines what keeps crashing."""

State: TypeAlias = Literal["closed", "open", "half_open"]
STATES: Final[tuple[State, ...]] = ("closed", "open", "half_open")


class Begun(msgspec.Struct, frozen=True, gc=False):
    """A job was given to the device."""


class Worked(msgspec.Struct, frozen=True, gc=False):
    """A job ended well there."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A job failed there, by the device's own fault."""

    code: str


class Released(msgspec.Struct, frozen=True, gc=False):
    """A job left the device; whether it worked was told before, or is not known."""


Event: TypeAlias = Begun | Worked | Failed | Released


class Opened(msgspec.Struct, frozen=True, gc=False):
    """News: it is passed over until then (UTC ms)."""

    until_ms: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """News: it works again."""


Instruction: TypeAlias = Opened | Closed


class Breaker:
    """See the module; times are UTC ms."""

    __slots__ = ("code", "failures", "first_ms", "pause_ms", "state", "until_ms")

    def __init__(self) -> None:
        self.state: State = "closed"
        self.failures = 0
        self.first_ms = 0
        self.pause_ms = 0
        self.until_ms = 0
        self.code = ""

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What is news about it now.

        Raises:
            InvalidTransition: the table has no such pair; nothing was changed.
        """
        rule = TABLE.get((self.state, type(event)))
        if rule is None:
            raise InvalidTransition(f"{type(event).__name__} while {self.state}")
        return rule(self, event, now_ms)

    def validate(self) -> None:
        """Check what must hold between any two events.

        Raises:
            InvalidTransition: which rule is broken.
        """
        closed = self.state == "closed"
        if (
            self.state not in STATES
            or closed != (self.pause_ms == 0)
            or (closed and self.failures >= FAILURES)
        ):
            raise InvalidTransition(f"{self.state} after {self.failures} failures, pause {self.pause_ms}")

    def why_not(self, now_ms: int) -> str:
        """Why no job should go there now; empty when one may."""
        if self.state == "closed" or (self.state == "open" and now_ms >= self.until_ms):
            return ""
        said = f"failed {self.failures} times in a row ({self.code})"
        if self.state == "half_open":
            return f"{said}; it is just being tried again"
        return f"{said}; tried again in {max(1, (self.until_ms - now_ms) // 1000)} s"


def _begun_open(breaker: Breaker, event: Begun, now_ms: int) -> list[Instruction]:
    """An emergency goes there in any case; only the end of the pause makes it a probe."""
    if now_ms >= breaker.until_ms:
        breaker.state = "half_open"
    return []


def _worked(breaker: Breaker, event: Worked, now_ms: int) -> list[Instruction]:
    was_closed = breaker.state == "closed"
    breaker.state, breaker.failures, breaker.pause_ms, breaker.until_ms, breaker.code = "closed", 0, 0, 0, ""
    return [] if was_closed else [Closed()]


def _failed_closed(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    if not breaker.failures or not 0 <= now_ms - breaker.first_ms <= WINDOW_MS:
        breaker.failures, breaker.first_ms = 0, now_ms
    breaker.failures += 1
    breaker.code = event.code
    return _open(breaker, PAUSE_MS, now_ms) if breaker.failures >= FAILURES else []


def _failed_open(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    """A job that was there before, or an emergency; the pause goes on."""
    breaker.failures += 1
    breaker.code = event.code
    return []


def _failed_probe(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    breaker.failures += 1
    breaker.code = event.code
    return _open(breaker, min(2 * breaker.pause_ms, PAUSE_MAX_MS), now_ms)


def _released_probe(breaker: Breaker, event: Released, now_ms: int) -> list[Instruction]:
    breaker.state = "open"
    return []


def _open(breaker: Breaker, pause_ms: int, now_ms: int) -> list[Instruction]:
    breaker.state, breaker.pause_ms, breaker.until_ms = "open", pause_ms, now_ms + pause_ms
    return [Opened(breaker.until_ms)]


def _nothing(breaker: Breaker, event: Event, now_ms: int) -> list[Instruction]:
    return []


TABLE: Final[dict[tuple[str, type], Callable[..., list[Instruction]]]] = {
    ("closed", Begun): _nothing,
    ("closed", Worked): _worked,
    ("closed", Failed): _failed_closed,
    ("closed", Released): _nothing,
    ("open", Begun): _begun_open,
    ("open", Worked): _worked,
    ("open", Failed): _failed_open,
    ("open", Released): _nothing,
    ("half_open", Begun): _nothing,
    ("half_open", Worked): _worked,
    ("half_open", Failed): _failed_probe,
    ("half_open", Released): _released_probe,
}
"""The one table."""

__all__ = [
    "FAILURES", "FAULTS", "PAUSE_MAX_MS", "PAUSE_MS", "STATES", "TABLE", "WINDOW_MS", "Begun", "Breaker", "Closed",
    "Event", "Failed", "Instruction", "Opened", "Released", "State", "Worked",
]  # fmt: skip
