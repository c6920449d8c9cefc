"""The owner's rules in Cedar over a whole plan: each call, for each thing that it is about, as far as it is known yet.

What is only known when the plan runs is asked about again at its step. Until then a thing that is not known is `?`, an
amount that is not known is the greatest there is, and where nothing but such a gap keeps a permit from matching, it
asks instead of denying.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.cedar import AMOUNT_MAX, Asked
from kindmesh.coordinator.brain.medulla.cedar_asked import (
    ALL_MAX,
    LOOKS,
    WITH_SERVICES,
    thing_of,
    weekday_of,
    whole_units,
    worst,
    worst_source,
)
from kindmesh.coordinator.brain.medulla.review_facts import Facts, Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence
from kindmesh.coordinator.brain.medulla.review_sources import is_amount
from kindmesh.coordinator.brain.medulla.rule_amounts import spent

_CEDAR: Final = Sentence("cedar")
_UNKNOWN: Final = "?"


def cedar(scene: Scene) -> Iterator[Reason]:
    """What no rule permits, or one forbids, is not done; emergencies that only read or notify are not judged."""
    every = scene.facts.cedar
    if not every:
        return
    for call in scene.made.calls:
        if call.operation is None or (scene.facts.emergency and not call.effects & ~bits.HARMLESS):
            continue
        said = worst(every, questions(scene, call))
        if said.answer != "allow":
            yield _CEDAR(call.step, said.reason, said.answer)


def questions(scene: Scene, call: Call) -> tuple[Asked, ...]:
    """What the rules are asked about one call."""
    facts = scene.facts
    target = call.target.value if call.target is not None and isinstance(call.target.value, str) else ""
    base = Asked(
        action=call.name,
        operation=call.name,
        effects=call.effects,
        person=facts.person or facts.principal or "owner",
        name=facts.name,
        kind=_kind(facts),
        role=facts.role,
        device=target,
        minute=facts.minute,
        weekday=facts.weekday or _weekday(facts),
        present=facts.present,
        said=bool(scene.words),
        proven=bool(scene.words),
        purpose=facts.purpose,
        amount=_amount(call),
        source=worst_source((leaf.label for leaf in call.leaves), "user" if scene.words else "model"),
        area=tuple(name.casefold() for name in facts.area),
        data=call.operation.data_classes if call.operation is not None else (),
    )
    service, gap = _service(call)
    if gap or (not target and any(one.names_devices for one in facts.cedar)):
        later = gap or "which device does it is only known later"
        base = msgspec.structs.replace(base, later=later)
    return tuple(_about(base, call, service, facts))


def _about(base: Asked, call: Call, service: str, facts: Facts) -> Iterator[Asked]:
    given = [leaf for leaf in call.leaves if leaf.field in (LOOKS.get(call.name, "entities"), "")]
    things = [leaf.value for leaf in given if isinstance(leaf.value, str)]
    if any(not leaf.known for leaf in given):
        later = msgspec.structs.replace(base, later="which thing is only known later")
        yield thing_of(later, _UNKNOWN, service, ())
    elif not things and call.name in LOOKS:
        # What tells how things are and names none tells of all of them; at its step it is asked about each.
        for thing in list(facts.names)[:ALL_MAX]:
            yield thing_of(base, thing, service, facts.names[thing])
    elif not things:
        yield thing_of(base, "", service, ())
    for thing in dict.fromkeys(things):
        yield thing_of(base, thing, service, facts.names.get(thing, ()))


def _service(call: Call) -> tuple[str, str]:
    """The service, and why it is not known."""
    if call.name not in WITH_SERVICES:
        return "", ""
    given = [leaf for leaf in call.leaves if leaf.field in ("service", "")]
    if any(not leaf.known for leaf in given):
        return "", "what is done with it is only known later"
    return next((leaf.value for leaf in given if isinstance(leaf.value, str)), ""), ""


def _amount(call: Call) -> int:
    if not call.effects & bits.SPEND:
        return 0
    unknown = any(not leaf.known and is_amount(call.operation, leaf) for leaf in call.leaves)
    return AMOUNT_MAX if unknown else whole_units(spent(call))


def _kind(facts: Facts) -> str:
    if facts.kind:
        return facts.kind
    return facts.role if facts.role in ("owner", "goal", "limb", "home", "device") else "person"


def _weekday(facts: Facts) -> int:
    """From UTC and the minute of the local day, which is less than half a day away."""
    ahead = (facts.minute - facts.now_ms // 60_000 + 720) % 1_440 - 720
    return weekday_of(facts.now_ms + ahead * 60_000)


__all__ = ["cedar", "questions"]
