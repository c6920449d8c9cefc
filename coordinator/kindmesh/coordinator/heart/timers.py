"""When to look at which job again: one heap, one timer of the loop, at most one entry that counts for each job.

A time is UTC milliseconds of the mesh's clock; the loop's timer is only the alarm. Since clocks can be set, whoever
owns this also calls `ring` every now and then. Asking for an earlier time replaces a later one; a later one is ignored
until the earlier has rung.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from kindmesh.mesh.clock import Clock


class Timers:
    """`wake(job id)` is called when a time has come."""

    def __init__(self, clock: Clock, wake: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._heap: list[tuple[int, bytes]] = []
        self._due: dict[bytes, int] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._armed_ms = 0

    def at(self, job_id: bytes, at_ms: int) -> None:
        """Wake for this job at `at_ms`, or earlier if that was asked before."""
        due = self._due.get(job_id)
        if due is not None and due <= at_ms:
            return
        self._due[job_id] = at_ms
        heapq.heappush(self._heap, (at_ms, job_id))
        if self._handle is None or at_ms < self._armed_ms:
            self._arm()

    def drop(self, job_id: bytes) -> None:
        """The job needs no timer any more."""
        self._due.pop(job_id, None)

    def ring(self) -> None:
        """Wake for all whose time has come."""
        now_ms = self._clock.now_ms()
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            at_ms, job_id = heapq.heappop(heap)
            if self._due.get(job_id) == at_ms:
                del self._due[job_id]
                self._wake(job_id)
        self._arm()

    def close(self) -> None:
        """No more waking."""
        self._heap.clear()
        self._due.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        if heap:
            self._armed_ms = heap[0][0]
            delay = max(0.0, (self._armed_ms - self._clock.now_ms()) / 1000)
            self._handle = asyncio.get_running_loop().call_later(delay, self._rang)

    def _rang(self) -> None:
        self._handle = None
        self.ring()


__all__ = ["Timers"]
