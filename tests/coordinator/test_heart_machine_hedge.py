"""The job machine with two attempts at once: the first success counts, whatever happens to the other."""

from __future__ import annotations

import pytest
from tests.coordinator.test_heart_machine import PERMIT, A, B, Job

from kindmesh.coordinator.heart.machine import JobMachine
from kindmesh.coordinator.heart.machine_job import RESEND_MS
from kindmesh.coordinator.heart.machine_words import (
    AckResult,
    ApprovalNeeded,
    AskPermit,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceDrains,
    DeviceLost,
    DeviceRemoved,
    Event,
    Finish,
    HedgeDue,
    Permitted,
    Placed,
    PlaceSecond,
    Preempted,
    Refused,
    ResultArrived,
    ReviewerGone,
    Running,
    ScheduleHedge,
    ScheduleRetry,
    SecondPlaced,
    SendCancel,
    SendFailed,
    SendJob,
    Submitted,
)
from kindmesh.protocol.manifest import Effect

C = b"C" * 20


def urgent(effects: int = Effect.READ, *, idempotent: bool = True) -> Job:
    job = Job(effects, idempotent=idempotent)
    job.machine = JobMachine(
        b"j" * 16, effects=int(effects), idempotent=idempotent, deadline_ms=60_000, hedge_ms=1_000
    )
    return job


def hedged(*, sent: bool = True) -> Job:
    """Runs on A under epoch 1; a second attempt is on B under epoch 2, sent or still asked about."""
    job = urgent().sent()
    job.tell(Running(A, 1))
    assert job.tell(HedgeDue()) == [PlaceSecond(A)]
    assert job.tell(SecondPlaced(B, "it is free")) == [AskPermit(B, 2)]
    if sent:
        assert job.tell(Permitted(2, PERMIT, 1, "uid")) == [SendJob(B, 2)]
    return job


def told(job: Job, device: bytes, epoch: int, outcome: str, code: str = "") -> list[object]:
    return list(job.tell(ResultArrived(device, epoch, outcome, code)))  # type: ignore[arg-type]  # parametrised


def test_an_urgent_job_that_was_sent_is_looked_at_again_soon() -> None:
    job = urgent()
    job.tell(Submitted())
    job.tell(Placed(A, ""))
    assert job.tell(job.permitted()) == [SendJob(A, 1), ScheduleRetry(RESEND_MS), ScheduleHedge(1_000)]


def test_the_second_is_first_and_the_slower_one_changes_nothing() -> None:
    job = hedged()
    assert told(job, B, 2, "succeeded") == [AckResult(B, 2), SendCancel(A, 1), Finish("succeeded", take=True)]
    assert (job.machine.device, job.machine.epoch) == (B, 2)


def test_the_first_is_first_and_the_second_is_told_to_stop() -> None:
    job = hedged()
    assert told(job, A, 1, "succeeded") == [AckResult(A, 1), SendCancel(B, 2), Finish("succeeded", take=True)]
    assert told(hedged(sent=False), A, 1, "succeeded") == [AckResult(A, 1), Finish("succeeded", take=True)]


@pytest.mark.parametrize("outcome", ["failed", "interrupted", "cancelled", "uncertain"])
def test_when_the_first_fails_the_second_counts(outcome: str) -> None:
    job = hedged()
    assert told(job, A, 1, outcome, "CAPABILITY_CRASHED") == [AckResult(A, 1), ScheduleRetry(RESEND_MS)]
    assert (job.state, job.machine.device, job.machine.second) == ("placed", B, b"")
    assert told(job, B, 2, "succeeded")[-1] == Finish("succeeded", take=True)


def test_when_the_first_fails_before_the_second_is_permitted_the_second_is_an_ordinary_attempt() -> None:
    job = hedged(sent=False)
    told(job, A, 1, "failed", "CAPABILITY_CRASHED")
    assert (job.state, job.machine.lease) == ("queued", "chosen")
    assert SendJob(B, 2) in job.tell(Permitted(2, PERMIT, 1, "uid"))


