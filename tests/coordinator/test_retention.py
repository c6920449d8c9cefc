"""How long finished jobs are kept: what goes, what stays, in which steps, and what a crash leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.heart import retention
from kindmesh.coordinator.heart.dead_letters import DeadLetters
from kindmesh.coordinator.heart.journal import (
    HEART_SCHEMA,
    Ending,
    Finished,
    HeartJournal,
    JobFacts,
    JobRequest,
    Progress,
)
from kindmesh.coordinator.heart.retention import DAY_MS, ROWS, KeepRules, Retention, is_over
from kindmesh.mesh.clock import Clock, SystemClock
from kindmesh.mesh.store import Schema, Store
from kindmesh.mesh.vault import RunVault
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.errors import DiskFull, Forgotten
from kindmesh.protocol.ids import new_id
from kindmesh.protocol.messages.jobs import ArtifactInfo

START_MS = 1_800_000_000_000


class SetClock(SystemClock):
    """Stands still until it is moved; both clocks move together unless the wall clock leaps."""

    def __init__(self) -> None:
        self.ms = START_MS
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.seconds

    def move(self, days: float) -> None:
        self.ms += round(days * DAY_MS)
        self.seconds += days * 86_400


class House:
    """A journal with jobs that this class makes."""

    def __init__(self, folder: Path, clock: SetClock, schema: Schema = HEART_SCHEMA) -> None:
        self.clock = clock
        self.store = Store.open(folder / "journal.db", schema)
        self.journal = HeartJournal(self.store, RunVault(self.store, bytes(32)))
        self.made = 0

    def keeping(self, days: int = 30, jobs: int = 1_000_000) -> Retention:
        return Retention(self.journal, self.clock, KeepRules(days, jobs))

    def job(self, state: str = "succeeded", run: bytes = b"", artifact: bytes = b"") -> bytes:
        """A job that was submitted now, and ended now unless it is `running`."""
        self.made += 1
        now_ms = self.clock.now_ms()
        job_id = new_id(now_ms, self.made.to_bytes(10, "big"))
        facts = JobFacts(
            job_id, run or job_id, 0, f"key {self.made}", "device.echo", "owner", "interactive", 1, True, False,
            now_ms, 1_000,
        )  # fmt: skip
        now = Progress(state, "none", b"d" * 20, 1, now_ms + 1_000, None, b"", [])  # type: ignore[arg-type] # by name
        self.journal.submit(facts, JobRequest(b"\x80"), now)
        if state != "running":
            made = (ArtifactInfo(artifact, 5, "text/plain", b"d" * 20),) if artifact else ()
            self.journal.end(facts, now, Ending(b"\x80", artifacts=made), now_ms)
        self.store.commit_now()
        return job_id

    def tick(self, kept: Retention, times: int = 1) -> None:
        for _ in range(times):
            kept.tick()
            self.store.commit_now()
            self.clock.seconds += 1
            self.clock.ms += 1_000

    @property
    def jobs(self) -> set[bytes]:
        return {job.job_id for job in self.journal.after(0, 10_000)}

    @property
    def keys(self) -> int:
        found = self.store.query_one("SELECT count(*) FROM run_key")
        assert found is not None
        return int(found[0])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, SetClock())
    with closing(made.store):
        yield made


def test_a_job_is_removed_with_its_key_and_artifacts_when_its_days_are_over(house: House) -> None:
    kept = house.keeping(days=30)
    old = house.job(artifact=b"a" * 32)
    row = house.journal.load(old)
    assert row is not None
    house.clock.move(10)
    young = house.job(artifact=b"b" * 32)
    house.clock.move(19.9)
    house.tick(kept)
    assert house.jobs == {old, young}
    house.clock.move(0.2)
    house.tick(kept)
    assert house.jobs == {young}
    assert house.keys == 1
    assert house.journal.holders(b"a" * 32) == []
    assert [info.artifact for info in house.journal.holders(b"b" * 32)] == [b"b" * 32]
    with pytest.raises(Forgotten):
        house.journal.request(row)
    assert kept.removed == 1


def test_its_key_for_not_doing_it_twice_is_free_again_only_then(house: House) -> None:
    kept = house.keeping(days=1)
    house.job()
    assert house.journal.find_key("key 1") is not None
    house.clock.move(1.1)
    house.tick(kept)
    assert house.journal.find_key("key 1") is None


def test_no_more_than_so_many_are_kept(house: House) -> None:
    kept = house.keeping(jobs=10)
    made = [house.job() for _ in range(25)]
    house.tick(kept)
    assert house.jobs == set(made[-10:])
    assert house.keys == 10


@pytest.mark.parametrize("state", ["running", "uncertain"])
def test_what_is_not_over_stays_however_old_it_is(house: House, state: str) -> None:
    kept = house.keeping(days=1, jobs=1)
    left = house.job(state)
    gone = house.job()
    house.clock.move(400)
    house.job()
    house.tick(kept, 3)
    assert left in house.jobs
    assert gone not in house.jobs


def test_an_uncertain_job_goes_when_it_was_settled_long_enough_ago(house: House) -> None:
    kept = house.keeping(days=10)
    settled = house.job("uncertain")
    house.clock.move(20)
    house.store.execute(
        "INSERT INTO settlement VALUES (?, 'done', 'Ada', ?, 0, x'')", (settled, house.clock.now_ms())
    )
    house.tick(kept)
    assert house.jobs == {settled}
    house.clock.move(10.1)
    house.tick(kept)
    assert house.jobs == set()
    assert house.store.query("SELECT * FROM settlement") == []


def test_a_job_stays_as_long_as_a_dead_letter_about_it_is_open(house: House) -> None:
    kept = house.keeping(days=10)
    job = house.job("failed")
    letters = DeadLetters(house.store, RunVault(house.store, bytes(32)), house.clock, SeededEntropy(1), None)
    letters.add("alert", job_id=job, code="DENIED", what="an alert failed")
    house.clock.move(20)
    house.tick(kept)
    assert house.jobs == {job}
    (letter,) = letters.letters()
    letters.close(letter, "dismissed", "Ada", "seen")
    house.clock.move(1)
    house.tick(kept)
    assert house.jobs == set()


def test_a_keeper_keeps_a_job_or_all_jobs_of_a_run_and_the_key(house: House) -> None:
    run = b"r" * 16
    first, second, other, gone = house.job(run=run), house.job(run=run), house.job(), house.job()
    kept = house.keeping(days=1)
    kept.keepers.append(lambda jobs: {run} & {job.run_id for job in jobs})
    kept.keepers.append(lambda jobs: [other])
    house.clock.move(2)
    house.tick(kept)
    assert house.jobs == {first, second, other}
    assert gone not in house.jobs
    assert house.keys == 2


def test_the_key_of_a_run_goes_with_its_last_job(house: House) -> None:
    run = b"r" * 16
    house.job(run=run)
    house.clock.move(1)
    second = house.job(run=run)
    kept = house.keeping(days=1)
    house.clock.move(0.5)
    house.tick(kept)
    assert house.jobs == {second}
    assert house.keys == 1
    house.clock.move(1)
    house.tick(kept)
    assert (house.jobs, house.keys) == (set(), 0)


def test_a_step_looks_at_few_jobs_and_the_next_goes_on_there(house: House) -> None:
    kept = house.keeping(days=1)
    for _ in range(ROWS + 10):
        house.job()
    house.clock.move(2)
    house.tick(kept)
    assert len(house.jobs) == 10
    house.tick(kept)
    assert house.jobs == set()


def test_jobs_that_stay_do_not_hide_those_behind_them(house: House) -> None:
    kept = house.keeping(days=1)
    left = {house.job("uncertain") for _ in range(ROWS + 5)}
    house.job()
    house.clock.move(2)
    house.tick(kept, 2)
    assert house.jobs == left


def test_a_clock_that_leaps_ahead_removes_nothing(house: House) -> None:
    kept = house.keeping(days=30)
    made = house.job()
    house.clock.ms += 20 * 365 * DAY_MS
    house.tick(kept, 3)
    assert house.jobs == {made}


def test_after_a_crash_in_the_middle_a_job_is_there_with_its_key(tmp_path: Path) -> None:
    clock = SetClock()
    house = House(tmp_path, clock)
    made = house.job()
    clock.move(40)
    kept = house.keeping()
    kept._begun_ms = clock.now_ms()
    kept.tick()
    assert house.jobs == set()
    house.store.abandon()
    again = House(tmp_path, clock)
    with closing(again.store):
        row = again.journal.load(made)
        assert row is not None
        assert again.journal.request(row) == JobRequest(b"\x80")
        kept = again.keeping()
        again.tick(kept)
        assert (again.jobs, again.keys) == (set(), 0)


def test_a_full_disk_is_told_and_tried_again_after_a_rest(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = house.keeping(days=1)
    made = house.job()
    house.clock.move(2)

    def full(jobs: object) -> None:
        raise DiskFull("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(house.journal, "remove", full)
        kept.tick()
    assert [record.message for record in caplog.records] == ["old jobs could not be removed"]
    house.tick(kept)
    assert house.jobs == {made}
    house.clock.move(retention.REST_S / 86_400)
    house.tick(kept)
    assert house.jobs == set()


def test_unused_pages_go_back_to_the_disk_in_small_steps(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SPARE_PAGES", 4)
    kept = house.keeping(days=1)
    for _ in range(400):
        house.job()
    house.clock.move(2)
    house.tick(kept, 400 // ROWS + 1)
    assert house.jobs == set()
    free, pages = house.store.free_pages()
    assert free > retention.PAGES
    house.tick(kept)
    assert house.store.free_pages() == (free - retention.PAGES, pages - retention.PAGES)
    house.tick(kept, 20)
    free, pages = house.store.free_pages()
    assert free <= 4 + pages // 5


def test_a_store_from_before_can_shrink_once_it_was_migrated(tmp_path: Path) -> None:
    clock = SetClock()
    old = Schema(HEART_SCHEMA.name, 3, HEART_SCHEMA.migrations[:3])
    house = House(tmp_path, clock, old)
    made = house.job()
    house.store._live().execute("PRAGMA auto_vacuum=NONE")
    house.store._live().execute("VACUUM")
    assert house.store.free_pages()[0] == 0
    house.store.close()
    again = House(tmp_path, clock)
    with closing(again.store):
        assert again.store.query_one("PRAGMA auto_vacuum") == (2,)
        row = again.journal.load(made)
        assert row is not None
        assert again.journal.request(row) == JobRequest(b"\x80")


def test_the_copy_from_a_migration_loses_the_keys_too(tmp_path: Path) -> None:
    clock = SetClock()
    old = Schema(HEART_SCHEMA.name, 3, HEART_SCHEMA.migrations[:3])
    house = House(tmp_path, clock, old)
    house.job()
    house.store.close()
    again = House(tmp_path, clock)
    with closing(again.store):
        kept = again.keeping(days=1)
        clock.move(2)
        again.tick(kept)
        assert again.keys == 0
    copy = Store.open_readonly(tmp_path / "journal.db.v3.backup", old)
    with closing(copy):
        assert copy.query_one("SELECT count(*) FROM run_key") == (0,)
        assert copy.query_one("SELECT count(*) FROM job") == (1,)


def test_what_is_kept_is_told_with_its_size(house: House) -> None:
    kept = house.keeping(days=7, jobs=50)
    house.job()
    found = kept.statistics()
    assert (found["jobs"], found["oldest_ms"], found["keep_days"], found["keep_jobs"]) == (1, START_MS, 7, 50)
    assert found["bytes"] > 4_096


@given(
    ended=st.integers(0, 100 * DAY_MS),
    now=st.integers(0, 100 * DAY_MS),
    seq=st.integers(1, 100),
    newest=st.integers(1, 100),
    days=st.integers(1, 90),
    jobs=st.integers(1, 90),
)
def test_a_job_is_over_by_age_or_by_number_and_never_while_open(
    ended: int, now: int, seq: int, newest: int, days: int, jobs: int
) -> None:
    rules = KeepRules(days, jobs)
    over = is_over(Finished(seq, b"", b"", "succeeded", ended), rules, newest, now)
    assert over == (ended > 0 and (now - ended > days * DAY_MS or newest - seq >= jobs))


def test_the_clock_of_these_tests_is_one(house: House) -> None:
    clock: Clock = house.clock
    assert clock.now_ms() == START_MS
