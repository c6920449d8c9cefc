"""The job machine, story by story: what it asks for after each event, and how jobs end."""

from __future__ import annotations

from typing import Any

import pytest

from kindmesh.coordinator.heart.machine import JobMachine
from kindmesh.coordinator.heart.machine_job import (
    GRACE_MS,
    LINK_MS,
    LOSSES_MAX,
    RECHECK_MS,
    RECONNECT_MS,
    REFUSALS_MAX,
    RESEND_MS,
    REVIEWER_MS,
    STORY_MAX,
)
from kindmesh.coordinator.heart.machine_words import (
    STATES,
    Accepted,
    AckResult,
    ApprovalNeeded,
    AskPermit,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceLost,
    Event,
    Finish,
    Instruction,
    NoCandidate,
    Permitted,
    Place,
    Placed,
    Refused,
    Restarted,
    ResultArrived,
    RetryDue,
    ReviewerGone,
    Running,
    ScheduleRetry,
    SendCancel,
    SendFailed,
    SendJob,
    Submitted,
)
from kindmesh.protocol.errors import InvalidTransition
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.topics import JOB_STATES

A, B = b"A" * 20, b"B" * 20
DEADLINE = 60_000
PERMIT = b"p" * 16


class Job:
    """A machine that is validated after every event; `now` is the time the next event gets."""

    def __init__(self, effects: int = Effect.READ, *, idempotent: bool = False, budget: int = 0) -> None:
        self.machine = JobMachine(
            b"j" * 16, effects=int(effects), idempotent=idempotent, deadline_ms=DEADLINE, budget_ms=budget
        )
        self.now = 0

    def tell(self, event: Event) -> list[Instruction]:
        instructions = self.machine.handle(event, self.now)
        self.machine.validate()
        return instructions

    def sent(self, device: bytes = A) -> Job:
        self.tell(Submitted())
        return self.again(device)

    def again(self, device: bytes) -> Job:
        self.tell(Placed(device, "it is here"))
        self.tell(self.permitted())
        return self

    def permitted(self) -> Permitted:
        return Permitted(self.machine.epoch, PERMIT, 1, "uid")

    def result(self, outcome: Any, code: str = "", *, device: bytes = A, **more: Any) -> list[Instruction]:
        return self.tell(ResultArrived(device, self.machine.epoch, outcome, code, **more))

    def end(self, instructions: list[Instruction]) -> Finish:
        last = instructions[-1]
        assert isinstance(last, Finish)
        assert self.machine.ended
        return last

    @property
    def state(self) -> str:
        return self.machine.state

    @property
    def words(self) -> list[str]:
        return [what for _, what, _, _ in self.machine.story]


def write() -> Job:
    """May not be done twice."""
    return Job(Effect.WRITE)


# The usual way.


def test_a_job_is_placed_permitted_sent_and_ends_with_its_result() -> None:
    job = Job()
    assert job.tell(Submitted()) == [Place()]
    assert job.tell(Placed(A, "it is here")) == [AskPermit(A, 1)]
    assert job.tell(job.permitted()) == [SendJob(A, 1), ScheduleRetry(RESEND_MS)]
    assert job.tell(Accepted(A, 1)) == []
    assert job.state == "accepted"
    assert job.tell(Running(A, 1)) == []
    assert job.state == "running"
    assert job.result("succeeded") == [AckResult(A, 1), Finish("succeeded", take=True)]
    assert job.words == ["submitted", "placed", "permitted", "accepted", "running", "result", "succeeded"]


def test_news_of_another_attempt_changes_nothing() -> None:
    job = Job().sent()
    assert job.tell(Accepted(B, 1)) == []
    assert job.tell(Running(A, 2)) == []
    assert job.state == "placed"
    assert job.tell(ResultArrived(A, 7, "succeeded")) == [AckResult(A, 7)]
    assert job.state == "placed"


def test_what_the_table_does_not_have_is_our_bug_and_carries_the_story() -> None:
    job = Job().sent()
    with pytest.raises(InvalidTransition, match="Submitted while placed") as caught:
        job.tell(Submitted())
    assert len(caught.value.story) == 3
    assert job.result("succeeded")
    with pytest.raises(InvalidTransition):
        job.tell(DeviceLost(A))


