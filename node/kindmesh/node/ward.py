"""The quarantine of a device's capabilities: drives `quarantine_machine`, keeps it over restarts, and tells.

What cannot be written (a full disk) holds in memory all the same, and is written with the next change; a device that
forgot over a restart that a capability kept crashing only has to see it crash a few times again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from kindmesh.mesh.store import Store
from kindmesh.node.quarantine_machine import (
    PROBES,
    Changed,
    Drop,
    Event,
    Failed,
    Heal,
    Quarantine,
    Record,
    Save,
    State,
    Succeeded,
    Tick,
)
from kindmesh.protocol.errors import InvalidInput, KindmeshError

log = logging.getLogger("kindmesh.node.ward")

QUARANTINE_TABLE: Final = (
    "CREATE TABLE quarantine (capability TEXT PRIMARY KEY, state TEXT NOT NULL, strikes INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID"
)
OnChanged = Callable[[Changed], None]


class Ward:
    """See the module. `store` None: nothing is kept. `now_ms` is this device's time (UTC)."""

    def __init__(self, store: Store | None, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._machine = Quarantine()
        self.on_change: list[OnChanged] = []
        if store is not None:
            self._machine.restore(
                Record(*row)
                for row in store.query(
                    "SELECT capability, state, strikes, since_ms, until_ms, why FROM quarantine"
                )
            )

    def state(self, capability: str) -> State:
        """well, quarantined or probing."""
        return self._machine.state(capability)

    def records(self) -> list[Record]:
        """Those that are not well."""
        return self._machine.records()

    def failed(self, capability: str, why: str) -> None:
        """It failed by itself."""
        self._do(Failed(capability, why))

    def succeeded(self, capability: str) -> None:
        """It did what it was asked for."""
        if self._machine.state(capability) == "probing":
            self._do(Succeeded(capability))

    def tick(self) -> None:
        """Once a heartbeat."""
        self._do(Tick())

    def heal(self, capability: str) -> Record:
        """A person lets it go on; returns how it was.

        Raises:
            InvalidInput: it does not rest.
        """
        before = self._machine.find(capability)
        if before is None:
            resting = ", ".join(record.capability for record in self.records())
            hint = f"Resting now: {resting}." if resting else "None rests on this device."
            raise InvalidInput(f"{capability[:64]!r} does not rest", field="capability", hint=hint)
        self._do(Heal(capability))
        return before

    def hint(self, capability: str) -> str:
        """What a person should know of one that is not well; empty for one that is."""
        record = self._machine.find(capability)
        if record is None:
            return ""
        last = f" Last: {record.why.rstrip('.')}." if record.why else ""
        if record.state == "probing":
            return f"It kept failing and is on trial: after {PROBES} jobs that end well it is trusted again.{last}"
        left_s = max(1, -(-(record.until_ms - self._now_ms()) // 1000))
        wait = f"{left_s} s" if left_s < 120 else f"{left_s // 60} min"
        return f"It kept failing and rests for {wait}; kindmesh heal {capability} lets it go on now.{last}"

    def _do(self, event: Event) -> None:
        for step in self._machine.handle(event, self._now_ms()):
            match step:
                case Save(record):
                    self._write(
                        "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?)",
                        (record.capability, record.state, record.strikes, record.since_ms, record.until_ms,
                         record.why),
                    )  # fmt: skip
                case Drop(capability):
                    self._write("DELETE FROM quarantine WHERE capability = ?", (capability,))
                case Changed():
                    log.warning("capability", extra={"capability": step.capability, "state": step.state})
                    for told in self.on_change:
                        told(step)

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        if self._store is None:
            return
        try:
            self._store.execute(sql, values)
        except KindmeshError as error:
            log.error("a quarantine is not on the disk", extra={"code": error.code})


__all__ = ["QUARANTINE_TABLE", "OnChanged", "Ward"]
