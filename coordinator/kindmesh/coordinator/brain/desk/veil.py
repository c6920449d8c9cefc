"""What who asks may not know of the home, and the home as they may know it. Pure.

A sentence is understood, and answered, over the home with this veil on it: the state of a thing that is withheld is
unknown there, and of its attributes only those are left that say what it can do. So nothing that is said can depend on
what may not be said. What it is called, and where, is no secret: without that no sentence could be understood.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.desk.judging import Judged, Why
from kindmesh.protocol.policy import SEVERITY, Answer

UNKNOWN: Final = "unknown"
WITHHELD: Final = "withheld"
"""The state of what may not be told, where somebody reads the home itself."""
_ABLE: Final = frozenset({
    "device_class", "fan_modes", "hvac_modes", "max_color_temp_kelvin", "max_humidity", "max_temp",
    "min_color_temp_kelvin", "min_humidity", "min_temp", "options", "preset_modes", "rooms", "source_list",
    "supported_color_modes", "supported_features", "swing_modes", "target_temp_step", "temperature_unit",
    "unit_of_measurement",
})  # fmt: skip
"""Attributes that say what a thing can do, never how it is."""
_ROWS: Final = {"home.get": ("entities", "id"), "home.history": ("changes", "entity")}
"""Operations of a home that tell how things are or were: the rows of their output, and what names a thing there."""


class Hidden(msgspec.Struct, frozen=True):
    """Things (ids) that are withheld for one reason: `deny`, or `ask`: only with a yes."""

    answer: Answer
    rule: str
    message: str
    things: tuple[str, ...] = ()


class Veil(msgspec.Struct, frozen=True):
    """`some`: things that are withheld; `every`: why everything is, whatever there may be, or None."""

    some: tuple[Hidden, ...] = ()
    every: Hidden | None = None

    @property
    def hides(self) -> bool:
        """Whether anything is withheld."""
        return self.every is not None or bool(self.some)

    def on(self, thing: str) -> Hidden | None:
        """Why a thing is withheld, or None."""
        return self.every or next((one for one in self.some if thing in one.things), None)

    def over(self, home: Home, shown: frozenset[str] = frozenset()) -> Home:
        """The home as who asks may know it; `shown`: things that are told all the same."""
        if not self.hides:
            return home
        hidden = set(home.entities) if self.every else {thing for one in self.some for thing in one.things}
        veiled = (_veiled(one) for one in home.entities.values() if one.id in hidden - shown)
        return home.with_entities(*veiled)

    def judged(self, things: tuple[str, ...]) -> Judged:
        """What is withheld of these, as a verdict with its reasons."""
        found = dict.fromkeys(hidden for hidden in map(self.on, things) if hidden is not None)
        worst: Answer = max((one.answer for one in found), key=SEVERITY.__getitem__, default="allow")
        reasons = [one for one in found if one.answer == worst]
        return Judged(worst, tuple(Why(one.rule, "", one.message) for one in reasons))


def things_told(operation: str, told: Any) -> list[str]:
    """The things that a home tells of, each once."""
    rows, key = _ROWS.get(operation, ("", ""))
    found = told.get(rows) if isinstance(told, dict) else None
    if not isinstance(found, list):
        return []
    return list(dict.fromkeys(str(one.get(key, "")) for one in found if isinstance(one, dict)))


def as_withheld(veil: Veil, operation: str, told: dict[str, Any]) -> dict[str, Any]:
    """What a home told, with things that are withheld said to be so; of what was before, without them."""
    if operation != "home.get":
        return dict(without(veil, operation, told))
    return {**told, "entities": [_row(one, veil) for one in told["entities"]]}


def _row(one: dict[str, Any], veil: Veil) -> dict[str, Any]:
    if veil.on(str(one.get("id", ""))) is None:
        return one
    able = {name: value for name, value in one.get("attributes", {}).items() if name in _ABLE}
    kept: dict[str, Any] = {name: one[name] for name in ("id", "name", "aliases", "area") if name in one}
    return {**kept, "state": WITHHELD, "attributes": able, "changed_ms": 0}


def without(veil: Veil, operation: str, told: Any) -> Any:
    """What a home told, without the rows about what is withheld; what no home tells is left as it is."""
    rows, key = _ROWS.get(operation, ("", ""))
    if not veil.hides or not isinstance(told, dict) or not isinstance(told.get(rows), list):
        return told
    return {
        **told,
        rows: [one for one in told[rows] if isinstance(one, dict) and not veil.on(str(one.get(key, "")))],
    }


OPEN: Final = Veil()
"""Nothing is withheld."""


def _veiled(one: Entity) -> Entity:
    able = {name: value for name, value in one.attributes.items() if name in _ABLE}
    return msgspec.structs.replace(one, state=UNKNOWN, attributes=able, changed_ms=0)


__all__ = ["OPEN", "UNKNOWN", "WITHHELD", "Hidden", "Veil", "as_withheld", "things_told", "without"]
