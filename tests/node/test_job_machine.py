"""The node's job machine: its rules one by one, then whatever order of events hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kindmesh.node import machine as machine_module
from kindmesh.node.job_events import (
    AcceptWritten,
    Acknowledge,
    CancelAsked,
    DeadlinePassed,
    Event,
    Failed,
    Fetch,
    Finished,
    InputsReady,
    Instruction,
    IntentWritten,
    JobArrived,
    Order,
    Record,
    Refuse,
    Report,
    Restarted,
    ResultWriteFailed,
    ResultWritten,
    RetryDue,
    RetryLater,
    Run,
    StopWork,
    WriteAccept,
    WriteEpoch,
    WriteFailed,
    WriteIntent,
    WriteResult,
)
from kindmesh.node.machine import JobMachine
from kindmesh.protocol.errors import (
    Busy,
    Cancelled,
    CapabilityCrashed,
    DeadlineExceeded,
    DiskFull,
    InternalError,
    Interrupted,
    InvalidInput,
    InvalidTransition,
    PermitStale,
    PermitUsed,
    Stopped,
    Uncertain,
)

JOB = b"j" * 16
NOW = 1_000
LATE = 10_000


def order(epoch: int = 1, **changes: Any) -> Order:
    base = Order(
        job_id=JOB, epoch=epoch, run_id=b"r" * 16, operation="notes.append", permit_id=b"p%015d" % epoch,
        sender=b"c" * 20, deadline_ms=LATE, mode="full", repeatable=False,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def record(epoch: int = 1, **changes: Any) -> Record:
    base = Record(
        job_id=JOB, epoch=epoch, run_id=b"r" * 16, operation="notes.append", permit_id=b"p%015d" % epoch,
        sender=b"c" * 20, state="done", repeatable=False, begun=True, outcome="succeeded",
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


class Driven:
    """A machine, and all that it said."""

    def __init__(self) -> None:
        self.machine = JobMachine()
        self.said: list[Instruction] = []

    def __call__(self, event: Event, now_ms: int = NOW) -> list[Instruction]:
        steps = self.machine.handle(event, now_ms)
        self.machine.validate()
        self.said += steps
        return steps

    def kinds(self, event: Event) -> list[str]:
        return [type(step).__name__ for step in self(event)]

    def to_running(self, **changes: Any) -> None:
        self(JobArrived(order(**changes)))
        self(IntentWritten(JOB, 1))

    def result(self) -> WriteResult:
        found = [step for step in self.said if isinstance(step, WriteResult)]
        return found[-1]


@pytest.fixture
def driven() -> Driven:
    return Driven()


def test_an_effect_runs_only_after_its_intent_is_on_the_disk(driven: Driven) -> None:
    assert driven.kinds(JobArrived(order())) == ["WriteIntent"]
    assert driven.machine.state(JOB) == "intending"
    assert driven.kinds(IntentWritten(JOB, 1)) == ["Run", "Acknowledge"]
    assert driven.kinds(Finished(JOB, 1, b"v")) == ["WriteResult"]
    assert driven.kinds(ResultWritten(JOB, 1)) == ["Report"]
    assert driven.machine.state(JOB) == "absent"
    assert len(driven.machine) == 0


def test_a_quick_read_begins_while_its_intent_is_written(driven: Driven) -> None:
    assert driven.kinds(JobArrived(order(mode="shared", repeatable=True))) == ["Run", "WriteIntent"]
    assert driven.kinds(Finished(JOB, 1, b"v")) == ["WriteResult"]
    assert driven.kinds(IntentWritten(JOB, 1)) == []
    assert driven.kinds(ResultWritten(JOB, 1)) == ["Report"]


def test_a_slow_read_is_acknowledged_when_its_intent_is_written(driven: Driven) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True)))
    assert driven.kinds(IntentWritten(JOB, 1)) == ["Acknowledge"]


def test_a_quick_read_whose_intent_cannot_be_written_is_refused_and_its_answer_thrown_away(
    driven: Driven,
) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True)))
    driven(Finished(JOB, 1, b"v"))
    steps = driven(WriteFailed(JOB, 1, DiskFull()))
    assert [type(step) for step in steps] == [Refuse]
    assert driven.kinds(ResultWriteFailed(JOB, 1)) == []


@pytest.mark.parametrize("also_cancelled", [False, True])
def test_a_quick_read_is_stopped_when_its_intent_fails_in_the_middle(
    driven: Driven, also_cancelled: bool
) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True)))
    if also_cancelled:
        driven(CancelAsked(JOB, 1, Cancelled()))
    assert driven.kinds(WriteFailed(JOB, 1, DiskFull())) == ["StopWork", "Refuse"]


def test_inputs_are_fetched_between_accept_and_intent(driven: Driven) -> None:
    assert driven.kinds(JobArrived(order(fetch=True))) == ["WriteAccept"]
    assert driven.kinds(AcceptWritten(JOB, 1)) == ["Acknowledge", "Fetch"]
    assert driven.kinds(InputsReady(JOB, 1)) == ["WriteIntent"]
    assert driven.kinds(IntentWritten(JOB, 1)) == ["Run", "Acknowledge"]


def test_inputs_that_cannot_be_had_fail_the_job_without_anything_begun(driven: Driven) -> None:
    driven(JobArrived(order(fetch=True)))
    driven(AcceptWritten(JOB, 1))
    driven(Failed(JOB, 1, InvalidInput()))
    assert (driven.result().outcome, driven.result().begun) == ("failed", False)


@pytest.mark.parametrize("fetch", [True, False])
def test_a_full_disk_at_accept_or_intent_refuses_the_job_and_nothing_runs(
    driven: Driven, fetch: bool
) -> None:
    driven(JobArrived(order(fetch=fetch)))
    steps = driven(WriteFailed(JOB, 1, DiskFull()))
    assert [type(step) for step in steps] == [Refuse]
    assert driven.machine.state(JOB) == "absent"
    assert not [step for step in driven.said if isinstance(step, Run)]


def test_a_full_disk_at_result_keeps_it_and_tries_again(driven: Driven) -> None:
    driven.to_running()
    driven(Finished(JOB, 1, b"v"))
    assert driven.kinds(ResultWriteFailed(JOB, 1)) == ["RetryLater"]
    assert driven.machine.state(JOB) == "unsaved"
    assert driven.kinds(CancelAsked(JOB, 1, Cancelled())) == []
    assert driven.kinds(DeadlinePassed(JOB, 1)) == []
    assert driven.kinds(JobArrived(order())) == []
    assert driven(RetryDue(JOB, 1)) == [driven.result()]
    assert driven.kinds(ResultWritten(JOB, 1)) == ["Report"]


def test_the_same_job_and_epoch_never_runs_twice(driven: Driven) -> None:
    assert driven.kinds(JobArrived(order())) == ["WriteIntent"]
    assert driven.kinds(JobArrived(order())) == []
    driven(IntentWritten(JOB, 1))
    assert driven.kinds(JobArrived(order())) == ["Acknowledge"]
    driven(Finished(JOB, 1, b"v"))
    assert driven.kinds(JobArrived(order())) == []
    driven(ResultWritten(JOB, 1))
    assert driven.kinds(JobArrived(order(), record())) == ["Report"]
    assert len([step for step in driven.said if isinstance(step, Run)]) == 1


def test_a_job_that_only_was_accepted_says_so_when_it_comes_again(driven: Driven) -> None:
    driven(JobArrived(order(fetch=True)))
    driven(AcceptWritten(JOB, 1))
    [step] = driven(JobArrived(order(fetch=True)))
    assert isinstance(step, Acknowledge)
    assert step.state == "accepted"


@pytest.mark.parametrize("open_here", [True, False])
def test_a_second_permit_for_the_same_attempt_is_refused(driven: Driven, open_here: bool) -> None:
    known = record()
    if open_here:
        driven.to_running()
    [step] = driven(JobArrived(order(permit_id=b"x" * 16), None if open_here else known))
    assert isinstance(step, Refuse)
    assert isinstance(step.error, PermitUsed)


@pytest.mark.parametrize("open_here", [True, False])
def test_a_lower_epoch_is_refused(driven: Driven, open_here: bool) -> None:
    if open_here:
        driven(JobArrived(order(3)))
    [step] = driven(JobArrived(order(2), None if open_here else record(3)))
    assert isinstance(step, Refuse)
    assert isinstance(step.error, PermitStale)


@pytest.mark.parametrize("written", [True, False])
def test_a_higher_epoch_takes_over_what_runs(driven: Driven, written: bool) -> None:
    driven(JobArrived(order()))
    if written:
        driven(IntentWritten(JOB, 1))
    steps = driven(JobArrived(order(2)))
    assert [type(step) for step in steps] == ([WriteEpoch, Acknowledge] if written else [WriteEpoch])
    if not written:
        driven(IntentWritten(JOB, 1))
    driven(Finished(JOB, 1, b"v"))
    assert driven.result().order.epoch == 2
    assert driven.result().order.permit_id == order(2).permit_id
    assert len([step for step in driven.said if isinstance(step, Run)]) == 1


def test_a_higher_epoch_during_the_fetch_is_acknowledged_as_accepted(driven: Driven) -> None:
    driven(JobArrived(order(fetch=True)))
    driven(AcceptWritten(JOB, 1))
    steps = driven(JobArrived(order(2, fetch=True)))
    assert isinstance(steps[1], Acknowledge)
    assert steps[1].state == "accepted"


@pytest.mark.parametrize("ending", [CancelAsked(JOB, 1, Cancelled()), Finished(JOB, 1, b"v")])
def test_a_higher_epoch_waits_for_an_attempt_that_is_just_ending(driven: Driven, ending: Event) -> None:
    driven.to_running()
    driven(ending)
    [step] = driven(JobArrived(order(2)))
    assert isinstance(step, Refuse)
    assert isinstance(step.error, Busy)


def known_cases() -> list[tuple[Record, list[str]]]:
    return [
        (record(outcome="succeeded"), ["WriteEpoch", "Report"]),
        (record(outcome="failed"), ["WriteEpoch", "Report"]),
        (record(outcome="uncertain"), ["WriteEpoch", "Report"]),
        (record(outcome="cancelled"), ["WriteEpoch", "Report"]),
        (record(outcome="succeeded", repeatable=True), ["WriteEpoch", "Report"]),
        (record(outcome="failed", repeatable=True), ["WriteIntent"]),
        (record(outcome="interrupted", repeatable=True), ["WriteIntent"]),
        (record(outcome="failed", begun=False), ["WriteIntent"]),
        (record(outcome="interrupted", begun=False), ["WriteIntent"]),
        (record(state="accepted", outcome="", begun=False), ["WriteIntent"]),
    ]


@pytest.mark.parametrize(("known", "said"), known_cases())
def test_a_later_epoch_of_a_known_job_runs_only_where_that_cannot_double_an_effect(
    driven: Driven, known: Record, said: list[str]
) -> None:
    assert driven.kinds(JobArrived(order(2), known)) == said


@pytest.mark.parametrize("fetch", [True, False])
def test_a_job_past_its_deadline_is_refused(driven: Driven, fetch: bool) -> None:
    [step] = driven(JobArrived(order(fetch=fetch)), LATE)
    assert isinstance(step, Refuse)
    assert isinstance(step.error, DeadlineExceeded)
    assert len(driven.machine) == 0


@pytest.mark.parametrize(("fetch", "written"), [(True, False), (True, True), (False, False)])
@pytest.mark.parametrize("deadline", [True, False])
def test_what_has_not_begun_ends_at_once(driven: Driven, fetch: bool, written: bool, deadline: bool) -> None:
    driven(JobArrived(order(fetch=fetch)))
    if written:
        driven(AcceptWritten(JOB, 1))
    event: Event = DeadlinePassed(JOB, 1) if deadline else CancelAsked(JOB, 1, Cancelled("by hand"))
    work, result = driven(event)
    assert isinstance(work, StopWork)
    assert work.abandon
    assert isinstance(result, WriteResult)
    assert (result.outcome, result.begun) == ("failed" if deadline else "cancelled", False)
    late: Event = AcceptWritten(JOB, 1) if fetch and not written else IntentWritten(JOB, 1)
    assert driven(late) == []
    assert driven(WriteFailed(JOB, 1, DiskFull())) == []
    assert driven.kinds(ResultWritten(JOB, 1)) == ["Report"]
    for gone in (AcceptWritten, IntentWritten, ResultWritten, ResultWriteFailed):
        assert driven(gone(JOB, 1)) == []
    assert driven(WriteFailed(JOB, 1, DiskFull())) == []
    assert driven(CancelAsked(JOB, 1, Cancelled())) == []


ENDINGS: list[tuple[Callable[[], Exception], bool, str]] = [
    (InvalidInput, False, "failed"),
    (CapabilityCrashed, False, "uncertain"),
    (DeadlineExceeded, False, "uncertain"),
    (InternalError, False, "uncertain"),
    (Interrupted, False, "uncertain"),
    (InvalidInput, True, "failed"),
    (CapabilityCrashed, True, "failed"),
    (DeadlineExceeded, True, "failed"),
    (Interrupted, True, "interrupted"),
]


@pytest.mark.parametrize(("error", "repeatable", "outcome"), ENDINGS)
def test_an_ending_that_leaves_an_effect_open_is_uncertain(
    driven: Driven, error: Callable[[], Any], repeatable: bool, outcome: str
) -> None:
    driven.to_running(repeatable=repeatable)
    driven(Failed(JOB, 1, error()))
    assert driven.result().outcome == outcome
    assert isinstance(driven.result().error, Uncertain) == (outcome == "uncertain")


@pytest.mark.parametrize(
    ("why", "repeatable", "outcome"),
    [
        (Cancelled("by hand"), True, "cancelled"),
        (Stopped("stop"), False, "cancelled"),
        (Interrupted("off"), True, "interrupted"),
        (Interrupted("off"), False, "uncertain"),
    ],
)
@pytest.mark.parametrize("deadline", [True, False])
def test_a_wish_to_end_decides_the_outcome(
    driven: Driven, why: Any, repeatable: bool, outcome: str, deadline: bool
) -> None:
    driven.to_running(repeatable=repeatable)
    [work] = driven(CancelAsked(JOB, 1, why))
    assert isinstance(work, StopWork)
    assert not work.abandon
    assert driven(CancelAsked(JOB, 1, why)) == []
    driven(DeadlinePassed(JOB, 1) if deadline else Failed(JOB, 1, Cancelled()))
    result = driven.result()
    assert result.outcome == outcome
    if isinstance(why, Stopped):
        assert result.error is not None
        assert "part of it" in result.error.message


def test_what_ends_well_before_it_could_be_cancelled_has_succeeded(driven: Driven) -> None:
    driven.to_running()
    driven(CancelAsked(JOB, 1, Cancelled()))
    driven(Finished(JOB, 1, b"v"))
    assert driven.result().outcome == "succeeded"


def test_a_quick_read_may_be_cancelled_before_its_intent_is_written(driven: Driven) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True)))
    driven(CancelAsked(JOB, 1, Cancelled()))
    assert driven(IntentWritten(JOB, 1)) == []
    driven(Failed(JOB, 1, Cancelled()))
    assert driven.result().outcome == "cancelled"


def test_a_capability_that_does_not_end_is_left_behind(driven: Driven) -> None:
    driven.to_running()
    work, result = driven(DeadlinePassed(JOB, 1))
    assert isinstance(work, StopWork)
    assert work.abandon
    assert isinstance(result, WriteResult)
    assert result.outcome == "uncertain"


def test_an_unsaved_result_on_credit_is_refused_when_its_intent_fails_later(driven: Driven) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True)))
    driven(Finished(JOB, 1, b"v"))
    driven(ResultWriteFailed(JOB, 1))
    assert driven.kinds(WriteFailed(JOB, 1, DiskFull())) == ["Refuse"]


@pytest.mark.parametrize("credit", [True, False])
def test_late_news_of_the_disk_about_an_unsaved_result_changes_nothing(driven: Driven, credit: bool) -> None:
    driven(JobArrived(order(mode="shared", repeatable=True) if credit else order(fetch=True)))
    driven(Finished(JOB, 1, b"v") if credit else CancelAsked(JOB, 1, Cancelled()))
    driven(ResultWriteFailed(JOB, 1))
    assert driven(IntentWritten(JOB, 1) if credit else AcceptWritten(JOB, 1)) == []
    assert driven(WriteFailed(JOB, 1, DiskFull())) == []


@pytest.mark.parametrize(
    ("known", "outcome"),
    [
        (record(state="accepted", outcome="", begun=False), "interrupted"),
        (record(state="intent", outcome="", repeatable=True), "interrupted"),
        (record(state="intent", outcome=""), "uncertain"),
    ],
)
def test_after_a_restart_an_intent_without_result_is_interrupted_or_uncertain(
    driven: Driven, known: Record, outcome: str
) -> None:
    assert driven.kinds(Restarted((known,))) == ["WriteResult"]
    assert driven.result().outcome == outcome
    assert driven.machine.find(JOB) is not None
    assert driven.machine.open_jobs()[0][2] == "saving"


def test_after_a_restart_results_that_were_not_taken_are_reported(driven: Driven) -> None:
    assert driven(Restarted((record(),))) == [Report(JOB)]
    assert driven.machine.find(JOB) is None


def test_an_event_that_the_table_lacks_is_our_bug_and_tells_the_story(driven: Driven) -> None:
    driven(JobArrived(order()))
    driven(IntentWritten(JOB, 1))
    with pytest.raises(InvalidTransition) as caught:
        driven(ResultWritten(JOB, 1))
    assert caught.value.story == ("intending+IntentWritten",)
    with pytest.raises(InvalidTransition):
        driven(Finished(JOB, 7, b"v"))


def test_the_story_does_not_grow_for_ever(driven: Driven) -> None:
    driven.to_running()
    driven(CancelAsked(JOB, 1, Cancelled()))
    for _ in range(50):
        driven(CancelAsked(JOB, 1, Cancelled()))
    with pytest.raises(InvalidTransition) as caught:
        driven(RetryDue(JOB, 1))
    assert len(caught.value.story) < 30


def test_a_broken_rule_is_noticed(driven: Driven) -> None:
    driven.to_running()
    entry = driven.machine._open[JOB]
    entry.begun = False
    with pytest.raises(InternalError):
        driven.machine.validate()


def test_every_state_is_in_the_table() -> None:
    states = {state for state, _ in machine_module._TABLE}
    assert states == {
        "absent",
        "accepting",
        "fetching",
        "intending",
        "running",
        "stopping",
        "saving",
        "unsaved",
    }


class NodeUnderStress(RuleBasedStateMachine):
    """A machine with a disk that may fail and a process that may die; counts what really happened."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = JobMachine()
        self.now = 0
        self.disk: dict[bytes, Record] = {}
        self.pending: list[tuple[Instruction, bool]] = []
        self.live: dict[tuple[bytes, int], Order] = {}
        self.began: dict[bytes, list[int]] = {}
        self.reported: dict[bytes, int] = {}
        self.epochs: dict[bytes, int] = {}
        self.refused: Order | None = None
        self.shapes: dict[bytes, dict[str, Any]] = {}

    def do(self, event: Event) -> None:
        self.now += 1
        for step in self.machine.handle(event, self.now):
            self.machine.validate()
            self.act(step)

    def act(self, step: Instruction) -> None:
        match step:
            case Run(order=asked, attempt=attempt):
                self.live[asked.job_id, attempt] = asked
                self.began.setdefault(asked.job_id, []).append(asked.epoch)
                on_disk = self.disk.get(asked.job_id)
                if asked.mode != "shared":
                    assert on_disk is not None
                    assert on_disk.state == "intent"
            case StopWork(job_id=job_id, attempt=attempt, abandon=True):
                self.live.pop((job_id, attempt), None)
            case WriteAccept() | WriteIntent() | WriteResult():
                self.pending.append((step, isinstance(step, WriteResult)))
            case WriteEpoch(order=asked):
                if asked.job_id in self.disk:
                    self.disk[asked.job_id] = msgspec.structs.replace(
                        self.disk[asked.job_id], epoch=asked.epoch, permit_id=asked.permit_id
                    )
            case Fetch(order=asked, attempt=attempt):
                self.live[asked.job_id, attempt] = asked
            case Report(job_id=job_id):
                assert self.disk[job_id].state == "done", "a result is reported only after it was written"
                self.reported[job_id] = self.reported.get(job_id, 0) + 1
            case RetryLater(job_id=job_id, attempt=attempt):
                self.do(RetryDue(job_id, attempt))
            case Refuse(order=asked):
                self.refused = asked
                if self.machine.find(asked.job_id) is None:  # it was never accepted, so it was not seen
                    known = self.disk.get(asked.job_id)
                    self.epochs[asked.job_id] = known.epoch if known is not None else 0
            case Acknowledge() | StopWork():
                pass

    @rule(number=st.integers(0, 3), epoch=st.integers(1, 4), data=st.data())
    def job_comes(self, number: int, epoch: int, data: st.DataObject) -> None:
        job_id = b"job%013d" % number
        if job_id not in self.shapes:
            repeatable = data.draw(st.booleans())
            mode = data.draw(st.sampled_from(["shared", "normal"] if repeatable else ["full"]))
            fetch = data.draw(st.booleans())
            self.shapes[job_id] = {
                "repeatable": repeatable,
                "mode": "normal" if fetch else mode,
                "fetch": fetch,
            }
        asked = order(epoch, job_id=job_id, deadline_ms=10**9, **self.shapes[job_id])
        known = None if self.machine.find(job_id) else self.disk.get(job_id)
        highest = self.epochs.get(job_id, 0)
        before = len(self.began.get(job_id, []))
        self.do(JobArrived(asked, known))
        if epoch < highest and (known is not None or self.machine.find(job_id)):
            assert len(self.began.get(job_id, [])) == before, "a lower epoch never runs"
        if self.refused is not asked and (known is not None or self.machine.find(job_id)):
            self.epochs[job_id] = max(highest, epoch)

    @precondition(lambda self: self.pending)
    @rule(works=st.integers(0, 9))
    def disk_answers(self, works: int) -> None:
        step, is_result = self.pending.pop(0)
        assert isinstance(step, (WriteAccept, WriteIntent, WriteResult))
        job_id, attempt = step.order.job_id, step.attempt
        if works < 2:
            self.do(
                ResultWriteFailed(job_id, attempt) if is_result else WriteFailed(job_id, attempt, DiskFull())
            )
            return
        state = {WriteAccept: "accepted", WriteIntent: "intent", WriteResult: "done"}[type(step)]
        known = self.disk.get(job_id)
        found = self.machine.find(job_id)
        newest = found[0] if found is not None and found[1] == attempt else step.order
        self.disk[job_id] = record(
            newest.epoch, job_id=job_id, state=state, repeatable=step.order.repeatable, permit_id=newest.permit_id,
            begun=step.begun if isinstance(step, WriteResult) else state == "intent",
            outcome=step.outcome if isinstance(step, WriteResult) else "",
        )  # fmt: skip
        if known is not None and known.state == "done" and state != "done" and found is None:
            self.disk[job_id] = known
        answers: dict[str, Event] = {
            "accepted": AcceptWritten(job_id, attempt), "intent": IntentWritten(job_id, attempt),
            "done": ResultWritten(job_id, attempt),
        }  # fmt: skip
        self.do(answers[state])

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def work_ends(self, data: st.DataObject) -> None:
        job_id, attempt = data.draw(st.sampled_from(sorted(self.live)))
        del self.live[job_id, attempt]
        if self.machine.state(job_id) == "fetching":
            self.do(
                InputsReady(job_id, attempt) if data.draw(st.booleans()) else Failed(job_id, attempt, Busy())
            )
            return
        error = data.draw(st.sampled_from([None, InvalidInput(), CapabilityCrashed(), Cancelled()]))
        self.do(Finished(job_id, attempt, b"v") if error is None else Failed(job_id, attempt, error))

    @rule(number=st.integers(0, 3), what=st.sampled_from([Cancelled, Stopped, Interrupted, None]))
    def somebody_or_the_clock_ends_it(self, number: int, what: Any) -> None:
        found = self.machine.find(b"job%013d" % number)
        if found is not None:
            job_id, attempt = found[0].job_id, found[1]
            self.do(DeadlinePassed(job_id, attempt) if what is None else CancelAsked(job_id, attempt, what()))

    @rule()
    def process_is_killed(self) -> None:
        self.machine, self.pending, self.live = JobMachine(), [], {}
        self.epochs = {job_id: known.epoch for job_id, known in self.disk.items()}
        self.do(Restarted(tuple(known for known in self.disk.values() if known.state != "done")))

    @invariant()
    def no_effect_twice(self) -> None:
        for job_id, attempts in self.began.items():
            if not self.shapes[job_id]["repeatable"]:
                assert len(attempts) <= 1, f"an effect ran {len(attempts)} times"
            elif self.shapes[job_id]["mode"] != "shared":
                assert len(attempts) == len(set(attempts)), "the same attempt ran again"


TestNodeUnderStress = NodeUnderStress.TestCase
TestNodeUnderStress.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
