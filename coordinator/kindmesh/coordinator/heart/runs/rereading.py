"""Runs read from the journal: at the start, and anew when the disk failed and what memory believes is not so.

    fails --repair--> broken (tells its machine nothing) --a second later--> read: goes on | has ended | cannot be read
                                                    ^---- the disk cannot be read or written yet ----'

Whoever waits for a run keeps waiting over that, and is told in the end, whatever it is. A run whose contents are gone
or damaged ends visibly, as failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_journal import Result, RunJournal, RunRow, Standing
from kindmesh.coordinator.heart.runs.run_words import Resumed
from kindmesh.coordinator.heart.runs.run_work import Tell, trouble
from kindmesh.mesh.clock import Clock
from kindmesh.mesh.store import Store
from kindmesh.protocol.errors import KindmeshError

log = logging.getLogger("kindmesh.coordinator.runs")

REPAIR_S: Final = 1.0


class Rereading:
    """See the module. `runs` are the open ones, by id, and are kept here; `drop` forgets what the clock had for one;
    `over` is told of a run that turns out to have ended."""

    def __init__(
        self,
        journal: RunJournal,
        store: Store,
        clock: Clock,
        runs: dict[bytes, Live],
        *,
        tell: Tell,
        drop: Callable[[bytes], None],
        over: Callable[[Live, RunRow], None],
    ) -> None:
        self._journal = journal
        self._store = store
        self._clock = clock
        self._open = runs
        self._tell = tell
        self._drop = drop
        self._over = over
        self._repairs: dict[bytes, asyncio.TimerHandle] = {}
        self._closed = False

    @property
    def due(self) -> bool:
        """Whether some run is about to be read anew."""
        return bool(self._repairs)

    def close(self) -> None:
        """Read nothing any more."""
        self._closed = True
        for handle in self._repairs.values():
            handle.cancel()
        self._repairs.clear()

    def load(self, row: RunRow) -> Live | None:
        """Open a run of the journal; None: it cannot be read, and has failed. Its machine is told nothing yet."""
        try:
            live = Live(row, self._journal.asked(row))
            cause = self._journal.result(row).cause
            live.machine.resume(row.state, row.end, cause, row.where, self._journal.items(row.run_id))
        except KindmeshError as error:
            log.error("a run cannot be read any more", extra={"code": error.code, "run": row.run_id.hex()})
            self._give_up(row, error)
            return None
        self._open[row.run_id] = live
        return live

    def _give_up(self, row: RunRow, error: KindmeshError) -> None:
        """A run whose contents are gone, or damaged, ends visibly."""
        try:
            standing = Standing("failed", "failed", "", self._clock.now_ms())
            self._journal.save(row.run_id, standing, Result(None, trouble(error)))
        except KindmeshError as failed:
            log.error("its end was not written", extra={"code": failed.code, "run": row.run_id.hex()})

    def repair(self, live: Live, error: KindmeshError) -> None:
        """The turn was undone: what memory believes of this run is not so. It is read anew, a little later."""
        run_id = live.row.run_id
        if live.broken or self._closed:
            return
        live.broken = True
        log.error("the journal failed", extra={"code": error.code, "run": run_id.hex()})
        live.unlisten(everything=True)
        self._drop(run_id)
        self._later(live)

    def _later(self, live: Live) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        self._repairs[live.row.run_id] = loop.call_later(REPAIR_S, self._reload, live)

    def _reload(self, live: Live) -> None:
        run_id = live.row.run_id
        self._repairs.pop(run_id, None)
        try:
            row = self._journal.load(run_id)
        except KindmeshError as error:
            log.error("the journal cannot be read", extra={"code": error.code, "run": run_id.hex()})
            self._later(live)
            return
        if self._open.get(run_id) is live:
            del self._open[run_id]
        if row is None:
            return
        again = None if row.ended_ms else self.load(row)
        if again is None:
            self._store.after_sync(partial(self._settled, live))
        else:
            again.waiters, again.watchers = live.waiters, live.watchers
            self._tell(run_id, Resumed())

    def _settled(self, live: Live, error: KindmeshError | None) -> None:
        """It has ended, or was given up, while memory believed otherwise."""
        try:
            row = self._journal.load(live.row.run_id) if error is None else live.row
        except KindmeshError as unread:
            error, row = unread, live.row
        if row is None:
            return
        if error is not None or not row.ended_ms:
            self._later(live)
            return
        self._over(live, row)


__all__ = ["REPAIR_S", "Rereading"]
