"""When is a commit safe from a power cut: syncing the write-ahead log apart from SQLite, in groups.

SQLite in WAL mode appends each transaction's pages to `<db>-wal`. `synchronous=NORMAL` writes them (enough to survive
the end of the process: the bytes are in the kernel) and `FULL` also syncs the log after each commit; that sync is
the only difference between the two in WAL mode (sqlite.org/pragma.html#pragma_synchronous, sqlite.org/wal.html).
So `NORMAL` plus our own `fdatasync` of the log that *begins after* the commit returned promises what `FULL` does:

- The log's frames carry chained checksums and a commit mark: recovery keeps the longest valid prefix. The sync covers
  the whole file, hence every frame up to our commit mark, whichever descriptor it is called on (fsync(2): it is the
  file that is synced). fdatasync also writes the metadata needed to read the data back, here the file's new length.
- Frames may leave the log only by a checkpoint, which syncs the log first, then the database, before the log may be
  overwritten from its start, and the new log header is synced before any frame follows it. All three happen in
  `NORMAL` too ("the WAL file is synchronized before each checkpoint and the database file is synchronized after each
  completed checkpoint and the WAL file header is synchronized when a WAL file begins to be reused").
- The log's *name* must survive as well: the folder is synced once, after SQLite made the file; the log is unlinked
  only when the last connection closes, after a checkpoint.
- POSIX locks of a process vanish when it closes *any* descriptor of the locked file (sqlite.org/howtocorrupt.html
  section 2.2). SQLite locks the database and the `-shm` file, never the log, so a descriptor of the log is harmless;
  of the other two we never hold one.
- A failed sync leaves pages marked clean that are not on disk, so a second sync that succeeds proves nothing:
  after a failure the store refuses everything until it is opened anew.

All waiters that came before a sync starts share it; those that come while it runs share the next one. Handing a sync
to a thread and back costs some 80 us, so with `auto` a disk that usually answers within `INLINE_BELOW_US` is synced in
the loop's own thread, and a slower one (an SD card takes milliseconds) in another; the usual time is a running mean,
so one slow answer sends the next ones to the thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from kindmesh.mesh.files import disk_error
from kindmesh.protocol.errors import KindmeshError

if TYPE_CHECKING:
    import asyncio

Outcome = Callable[[KindmeshError | None], None]
"""Told once: None when it is safe, else why it is not."""


Where: TypeAlias = Literal["auto", "thread", "inline"]
"""Which thread waits for the disk; "inline" is for loops without threads (virtual time)."""
INLINE_BELOW_US: Final = 300


class LogSync:
    """Syncs one log file; owns its descriptor. Belongs to the loop's thread, apart from the syncing itself."""

    __slots__ = (
        "_dirty", "_fd", "_loop", "_path", "_running", "_thread", "_todo", "_waiting", "_where", "failed", "syncs",
        "usual_us",
    )  # fmt: skip

    def __init__(self, path: str, where: Where) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY)
        self._where = where
        self.syncs = 0
        self.usual_us = 0.0
        self.failed: KindmeshError | None = None
        self._dirty = True
        self._waiting: list[Outcome] = []
        self._running: list[Outcome] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._todo: SimpleQueue[asyncio.AbstractEventLoop | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def written(self) -> None:
        """A commit was appended to the log: the next sync is not superfluous."""
        self._dirty = True

    def request(self, waiters: list[Outcome], loop: asyncio.AbstractEventLoop) -> None:
        """Call each of `waiters`, on `loop`, when all that was `written` before is safe, or cannot be made so."""
        if self._loop is not loop:
            self._loop, self._running, self._waiting = loop, None, []
        if self.failed is None and self._dirty and self._running is None and self._inline():
            self._dirty = False
            self._settle(*self._sync())
        if self.failed is not None or (self._running is None and not self._dirty):
            deliver(waiters, self.failed, loop)
        elif self._running is not None and not self._dirty:
            self._running += waiters
        else:
            self._waiting += waiters
            if self._running is None:
                self._start(loop)

    def now(self) -> None:
        """Sync in the caller.

        Raises:
            DiskFull, StoreError: the log is not safe, and the store has to be opened anew.
        """
        if self.failed is None:
            self._dirty = False
            self._settle(*self._sync())
        if self.failed is not None:
            raise again(self.failed)

    def close(self) -> None:
        """Finish: waiters still there are served by one last sync; the descriptor is closed."""
        if self._thread is not None:
            self._todo.put(None)
            self._thread.join()
            self._thread = None
        if self._fd < 0:
            return
        waiters = (self._running or []) + self._waiting
        self._running, self._waiting = None, []
        if waiters and self.failed is None:
            self._settle(*self._sync())
        os.close(self._fd)
        self._fd = -1
        if self._loop is not None and not self._loop.is_closed():
            deliver(waiters, self.failed, self._loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="kindmesh-log-sync", daemon=True)
            self._thread.start()
        self._running, self._waiting = self._waiting, []
        self._dirty = False
        self._todo.put(loop)

    def _work(self) -> None:
        while (loop := self._todo.get()) is not None:
            result = self._sync()
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is left to be told
                loop.call_soon_threadsafe(self._done, result, loop)

    def _done(self, result: tuple[OSError | None, float], loop: asyncio.AbstractEventLoop) -> None:
        if self._running is None or self._loop is not loop:
            return
        self._settle(*result)
        served, self._running = self._running, None
        if self._waiting and self.failed is None:
            self._start(loop)
        elif self._waiting:
            served, self._waiting = served + self._waiting, []
        deliver(served, self.failed, loop)

    def _inline(self) -> bool:
        return self._where == "inline" or (self._where == "auto" and self.usual_us < INLINE_BELOW_US)

    def _sync(self) -> tuple[OSError | None, float]:
        started = time.perf_counter()
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            return error, 0.0
        return None, (time.perf_counter() - started) * 1e6

    def _settle(self, error: OSError | None, took_us: float) -> None:
        self.syncs += 1
        self.usual_us += (took_us - self.usual_us) / 8
        if error is not None:
            self.failed = disk_error(error, self._path, doing="sync")


def deliver(
    waiters: list[Outcome], error: KindmeshError | None, loop: asyncio.AbstractEventLoop | None
) -> None:
    """Tell every waiter, each with its own copy of the error; one that raises does not rob the others."""
    for position, waiter in enumerate(waiters):
        told = False
        try:
            waiter(None if error is None else again(error))
            told = True
        finally:
            rest = waiters[position + 1 :]
            if not told and rest and loop is not None:
                loop.call_soon(deliver, rest, error, loop)


def again(error: KindmeshError) -> KindmeshError:
    """A fresh copy of `error`, so that each place that raises it has its own traceback."""
    return type(error)(error.message, hint=error.hint, field=error.field)


__all__ = ["INLINE_BELOW_US", "LogSync", "Outcome", "Where", "again", "deliver"]
