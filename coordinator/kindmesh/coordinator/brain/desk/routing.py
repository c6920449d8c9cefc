"""Which device each step of a plan goes to: the one whose home has the entities. Pure.

Several devices may have a home each (a gateway upstairs, one in the garage). A step about entities of several devices
becomes one step for each of them, side by side, so that one that is away keeps no other from being done and can be
named. A step whose output others read stays whole. Every step that acts gets a deadline: what was not done by then is
not done later, when nobody expects it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.desk.applying import HOME_ACTS, LOOK
from kindmesh.protocol.plan import Plan, Step
from kindmesh.protocol.plan_check import values_of
from kindmesh.protocol.plan_values import operator, references

ID_MAX: Final = 32
_AT_A_HOME: Final = HOME_ACTS | {LOOK}


def routed(plan: Plan, where: Mapping[str, str], within_ms: Callable[[str, str], int]) -> Plan:
    """The plan with targets and deadlines. `where`: entity -> device (text id); `within_ms`: how long an operation
    may take on a device (empty: whichever serves best)."""
    read = {
        reference.root
        for step in plan.steps
        for _, value, _ in values_of(step)
        for reference in references(value)
    }
    found: list[Step] = []
    became: dict[str, tuple[str, ...]] = {}
    taken = {step.id for step in plan.steps}
    for step in plan.steps:
        made = _split(step, where, within_ms, taken, whole=step.id in read)
        became[step.id] = tuple(one.id for one in made)
        found += made
    steps = tuple(
        msgspec.structs.replace(step, after=tuple(new for old in step.after for new in became[old]))
        for step in found
    )
    return msgspec.structs.replace(plan, steps=steps)


def entities_of(step: Step) -> list[str]:
    """The entities that a step is about, as far as they stand in the plan."""
    value = plain(step.args.get("entities"))
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def plain(value: Any) -> Any:
    """A value as it stands in the plan, without its labels, which may stand at every leaf; what is worked out from
    the steps before stays as it is."""
    word = operator(value)
    if word:
        return value["$value"] if word == "$value" else value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _split(
    step: Step,
    where: Mapping[str, str],
    within_ms: Callable[[str, str], int],
    taken: set[str],
    *,
    whole: bool,
) -> list[Step]:
    if step.call not in _AT_A_HOME or step.target:
        return [step]
    whole = whole or step.call not in HOME_ACTS
    by_device: dict[str, list[str]] = {}
    for named in entities_of(step):
        by_device.setdefault(where.get(named, ""), []).append(named)
    known = [device for device in by_device if device] or [""]
    if whole or len(by_device) < 2:
        return [_placed(step, known[0], within_ms)]
    made = []
    for number, (device, entities) in enumerate(by_device.items()):
        part = step if number == 0 else msgspec.structs.replace(step, id=_fresh(step.id, number + 1, taken))
        args = {**step.args, "entities": _only(step.args["entities"], entities)}
        made.append(_placed(msgspec.structs.replace(part, args=args), device, within_ms))
    return made


def _placed(step: Step, device: str, within_ms: Callable[[str, str], int]) -> Step:
    deadline_ms = step.deadline_ms or within_ms(device, step.call)
    return msgspec.structs.replace(step, target=device, deadline_ms=deadline_ms)


def _only(given: Any, entities: list[str]) -> Any:
    if operator(given) == "$value":
        return {**given, "$value": entities}
    return [one for one in given if plain(one) in entities]


def _fresh(name: str, number: int, taken: set[str]) -> str:
    while True:
        ending = f"_{number}"
        found = name[: ID_MAX - len(ending)] + ending
        if found not in taken:
            taken.add(found)
            return found
        number += 1


__all__ = ["entities_of", "plain", "routed"]