def test_when_the_second_fails_the_first_goes_on_alone() -> None:
    job = hedged()
    assert told(job, B, 2, "failed", "BUSY") == [AckResult(B, 2)]
    assert job.machine.second == b""
    assert told(job, B, 2, "failed", "BUSY") == [AckResult(B, 2)]
    assert job.tell(HedgeDue()) == []
    assert told(job, A, 1, "succeeded")[-1] == Finish("succeeded", take=True)


@pytest.mark.parametrize("gone", [DeviceLost, DeviceRemoved])
def test_a_device_that_goes_away_leaves_it_to_the_other(gone: type[DeviceLost | DeviceRemoved]) -> None:
    first = hedged()
    assert first.tell(gone(A)) == [ScheduleRetry(RESEND_MS)]
    assert (first.machine.device, first.machine.losses) == (B, 0)
    second = hedged()
    assert second.tell(gone(B)) == [SendCancel(B, 2)]
    assert (second.machine.device, second.machine.second) == (A, b"")
    assert second.tell(gone(C)) == []


def test_a_device_that_comes_back_with_the_slower_attempt_is_told_to_stop() -> None:
    job = hedged()
    job.tell(DeviceLost(A))
    assert job.tell(DeviceBack(A)) == [SendCancel(A, 1)]


@pytest.mark.parametrize(
    "event",
    [ApprovalNeeded(2, 50_000), Refused(2, "DENIED", "no"), ReviewerGone(2), SendFailed(2, "no link")],
)
def test_a_second_attempt_that_cannot_be_made_is_dropped_and_nobody_is_asked(event: Event) -> None:
    job = hedged(sent=isinstance(event, SendFailed))
    assert job.tell(event) == []
    assert (job.state, job.machine.second) == ("running", b"")


def test_a_first_attempt_that_cannot_be_sent_again_leaves_it_to_the_second() -> None:
    job = hedged()
    assert job.tell(SendFailed(9, "of an older one")) == []
    assert job.tell(SendFailed(1, "no link")) == [ScheduleRetry(RESEND_MS)]
    assert job.machine.device == B


def test_cancelling_and_the_deadline_stop_both() -> None:
    job = hedged()
    assert job.tell(CancelAsked("the owner")) == [SendCancel(B, 2), SendCancel(A, 1)]
    assert told(job, A, 1, "cancelled", "CANCELLED")[-1] == Finish("cancelled", take=True)
    late = hedged()
    late.now = 60_000
    assert late.tell(DeadlinePassed())[:2] == [SendCancel(B, 2), SendCancel(A, 1)]


def test_a_job_with_two_attempts_makes_no_room_and_does_not_move() -> None:
    job = hedged()
    assert job.tell(Preempted("something urgent")) == []
    assert job.tell(DeviceDrains(A, move=True)) == []


def test_a_verdict_that_comes_twice_sends_nothing_twice() -> None:
    job = hedged()
    assert job.tell(Permitted(2, PERMIT, 1, "uid")) == []


def test_only_what_may_be_done_again_is_hedged_and_only_when_wanted_and_once() -> None:
    assert urgent(Effect.WRITE, idempotent=False).sent().tell(HedgeDue()) == []
    assert Job().sent().tell(HedgeDue()) == []
    job = urgent().sent()
    assert job.tell(SecondPlaced(A, "the same")) == []
    job.tell(HedgeDue())
    assert job.tell(HedgeDue()) == []
    waiting = urgent()
    waiting.tell(Submitted())
    assert waiting.tell(HedgeDue()) == []
    assert waiting.tell(SecondPlaced(B, "")) == []


def test_a_later_attempt_is_above_both_also_after_a_restart() -> None:
    job = hedged()
    told(job, B, 2, "failed", "BUSY")
    told(job, A, 1, "interrupted")
    assert job.tell(Placed(C, "")) == [AskPermit(C, 3)]
    machine = JobMachine(b"j" * 16, effects=1, idempotent=True, deadline_ms=60_000)
    machine.resume("running", A, 2, "sent", [])
    assert machine.top == 2
