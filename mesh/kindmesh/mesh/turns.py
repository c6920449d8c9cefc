"""Commit once per turn of the event loop: who waits for which transaction, apart from how it is written.

The first write of a turn begins a transaction and asks the loop to end it in the next turn; whatever the callbacks of
this turn write joins. A turn commits whole or not at all. After a failure it is rolled back, further writes of the
same turn get the same error (the statements before them are gone, so the rest must not stand alone), every waiter is
told, and the next turn starts clean.

    idle --begin--> writing --end of turn--> committed --sync--> durable
                       `--failure--> spoiled --end of turn--> idle, waiters told why

Without a running loop a turn ends when `commit_now` is called.

A *companion* (the audit log) writes its own rows into every turn right before it is committed: what it notes is in the
same transaction as what it is about, and is forgotten with it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from typing import Protocol

from kindmesh.mesh.durability import LogSync, Outcome, again, deliver
from kindmesh.protocol.errors import InternalError, KindmeshError


class Companion(Protocol):
    """Whoever has rows to add to each turn."""

    def complete(self) -> None:
        """The turn is about to be committed: write what belongs to it. An error undoes the turn."""

    def settle(self, kept: bool) -> None:
        """The turn was committed, or undone."""


class Turns(ABC):
    """The waiting side of a store; the engine below says how to begin, commit and roll back."""

    def __init__(self) -> None:
        self._writing = False
        self._depth = 0
        self._commits = 0
        self._failures = 0
        self._turn_error: KindmeshError | None = None
        self._after_commit: list[Outcome] = []
        self._after_sync: list[Outcome] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled_on: asyncio.AbstractEventLoop | None = None
        self._companion: Companion | None = None

    def accompany(self, companion: Companion) -> None:
        """Let `companion` complete every turn from now on; there is one at most."""
        self._companion = companion

    def join(self) -> None:
        """Begin this turn's transaction, if nothing has yet: something will be written when it ends. One that was begun
        before there was a loop ends with the loop's first turn that writes.

        Raises:
            DiskFull, StoreDamaged, StoreError: as `execute`.
        """
        if not self._writing:
            self._begin()
        elif self._scheduled_on is None:
            self._schedule()

    @property
    def writing(self) -> bool:
        """True while this turn has written something that is not committed yet."""
        return self._writing

    @abstractmethod
    def _engine_begin(self) -> None:
        """Open a transaction, or raise why not."""

    @abstractmethod
    def _engine_commit(self) -> KindmeshError | None:
        """Commit the open transaction, or say why not."""

    @abstractmethod
    def _engine_rollback(self) -> None:
        """Undo the open transaction, if there still is one."""

    @abstractmethod
    def _writable_log(self) -> LogSync:
        """The log to sync; raises when the store is not open for writing."""

    def after_commit(self, outcome: Outcome) -> None:
        """Call `outcome(None)` once this turn is committed, or `outcome(error)`; at once if nothing is pending."""
        if self._writing or self._turn_error is not None:
            self._after_commit.append(outcome)
            self._schedule()
        else:
            outcome(None)

    def after_sync(self, outcome: Outcome) -> None:
        """Call `outcome(None)` when all up to this turn survives a power cut, or `outcome(error)`. Needs a loop."""
        loop = asyncio.get_running_loop()
        if self._writing or self._turn_error is not None:
            self._after_sync.append(outcome)
            self._schedule()
        else:
            self._writable_log().request([outcome], loop)

    def committed(self) -> asyncio.Future[None]:
        """Awaitable: what this turn wrote survives the end of this process; raises the typed error if it was undone."""
        future = asyncio.get_running_loop().create_future()
        self.after_commit(partial(_resolve, future))
        return future

    def durable(self) -> asyncio.Future[None]:
        """Awaitable: what this turn and all before it wrote survives a power cut; raises as `committed`."""
        future = asyncio.get_running_loop().create_future()
        self.after_sync(partial(_resolve, future))
        return future

    def commit_now(self, *, durable: bool = False) -> None:
        """Commit without waiting for the end of the turn; with `durable` also sync, in the caller.

        Raises:
            DiskFull, StoreDamaged, StoreError: the turn was rolled back.
        """
        error = self._commit()
        if error is not None:
            raise again(error)
        if durable:
            self._writable_log().now()

    def _begin(self) -> None:
        log = self._writable_log()
        if log.failed is not None:
            raise again(log.failed)
        if self._turn_error is not None:
            raise again(self._turn_error)
        self._engine_begin()
        self._writing = True
        self._schedule()

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._scheduled_on is not loop:
            self._scheduled_on = self._loop = loop
            loop.call_soon(self._end_of_turn)

    def _end_of_turn(self) -> None:
        self._scheduled_on = None
        self._commit()

    def _commit(self) -> KindmeshError | None:
        error = self._turn_error
        self._turn_error = None
        if self._writing:
            error = self._finish()
        waiters, self._after_commit = self._after_commit, []
        sync_waiters, self._after_sync = self._after_sync, []
        if sync_waiters and error is None:
            if self._loop is not None and not self._loop.is_closed():
                self._writable_log().request(sync_waiters, self._loop)
            sync_waiters = []
        if waiters or sync_waiters:
            deliver(waiters + sync_waiters, error, self._loop)
        return error

    def _finish(self) -> KindmeshError | None:
        if self._depth:
            self._undo_turn()
            return InternalError("A store was committed or awaited inside atomic(); the turn was undone.")
        error = self._complete() or self._engine_commit()
        if error is not None:
            self._undo_turn()
            self._turn_error = None
            return error
        self._writing = False
        self._commits += 1
        if self._companion is not None:
            self._companion.settle(kept=True)
        self._writable_log().written()
        return None

    def _complete(self) -> KindmeshError | None:
        if self._companion is not None:
            try:
                self._companion.complete()
            except KindmeshError as error:
                return error
        return None

    def _spoil_turn(self, error: KindmeshError) -> None:
        """The turn cannot be completed: undo it, and let everyone who writes or waits in it know."""
        self._undo_turn()
        self._turn_error = error
        self._schedule()

    def _undo_turn(self) -> None:
        self._failures += self._writing
        self._writing = False
        self._engine_rollback()
        if self._companion is not None:
            self._companion.settle(kept=False)


def _resolve(future: asyncio.Future[None], error: KindmeshError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


__all__ = ["Companion", "Turns"]
