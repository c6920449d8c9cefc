"""One open job as the dispatcher holds it: its machine, what was asked, and what waits for the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from kindmesh.coordinator.heart.journal import JobFacts, JobRequest, Progress
from kindmesh.coordinator.heart.machine import JobMachine
from kindmesh.coordinator.heart.machine_words import SendJob
from kindmesh.coordinator.heart.placement import Choice, Need
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.signed import Signed

Document: TypeAlias = dict[str, Any]
Watcher: TypeAlias = Callable[[Document], None]
Acknowledged: TypeAlias = Callable[[KindmeshError | None], None]

RANKS: Final = {"emergency": 0, "interactive": 1, "background": 2}


class Entry:
    """See the module. `asleep`: it was read anew after the disk failed, and goes on in a moment or when something
    happens; `repairs`: how often that was so; `unsafe` counts writes that have to be on the disk before anything is
    sent; `stored` is True once the job itself is; `failed`: something of it could not be written, `repaired`: another
    entry has taken over; `occupied` is the device on which it takes a place."""

    __slots__ = (
        "acknowledged", "asleep", "choice", "dirty", "facts", "failed", "hedge_at_ms", "held", "machine", "need",
        "occupied", "permit", "question", "queued", "queued_ms", "repaired", "repairs", "request", "retry_ms",
        "room_asked", "second_occupied", "second_permit", "sent_at", "shown", "stored", "unsafe", "waiters",
        "watchers",
    )  # fmt: skip

    def __init__(self, facts: JobFacts, request: JobRequest, deadline_ms: int, need: Need) -> None:
        self.facts = facts
        self.request = request
        self.machine = JobMachine(
            facts.job_id, effects=facts.effects, idempotent=facts.idempotent, deadline_ms=deadline_ms,
            budget_ms=facts.budget_ms, hedge_ms=request.hedge_ms,
        )  # fmt: skip
        self.need = need
        self.permit: Signed | None = None
        self.second_permit: Signed | None = None
        self.second_occupied = b""
        self.hedge_at_ms = 0
        self.question = b""
        self.choice: Choice | None = None
        self.held: list[SendJob] = []
        self.occupied = b""
        self.unsafe = 0
        self.stored = False
        self.dirty = False
        self.failed = False
        self.asleep = False
        self.repaired = False
        self.repairs = 0
        self.queued = False
        self.queued_ms = 0
        self.room_asked = False
        self.retry_ms = 0
        self.sent_at = 0.0
        self.shown = ""
        self.acknowledged: Acknowledged | None = None
        self.waiters: list[Watcher] = []
        self.watchers: list[Watcher] = []

    def progress(self) -> Progress:
        """How it stands, for the journal."""
        machine = self.machine
        # Of two attempts the journal knows the higher epoch; whoever reads it has to ask for a permit anew.
        permit = self.permit if machine.ended or machine.top == machine.epoch else None
        return Progress(
            machine.state, machine.lease, machine.device, machine.top, machine.deadline_ms, permit,
            self.question, machine.story,
        )  # fmt: skip


def is_full(effects: int, asked: bool) -> bool:
    """Whether what is promised has to survive a power cut: anything with an effect, or when asked for."""
    return asked or effects & ~int(Effect.READ) != 0


__all__ = ["RANKS", "Acknowledged", "Document", "Entry", "Watcher", "is_full"]
