"""Machines that go by themselves (vacuum cleaners, lawn mowers), sirens and cameras.

A machine that is sent home is `returning`; `home_clock` lets it arrive after a while.
Source: https://www.home-assistant.io/integrations/vacuum/, .../lawn_mower/, .../siren/, .../camera/.
"""

from __future__ import annotations

from typing import Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Run,
    Service,
    amend,
    choice,
    known,
    number,
    table,
    word,
    words,
)
from kindmesh.capabilities.home.switches import toggle, turn_off


def _set(state: str, *, only_from: tuple[str, ...] = (), not_from: tuple[str, ...] = ()) -> Run:
    def run(entity: Entity, data: Data, now_ms: int) -> Entity:
        if entity.state in not_from or (only_from and entity.state not in only_from):
            return entity
        return amend(entity, {}, state)

    return run


def _same(entity: Entity, data: Data, now_ms: int) -> Entity:
    return entity


def _fan_speed(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"fan_speed": choice(entity, data["fan_speed"], "fan_speed_list", "fan_speed")})


def _clean_area(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"cleaning_area_id": data["cleaning_area_id"]}, "cleaning")


def _start(entity: Entity, data: Data, now_ms: int) -> Entity:
    """Everywhere; one that was paused in a room goes on there."""
    drop = () if entity.state == "paused" else ("cleaning_area_id",)
    return amend(entity, {}, "cleaning", drop)


def _siren_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    told = {}
    if "tone" in data:
        told["tone"] = choice(entity, data["tone"], "available_tones", "tone")
    if "volume_level" in data:
        told["volume_level"] = data["volume_level"]
    return amend(entity, told, "on")


def _camera_on(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "idle" if entity.state in ("off", "unknown") else None)


def _motion(on: bool) -> Run:
    def run(entity: Entity, data: Data, now_ms: int) -> Entity:
        return amend(entity, {"motion_detection": on})

    return run


def _camera_off(entity: Entity, data: Data, now_ms: int) -> Entity:
    told = {"motion_detection": False} if known(entity, "motion_detection") else {}
    return amend(entity, told, "off")


_MOVING: Final = ("cleaning", "mowing", "returning")
ROBOTS: Final = table(
    Service("vacuum.start", "Clean", _start, feature=8_192),
    Service("vacuum.pause", "Pause", _set("paused", only_from=_MOVING), feature=4),
    Service("vacuum.stop", "Stop", _set("idle", not_from=("docked",)), feature=8),
    Service("vacuum.return_to_base", "Back to its base", _set("returning", not_from=("docked",)), feature=16),
    Service("vacuum.clean_spot", "Clean around here", _set("cleaning"), feature=1_024),
    Service("vacuum.locate", "Let it make a sound", _same, feature=512),
    Service(
        "vacuum.set_fan_speed",
        "How strongly",
        _fan_speed,
        (word("fan_speed", "one of fan_speed_list", required=True),),
        32,
    ),
    Service(
        "vacuum.clean_area",
        "Clean these rooms",
        _clean_area,
        (words("cleaning_area_id", "ids of areas", required=True),),
        16_384,
    ),
    Service("lawn_mower.start_mowing", "Mow", _set("mowing"), feature=1),
    Service("lawn_mower.pause", "Pause", _set("paused", only_from=_MOVING), feature=2),
    Service("lawn_mower.dock", "Back to its base", _set("returning", not_from=("docked",)), feature=4),
    Service(
        "siren.turn_on",
        "Sound it",
        _siren_on,
        (
            word("tone", "one of available_tones"),
            number("volume_level", "0 to 1", 0, 1),
            number("duration", "seconds", 0, 86_400),
        ),
    ),
    Service("siren.turn_off", "Silence it", turn_off),
    Service("siren.toggle", "The other way", toggle, idempotent=False),
    Service("camera.turn_on", "Switch on", _camera_on, feature=1),
    Service("camera.turn_off", "Switch off", _camera_off, feature=1),
    Service("camera.enable_motion_detection", "Watch for movement", _motion(True)),
    Service("camera.disable_motion_detection", "Do not watch for movement", _motion(False)),
)

__all__ = ["ROBOTS"]
