"""One line of a batch: `{"id", "text", "area"?, "setup"?}`, read strictly, and the home that it is said in.

Other names are left alone, so that a line can carry what is expected of it.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.inventory import state_text
from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.terms import UTTERANCE_WORDS_MAX, words_of
from kindmesh.protocol.errors import InvalidInput

LINE_MAX: Final = 262_144
"""Characters of one line."""
_SHAPE: Final = 'A line is {"id": "1", "text": "turn on the lamp"}, perhaps with area and setup.'


class Line(msgspec.Struct, frozen=True):
    """What was asked; `id` comes back as it was given."""

    id: Any
    text: str
    area: str = ""
    setup: dict[str, Any] = {}


def parse_line(text: str) -> dict[str, Any]:
    """The JSON object in a line.

    Raises:
        InvalidInput: it is too long, or none.
    """
    if len(text) > LINE_MAX:
        raise InvalidInput(f"a line has at most {LINE_MAX} characters", field="line", hint=_SHAPE)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"this is not JSON: {error}", field="line", hint=_SHAPE) from error
    if not isinstance(found, dict):
        raise InvalidInput("a line is an object", field="line", hint=_SHAPE)
    return found


def read_line(document: dict[str, Any]) -> Line:
    """What a line asks.

    Raises:
        InvalidInput: names the field.
    """
    named, text = document.get("id"), document.get("text")
    if isinstance(named, bool) or not isinstance(named, (str, int)):
        raise InvalidInput("id is missing, or neither text nor a whole number", field="id", hint=_SHAPE)
    check_text(text)
    area, setup = document.get("area"), document.get("setup")
    if area is not None and not isinstance(area, str):
        raise InvalidInput("area is not text", field="area", hint="The id or name of an area of the home.")
    if setup is not None and not isinstance(setup, dict):
        hint = 'Like {"light.kitchen": {"state": "off", "attributes": {}}}.'
        raise InvalidInput("setup is not a set of entities", field="setup", hint=hint)
    return Line(named, str(text), area or "", setup or {})


def check_text(text: Any) -> None:
    """Refuse what is no sentence.

    Raises:
        InvalidInput.
    """
    if not isinstance(text, str):
        raise InvalidInput("text is missing, or not text", field="text", hint=_SHAPE)
    if not text.strip():
        raise InvalidInput("text is empty", field="text", hint="Say what you would like.")
    if len(words_of(text)) > UTTERANCE_WORDS_MAX or len(text) > 16 * UTTERANCE_WORDS_MAX:
        raise InvalidInput(
            f"text has more than {UTTERANCE_WORDS_MAX} words", field="text", hint="Say it in shorter pieces."
        )


def prepared(home: Home, setup: dict[str, Any]) -> Home:
    """The home with these states and attributes over its own; an attribute that is null is taken away.

    Raises:
        InvalidInput: an entity is not there, or what it is given is no state.
    """
    return home.with_entities(*(_set(home, name, wanted) for name, wanted in setup.items()))


def _set(home: Home, name: str, wanted: Any) -> Entity:
    where = f"setup.{name[:80]}"
    entity = home.entities.get(name)
    if entity is None:
        raise InvalidInput("the home has no such entity", field=where, hint="Ids are like light.kitchen.")
    if not isinstance(wanted, dict) or wanted.keys() - {"state", "attributes"}:
        raise InvalidInput("an entity is given a state, attributes, or both", field=where)
    state, attributes = wanted.get("state", entity.state), wanted.get("attributes", {})
    if not isinstance(attributes, dict):
        raise InvalidInput("attributes are named values", field=f"{where}.attributes")
    merged = {key: value for key, value in {**entity.attributes, **attributes}.items() if value is not None}
    return msgspec.structs.replace(entity, state=state_text(state, f"{where}.state"), attributes=merged)


def area_named(home: Home, text: str) -> str:
    """The id of the area with that id, name or alias; empty for none given.

    Raises:
        InvalidInput: the home has none; names those it has.
    """
    found = area_or_none(home, text)
    if found or not text:
        return found
    some = ", ".join(list(home.areas)[:8])
    raise InvalidInput(
        f"the home has no area {text[:60]!r}", field="area", hint=f"It has {some}." if some else ""
    )


def area_or_none(home: Home, text: str) -> str:
    """The same, and empty for one that the home does not have."""
    if text in home.areas:
        return text
    wanted = text.strip().casefold()
    for area in home.areas.values():
        if wanted in (known.casefold() for known in (area.id, area.name, *area.aliases)):
            return area.id
    return ""


__all__ = [
    "LINE_MAX",
    "Line",
    "area_named",
    "area_or_none",
    "check_text",
    "parse_line",
    "prepared",
    "read_line",
]
