"""Plain data as attributes hold them: bounded before anything else looks at them, so that no inventory and no call can
make a home that does not fit into a message or cannot be written down."""

from __future__ import annotations

import math
from typing import Any, Final

from kindmesh.protocol.errors import InvalidInput

PLAIN_DEPTH_MAX: Final = 6
PLAIN_VALUES_MAX: Final = 5_000
"""Values inside the attributes of one entity."""
PLAIN_TEXT_MAX: Final = 4_096
_WHOLE_MAX: Final = 2**53


class Budget:
    """How many values may still come."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, where: str) -> None:
        """One more.

        Raises:
            InvalidInput: there are too many.
        """
        self.left -= 1
        if self.left < 0:
            raise InvalidInput(f"{where} holds too many values", field=where)


def plain(value: Any, where: str, budget: Budget | None = None, depth: int = 0) -> Any:
    """`value` if it is plain data: text, whole numbers up to 2**53, finite numbers, true, false, none, and lists and
    maps of those, six deep; tuples become lists.

    Raises:
        InvalidInput: it is not; `where` names it.
    """
    budget = budget or Budget(PLAIN_VALUES_MAX)
    budget.take(where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, where, PLAIN_TEXT_MAX)
    if isinstance(value, int):
        if abs(value) > _WHOLE_MAX:
            raise InvalidInput(f"{where} is too large a number", field=where)
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{where} is not a number", field=where)
        return value
    if depth >= PLAIN_DEPTH_MAX:
        raise InvalidInput(f"{where} is nested too deep", field=where)
    if isinstance(value, list | tuple):
        return [plain(one, f"{where}[{at}]", budget, depth + 1) for at, one in enumerate(value)]
    if isinstance(value, dict):
        return {
            text(name, where, 255): plain(one, f"{where}.{name}", budget, depth + 1)
            for name, one in value.items()
        }
    raise InvalidInput(f"{where} is {type(value).__name__}, not plain data", field=where)


def text(value: Any, where: str, longest: int) -> str:
    """`value` if it is text that can be written down, of at most `longest` characters.

    Raises:
        InvalidInput: it is not; `where` names it.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{where} is not text", field=where)
    if len(value) > longest:
        raise InvalidInput(f"{where} is longer than {longest} characters", field=where)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidInput(f"{where} holds half a character", field=where)
    return value


__all__ = ["PLAIN_DEPTH_MAX", "PLAIN_TEXT_MAX", "PLAIN_VALUES_MAX", "Budget", "plain", "text"]
