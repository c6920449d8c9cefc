"""What waits for the disk: writes of one turn, what follows from them, and stories that may be written later.

`then` writes now and acts when the write is safe: after the commit, or for a `full` job after the sync. If it will
never be (the turn was undone, the disk is full), `repair` is called instead, and memory has to be read anew. Order is
kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from kindmesh.coordinator.heart.entry import Entry
from kindmesh.coordinator.heart.journal import HeartJournal
from kindmesh.protocol.errors import KindmeshError

log = logging.getLogger("kindmesh.coordinator.heart")

SAVE_S: Final = 0.1
"""How long a story may wait to be written."""


class Disk:
    """See the module."""

    def __init__(self, journal: HeartJournal, repair: Callable[[Entry, KindmeshError], None]) -> None:
        self._journal = journal
        self._store = journal.store
        self._repair = repair
        self._dirty: list[Entry] = []
        self._saving: asyncio.TimerHandle | None = None

    def then(self, entry: Entry, write: Callable[[], object], action: Callable[[], None]) -> None:
        """Write in this turn, and act once that is safe."""
        try:
            write()
        except KindmeshError as error:
            entry.failed = True
            asyncio.get_running_loop().call_soon(self._repair, entry, error)
            return
        self.after(entry, action)

    def after(self, entry: Entry, action: Callable[[], None]) -> None:
        """Act once what this turn wrote is safe; never, if something of this job could not be written."""
        if entry.failed:
            return
        # Each asks the store itself: a sync that runs says nothing of what was written since it began.
        wait = self._store.after_sync if entry.facts.full else self._store.after_commit
        wait(partial(self._settle, entry, action))

    def _settle(self, entry: Entry, action: Callable[[], None], error: KindmeshError | None) -> None:
        if error is None:
            action()
        else:
            self._repair(entry, error)

    def save_first(self, entry: Entry, action: Callable[[], None]) -> None:
        """Write how a job stands, and act once that is safe."""
        self.then(entry, partial(self._journal.save, entry.facts, entry.progress()), action)

    def mark(self, entry: Entry) -> None:
        """Its story has grown; it is written soon, if it is still open then."""
        if entry.dirty:
            return
        entry.dirty = True
        self._dirty.append(entry)
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVE_S, self.save)

    def save(self) -> None:
        """Write the stories that were not written yet. What cannot be written now will be told by the devices again."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        dirty, self._dirty = self._dirty, []
        for entry in dirty:
            entry.dirty = False
            if entry.machine.ended or entry.failed or entry.repaired:
                continue
            try:
                self._journal.save(entry.facts, entry.progress())
            except KindmeshError as error:
                log.error(
                    "a story was not written", extra={"code": error.code, "job": entry.facts.job_id.hex()}
                )


__all__ = ["SAVE_S", "Disk"]
