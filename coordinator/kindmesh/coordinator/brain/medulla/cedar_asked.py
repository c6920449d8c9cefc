"""How a call becomes questions for the owner's rules in Cedar, and their answers one: shared by permits and reviews.

A call that is about several things is asked for each of them, and the worst answer counts. Where an operation of the
home carries a service, the service is the action, by the name that it has for that thing. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.cedar import AMOUNT_MAX, Asked, Ruled, Rules
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import SEVERITY
from kindmesh.protocol.principal import Principal

WITH_SERVICES: Final = ("home.control", "home.access", "home.note")
"""Operations whose service is the action; they are the group of it."""
LOOKS: Final = {"home.get": "entities", "home.history": "entity"}
"""Operations that tell how things are or were, and the argument that names them; without it, of all."""
ALL_MAX: Final = 64
"""Things up to which one step may look at all that there is, where there are rules: each is asked about."""
NAME_THEM: Final = f"there are rules about things, and more than {ALL_MAX} things here: say which it is about"
SOURCES: Final = ("user", "memory", "device", "model", "web")
"""Where a value may come from, the most trusted first."""
_ALIASES: Final = {"list": "todo"}
_GENERIC: Final = ("turn_on", "turn_off", "toggle")
_OPENINGS: Final = {
    "cover": {"turn_on": "open_cover", "turn_off": "close_cover"},
    "valve": {"turn_on": "open_valve", "turn_off": "close_valve"},
}
_DAY_MS: Final = 86_400_000


def about(base: Asked, args: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]) -> tuple[Asked, ...]:
    """One question for each thing that a call is about, or the one about the device. What tells how things are and
    names none tells of all of them."""
    things = named_things(base.operation, args)
    if not things and base.operation in LOOKS:
        things = tuple(names)
    service = args.get("service")
    if base.operation not in WITH_SERVICES or not isinstance(service, str):
        service = ""
    return tuple(thing_of(base, one, service, names.get(one, ())) for one in dict.fromkeys(things or [""]))


def named_things(operation: str, args: Mapping[str, Any]) -> tuple[str, ...]:
    """The things that a call names."""
    field = LOOKS.get(operation, "entities")
    given = args.get(field)
    if field == "entity" and isinstance(given, str):
        return (given,) if given else ()
    return tuple(given) if isinstance(given, list) and all(isinstance(one, str) for one in given) else ()


def thing_of(base: Asked, thing: str, service: str, names: tuple[str, ...]) -> Asked:
    """The question about one thing; without a service the action is the operation."""
    action = service_for(thing, service) if service else base.operation
    return msgspec.structs.replace(
        base, action=action, service=action if service else "", thing=thing, names=names
    )


def service_for(thing: str, service: str) -> str:
    """The service's own name for this thing, as the home takes it: `homeassistant.turn_on` of a cover opens it."""
    head, _, verb = service.partition(".")
    domain = thing.partition(".")[0]
    domain = _ALIASES.get(domain, domain)
    if head == "homeassistant" and verb in _GENERIC and domain:
        return f"{domain}.{_OPENINGS.get(domain, {}).get(verb, verb)}"
    return f"{_ALIASES.get(head, head)}.{verb}"


def worst(every: Iterable[Rules], questions: Sequence[Asked]) -> Ruled:
    """The worst of what all rules say of all questions; of equals the first."""
    found = Ruled("allow")
    for rules in every:
        for asked in questions:
            said = rules.answer(asked)
            if SEVERITY[said.answer] > SEVERITY[found.answer] or not (found.rules or found.reason):
                found = said
            if found.answer == "deny":
                return found
    return found


def worst_source(labels: Iterable[Label | None], unlabelled: str = "model") -> str:
    """The least trusted of where values come from; of none: the person."""
    places = [SOURCES.index(unlabelled if label is None else label.source) for label in labels]
    return SOURCES[max(places, default=0)]


def whole_units(amount: float) -> int:
    """Rounded up; what is no number is as much as can be."""
    return math.ceil(amount) if 0 <= amount < AMOUNT_MAX else AMOUNT_MAX


def person_of(principal: Principal) -> str:
    """The id under which rules know who asks, or for whom it is asked."""
    return principal.person or principal.kind


def weekday_of(local_ms: int) -> int:
    """1 Monday to 7 Sunday; the first day of 1970 was a Thursday."""
    return (local_ms // _DAY_MS + 3) % 7 + 1


__all__ = [
    "ALL_MAX", "LOOKS", "NAME_THEM", "SOURCES", "WITH_SERVICES", "about", "named_things", "person_of", "service_for",
    "thing_of", "weekday_of", "whole_units", "worst", "worst_source",
]  # fmt: skip
