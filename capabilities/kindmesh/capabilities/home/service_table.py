"""What a service is: its name, the data that it takes, and how it makes one entity into the next.

Tables of these, one per group of domains, are all that the simulated home knows. A service that asks for a feature is
refused by an entity whose `supported_features` (the bits that Home Assistant defines per domain) lacks it; an entity
that does not say what it supports is taken to support everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.plain import plain
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import Field, check_fields

Data = Mapping[str, Any]
Run = Callable[[Entity, Data, int], Entity]
"""Entity, checked data, now in UTC ms -> the entity afterwards (the same one when nothing changes)."""

UNAVAILABLE: Final = "unavailable"
MAX_LIST: Final = 200


class Service(NamedTuple):
    """See the module. `feature`: bits of `supported_features` of which one must be there (0: none needed);
    `idempotent`: doing it twice at the same moment is the same as doing it once, at any later moment as well."""

    name: str
    title: str
    run: Run
    fields: tuple[Field, ...] = ()
    feature: int = 0
    idempotent: bool = True


def number(name: str, title: str, low: float, high: float, *, required: bool = False) -> Field:
    """A number in `low..high`."""
    return Field(name, "number", title, required=required, minimum=low, maximum=high)


def whole(name: str, title: str, low: int, high: int, *, required: bool = False) -> Field:
    """A whole number in `low..high`."""
    return Field(name, "integer", title, required=required, minimum=low, maximum=high)


def word(
    name: str, title: str, *, required: bool = False, choices: tuple[str, ...] = (), most: int = 255
) -> Field:
    """Text of at most `most` characters, or one of `choices`."""
    return Field(name, "text", title, required=required, max_length=most, choices=choices)


def truth(name: str, title: str, *, required: bool = True) -> Field:
    """True or false."""
    return Field(name, "boolean", title, required=required)


def words(name: str, title: str, *, required: bool = False) -> Field:
    """A list of texts."""
    return Field(name, "list", title, required=required, minimum=1, maximum=MAX_LIST, items="text")


def numbers(name: str, title: str, count: int) -> Field:
    """A list of so many numbers."""
    return Field(name, "list", title, required=False, minimum=count, maximum=count, items="number")


_TRUE: Final = ("true", "on", "yes", "1")
_FALSE: Final = ("false", "off", "no", "0")


def checked(service: Service, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a call as `service` takes them: numbers and truth values written as text are read, as Home Assistant
    does.

    Raises:
        InvalidInput: a value is not what the service takes; `field` is `data.NAME`.
    """
    kinds = {field.name: field for field in service.fields}
    read = {name: _read(kinds[name], value) if name in kinds else value for name, value in data.items()}
    try:
        values = check_fields(service.fields, read)
    except InvalidInput as error:
        hint = error.hint or f"{service.name} takes {', '.join(kinds) or 'no data'}."
        raise InvalidInput(error.message, field=f"data.{error.field}", hint=hint) from error
    return {name: plain(value, f"data.{name}") for name, value in values.items()}


def _read(field: Field, value: Any) -> Any:
    if field.type == "list" and not isinstance(value, list):
        value = list(value) if isinstance(value, tuple) else [value]
    if field.type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if field.type == "text" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return value
    try:
        if field.type == "integer":
            return int(value)
        if field.type == "number":
            return float(value)
    except ValueError:
        return value  # the check says what it should be
    if field.type == "boolean" and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    return value


def amend(
    entity: Entity, attributes: Mapping[str, Any], state: str | None = None, drop: tuple[str, ...] = ()
) -> Entity:
    """The entity with these attributes, without those in `drop`, and this state (None: as it is)."""
    kept = {name: value for name, value in entity.attributes.items() if name not in drop}
    kept.update(attributes)
    state = entity.state if state is None else state
    if state == entity.state and kept == entity.attributes:
        return entity
    return msgspec.structs.replace(entity, state=state, attributes=kept)


def known(entity: Entity, name: str) -> bool:
    """The entity speaks of this attribute."""
    return name in entity.attributes


def measure(entity: Entity, name: str, otherwise: float) -> float:
    """A number among the attributes; `otherwise` where there is none."""
    value = entity.attributes.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def tidy(value: float) -> float | int:
    """A whole number without a fraction: 21.0 is 21."""
    return int(value) if float(value).is_integer() else round(value, 4)


def choice(entity: Entity, value: str, listed: str, field: str) -> str:
    """`value` as the entity's list `listed` spells it; an entity without such a list takes any.

    Raises:
        InvalidInput: the list does not have it; the hint names those there are.
    """
    options = entity.attributes.get(listed)
    if not isinstance(options, list) or not options:
        return value
    for option in options:
        if str(option).casefold() == value.casefold():
            return str(option)
    shown = ", ".join(str(option) for option in options[:12])
    raise InvalidInput(
        f"{entity.name} has no {field.replace('_', ' ')} {value[:60]!r}",
        field=f"data.{field}",
        hint=f"It has {shown}.",
    )


def within(entity: Entity, value: float, low: float | None, high: float | None, field: str) -> float | int:
    """`value`, tidy, if it is in the range that the entity takes.

    Raises:
        InvalidInput: it is outside; the hint is the range.
    """
    if (low is not None and value < low) or (high is not None and value > high):
        ends = [
            f"{side} {tidy(end)}" for side, end in (("at least", low), ("at most", high)) if end is not None
        ]
        raise InvalidInput(
            f"{tidy(value)} is outside what {entity.name} takes",
            field=f"data.{field}",
            hint=f"{', '.join(ends)}.",
        )
    return tidy(value)


def limit(entity: Entity, name: str) -> float | None:
    """A bound among the attributes (`min_temp`), or None."""
    value = entity.attributes.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def cannot(entity: Entity, what: str, field: str = "entities") -> InvalidInput:
    """The error for what this entity cannot do."""
    return InvalidInput(
        f"{entity.name} cannot {what}", field=field, hint=f"kindmesh home show {entity.id} says what it has."
    )


def table(*services: Service) -> dict[str, Service]:
    """By name."""
    return {service.name: service for service in services}


__all__ = [
    "MAX_LIST", "UNAVAILABLE", "Data", "Run", "Service", "amend", "cannot", "checked", "choice", "known",
    "limit", "measure", "number", "numbers", "table", "tidy", "truth", "whole", "within", "word", "words",
]  # fmt: skip
