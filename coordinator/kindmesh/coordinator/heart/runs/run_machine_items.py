"""What is known of one run between two events, and the small steps that several rules share. See `run_machine`.

Everything is a function of the plan, the inputs and the items: what an item is given is evaluated again when it is
needed, from outputs that never change once they are there. `changed` are the paths whose items the journal has to write
before any instruction of the same turn is followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kindmesh.coordinator.heart.runs.run_words import (
    DONE,
    ITEM_ENDED,
    RUN_ENDED,
    RUN_STATES,
    UNDO,
    Item,
    ItemState,
    RunEnd,
    RunEvent,
    RunInstruction,
    RunState,
    Trouble,
)
from kindmesh.protocol.errors import InvalidInput, InvalidTransition
from kindmesh.protocol.limits import LINEAGE_MAX, RUN_DATA_MAX, RUN_OPEN_MAX
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.plan_check import needs
from kindmesh.protocol.plan_labels import Label, Traced, gather, join
from kindmesh.protocol.plan_values import weigh

STORY_MAX: Final = 100
BACKOFF_MAX_MS: Final = 300_000
UNDO_ATTEMPTS: Final = 3
UNDO_BACKOFF_MS: Final = 1_000
FOR_GOOD: Final = frozenset(
    {
        "ACCESS_REFUSED", "DENIED", "FORGOTTEN", "INVALID_INPUT", "MALFORMED", "PERMIT_MISMATCH", "PERMIT_REFUSED",
        "STORE_CONFLICT",
    }
)  # fmt: skip
"""Errors that another attempt would meet as well."""
NOTHING: Final = Traced(None)


def child(step: str, index: int) -> str:
    """The path of an iteration."""
    return f"{step}[{index}]"


def index_of(path: str) -> int:
    """The iteration's number in a path, -1 when it is none."""
    head, _, tail = path.partition("[")
    return int(tail[:-1]) if tail and head else -1


def trouble_of(error: InvalidInput) -> Trouble:
    """An error as an item keeps it."""
    return Trouble(error.code, error.message, error.hint, error.field)


