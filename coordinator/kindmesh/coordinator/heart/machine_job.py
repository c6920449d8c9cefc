"""What is known of one job between two events, and the small steps that several rules share. See `machine`.

The *lease* says which device may be working on it: `none`; `chosen` (nothing was sent yet); `sent` (it may have begun);
`freed` (it may have begun, its device is away, and doing it again is harmless). `validate` lists what always holds.
"""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.heart.machine_words import (
    ENDED,
    STATES,
    AskPermit,
    Event,
    Finish,
    Instruction,
    Lease,
    ScheduleRetry,
    SendCancel,
    SendJob,
    State,
    StoryDetail,
    StoryEntry,
)
from kindmesh.protocol.errors import InvalidTransition
from kindmesh.protocol.manifest import Effect

RESEND_MS: Final = 2_000
"""A job that was sent and not accepted is sent again after this, then twice this, and so on."""
RECONNECT_MS: Final = 5_000
"""How long after a restart devices have to come back before their jobs move."""
RECHECK_MS: Final = 5_000
"""A job that no device can do now is placed again at least this often."""
REVIEWER_MS: Final = 500
LINK_MS: Final = 250
"""How long a job waits that could not be handed to the link."""
BACKOFF_MS: Final = 50
BACKOFF_MAX_MS: Final = 5_000
GRACE_MS: Final = 3_000
"""A device reports an overdue job by itself; after this we decide without it."""
CRASHES_MAX: Final = 2
"""So often a harmless job whose capability crashed is done anew; then the job itself may be to blame."""
LOSSES_MAX: Final = 5
"""A job that ended this many attempts by the loss of its device or process is given up."""
REFUSALS_MAX: Final = 5
STORY_MAX: Final = 200

READ_ONLY: Final = int(Effect.READ)
NO_EFFECT: Final = int(Effect.READ | Effect.SENSE)
OUTDATED: Final = frozenset({"PERMIT_EXPIRED", "PERMIT_STALE"})
"""Refusals to begin that every other copy of the same attempt would meet as well."""
ELSEWHERE: Final = OUTDATED | {
    "BUSY", "CAPABILITY_MISSING", "CAPABILITY_QUARANTINED", "DISK_FULL", "UNKNOWN_OPERATION",
}  # fmt: skip
"""Refusals to begin that another attempt may not meet."""

_ON_DEVICE: Final = frozenset({"placed", "accepted", "running"})


