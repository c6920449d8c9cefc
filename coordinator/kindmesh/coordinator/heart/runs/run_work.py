"""What the items of a run ask of the Heart: jobs, sub-runs, memos, events. Acts, and decides nothing.

Every attempt has one key (`run id / path # attempt`). Whoever is asked to submit looks for the key first, so after a
restart the same wish finds the job that was made before, whatever was lost in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.journal import JobRow
from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_journal import RunJournal, memo_id
from kindmesh.coordinator.heart.runs.run_proofs import result_proofs
from kindmesh.coordinator.heart.runs.run_words import (
    UNDO,
    Attached,
    CancelWork,
    Heard,
    Listen,
    Memorise,
    NotStarted,
    Recall,
    Recalled,
    RunEvent,
    Submit,
    Trouble,
    WorkEnded,
)
from kindmesh.coordinator.heart.wishes import DEADLINE_MAX_MS, Wish
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import (
    AccessRefused,
    Busy,
    DiskFull,
    KindmeshError,
    StoreConflict,
    StoreError,
    UnknownOperation,
    error_to_wire,
)
from kindmesh.protocol.ids import format_id, format_time_id
from kindmesh.protocol.manifest import HARMLESS, Effect
from kindmesh.protocol.messages.events import OPEN_CLASS, MeshEvent
from kindmesh.protocol.plan_labels import ANYBODY, Label, Source
from kindmesh.protocol.principal import belongs_to
from kindmesh.protocol.utterance_evidence import Evidence, evidence

BUSY_MS: Final = 2_000
DISK_MS: Final = 5_000
"""How long an item waits when the queue, or the disk, is full."""
_TOLD: Final = ("event", "job", "state", "device_name", "fraction", "text")
_ARTIFACT: Final = re.compile(r"[0-9a-f]{64}")
_SOURCES: Final[dict[str, Source]] = {"llm": "model", "memory": "memory", "web": "web"}
"""Capabilities whose output is not a device's own; see `plan_labels`."""


class Bus(Protocol):
    """Where events come from."""

    def subscribe(self, pattern: str, callback: Callable[[MeshEvent], None]) -> Callable[[], None]:
        """Tell of events whose topic fits, until what is returned is called."""


Tell = Callable[[bytes, RunEvent], None]
"""(run id, event)"""
MayHear = Callable[[Live, MeshEvent], bool]
Past = Callable[[int, str], Iterable[MeshEvent]]
"""(UTC ms, pattern): the durable events that are known from then on, the oldest first."""


