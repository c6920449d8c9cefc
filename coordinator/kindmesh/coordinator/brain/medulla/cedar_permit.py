"""What the owner's rules in Cedar are asked about a permit: who asks, what is done, with which things, how it stands.

Nothing here is the coordinator's word but what a permit binds anyway (operation, arguments, target, purpose): roles and
names are Medulla's, effects and things the device's signed advert's, words and presence what is proven, the time
Medulla's own. A call that is about several things is asked for each of them, and the worst answer counts. Alerts that
only read or notify are not asked about: no rule may hold up an emergency. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from kindmesh.coordinator.brain.medulla.asking import Standing, named, role_of
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.cedar import Asked, Ruled, Rules
from kindmesh.coordinator.brain.medulla.cedar_asked import (
    ALL_MAX,
    LOOKS,
    NAME_THEM,
    about,
    named_things,
    person_of,
    weekday_of,
    whole_units,
    worst,
    worst_source,
)
from kindmesh.coordinator.brain.medulla.evidence import Proven
from kindmesh.coordinator.brain.medulla.messages import PermitRequest
from kindmesh.coordinator.brain.medulla.review_scene import Scene
from kindmesh.coordinator.brain.medulla.review_step import unsettled
from kindmesh.coordinator.brain.medulla.rule_amounts import spent
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.messages.jobs import is_alert
from kindmesh.protocol.principal import Principal


def ruled(
    beliefs: Beliefs,
    request: PermitRequest,
    effects: int,
    known: tuple[Standing, Proven],
    *,
    scene: Scene | None,
    now_ms: int,
) -> Ruled | None:
    """What the owner's rules say of a permit; None: there are none, or it is an alert. `scene`: the step as the rules
    of a review see it, None where no device declares it."""
    every = beliefs.rules
    if not every or is_alert(request.priority, effects):
        return None
    asker, proven = known
    offers = beliefs.offers.get(request.target)
    made = Asked(request.operation, request.operation, effects, purpose=request.purpose)
    by_key = asker.proof is not None
    bases = bases_of(beliefs, made, request.target, (request.principal, proven), by_key=by_key, now_ms=now_ms)
    if scene is not None:
        bases = tuple(_with_scene(every, base, scene, known) for base in bases)
    args = decode_value(request.args)
    names = offers.names if offers else {}
    things = args if isinstance(args, dict) else {}
    if request.operation in LOOKS and not named_things(request.operation, things) and len(names) > ALL_MAX:
        return Ruled("deny", NAME_THEM)
    return worst(every, tuple(one for base in bases for one in about(base, things, names)))


def bases_of(
    beliefs: Beliefs,
    made: Asked,
    target: bytes,
    heard: tuple[Principal, Proven],
    *,
    by_key: bool,
    now_ms: int,
) -> tuple[Asked, ...]:
    """The question with all that does not depend on a thing: `made` says what is done, `heard` who asks and what is
    proven, `by_key` whether their own key signed it. Of a bare device it is asked about the device and about each
    person who has a key there: else leaving the signature out would be a way around a rule about that person."""
    principal, proven = heard
    device, local_ms = beliefs.member(target), now_ms + beliefs.offset_ms
    offers = beliefs.offers.get(target)
    base = msgspec.structs.replace(
        made,
        person=person_of(principal),
        name=principal.name,
        kind=principal.kind,
        role=role_of(beliefs, principal),
        device=device.name if device is not None else "",
        minute=local_ms // 60_000 % 1_440,
        weekday=weekday_of(local_ms),
        present=proven.prover.present,
        proven=by_key or proven.by_person,
        area=(proven.prover.area.casefold(),) if proven.prover.area else (),
        data=offers.classes.get(made.operation, ()) if offers else (),
    )
    persons = beliefs.people.at.get(principal.device, ()) if principal.kind == "device" else ()
    return (base, *(_as_person(beliefs, base, principal, person) for person in persons))


def _as_person(beliefs: Beliefs, base: Asked, principal: Principal, person: bytes) -> Asked:
    who = named(beliefs, Principal("person", format_id(person), device=principal.device))
    return msgspec.structs.replace(
        base, person=who.id, name=who.name, kind="person", role=role_of(beliefs, who)
    )


def needs_scene(every: Iterable[Rules], effects: int) -> bool:
    """Whether rules look at what only a whole step tells: is it what was said, whence values come, what it costs."""
    spends = bool(effects & Effect.SPEND)
    return any(one.needs("said") or one.needs("source") or (spends and one.needs("amount")) for one in every)


def _with_scene(every: Sequence[Rules], base: Asked, scene: Scene, known: tuple[Standing, Proven]) -> Asked:
    asker, proven = known
    (call,) = scene.made.calls
    # A word that is held back could be a "not".
    whole = any(one.needs("said") for one in every) and proven.prover.whole and bool(scene.words)
    # Who signed these very values is where they come from.
    source = worst_source(leaf.label for leaf in call.leaves) if asker.proof is None else "user"
    amount = whole_units(spent(call)) if call.effects & Effect.SPEND else 0
    said = whole and not unsettled(scene)
    return msgspec.structs.replace(base, said=said, source=source, amount=amount)


__all__ = ["bases_of", "needs_scene", "ruled"]
