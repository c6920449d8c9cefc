"""What a home is: floors, areas in them, entities in those, each entity with a state and attributes. Data only, no IO.

States, attributes and services have the names that Home Assistant gives them (https://www.home-assistant.io/docs/,
https://developers.home-assistant.io/docs/core/entity/), because that is what people's devices, inventories and scripts
already speak. A `Home` is a value: whoever changes something makes another one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Floor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A storey. `id` names it in inventories; `aliases` are other names that people use."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()


class Area(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A room or a place outside; `floor` is a floor's id, or empty."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    floor: str = ""


class Entity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that has a state, by its id (`light.kitchen`, whose part before the dot is the domain).

    `area` is an area's id, or empty; `state` the state as a word or a number in text; `attributes` are plain data;
    `changed_ms`: when the state was last heard of (UTC ms; 0: never since it was loaded).
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    area: str = ""
    state: str = "unknown"
    attributes: dict[str, Any] = {}
    changed_ms: int = 0

    @property
    def domain(self) -> str:
        """`light` of `light.kitchen`."""
        return self.id.partition(".")[0]


class Home(msgspec.Struct, frozen=True):
    """All of it, by id, in the order of the inventory."""

    floors: dict[str, Floor] = {}
    areas: dict[str, Area] = {}
    entities: dict[str, Entity] = {}

    def with_entities(self, *changed: Entity) -> Home:
        """The home with these in place of those of the same id."""
        return Home(self.floors, self.areas, {**self.entities, **{one.id: one for one in changed}})


class Change(msgspec.Struct, frozen=True):
    """One thing that became different: `attribute` is `state` or an attribute's name; `before` or `after` is None
    where there was or is none."""

    entity: str
    attribute: str
    before: Any
    after: Any


__all__ = ["Area", "Change", "Entity", "Floor", "Home"]
