"""Learned routines: a sentence template with slots, and the plan that it stands for. Matched before anything else.

    movie time in the {area}     ->  the plan, with `inputs.area` bound to the words that were said

A routine is stored and confirmed elsewhere; here it only matches and binds. Slots are the plan's inputs, by name. An
input of type `number` or `integer` takes a number; one that is called `area`, `floor` or `entity` takes something that
the home has by that name or alias, and becomes its id; any other takes the words as they are. What does not fit is no
match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Words, original
from kindmesh.coordinator.brain.cortex.numbers import number
from kindmesh.coordinator.brain.cortex.steps import spoken_value
from kindmesh.coordinator.brain.cortex.template import Template
from kindmesh.coordinator.brain.cortex.terms import Situation
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_document

ROUTINES_MAX: Final = 256
"""Routines of one person that are matched."""


class Routine(msgspec.Struct, frozen=True):
    """A sentence template and its plan; `id` names it to whoever keeps it."""

    id: str
    template: str
    plan: Plan


class Learned(msgspec.Struct, frozen=True):
    """A routine that fits: its plan with every input bound."""

    routine: Routine
    plan: Plan
    slots: dict[str, Any]


class Routines:
    """Some routines, compiled.

    Raises:
        InvalidInput: too many, a wrong template, or a slot that is no input of the plan and the other way round.
    """

    def __init__(self, routines: Iterable[Routine] = ()) -> None:
        known = tuple(routines)
        if len(known) > ROUTINES_MAX:
            raise InvalidInput(f"at most {ROUTINES_MAX} routines", field="routines")
        self._known = tuple((routine, check_routine(routine)) for routine in known)

    def match(self, words: Words, text: str, situation: Situation, language: Language) -> Learned | None:
        """The first routine that fits the clean words of `text`, bound; None when none does."""
        for routine, template in self._known:
            matched = template.match(words)
            if matched is None:
                continue
            bound = {
                name: _bound((name, wanted.type), matched.slots.get(name, ()), text, situation, language)
                for name, wanted in routine.plan.inputs.items()
            }
            if any(value is None for value in bound.values()):
                continue
            plan = bind(routine.plan, {name: value for name, value in bound.items() if value is not None})
            return Learned(routine, plan, {name: value["$value"] for name, value in bound.items() if value})
        return None


def check_routine(routine: Routine) -> Template:
    """The template of a routine, compiled.

    Raises:
        InvalidInput: see `Routines`.
    """
    template = Template(routine.template)
    slots, inputs = set(template.slots), set(routine.plan.inputs)
    if slots != inputs:
        odd = min(slots ^ inputs)
        raise InvalidInput(
            f"{odd!r} is a slot of the sentence or an input of the plan, but not both",
            field="template",
            hint="Every {slot} is an input of the plan, and every input a slot.",
        )
    return template


def bind(plan: Plan, values: Mapping[str, Mapping[str, Any]]) -> Plan:
    """The plan with literals in place of references to its inputs; it has no inputs any more."""
    document = plan_to_document(plan)
    document.pop("inputs", None)
    return plan_from_document(_replaced(document, values))


def _replaced(value: Any, values: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(value, dict):
        if "$value" in value:
            return value
        named = str(value.get("$from", ""))
        if named.startswith("inputs.") and named.removeprefix("inputs.") in values:
            return dict(values[named.removeprefix("inputs.")])
        return {name: _replaced(item, values) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(item, values) for item in value]
    return value


def _bound(
    wanted: tuple[str, str], words: Words, text: str, situation: Situation, language: Language
) -> dict[str, Any] | None:
    if not words:
        return None
    name, kind = wanted
    value: Any
    if kind in ("number", "integer"):
        value = number(words, language)
        if value is None or (kind == "integer" and value != int(value)):
            return None
        value = int(value) if kind == "integer" else value
    elif name in ("area", "floor", "entity"):
        value = named(" ".join(word.text for word in words), name, situation.home, language)
        if value is None:
            return None
    elif kind == "text":
        value = original(text, (word.at for word in words))
    else:
        return None
    return spoken_value(value, text, tuple(word.at for word in words))


def named(said: str, what: str, home: Home, language: Language) -> str | None:
    """The id of the only area, floor or entity of that name or alias; None when there is none, or more than one."""
    wanted = _bare(said, language)
    things: Mapping[str, Any] = home.entities
    if what != "entity":
        things = home.areas if what == "area" else home.floors
    fitting = [
        one.id
        for one in things.values()
        if any(_bare(name, language) == wanted for name in (one.name, *one.aliases))
    ]
    return fitting[0] if len(fitting) == 1 else None


def _bare(text: str, language: Language) -> str:
    words = text.lower().split()
    while len(words) > 1 and words[0] in language.articles:
        words = words[1:]
    return " ".join(words)


__all__ = ["ROUTINES_MAX", "Learned", "Routine", "Routines", "bind", "check_routine", "named"]
