"""What was said against a plan before it was begun, for the steps that are run: each of them waits for a yes then.

A verdict of `ask` is worth nothing unless something asks. What Medulla finds again at the permits (its policy, quiet
hours, rates, spending, places) it asks about by itself; the rest, which only shows in the plan as a whole or comes from
a second reviewer, goes with the steps as `doubts`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.desk.judging import Why
from kindmesh.protocol.plan import Plan, Step

DOUBTS_MAX: Final = 8
"""Sentences against one step."""
LINE_MAX: Final = 500
_AT_PERMITS: Final = frozenset({"policy", "quiet-hours", "rate", "spend", "egress", "cedar"})


def doubts_of(reasons: Iterable[Why], plan: Plan) -> dict[str, tuple[str, ...]]:
    """Sentences by the step of the plan as it is run, in which a step may have become several; those about the
    whole plan are said of every step."""
    told: dict[str, list[str]] = {}
    for reason in reasons:
        if reason.rule not in _AT_PERMITS:
            told.setdefault(reason.step, []).append(reason.message[:LINE_MAX])
    everywhere = told.pop("", [])
    found = {
        step.id: tuple(dict.fromkeys([*told.get(_origin(step, plan), []), *everywhere]))[:DOUBTS_MAX]
        for step in plan.steps
    }
    inside = {name: tuple(dict.fromkeys(said))[:DOUBTS_MAX] for name, said in told.items() if "." in name}
    return {name: said for name, said in {**found, **inside}.items() if said}


def _origin(step: Step, plan: Plan) -> str:
    """The step that it was before it became one for each device."""
    base = step.id.rpartition("_")[0]
    for other in plan.steps:
        if base and other.id.startswith(base) and other.id != step.id and _shape(other) == _shape(step):
            return other.id
    return step.id


def _shape(step: Step) -> Any:
    """All of a step but its name, and which things at which device it is about."""
    args = {name: value for name, value in step.args.items() if name != "entities"}
    return msgspec.structs.replace(step, id="s", args=args, target="", deadline_ms=0)


__all__ = ["DOUBTS_MAX", "LINE_MAX", "doubts_of"]
