"""How long finished jobs are kept: for so many days, and at most so many; then the key of what they were given and gave
is destroyed, and they are removed. The audit log keeps what was done, by whom and when.

    pass:  oldest job -> ... -> the first that is young enough -> rest `REST_S` -> oldest job ...

One step is one heartbeat: at most `ROWS` jobs are looked at, and those that are over are deleted with their artifacts
and their runs' keys in one turn of the store; when there is nothing to delete, at most `PAGES` free pages go back to
the disk. So the loop never waits for more than a few milliseconds, and a `kill -9` leaves a journal in which each job
is there with its key, or gone with it. Never removed: an open job, one whose outcome nobody knows, one that an open
dead letter is about, and what a *keeper* (such as runs) still refers to. An idempotency key is remembered as long as
its job. A clock that leaps ahead removes nothing: time passes here no faster than the monotonic clock says, give
or take a day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.journal import Finished, HeartJournal
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import KindmeshError

log = logging.getLogger("kindmesh.coordinator.heart")

ROWS: Final = 50
"""Jobs looked at in one step."""
PAGES: Final = 32
"""Pages given back in one step."""
SPARE_PAGES: Final = 1_024
"""Free pages that are kept for new jobs, beside a fifth of the journal."""
REST_S: Final = 600.0
DAY_MS: Final = 86_400_000


class KeepRules(msgspec.Struct, frozen=True):
    """`days` after its end, and at most the newest `jobs`."""

    days: int = 30
    jobs: int = 100_000


Keeper = Callable[[Sequence[Finished]], Iterable[bytes]]
"""Given jobs that could be removed: the ids of those, or of their runs, that have to stay."""


def is_over(job: Finished, rules: KeepRules, newest_seq: int, now_ms: int) -> bool:
    """Whether a job has been kept for long enough, as far as it knows itself."""
    if not job.ended_ms:
        return False
    too_old = job.ended_ms < now_ms - rules.days * DAY_MS
    return too_old or job.seq <= newest_seq - rules.jobs


class Retention:
    """See the module. `tick` once a heartbeat; `keepers` may be added to at any time."""

    def __init__(self, journal: HeartJournal, clock: Clock, rules: KeepRules) -> None:
        self.rules = rules
        self.keepers: list[Keeper] = [self._unsettled, self._undelivered]
        self.removed = 0
        """Jobs removed since the start."""
        self._journal = journal
        self._clock = clock
        self._cursor = 0
        self._rest_until = 0.0
        self._begun_ms, self._begun = clock.now_ms(), clock.monotonic()

    def tick(self) -> None:
        """One step. What does not work now (a full disk) is tried again after a rest."""
        try:
            if self._clock.monotonic() >= self._rest_until:
                self._look(self.now_ms())
            else:
                self._compact()
        except KindmeshError as error:
            log.warning("old jobs could not be removed", extra={"code": error.code})
            self._rest()

    def now_ms(self) -> int:
        """The time that counts for keeping things (UTC ms): never more than a day ahead of the monotonic clock."""
        passed_ms = round((self._clock.monotonic() - self._begun) * 1000)
        return min(self._clock.now_ms(), self._begun_ms + passed_ms + DAY_MS)

    def _look(self, now_ms: int) -> None:
        jobs = self._journal.after(self._cursor, ROWS)
        newest = self._journal.newest()
        over = [job for job in jobs if is_over(job, self.rules, newest, now_ms)]
        if over:
            kept = {one for keeper in self.keepers for one in keeper(over)}
            over = [job for job in over if job.job_id not in kept and job.run_id not in kept]
        if over:
            self._journal.remove(over)
            self.removed += len(over)
        if len(jobs) < ROWS or not _reaches(jobs[-1], self.rules, newest, now_ms):
            self._rest()
        else:
            self._cursor = jobs[-1].seq

    def _unsettled(self, jobs: Sequence[Finished]) -> Iterable[bytes]:
        """Nobody knows yet whether these happened, or somebody said so only lately."""
        sql = "SELECT 1 FROM settlement WHERE job_id = ? AND at_ms < ?"
        before_ms = self.now_ms() - self.rules.days * DAY_MS
        settled = self._journal.store.query_one
        return [
            job.job_id
            for job in jobs
            if job.state == "uncertain" and settled(sql, (job.job_id, before_ms)) is None
        ]

    def _undelivered(self, jobs: Sequence[Finished]) -> Iterable[bytes]:
        """A dead letter that nobody dealt with is about these."""
        sql = "SELECT DISTINCT job_id FROM dead_letter WHERE state = 'open' AND job_id != x''"
        return [bytes(job_id) for (job_id,) in self._journal.store.query(sql)]

    def _rest(self) -> None:
        self._cursor = 0
        self._rest_until = self._clock.monotonic() + REST_S

    def _compact(self) -> None:
        free, pages = self._journal.store.free_pages()
        if free > SPARE_PAGES + pages // 5:
            self._journal.store.shrink(PAGES)

    def statistics(self) -> dict[str, Any]:
        """What is kept, by which rule, and what that takes on the disk."""
        kept = self._journal.store.statistics()
        jobs, oldest_ms = self._journal.count()
        return {
            "jobs": jobs,
            "oldest_ms": oldest_ms,
            "removed": self.removed,
            "keep_days": self.rules.days,
            "keep_jobs": self.rules.jobs,
            "bytes": kept.database_bytes + kept.log_bytes,
        }


def _reaches(job: Finished, rules: KeepRules, newest_seq: int, now_ms: int) -> bool:
    """Whether jobs after this one may be over as well: it was made (its id says when) before the time that counts."""
    made_ms = int.from_bytes(job.job_id[:6], "big")
    return made_ms < now_ms - rules.days * DAY_MS or job.seq < newest_seq - rules.jobs


__all__ = ["PAGES", "REST_S", "ROWS", "SPARE_PAGES", "KeepRules", "Keeper", "Retention", "is_over"]
