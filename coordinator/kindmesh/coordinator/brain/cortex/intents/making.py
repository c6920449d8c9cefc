"""From what was understood of a sentence (things, a value, a direction) to a `Meaning`, whichever reader understood it.

The thing decides which intent a value or a step is: "to 40" is a brightness for a light and a position for a blind.
"""

from __future__ import annotations

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.describe import Described
from kindmesh.coordinator.brain.cortex.intents.household import number, of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target
from kindmesh.coordinator.brain.cortex.intents.settable import RESPONSES, SETTINGS, STEPS, bearable
from kindmesh.coordinator.brain.cortex.intents.values import (
    COLOUR,
    DEGREES,
    KELVIN,
    MODE,
    NUMBER,
    PERCENT,
    Value,
)

SCORE = 0.9
"""How sure a sentence is that was understood whole."""


class Maker(msgspec.Struct, frozen=True):
    """Makes meanings for one home."""

    home: Home

    def setting(
        self, described: Described, value: Value | None, at: tuple[int, ...], slots: dict[str, Slot]
    ) -> Meaning | None:
        """A value, set on what was described; None where it cannot be."""
        if value is None:
            return None
        target = described.targets[0]
        domain = self._domain(target, value)
        intent, slot = SETTINGS.get((domain, value.kind), ("", ""))
        if not intent or (
            value.kind in (PERCENT, NUMBER) and domain not in _DEGREED and not 0 <= value.value <= 100
        ):
            return None
        targets = tuple(target if target.ids else msgspec.structs.replace(target, domains=(domain,))
                        for target in described.targets)  # fmt: skip
        response = RESPONSES.get(slot, "temperature" if intent == "HassLightSet" else "default")
        return self.made(intent, {**slots, slot: Slot(value.value, words=at)},
                         Described(targets, described.doubt), response)  # fmt: skip

    def _domain(self, target: Target, value: Value) -> str:
        if target.ids:
            return target.ids[0].partition(".")[0]
        if len(target.domains) == 1:
            return target.domains[0]
        if value.kind in (COLOUR, KELVIN):
            return "light"
        pool = of_kind(self.home, ("climate",), ())
        there = placed(self.home, pool, target.areas, target.floors)
        if (
            value.kind == DEGREES
            or (value.kind == NUMBER and there and bearable(value.value, there))
            or value.kind == MODE
        ):
            return "climate"
        return "light" if value.kind in (PERCENT, NUMBER) else ""

    def step(
        self,
        described: Described,
        *,
        up: bool,
        value: Value | None,
        at: tuple[int, ...],
        warmth: bool = False,
    ) -> Meaning | None:
        """More or less of what the thing has: by how much the thing itself decides, unless it was said. `warmth`: it
        was said to be warmer or cooler, which is the colour of a light and not how bright it is."""
        target = described.targets[0]
        domain = target.ids[0].partition(".")[0] if target.ids else (target.domains or ("",))[0]
        if value is not None and value.kind == DEGREES and domain not in _DEGREED:
            return None
        row = STEPS.get("light_warmth" if warmth and domain == "light" else domain)
        if row is None:
            return None
        intent, slot, size = row
        by = number(value.value) if value is not None else None
        step = (by if by is not None else size) * (1 if up else -1)
        whole = int(step) if float(step).is_integer() else step
        return self.made(intent, {slot: Slot(whole, words=at)}, described, "default")

    def made(self, intent: str, slots: dict[str, Slot], described: Described, response: str) -> Meaning:
        """A meaning, with slots for what was described."""
        for target in described.targets[:1]:
            if target.ids and len(target.ids) == 1:
                slots.setdefault("name", Slot(self.home.entities[target.ids[0]].name, words=target.words))
            if target.areas and target.areas[0] in self.home.areas:
                slots.setdefault("area", Slot(self.home.areas[target.areas[0]].name, words=target.words))
            if target.floors and target.floors[0] in self.home.floors:
                slots.setdefault("floor", Slot(self.home.floors[target.floors[0]].name, words=target.words))
            if target.domains and not target.ids:
                slots.setdefault("domain", Slot(target.domains[0], words=target.words))
            if target.classes:
                slots.setdefault("device_class", Slot(target.classes[0], words=target.words))
        return Meaning(intent, slots, described.targets, response, SCORE, described.doubt)


_DEGREED = frozenset({"climate", "water_heater"})
"""Domains of which a bare number is degrees."""

__all__ = ["SCORE", "Maker"]
