"""What opens and closes: covers (blinds, curtains, garage doors), valves, locks; and the alarm that watches over them.

In a simulated home nothing is on the way: a cover that is told to open is open. Positions are percent, 0 closed, 100
open; a cover that reports none may be set to one all the same, unless its `supported_features` say no.
Source: https://www.home-assistant.io/integrations/cover/, .../valve/, .../lock/, .../alarm_control_panel/.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import (
    Data,
    Run,
    Service,
    amend,
    cannot,
    known,
    measure,
    table,
    whole,
    word,
)
from kindmesh.protocol.errors import InvalidInput


def _moved(entity: Entity, position: int) -> Entity:
    told = {"current_position": position} if known(entity, "current_position") else {}
    return amend(entity, told, "open" if position else "closed")


def _open(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _moved(entity, 100)


def _close(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _moved(entity, 0)


def _stop(entity: Entity, data: Data, now_ms: int) -> Entity:
    if entity.state not in ("opening", "closing"):
        return entity
    return amend(entity, {}, "closed" if measure(entity, "current_position", 1) == 0 else "open")


def _set_position(entity: Entity, data: Data, now_ms: int) -> Entity:
    position = data["position"]
    return amend(entity, {"current_position": position}, "open" if position else "closed")


def _toggle(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _moved(entity, 100 if entity.state in ("closed", "closing") else 0)


def _tilt(entity: Entity, position: int) -> Entity:
    return amend(entity, {"current_tilt_position": position})


def _open_tilt(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _tilt(entity, 100)


def _close_tilt(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _tilt(entity, 0)


def _set_tilt(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _tilt(entity, data["tilt_position"])


def _toggle_tilt(entity: Entity, data: Data, now_ms: int) -> Entity:
    return _tilt(entity, 100 if measure(entity, "current_tilt_position", 0) == 0 else 0)


def _same(entity: Entity, data: Data, now_ms: int) -> Entity:
    return entity


_CODE: Final = (word("code", "the code that it asks for", most=32),)


def _coded(entity: Entity, data: Data, *, asked: bool = True) -> None:
    """Where a code is asked for, one has to be given; whether it is right, the device decides."""
    if asked and entity.attributes.get("code_format") and not data.get("code"):
        raise InvalidInput(f"{entity.name} asks for a code", field="data.code", hint="Say or type the code.")


def _locks(state: str) -> Run:
    def run(entity: Entity, data: Data, now_ms: int) -> Entity:
        _coded(entity, data)
        return amend(entity, {}, state)

    return run


def _arms(state: str) -> Run:
    def run(entity: Entity, data: Data, now_ms: int) -> Entity:
        _coded(entity, data, asked=bool(entity.attributes.get("code_arm_required", True)))
        if entity.state == "triggered":
            raise cannot(entity, "be armed while it sounds")
        return amend(entity, {}, state)

    return run


def _disarm(entity: Entity, data: Data, now_ms: int) -> Entity:
    _coded(entity, data)
    return amend(entity, {}, "disarmed")


def _trigger(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "triggered")


_PANEL: Final = "alarm_control_panel.alarm"


def _alarm() -> list[Service]:
    bits = {"home": 1, "away": 2, "night": 4, "custom_bypass": 16, "vacation": 32}
    return [
        *(
            Service(
                f"{_PANEL}_arm_{how}", f"Arm it: {how.replace('_', ' ')}", _arms(f"armed_{how}"), _CODE, bit
            )
            for how, bit in bits.items()
        ),
        Service(f"{_PANEL}_disarm", "Disarm it", _disarm, _CODE),
        Service(f"{_PANEL}_trigger", "Sound it", _trigger, _CODE, 8),
    ]


_POSITION: Final[tuple[Any, ...]] = (whole("position", "percent open", 0, 100, required=True),)
_TILT: Final[tuple[Any, ...]] = (whole("tilt_position", "percent open", 0, 100, required=True),)
OPENINGS: Final = table(
    Service("cover.open_cover", "Open", _open, feature=1),
    Service("cover.close_cover", "Close", _close, feature=2),
    Service("cover.set_cover_position", "Open so far", _set_position, _POSITION, 4),
    Service("cover.stop_cover", "Stop", _stop, feature=8),
    Service("cover.toggle", "The other way", _toggle, idempotent=False),
    Service("cover.open_cover_tilt", "Open the slats", _open_tilt, feature=16),
    Service("cover.close_cover_tilt", "Close the slats", _close_tilt, feature=32),
    Service("cover.stop_cover_tilt", "Stop the slats", _same, feature=64),
    Service("cover.set_cover_tilt_position", "Turn the slats so far", _set_tilt, _TILT, 128),
    Service("cover.toggle_cover_tilt", "The slats the other way", _toggle_tilt, idempotent=False),
    Service("valve.open_valve", "Open", _open, feature=1),
    Service("valve.close_valve", "Close", _close, feature=2),
    Service("valve.set_valve_position", "Open so far", _set_position, _POSITION, 4),
    Service("valve.stop_valve", "Stop", _stop, feature=8),
    Service("valve.toggle", "The other way", _toggle, idempotent=False),
    Service("lock.lock", "Lock", _locks("locked"), _CODE),
    Service("lock.unlock", "Unlock", _locks("unlocked"), _CODE),
    Service("lock.open", "Open the latch", _locks("open"), _CODE, 1),
    *_alarm(),
)

__all__ = ["OPENINGS"]
