"""A plan applied to a home that is a value: what the simulated home would become if the plan ran now. Pure.

Only calls of the `home` capability change a home. A step is *done* when it was applied; *later* when it, or a step
before it, waits for a time, an event, a person or something else than a home; *skipped* when its condition is false;
*failed* when the home refuses it, and so is what needs it. Steps behind a pause are not waited for: their changes are
not changes now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Change, Home
from kindmesh.protocol.errors import InvalidInput, KindmeshError
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.plan_check import needs
from kindmesh.protocol.plan_labels import Traced
from kindmesh.protocol.plan_values import evaluate, truth

HOME_ACTS: Final = frozenset({"home.control", "home.access", "home.note"})
LOOK: Final = "home.get"
"""Operations whose arguments are `service`, `entities` and `data`, and whose output says what changed."""


class Failure(msgspec.Struct, frozen=True):
    """A step that was refused: its id, the entities it was about, and why."""

    step: str
    entities: tuple[str, ...]
    error: KindmeshError


class Applied(msgspec.Struct, frozen=True):
    """See the module; `changes` are the net ones: what is as it was before is none; `touched`: entities that steps
    which were done are about."""

    home: Home
    touched: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    done: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()


class HomeCall(msgspec.Struct, frozen=True):
    """What a step asks of a home."""

    service: str
    entities: tuple[str, ...]
    data: dict[str, Any]


def home_call(step: Step, scope: Mapping[str, Traced]) -> HomeCall:
    """The service call of a step, with its values worked out.

    Raises:
        InvalidInput: a value is not there, or has the wrong type.
    """
    where = f"steps.{step.id}.args"
    values = {name: evaluate(value, scope, f"{where}.{name}").value for name, value in step.args.items()}
    service, entities, data = values.get("service"), values.get("entities", []), values.get("data", {})
    if not isinstance(service, str):
        raise InvalidInput("a home is told a service, as text", field=f"{where}.service")
    if not isinstance(entities, list) or not all(isinstance(one, str) for one in entities):
        raise InvalidInput("entities are a list of ids", field=f"{where}.entities")
    if not isinstance(data, dict):
        raise InvalidInput("data are named values", field=f"{where}.data")
    return HomeCall(service, tuple(entities), data)


def in_order(plan: Plan) -> list[Step]:
    """The steps, each after those it needs; as written where nothing orders them."""
    known, placed, found = {step.id: step for step in plan.steps}, set[str](), list[Step]()

    def place(step: Step) -> None:
        if step.id in placed:
            return
        placed.add(step.id)
        for name in sorted(needs(step)[0], key=[*known].index):
            place(known[name])
        found.append(step)

    for step in plan.steps:
        place(step)
    return found


def delayed(plan: Plan) -> frozenset[str]:
    """Ids of steps that cannot have been done at once: they wait, or come after one that does."""
    late: set[str] = set()
    for step in in_order(plan):
        if step.kind in ("pause", "ask", "event") or needs(step)[0] & late:
            late.add(step.id)
    return frozenset(late)


def apply_plan(home: Home, plan: Plan, now_ms: int) -> Applied:
    """What becomes of `home`; the plan was checked (`check_plan`) and has no inputs that are not given."""
    from kindmesh.capabilities.home.services import apply  # noqa: PLC0415 - a coordinator without asks needs none

    late = delayed(plan)
    scope: dict[str, Traced] = {}
    done, later, skipped, touched = list[str](), list[str](), list[str](), list[str]()
    failed, changes = list[Failure](), list[Change]()
    for step in in_order(plan):
        before, required = needs(step)
        broken = {failure.step for failure in failed}
        if (
            step.id in late
            or step.call not in HOME_ACTS
            or step.for_each
            or step.while_
            or before & set(later)
        ):
            later.append(step.id)
            continue
        if before & broken:
            failed.append(Failure(step.id, (), InvalidInput("a step before it did not work", field=step.id)))
            continue
        try:
            if required & set(skipped) or not truth(step.when, scope, f"steps.{step.id}.when"):
                skipped.append(step.id)
                scope[step.id] = Traced(None)
                continue
            call = home_call(step, scope)
        except KindmeshError as error:
            failed.append(Failure(step.id, (), error))
            continue
        try:
            home, made = apply(home, call.service, call.entities, call.data, now_ms)
        except KindmeshError as error:
            failed.append(Failure(step.id, call.entities, error))
            continue
        changes += made
        touched += call.entities
        scope[step.id] = Traced({"changes": [msgspec.to_builtins(one) for one in made]})
        done.append(step.id)
    return Applied(
        home,
        tuple(dict.fromkeys(touched)),
        net(changes),
        tuple(done),
        tuple(later),
        tuple(skipped),
        tuple(failed),
    )


def net(changes: Iterable[Change]) -> tuple[Change, ...]:
    """One change for each attribute, from the first `before` to the last `after`; none where those are equal."""
    found: dict[tuple[str, str], Change] = {}
    for one in changes:
        key = (one.entity, one.attribute)
        first = found.get(key, one)
        found[key] = Change(one.entity, one.attribute, first.before, one.after)
    return tuple(one for one in found.values() if one.before != one.after)


__all__ = [
    "HOME_ACTS",
    "LOOK",
    "Applied",
    "Failure",
    "HomeCall",
    "apply_plan",
    "delayed",
    "home_call",
    "in_order",
    "net",
]
