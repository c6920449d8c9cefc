"""One job's way from submitted to ended: events in, instructions out. Words and drawing in `machine_words`; the rules
of the table in `machine_start` and `machine_end`.

What it decides: when to place, permit, send, send again, move, give up. Rules that always hold:
- a job ends exactly once, and only `Finish` ends it; results of an older attempt are acknowledged and change nothing;
- what is neither idempotent nor read-only is never placed again once it may have begun, unless its device itself said
  that it refused to begin; its device is waited for until the deadline, then it is `uncertain`;
- an effect whose outcome nobody knows ends as `uncertain`, never as failed or cancelled;
- a verdict counts only for the attempt it was asked for, and nothing is sent without one;
- what makes room for something more urgent, or leaves a device that is switched off, may be done again;
- two devices may work on what may be done again, each under an epoch and a permit of its own; the first success counts;
- an open job always has somebody it waits for: placement, Medulla, a person, a device, or a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kindmesh.coordinator.heart import machine_end as end
from kindmesh.coordinator.heart import machine_hedge as hedge
from kindmesh.coordinator.heart import machine_move as move
from kindmesh.coordinator.heart import machine_start as start
from kindmesh.coordinator.heart.machine_job import Job
from kindmesh.coordinator.heart.machine_words import (
    STATES,
    Accepted,
    ApprovalNeeded,
    CancelAsked,
    DeadlinePassed,
    DeviceBack,
    DeviceDrains,
    DeviceLost,
    DeviceRemoved,
    Event,
    HedgeDue,
    Instruction,
    NoCandidate,
    Permitted,
    Placed,
    Preempted,
    Refused,
    Restarted,
    ResultArrived,
    RetryDue,
    ReviewerGone,
    Running,
    SecondPlaced,
    SendFailed,
    State,
    Submitted,
)

_Rule: TypeAlias = Callable[..., list[Instruction]]


class JobMachine(Job):
    """One job. See the module."""

    __slots__ = ()

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do now.

        Raises:
            InvalidTransition: the table has no such pair; nothing was changed.
        """
        rule = _TABLE.get((self.state, type(event)))
        if rule is None:
            raise self.invalid(event)
        return rule(self, event, now_ms)


_OPEN: Final[tuple[State, ...]] = STATES[:6]


def _rows(event: type[Event], rule: _Rule, *states: State) -> dict[tuple[str, type], _Rule]:
    return dict.fromkeys([(state, event) for state in states], rule)


_TABLE: Final[dict[tuple[str, type], _Rule]] = {
    **_rows(Submitted, start.on_submitted, "queued"),
    **_rows(Restarted, end.on_restarted, "queued", "waiting_approval", "placed"),
    **_rows(Placed, start.on_placed, "queued", "waiting_device"),
    **_rows(NoCandidate, start.on_no_candidate, "queued", "waiting_device"),
    **_rows(Permitted, start.on_permitted, *_OPEN),
    **_rows(ApprovalNeeded, start.on_approval_needed, *_OPEN),
    **_rows(Refused, start.on_refused, *_OPEN),
    **_rows(ReviewerGone, start.on_reviewer_gone, *_OPEN),
    **_rows(SendFailed, start.on_send_failed, *_OPEN),
    **_rows(Accepted, start.on_accepted, "placed", "accepted"),
    **_rows(Running, start.on_running, "placed", "accepted"),
    **_rows(ResultArrived, end.on_result, *_OPEN),
    **_rows(DeviceLost, end.on_lost, *_OPEN),
    **_rows(DeviceRemoved, end.on_removed, *_OPEN),
    **_rows(DeviceBack, end.on_back, *_OPEN),
    **_rows(DeadlinePassed, end.on_deadline, *_OPEN),
    **_rows(RetryDue, end.on_retry, *_OPEN),
    **_rows(CancelAsked, end.on_cancel, *_OPEN),
    **_rows(HedgeDue, hedge.on_hedge_due, *_OPEN),
    **_rows(SecondPlaced, hedge.on_second_placed, *_OPEN),
    **_rows(Preempted, move.on_preempted, *_OPEN),
    **_rows(DeviceDrains, move.on_drains, *_OPEN),
}
"""The one table: what may happen in which state. A driver forgets a job that has ended, so ended states have no row."""

__all__ = ["JobMachine"]
