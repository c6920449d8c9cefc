"""Is a plan one that could run? Checked before anything is started; every refusal names its field.

Checked are the words (names, operations, topics, who may answer), the values (`plan_values`), the graph (unknown steps,
cycles, references to what is not known there), the bounds (steps, depth, bytes), and what does not go together. What
cannot be known before it runs is checked then: whether a device offers the operation, the types of outputs, lengths of
lists, plans that a step makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.limits import PLAN_DEPTH_MAX, PLAN_STEPS_MAX
from kindmesh.protocol.manifest import DATA_CLASSES, Manifest, Operation, check_fields, check_manifest
from kindmesh.protocol.messages.events import check_pattern
from kindmesh.protocol.plan import (
    ASKER,
    KINDS,
    Plan,
    Step,
    Sub,
    check_plain,
    plan_from_document,
    plan_to_document,
)
from kindmesh.protocol.plan_values import LOGICAL, check_value, operator, references
from kindmesh.protocol.roles import PURPOSES
from kindmesh.protocol.typed import nearest

RESERVED: Final = frozenset({"event", "index", "inputs", "item", "last", "self"})
_OPERATION: Final = re.compile(r"[a-z][a-z0-9_]{0,31}\.[a-z][a-z0-9_]{0,31}")
_WHO: Final = re.compile(r"owner|asker|role:[a-z][a-z0-9_-]{0,31}|person:.+")
_INPUT: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def check_plan(plan: Plan, *, depth: int = 1, emergency: bool = False) -> None:
    """Refuse a plan that could not run; `depth` of the run it would be (1: the first).

    Raises:
        InvalidInput: names the field.
    """
    check_plain(plan_to_document(plan))
    count = _check(plan, "", depth, emergency)
    if count > PLAN_STEPS_MAX:
        raise InvalidInput(
            f"{count} steps, with those of the plans inside; at most {PLAN_STEPS_MAX} are allowed",
            field="steps",
            hint="Repeat a step with for_each, or make several plans.",
        )


def _check(plan: Plan, prefix: str, depth: int, emergency: bool) -> int:
    if depth > PLAN_DEPTH_MAX:
        raise InvalidInput(f"plans inside plans, more than {PLAN_DEPTH_MAX} deep", field=f"{prefix}steps")
    _check_inputs(plan.inputs, f"{prefix}inputs")
    names: dict[str, Step] = {}
    for step in plan.steps:
        if step.id in RESERVED:
            raise InvalidInput(
                f"a step cannot be called {step.id}",
                field=f"{prefix}steps.{step.id}.id",
                hint="That word means something in values.",
            )
        if step.id in names:
            raise InvalidInput(f"two steps are called {step.id}", field=f"{prefix}steps.{step.id}.id")
        names[step.id] = step
    count = len(names)
    for step in plan.steps:
        where = f"{prefix}steps.{step.id}"
        _check_kind(step, where, emergency)
        _check_words(step, where)
        for field, value, more in values_of(step):
            _check_part(plan, names, value, f"{where}.{field}", more)
        for name in step.after:
            if name not in names:
                raise _unknown(name, names, f"{where}.after")
        if step.sub is not None:
            count += _check_sub(step.sub, where, depth, emergency)
    for name, value in plan.output.items():
        _check_part(plan, names, value, f"{prefix}output.{name[:40]}", frozenset())
    _check_cycles(plan, prefix)
    return count


def _check_inputs(inputs: Mapping[str, Any], where: str) -> None:
    for name in inputs:
        if not _INPUT.fullmatch(name):
            raise InvalidInput(
                f"{name[:40]!r} is no name for a value", field=where, hint="Lower case letters, digits and _."
            )
    fields = tuple(known.field(name) for name, known in inputs.items())
    try:
        check_manifest(Manifest("plan", "1", "", (Operation("plan.given", "", fields, (), 1, True),)))
    except Malformed as error:
        raise InvalidInput(error.message, field=f"{where}.{error.field}") from error


def _check_kind(step: Step, where: str, emergency: bool) -> None:
    kinds = [name for name in KINDS if getattr(step, name)]
    if len(kinds) != 1:
        said = f"is both {' and '.join(kinds)}" if kinds else "does nothing"
        raise InvalidInput(f"step {step.id} {said}", field=where, hint=f"Exactly one of: {', '.join(KINDS)}.")
    kind = kinds[0]
    if kind != "call":
        for field, given in (
            ("args", step.args), ("target", step.target), ("memo", step.memo), ("retry", step.retry),
        ):  # fmt: skip
            if given:
                raise InvalidInput(f"{field} belongs to a call, not to {kind}", field=f"{where}.{field}")
    if step.for_each is not None and step.while_ is not None:
        raise InvalidInput(
            "for_each and while do not go together", field=f"{where}.while", hint="Put one into a sub plan."
        )
    if kind == "ask" and emergency:
        raise InvalidInput("an emergency never waits for an answer", field=f"{where}.ask")


def _check_words(step: Step, where: str) -> None:
    calls = [(step.call, f"{where}.call")] if step.call else []
    if step.compensate is not None:
        calls.append((step.compensate.call, f"{where}.compensate.call"))
    for name, field in calls:
        if not _OPERATION.fullmatch(name):
            raise InvalidInput(
                f"{name[:40]!r} is no operation", field=field, hint="Write it like speech.say."
            )
    if step.event is not None:
        try:
            check_pattern(step.event.topic)
        except (InvalidInput, Malformed) as error:
            raise InvalidInput(error.message, field=f"{where}.event.topic", hint=error.hint) from error
    if step.ask is not None:
        _check_inputs(step.ask.answer, f"{where}.ask.answer")
        for who in step.ask.who:
            _check_who(who, f"{where}.ask.who")
    if step.pause is not None and (step.pause.for_ms is None) == (step.pause.until_ms is None):
        raise InvalidInput("a pause has either for_ms or until_ms", field=f"{where}.pause")
    if step.label is not None:
        for field, words, known in (
            ("data_class", step.label.data_class, DATA_CLASSES),
            ("purpose", step.label.purpose, ("*", *PURPOSES)),
        ):
            for word in words:
                if word not in known:
                    raise InvalidInput(
                        f"{word[:40]!r} is not known here",
                        field=f"{where}.label.{field}",
                        hint=f"One of: {', '.join(known)}.",
                    )


def _check_who(who: str, where: str) -> None:
    if not _WHO.fullmatch(who):
        raise InvalidInput(
            f"{who[:40]!r} names nobody who could answer",
            field=where,
            hint=f"owner, {ASKER}, role:NAME or person:ID.",
        )
    if who.startswith("person:"):
        try:
            parse_id(who.removeprefix("person:"))
        except InvalidInput as error:
            raise InvalidInput(error.message, field=where, hint="kindmesh people --json has ids.") from error


Place = tuple[str, Any, frozenset[str]]
"""Name of the field, the value, and what is known there besides inputs and steps."""


def values_of(step: Step) -> Iterator[Place]:
    """Every value of a step that is looked at before or while it runs; not its compensation."""
    inside = frozenset({"item", "index"}) if step.for_each is not None else frozenset()
    if step.while_ is not None:
        inside = frozenset({"last", "index"})
        yield "while.condition", step.while_.condition, inside
    yield "when", step.when, frozenset()
    if step.for_each is not None:
        yield "for_each.over", step.for_each.over, frozenset()
    if operator(step.args):
        yield "args", step.args, inside
    else:
        for name, value in step.args.items():
            yield f"args.{name[:40]}", value, inside
    yield "target", step.target, inside
    if step.memo is not None:
        yield "memo.key", step.memo.key, inside
    if step.ask is not None:
        yield "ask.question", step.ask.question, inside
    if step.event is not None:
        yield "event.filter", step.event.filter, inside | {"event"}
    if step.pause is not None:
        yield "pause.for_ms", step.pause.for_ms, inside
        yield "pause.until_ms", step.pause.until_ms, inside
    if step.sub is not None:
        yield "sub.plan", {} if _is_written(step.sub.plan) else step.sub.plan, inside
        yield "sub.inputs", step.sub.inputs, inside
    if step.compensate is not None:
        beside = inside - {"last"} | {"self", step.id}
        yield "compensate.args", step.compensate.args, beside
        yield "compensate.target", step.compensate.target, beside


CONDITIONS: Final = ("when", "while.condition", "event.filter")


def needs(step: Step) -> tuple[frozenset[str], frozenset[str]]:
    """Steps that come before this one: by order or data, and of those the ones whose output it cannot do without."""
    every, required = set(step.after), set()
    for field, value, _ in values_of(step):
        if field.startswith("compensate."):
            continue
        for reference in references(value):
            if reference.root not in RESERVED:
                every.add(reference.root)
                if not reference.optional:
                    required.add(reference.root)
    return frozenset(every), frozenset(required)


def _is_written(plan: Any) -> bool:
    """Whether a sub-plan stands in the plan itself, so that its references are its own."""
    return isinstance(plan, dict) and not operator(plan)


def written_plan(value: Any) -> Any:
    """The document of a sub-plan that stands in the plan itself, or None."""
    return value if _is_written(value) else None


def _check_part(plan: Plan, names: Mapping[str, Step], value: Any, where: str, more: frozenset[str]) -> None:
    check_value(value, where)
    if where.endswith(CONDITIONS) and not (isinstance(value, bool) or operator(value) in _TRUE_OR_FALSE):
        raise InvalidInput(
            "a condition is true, false, a comparison or a reference",
            field=where,
            hint='Like {"$gt": [{"$from": "read.confidence"}, 0.8]}.',
        )
    for reference in references(value):
        root = reference.root
        if root == "inputs":
            if reference.path and reference.path[0] not in plan.inputs:
                raise _unknown(reference.path[0], plan.inputs, where, "input")
        elif root in RESERVED:
            if root not in more:
                raise InvalidInput(f"{root} is not known here", field=where, hint=_KNOWN_IN[root])
        elif root not in names:
            raise _unknown(root, names, where)


_TRUE_OR_FALSE: Final = LOGICAL | {"$from", "$value"}
_KNOWN_IN: Final = {
    "event": "It is known in the filter of an event.",
    "index": "It is known where a step repeats: for_each, while.",
    "item": "It is known in for_each.",
    "last": "It is known in while.",
    "self": "It is known in compensate.",
}


def _unknown(name: str, known: Mapping[str, Any], where: str, what: str = "step") -> InvalidInput:
    near = nearest(name, sorted(known)) if known else ""
    hint = f"Did you mean {near}?" if near else f"There are: {', '.join(sorted(known)[:12]) or 'none'}."
    return InvalidInput(f"there is no {what} called {name[:40]}", field=where, hint=hint)


def _check_sub(sub: Sub, where: str, depth: int, emergency: bool) -> int:
    """How many steps a written sub-plan has; 0 for one that is made while running."""
    document = written_plan(sub.plan)
    if document is None:
        if operator(sub.plan) not in ("$from", "$value"):
            raise InvalidInput("a sub plan is written here, or a reference to one", field=f"{where}.sub.plan")
        return 0
    inner = f"{where}.sub.plan."
    try:
        plan = plan_from_document(document)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=f"{inner}{error.field}"[:200], hint=error.hint) from error
    for name in sub.inputs:
        if name not in plan.inputs:
            raise _unknown(name, plan.inputs, f"{where}.sub.inputs", "input")
    for name, given in plan.inputs.items():
        if given.field(name).required and name not in sub.inputs:
            raise InvalidInput(f"the sub plan needs {name}", field=f"{where}.sub.inputs")
    return _check(plan, inner, depth + 1, emergency)


def _check_cycles(plan: Plan, prefix: str) -> None:
    """Refuse a graph that is not acyclic; names the steps of the circle."""
    before = {step.id: sorted(needs(step)[0]) for step in plan.steps}
    done: set[str] = set()
    for first, edges in before.items():
        trail: list[str] = []
        pending = [(first, iter(edges))] if first not in done else []
        while pending:
            name, rest = pending[-1]
            if len(trail) < len(pending):
                trail.append(name)
            following = next(rest, None)
            if following is None:
                done.add(name)
                pending.pop()
                trail.pop()
            elif following in trail:
                circle = [*trail[trail.index(following) :], following]
                raise InvalidInput(
                    f"these steps wait for each other: {' <- '.join(circle)}",
                    field=f"{prefix}steps.{following}",
                    hint="Take one of the references or after away.",
                )
            elif following not in done:
                pending.append((following, iter(before[following])))


def check_inputs(plan: Plan, inputs: Any) -> dict[str, Any]:
    """What a run of this plan is given, with defaults filled in.

    Raises:
        InvalidInput: names the value.
    """
    return check_fields(tuple(known.field(name) for name, known in plan.inputs.items()), inputs)


__all__ = ["RESERVED", "check_inputs", "check_plan", "needs", "values_of", "written_plan"]
