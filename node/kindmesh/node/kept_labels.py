"""What a capability was ever given to keep, as far as that matters: the strictest label, for each capability.

Before a job that does more than read begins, what Medulla's permit says of its arguments is joined to the label of its
capability, on the disk. With that label everything that the capability gives is signed (`receipts`), so a text of the
web that was noted, in whatever run, is read back as one. It never gets less strict by itself: nobody knows what a
capability still has of what it was given, but the owner, who may look and say so (`label_resets`). A permit that says
nothing counts as `model`; so does what was done before labels were kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from kindmesh.mesh.store import Store
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import Busy, KindmeshError
from kindmesh.protocol.plan_labels import Carried, Label, carry, join

LABEL_MAX: Final = 400
"""Bytes of a label; a longer one is kept as the strictest there is."""
UNKNOWN: Final = Carried("model")
STRICTEST: Final = Carried("web", readers=(), purpose=())
_OPEN: Final = Carried("user")

KEPT_LABEL_TABLES: Final = (
    "CREATE TABLE kept_label (capability TEXT PRIMARY KEY, label BLOB NOT NULL) WITHOUT ROWID",
    # ["model", ["*"], [], ["*"]]: of what was done before nobody knows where it came from.
    "INSERT INTO kept_label SELECT DISTINCT substr(operation, 1, instr(operation, '.') - 1),"
    " X'94A56D6F64656C91A12A9091A12A' FROM jobs",
)

LABEL_RESET_TABLES: Final = (
    "CREATE TABLE kept_label_reset (capability TEXT PRIMARY KEY, issued_ms INTEGER NOT NULL) WITHOUT ROWID",
)
"""`issued_ms`: when the owner signed the newest reset."""


class KeptLabels:
    """See the module; `store` has `KEPT_LABEL_TABLES` and `LABEL_RESET_TABLES`, every write joins its turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.query("SELECT capability, label FROM kept_label")
        self._labels = {capability: decode(Carried, label) for capability, label in rows}
        self._saved = dict(self._labels)
        resets = store.query("SELECT capability, issued_ms FROM kept_label_reset")
        self._resets = {str(capability): int(issued_ms) for capability, issued_ms in resets}

    def all(self) -> list[tuple[str, Carried, int]]:
        """Each capability that was given anything, its label, and when the owner signed its newest reset (UTC ms, 0:
        never); by name."""
        return [(name, self._labels[name], self._resets.get(name, 0)) for name in sorted(self._labels)]

    def carried(self, capability: str) -> Carried:
        """The label of a capability."""
        return self._labels.get(capability, _OPEN)

    def reset(self, capability: str, issued_ms: int, *, before_commit: Callable[[], object]) -> None:
        """What it has counts as its own again; who may know it, what for and of which kind it is, stays. On the disk
        when this returns, together with what `before_commit` writes.

        Raises:
            Busy: its label is just being written.
            DiskFull, StoreError: it could not be written; nothing changed.
        """
        if self._saved.get(capability) != self._labels.get(capability):
            raise Busy(f"what was put into {capability} is just being written", hint="Try again in a moment.")
        label = msgspec.structs.replace(self.carried(capability), source=_OPEN.source)
        self._store.execute("INSERT OR REPLACE INTO kept_label VALUES (?, ?)", (capability, encode(label)))
        self._store.execute("INSERT OR REPLACE INTO kept_label_reset VALUES (?, ?)", (capability, issued_ms))
        before_commit()
        self._store.commit_now(durable=True)
        self._labels[capability] = self._saved[capability] = label
        self._resets[capability] = issued_ms

    def of(self, operation: str) -> Label:
        """What the capability of an operation was given at worst."""
        return self._labels.get(_capability(operation), _OPEN).label()

    def given(self, operation: str, label: Carried | None) -> None:
        """The capability of this operation is given something; on the disk with this turn of the store. If that turn is
        undone, the next call writes it.

        Raises:
            DiskFull, StoreError: it could not be written.
        """
        capability = _capability(operation)
        before = self._labels.get(capability, _OPEN)
        after = carry(join((before.label(), (UNKNOWN if label is None else label).label())))
        if len(encode(after)) > LABEL_MAX:
            after = STRICTEST
        self._labels[capability] = after
        if after != self._saved.get(capability, _OPEN):
            sql = "INSERT OR REPLACE INTO kept_label VALUES (?, ?)"
            self._store.execute(sql, (capability, encode(after)))
            self._store.after_commit(partial(self._settled, capability, after))

    def _settled(self, capability: str, label: Carried, error: KindmeshError | None) -> None:
        if error is None:
            self._saved[capability] = label


def _capability(operation: str) -> str:
    return operation.partition(".")[0]


__all__ = ["KEPT_LABEL_TABLES", "LABEL_RESET_TABLES", "STRICTEST", "UNKNOWN", "KeptLabels"]