def test_placing_a_job_that_is_not_to_be_placed_is_our_bug() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    with pytest.raises(InvalidTransition):
        job.tell(Placed(B, "it is here"))
    with pytest.raises(InvalidTransition):
        job.tell(NoCandidate("nobody", busy=False))


def test_validate_names_the_broken_rule() -> None:
    job = Job().sent()
    job.machine.device = b""
    with pytest.raises(InvalidTransition, match="a lease names a device"):
        job.machine.validate()


def test_a_story_stays_short_and_keeps_its_beginning() -> None:
    job = Job()
    for number in range(3 * STORY_MAX):
        job.machine.note(number, "again")
    assert len(job.machine.story) <= STORY_MAX
    assert job.machine.story[0][0] == 0
    assert job.machine.story[-1][0] == 3 * STORY_MAX - 1


# Nobody can do it now.


def test_a_full_mesh_keeps_a_job_queued_and_an_empty_one_keeps_it_waiting() -> None:
    job = Job()
    job.tell(Submitted())
    assert job.tell(NoCandidate("phone: busy", busy=True)) == [ScheduleRetry(RECHECK_MS)]
    assert job.state == "queued"
    job.tell(NoCandidate("phone: gone", busy=False))
    job.tell(NoCandidate("phone: gone", busy=False))
    assert job.state == "waiting_device"
    assert job.words.count("waiting") == 2
    assert job.tell(RetryDue()) == [Place()]
    assert job.tell(DeviceBack(B)) == [Place()]
    assert job.tell(Placed(B, "it is back")) == [AskPermit(B, 1)]
    assert job.tell(DeviceBack(A)) == []


def test_a_job_nobody_could_do_in_time_says_why() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(NoCandidate("phone: gone", busy=False))
    assert job.tell(DeadlinePassed()) == []
    job.now = DEADLINE
    end = job.end(job.tell(DeadlinePassed()))
    assert (end.state, end.code) == ("expired", "NO_DEVICE_ABLE")
    assert "phone: gone" in end.message


def test_a_job_that_only_waited_for_room_expires_with_that_reason() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(NoCandidate("phone: busy", busy=True))
    job.now = DEADLINE
    end = job.end(job.tell(DeadlinePassed()))
    assert (end.state, end.code) == ("expired", "DEADLINE_EXCEEDED")
    assert "phone: busy" in end.message


# Medulla.


def test_what_medulla_denies_fails_with_its_reasons() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(Refused(9, "DENIED", "another attempt")) == []
    end = job.end(job.tell(Refused(1, "DENIED", "the owner's policy forbids it", "ask the owner")))
    assert (end.state, end.code, end.hint) == ("failed", "DENIED", "ask the owner")


def test_without_medulla_nothing_is_sent_and_the_wait_is_told_once() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(ReviewerGone(1)) == [ScheduleRetry(REVIEWER_MS)]
    assert job.tell(ReviewerGone(1)) == []
    assert job.tell(RetryDue()) == [AskPermit(A, 1)]
    assert job.tell(RetryDue()) == []
    job.tell(ReviewerGone(1))
    assert job.words.count("waiting") == 1
    job.now = DEADLINE
    assert "reviewer" in job.end(job.tell(DeadlinePassed())).message


def test_a_job_nobody_looked_at_in_time_expires() -> None:
    job = Job()
    job.tell(Submitted())
    job.now = DEADLINE
    assert job.end(job.tell(DeadlinePassed())).code == "DEADLINE_EXCEEDED"


def test_a_verdict_for_an_older_attempt_counts_for_nothing() -> None:
    job = Job()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(DeviceLost(A)) == [Place(A)]
    job.tell(Placed(B, "it is here"))
    assert job.tell(Permitted(1, PERMIT, 1, "uid")) == []
    assert job.tell(ApprovalNeeded(1, 10)) == []
    assert job.tell(Permitted(2, PERMIT, 1, "uid"))[0] == SendJob(B, 2)


# A person is asked.


