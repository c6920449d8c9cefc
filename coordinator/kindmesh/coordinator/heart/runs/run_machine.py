"""One run's way through its plan: events in, instructions out. Words and drawing in `run_words`.

What it decides: which step begins, is skipped, tried again, given up; when the run stops, what is undone, how it ends.
Rules that always hold:
- a step begins once, when all before it are done; an attempt is asked for under one key until something came of it;
- nothing that may have happened is tried again unless doing it again is harmless; an uncertain item never is;
- the first item that goes wrong stops the run: nothing new begins, what runs is asked to end and is waited for;
- then what succeeded and can be undone is undone, the latest first, one after the other, whatever comes of each;
- an uncertain item makes the run uncertain, whatever else went wrong; a run ends exactly once, with EndRun;
- an open run always waits for something that will come: a job, a sub-run, a person, an event, or a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from kindmesh.coordinator.heart.runs import run_machine_start as start
from kindmesh.coordinator.heart.runs.run_machine_items import (
    BACKOFF_MAX_MS,
    FOR_GOOD,
    NOTHING,
    UNDO_ATTEMPTS,
    UNDO_BACKOFF_MS,
    Run,
    child,
    index_of,
    trouble_of,
)
from kindmesh.coordinator.heart.runs.run_words import (
    DONE,
    ITEM_ENDED,
    UNDO,
    Answered,
    Attached,
    Begin,
    CancelRun,
    CancelWork,
    ClockRang,
    EndRun,
    Heard,
    Item,
    ItemState,
    Listen,
    Memorise,
    NotStarted,
    Recalled,
    Resumed,
    RunEnd,
    RunEvent,
    RunInstruction,
    RunState,
    Trouble,
    Wake,
    WorkEnded,
)
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import RUN_OPEN_MAX
from kindmesh.protocol.plan import Retry, While
from kindmesh.protocol.plan_labels import Label, Traced, gather
from kindmesh.protocol.plan_values import evaluate, truth

_Rule: TypeAlias = Callable[..., None]
LATE: Final = Trouble("DEADLINE_EXCEEDED", "the time for this step is over")
_UNDO_RETRY: Final = Retry(UNDO_ATTEMPTS, UNDO_BACKOFF_MS)
_ONCE: Final = Retry(1, 0)


class RunMachine(Run):
    """One run. See the module."""

    def handle(self, event: RunEvent, now_ms: int) -> list[RunInstruction]:
        """What to do now, once the journal has `changed` and the run itself.

        Raises:
            InvalidTransition: the table has no such pair; nothing was changed.
        """
        rule = _TABLE.get((self.state, type(event)))
        if rule is None:
            raise self.invalid(event)
        self.out = []
        rule(self, event, now_ms)
        self._go(now_ms)
        if not self.ended:
            at_ms = self.next_time()
            if at_ms:
                self.out.append(Wake(at_ms))
        out, self.out = self.out, []
        return out

    # ------------------------------------------------------------------------------------------------ going on

    def _go(self, now_ms: int) -> None:
        """Everything that can begin now begins; what is over ends."""
        moved = True
        while moved and self.state == "running":
            moved = self._step_on(now_ms)
        if self.state == "running" and all(
            name in self.items and self.items[name].state in DONE for name in self.steps
        ):
            self._give(now_ms)
        if self.state == "stopping" and not self.open_items():
            for item in [item for item in self.items.values() if item.state == "repeating"]:
                self.close(item, _worst(self.children(item)), now_ms, self.cause)
            self.state = "undoing"
        while self.state == "undoing" and not self.open_items():
            self._undo_next(now_ms)

    def _step_on(self, now_ms: int) -> bool:
        moved = False
        for step in self.plan.steps:
            if self.state == "running" and self._room() and self.due(step):
                trouble = start.begin_step(self, step, now_ms)
                moved = True
                if trouble is not None:
                    self._wrong(self.items[step.id], "failed", trouble, now_ms)
        for item in [item for item in self.items.values() if item.state == "repeating"]:
            if self.state == "running":
                moved = self._repeat(item, now_ms) or moved
        return moved

    def _room(self) -> bool:
        return len(self.open_items()) < RUN_OPEN_MAX

    def _repeat(self, base: Item, now_ms: int) -> bool:
        """Begin further iterations of a step, or end it; whether anything was done."""
        step = self.steps[base.step]
        children = self.children(base)
        running = sum(item.state not in ITEM_ENDED for item in children)
        each, repeated = step.for_each, step.while_
        if each is not None and base.given is not None:
            if base.iterations == len(base.given.value):
                if running:
                    return False
                self._succeed(base, self.collected(base), now_ms)
                return True
            if running >= each.parallel or not self._room():
                return False
            self._iterate(base, now_ms)
            return True
        if repeated is None or running or base.due_ms > now_ms or not self._room():
            return False
        self._loop(base, repeated, now_ms)
        return True

    def _loop(self, base: Item, repeated: While, now_ms: int) -> None:
        if base.until_ms and now_ms >= base.until_ms:
            self._wrong(base, "failed", LATE, now_ms)
            return
        scope, where = self.scope(base.step, base.iterations), f"steps.{base.step}.while.condition"
        try:
            goes_on = truth(repeated.condition, scope, where)
        except InvalidInput as error:
            self._wrong(base, "failed", trouble_of(error), now_ms)
            return
        if not goes_on:
            self._succeed(base, self.last(base, base.iterations), now_ms)
        elif base.iterations >= repeated.most:
            said = f"it still had to go on after {repeated.most} times"
            self._wrong(base, "failed", Trouble("JOB", said, "Raise most, or change the condition."), now_ms)
        else:
            due_ms = now_ms + repeated.every_ms
            base.due_ms = min(due_ms, base.until_ms) if base.until_ms else due_ms
            self._iterate(base, now_ms)

    def _iterate(self, base: Item, now_ms: int) -> None:
        item, trouble = start.begin_iteration(self, base, now_ms)
        if trouble is not None:
            self._wrong(item, "failed", trouble, now_ms)

    def _give(self, now_ms: int) -> None:
        """All steps are done: what the run gives."""
        wanted: dict[str, Any] = dict(self.plan.output)
        if not wanted:
            needed = {name for before, _ in self.before.values() for name in before}
            wanted = {name: {"$from": name} for name in self.steps if name not in needed}
        try:
            parts = {
                name: evaluate(value, self.scope(""), f"output.{name}") for name, value in wanted.items()
            }
        except InvalidInput as error:
            self._stop("failed", trouble_of(error), "", now_ms)
            return
        self.output = Traced({name: part.value for name, part in parts.items()}, *gather(parts.values()))
        self._end("succeeded")

    # ------------------------------------------------------------------------------------------------- endings

    def _succeed(self, item: Item, output: Traced, now_ms: int) -> None:
        trouble = self.succeed(item, output, now_ms)
        if trouble is not None:
            self._wrong(item, "failed", trouble, now_ms)

    def _wrong(self, item: Item, state: ItemState, trouble: Trouble, now_ms: int) -> None:
        """An item has ended otherwise than well: the run stops, or goes on stopping."""
        self.close(item, state, now_ms, trouble)
        end: RunEnd = "failed"
        if state == "uncertain":
            end = "uncertain"
        elif state == "cancelled":
            end = "cancelled"
        if self.state == "running":
            self._stop(end, trouble, item.path, now_ms)
        elif end == "uncertain" and self.end != "uncertain":
            self.end, self.cause, self.where = end, trouble, item.path

    def _stop(self, end: RunEnd, trouble: Trouble, where: str, now_ms: int) -> None:
        self.state, self.end, self.cause, self.where = "stopping", end, trouble, where
        self.note(now_ms, f"stops: {end}")
        for item in self.open_items():
            if item.state == "running":
                self.out.append(CancelWork(item.path))
            else:
                self.close(item, "cancelled", now_ms, Trouble("CANCELLED", "the run stopped"))

    def _undo_next(self, now_ms: int) -> None:
        undoable = [
            item
            for item in self.items.values()
            if item.state == "succeeded"
            and not item.path.startswith(UNDO)
            and self.steps[item.step].compensate is not None
            and (index_of(item.path) >= 0 or not self.repeats(item.step))
            and UNDO + item.path not in self.items
        ]
        if not undoable:
            self._end(self.end or "failed")
            return
        latest = max(undoable, key=lambda item: item.number)
        undo = self.put(UNDO + latest.path, latest.step, "running", now_ms)
        try:
            self.out.append(start.submit(self, undo))
        except InvalidInput as error:
            self.close(undo, "failed", now_ms, trouble_of(error))

    def _end(self, end: RunEnd) -> None:
        self.state = self.end = end
        self.out.append(EndRun(end))

    # --------------------------------------------------------------------------------------------------- rules

    def on_begin(self, event: Begin, now_ms: int) -> None:
        """The run is new; all that follows is in `_go`."""
        self.note(now_ms, "begins")

    def on_resumed(self, event: Resumed, now_ms: int) -> None:
        """Ask again for everything that nothing came of yet."""
        self.note(now_ms, "resumed")
        for item in self.open_items():
            step = self.steps[item.step]
            if item.state == "running":
                self._ask_for(item)
                if self.state == "stopping":
                    self.out[-1] = msgspec.structs.replace(self.out[-1], known_only=True)
                    self.out.append(CancelWork(item.path))
            elif item.state == "recalling" and step.memo is not None:
                self.out.append(start.recall(self, item, step.memo))
            elif item.state == "listening" and step.event is not None:
                self.out.append(Listen(item.path, step.event.topic, item.begun_ms))

    def on_attached(self, event: Attached, now_ms: int) -> None:
        """The job or sub-run has an id now."""
        item = self._current(event.path, event.attempt)
        if item is not None and item.ref != event.ref:
            item.ref = event.ref
            self.changed.add(item.path)

    def on_ended(self, event: WorkEnded, now_ms: int) -> None:
        """A job or sub-run has ended."""
        item = self._current(event.path, event.attempt)
        if item is None:
            return
        if event.outcome == "succeeded":
            self._done(item, event.value, event.label, now_ms)
            return
        trouble = event.trouble or Trouble("JOB", f"it {event.outcome}")
        if event.outcome in ("uncertain", "cancelled"):
            state: ItemState = "uncertain" if event.outcome == "uncertain" else "cancelled"
            self._wrong(item, state, trouble, now_ms)
        else:
            self._again(item, trouble, event.repeatable, now_ms)

    def _done(self, item: Item, value: Any, label: Label, now_ms: int) -> None:
        if item.path.startswith(UNDO):
            item.output = NOTHING
            self.close(item, "succeeded", now_ms)
            return
        given = item.given or NOTHING
        output = Traced(value, *gather((given, Traced(None, label))))
        self._succeed(item, output, now_ms)
        step = self.steps[item.step]
        if item.state == "succeeded" and step.memo is not None:
            self.out.append(Memorise(item.path, step.call, start.memo_key(self, item, step.memo)))

    def on_not_started(self, event: NotStarted, now_ms: int) -> None:
        """It was not submitted: not now, or never."""
        item = self._current(event.path, event.attempt)
        if item is None:
            return
        if self.state == "stopping":
            self.close(item, "cancelled", now_ms, event.trouble)
        elif event.again_ms:
            item.due_ms, item.trouble = now_ms + event.again_ms, event.trouble
            self.set(item, "backing_off")
        else:
            self._again(item, event.trouble, repeatable=True, now_ms=now_ms)

    def _again(self, item: Item, trouble: Trouble, repeatable: bool, now_ms: int) -> None:
        """Try once more, if that is allowed; else it failed."""
        undo = item.path.startswith(UNDO)
        retry = _UNDO_RETRY if undo else (self.steps[item.step].retry or _ONCE)
        wait_ms = min(retry.backoff_ms << (item.attempt - 1), BACKOFF_MAX_MS)
        in_time = not item.until_ms or now_ms + wait_ms < item.until_ms
        allowed = repeatable and in_time and item.attempt < retry.attempts and trouble.code not in FOR_GOOD
        if not allowed or self.state == "stopping":
            if undo:
                self.close(item, "failed", now_ms, trouble)
            else:
                self._wrong(item, "failed", trouble, now_ms)
            return
        item.attempt += 1
        item.ref, item.due_ms, item.trouble = b"", now_ms + max(wait_ms, 1), trouble
        self.set(item, "backing_off")

    def on_recalled(self, event: Recalled, now_ms: int) -> None:
        """What the memo has."""
        item = self.items.get(event.path)
        if item is None or item.state != "recalling":
            return
        if event.found is not None:
            given, memory = item.given or NOTHING, Traced(None, Label("memory"))
            self._succeed(item, Traced(event.found.value, *gather((event.found, given, memory))), now_ms)
            return
        self.set(item, "running")
        self.out.append(start.submit(self, item))

    def on_heard(self, event: Heard, now_ms: int) -> None:
        """An event; the first one that fits is the item's output."""
        item = self.items.get(event.path)
        wanted = self.steps[item.step].event if item is not None else None
        if item is None or wanted is None or item.state != "listening":
            return
        heard = Traced(event.event, event.label, ("event",))
        scope = {**self.scope(item.step, index_of(item.path)), "event": heard}
        try:
            fits = truth(wanted.filter, scope, f"steps.{item.step}.event.filter")
        except InvalidInput as error:
            self._wrong(item, "failed", trouble_of(error), now_ms)
            return
        if fits:
            self._succeed(item, heard, now_ms)

    def on_answered(self, event: Answered, now_ms: int) -> None:
        """A person's answer; the first one counts."""
        item = self.items.get(event.path)
        if item is not None and item.state == "asking":
            origin = f"answer by {event.by}"
            self._succeed(item, Traced(event.values, Label("user"), (origin,)), now_ms)

    def on_clock(self, event: ClockRang, now_ms: int) -> None:
        """Times have come, or not yet."""
        if self.state == "running" and self.until_ms and now_ms >= self.until_ms:
            self._stop("expired", Trouble("DEADLINE_EXCEEDED", "the time for this run is over"), "", now_ms)
            return
        for item in self.open_items():
            if item.state in ITEM_ENDED:
                continue
            if item.state != "running" and item.until_ms and now_ms >= item.until_ms:
                self._wrong(item, "failed", LATE, now_ms)
            elif item.due_ms and now_ms >= item.due_ms:
                self._came(item, now_ms)

    def _came(self, item: Item, now_ms: int) -> None:
        """The time that an item waits for has come."""
        item.due_ms = 0
        if item.state == "pausing":
            self._succeed(item, Traced({"at_ms": now_ms}, Label("device")), now_ms)
            return
        self.set(item, "running")
        self._ask_for(item)

    def _ask_for(self, item: Item) -> None:
        """Ask for the work of a running item (again): the same key, so it is done once."""
        sub = None if item.path.startswith(UNDO) else self.steps[item.step].sub
        self.out.append(start.submit(self, item) if sub is None else start.spawn(self, item, sub))

    def on_cancel(self, event: CancelRun, now_ms: int) -> None:
        """Somebody does not want it any more; what is being undone goes on."""
        self.note(now_ms, f"cancel asked by {event.by}")
        if self.state == "running":
            self._stop("cancelled", Trouble("CANCELLED", f"cancelled by {event.by}"), "", now_ms)

    def _current(self, path: str, attempt: int) -> Item | None:
        item = self.items.get(path)
        return item if item is not None and item.state == "running" and item.attempt == attempt else None