class Run:
    """See the module. `until_ms` is the run's deadline, 0 for none; `end` how it will end, once that is known, `cause`
    and `where` why and at which item; `size` is what the outputs take."""

    def __init__(self, plan: Plan, inputs: Mapping[str, Any], *, begun_ms: int, until_ms: int = 0) -> None:
        self.plan = plan
        self.steps: dict[str, Step] = {step.id: step for step in plan.steps}
        self.before = {step.id: needs(step) for step in plan.steps}
        self.inputs = Traced(dict(inputs), Label(), ("inputs",))
        self.begun_ms = begun_ms
        self.until_ms = until_ms
        self.state: RunState = "running"
        self.end: RunEnd | None = None
        self.cause: Trouble | None = None
        self.where = ""
        self.items: dict[str, Item] = {}
        self.output = NOTHING
        self.number = 0
        self.size = 0
        self.wake_ms = 0
        self.changed: set[str] = set()
        self.story: list[str] = []
        self.out: list[RunInstruction] = []

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.state in RUN_ENDED

    def open_items(self) -> list[Item]:
        """Items that wait for something outside: a job, a person, an event, a time."""
        return [
            item for item in self.items.values() if item.state not in ITEM_ENDED and item.state != "repeating"
        ]

    def resume(
        self, state: RunState, end: RunEnd | None, cause: Trouble | None, where: str, items: list[Item]
    ) -> None:
        """Take over what the journal has of an open run; follow with Resumed."""
        self.state, self.end, self.cause, self.where = state, end, cause, where
        self.items = {item.path: item for item in items}
        self.number = max((item.number for item in items), default=0)
        outputs = [item.output for item in items if not self.collects(item)]
        self.size = sum(weigh(output.value, 2 * RUN_DATA_MAX, "") for output in outputs if output is not None)

    def collects(self, item: Item) -> bool:
        """Whether an item's output is made of those of its iterations, and so takes no further room."""
        return item.path == item.step and child(item.step, 0) in self.items

    # ------------------------------------------------------------------------------------------------ the items

    def set(self, item: Item, state: ItemState) -> None:
        """An item's next state; it is written."""
        item.state = state
        self.changed.add(item.path)

    def put(self, path: str, step: str, state: ItemState, now_ms: int, until_ms: int = 0) -> Item:
        """A new item."""
        item = Item(path, step, state, now_ms, until_ms=until_ms)
        self.items[path] = item
        self.changed.add(path)
        return item

    def close(self, item: Item, state: ItemState, now_ms: int, trouble: Trouble | None = None) -> None:
        """An item has ended."""
        self.number += 1
        item.number, item.ended_ms, item.due_ms, item.trouble = self.number, now_ms, 0, trouble
        self.set(item, state)
        self.note(now_ms, f"{item.path} {state}")

    def succeed(self, item: Item, output: Traced, now_ms: int) -> Trouble | None:
        """An item has an output; or why it is too much."""
        step = self.steps[item.step]
        label = output.label if step.label is None else join((output.label, step.label))
        origins = tuple(sorted({item.path, *output.origins})[:LINEAGE_MAX])
        if not self.collects(item):
            try:
                self.size += weigh(output.value, RUN_DATA_MAX - self.size, item.path)
            except InvalidInput as error:
                return Trouble(
                    error.code, "the outputs of this run are too much altogether", error.hint, item.path
                )
        item.output = Traced(output.value, label, origins)
        self.close(item, "succeeded", now_ms)
        return None

    def due(self, step: Step) -> bool:
        """Whether everything before a step that has not begun is done."""
        return step.id not in self.items and all(
            name in self.items and self.items[name].state in DONE for name in self.before[step.id][0]
        )

    def lacks(self, step: Step) -> bool:
        """Whether a step needs the output of one that was skipped."""
        return any(self.items[name].state == "skipped" for name in self.before[step.id][1])

    def repeats(self, step: str) -> bool:
        """Whether a step consists of iterations."""
        return self.steps[step].for_each is not None or self.steps[step].while_ is not None

    def children(self, item: Item) -> list[Item]:
        """The iterations of an item, in order."""
        paths = (child(item.step, number) for number in range(item.iterations))
        return [self.items[path] for path in paths]

    def led_to(self, step: str) -> tuple[bytes, ...]:
        """Ids of the jobs and sub-runs before a step, the latest first; at most 16."""
        found: set[str] = set()
        pending = [step]
        while pending:
            for name in self.before[pending.pop()][0] - found:
                found.add(name)
                pending.append(name)
        known = [item for item in self.items.values() if item.step in found and item.ref and item.number]
        return tuple(item.ref for item in sorted(known, key=lambda item: -item.number)[:16])

    def scope(self, step: str, index: int = -1) -> dict[str, Traced]:
        """What is known at a step, or at an iteration of it."""
        known = {
            name: item.output or NOTHING
            for name, item in self.items.items()
            if item.state in DONE and name == item.step
        }
        known["inputs"] = self.inputs
        if index >= 0:
            base = self.items[step]
            known["index"] = Traced(index, Label(), (child(step, index),))
            if base.given is not None:
                known["item"] = Traced(base.given.value[index], base.given.label, base.given.origins)
            else:
                known["last"] = self.last(base, index)
        return known

    def last(self, base: Item, index: int) -> Traced:
        """The output of the iteration before."""
        return NOTHING if index == 0 else self.items[child(base.step, index - 1)].output or NOTHING

    def collected(self, base: Item) -> Traced:
        """What the iterations of an item gave together."""
        outputs = [item.output or NOTHING for item in self.children(base)]
        parts = outputs if base.given is None else [*outputs, base.given]
        return Traced([output.value for output in outputs], *gather(parts))

    # ------------------------------------------------------------------------------------------ the whole of it

    def next_time(self) -> int:
        """When the clock has to be looked at again, 0: not because of this run."""
        times = [self.until_ms] if self.state == "running" else []
        for item in self.items.values():
            if item.state == "repeating":
                waits = all(part.state in ITEM_ENDED for part in self.children(item)[-1:])
                times.append(item.due_ms if waits else 0)
            elif item.state not in ITEM_ENDED:
                times.append(item.due_ms)
                times.append(item.until_ms if item.state != "running" else 0)
        return min((time for time in times if time), default=0)

    def note(self, now_ms: int, what: str) -> None:
        """A line for whoever has to find a bug."""
        if len(self.story) >= STORY_MAX:
            del self.story[: STORY_MAX // 2]
        self.story.append(f"{now_ms} {what}")

    def validate(self) -> None:
        """Check what must hold between any two events; tests call it after each.

        Raises:
            InvalidTransition: which rule is broken.
        """
        items = self.items.values()
        undoing = [item for item in items if item.path.startswith(UNDO)]
        open_items = self.open_items()
        bad = ITEM_ENDED - DONE
        numbers = [item.number for item in items if item.state in ITEM_ENDED]
        broken = [
            name
            for name, holds in (
                ("a known state", self.state in RUN_STATES),
                ("items belong to steps", all(item.step in self.steps for item in items)),
                ("an item that has ended is counted once", len(set(numbers)) == len(numbers) and 0 not in numbers),
                ("a running run has nothing that went wrong", self.state != "running" or not any(
                    item.state in bad for item in items)),
                ("what is not running knows how it ends", (self.state == "running") == (self.end is None)),
                ("an ended run has nothing open", not self.ended or not [
                    item for item in items if item.state not in ITEM_ENDED]),
                ("an open run waits for something", self.ended or bool(self.next_time() or open_items)),
                ("compensations come last", not undoing or self.state not in ("running", "stopping")),
                ("compensations come one after the other", sum(
                    item.state not in ITEM_ENDED for item in undoing) <= 1),
                ("only compensations run while undoing", self.state != "undoing" or all(
                    item.path.startswith(UNDO) for item in open_items)),
                ("what an item needs came before it", all(
                    self.items[name].state in DONE
                    for item in items if not item.path.startswith(UNDO) for name in self.before[item.step][0])),
                ("not too much at once", len(open_items) <= RUN_OPEN_MAX),
                ("success has an output", all(
                    item.output is not None for item in items if item.state == "succeeded")),
            )
            if not holds
        ]  # fmt: skip
        if broken:
            raise self.error(f"broken: {'; '.join(broken)}")

    def invalid(self, event: RunEvent) -> InvalidTransition:
        """The error for an event that does not fit the state."""
        return self.error(f"{type(event).__name__} while {self.state}")

    def error(self, what: str) -> InvalidTransition:
        """A bug of ours, with the story that led to it."""
        return InvalidTransition(f"run {self.plan.name}: {what}", story=tuple(self.story))


__all__ = [
    "BACKOFF_MAX_MS", "FOR_GOOD", "NOTHING", "STORY_MAX", "UNDO_ATTEMPTS", "UNDO_BACKOFF_MS", "Run", "child",
    "index_of", "trouble_of",
]  # fmt: skip
