"""Work that may take long, done in a process of its own, so that permits never wait for it.

A review of a whole plan is bounded only by what a plan may hold, so it is not done where permits are signed but by
a fork of this process, which sees what Medulla believes at that moment, answers through a pipe, and ends. The fork is
confined as this process is, keeps none of its files, sockets and locks open (who is cut off here, is), writes nothing,
is of lower priority, and ends with this process. One at a time; a few wait; more are refused with `Busy`. What takes
longer than `CPU_S` of CPU or `WITHIN_S` altogether, or more than `MEMORY` beyond what this process has, is ended, and
answered with an error: no answer is never a yes.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, NoReturn, TypeVar

from kindmesh.coordinator.brain.medulla.messages import FRAME_LIMIT
from kindmesh.mesh import confine
from kindmesh.protocol.errors import Busy, DeadlineExceeded, KindmeshError

log = logging.getLogger("kindmesh.coordinator.medulla")

WAITING_MAX: Final = 16
CPU_S: Final = 2
"""CPU seconds that one may take."""
WITHIN_S: Final = 5.0
"""Seconds that one may take from its beginning."""
MEMORY: Final = 268_435_456
_NICE: Final = 3
_FIRST: Final = 3
"""The first descriptor after standard input, output and error."""
_READ: Final = 65_536

Owner = TypeVar("Owner")


class _Child(Generic[Owner]):
    __slots__ = ("data", "frame", "owner", "pid", "pipe", "until_s")

    def __init__(self, pid: int, pipe: int, owner: Owner, frame: bytes, until_s: float) -> None:
        self.pid, self.pipe, self.owner, self.frame, self.until_s = pid, pipe, owner, frame, until_s
        self.data = bytearray()


class Aside(Generic[Owner]):
    """See the module. `takes`: whether a request frame is for here; `work`: its reply, with its length, made in the
    other process; `refuse`: the reply that tells an error. `attach` it to a selector, then call `turn` after each
    `select`, which may wait `timeout_s`. Use it from a process without threads."""

    def __init__(
        self,
        takes: Callable[[bytes], bool],
        work: Callable[[bytes], bytes],
        refuse: Callable[[bytes, KindmeshError], bytes],
    ) -> None:
        self.takes = takes
        self._work = work
        self._refuse = refuse
        self._waiting: deque[tuple[Owner, bytes]] = deque()
        self._child: _Child[Owner] | None = None
        self._selector: selectors.BaseSelector | None = None
        # Whoever started this may have had it ignored; then the kernel keeps no child to wait for.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Have pipes watched by `selector`, with this object as their `data`."""
        self._selector = selector

    @property
    def timeout_s(self) -> float | None:
        """How long `select` may wait; None: for ever."""
        return None if self._child is None else max(0.0, self._child.until_s - time.monotonic())

    def add(self, owner: Owner, frame: bytes) -> bytes | None:
        """Have it done; the reply at once if it is refused, None: it comes from `turn`."""
        if len(self._waiting) >= WAITING_MAX:
            return self._refuse(
                frame, Busy("too many plans wait to be reviewed", hint="Try again in a moment.")
            )
        self._waiting.append((owner, frame))
        return None

    def turn(self) -> list[tuple[Owner, bytes]]:
        """Read what came, end what takes too long, begin what waits: the replies that are there now, by owner."""
        replies: list[tuple[Owner, bytes]] = []
        child = self._child
        if child is not None:
            reply = self._ended(child)
            if reply is not None:
                self._end(child)
                replies.append((child.owner, reply))
        while self._child is None and self._waiting:
            owner, frame = self._waiting.popleft()
            try:
                self._begin(owner, frame)
            except OSError as error:
                log.warning("a plan cannot be reviewed", extra={"why": error.strerror})
                replies.append((owner, self._refuse(frame, Busy("there is no room to review a plan now"))))
        return replies

    def forget(self, owner: Owner) -> None:
        """Nobody waits for what this owner asked for any more."""
        self._waiting = deque(one for one in self._waiting if one[0] is not owner)
        if self._child is not None and self._child.owner is owner:
            self._end(self._child)

    def close(self) -> None:
        """End what is under way; nobody is answered any more."""
        self._waiting.clear()
        if self._child is not None:
            self._end(self._child)

    def _begin(self, owner: Owner, frame: bytes) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            raise
        if pid == 0:
            _alone(self._work, frame, writing, parent)
        os.close(writing)
        self._child = _Child(pid, reading, owner, frame, time.monotonic() + WITHIN_S)
        if self._selector is not None:
            self._selector.register(reading, selectors.EVENT_READ, self)

    def _ended(self, child: _Child[Owner]) -> bytes | None:
        """The reply, once there is one."""
        try:
            while data := os.read(child.pipe, _READ):
                child.data += data
                if len(child.data) > FRAME_LIMIT:
                    break
        except BlockingIOError:
            if time.monotonic() < child.until_s:
                return None
            child.data.clear()
        size = int.from_bytes(child.data[:4], "big")
        if size and len(child.data) == 4 + size:
            return bytes(child.data)
        log.warning("a review did not end", extra={"bytes": len(child.data)})
        hint = "Ask for less at once."
        return self._refuse(child.frame, DeadlineExceeded("this plan takes too long to review", hint=hint))

    def _end(self, child: _Child[Owner]) -> None:
        if self._selector is not None:
            self._selector.unregister(child.pipe)
        os.close(child.pipe)
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        self._child = None


def _alone(work: Callable[[bytes], bytes], frame: bytes, pipe: int, parent: int) -> NoReturn:
    """The other process: nothing of what it inherited is run but `work`, nothing kept open but the pipe and what
    programs always have."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(_FIRST, pipe)
        os.closerange(max(_FIRST, pipe + 1), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if confine.die_with_parent(parent):
            gc.disable()
            os.nice(_NICE)
            _bound(resource.RLIMIT_CPU, CPU_S)
            _bound(resource.RLIMIT_AS, _memory() + MEMORY)
            os.set_blocking(pipe, True)
            with os.fdopen(pipe, "wb") as answer:
                answer.write(work(frame))
            code = 0
    finally:
        try:
            if code:
                log.error("a review failed", extra={"error": type(sys.exception()).__name__})
        finally:
            # Also without memory for that line: what is above this belongs to the process that forked.
            os._exit(code)


def _bound(kind: int, most: int) -> None:
    """At most that much of a resource, or what is allowed here already, if that is less."""
    hard = resource.getrlimit(kind)[1]
    least = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (least, least))


def _memory() -> int:
    """Bytes of address space that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


__all__ = ["CPU_S", "MEMORY", "WAITING_MAX", "WITHIN_S", "Aside"]
