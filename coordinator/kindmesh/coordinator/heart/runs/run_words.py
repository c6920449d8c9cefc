"""The words of the run machine: states of a run and of its items, what it is told and what it asks for.

A *run* executes one plan. An *item* is one step, or one iteration of it, named by its path: `read`, `read[2]`; the
compensation of an item is `undo:read[2]`.

    run     running ------------------------------------------> succeeded
               | a step failed, was cancelled, is uncertain; the time is over
               v
            stopping (nothing new begins, what runs ends) --> undoing (compensations, the latest first)
                                                                  `--> failed | cancelled | expired | uncertain

    item    repeating (its iterations are items)         \
            recalling (a memo is looked for) -> running   |
            running (a job or a sub-run) <-> backing_off  |--> succeeded | skipped | failed | cancelled | uncertain
            asking (a person) | listening | pausing      /

An item's decision (that it runs, with which attempt) is in the journal before anything is done about it, so a restart
takes the items as they are and asks for the same again: each attempt has one key, and a key is done once.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.plan_labels import Label, Traced
from kindmesh.protocol.utterance_evidence import ArgumentLabel, ArgumentSource

RunState = Literal[
    "running", "stopping", "undoing", "succeeded", "failed", "cancelled", "expired", "uncertain"
]
RUN_STATES: Final[tuple[RunState, ...]] = (
    "running", "stopping", "undoing", "succeeded", "failed", "cancelled", "expired", "uncertain",
)  # fmt: skip
RUN_ENDED: Final = frozenset(RUN_STATES[3:])
RunEnd = Literal["succeeded", "failed", "cancelled", "expired", "uncertain"]

ItemState = Literal[
    "repeating", "recalling", "running", "backing_off", "asking", "listening", "pausing",
    "succeeded", "skipped", "failed", "cancelled", "uncertain",
]  # fmt: skip
ITEM_STATES: Final[tuple[ItemState, ...]] = (
    "repeating", "recalling", "running", "backing_off", "asking", "listening", "pausing",
    "succeeded", "skipped", "failed", "cancelled", "uncertain",
)  # fmt: skip
ITEM_ENDED: Final = frozenset(ITEM_STATES[7:])
DONE: Final = frozenset({"succeeded", "skipped"})
UNDO: Final = "undo:"


class Trouble(msgspec.Struct, array_like=True, frozen=True):
    """Why something did not happen, as an error says it."""

    code: str
    message: str
    hint: str = ""
    field: str = ""


class Item(msgspec.Struct):
    """What is known of one item. `ref` is the job's or sub-run's id, once known; `due_ms` the time that is waited for,
    `until_ms` the deadline of the item, 0 for none; `number` counts what ended, in order; `given` is what it
    works on (the list of a for_each, the text of a question), `iterations` how many have begun."""

    path: str
    step: str
    state: ItemState
    begun_ms: int
    attempt: int = 1
    ref: bytes = b""
    due_ms: int = 0
    until_ms: int = 0
    ended_ms: int = 0
    number: int = 0
    iterations: int = 0
    output: Traced | None = None
    given: Traced | None = None
    trouble: Trouble | None = None


class Begin(msgspec.Struct, frozen=True):
    """The run is new."""


class Resumed(msgspec.Struct, frozen=True):
    """The machine was rebuilt from the journal."""


class Attached(msgspec.Struct, frozen=True):
    """The job or sub-run of this attempt has this id."""

    path: str
    attempt: int
    ref: bytes


class WorkEnded(msgspec.Struct, frozen=True):
    """A job or sub-run has ended. `outcome` is its state; `repeatable`: doing it again is harmless, or it never began;
    `label` is what is known of its output besides what it was given."""

    path: str
    attempt: int
    outcome: RunEnd
    value: Any = None
    label: Label = Label()
    trouble: Trouble | None = None
    repeatable: bool = False


class NotStarted(msgspec.Struct, frozen=True):
    """It could not be submitted. `again_ms` > 0: not now, but after so long; it does not count as an attempt."""

    path: str
    attempt: int
    trouble: Trouble
    again_ms: int = 0


class Recalled(msgspec.Struct, frozen=True):
    """What the memo has, or nothing."""

    path: str
    found: Traced | None


class Heard(msgspec.Struct, frozen=True):
    """An event came for an item that listens."""

    path: str
    event: dict[str, Any]
    label: Label = Label("device")


class Answered(msgspec.Struct, frozen=True):
    """A person answered; checked against what was asked. `by` is the principal's text."""

    path: str
    values: dict[str, Any]
    by: str


class ClockRang(msgspec.Struct, frozen=True):
    """A time that was asked for may have come."""


class CancelRun(msgspec.Struct, frozen=True):
    """Somebody does not want the run any more."""

    by: str


RunEvent: TypeAlias = (
    Begin | Resumed | Attached | WorkEnded | NotStarted | Recalled | Heard | Answered | ClockRang | CancelRun
)


class Submit(msgspec.Struct, frozen=True):
    """Have a job done, once for this path and attempt; answer Attached, then WorkEnded, or NotStarted. `known_only`: do
    not begin it, only take up what was begun before; `labels`: where the parts of `args` came from, `sources`: which of
    them are what an earlier step gave."""

    path: str
    attempt: int
    operation: str
    args: dict[str, Any]
    target: str
    step: int
    deadline_ms: int
    known_only: bool = False
    labels: tuple[ArgumentLabel, ...] = ()
    sources: tuple[ArgumentSource, ...] = ()


class Spawn(msgspec.Struct, frozen=True):
    """Start a sub-run, once for this path and attempt; answers as for Submit. `after`: jobs that led to it, the latest
    first: the permit of the first one that has one is the parent of the sub-run's permits."""

    path: str
    attempt: int
    plan: Any
    inputs: dict[str, Any]
    deadline_ms: int
    after: tuple[bytes, ...] = ()
    known_only: bool = False


class Recall(msgspec.Struct, frozen=True):
    """Look into the memo for `key`, no older than `max_age_ms`; answer Recalled."""

    path: str
    operation: str
    key: Any
    max_age_ms: int


class Memorise(msgspec.Struct, frozen=True):
    """Keep the item's output for later runs."""

    path: str
    operation: str
    key: Any


class Listen(msgspec.Struct, frozen=True):
    """Tell of events on this topic, until the item has ended; first of the durable ones from `since_ms` on that came
    while nobody listened, 0: there was no such time."""

    path: str
    topic: str
    since_ms: int = 0


class CancelWork(msgspec.Struct, frozen=True):
    """Ask that the item's job or sub-run ends; it still answers with WorkEnded."""

    path: str


class Wake(msgspec.Struct, frozen=True):
    """Come back with ClockRang at this time."""

    at_ms: int


class EndRun(msgspec.Struct, frozen=True):
    """The run has ended, once and for all."""

    state: RunEnd


RunInstruction: TypeAlias = Submit | Spawn | Recall | Memorise | Listen | CancelWork | Wake | EndRun

__all__ = [
    "DONE", "ITEM_ENDED", "ITEM_STATES", "RUN_ENDED", "RUN_STATES", "UNDO", "Answered", "Attached", "Begin",
    "CancelRun", "CancelWork", "ClockRang", "EndRun", "Heard", "Item", "ItemState", "Listen", "Memorise", "NotStarted",
    "Recall", "Recalled", "Resumed", "RunEnd", "RunEvent", "RunInstruction", "RunState", "Spawn", "Submit", "Trouble",
    "Wake", "WorkEnded",
]  # fmt: skip
