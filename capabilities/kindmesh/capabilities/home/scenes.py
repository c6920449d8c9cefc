"""Scenes and scripts: entities that act on others.

A scene's attribute `entities` says how things shall be, `{light.kitchen: {state: "on", brightness: 100}}`, as in Home
Assistant's own files (a plain text is the state); a script's `sequence` is a list of calls, `{service (or action),
target: {entity_id}, data}`. Both happen at once and as a whole. What a scene or script would do is told without doing
it (`nested_of`), so that its risk can be judged: see `risk`.
Source: https://www.home-assistant.io/docs/scripts/, https://www.home-assistant.io/integrations/scene/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.service_table import Data, Service, amend, number, table
from kindmesh.capabilities.home.switches import instant
from kindmesh.protocol.errors import InvalidInput

STEPS_MAX: Final = 64
"""Entities of one scene, calls of one script."""


class Nested(NamedTuple):
    """A call that another one makes; with an empty `service`, `data` are the state and the attributes to be set."""

    service: str
    entities: tuple[str, ...]
    data: Mapping[str, Any]


def nested_of(entity: Entity, service: str) -> list[Nested]:
    """What a call of `service` to this entity does to others; empty for all but scenes and scripts that are run.

    Raises:
        InvalidInput: its description cannot be read.
    """
    if service == "scene.turn_on":
        return _scene(entity)
    if service in ("script.turn_on", "script.toggle"):
        return _script(entity)
    return []


def _bad(entity: Entity, what: str) -> InvalidInput:
    return InvalidInput(
        f"{entity.name} cannot be run: {what}", field="entities", hint="See its attributes in the inventory."
    )


def _scene(entity: Entity) -> list[Nested]:
    wanted = entity.attributes.get("entities", {})
    if not isinstance(wanted, dict) or len(wanted) > STEPS_MAX:
        raise _bad(entity, f"its entities are not at most {STEPS_MAX} named states")
    found = []
    for name, told in wanted.items():
        data = told if isinstance(told, dict) else {"state": told}
        found.append(Nested("", (name,), data))
    return found


def _script(entity: Entity) -> list[Nested]:
    steps = entity.attributes.get("sequence", [])
    if not isinstance(steps, list) or len(steps) > STEPS_MAX:
        raise _bad(entity, f"its sequence is not a list of at most {STEPS_MAX} calls")
    return [_call(entity, step) for step in steps]


def _call(entity: Entity, step: Any) -> Nested:
    if not isinstance(step, dict):
        raise _bad(entity, "a step is no call")
    service = step.get("service", step.get("action"))
    target, data = step.get("target", {}), step.get("data", {})
    if (
        not isinstance(service, str)
        or not service
        or not isinstance(target, dict)
        or not isinstance(data, dict)
    ):
        raise _bad(entity, "a step is no call")
    names = target.get("entity_id", step.get("entity_id", data.get("entity_id")))
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        raise _bad(entity, "a step does not say on what it acts")
    return Nested(service, tuple(names), {name: value for name, value in data.items() if name != "entity_id"})


def _activate(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, instant(now_ms))


def _run(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {"last_triggered": instant(now_ms)}, "off")


def _halt(entity: Entity, data: Data, now_ms: int) -> Entity:
    return amend(entity, {}, "off")


SCENES: Final = table(
    Service(
        "scene.turn_on",
        "Make it so",
        _activate,
        (number("transition", "seconds", 0, 6_553),),
        idempotent=False,
    ),
    Service("script.turn_on", "Run it", _run, idempotent=False),
    Service("script.turn_off", "Stop it", _halt),
    Service("script.toggle", "Run it, or stop it", _run, idempotent=False),
)

__all__ = ["SCENES", "STEPS_MAX", "Nested", "nested_of"]