def test_a_person_is_asked_and_the_time_allowed_begins_with_the_answer() -> None:
    job = Job(Effect.WRITE, budget=30_000)
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(ApprovalNeeded(1, 3_600_000)) == [ScheduleRetry(3_600_000)]
    assert job.state == "waiting_approval"
    assert job.tell(DeviceLost(A)) == []
    assert job.tell(DeviceBack(A)) == []
    assert job.tell(RetryDue()) == []
    job.now = 1_000_000
    assert job.tell(job.permitted())[0] == SendJob(A, 1)
    assert job.machine.deadline_ms == 1_030_000


def test_a_deadline_that_somebody_set_holds_while_a_person_is_asked() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    assert job.tell(ApprovalNeeded(1, 3_600_000)) == [ScheduleRetry(DEADLINE)]
    job.tell(job.permitted())
    assert job.machine.deadline_ms == DEADLINE


def test_a_question_nobody_answers_ends_the_job() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    job.tell(ApprovalNeeded(1, 50_000))
    job.now = 50_000
    end = job.end(job.tell(DeadlinePassed()))
    assert (end.state, end.code) == ("expired", "NEEDS_APPROVAL")


def test_a_busy_device_keeps_the_job_that_a_person_allowed_there() -> None:
    job = write()
    job.tell(Submitted())
    job.tell(Placed(A, "it is here"))
    job.tell(ApprovalNeeded(1, 3_600_000))
    job.tell(job.permitted())
    assert job.result("failed", "BUSY", begun=False, retry_ms=9_000) == [
        AckResult(A, 1),
        ScheduleRetry(9_000),
    ]
    assert job.tell(RetryDue())[0] == SendJob(A, 1)
    job.tell(CancelAsked("owner"))
    job.result("failed", "BUSY", begun=False)
    assert job.state == "placed"


# Links and devices fail.


def test_a_job_that_did_not_leave_is_free_to_go_elsewhere() -> None:
    job = write().sent()
    assert job.tell(SendFailed(9, "unreachable")) == []
    assert job.tell(SendFailed(1, "unreachable")) == [ScheduleRetry(LINK_MS)]
    assert job.tell(RetryDue()) == [Place(A)]
    assert job.tell(Placed(B, "it is here")) == [AskPermit(B, 2)]


def test_a_job_that_was_not_accepted_is_sent_again_more_and_more_slowly() -> None:
    job = Job().sent()
    assert job.tell(RetryDue()) == [SendJob(A, 1), ScheduleRetry(2 * RESEND_MS)]
    assert job.tell(RetryDue()) == [SendJob(A, 1), ScheduleRetry(4 * RESEND_MS)]
    job.tell(Accepted(A, 1))
    assert job.tell(RetryDue()) == []


def test_a_harmless_job_moves_when_its_device_is_lost_and_the_old_device_is_told() -> None:
    job = Job().sent()
    job.tell(Running(A, 1))
    assert job.tell(DeviceLost(B)) == []
    assert job.tell(DeviceLost(A)) == [Place(A)]
    assert job.tell(DeviceLost(A)) == []
    assert job.tell(Placed(B, "the only one")) == [AskPermit(B, 2)]
    assert "moved" in job.words
    job.tell(job.permitted())
    assert job.tell(DeviceBack(A)) == [SendCancel(A, 1)]
    assert job.tell(DeviceBack(A)) == []
    assert job.tell(ResultArrived(A, 1, "succeeded")) == [AckResult(A, 1)]
    assert job.result("succeeded", device=B)[-1] == Finish("succeeded", take=True)


def test_a_lost_device_that_comes_back_before_the_move_gets_the_same_attempt() -> None:
    job = Job().sent()
    job.tell(DeviceLost(A))
    job.tell(NoCandidate("nobody", busy=False))
    assert job.tell(DeviceBack(A)) == [SendJob(A, 1), ScheduleRetry(2 * RESEND_MS)]


def test_the_result_of_a_lost_device_is_taken_while_nobody_else_has_the_job() -> None:
    job = Job().sent()
    job.tell(DeviceLost(A))
    assert job.result("succeeded")[-1] == Finish("succeeded", take=True)


def test_a_job_moved_back_to_the_same_device_gets_no_cancel() -> None:
    job = Job().sent()
    assert job.result("interrupted") == [AckResult(A, 1), Place(A)]
    assert job.tell(Placed(A, "the only one")) == [AskPermit(A, 2)]
    assert job.machine.older == {}
    assert "moved" not in job.words