def _worst(items: list[Item]) -> ItemState:
    """How a step that repeats has ended, by its iterations."""
    states = {item.state for item in items}
    order: tuple[ItemState, ...] = ("uncertain", "failed")
    return next((state for state in order if state in states), "cancelled")


_OPEN: Final[tuple[RunState, ...]] = ("running", "stopping", "undoing")


def _rows(event: type[RunEvent], rule: _Rule, *states: RunState) -> dict[tuple[str, type], _Rule]:
    return dict.fromkeys([(state, event) for state in states], rule)


_TABLE: Final[dict[tuple[str, type], _Rule]] = {
    **_rows(Begin, RunMachine.on_begin, "running"),
    **_rows(Resumed, RunMachine.on_resumed, *_OPEN),
    **_rows(Attached, RunMachine.on_attached, *_OPEN),
    **_rows(WorkEnded, RunMachine.on_ended, *_OPEN),
    **_rows(NotStarted, RunMachine.on_not_started, *_OPEN),
    **_rows(Recalled, RunMachine.on_recalled, *_OPEN),
    **_rows(Heard, RunMachine.on_heard, *_OPEN),
    **_rows(Answered, RunMachine.on_answered, *_OPEN),
    **_rows(ClockRang, RunMachine.on_clock, *_OPEN),
    **_rows(CancelRun, RunMachine.on_cancel, *_OPEN),
}
"""The one table: what may happen in which state. A driver forgets a run that has ended, so ended states have no row."""

__all__ = ["LATE", "RunMachine", "child"]
