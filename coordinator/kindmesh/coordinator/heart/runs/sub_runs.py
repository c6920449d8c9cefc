"""Runs that a step of another run begins: started once for each attempt, bounded in number and depth, told upwards.

A sub-run asks for whoever asks for the run above, with the same proof; its permits chain to the permit of the latest
job that led to it, so it can do nothing that was not allowed up there. When it ends, the item it works for goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_journal import Asked, RunJournal, RunRow
from kindmesh.coordinator.heart.runs.run_words import (
    Attached,
    CancelRun,
    NotStarted,
    Spawn,
    Trouble,
    WorkEnded,
)
from kindmesh.coordinator.heart.runs.run_work import DISK_MS, Tell, doubts_below, trouble, work_key
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import Busy, KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.messages.jobs import Priority
from kindmesh.protocol.plan import plan_from_document, plan_to_bytes
from kindmesh.protocol.plan_check import check_inputs, check_plan
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed

SUBRUNS_OPEN_MAX: Final = 1_024
"""Beyond as many runs as there may be of the others."""


class Begin(Protocol):
    """Makes a run that was checked, writes it and tells its machine to begin."""

    def __call__(
        self,
        asked: Asked,
        key: str | None,
        priority: Priority,
        purpose: Purpose,
        *,
        until_ms: int,
        parent: tuple[bytes, str, int] = ...,
        depth: int = ...,
    ) -> Live:
        """Raises DiskFull, StoreError."""


class SubRuns:
    """See the module; `runs` are the open ones, by id; with `most` of them no other begins."""

    def __init__(
        self,
        heart: Heart,
        journal: RunJournal,
        runs: Mapping[bytes, Live],
        *,
        most: int,
        tell: Tell,
        begin: Begin,
    ) -> None:
        self._most = most
        self._heart = heart
        self._journal = journal
        self._open = runs
        self._tell = tell
        self._begin = begin

    def spawn(self, live: Live, wish: Spawn) -> None:
        """Start a sub-run, once for this key."""
        above = live.row
        key = work_key(above.run_id, wish.path, wish.attempt)
        try:
            known = self._journal.find_key(key)
            if known is None:
                if wish.known_only:
                    raise Busy("it had not begun when the run stopped")
                known = self._begin_below(live, wish, key).row
        except KindmeshError as error:
            again = DISK_MS if error.code in ("DISK_FULL", "STORE") else 0
            self._tell(above.run_id, NotStarted(wish.path, wish.attempt, trouble(error), again))
            return
        self._tell(above.run_id, Attached(wish.path, wish.attempt, known.run_id))
        if known.ended_ms:
            self.tell_above(known)

    def _begin_below(self, live: Live, wish: Spawn, key: str) -> Live:
        above = live.row
        if len(self._open) >= self._most:
            raise Busy(f"{len(self._open)} runs are open already")
        plan = plan_from_document(wish.plan)
        check_plan(plan, depth=above.depth + 1, emergency=above.priority == "emergency")
        given = encode_value(check_inputs(plan, wish.inputs))
        asked = Asked(
            plan_to_bytes(plan),
            given,
            live.asked.principal,
            live.asked.proof,
            self._parent_permit(live, wish.after),
            live.asked.sources,
            live.asked.heard,
            doubts_below(live.asked.doubts, wish.path),
        )
        return self._begin(
            asked, key, above.priority, above.purpose, until_ms=wish.deadline_ms,
            parent=(above.run_id, wish.path, wish.attempt), depth=above.depth + 1,
        )  # fmt: skip

    def _parent_permit(self, live: Live, after: tuple[bytes, ...]) -> Signed | None:
        """The permit of the latest job that led here; of a run in which nothing was permitted yet, its own parent's."""
        for job_id in after:
            try:
                permit = self._heart.read.row(job_id).now.permit
            except UnknownJob:
                continue
            if permit is not None:
                return permit
        return live.asked.permit

    def tell_above(self, row: RunRow) -> None:
        """A sub-run has ended: its item goes on. No parent: nobody waits."""
        parent, path, attempt = row.parent
        if not parent or row.end is None:
            return
        output, cause = None, None
        try:
            result = self._journal.result(row)
            output, cause = result.output, result.cause
        except KindmeshError as error:
            cause = trouble(error)
        why = cause or Trouble("JOB", f"the sub-run {row.end}")
        said = Trouble(why.code, f"sub-run {format_time_id(row.run_id)}: {why.message}", why.hint, why.field)
        value = None if output is None else output.value
        label = Label("device") if output is None else output.label
        self._tell(parent, WorkEnded(path, attempt, row.end, value, label, said))

    def cancel(self, run_id: bytes) -> None:
        """The run above stops: this one, too."""
        self._tell(run_id, CancelRun("the run that it belongs to"))


__all__ = ["SUBRUNS_OPEN_MAX", "Begin", "SubRuns"]