class Work:
    """See the module. `tell` is how answers come back, in a later turn or at once; `bus` None: there are no events."""

    def __init__(
        self,
        heart: Heart,
        journal: RunJournal,
        clock: Clock,
        *,
        tell: Tell,
        bus: Bus | None,
        past: Past,
        may_hear: MayHear,
    ) -> None:
        self._heart = heart
        self._journal = journal
        self._clock = clock
        self._tell = tell
        self._bus = bus
        self._past = past
        self._may_hear = may_hear

    # --------------------------------------------------------------------------------------------------- jobs

    def submit(self, live: Live, wish: Submit) -> None:
        """Have a job done, once for this key."""
        run_id, path, attempt = live.row.run_id, wish.path, wish.attempt
        ended = partial(self._job_ended, run_id, path, attempt)
        key = work_key(run_id, path, attempt)
        try:
            known = self._heart.read.with_key(key)
            if known is None and wish.known_only:
                raise _NOT_BEGUN
            if known is not None:
                job_id = known.facts.job_id
                self._heart.attend(job_id, ended)
            else:
                self._check_files(live, wish)
                acknowledged = partial(self._acknowledged, run_id, path, attempt)
                watcher = partial(self._job_said, live, path) if live.watchers else None
                job_id = self._heart.submit_soon(
                    self._wish(live, wish, key), acknowledged, waiter=ended, watcher=watcher
                )
        except KindmeshError as error:
            self._tell(run_id, NotStarted(path, attempt, trouble(error), _again_ms(error)))
            return
        self._tell(run_id, Attached(path, attempt, job_id))

    def _check_files(self, live: Live, wish: Submit) -> None:
        """Refuse files that were made for somebody else, however their name came into the values."""
        who = live.asked.principal
        if who.kind == "owner":
            return
        for artifact in named_artifacts(wish.args):
            makers = self._heart.read.makers(artifact)
            if makers and not any(belongs_to(who, maker) for maker in makers):
                raise AccessRefused("this file was made for somebody else", field=f"steps.{wish.path}.args")

    def _job_said(self, live: Live, path: str, event: dict[str, Any]) -> None:
        """What a job tells on its way, for who watches the run."""
        for watcher in live.watchers:
            watcher({"path": path, **{name: event[name] for name in _TOLD if name in event}})

    def _wish(self, live: Live, wish: Submit, key: str) -> Wish:
        now_ms = self._clock.now_ms()
        return Wish(
            wish.operation,
            wish.args,
            target=self._heart.devices.resolve(wish.target) if wish.target else b"",
            priority=live.row.priority,
            # A deadline that is over while it is written down is one of the next millisecond.
            deadline_ms=max(min(wish.deadline_ms, now_ms + DEADLINE_MAX_MS), now_ms + 1)
            if wish.deadline_ms
            else 0,
            key=key,
            run_id=live.row.run_id,
            step=wish.step,
            sources=live.asked.sources,
            principal=live.asked.principal,
            purpose=live.row.purpose,
            proof=live.asked.proof,
            parent=live.asked.permit,
            labels=wish.labels,
            doubts=live.asked.doubts.get(step_in(wish.path), ()),
            evidence=self._evidence(live, wish),
        )

    def _evidence(self, live: Live, wish: Submit) -> Evidence | None:
        """What proves to Medulla where the values came from; nothing where nobody said anything."""
        if live.asked.heard is None:
            return None
        said = evidence(live.asked.heard, wish.labels, whole=self._acts(wish.operation))
        results = result_proofs(live, wish, self._heart.read.ending)
        return msgspec.structs.replace(said, results=results) if results else said

    def _acts(self, operation: str) -> bool:
        """Whether some device says that it does more than read and notify: then Medulla is shown the whole sentence,
        since it judges by it whether that was asked for."""
        try:
            return any(seat.operation.effects & ~HARMLESS for seat in self._heart.devices.seats(operation))
        except UnknownOperation:
            return False

    def _acknowledged(self, run_id: bytes, path: str, attempt: int, error: KindmeshError | None) -> None:
        if error is not None:
            self._tell(run_id, NotStarted(path, attempt, trouble(error), DISK_MS))

    def _job_ended(self, run_id: bytes, path: str, attempt: int, document: dict[str, Any]) -> None:
        row = self._heart.read.with_key(work_key(run_id, path, attempt))
        error = document.get("error")
        why = Trouble(error["code"], error["message"], error["hint"], error["field"]) if error else None
        state = document["state"]
        self._tell(
            run_id,
            WorkEnded(
                path,
                attempt,
                state,
                document.get("value"),
                self._label(document["operation"]),
                why,
                row is not None and is_repeatable(row, document),
            ),
        )

    def _label(self, operation: str) -> Label:
        """What is known of an operation's output besides what it was given."""
        capability = operation.partition(".")[0]
        try:
            classes = {
                word for seat in self._heart.devices.seats(operation) for word in seat.operation.data_classes
            }
        except UnknownOperation:
            classes = set()
        return Label(_SOURCES.get(capability, "device"), ANYBODY, tuple(sorted(classes)))

    def cancel(self, live: Live, wish: CancelWork, cancel_run: Callable[[bytes], None]) -> None:
        """Ask that an item's job or sub-run ends."""
        ref = live.machine.items[wish.path].ref
        if not ref:
            return
        if live.machine.steps[live.machine.items[wish.path].step].sub is not None:
            cancel_run(ref)
        else:
            self._heart.cancel(ref, f"its run {format_time_id(live.row.run_id)}, which stops")

    # -------------------------------------------------------------------------------------------------- memos

    def recall(self, live: Live, wish: Recall) -> None:
        """Look into the memo."""
        memo = memo_id(live.asked.principal, wish.operation, wish.key)
        try:
            found = self._journal.recall(memo, self._clock.now_ms() - wish.max_age_ms)
        except KindmeshError:
            # What cannot be read is not known: the step is done.
            found = None
        self._tell(live.row.run_id, Recalled(wish.path, found))

    def memorise(self, live: Live, wish: Memorise) -> None:
        """Keep an output; raises as the store."""
        output = live.machine.items[wish.path].output
        if output is not None:
            memo = memo_id(live.asked.principal, wish.operation, wish.key)
            self._journal.memorise(memo, live.row.run_id, output, self._clock.now_ms())

    # ------------------------------------------------------------------------------------------------- events

    def listen(self, live: Live, wish: Listen) -> None:
        """Hear of events until the item has ended; raises as the store."""
        if self._bus is None or wish.path in live.listening:
            return
        heard = partial(self._heard, live, wish.path)
        live.listening[wish.path] = self._bus.subscribe(wish.topic, heard)
        for event in self._past(wish.since_ms, wish.topic) if wish.since_ms else ():
            heard(event)
            if wish.path not in live.listening:
                return

    def _heard(self, live: Live, path: str, event: MeshEvent) -> None:
        if not self._may_hear(live, event):
            return
        labels = event.labels
        readers = tuple(format_id(one) for one in labels.readers)
        label = Label(
            labels.source,
            ANYBODY if labels.data_class == OPEN_CLASS else readers,
            (labels.data_class,),
            (labels.purpose,),
        )
        said = {
            "topic": event.topic,
            "source": format_id(event.source),
            "at_ms": event.at_ms,
            "data": event.values(),
        }
        self._tell(live.row.run_id, Heard(path, said, label))


