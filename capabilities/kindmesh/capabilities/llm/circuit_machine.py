"""A circuit breaker for one model: after failures in a row it is passed over for a while. Pure.

    closed --FAILURES in a row--> open for PAUSE_MS --the pause is over, it is asked--> trying
       `--it says when to come back--> open until then           trying --it answers--> closed
                                                                 trying --it fails--> open for twice as long

No pause is longer than PAUSE_MAX_MS. Asked while closed changes nothing. What it answers badly is a failure as well:
a model that only ever produces what cannot be used is of no use. `why_not` is what the choice of models asks; while
one request tries it out, others pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

FAILURES: Final = 3
PAUSE_MS: Final = 20_000
PAUSE_MAX_MS: Final = 600_000

State: TypeAlias = Literal["closed", "open", "trying"]


class Asked(msgspec.Struct, frozen=True):
    """A request goes there."""


class Answered(msgspec.Struct, frozen=True):
    """It answered."""


class Failed(msgspec.Struct, frozen=True):
    """It did not, or badly; `retry_ms`: when it says that it can be asked again, 0: it did not say."""

    why: str
    retry_ms: int = 0


class GivenUp(msgspec.Struct, frozen=True):
    """The request ended without a verdict: whoever asked went away."""


Event: TypeAlias = Asked | Answered | Failed | GivenUp


class Opened(msgspec.Struct, frozen=True):
    """News: it is passed over until then (ms)."""

    until_ms: int
    why: str


class Closed(msgspec.Struct, frozen=True):
    """News: it answers again."""


Instruction: TypeAlias = Opened | Closed


class Circuit:
    """See the module; times are milliseconds of one clock that does not go back."""

    __slots__ = ("failures", "pause_ms", "state", "until_ms", "why")

    def __init__(self) -> None:
        self.state: State = "closed"
        self.failures = 0
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
            closed != (self.pause_ms == 0)
            or (closed and self.failures >= FAILURES)
            or self.pause_ms > PAUSE_MAX_MS
        ):
            raise InvalidTransition(f"{self.state} after {self.failures} failures, pause {self.pause_ms}")

    def why_not(self, now_ms: int) -> str:
        """Why it should not be asked now; empty when it may."""
        if self.state == "closed" or (self.state == "open" and now_ms >= self.until_ms):
            return ""
        if self.state == "trying":
            return f"it failed ({self.why}) and is just being tried again"
        return f"it failed ({self.why}); tried again in {max(1, (self.until_ms - now_ms) // 1000)} s"


def _nothing(circuit: Circuit, event: Event, now_ms: int) -> list[Instruction]:
    return []


def _try(circuit: Circuit, event: Event, now_ms: int) -> list[Instruction]:
    """Whoever asks for it by name asks it also before the pause is over; only after it is that a try."""
    if now_ms >= circuit.until_ms:
        circuit.state = "trying"
    return []


def _close(circuit: Circuit, event: Event, now_ms: int) -> list[Instruction]:
    news: list[Instruction] = [] if circuit.state == "closed" else [Closed()]
    circuit.state, circuit.failures, circuit.pause_ms, circuit.until_ms, circuit.why = "closed", 0, 0, 0, ""
    return news


def _count(circuit: Circuit, event: Failed, now_ms: int) -> list[Instruction]:
    circuit.failures += 1
    circuit.why = event.why
    if circuit.failures < FAILURES and not event.retry_ms:
        return []
    return _open(circuit, event.retry_ms or PAUSE_MS, now_ms)


def _still_open(circuit: Circuit, event: Failed, now_ms: int) -> list[Instruction]:
    circuit.failures += 1
    circuit.why = event.why
    return []


def _open_longer(circuit: Circuit, event: Failed, now_ms: int) -> list[Instruction]:
    circuit.failures += 1
    circuit.why = event.why
    return _open(circuit, event.retry_ms or 2 * circuit.pause_ms, now_ms)


def _not_tried(circuit: Circuit, event: Event, now_ms: int) -> list[Instruction]:
    circuit.state = "open"
    return []


def _open(circuit: Circuit, pause_ms: int, now_ms: int) -> list[Instruction]:
    circuit.state = "open"
    circuit.pause_ms = min(PAUSE_MAX_MS, pause_ms)
    circuit.until_ms = now_ms + circuit.pause_ms
    return [Opened(circuit.until_ms, circuit.why)]


TABLE: Final[dict[tuple[str, type], Callable[..., list[Instruction]]]] = {
    ("closed", Asked): _nothing,
    ("closed", Answered): _close,
    ("closed", Failed): _count,
    ("closed", GivenUp): _nothing,
    ("open", Asked): _try,
    ("open", Answered): _close,
    ("open", Failed): _still_open,
    ("open", GivenUp): _nothing,
    ("trying", Asked): _nothing,
    ("trying", Answered): _close,
    ("trying", Failed): _open_longer,
    ("trying", GivenUp): _not_tried,
}
"""The one table."""

__all__ = [
    "FAILURES", "PAUSE_MAX_MS", "PAUSE_MS", "TABLE", "Answered", "Asked", "Circuit", "Closed", "Failed", "GivenUp",
    "Opened",
]  # fmt: skip
