"""What a capability was ever given to keep, as far as that matters: the strictest label, for each capability.

Before a job that does more than read begins, what Medulla's permit says of its arguments is joined to the label of its
capability, on the disk. With that label everything that the capability gives is signed (`receipts`), so a text of the
web that was noted, in whatever run, is read back as one. It never gets less strict: nobody knows what a capability
still has of what it was given. A permit that says nothing counts as `model`; so does what was done before labels were
kept.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from kindmesh.mesh.store import Store
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import KindmeshError
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


class KeptLabels:
    """See the module; `store` has `KEPT_LABEL_TABLES`, every write joins its turn."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.query("SELECT capability, label FROM kept_label")
        self._labels = {capability: decode(Carried, label) for capability, label in rows}
        self._saved = dict(self._labels)

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


__all__ = ["KEPT_LABEL_TABLES", "STRICTEST", "UNKNOWN", "KeptLabels"]