def test_what_may_not_be_done_twice_waits_for_its_device() -> None:
    job = write().sent()
    job.tell(Running(A, 1))
    assert job.tell(DeviceLost(A)) == []
    assert job.state == "waiting_device"
    assert job.tell(RetryDue()) == []
    assert job.tell(DeviceLost(A)) == []
    assert job.tell(DeviceBack(B)) == []
    assert job.tell(DeviceBack(A)) == [SendJob(A, 1), ScheduleRetry(2 * RESEND_MS)]
    assert job.result("succeeded")[-1] == Finish("succeeded", take=True)


def test_what_may_not_be_done_twice_is_uncertain_when_its_device_stays_away() -> None:
    job = write().sent()
    job.tell(DeviceLost(A))
    job.now = DEADLINE
    end = job.end(job.tell(DeadlinePassed()))
    assert (end.state, end.code) == ("uncertain", "UNCERTAIN")


def test_a_private_reading_that_may_not_be_doubled_just_expires() -> None:
    job = Job(Effect.SENSE).sent()
    job.tell(DeviceLost(A))
    job.now = DEADLINE
    assert job.end(job.tell(DeadlinePassed())).state == "expired"


def test_a_job_that_ruins_every_device_is_given_up() -> None:
    job = Job().sent()
    for _ in range(LOSSES_MAX - 1):
        job.tell(DeviceLost(A))
        job.again(A)
    end = job.end(job.tell(DeviceLost(A)))
    assert (end.state, end.code) == ("failed", "INTERRUPTED")


# The device's answers.


@pytest.mark.parametrize("code", ["BUSY", "PERMIT_EXPIRED", "CAPABILITY_MISSING"])
def test_a_refusal_to_begin_lets_even_a_careful_job_go_elsewhere(code: str) -> None:
    job = write().sent()
    ack, retry = job.result("failed", code, begun=False)
    assert ack == AckResult(A, 1)
    assert isinstance(retry, ScheduleRetry)
    assert job.tell(RetryDue()) == [Place(A)]


def test_a_busy_device_says_when_to_come_back() -> None:
    assert write().sent().result("failed", "BUSY", begun=False, retry_ms=7_000)[-1] == ScheduleRetry(7_000)


def test_a_careful_job_stays_when_another_copy_may_still_begin() -> None:
    job = write().sent()
    job.tell(RetryDue())
    job.result("failed", "BUSY", begun=False)
    assert job.state == "placed"
    assert job.tell(RetryDue()) == [AskPermit(A, 2)]
    assert job.tell(job.permitted())[0] == SendJob(A, 2)
    assert job.tell(ResultArrived(A, 1, "succeeded"))[-1] == Finish("succeeded", take=True)


def test_an_outdated_permit_frees_even_a_job_that_was_sent_twice() -> None:
    job = write().sent()
    job.tell(RetryDue())
    job.result("failed", "PERMIT_EXPIRED", begun=False)
    assert job.machine.wants_place


def test_refusals_are_counted_and_busy_ones_are_not_held_against_the_job() -> None:
    job = write().sent()
    for _ in range(REFUSALS_MAX):
        job.result("failed", "BUSY", begun=False)
        job.again(A)
    assert job.result("failed", "DISK_FULL", begun=False)[-1] == Finish("failed", take=True)


def test_a_failure_that_began_is_the_result() -> None:
    assert Job().sent().result("failed", "BUSY")[-1] == Finish("failed", take=True)
    assert Job().sent().result("failed", "INVALID_INPUT", begun=False)[-1] == Finish("failed", take=True)
    assert Job().sent().result("failed", "DEADLINE_EXCEEDED")[-1] == Finish("expired", take=True)
    assert write().sent().result("uncertain", "UNCERTAIN")[-1] == Finish("uncertain", take=True)


def test_a_harmless_job_whose_capability_crashed_goes_elsewhere_but_not_for_ever() -> None:
    job = Job().sent(A)
    assert job.result("failed", "CAPABILITY_CRASHED") == [AckResult(A, 1), Place(A)]
    job.again(B)
    assert job.result("failed", "CAPABILITY_CRASHED", device=B)[-1] == Place(B)
    job.again(A)
    assert job.end(job.result("failed", "CAPABILITY_CRASHED")) == Finish("failed", take=True)


