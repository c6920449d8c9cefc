"""The plan that a language model is making: the steps it called so far, what it read, and the plan that they are. Pure.

A call becomes a step with the arguments as the model gave them; references to what was read stay references, so that a
value keeps its origin, and everything else is labelled (`words`). No other operator is a model's to write. A look
becomes a step of the plan only where a later step refers to it. The steps are done in the order in which they were
called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Act
from kindmesh.coordinator.brain.planner.loop_words import LookUp, Seen
from kindmesh.coordinator.brain.planner.words import Sources
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import Pause, Plan, Step
from kindmesh.protocol.plan_labels import Label, Source, Traced
from kindmesh.protocol.plan_values import check_value, evaluate, operator, references

NAME_MAX: Final = 200


class _Step(msgspec.Struct):
    """A step that is to be: a call with checked arguments, or a pause."""

    operation: Operation | None
    given: dict[str, Any]
    pause_ms: int = 0


class Read(msgspec.Struct):
    """A look: what was asked, for which call, and what came of it."""

    lookup: LookUp
    call_id: str
    label: Label
    value: Any = None
    known: bool = False


class Draft:
    """See the module. `steps_max`, `looks_max`: how many of each; `sources`: whether a capability's results come from
    the web, where they are not from a device."""

    __slots__ = ("_looks_max", "_reads", "_sources", "_steps", "_steps_max")

    def __init__(self, steps_max: int, looks_max: int, sources: Mapping[str, Source]) -> None:
        self._steps_max, self._looks_max, self._sources = steps_max, looks_max, sources
        self._steps: list[_Step] = []
        self._reads: dict[str, Read] = {}

    def __len__(self) -> int:
        """How many steps there are."""
        return len(self._steps)

    @property
    def within(self) -> bool:
        """Whether it keeps its bounds."""
        return len(self._steps) <= self._steps_max and len(self._reads) <= self._looks_max

    @property
    def data_classes(self) -> set[str]:
        """What was looked at is about these."""
        return {word for read in self._reads.values() for word in read.label.data_class}

    def restart(self) -> None:
        """Begin the steps again; what was read stays known."""
        self._steps = []

    def call(self, operation: Operation, given: dict[str, Any]) -> int:
        """One more step, with arguments that were checked; gives its number.

        Raises:
            InvalidInput: there are as many as may be.
        """
        return self._add(_Step(operation, given))

    def wait(self, pause_ms: int) -> int:
        """One more step that only waits; gives its number.

        Raises:
            InvalidInput: there are as many as may be.
        """
        return self._add(_Step(None, {}, pause_ms))

    def _add(self, step: _Step) -> int:
        if len(self._steps) >= self._steps_max:
            raise InvalidInput(f"a plan has at most {self._steps_max} steps here")
        self._steps.append(step)
        return len(self._steps)

    def look(self, operation: Operation, plain: dict[str, Any], call_id: str) -> LookUp:
        """One more look, with arguments that hold no references.

        Raises:
            InvalidInput: there were as many as may be.
        """
        if len(self._reads) >= self._looks_max:
            raise InvalidInput("that was looked at often enough", hint="Finish, or give up.")
        lookup = LookUp(f"look{len(self._reads) + 1}", operation.name, plain)
        source = self._sources.get(operation.name.partition(".")[0], "device")
        self._reads[lookup.name] = Read(lookup, call_id, Label(source, data_class=operation.data_classes))
        return lookup

    def seen(self, seen: Seen) -> Read:
        """What came of a look."""
        read = self._reads[seen.name]
        read.value, read.known = seen.value, not seen.error
        return read

    def resolved(self, value: Any, where: str) -> Any:
        """A value with what was read in place of references to it.

        Raises:
            InvalidInput: it holds another operator, or refers to what was not read.
        """
        check_value(value, where)
        for word in _operators(value):
            if word != "$from":
                hint = "Write the value itself."
                raise InvalidInput(f"{word[:40]} is not for you to write", field=where, hint=hint)
        scope = {name: Traced(read.value, read.label) for name, read in self._reads.items() if read.known}
        for reference in references(value):
            if reference.root not in scope:
                raise InvalidInput(f"nothing was read as {reference.root}", field=where)
        return evaluate(value, scope, where).value

    @property
    def known(self) -> list[Label]:
        """The labels of what was read, and is known."""
        return [read.label for read in self._reads.values() if read.known]

    def plan(self, name: str, sources: Sources) -> Plan:
        """The steps in the order in which they were called, after the looks that they refer to."""
        used = self._used()
        steps = [
            Step(
                id=read.lookup.name, call=read.lookup.operation,
                args={name: sources.labelled(value) for name, value in read.lookup.arguments.items()},
            )
            for read in self._reads.values()
            if read.lookup.name in used
        ]  # fmt: skip
        before: tuple[str, ...] = tuple(step.id for step in steps)
        for number, one in enumerate(self._steps, start=1):
            step_id = f"do{number}" if one.operation is not None else f"wait{number}"
            if one.operation is None:
                pause = Pause(for_ms=sources.labelled(one.pause_ms))
                steps.append(Step(id=step_id, pause=pause, after=before))
            else:
                args = {field: _placed(value, sources) for field, value in one.given.items()}
                title = one.operation.title
                steps.append(Step(id=step_id, title=title, call=one.operation.name, args=args, after=before))
            before = (step_id,)
        return Plan(name=name[:NAME_MAX], steps=tuple(steps))

    def acts(self) -> tuple[Act, ...]:
        """What the steps do, with what was read in place of references."""
        return tuple(
            Act(one.operation.name, {name: self.resolved(value, name) for name, value in one.given.items()})
            for one in self._steps
            if one.operation is not None
        )

    def _used(self) -> set[str]:
        return {
            reference.root
            for one in self._steps
            for value in one.given.values()
            for reference in references(value)
        }


def _operators(value: Any) -> Iterator[str]:
    """Every operator in plain data, at whatever depth."""
    word = operator(value)
    if word:
        yield word
    if isinstance(value, dict):
        yield from (name for name in value if str(name).startswith("$") and name != word)
        for item in value.values():
            yield from _operators(item)
    elif isinstance(value, list):
        for item in value:
            yield from _operators(item)


def _placed(value: Any, sources: Sources) -> Any:
    """A value as the plan has it: references stay, everything else is labelled."""
    if operator(value):
        return value
    if isinstance(value, dict) and any(references(value)):
        return {name: _placed(item, sources) for name, item in value.items()}
    if isinstance(value, list) and any(references(value)):
        return [_placed(item, sources) for item in value]
    return sources.labelled(value)


__all__ = ["Draft", "Read"]
