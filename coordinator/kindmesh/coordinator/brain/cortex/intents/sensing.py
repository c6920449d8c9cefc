"""Which sensor is asked: by what it measures ("the humidity in the bath"), by what it senses ("smoke in the hall")."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain, stem
from kindmesh.coordinator.brain.cortex.intents.describe import Describer, Word
from kindmesh.coordinator.brain.cortex.intents.household import class_of, number, of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.words import words


def measuring(
    names: Describer, area: str, measured: Sequence[str], kind: str, said: Sequence[Word]
) -> Entity | None:
    """The sensor of class `kind`, or of what `measured` says, in the place or beside the thing of `said`; None
    when it is not exactly one."""
    home, language = names.home, names.language
    kind = kind or words(language)["measures"].get(" ".join(measured), "")
    pool = of_kind(home, ("sensor",), ())
    pool = tuple(one for one in pool if class_of(one) == kind) if kind else _called(pool, measured, language)
    if said:
        found = msgspec.structs.replace(names, domains=(), bare=("sensor",)).read(said)
        if found is None or found.doubt or len(found.targets) != 1:
            pool = _named(pool, [word.text for word in said], language) if kind else ()
        elif found.targets[0].ids:
            called = [plain(home.entities[one].name) for one in found.targets[0].ids]
            near = tuple(one for one in pool if any(name in plain(one.name) for name in called))
            pool = near or (_named(pool, [word.text for word in said], language) if kind else ())
        else:
            near = placed(home, pool, found.targets[0].areas, found.targets[0].floors)
            pool = (
                near
                if len(near) == 1
                else _named(pool, [word.text for word in said], language)
                if kind
                else ()
            )
    elif len(pool) > 1:
        # Of the whole house, where something says that; else here.
        whole = {*words(language)["grammar"]["whole"]}
        pool = (
            tuple(one for one in pool if whole & set(plain(one.name).split()))
            or (placed(home, pool, (area,), ()) if area else ())
            or pool
        )
    return pool[0] if len(pool) == 1 else None


def _named(pool: tuple[Entity, ...], said: Sequence[str], language: str) -> tuple[Entity, ...]:
    """Those in one of whose names all of these words are: "the fridge" has the "Fridge temperature"."""
    silent = {*words(language)["grammar"]["panels"]}
    wanted = {
        stem(text, language) for text in said if text not in determiners(language) and text not in silent
    }
    return tuple(
        one for one in pool
        if wanted and any(wanted <= {stem(text, language) for text in plain(name).split()}
                          for name in (one.name, *one.aliases))
    )  # fmt: skip


def _called(pool: tuple[Entity, ...], measured: Sequence[str], language: str) -> tuple[Entity, ...]:
    """Sensors of something that can be counted, in one of whose names all of these words are."""
    return tuple(one for one in _named(pool, measured, language)
                 if number(one.state) is not None and class_of(one) != "temperature")  # fmt: skip


def sensing(names: Describer, sensed: Sequence[str], said: Sequence[Word]) -> tuple[Entity, ...] | None:
    """The sensors that sense this, there or anywhere; None when nobody says what it is, or where."""
    classes = words(names.language).get("hazards", {}).get(" ".join(sensed))
    if classes is None:
        return None
    pool = tuple(one for one in of_kind(names.home, ("binary_sensor",), ()) if class_of(one) in classes)
    if not said:
        return pool
    found = msgspec.structs.replace(names, domains=(), bare=("binary_sensor",)).read(said)
    if found is None or found.doubt or any(target.ids for target in found.targets):
        between = words(names.language)["grammar"]["in"]
        return _named(pool, [word.text for word in said if word.text not in between], names.language) or None
    areas = tuple(one for target in found.targets for one in target.areas)
    floors = tuple(one for target in found.targets for one in target.floors)
    return placed(names.home, pool, areas, floors) if areas or floors else None


__all__ = ["measuring", "sensing"]