def test_a_crash_is_the_result_of_what_may_not_be_done_twice_or_is_not_wanted_any_more() -> None:
    assert write().sent(A).result("failed", "CAPABILITY_CRASHED")[-1] == Finish("failed", take=True)
    job = Job().sent(A)
    job.tell(CancelAsked("somebody"))
    assert job.end(job.result("failed", "CAPABILITY_CRASHED")).state == "failed"


def test_a_permit_that_was_used_before_leaves_an_effect_uncertain() -> None:
    job = write().sent()
    assert job.end(job.result("failed", "PERMIT_USED", begun=False)).state == "uncertain"
    assert Job().sent().result("failed", "PERMIT_USED", begun=False)[-1] == Finish("failed", take=True)


def test_an_interruption_is_repeated_only_where_that_is_safe() -> None:
    assert Job().sent().result("interrupted")[-1] == Place(A)
    assert write().sent().result("interrupted", begun=False)[-1] == Place(A)
    job = write().sent()
    assert job.end(job.result("interrupted")).state == "uncertain"


def test_a_device_that_cancels_by_itself() -> None:
    assert Job().sent().result("cancelled")[-1] == Place(A)
    assert write().sent().result("failed", "CANCELLED")[-1] == Finish("cancelled", take=True)


# Too late.


def test_a_late_device_is_told_to_stop_and_gets_a_moment_to_report() -> None:
    job = write().sent()
    job.now = DEADLINE
    assert job.tell(DeadlinePassed()) == [SendCancel(A, 1), ScheduleRetry(DEADLINE + GRACE_MS)]
    assert job.tell(DeadlinePassed()) == []
    assert job.tell(RetryDue()) == []
    job.now = DEADLINE + GRACE_MS
    assert job.end(job.tell(DeadlinePassed())).state == "uncertain"


def test_a_late_device_that_reports_decides_how_it_ended() -> None:
    endings: list[tuple[str, Any]] = [("interrupted", "expired"), ("succeeded", "succeeded")]
    for code, ended in endings:
        job = Job().sent()
        job.now = DEADLINE
        job.tell(DeadlinePassed())
        assert job.result(code)[-1] == Finish(ended, take=True)


def test_a_late_device_that_refuses_to_begin_leaves_the_job_expired() -> None:
    job = write().sent()
    job.now = DEADLINE
    job.tell(DeadlinePassed())
    assert job.result("failed", "BUSY", begun=False)[-1] == Finish("expired", take=True)


def test_a_late_device_that_is_lost_as_well_ends_the_job() -> None:
    job = Job().sent()
    job.now = DEADLINE
    job.tell(DeadlinePassed())
    assert job.end(job.tell(DeviceLost(A))).state == "expired"


# Not wanted any more.


def test_a_job_that_was_not_sent_is_cancelled_at_once() -> None:
    job = write()
    job.tell(Submitted())
    assert job.end(job.tell(CancelAsked("owner"))).state == "cancelled"


def test_a_job_that_was_sent_is_cancelled_when_its_device_says_so() -> None:
    job = write().sent()
    assert job.tell(CancelAsked("owner")) == [SendCancel(A, 1)]
    assert job.tell(RetryDue()) == [SendCancel(A, 1), ScheduleRetry(RESEND_MS)]
    assert job.result("cancelled", "CANCELLED")[-1] == Finish("cancelled", take=True)


def test_a_cancelled_job_that_never_began_is_cancelled() -> None:
    job = write().sent()
    job.tell(CancelAsked("owner"))
    end = job.end(job.result("failed", "BUSY", begun=False))
    assert (end.state, end.code) == ("cancelled", "CANCELLED")


