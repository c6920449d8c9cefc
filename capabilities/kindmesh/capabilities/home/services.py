"""What a service call makes of a home: `apply`, pure, with the services and the rules of Home Assistant.

    apply(home, "light.turn_on", ["light.kitchen"], {"brightness_pct": 40}, now_ms) -> (home afterwards, changes)

Rules that always hold:
- all or nothing: what one entity cannot do, or a value that is wrong, is an `InvalidInput`, and nothing has changed;
- an entity that is `unavailable` is left as it is, as Home Assistant does; reading it back shows that nothing happened;
- several lights at once take what each can do (a plain lamp among coloured ones is switched on); one alone must do all;
- the changes are exactly the differences between the two homes, the state first; entities are never lost.
`homeassistant.turn_on`, `turn_off` and `toggle` reach whatever has such a service. Of our own are: `timer.start` to an
id that is not there, which makes a timer (`name` is what it is called), and `calendar.delete_event`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.air import AIR
from kindmesh.capabilities.home.inventory import ENTITIES_MAX, NAME_MAX, state_text
from kindmesh.capabilities.home.lights import LIGHTS, light_lacks
from kindmesh.capabilities.home.lists import LISTS
from kindmesh.capabilities.home.media import MEDIA
from kindmesh.capabilities.home.model import Change, Entity, Home
from kindmesh.capabilities.home.openings import OPENINGS
from kindmesh.capabilities.home.plain import plain
from kindmesh.capabilities.home.robots import ROBOTS
from kindmesh.capabilities.home.scenes import SCENES, Nested, nested_of
from kindmesh.capabilities.home.service_table import UNAVAILABLE, Service, amend, cannot, checked
from kindmesh.capabilities.home.switches import SWITCHES
from kindmesh.capabilities.home.timers import TIMERS
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.errors import InvalidInput

SERVICES: Final[Mapping[str, Service]] = MappingProxyType(
    {**LIGHTS, **SWITCHES, **AIR, **OPENINGS, **MEDIA, **ROBOTS, **LISTS, **TIMERS, **SCENES}
)
"""Every service by its name."""
READ_ONLY: Final = frozenset(
    {
        "binary_sensor",
        "device_tracker",
        "event",
        "image",
        "person",
        "sensor",
        "sun",
        "update",
        "weather",
        "zone",
    }
)
TARGETS_MAX: Final = 1_000
"""Entities of one call."""
TIMERS_MAX: Final = 50
"""Timers of a home, those that calls made included."""
_NESTED_MAX: Final = 4
_ALIASES: Final = {"list": "todo"}
_GENERIC: Final = {"turn_on", "turn_off", "toggle"}
_OPENINGS: Final = {
    "cover": {"turn_on": "open_cover", "turn_off": "close_cover"},
    "valve": {"turn_on": "open_valve", "turn_off": "close_valve"},
}


def service_domain(entity_id: str) -> str:
    """The domain whose services an entity has: `todo` for `list.shopping`, otherwise what stands before the dot."""
    domain = entity_id.partition(".")[0]
    return _ALIASES.get(domain, domain)


def service_of(entity: Entity, service: str) -> Service:
    """The service by that name, as it is for this entity.

    Raises:
        InvalidInput: there is none, or the entity does not have it; the hint names those it has.
    """
    head, _, verb = service.partition(".")
    domain = service_domain(entity.id)
    if head == "homeassistant" and verb in _GENERIC:
        verb = _OPENINGS.get(domain, {}).get(verb, verb)
        head = domain
    found = SERVICES.get(f"{_ALIASES.get(head, head)}.{verb}")
    if found is not None and service_domain(found.name) == domain:
        return found
    if domain in READ_ONLY:
        raise InvalidInput(
            f"{entity.name} only tells something; nothing can be done with it", field="entities"
        )
    mine = services_of(entity)
    if found is None and head == domain:
        near = get_close_matches(service, mine, 1)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(mine)}."
        raise InvalidInput(
            f"there is no service {printable(service)[:80]!r}", field="service", hint=hint[:500]
        )
    hint = f"It has {', '.join(mine)}." if mine else "It has no services."
    what = f"{entity.name} ({entity.id}) does not have {printable(service)[:80]}"
    raise InvalidInput(what, field="service", hint=hint[:500])


def services_of(entity: Entity) -> list[str]:
    """The names of the services that the entity has by its kind and its `supported_features`."""
    head = service_domain(entity.id) + "."
    return [name for name, one in SERVICES.items() if name.startswith(head) and _supports(entity, one)]


def apply(
    home: Home, service: str, entities: Sequence[str], data: Mapping[str, Any], now_ms: int
) -> tuple[Home, tuple[Change, ...]]:
    """The home after the call, and what changed. `now_ms`: UTC; what changed is dated with it.

    Raises:
        InvalidInput: there is no such service or entity, the data are not what it takes, or an entity cannot do it;
            `field` is `service`, `entities` or `data.NAME`.
    """
    after = _apply(home, Nested(service, tuple(entities), data), now_ms, 0)
    return after, differences(home, after)


def _apply(home: Home, call: Nested, now_ms: int, depth: int) -> Home:
    service, entities, data = call
    targets = _targets(home, service, entities, data)
    fresh: list[Entity] = []
    later: list[Nested] = []
    for entity in targets:
        found = service_of(entity, service)
        values = checked(found, data)
        if entity.state == UNAVAILABLE:
            continue
        if not _supports(entity, found):
            raise cannot(entity, f"do {found.name}", "service")
        if len(targets) > 1 and found.name.startswith("light.") and light_lacks(entity, values):
            values = {name: value for name, value in values.items() if name in ("flash", "transition")}
        changed = found.run(entity, values, now_ms)
        if entity.id not in home.entities or (changed.state, changed.attributes) != (
            entity.state,
            entity.attributes,
        ):
            fresh.append(msgspec.structs.replace(changed, changed_ms=now_ms))
        later += nested_of(entity, found.name)
    after = home.with_entities(*fresh) if fresh else home
    for one in later:
        after = _nested(after, one, now_ms, depth + 1)
    return after


def _nested(home: Home, one: Nested, now_ms: int, depth: int) -> Home:
    if depth > _NESTED_MAX:
        raise InvalidInput("scenes and scripts call each other too deep", field="entities")
    if one.service:
        return _apply(home, one, now_ms, depth)
    (name,) = one.entities
    entity = home.entities.get(name)
    if entity is None or entity.state == UNAVAILABLE:
        return home
    told = dict(one.data)
    state = state_text(told.pop("state", entity.state), "state")
    changed = amend(entity, plain(told, f"{name}.attributes"), state)
    return (
        home if changed is entity else home.with_entities(msgspec.structs.replace(changed, changed_ms=now_ms))
    )


def _supports(entity: Entity, service: Service) -> bool:
    features = entity.attributes.get("supported_features")
    if not service.feature or not isinstance(features, int) or isinstance(features, bool):
        return True
    return bool(features & service.feature)


def _targets(home: Home, service: str, entities: Sequence[str], data: Mapping[str, Any]) -> list[Entity]:
    if not entities:
        raise InvalidInput("no entity is named", field="entities", hint="Such as light.kitchen.")
    if len(entities) > TARGETS_MAX:
        raise InvalidInput(f"more than {TARGETS_MAX} entities in one call", field="entities")
    found: dict[str, Entity] = {}
    for name in entities:
        entity = home.entities.get(name)
        if entity is None and service == "timer.start":
            entity = _new_timer(home, name, data)
        if entity is None:
            shown = printable(str(name))[:80]
            near = get_close_matches(shown, home.entities, 1)
            hint = f"Did you mean {near[0]}?" if near else "kindmesh home list shows what there is."
            raise InvalidInput(f"there is no {shown!r} in this home", field="entities", hint=hint)
        found[entity.id] = entity
    return list(found.values())


def _new_timer(home: Home, name: str, data: Mapping[str, Any]) -> Entity | None:
    head, _, tail = name.partition(".")
    if head != "timer" or not tail.replace("_", "").isalnum() or not tail.isascii() or tail != tail.lower():
        return None
    timers = sum(entity.domain == "timer" for entity in home.entities.values())
    if timers >= TIMERS_MAX or len(home.entities) >= ENTITIES_MAX or len(tail) > 80:
        raise InvalidInput(f"there are {timers} timers already", field="entities", hint="Use one of them.")
    title = str(data.get("name") or tail.replace("_", " ").capitalize())[:NAME_MAX]
    return Entity(name, title, state="idle")


def differences(before: Home, after: Home) -> tuple[Change, ...]:
    """What is different in states and attributes, entity by entity, the state first. An entity that is new has no
    state before, one that is gone none after."""
    found: list[Change] = []
    for name in {**before.entities, **after.entities}:
        old, new = before.entities.get(name), after.entities.get(name)
        if old is new:
            continue
        if old is None or new is None or old.state != new.state:
            found.append(Change(name, "state", old.state if old else None, new.state if new else None))
        was, now = (old.attributes if old else {}), (new.attributes if new else {})
        found += [
            Change(name, key, was.get(key), now.get(key))
            for key in {**was, **now}
            if _differs(was.get(key), now.get(key))
        ]
    return tuple(found)


def _differs(one: Any, other: Any) -> bool:
    return one != other or isinstance(one, bool) != isinstance(other, bool)


__all__ = [
    "READ_ONLY", "SERVICES", "TARGETS_MAX", "TIMERS_MAX", "apply", "differences", "service_domain", "service_of",
    "services_of",
]  # fmt: skip
