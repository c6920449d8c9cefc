"""What language models may cost, kept as a ledger of charges. Pure.

    Reserve --within every limit--> reserved --Settle--> settled (what it really cost, also when that is more)
       `--beyond one--> Refused         `--the process dies--> reserved still: counted in full until its month is over

Nothing is asked before its worst case is reserved, so that the sum of what was spent and of what may still be spent
never passes a limit because of requests that run at the same time. Limits are for a calendar month and a day (UTC)
and for one run; a limit that was lowered binds at once. Rules that always hold:
- a charge counts from `Reserve` on, with the reserved amount until it is settled, with the real one from then on;
- an amount is never negative, and a charge is settled once;
- a clock that was set back frees nothing: what was charged later counts as charged today.
Money is in nanos of the currency. Instructions are what has to be on the disk: `Keep` before the request is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, TypeVar

import msgspec

from kindmesh.protocol.errors import InvalidTransition

K = TypeVar("K", int, str)

DAY_MS: Final = 86_400_000
KEPT_MONTHS: Final = 12
"""How long settled charges are kept: this month and those before it."""
CHARGES_MAX: Final = 200_000
"""Charges that are remembered one by one; above it, the oldest months go."""


class Limits(msgspec.Struct, frozen=True):
    """The most that may be spent, in nanos."""

    month: int
    day: int
    run: int


class Charge(msgspec.Struct, frozen=True):
    """`nanos`: what counts, the reserved amount until `settled`. `day` is year, month and day as one number."""

    id: bytes
    run: str
    model: str
    day: int
    nanos: int
    settled: bool = False


class Reserve(msgspec.Struct, frozen=True):
    """A request is about to be made; `nanos` is the worst it can cost."""

    id: bytes
    run: str
    model: str
    nanos: int
    limits: Limits


class Settle(msgspec.Struct, frozen=True):
    """What it really cost."""

    id: bytes
    nanos: int


Event: TypeAlias = Reserve | Settle


class Keep(msgspec.Struct, frozen=True):
    """Write this charge down, in place of what was there under its id."""

    charge: Charge


class Refused(msgspec.Struct, frozen=True):
    """It would be too much: `limit` is `month`, `day` or `run`, of which `left` nanos may still be spent."""

    limit: str
    left: int


class Drop(msgspec.Struct, frozen=True):
    """Forget all charges from before this day."""

    before_day: int


Instruction: TypeAlias = Keep | Refused | Drop


class Spent(msgspec.Struct, frozen=True):
    """What counts now, in nanos; `open_charges` are reserved and not settled, with what they hold."""

    month: int
    day: int
    open_nanos: int
    open_charges: int


class Ledger:
    """See the module; times are UTC ms."""

    __slots__ = ("_charges", "_days", "_months", "_runs")

    def __init__(self) -> None:
        self._charges: dict[bytes, Charge] = {}
        self._days: dict[int, int] = {}
        self._months: dict[int, int] = {}
        self._runs: dict[str, int] = {}

    def restore(self, charges: Iterable[Charge]) -> None:
        """As it was before the process ended, the open ones included."""
        for charge in charges:
            self._put(charge)

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What follows from it.

        Raises:
            InvalidTransition: a charge that is there already, or is not open; nothing was changed.
        """
        state = "none" if (found := self._charges.get(event.id)) is None else _state(found)
        rule = TABLE.get((state, type(event)))
        if rule is None or event.nanos < 0:
            raise InvalidTransition(f"{type(event).__name__} of {event.nanos} while {state}")
        return rule(self, event, now_ms)

    def spent(self, now_ms: int) -> Spent:
        """What counts in this month and on this day."""
        day = day_of(now_ms)
        open_charges = [charge for charge in self._charges.values() if not charge.settled]
        return Spent(
            sum(nanos for month, nanos in self._months.items() if month >= day // 100),
            sum(nanos for one, nanos in self._days.items() if one >= day),
            sum(charge.nanos for charge in open_charges),
            len(open_charges),
        )

    def of_run(self, run: str) -> int:
        """What counts for a run; what is asked without a run is a run of its own."""
        return self._runs.get(run, 0) if run else 0

    def by_model(self, now_ms: int) -> dict[str, int]:
        """What this month's charges come to, by model."""
        month = day_of(now_ms) // 100
        found: dict[str, int] = {}
        for charge in self._charges.values():
            if charge.day // 100 >= month:
                found[charge.model] = found.get(charge.model, 0) + charge.nanos
        return found

    def validate(self) -> None:
        """Check what must hold between any two events.

        Raises:
            InvalidTransition: sums that are not those of the charges.
        """
        days: dict[int, int] = {}
        months: dict[int, int] = {}
        runs: dict[str, int] = {}
        for charge in self._charges.values():
            _add(days, charge.day, charge.nanos)
            _add(months, charge.day // 100, charge.nanos)
            _add(runs, charge.run, charge.nanos)
        if (days, months, runs) != (self._days, self._months, self._runs):
            raise InvalidTransition("the sums are not those of the charges")

    def _put(self, charge: Charge) -> None:
        before = self._charges.get(charge.id)
        for sign, one in ((-1, before), (1, charge)):
            if one is not None:
                _add(self._days, one.day, sign * one.nanos)
                _add(self._months, one.day // 100, sign * one.nanos)
                _add(self._runs, one.run, sign * one.nanos)
        self._charges[charge.id] = charge

    def _forget(self, before_day: int) -> None:
        for charge in [one for one in self._charges.values() if one.day < before_day]:
            _add(self._days, charge.day, -charge.nanos)
            _add(self._months, charge.day // 100, -charge.nanos)
            _add(self._runs, charge.run, -charge.nanos)
            del self._charges[charge.id]

    def _reserve(self, event: Reserve, now_ms: int) -> list[Instruction]:
        spent, limits = self.spent(now_ms), event.limits
        for name, used, most in (
            ("run", self.of_run(event.run), limits.run),
            ("day", spent.day, limits.day),
            ("month", spent.month, limits.month),
        ):
            if used + event.nanos > most:
                return [Refused(name, max(0, most - used))]
        charge = Charge(event.id, event.run, event.model, day_of(now_ms), event.nanos)
        self._put(charge)
        return [Keep(charge), *self._tidy(now_ms)]

    def _settle(self, event: Settle, now_ms: int) -> list[Instruction]:
        charge = msgspec.structs.replace(self._charges[event.id], nanos=event.nanos, settled=True)
        self._put(charge)
        return [Keep(charge)]

    def _tidy(self, now_ms: int) -> list[Instruction]:
        """What is older than any limit counts goes; sooner when there is too much of it, but never this month's."""
        month = day_of(now_ms) // 100
        oldest = _months_before(month, KEPT_MONTHS)
        if len(self._charges) > CHARGES_MAX:
            oldest = month
        if not any(one < oldest for one in self._months):
            return []
        self._forget(oldest * 100)
        return [Drop(oldest * 100)]


def _state(charge: Charge) -> str:
    return "settled" if charge.settled else "reserved"


def _add(sums: dict[K, int], key: K, nanos: int) -> None:
    """Sums that are nothing are not kept."""
    total = sums.get(key, 0) + nanos
    if total:
        sums[key] = total
    else:
        sums.pop(key, None)


def _months_before(month: int, count: int) -> int:
    """`month` (year and month as one number) less `count` months."""
    whole = month // 100 * 12 + month % 100 - 1 - count
    return whole // 12 * 100 + whole % 12 + 1


def day_of(now_ms: int) -> int:
    """The day (UTC) of a time in ms since 1970: year, month and day as one number, such as 20261127.

    Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days (days are counted from 0000-03-01).
    """
    days = now_ms // DAY_MS + 719_468
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year * 10_000 + month * 100 + day


TABLE: Final[dict[tuple[str, type], Callable[..., list[Instruction]]]] = {
    ("none", Reserve): Ledger._reserve,  # noqa: SLF001 - rules of the machine itself
    ("reserved", Settle): Ledger._settle,  # noqa: SLF001
}
"""The one table."""

__all__ = [
    "CHARGES_MAX", "KEPT_MONTHS", "TABLE", "Charge", "Drop", "Keep", "Ledger", "Limits", "Refused", "Reserve", "Settle",
    "Spent", "day_of",
]  # fmt: skip
