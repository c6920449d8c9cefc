"""Bounds that the owner sets beside the rules of a policy: what words settle, quiet hours, spending, rates, egress.

`words`: patterns of operations for which the proven words of the person who asks are enough, where a rule would ask;
`present`: the same, but only while that person is at home. `quiet`: hours in which effects ask, emergencies excepted.
`rates`: how often within a time. `spend_plan` and `spend_day`: what may be spent without a question, in the currency of
the household; 0: nothing. `egress`: hosts or domains that data may be sent to; empty: wherever words name it. `zone`:
the IANA time zone in which these hours are meant; empty: that of the machine that judges. All of it is part of the
signed policy.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.bounds import DurationMs, Effects, Word
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.roles import PATTERN, matches

DAY_MINUTES: Final = 1_440
GUARDS_MAX: Final = 200
ZONE_MAX: Final = 64
"""Characters of the name of a time zone."""
ANYTHING: Final = int(sum(Effect))

_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")

Minute = Annotated[int, Meta(ge=0, le=DAY_MINUTES - 1)]
Money = Annotated[float, Meta(ge=0, le=1e9)]
Patterns = Annotated[tuple[Word, ...], Meta(max_length=GUARDS_MAX)]


class Quiet(msgspec.Struct, array_like=True, frozen=True):
    """From minute to minute of the household's day (past midnight when `until` is earlier); `effects` that ask then."""

    since: Minute
    until: Minute
    effects: Effects
    operation: Word = "*"

    def covers(self, minute: int) -> bool:
        """Whether that minute of the day lies within."""
        if self.since <= self.until:
            return self.since <= minute < self.until
        return minute >= self.since or minute < self.until


class Rate(msgspec.Struct, array_like=True, frozen=True):
    """At most `count` times within `per_ms` without a question, for operations that match."""

    operation: Word
    count: Annotated[int, Meta(ge=1, le=100_000)]
    per_ms: DurationMs


class Guards(msgspec.Struct, array_like=True, frozen=True):
    """See the module. The default settles nothing and bounds nothing but spending."""

    words: Patterns = ()
    present: Patterns = ()
    quiet: Annotated[tuple[Quiet, ...], Meta(max_length=GUARDS_MAX)] = ()
    rates: Annotated[tuple[Rate, ...], Meta(max_length=GUARDS_MAX)] = ()
    spend_plan: Money = 0.0
    spend_day: Money = 0.0
    egress: Patterns = ()
    zone: Annotated[str, Meta(max_length=ZONE_MAX)] = ""


FIRST_GUARDS: Final = Guards(words=("home.control", "home.note"), present=("home.access",))
"""With what a household starts."""


def settled_by_words(guards: Guards, operation: str, present: bool) -> bool:
    """Whether the proven words of who asks are enough for that operation."""
    if any(matches(pattern, operation) for pattern in guards.words):
        return True
    return present and any(matches(pattern, operation) for pattern in guards.present)


def check_guards(guards: Guards) -> None:
    """Refuse bounds that could not mean anything.

    Raises:
        InvalidInput: names the word.
    """
    patterns = [("words", one) for one in guards.words] + [("present", one) for one in guards.present]
    patterns += [("quiet", one.operation) for one in guards.quiet]
    patterns += [("rate", one.operation) for one in guards.rates]
    for field, pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise InvalidInput(
                f"{pattern[:40]!r} is no operation",
                field=field,
                hint="Write capability.operation, capability.* or *.",
            )
    if guards.zone and not _ZONE.fullmatch(guards.zone):
        raise InvalidInput(
            f"{guards.zone[:40]!r} is no time zone",
            field="zone",
            hint="Write region/city, like Europe/Berlin.",
        )
    for quiet in guards.quiet:
        if not 0 < quiet.effects <= ANYTHING or quiet.since == quiet.until:
            raise InvalidInput(
                "quiet hours need two different times and some effects",
                field="quiet",
                hint='Like from = "22:00", to = "07:00", effects = ["notify", "move"].',
            )


__all__ = [
    "DAY_MINUTES", "FIRST_GUARDS", "GUARDS_MAX", "ZONE_MAX", "Guards", "Quiet", "Rate", "check_guards",
    "settled_by_words",
]  # fmt: skip
