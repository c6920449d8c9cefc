"""What people call a colour: its name from hue and saturation, as a light tells them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.household import number
from kindmesh.coordinator.brain.cortex.intents.words import words

_PALE: Final = 15.0
"""Percent of saturation below which it is white."""
_UP_TO: Final = (
    (15.0, "red"), (40.0, "orange"), (70.0, "yellow"), (160.0, "green"), (200.0, "turquoise"), (255.0, "blue"),
    (290.0, "purple"), (345.0, "pink"), (360.0, "red"),
)  # fmt: skip
"""Degrees of hue up to which each name goes; the hue circle of HSV begins at red."""


def colour_name(one: Entity, language: str) -> str:
    """The colour of a light in a word; empty when it tells none."""
    hs = one.attributes.get("hs_color")
    rgb = one.attributes.get("rgb_color")
    pair = _numbers(hs, 2)
    triple = _numbers(rgb, 3)
    if pair:
        hue, saturation = pair
    elif triple:
        red, green, blue = (part / 255 for part in triple)
        turn, share, _ = colorsys.rgb_to_hsv(red, green, blue)
        hue, saturation = turn * 360, share * 100
    else:
        return ""
    name = "white" if saturation < _PALE else next(name for end, name in _UP_TO if hue % 360 <= end)
    return str(words(language).get("colours", {}).get(name, name))


def _numbers(value: Any, count: int) -> Sequence[float]:
    if not isinstance(value, list | tuple) or len(value) != count:
        return ()
    found = [number(part) for part in value]
    return [part for part in found if part is not None] if None not in found else ()


__all__ = ["colour_name"]
