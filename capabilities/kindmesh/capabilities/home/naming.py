"""What people call the things of a home: by their own names, and by where they are. Pure."""

from __future__ import annotations

from kindmesh.capabilities.home.model import Home


def names_of(home: Home) -> dict[str, tuple[str, ...]]:
    """What people call each entity, with the areas and floors they are in, and each of those, whose ids have no dot."""
    things = {
        entity.id: (entity.name, *entity.aliases, *area_words(home, entity.area))
        for entity in home.entities.values()
    }
    places = {area.id: (area.name, *area.aliases) for area in home.areas.values()}
    places.update({floor.id: (floor.name, *floor.aliases) for floor in home.floors.values()})
    return {**places, **things}


def area_words(home: Home, area: str) -> tuple[str, ...]:
    """What people call an area and its floor."""
    found = home.areas.get(area)
    if found is None:
        return ()
    floor = home.floors.get(found.floor)
    return (found.name, *found.aliases, *((floor.name, *floor.aliases) if floor is not None else ()))


__all__ = ["area_words", "names_of"]
