"""The inventory file of a home, read and written: `floors`, `areas` and `entities`, as YAML or JSON.

    floors:   [{id, name, aliases}]
    areas:    [{id, name, aliases, floor}]
    entities: [{id: "light.kitchen", name, aliases, area, state, attributes}]

Strict where a slip would otherwise show up much later: an unknown key, an area or floor that is not there, an id that
is there twice are refused, with the place (`entities[3].area`). Lenient where a person leaves out what does not
matter: aliases, area, state and attributes may be missing, one alias needs no list, and a name is made from the id. A
state is text; what YAML or JSON read as something else becomes the text that Home Assistant would show (`true` is
`on`, 21.5 is `21.5`). Reading what was written gives the same home.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home
from kindmesh.capabilities.home.plain import Budget, plain, text
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.errors import InvalidInput

INVENTORY_MAX: Final = 700_000
"""Bytes of an inventory as compact JSON, so that a whole home fits into one answer."""
ENTITIES_MAX: Final = 3_000
AREAS_MAX: Final = 300
FLOORS_MAX: Final = 60
ALIASES_MAX: Final = 30
NAME_MAX: Final = 100
STATE_MAX: Final = 255
_ENTITY_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z0-9_]{1,80}")
_PLACE_ID: Final = re.compile(r"[^\s\x00-\x1f]{1,64}")
_VALUES_MAX: Final = 60_000


def home_from_text(document: str) -> Home:
    """The home in the text of an inventory file, YAML or JSON (which is YAML too).

    Raises:
        InvalidInput: it is neither, or not an inventory; the field or the line is named.
    """
    from kindmesh.mesh.yaml_text import from_yaml  # noqa: PLC0415 - a bare node does not read YAML

    if len(document) > 4 * INVENTORY_MAX:
        raise InvalidInput("the inventory is too large", field="file", hint="3,000 things at most.")
    try:
        found = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = from_yaml(document, "the inventory", shared=True)
    return home_from_document(found)


def home_from_document(doc: Any) -> Home:
    """The home in an inventory as plain data.

    Raises:
        InvalidInput: it is not an inventory; `field` is the place, such as `entities[3].area`.
    """
    top = _fields(doc, "the inventory", ("floors", "areas", "entities"))
    floors: dict[str, Floor] = {}
    for where, raw in _rows(top, "floors", FLOORS_MAX):
        one = _fields(raw, where, ("id", "name", "aliases"))
        key = _new_id(one, where, floors, _PLACE_ID)
        floors[key] = Floor(key, _name(one, where, key), _aliases(one, where))
    areas: dict[str, Area] = {}
    for where, raw in _rows(top, "areas", AREAS_MAX):
        one = _fields(raw, where, ("id", "name", "aliases", "floor"))
        key = _new_id(one, where, areas, _PLACE_ID)
        floor = _reference(one, where, "floor", floors)
        areas[key] = Area(key, _name(one, where, key), _aliases(one, where), floor)
    entities: dict[str, Entity] = {}
    budget = Budget(_VALUES_MAX)
    known = ("id", "name", "aliases", "area", "state", "attributes", "changed_ms")
    for where, raw in _rows(top, "entities", ENTITIES_MAX):
        one = _fields(raw, where, known)
        key = _new_id(one, where, entities, _ENTITY_ID)
        entities[key] = Entity(
            key,
            _name(one, where, key.partition(".")[2]),
            _aliases(one, where),
            _reference(one, where, "area", areas),
            state_text(one.get("state"), f"{where}.state"),
            _attributes(one, where, budget),
            _changed(one, where),
        )
    home = Home(floors, areas, entities)
    if len(msgspec.json.encode(home_to_document(home))) > INVENTORY_MAX:
        raise InvalidInput(
            f"the inventory is larger than {INVENTORY_MAX:,} bytes",
            field="entities",
            hint="Leave out long attributes.",
        )
    return home


def home_to_document(home: Home) -> dict[str, Any]:
    """The inventory as plain data; what is empty is left out."""
    return {
        "floors": [_row(floor) for floor in home.floors.values()],
        "areas": [_row(area) for area in home.areas.values()],
        "entities": [entity_row(entity) for entity in home.entities.values()],
    }


def entity_row(entity: Entity) -> dict[str, Any]:
    """One entity as the inventory writes it; what is empty is left out."""
    return _row(entity)


def state_text(value: Any, where: str = "state") -> str:
    """A state as text: `true` is `on`, nothing is `unknown`, a number is written out.

    Raises:
        InvalidInput: it is neither text, a number nor a truth value, or too long.
    """
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(plain(value, where))
    return text(value, where, STATE_MAX)


def _row(thing: Floor | Area | Entity) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(thing)
    return {name: value for name, value in found.items() if value or name in ("id", "name", "state")}


def _fields(raw: Any, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        hint = f"It has {', '.join(known)}." if len(known) == 3 else f"Such as {{id: ..., {known[1]}: ...}}."
        raise InvalidInput(f"{where} is not a set of named values", field=where, hint=hint)
    for name in raw:
        if name not in known:
            shown = printable(str(name))[:40]
            near = get_close_matches(shown, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
            if "attributes" in known and not near:
                hint += " Everything else belongs into attributes."
            field = shown if where == "the inventory" else f"{where}.{shown}"
            raise InvalidInput(f"{where} does not have {shown!r}", field=field, hint=hint)
    return raw


def _rows(top: dict[str, Any], name: str, most: int) -> Iterable[tuple[str, Any]]:
    rows = top.get(name)
    if rows is None:
        rows = []
    if not isinstance(rows, list):
        raise InvalidInput(f"{name} is not a list", field=name, hint="Begin each line with a dash.")
    if len(rows) > most:
        raise InvalidInput(f"there are more than {most:,} {name}", field=name)
    return ((f"{name}[{at}]", row) for at, row in enumerate(rows))


def _new_id(one: dict[str, Any], where: str, taken: Iterable[str], pattern: re.Pattern[str]) -> str:
    key = one.get("id")
    if isinstance(key, int) and not isinstance(key, bool) and pattern is _PLACE_ID:
        key = str(key)
    if not isinstance(key, str) or not pattern.fullmatch(key) or not key.isprintable():
        hint = (
            "Small letters, digits and _, with the kind in front: light.kitchen."
            if pattern is _ENTITY_ID
            else "A word such as kitchen."
        )
        raise InvalidInput(f"{where} has no proper id", field=f"{where}.id", hint=hint)
    if key in taken:
        raise InvalidInput(f"{key} is there twice", field=f"{where}.id")
    return key


def _name(one: dict[str, Any], where: str, key: str) -> str:
    given = one.get("name")
    if given is None:
        return " ".join(re.split(r"[_\W]+", key)).strip().capitalize() or key
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)
    name = text(given, f"{where}.name", NAME_MAX).strip()
    if not name:
        raise InvalidInput(f"{where} has an empty name", field=f"{where}.name")
    return name


def _aliases(one: dict[str, Any], where: str) -> tuple[str, ...]:
    given = one.get("aliases")
    if given is None:
        return ()
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or len(names) > ALIASES_MAX:
        raise InvalidInput(
            f"{where}.aliases is not a list of at most {ALIASES_MAX} names", field=f"{where}.aliases"
        )
    found = (text(name, f"{where}.aliases", NAME_MAX).strip() for name in names)
    return tuple(dict.fromkeys(name for name in found if name))


def _reference(one: dict[str, Any], where: str, name: str, known: dict[str, Any]) -> str:
    given = one.get(name)
    if given is None or given == "":
        return ""
    key = str(given)
    if key not in known:
        by_name = [found for found, thing in known.items() if thing.name.casefold() == key.casefold()]
        near = by_name or get_close_matches(key, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Add it to the {name}s."
        raise InvalidInput(
            f"{where} is in {name} {printable(key)[:60]!r}, which is not there",
            field=f"{where}.{name}",
            hint=hint,
        )
    return key


def _attributes(one: dict[str, Any], where: str, budget: Budget) -> dict[str, Any]:
    given = one.get("attributes")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidInput(f"{where}.attributes is not a set of named values", field=f"{where}.attributes")
    found: dict[str, Any] = plain(given, f"{where}.attributes", budget)
    return found


def _changed(one: dict[str, Any], where: str) -> int:
    given = one.get("changed_ms", 0)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= 2**53:
        raise InvalidInput(f"{where}.changed_ms is not a time in milliseconds", field=f"{where}.changed_ms")
    return given


__all__ = [
    "ALIASES_MAX", "AREAS_MAX", "ENTITIES_MAX", "FLOORS_MAX", "INVENTORY_MAX", "NAME_MAX", "STATE_MAX", "entity_row",
    "home_from_document", "home_from_text", "home_to_document", "state_text",
]  # fmt: skip
