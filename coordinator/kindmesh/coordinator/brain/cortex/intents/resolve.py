"""Which entities a sentence is about: from a `Target` to ids, or to a question, or to what is missing.

Rules, in this order:
- A thing called by its name is that thing. Several of that name: the one in the place that was said, else the one where
  it was said, else we ask.
- "The lights" said somewhere means the lights there; with nothing of the kind there, the only one elsewhere; several
  elsewhere: we ask. Where nobody knows where it was said, and there are several in different rooms, we ask: the whole
  home is meant only by "all", "every", "everything" or "in the house".
- What lets people, water or gas in is opened only when exactly one thing can be meant.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import plain
from kindmesh.coordinator.brain.cortex.intents.household import class_of, floor_of, of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Target

SHORT = 3
"""Letters up to which a hint has to be a whole word: "ac" is no "academy"."""
CHOICES_MAX = 4
"""Names offered in one question."""


class Found(msgspec.Struct, frozen=True):
    """Entities, or a `choice` between several of which one is meant, or what is `missing` (a key of the complaints).
    `where`: "here" was said, and nobody knows where that is."""

    entities: tuple[Entity, ...] = ()
    choice: tuple[Entity, ...] = ()
    missing: str = ""
    where: bool = False


def find(
    home: Home, target: Target, domains: tuple[str, ...], area: str, prefer: tuple[str, ...] = ()
) -> Found:
    """See the module. `domains`: what the intent can be about, when the sentence named no kind; `area`: where it was
    said (id or empty); `prefer`: states that single one out among several ("playing")."""
    if target.both:
        return _both(
            find(home, msgspec.structs.replace(target, both=False), domains, area, prefer), home, area
        )
    if target.ids:
        return _named(home, target, domains, area)
    kinds = target.domains or domains
    pool = _without(of_kind(home, kinds, target.classes), target)
    if not placed(home, pool, target.areas, target.floors) and target.classes:
        pool = _without(of_kind(home, kinds, target.classes, near=True), target)
        # "The blinds" of a home that has curtains, and shutters that are called blinds.
        called = _hinted(pool, msgspec.structs.replace(target, hint="|".join(target.classes)))
        pool = called if placed(home, called, target.areas, target.floors) else pool
    if not pool:
        return Found(missing="no_device_class" if target.classes else "no_domain")
    if target.areas or target.floors:
        there = placed(home, pool, target.areas, target.floors)
        if not there:
            place = "area" if target.areas else "floor"
            return Found(missing=f"no_{'device_class' if target.classes else 'domain'}_in_{place}")
        return _single(there, target, prefer, strict=False)
    if target.every and not (target.here_said and area):
        return Found(pool)
    if target.here and area:
        there = placed(home, pool, (area,), ())
        if there:
            return _single(there, target, prefer, strict=False)
        near = _near(home, pool, area)
        if target.one and len(_hinted(pool, target)) == 1:
            return Found(_hinted(pool, target))
        return Found(near) if len(near) == 1 else _one_of(near or pool, prefer)
    if target.one:
        return _single(pool, target, prefer, strict=True)
    if target.here and not area and len({one.area for one in pool}) > 1:
        return Found(where=True)
    return Found(_hinted(pool, target))


def _both(found: Found, home: Home, area: str) -> Found:
    """Exactly two: those that were found, or of these those where it was said; else it is a question."""
    if not found.entities or len(found.entities) == 2:
        return found
    there = placed(home, found.entities, (area,), ()) if area else ()
    return Found(there) if len(there) == 2 else Found(choice=found.entities)


def _named(home: Home, target: Target, domains: tuple[str, ...], area: str) -> Found:
    pool = tuple(home.entities[one] for one in target.ids if one in home.entities and one not in target.but)
    fitting = tuple(one for one in pool if not domains or one.domain in domains)
    pool = fitting or pool
    if (target.areas or target.floors) and pool:
        there = placed(home, pool, target.areas, target.floors)
        pool = there or tuple(one for one in pool if not one.area)
        if not pool:
            return Found(missing="no_entity_in_area" if target.areas else "no_entity_in_floor")
    if not pool:
        return Found(missing="no_entity")
    if len(pool) == 1 or target.every:
        return Found(pool)
    if area:
        there = placed(home, pool, (area,), ())
        if len(there) == 1:
            return Found(there)
    return Found(choice=pool)


def _near(home: Home, pool: tuple[Entity, ...], area: str) -> tuple[Entity, ...]:
    """What is on the same floor, else all of it."""
    here = home.areas.get(area)
    if here is None or not here.floor:
        return pool
    return tuple(one for one in pool if floor_of(home, one) == here.floor) or pool


def _single(pool: tuple[Entity, ...], target: Target, prefer: tuple[str, ...], *, strict: bool) -> Found:
    hinted = _hinted(pool, target)
    if len(hinted) == 1:
        return Found(hinted)
    if prefer:
        return _one_of(hinted, prefer)
    return Found(choice=hinted) if strict else Found(hinted)


def _hinted(pool: tuple[Entity, ...], target: Target) -> tuple[Entity, ...]:
    if not target.hint:
        return pool
    for part in target.hint.casefold().split("|"):
        named = tuple(one for one in pool if _has(one, part))
        if named:
            return named
    return pool


def _has(one: Entity, hint: str) -> bool:
    """Whether a word is in a thing's names; `class:tv` is a device class, `class:-tv` any other."""
    if hint.startswith("class:"):
        wanted = hint.removeprefix("class:")
        named = wanted.removeprefix("-")
        is_so = class_of(one) == named or (not class_of(one) and _has(one, named))
        return is_so != wanted.startswith("-")
    if hint.startswith("mode:"):
        return hint.removeprefix("mode:") in (one.state, *one.attributes.get("hvac_modes", ()))
    said = f" {hint}" if len(hint) > SHORT else f" {hint} "
    return any(said in f" {plain(name)} " for name in (one.name, *one.aliases))


def _one_of(pool: tuple[Entity, ...], prefer: tuple[str, ...]) -> Found:
    """The only one that is in the first of these states that any is in."""
    active = next(
        (some for state in prefer if (some := tuple(one for one in pool if one.state == state))), ()
    )
    if len(active) == 1:
        return Found(active)
    return Found(pool) if len(pool) == 1 else Found(choice=active or pool)


def _without(pool: tuple[Entity, ...], target: Target) -> tuple[Entity, ...]:
    return tuple(one for one in pool if one.id not in target.but)


def told_apart(pool: tuple[Entity, ...], home: Home) -> tuple[Entity, ...]:
    """The same things, those that share their name with another of the home called with their room as well."""
    shared = {one.name.casefold() for one in pool}
    often = Counter(one.name.casefold() for one in home.entities.values() if one.name.casefold() in shared)
    found = []
    for one in pool:
        area = home.areas.get(one.area)
        if often[one.name.casefold()] > 1 and area is not None:
            found.append(msgspec.structs.replace(one, name=f"{area.name} {one.name}"))
        else:
            found.append(one)
    return tuple(found)


def labels(home: Home, pool: tuple[Entity, ...]) -> tuple[str, ...]:
    """What to call several things so that they can be told apart."""
    names = [one.name for one in pool]
    found: list[str] = []
    for one in pool:
        area = home.areas.get(one.area)
        found.append(
            f"{one.name} ({area.name})" if names.count(one.name) > 1 and area is not None else one.name
        )
    return tuple(found)


__all__ = ["CHOICES_MAX", "Found", "class_of", "find", "labels", "told_apart"]
