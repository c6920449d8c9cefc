"""The job machine gives places up: for something more urgent, and before a device is switched off."""

from __future__ import annotations

import pytest
from tests.coordinator.test_heart_machine import A, B, Job, write

from kindmesh.coordinator.heart.machine_job import RESEND_MS
from kindmesh.coordinator.heart.machine_words import (
    AckResult,
    ApprovalNeeded,
    AskPermit,
    CancelAsked,
    DeviceDrains,
    DeviceLost,
    Finish,
    NoCandidate,
    Place,
    Placed,
    Preempted,
    RetryDue,
    ScheduleRetry,
    SendCancel,
    Submitted,
)

URGENT = Preempted("an emergency")


def test_making_room_waits_until_the_device_has_stopped_and_is_no_loss() -> None:
    job = Job().sent()
    assert job.tell(URGENT) == [SendCancel(A, 1), ScheduleRetry(RESEND_MS)]
    assert job.tell(URGENT) == []
    assert job.tell(RetryDue()) == [SendCancel(A, 1), ScheduleRetry(RESEND_MS)]
    assert job.result("cancelled", "CANCELLED") == [AckResult(A, 1), Place()]
    assert (job.state, job.machine.lease, job.machine.losses) == ("queued", "none", 0)
    job.again(B)
    assert job.result("succeeded", device=B)[-1] == Finish("succeeded", take=True)


def test_what_ends_before_it_could_make_room_has_ended() -> None:
    job = Job().sent()
    job.tell(URGENT)
    assert job.end(job.result("succeeded")).state == "succeeded"


def test_a_device_that_is_lost_while_making_room_is_an_ordinary_loss() -> None:
    job = Job().sent()
    job.tell(URGENT)
    assert job.tell(DeviceLost(A)) == [Place(A)]
    assert not job.machine.preempted


@pytest.mark.parametrize("event", [URGENT, DeviceDrains(A, move=True)])
def test_what_may_not_be_repeated_or_is_ending_anyway_stays(event: Preempted | DeviceDrains) -> None:
    assert write().sent().tell(event) == []
    ending = Job().sent()
    ending.tell(CancelAsked("the owner"))
    assert ending.tell(event) == []


def test_what_was_not_sent_yet_goes_elsewhere_at_once() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, ""))
    assert job.tell(DeviceDrains(B, move=False)) == []
    assert job.tell(DeviceDrains(A, move=False)) == [Place(A)]
    assert job.tell(Placed(B, "")) == [AskPermit(B, 2)]


def test_a_question_to_a_person_is_not_asked_again_because_of_a_drain() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, ""))
    job.tell(ApprovalNeeded(1, 50_000))
    assert job.tell(DeviceDrains(A, move=True)) == []
    assert job.state == "waiting_approval"


def test_leaving_a_device_goes_on_there_until_another_one_has_it() -> None:
    job = Job().sent()
    assert job.tell(DeviceDrains(A, move=False)) == []
    assert job.tell(DeviceDrains(A, move=True)) == [Place(A)]
    assert job.tell(NoCandidate("nobody else", busy=False))
    assert job.tell(Placed(B, "")) == [SendCancel(A, 1), AskPermit(B, 2)]
    assert "moved" in job.words
    job.tell(job.permitted())
    late = job.result("cancelled", "CANCELLED", device=A)
    assert late == [AckResult(A, 2)]
    assert job.result("succeeded", device=B)[-1] == Finish("succeeded", take=True)


def test_a_result_of_the_device_that_is_left_counts_until_then() -> None:
    job = Job().sent()
    job.tell(DeviceDrains(A, move=True))
    assert job.result("succeeded")[-1] == Finish("succeeded", take=True)


def test_the_same_device_again_is_a_new_attempt_and_nothing_is_cancelled() -> None:
    job = Job().sent()
    job.tell(DeviceDrains(A, move=True))
    assert job.tell(Placed(A, "the only one")) == [AskPermit(A, 2)]
