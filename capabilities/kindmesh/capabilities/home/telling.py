"""What sensors tell, taken over: `tell`, pure, from a home to a home.

    tell(home, [{"entity": "sensor.garden", "state": 21.5, "attributes": {"battery": 80}}], now_ms) -> home afterwards

Rules that always hold: all or nothing; only what tells something is told of (`READ_ONLY`: what can be switched is as
its services left it, and saying otherwise would be a lie that people act on); attributes that are not named stay;
being heard of makes a thing fresh, also when it is as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.inventory import state_text
from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.capabilities.home.plain import Budget, plain
from kindmesh.capabilities.home.service_table import amend
from kindmesh.capabilities.home.services import READ_ONLY
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.errors import InvalidInput

TOLD_MAX: Final = 1_000
"""Things of one call."""
TOLD: Final = "told"
"""Why a state changed that somebody told."""
_VALUES_MAX: Final = 20_000
_KEYS: Final = frozenset({"entity", "state", "attributes"})


def tell(home: Home, told: Sequence[Any], now_ms: int) -> Home:
    """The home in which these are as they were told; `now_ms`: UTC.

    Raises:
        InvalidInput: one of them is not there, cannot be told of, is there twice, or its values are not plain data;
            `field` is the place, such as `states[2].state`.
    """
    if not 0 < len(told) <= TOLD_MAX:
        raise InvalidInput(f"one call tells of 1 to {TOLD_MAX} things", field="states")
    fresh: dict[str, Entity] = {}
    budget = Budget(_VALUES_MAX)
    for at, row in enumerate(told):
        where = f"states[{at}]"
        if not isinstance(row, dict) or not {"entity", "state"} <= set(row) <= _KEYS:
            hint = "Such as: entity: sensor.garden, state: 21.5."
            raise InvalidInput(f"{where} has entity, state and perhaps attributes", field=where, hint=hint)
        entity = _teller(home, row["entity"], f"{where}.entity")
        if entity.id in fresh:
            raise InvalidInput(f"{entity.name} is told of twice", field=f"{where}.entity")
        given = row.get("attributes", {})
        if not isinstance(given, dict):
            raise InvalidInput(
                f"{where}.attributes is not a set of named values", field=f"{where}.attributes"
            )
        attributes = plain(given, f"{where}.attributes", budget)
        changed = amend(entity, attributes, state_text(row["state"], f"{where}.state"))
        fresh[entity.id] = msgspec.structs.replace(changed, changed_ms=now_ms)
    return home.with_entities(*fresh.values())


def _teller(home: Home, name: Any, where: str) -> Entity:
    entity = home.entities.get(name) if isinstance(name, str) else None
    if entity is None:
        shown = printable(str(name))[:80]
        near = get_close_matches(shown, home.entities, 1)
        hint = f"Did you mean {near[0]}?" if near else "kindmesh home list shows what there is."
        raise InvalidInput(f"there is no {shown!r} in this home", field=where, hint=hint)
    if entity.domain not in READ_ONLY:
        raise InvalidInput(
            f"{entity.name} is as its services leave it; only sensors and the like are told of",
            field=where,
            hint=f"kindmesh home set {entity.id} changes it.",
        )
    return entity


__all__ = ["TOLD", "TOLD_MAX", "tell"]
