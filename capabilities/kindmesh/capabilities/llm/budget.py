"""The ledger of what language models cost, on the disk: drives `ledger_machine`.

A reservation is on the disk before the request is sent, and what it really cost before the answer is given, both safe
from a power cut. What was reserved when the process died stays so, and counts: nobody can know what was sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from kindmesh.capabilities.llm.config import NANOS, Budget
from kindmesh.capabilities.llm.ledger_machine import (
    Charge,
    Drop,
    Instruction,
    Keep,
    Ledger,
    Limits,
    Refused,
    Reserve,
    Settle,
)
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.store_schema import Migration, Schema
from kindmesh.protocol.errors import BudgetExceeded
from kindmesh.protocol.ids import new_id

FILE: Final = "budget.db"
SCHEMA: Final = Schema(
    "llm-budget",
    1,
    (
        Migration(
            1,
            (
                "CREATE TABLE charges (id BLOB PRIMARY KEY, run TEXT NOT NULL, model TEXT NOT NULL,"
                " day INTEGER NOT NULL, nanos INTEGER NOT NULL, settled INTEGER NOT NULL) WITHOUT ROWID",
                "CREATE INDEX charges_by_day ON charges (day)",
            ),
        ),
    ),
)


class Standing(msgspec.Struct, frozen=True):
    """How the budget stands, in nanos: spent and allowed in this month and on this day (UTC), what is reserved by
    requests that are under way or whose end was never heard of, and this month by model."""

    currency: str
    month_spent: int
    month_limit: int
    day_spent: int
    day_limit: int
    run_limit: int
    open_nanos: int
    open_charges: int
    by_model: dict[str, int]


class BudgetKeeper:
    """See the module. Use it from the thread that opened it."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._ledger = read_ledger(store)

    @classmethod
    def open(cls, folder: Path, clock: Clock | None = None, entropy: Entropy | None = None) -> BudgetKeeper:
        """The ledger in `folder`; made if it is not there.

        Raises:
            StoreError and its kinds.
        """
        store = Store.open(folder / FILE, SCHEMA)
        return cls(store, clock or SystemClock(), entropy or SystemEntropy())

    async def reserve(self, model: str, run: str, nanos: int, budget: Budget) -> bytes:
        """Set `nanos` aside; returns the charge's id once that is on the disk.

        Raises:
            BudgetExceeded: it would be more than is allowed; says of what, and how much is left.
            DiskFull, StoreError: it could not be written, so nothing may be sent.
        """
        now_ms = self._clock.now_ms()
        charge_id = new_id(now_ms, self._entropy.token(10))
        event = Reserve(charge_id, run, model, nanos, limits_of(budget))
        for instruction in self._ledger.handle(event, now_ms):
            if isinstance(instruction, Refused):
                raise _refused(instruction, nanos, budget.currency)
            self._write(instruction)
        await self._store.durable()
        return charge_id

    async def settle(self, charge_id: bytes, nanos: int) -> None:
        """What it really cost; on the disk when this returns.

        Raises:
            DiskFull, StoreError: the reservation stands in full.
        """
        for instruction in self._ledger.handle(Settle(charge_id, nanos), self._clock.now_ms()):
            self._write(instruction)
        await self._store.durable()

    def standing(self, budget: Budget) -> Standing:
        """See `Standing`."""
        return standing_of(self._ledger, budget, self._clock.now_ms())

    def close(self) -> None:
        """Let go of the file. Raises as `Store.close`."""
        self._store.close()

    def _write(self, instruction: Instruction) -> None:
        if isinstance(instruction, Keep):
            charge = instruction.charge
            self._store.execute(
                "INSERT OR REPLACE INTO charges VALUES (?, ?, ?, ?, ?, ?)",
                (charge.id, charge.run, charge.model, charge.day, charge.nanos, int(charge.settled)),
            )
        elif isinstance(instruction, Drop):
            self._store.execute("DELETE FROM charges WHERE day < ?", (instruction.before_day,))


def limits_of(budget: Budget) -> Limits:
    """The limits in nanos, what is not said filled in."""
    day = budget.month if budget.day is None else budget.day
    run = day if budget.run is None else budget.run
    return Limits(round(budget.month * NANOS), round(day * NANOS), round(run * NANOS))


def read_ledger(store: Store) -> Ledger:
    """The ledger as it stands in a store that is open for writing or for reading."""
    ledger = Ledger()
    rows = store.query("SELECT id, run, model, day, nanos, settled FROM charges")
    ledger.restore(Charge(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows)
    return ledger


def standing_of(ledger: Ledger, budget: Budget, now_ms: int) -> Standing:
    """How the budget stands at that time."""
    spent, limits = ledger.spent(now_ms), limits_of(budget)
    return Standing(
        budget.currency, spent.month, limits.month, spent.day, limits.day, limits.run, spent.open_nanos,
        spent.open_charges, ledger.by_model(now_ms),
    )  # fmt: skip


def _refused(refused: Refused, nanos: int, currency: str) -> BudgetExceeded:
    left, wanted = money(refused.left, currency), money(nanos, currency)
    return BudgetExceeded(
        f"this may cost up to {wanted}, and of what a {refused.limit} may cost {left} is left"
    )


def money(nanos: int, currency: str) -> str:
    """An amount for people, with as many digits as it takes to see it."""
    value = nanos / NANOS
    return f"{value:.2f} {currency}" if not nanos or value >= 0.1 else f"{value:.6f} {currency}"


__all__ = ["FILE", "SCHEMA", "BudgetKeeper", "Standing", "limits_of", "money", "read_ledger", "standing_of"]
