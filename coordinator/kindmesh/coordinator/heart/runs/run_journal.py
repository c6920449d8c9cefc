"""The journal of runs: one row for each run, one for each item that has begun, over `kindmesh.mesh.store`.

The items *are* the checkpoint: a run goes on from its rows, nothing else is needed. The plan, what it is given, outputs
and reasons are sealed with the key of the run, as its jobs are (`kindmesh.mesh.vault`): forgetting the run forgets all
of it, its memos too. In the clear are names of steps, states, times and whose run it is. Every write joins the turn;
whoever writes waits for its commit before acting.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.runs.run_words import Item, ItemState, RunEnd, RunState, Trouble
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.limits import PLAN_WAIT_MAX_MS, RUN_DATA_MAX
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.plan_labels import Traced
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import Heard

MEMOS_MAX: Final = 4_096
"""Outputs that are remembered at once; the oldest go first."""
_ASKED, _RESULT, _MEMO = b"run", b"run-result", b"memo"
_LIMIT: Final = 4 * RUN_DATA_MAX
_COLUMNS: Final = (
    "run_id, key, digest, principal, priority, purpose, depth, parent, parent_path, parent_attempt, begun_ms,"
    " until_ms, ended_ms, state, ending, place, asked, result"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM run "  # noqa: S608 - a constant
_ITEM: Final = (
    "INSERT OR REPLACE INTO run_item (run_id, path, step, state, begun_ms, attempt, ref, due_ms, until_ms, ended_ms,"
    " number, iterations, contents) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """What a run is made of, sealed: the plan in canonical form, its checked inputs (canonical MessagePack), who asks
    with which proof, of a sub-run the permit that its own chain to, who has the files it is given, and the utterance
    that it came from, with what proves its words; `doubts`: what was said ahead against which step (`outer.inner` in a
    plan inside)."""

    plan: bytes
    inputs: bytes
    principal: Principal
    proof: Signed | None = None
    permit: Signed | None = None
    sources: tuple[ArtifactInfo, ...] = ()
    heard: Heard | None = None
    doubts: dict[str, tuple[str, ...]] = {}


class RunRow(msgspec.Struct, frozen=True):
    """A run as the journal has it, still sealed. `parent`: run id, path and attempt of the item that it works for."""

    run_id: bytes
    key: str | None
    digest: bytes
    principal: str
    priority: Priority
    purpose: Purpose
    depth: int
    parent: tuple[bytes, str, int]
    begun_ms: int
    until_ms: int
    ended_ms: int
    state: RunState
    end: RunEnd | None
    where: str
    asked: bytes
    result: bytes | None


class Standing(msgspec.Struct, frozen=True):
    """How a run stands: `end` how it will end, once that is known, `where` at which item that was decided; `ended_ms` 0
    while it is open."""

    state: RunState
    end: RunEnd | None
    where: str
    ended_ms: int


class Result(msgspec.Struct, array_like=True, frozen=True):
    """What came of a run, sealed."""

    output: Traced | None
    cause: Trouble | None


class _Contents(msgspec.Struct, array_like=True, frozen=True):
    output: Traced | None
    given: Traced | None
    trouble: Trouble | None


class RunJournal:
    """See the module."""

    def __init__(self, store: Store, vault: RunVault) -> None:
        self.store = store
        self._vault = vault

    def begin(self, row: RunRow, asked: Asked) -> RunRow:
        """A new run.

        Raises:
            StoreConflict: its key is taken.
            DiskFull, StoreError: nothing was written.
        """
        sealed = self._vault.seal(row.run_id, encode(asked), _ASKED)
        self.store.execute(
            f"INSERT INTO run ({_COLUMNS}) VALUES ({', '.join('?' * 18)})",  # noqa: S608 - constants
            (
                row.run_id, row.key, row.digest, row.principal, row.priority, row.purpose, row.depth, *row.parent,
                row.begun_ms, row.until_ms, 0, row.state, "", "", sealed, None,
            ),
        )  # fmt: skip
        return msgspec.structs.replace(row, asked=sealed)

    def save(self, run_id: bytes, now: Standing, result: Result) -> None:
        """How a run stands."""
        sealed = self._vault.seal(run_id, encode(result), _RESULT)
        self.store.execute(
            "UPDATE run SET state = ?, ending = ?, place = ?, result = ?, ended_ms = ?"
            " WHERE run_id = ? AND ended_ms = 0",
            (now.state, now.end or "", now.where, sealed, now.ended_ms, run_id),
        )

    def save_item(self, run_id: bytes, item: Item) -> None:
        """How an item stands."""
        contents = encode(_Contents(item.output, item.given, item.trouble))
        sealed = self._vault.seal(run_id, contents, b"item:" + item.path.encode())
        self.store.execute(
            _ITEM,
            (
                run_id, item.path, item.step, item.state, item.begun_ms, item.attempt, item.ref, item.due_ms,
                item.until_ms, item.ended_ms, item.number, item.iterations, sealed,
            ),
        )  # fmt: skip

    def load(self, run_id: bytes) -> RunRow | None:
        """One run."""
        return self._one("WHERE run_id = ?", run_id)

    def find_key(self, key: str) -> RunRow | None:
        """The run that was started with this key."""
        return self._one("WHERE key = ?", key)

    def _one(self, where: str, value: Any) -> RunRow | None:
        found = self.store.query_one(_SELECT + where, (value,))
        return None if found is None else _row(found)

    def open_runs(self) -> list[RunRow]:
        """All that have not ended, parents before their sub-runs."""
        return [_row(found) for found in self.store.query(f"{_SELECT} WHERE ended_ms = 0 ORDER BY seq")]

    def recent(self, limit: int, principal: str = "") -> list[RunRow]:
        """The newest first, without sub-runs; only those of a principal, and of what acts for it, if given."""
        terms = "AND (principal = ? OR principal LIKE ?)" if principal else ""
        values = (principal, f"% for {principal}") if principal else ()
        sql = f"{_SELECT} WHERE parent = X'' {terms} ORDER BY seq DESC LIMIT ?"
        return [_row(found) for found in self.store.query(sql, (*values, limit))]

    def between(self, first: bytes, last: bytes, limit: int) -> list[RunRow]:
        """Runs with ids in that range."""
        sql = f"{_SELECT} WHERE run_id BETWEEN ? AND ? ORDER BY run_id LIMIT ?"
        return [_row(found) for found in self.store.query(sql, (first, last, limit))]

    def asked(self, row: RunRow) -> Asked:
        """What the run is made of.

        Raises:
            Forgotten: the run's key was deleted.
            BadSeal, Malformed: the row was changed by somebody.
        """
        return decode(Asked, self._vault.unseal(row.run_id, row.asked, _ASKED), limit=_LIMIT)

    def result(self, row: RunRow) -> Result:
        """What came of the run until now; raises as `asked`."""
        if row.result is None:
            return Result(None, None)
        return decode(Result, self._vault.unseal(row.run_id, row.result, _RESULT), limit=_LIMIT)

    def items(self, run_id: bytes) -> list[Item]:
        """What has begun, in the order of beginning; raises as `asked`."""
        sql = (
            "SELECT path, step, state, begun_ms, attempt, ref, due_ms, until_ms, ended_ms, number, iterations, contents"
            " FROM run_item WHERE run_id = ? ORDER BY begun_ms, path"
        )
        return [self._item(run_id, found) for found in self.store.query(sql, (run_id,))]

    def _item(self, run_id: bytes, found: tuple[Any, ...]) -> Item:
        path, step, state, begun_ms, attempt, ref, due_ms, until_ms, ended_ms, number, iterations, sealed = (
            found
        )
        opened = self._vault.unseal(run_id, sealed, b"item:" + path.encode())
        contents = decode(_Contents, opened, limit=_LIMIT)
        known: ItemState = state
        return Item(
            path, step, known, begun_ms, attempt, ref, due_ms, until_ms, ended_ms, number, iterations,
            contents.output, contents.given, contents.trouble,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------------- memos

    def recall(self, memo: bytes, oldest_ms: int) -> Traced | None:
        """The output that is remembered under `memo`, if it is not older and its run was not forgotten."""
        found = self.store.query_one("SELECT run_id, made_ms, contents FROM run_memo WHERE memo = ?", (memo,))
        if found is None or found[1] < oldest_ms:
            return None
        run_id, _, sealed = found
        if self.store.query_one("SELECT 1 FROM run_key WHERE run = ?", (run_id,)) is None:
            return None
        return decode(Traced, self._vault.unseal(run_id, sealed, _MEMO + memo), limit=_LIMIT)

    def memorise(self, memo: bytes, run_id: bytes, output: Traced, now_ms: int) -> None:
        """Remember an output; what is too old for any plan, and the oldest beyond `MEMOS_MAX`, is forgotten."""
        sealed = self._vault.seal(run_id, encode(output), _MEMO + memo)
        self.store.execute(
            "INSERT OR REPLACE INTO run_memo (memo, run_id, made_ms, contents) VALUES (?, ?, ?, ?)",
            (memo, run_id, now_ms, sealed),
        )
        self.store.execute("DELETE FROM run_memo WHERE made_ms < ?", (now_ms - PLAN_WAIT_MAX_MS,))
        self.store.execute(
            "DELETE FROM run_memo WHERE memo IN (SELECT memo FROM run_memo ORDER BY made_ms DESC LIMIT -1 OFFSET ?)",
            (MEMOS_MAX,),
        )

    def remove_old(self, before_ms: int) -> int:
        """Remove the oldest run that ended before then, if no job of it is left; how many were removed (0 or 1)."""
        found = self.store.query_one(
            "SELECT run_id FROM run WHERE ended_ms > 0 AND ended_ms < ?"
            " AND NOT EXISTS (SELECT 1 FROM job WHERE job.run_id = run.run_id AND job.run_id != job.job_id)"
            " ORDER BY ended_ms LIMIT 1",
            (before_ms,),
        )
        if found is None:
            return 0
        with self.store.atomic():
            self.store.execute("DELETE FROM run_item WHERE run_id = ?", found)
            self.store.execute("DELETE FROM run_memo WHERE run_id = ?", found)
            self.store.execute("DELETE FROM run WHERE run_id = ?", found)
            self._vault.forget(found[0])
        return 1

    def forget(self, run_id: bytes) -> bool:
        """Make a run, its sub-runs, its jobs and its memos unreadable; False when there was no such run."""
        for (below,) in self.store.query("SELECT run_id FROM run WHERE parent = ?", (run_id,)):
            self.forget(below)
        self.store.execute("DELETE FROM run_memo WHERE run_id = ?", (run_id,))
        return self._vault.forget(run_id)


def memo_id(principal: Principal, operation: str, key: Any) -> bytes:
    """Under what an output is remembered: one household's principals do not see each other's."""
    return sha256(b"kindmesh-memo-v1\0" + encode_value([principal_text(principal), operation, key]))


def _row(found: tuple[Any, ...]) -> RunRow:
    (run_id, key, digest, principal, priority, purpose, depth, parent, parent_path, parent_attempt, begun_ms, until_ms,
     ended_ms, state, end, where, asked, result) = found  # fmt: skip
    return RunRow(
        run_id, key, digest, principal, priority, purpose, depth, (parent, parent_path, parent_attempt), begun_ms,
        until_ms, ended_ms, state, end or None, where, asked, result,
    )  # fmt: skip


__all__ = ["MEMOS_MAX", "Asked", "Result", "RunJournal", "RunRow", "Standing", "memo_id"]