_NOT_BEGUN: Final = Busy("it had not begun when the run stopped")


def named_artifacts(value: Any) -> list[bytes]:
    """Artifacts (32-byte ids) that plain data refer to, at any depth."""
    if isinstance(value, dict):
        found = [name for item in value.values() for name in named_artifacts(item)]
        own = value.get("artifact")
        return [bytes.fromhex(own), *found] if isinstance(own, str) and _ARTIFACT.fullmatch(own) else found
    if isinstance(value, list):
        return [name for item in value for name in named_artifacts(item)]
    return []


def step_in(path: str) -> str:
    """The id of the step that an item's path belongs to."""
    return path.removeprefix(UNDO).partition("[")[0]


def doubts_below(doubts: Mapping[str, tuple[str, ...]], path: str) -> dict[str, tuple[str, ...]]:
    """What was said ahead against the steps of the plan inside a step."""
    inside = f"{step_in(path)}."
    return {step.removeprefix(inside): said for step, said in doubts.items() if step.startswith(inside)}


def work_key(run_id: bytes, path: str, attempt: int) -> str:
    """The idempotency key of an attempt."""
    return f"run:{run_id.hex()}/{path}#{attempt}"


def trouble(error: KindmeshError) -> Trouble:
    """An error as an item keeps it."""
    wire = error_to_wire(error)
    return Trouble(wire.code, wire.message, wire.hint, wire.field)


def is_repeatable(row: JobRow, document: dict[str, Any]) -> bool:
    """Whether a job that did not succeed may be done anew: doing it again is harmless, or it never began."""
    facts = row.facts
    harmless = facts.idempotent or not facts.effects & ~int(Effect.READ)
    return row.now.state != "uncertain" and (harmless or not document.get("started_ms"))


def _again_ms(error: KindmeshError) -> int:
    if isinstance(error, Busy):
        return 0 if error is _NOT_BEGUN else BUSY_MS
    if isinstance(error, DiskFull) or (
        isinstance(error, StoreError) and not isinstance(error, StoreConflict)
    ):
        return DISK_MS
    return 0


__all__ = [
    "BUSY_MS",
    "DISK_MS",
    "Bus",
    "MayHear",
    "Past",
    "Tell",
    "Work",
    "doubts_below",
    "is_repeatable",
    "named_artifacts",
    "trouble",
    "work_key",
]