class Job:
    """`movable`: doing it again is harmless (idempotent, or it only reads); `effectful`: does more than read or sense.

    `epoch` is that of the attempt that counts, `top` the highest ever given out; `second` the device of a second
    attempt beside it, or empty; `hedge_ms` after how long one is wanted, negative: never.
    `budget_ms` is the time it may take when nobody set a deadline (it starts anew when a person has approved), else 0.
    """

    __slots__ = (
        "approved", "asking", "avoid", "base", "budget_ms", "cancel_by", "deadline_ms", "device", "effectful",
        "epoch", "gone_noted", "hedge_ms", "job_id", "lease", "leaving", "losses", "movable", "older",
        "overdue", "permitted", "preempted", "refusals", "second", "second_asking", "second_epoch",
        "second_sent", "sends", "state", "story", "top", "why",
    )  # fmt: skip

    def __init__(
        self,
        job_id: bytes,
        *,
        effects: int,
        idempotent: bool,
        deadline_ms: int,
        budget_ms: int = 0,
        hedge_ms: int = -1,
    ) -> None:
        self.job_id = job_id
        self.movable = idempotent or effects & ~READ_ONLY == 0
        self.effectful = effects & ~NO_EFFECT != 0
        self.deadline_ms = deadline_ms
        self.budget_ms = budget_ms
        self.state: State = "queued"
        self.lease: Lease = "none"
        self.device = b""
        self.epoch = self.top = 0
        self.hedge_ms = hedge_ms
        self.forget_second()
        self.base = 0
        self.asking = False
        self.permitted = False
        self.approved = False
        self.sends = 0
        self.losses = 0
        self.refusals = 0
        self.cancel_by = ""
        self.overdue = False
        self.avoid = b""
        self.why = ""
        self.gone_noted = False
        self.preempted = False
        self.leaving = False
        self.older: dict[bytes, int] = {}
        self.story: list[StoryEntry] = []

    @property
    def wants_place(self) -> bool:
        """Whether Placed or NoCandidate is welcome now."""
        return self.state in ("queued", "waiting_device") and self.lease in ("none", "freed")

    @property
    def may_make_room(self) -> bool:
        """Whether it works on a device, may be done again, and nobody wants it to end anyway."""
        given_up = self.preempted or self.overdue or bool(self.cancel_by)
        return self.state in _ON_DEVICE and self.movable and not given_up

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.state in ENDED

    def resume(self, state: State, device: bytes, epoch: int, lease: Lease, story: list[StoryEntry]) -> None:
        """Take over what the journal has of an open job; follow with Restarted.

        A device in the journal counts as one that may have the job, except where a person was asked first.
        """
        self.state, self.device, self.epoch, self.base, self.story = state, device, epoch, epoch, story
        self.top = epoch
        if state == "waiting_approval":
            self.lease, self.asking, self.sends = lease, True, 2 if lease == "sent" else 0
        elif device:
            self.lease, self.state, self.sends = "sent", "placed", 2
        else:
            self.state = "queued"

    def forget_second(self) -> None:
        """There is no second attempt."""
        self.second, self.second_epoch, self.second_asking, self.second_sent = b"", 0, False, False

    @property
    def may_hedge(self) -> bool:
        """Whether a second attempt would be harmless, and is wanted."""
        return self.movable and self.hedge_ms >= 0

    def note(self, now_ms: int, what: str, device: bytes = b"", detail: StoryDetail = "") -> None:
        """Write a line of the story; a story never grows beyond STORY_MAX lines: the oldest repetitions go."""
        if len(self.story) >= STORY_MAX:
            del self.story[STORY_MAX // 2 : STORY_MAX // 2 + 10]
        self.story.append((now_ms, what, device, detail))

    def validate(self) -> None:
        """Check what must hold between any two events; tests call it after each.

        Raises:
            InvalidTransition: which rule is broken.
        """
        broken = [
            name
            for name, holds in (
                ("a known state", self.state in STATES),
                ("on a device only with a lease", self.state not in _ON_DEVICE or self.lease == "sent"),
                ("a lease names a device and an attempt", (self.lease == "none") == (not self.device)),
                ("an attempt has a number", self.lease == "none" or 0 < self.base <= self.epoch),
                ("sent is counted", (self.sends > 0) == (self.lease in ("sent", "freed"))),
                ("only harmless jobs are freed", self.lease != "freed" or self.movable),
                ("a person is asked about one attempt", self.state != "waiting_approval" or self.asking),
                ("verdicts are for attempts", not self.asking or self.lease in ("chosen", "sent")),
                ("sent only with a permit", self.sends == 0 or self.permitted or self.sends > 1),
                ("no attempt is above the highest", self.epoch <= self.top and self.second_epoch <= self.top),
                ("only harmless jobs are hedged", not self.second or (self.movable and self.lease == "sent")),
                ("two attempts are on two devices", not self.second or self.second != self.device),
                ("two attempts have two numbers", not self.second or self.second_epoch != self.epoch),
                ("a second attempt has a device", bool(self.second) == (self.second_epoch > 0)),
                ("only harmless jobs make room", not self.preempted or self.movable),
                (
                    "only what left a device is leaving it",
                    not self.leaving or self.lease in ("freed", "sent"),
                ),
                ("overdue only on a device", not self.overdue or self.lease == "sent" or self.ended),
            )
            if not holds
        ]
        if broken:
            raise self.error(f"broken: {'; '.join(broken)}")

    def take(self, lease: Lease, device: bytes = b"") -> None:
        """A fresh lease, or none: nothing of the last attempt counts any more."""
        self.lease, self.device = lease, device
        self.sends, self.permitted, self.asking, self.approved = 0, False, False, False
        self.preempted = self.leaving = False

    def send(self, now_ms: int) -> list[Instruction]:
        """Send this attempt (again), and look again if it is not accepted."""
        self.sends += 1
        self.lease, self.state = "sent", "placed"
        return [SendJob(self.device, self.epoch), ScheduleRetry(now_ms + self.resend_ms())]

    def resend_ms(self) -> int:
        """After how long what was sent and not accepted is sent again."""
        return min(RESEND_MS << min(self.sends - 1, 4), BACKOFF_MAX_MS * 4) if self.sends else RESEND_MS

    def ask_again(self) -> list[Instruction]:
        """Ask Medulla, unless it is being asked. What was sent before without a permit that we still have becomes a
        new attempt on the same device, which knows what it did under the older one."""
        if self.asking:
            return []
        if self.lease == "sent":
            self.top += 1
            self.epoch = self.top
        self.asking = True
        return [AskPermit(self.device, self.epoch)]

    def finish(self, now_ms: int, how: Finish) -> list[Instruction]:
        """End the job."""
        self.state, self.asking = how.state, False
        self.note(now_ms, how.state, b"", how.message or how.code)
        device, epoch, sent = self.second, self.second_epoch, self.second_sent
        self.forget_second()
        return [SendCancel(device, epoch), how] if sent else [how]

    def answers(self, epoch: int) -> bool:
        """Whether a verdict for this attempt is awaited."""
        return self.asking and epoch == self.epoch

    def is_current(self, device: bytes, epoch: int) -> bool:
        """Whether this device and attempt count: any since the device got the job the last time."""
        return device == self.device and self.base <= epoch <= self.epoch and self.lease in ("sent", "freed")

    def backoff(self) -> int:
        """Milliseconds until the next try; twice as long each time."""
        return min(BACKOFF_MS << min(self.refusals + self.sends, 10), BACKOFF_MAX_MS)

    def invalid(self, event: Event) -> InvalidTransition:
        """The error for an event that does not fit the state."""
        return self.error(f"{type(event).__name__} while {self.state} ({self.lease})")

    def error(self, what: str) -> InvalidTransition:
        """A bug of ours, with the story that led to it."""
        story = tuple(f"{at_ms} {word} {device.hex()[:8]}".rstrip() for at_ms, word, device, _ in self.story)
        return InvalidTransition(f"job {self.job_id.hex()}: {what}", story=story)


__all__ = [
    "BACKOFF_MAX_MS", "BACKOFF_MS", "CRASHES_MAX", "ELSEWHERE", "GRACE_MS", "LINK_MS", "LOSSES_MAX", "NO_EFFECT",
    "OUTDATED", "READ_ONLY", "RECHECK_MS", "RECONNECT_MS", "REFUSALS_MAX", "RESEND_MS", "REVIEWER_MS",
    "STORY_MAX", "Job",
]  # fmt: skip
