"""A circuit breaker for one thing that can fail: after failures in a row it is passed over for a while. Pure.

    closed --FAILURES failures in a row, within the window--> open (for a pause)
       `-----it says when to come back--> open (until then)
    open --the pause is over, something goes there--> half_open --it works--> closed
                                                         |--it fails--> open (for twice the pause, or as it says)
                                                         `--it ends without a verdict--> open (the next may try)

No pause is longer than PAUSE_MAX_MS. Success anywhere on the way closes the breaker. While one tries it out, others
pass. What must go there whatever was before (an emergency, a model asked for by name) changes nothing during a pause
unless it works. Whoever chooses asks `why_not`. Heart keeps one for each operation on each device, and whoever asks
language models one for each model; how long they wait is in their `Rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

FAILURES: Final = 3
PAUSE_MAX_MS: Final = 600_000

State: TypeAlias = Literal["closed", "open", "half_open"]
STATES: Final[tuple[State, ...]] = ("closed", "open", "half_open")


class Rules(msgspec.Struct, frozen=True):
    """How long the first pause is, and within what time failures add up (None: however far apart they are)."""

    pause_ms: int
    window_ms: int | None = None


class Begun(msgspec.Struct, frozen=True, gc=False):
    """Something was given to it."""


class Worked(msgspec.Struct, frozen=True, gc=False):
    """That ended well."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """That failed, by the thing's own fault, and why; `retry_ms`: when it says that it can be asked again, 0: it did
    not say."""

    why: str
    retry_ms: int = 0


class Released(msgspec.Struct, frozen=True, gc=False):
    """That is over; whether it worked was told before, or is not known."""


Event: TypeAlias = Begun | Worked | Failed | Released


class Opened(msgspec.Struct, frozen=True, gc=False):
    """News: it is passed over until then (ms)."""

    until_ms: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """News: it works again."""


Instruction: TypeAlias = Opened | Closed


class Breaker:
    """See the module; times are milliseconds of one clock."""

    __slots__ = ("failures", "first_ms", "pause_ms", "rules", "state", "until_ms", "why")

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state: State = "closed"
        self.failures = 0
        self.first_ms = 0
        self.pause_ms = 0
        self.until_ms = 0
        self.why = ""

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
            or self.pause_ms > PAUSE_MAX_MS
        ):
            raise InvalidTransition(f"{self.state} after {self.failures} failures, pause {self.pause_ms}")

    def why_not(self, now_ms: int) -> str:
        """Why nothing should go there now; empty when something may."""
        if self.state == "closed" or (self.state == "open" and now_ms >= self.until_ms):
            return ""
        said = f"failed {self.failures} times in a row" if self.failures > 1 else "failed"
        if self.state == "half_open":
            return f"{said} ({self.why}); it is just being tried again"
        return f"{said} ({self.why}); tried again in {max(1, (self.until_ms - now_ms) // 1000)} s"


def _begun_open(breaker: Breaker, event: Begun, now_ms: int) -> list[Instruction]:
    """Some things go there in any case; only the end of the pause makes one a probe."""
    if now_ms >= breaker.until_ms:
        breaker.state = "half_open"
    return []


def _worked(breaker: Breaker, event: Worked, now_ms: int) -> list[Instruction]:
    was_closed = breaker.state == "closed"
    breaker.state, breaker.failures, breaker.pause_ms, breaker.until_ms, breaker.why = "closed", 0, 0, 0, ""
    return [] if was_closed else [Closed()]


def _failed_closed(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    window_ms = breaker.rules.window_ms
    if not breaker.failures or (window_ms is not None and not 0 <= now_ms - breaker.first_ms <= window_ms):
        breaker.failures, breaker.first_ms = 0, now_ms
    _count(breaker, event)
    if breaker.failures < FAILURES and not event.retry_ms:
        return []
    return _open(breaker, event.retry_ms or breaker.rules.pause_ms, now_ms)


def _failed_open(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    """It was there before, or had to go there; the pause goes on."""
    _count(breaker, event)
    return []


def _failed_probe(breaker: Breaker, event: Failed, now_ms: int) -> list[Instruction]:
    _count(breaker, event)
    return _open(breaker, event.retry_ms or 2 * breaker.pause_ms, now_ms)


def _released_probe(breaker: Breaker, event: Released, now_ms: int) -> list[Instruction]:
    breaker.state = "open"
    return []


def _count(breaker: Breaker, event: Failed) -> None:
    breaker.failures += 1
    breaker.why = event.why


def _open(breaker: Breaker, pause_ms: int, now_ms: int) -> list[Instruction]:
    breaker.state, breaker.pause_ms = "open", min(pause_ms, PAUSE_MAX_MS)
    breaker.until_ms = now_ms + breaker.pause_ms
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
    "FAILURES", "PAUSE_MAX_MS", "STATES", "TABLE", "Begun", "Breaker", "Closed", "Event", "Failed", "Instruction",
    "Opened", "Released", "Rules", "State", "Worked",
]  # fmt: skip
