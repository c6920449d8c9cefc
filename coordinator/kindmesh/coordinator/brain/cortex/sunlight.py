"""When the sun rises and sets where this home is: "at sunset", "half an hour before sunrise".

The words say which (`When.sun`) and how long before or after (`When.offset_ms`); the instant follows from the place of
the home. Where that is not known, or the sun does not rise or set that day, the time stays open, and it is said why.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Situation
from kindmesh.coordinator.brain.cortex.times import When, local, zone_of


def situated(situation: Situation) -> bool:
    """Whether it is known where this home is."""
    return situation.place is not None


def sunlit(when: When | None, situation: Situation) -> When | None:
    """A time with its instant, where it is one of the sun and the place is known; every other as it was."""
    if when is None or not when.sun or when.at_ms or situation.place is None:
        return when
    from kindmesh.coordinator.heart.schedules import sun  # noqa: PLC0415 - astral, once somebody speaks of the sun
    from kindmesh.coordinator.heart.schedules.words import Sun  # noqa: PLC0415

    event: Literal["sunrise", "sunset"] = "sunrise" if when.sun == "sunrise" else "sunset"
    wanted = Sun(event, when.offset_ms, *situation.place)
    if when.day:
        at_ms, why_not = sun.sun_on(wanted, date.fromisoformat(when.day))
    else:
        at_ms, why_not = next(sun.forward(wanted, situation.now_ms))
    if why_not:
        return when
    wall = local(at_ms, zone_of(situation.zone))
    return msgspec.structs.replace(
        when, at_ms=at_ms, day=wall.date().isoformat(), minute=wall.hour * 60 + wall.minute, vague=False,
        past=at_ms <= situation.now_ms,
    )  # fmt: skip


__all__ = ["situated", "sunlit"]
