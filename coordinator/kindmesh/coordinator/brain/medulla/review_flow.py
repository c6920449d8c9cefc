"""What flows where in a plan: every call with the values it gets, each with the strictest label of what made it.

Labels pass along references, `for_each`, `while`, sub-plans and memo; a step whose `when` looks at something is
influenced by it, and so is everything that needs the step (implicit flows). What an operation gives is at least as
untrustworthy as where it comes from (`review_sources`). A literal list in `for_each` is unrolled. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kindmesh.coordinator.brain.medulla.review_facts import Facts, Kept
from kindmesh.coordinator.brain.medulla.review_sources import (
    is_address_book,
    is_private,
    kept_label,
    source_of,
    writes_of,
)
from kindmesh.coordinator.brain.medulla.review_trace import (
    UNKNOWN,
    Known,
    Leaf,
    Scope,
    Tracer,
    label_in,
    look_up,
)
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import ForEach, Input, Plan, Step, Sub, Undo, plan_from_document
from kindmesh.protocol.plan_check import needs, written_plan
from kindmesh.protocol.plan_labels import Label, join
from kindmesh.protocol.plan_values import operator


class Call(msgspec.Struct, frozen=True):
    """A call of a plan. `operation` is None when no device declares it; `influence`: what decided whether and how often
    it is done; `over`: label of the list that it repeats over, None when that stands in the plan or there is none;
    `most`: how often at most; `undo`: it only undoes another."""

    step: str
    name: str
    operation: Operation | None
    effects: int
    leaves: tuple[Leaf, ...]
    target: Leaf | None
    influence: Label
    over: Label | None = None
    repeats: bool = False
    most: int = 1
    undo: bool = False

    @property
    def made(self) -> Label:
        """The strictest label of everything it is given and that led to it."""
        labels = [leaf.label for leaf in self.leaves if leaf.label is not None]
        return join([self.influence, *labels])


class Made(msgspec.Struct, frozen=True):
    """What a plan would do: its calls, plans that are only made while it runs, how long it waits, what it keeps,
    what its conditions compare with, the steps that wait for something to happen, whether any has a condition,
    whether one is turned round as a whole, and for each step the steps that are done before it."""

    calls: tuple[Call, ...]
    unseen: tuple[tuple[str, Label], ...] = ()
    pauses: tuple[Leaf, ...] = ()
    kept: tuple[Kept, ...] = ()
    compared: tuple[Leaf, ...] = ()
    events: tuple[str, ...] = ()
    conditional: bool = False
    negated: bool = False
    before: Mapping[str, frozenset[str]] = {}


class _At(msgspec.Struct, frozen=True):
    """Where a step is done: its path, what is known there, what led to it, the label of the list that it repeats over
    (None: it stands in the plan), whether and how often it repeats."""

    where: str
    scope: Scope
    influence: Label
    over: Label | None = None
    repeats: bool = False
    many: int = 1


def flow(plan: Plan, facts: Facts) -> Made:
    """Everything that the plan would do.

    Raises:
        InvalidInput: more values than are looked at, or a plan inside that is none.
    """
    walker = _Walker(facts)
    given = {name: _default(known) for name, known in plan.inputs.items()}
    walker.plan(plan, "", given, _At("", {}, Label()))
    kept = tuple(Kept(place, key, label) for (place, key), label in walker.stored.items())
    return Made(
        tuple(walker.calls), tuple(walker.unseen), tuple(walker.pauses), kept, tuple(walker.compared),
        tuple(walker.events), walker.conditional, walker.negated, walker.before,
    )  # fmt: skip


def _default(known: Input) -> Known:
    """An input that is not given; what nobody says counts as made up."""
    return Known(UNKNOWN, Label("model")) if known.default is None else Known(known.default)


class _Walker:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._tracer = Tracer()
        self.calls: list[Call] = []
        self.unseen: list[tuple[str, Label]] = []
        self.pauses: list[Leaf] = []
        self.compared: list[Leaf] = []
        self.events: list[str] = []
        self.conditional = self.negated = False
        self.stored: dict[tuple[str, str], Label] = {}
        self.before: dict[str, frozenset[str]] = {}

    def plan(self, plan: Plan, prefix: str, given: Scope, at: _At) -> Label:
        scope: dict[str, Known] = {f"inputs.{name}": known for name, known in given.items()}
        pending = list(plan.steps)
        done: set[str] = set()
        while pending:
            step = next(step for step in pending if needs(step)[0] <= done)
            scope[step.id] = self._step(step, prefix, scope, at)
            done.add(step.id)
            pending.remove(step)
        return join(known.label for known in scope.values() if known.label is not None)

    def _step(self, step: Step, prefix: str, scope: dict[str, Known], at: _At) -> Known:
        led = [at.influence]
        first = {f"{prefix}{name}" for name in needs(step)[0]}
        self.before[f"{prefix}{step.id}"] = frozenset(first).union(*(self.before[one] for one in first))
        if not isinstance(step.when, bool):
            led.append(self._tracer.label(step.when, scope))
            self.conditional, self.negated = True, self.negated or operator(step.when) == "$not"
            self.compared += self._tracer.compared(step.when, scope, f"{prefix}{step.id}")
        # What a condition skipped influences whatever comes after it, by order or data.
        led += [scope[f"{name}!"].label or Label() for name in sorted(needs(step)[0])]
        items: list[Scope] = [scope]
        over: Label | None = None
        many, repeats = at.many, at.repeats
        if step.for_each is not None:
            items, over = self._items(step.for_each, scope)
            if over is not None:
                led.append(over)
            many *= step.for_each.most if over is not None else max(1, len(items))
            repeats = repeats or over is not None or len(items) > 1
        if step.while_ is not None:
            last = Known(UNKNOWN, self._of_last(step, scope))
            items = [{**scope, "last": last, "index": Known(UNKNOWN, Label())}]
            led.append(self._tracer.label(step.while_.condition, items[0]))
            self.conditional = True
            self.compared += self._tracer.compared(step.while_.condition, items[0], f"{prefix}{step.id}")
            many, repeats = many * step.while_.most, True
        influence = join(led)
        scope[f"{step.id}!"] = Known(UNKNOWN, influence)
        over = over if over is not None else at.over
        made = [
            self._once(step, _At(f"{prefix}{step.id}", one, influence, over, repeats, many)) for one in items
        ]
        labels = [influence, *(known.label for known in made if known.label is not None)]
        label = join(labels if step.label is None else [*labels, step.label])
        return Known(UNKNOWN, label, all(known.book for known in made))

    def _items(self, for_each: ForEach, scope: Scope) -> tuple[list[Scope], Label | None]:
        """The scopes of each time, and the label of a list that is not in the plan."""
        value = for_each.over
        word = operator(value)
        if word in ("$value", "$from") and "$default" not in value:
            whole = Known(value["$value"], label_in(value)) if word == "$value" else look_up(value, scope)
            if isinstance(whole.value, list):
                items = [Known(item, whole.label, whole.book) for item in whole.value]
                return self._each(items[: for_each.most], scope), None
        if isinstance(value, list):
            return self._each(
                [self._tracer.known(item, scope) for item in value[: for_each.most]], scope
            ), None
        over = self._tracer.known(value, scope)
        label = over.label or Label()
        return [{**scope, "item": Known(UNKNOWN, label, over.book), "index": Known(UNKNOWN, Label())}], label

    @staticmethod
    def _each(items: list[Known], scope: Scope) -> list[Scope]:
        every = items or [Known(None)]
        return [{**scope, "item": item, "index": Known(number)} for number, item in enumerate(every)]

    def _once(self, step: Step, at: _At) -> Known:
        if step.ask is not None:
            # The person who asked decides, or the owner; the answer carries its own proof when the run goes on.
            own = all(who in ("owner", "asker") for who in step.ask.who)
            return Known(UNKNOWN, Label("user" if own else "model"))
        if step.event is not None:
            self.events.append(at.where)
            return Known(UNKNOWN, Label("device"))
        if step.pause is not None:
            for name, value in (("for_ms", step.pause.for_ms), ("until_ms", step.pause.until_ms)):
                if value is not None:
                    self.pauses += self._tracer.leaves(value, at.scope, name, f"{at.where}.{name}")
            return Known(UNKNOWN, at.influence)
        if step.sub is not None:
            return self._sub(step.sub, at)
        made = self._call(Undo(step.call, step.args, step.target), at)
        if step.compensate is not None:
            undone = msgspec.structs.replace(at, scope={**at.scope, "self": made, step.id: made})
            self._call(step.compensate, undone, undo=True)
        return made

    def _sub(self, sub: Sub, at: _At) -> Known:
        document = written_plan(sub.plan)
        if document is None:
            whole = self._tracer.known(sub.plan, at.scope)
            document = whole.value
            if document is UNKNOWN or (whole.label is not None and whole.label.source != "user"):
                label = join([at.influence, whole.label or Label("model")])
                self.unseen.append((at.where, label))
                return Known(UNKNOWN, join([label, Label("model")]))
        try:
            inner = plan_from_document(document)
        except KindmeshError as error:
            raise InvalidInput(error.message, field=f"{at.where}.sub.plan", hint=error.hint) from error
        given = {
            name: self._tracer.known(sub.inputs[name], at.scope) if name in sub.inputs else _default(known)
            for name, known in inner.inputs.items()
        }
        return Known(UNKNOWN, self.plan(inner, f"{at.where}.", given, at))

    def _call(self, call: Undo, at: _At, *, undo: bool = False) -> Known:
        name = call.call
        operation = self._facts.operations.get(name)
        leaves: list[Leaf] = []
        if operator(call.args):
            leaves += self._tracer.leaves(call.args, at.scope, "", "args")
        else:
            for field, value in call.args.items():
                leaves += self._tracer.leaves(value, at.scope, field, field)
        target = next(self._tracer.leaves(call.target, at.scope, "target", "target")) if call.target else None
        effects = int(operation.effects) if operation is not None else 0
        self.calls.append(
            Call(
                at.where, name, operation, effects, tuple(leaves), target, at.influence,
                at.over, at.repeats, at.many, undo,
            )
        )  # fmt: skip
        made = [leaf.label for leaf in leaves if leaf.label is not None]
        label = join([at.influence, self._origin(name, operation, leaves), *made])
        for place, key, written in writes_of(name, operation, leaves, at.influence):
            before = self.stored.get((place, key))
            self.stored[place, key] = written if before is None else join([before, written])
        named = any(isinstance(leaf.value, str) and leaf.value.strip() for leaf in leaves)
        return Known(UNKNOWN, label, named and operation is not None and is_address_book(name, operation))

    def _origin(self, name: str, operation: Operation | None, leaves: list[Leaf]) -> Label:
        """What comes from where this operation gets it."""
        if operation is None:
            return source_of(name, None)
        private = is_private(name, operation)
        classes = operation.data_classes or (("other",) if private else ())
        if not private:
            classes = tuple(word for word in classes if word in ("device", "home"))
        keys = [leaf.value for leaf in leaves if isinstance(leaf.value, str)]
        before = kept_label(name, operation, keys, self._facts.ledger.kept, self.stored)
        return join([source_of(name, operation), Label(data_class=classes), before])

    def _of_last(self, step: Step, scope: Scope) -> Label:
        """The label of what a step gave the time before, when it needs that itself."""
        inside = {**scope, "last": Known(UNKNOWN, Label()), "index": Known(UNKNOWN, Label())}
        values: Any = step.args if step.call else {}
        made = self._tracer.label(values, inside)
        return (
            join([made, source_of(step.call, self._facts.operations.get(step.call))]) if step.call else made
        )


__all__ = ["Call", "Made", "flow"]
