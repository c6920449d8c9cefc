"""Taking jobs in: a wish is checked, there must be room for it, somebody must be able to do it; then it is a job.

The same key and the same wish give the same job, however often it is asked for; its acknowledgement then waits for the
disk as the first one did. The queue is bounded: beyond it `Busy` says about how long; the last places are kept for
emergencies, and of each operation only so many may wait.
"""

from __future__ import annotations

import asyncio

import msgspec

from kindmesh.coordinator.heart import wishes
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.coordinator.heart.entry import Acknowledged, Entry, Watcher, is_full
from kindmesh.coordinator.heart.estimate import in_words
from kindmesh.coordinator.heart.journal import HeartJournal, JobFacts, JobRequest, JobRow
from kindmesh.coordinator.heart.reading import Reading
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.protocol.errors import Busy, NoDeviceAble, StoreConflict
from kindmesh.protocol.ids import RANDOM_BYTES, new_id
from kindmesh.protocol.principal import principal_text


class HeartLimits(msgspec.Struct, frozen=True):
    """`open_jobs` at once, the last `reserve` of them for emergencies only, and the last quarter of the rest not for
    background jobs; of each operation at most `waiting` wait for a place, emergencies aside."""

    open_jobs: int = 1024
    reserve: int = 64
    waiting: int = 256


class Submitting:
    """See the module."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        journal: HeartJournal,
        devices: Devices,
        read: Reading,
        clock: Clock,
        entropy: Entropy,
        limits: HeartLimits,
    ) -> None:
        self._dispatch = dispatch
        self._journal = journal
        self._devices = devices
        self._read = read
        self._clock = clock
        self._entropy = entropy
        self._limits = limits

    def take(
        self,
        wish: Wish,
        acknowledged: Acknowledged,
        *,
        waiter: Watcher | None,
        watcher: Watcher | None,
    ) -> bytes:
        """See `Heart.submit_soon`."""
        now_ms = self._clock.now_ms()
        checked = wishes.check(wish, self._devices, self._journal, now_ms)
        if wish.key is not None:
            known = self._journal.find_key(wish.key)
            if known is not None:
                job_id = self._same(wish, checked.args, known, waiter=waiter, watcher=watcher)
                store = self._journal.store
                (store.after_sync if known.facts.full else store.after_commit)(acknowledged)
                return job_id
        self._check_room(wish)
        choice = self._dispatch.placer.choose(checked.need)
        if not choice.device and not choice.passing:
            raise NoDeviceAble(f"no device can do {wish.operation}: {choice.why}", hint=choice.hint)
        job_id = new_id(now_ms, self._entropy.token(RANDOM_BYTES))
        facts = JobFacts(
            job_id, wish.run_id or job_id, wish.step, wish.key, wish.operation, principal_text(wish.principal),
            wish.priority, checked.effects, checked.idempotent, is_full(checked.effects, wish.full), now_ms,
            checked.budget_ms,
        )  # fmt: skip
        request = JobRequest(
            checked.args,
            wish.target,
            checked.sources,
            wish.principal,
            wish.purpose,
            wish.proof,
            wish.parent,
            _hedge_ms(wish),
            wish.labels,
            wish.evidence,
            wish.doubts,
        )
        entry = Entry(facts, request, checked.deadline_ms, checked.need)
        entry.choice = choice
        if waiter is not None:
            entry.waiters.append(waiter)
        if watcher is not None:
            entry.watchers.append(watcher)
        self._dispatch.begin(entry, acknowledged)
        return job_id

    def _same(
        self, wish: Wish, args: bytes, row: JobRow, *, waiter: Watcher | None, watcher: Watcher | None
    ) -> bytes:
        """The key was used before: the same wish gets the same job."""
        job_id = row.facts.job_id
        if row.facts.operation != wish.operation or self._journal.request(row).args != args:
            raise StoreConflict("this key was used for another job", hint="Use a new key for something new.")
        entry = self._dispatch.open.get(job_id)
        if entry is not None:
            entry.waiters += [waiter] if waiter is not None else []
            entry.watchers += [watcher] if watcher is not None else []
        elif waiter is not None:
            asyncio.get_running_loop().call_soon(waiter, self._read.ended_document(row))
        return job_id

    def _check_room(self, wish: Wish) -> None:
        """Refuse what would make a line too long, with about how long until there is room again."""
        limits, open_jobs = self._limits, len(self._dispatch.open)
        limit = limits.open_jobs
        if wish.priority != "emergency":
            limit -= limits.reserve
        if wish.priority == "background":
            limit -= limit // 4
        waiting = self._dispatch.placer.waiting(wish.operation)
        if open_jobs >= limit:
            said, again_ms = f"{open_jobs} jobs wait already", round(self._dispatch.usual_ms)
        elif waiting >= limits.waiting and wish.priority != "emergency":
            said, again_ms = f"{waiting} jobs wait for {wish.operation} already", 0
        else:
            return
        again_ms = max(again_ms, self._dispatch.placer.wait_ms(wish.operation))
        raise Busy(
            said,
            hint=f"Try again in {in_words(again_ms)}, or cancel some: kindmesh jobs.",
            retry_ms=again_ms,
        )


def _hedge_ms(wish: Wish) -> int:
    if wish.hedge_ms >= 0 or wish.priority != "emergency":
        return max(wish.hedge_ms, -1)
    return wishes.HEDGE_MS


__all__ = ["HeartLimits", "Submitting"]
