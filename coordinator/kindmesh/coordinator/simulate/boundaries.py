"""Death at the boundary of a journal: right before or after one commit, or after one sync, of a store.

`arm` counts the boundaries of a life's store and, at the chosen one, ends the process in the middle of its callback:
*before* a commit nothing of the transaction is left; *after* it everything is, and nobody was told; *after* a sync the
same, for those who wait for the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kindmesh.coordinator.simulate.process import CutOff
from kindmesh.coordinator.simulate.world import Life
from kindmesh.mesh.durability import LogSync, Outcome
from kindmesh.protocol.errors import KindmeshError

SIDES: Final = ("before commit", "after commit", "after sync")


class Boundaries:
    """Counts over all lives; dies at number `fatal` (from 1; 0: never), once. `seen` is how many there were, `died_at`
    which kind it was."""

    def __init__(self, fatal: int = 0) -> None:
        self.fatal = fatal
        self.seen = 0
        self.died_at = ""

    def arm(self, life: Life) -> None:
        """Watch the store of one life."""
        store = life.part.store
        if store._log is None:
            return
        commit = store._engine_commit
        log = _Log(store._log, lambda: self._reached(life, SIDES[2]))

        def watched() -> KindmeshError | None:
            self._reached(life, SIDES[0])
            error = commit()
            self._reached(life, SIDES[1])
            return error

        # Only this one store: the shipped class knows nothing of it.
        vars(store).update(_engine_commit=watched, _writable_log=lambda: log)

    def _reached(self, life: Life, side: str) -> None:
        if life.process.dead or self.died_at:
            return
        self.seen += 1
        if self.seen == self.fatal:
            self.died_at = side
            life.process.die()
            raise CutOff


class _Log:
    """In the place of a store's log: the same, and says when a sync is done, before those who wait for it are told."""

    def __init__(self, log: LogSync, synced: Callable[[], None]) -> None:
        self._log = log
        self._synced = synced

    @property
    def failed(self) -> KindmeshError | None:
        return self._log.failed

    def written(self) -> None:
        self._log.written()

    def now(self) -> None:
        self._log.now()
        self._synced()

    def request(self, waiters: list[Outcome], loop: asyncio.AbstractEventLoop) -> None:
        self._log.request([self._first, *waiters], loop)

    def _first(self, error: KindmeshError | None) -> None:
        if error is None:
            self._synced()


__all__ = ["SIDES", "Boundaries"]