def test_cancelling_what_is_away_is_honest_about_effects() -> None:
    job = Job().sent()
    job.tell(DeviceLost(A))
    assert job.end(job.tell(CancelAsked("owner"))).state == "cancelled"
    job = Job(Effect.WRITE, idempotent=True).sent()
    job.tell(DeviceLost(A))
    assert job.end(job.tell(CancelAsked("owner"))).state == "uncertain"
    job = write().sent()
    job.tell(DeviceLost(A))
    assert job.tell(CancelAsked("owner")) == []
    assert job.tell(DeviceBack(A)) == [SendJob(A, 1), ScheduleRetry(2 * RESEND_MS), SendCancel(A, 1)]


def test_a_cancelled_job_whose_device_is_lost() -> None:
    job = Job().sent()
    job.tell(CancelAsked("owner"))
    assert job.end(job.tell(DeviceLost(A))).state == "cancelled"
    job = write().sent()
    job.tell(CancelAsked("owner"))
    assert job.tell(DeviceLost(A)) == []
    job.now = DEADLINE
    assert job.end(job.tell(DeadlinePassed())).state == "uncertain"


def test_a_cancelled_reading_whose_device_never_answers_is_cancelled() -> None:
    job = Job(Effect.SENSE).sent()
    job.tell(CancelAsked("owner"))
    job.now = DEADLINE
    job.tell(DeadlinePassed())
    job.now += GRACE_MS
    assert job.end(job.tell(DeadlinePassed())).state == "cancelled"


# The coordinator restarts.


def resumed(job: Job, state: Any, device: bytes = b"", epoch: int = 0, lease: Any = "none") -> Job:
    job.machine.resume(state, device, epoch, lease, [])
    return job


def test_a_job_without_a_device_is_placed_after_a_restart() -> None:
    job = resumed(write(), "waiting_device")
    assert job.tell(Restarted(has_permit=False)) == [Place()]


def test_a_job_that_may_have_been_sent_waits_for_its_device_after_a_restart() -> None:
    job = resumed(write(), "queued", A, 3)
    assert job.tell(Restarted(has_permit=True)) == [ScheduleRetry(RECONNECT_MS)]
    assert job.tell(DeviceBack(A))[0] == SendJob(A, 3)


def test_without_its_permit_a_job_gets_a_new_attempt_on_the_same_device() -> None:
    job = resumed(write(), "running", A, 3)
    job.tell(Restarted(has_permit=False))
    assert job.tell(DeviceBack(A)) == [AskPermit(A, 4)]
    assert job.tell(DeviceBack(A)) == []
    assert job.tell(ReviewerGone(4)) == [ScheduleRetry(REVIEWER_MS)]
    assert job.tell(RetryDue()) == [AskPermit(A, 5)]
    assert job.tell(ResultArrived(A, 3, "succeeded"))[-1] == Finish("succeeded", take=True)


def test_a_denial_after_a_restart_leaves_the_device_its_time_to_report() -> None:
    job = resumed(write(), "running", A, 3)
    job.tell(Restarted(has_permit=False))
    job.tell(DeviceBack(A))
    assert job.tell(Refused(4, "DENIED", "no more")) == [ScheduleRetry(RECHECK_MS)]
    assert job.tell(RetryDue()) == [AskPermit(A, 5)]
    job.tell(ApprovalNeeded(5, 50_000))
    assert job.tell(DeviceBack(A)) == []
    assert job.tell(Refused(5, "DENIED", "no more")) == [ScheduleRetry(RECHECK_MS)]
    assert job.words.count("refused") == 1
    job.now = DEADLINE
    job.tell(DeadlinePassed())
    job.now += GRACE_MS
    assert job.end(job.tell(DeadlinePassed())).state == "uncertain"


def test_a_question_outlives_a_restart() -> None:
    for lease in ("chosen", "sent"):
        job = resumed(write(), "waiting_approval", A, 1, lease)
        assert job.tell(Restarted(has_permit=False)) == [ScheduleRetry(DEADLINE)]
        assert job.tell(job.permitted())[0] == SendJob(A, 1)


def test_after_a_restart_a_device_that_stays_away_is_lost() -> None:
    job = resumed(Job(), "running", A, 1)
    job.tell(Restarted(has_permit=True))
    assert job.tell(RetryDue())[0] == SendJob(A, 1)
    assert job.tell(SendFailed(1, "unreachable")) == [Place(A)]


def test_every_state_of_a_job_has_its_topic() -> None:
    assert tuple(JOB_STATES) == STATES
