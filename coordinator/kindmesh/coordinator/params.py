"""Parameters of a control call, read by name and type; what does not fit is an `InvalidInput` that names the field."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.signed import Signed

T = TypeVar("T", bound=str)


class Params:
    """Plain data as it came in; `values` is always a dict; `proof` the person's signature that was checked over it."""

    __slots__ = ("proof", "values")

    def __init__(self, values: Any) -> None:
        if values is None:
            values = {}
        if not isinstance(values, dict):
            raise InvalidInput("the parameters are not a set of named values", field="params")
        self.values: dict[str, Any] = values
        self.proof: Signed | None = None

    def _get(self, name: str, kind: type, default: Any, words: str) -> Any:
        value = self.values.get(name, default)
        if value is None:
            value = default
        if value is None:
            raise InvalidInput(f"{name} is missing", field=name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f"{name} should be {words}", field=name)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Text; without a default it must be there."""
        return cast(str, self._get(name, str, default, "text"))

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number within bounds."""
        value: int = self._get(name, int, default, "a whole number")
        if not least <= value <= most:
            raise InvalidInput(f"{name} is not between {least} and {most}", field=name)
        return value

    def flag(self, name: str) -> bool:
        """True or false; false when absent."""
        return cast(bool, self._get(name, bool, False, "true or false"))

    def data(self, name: str, default: bytes | None = None) -> bytes:
        """Bytes."""
        return cast(bytes, self._get(name, bytes, default, "bytes"))

    def mapping(self, name: str) -> dict[str, Any]:
        """Named values; none when absent."""
        return cast("dict[str, Any]", self._get(name, dict, {}, "a set of named values"))

    def items(self, name: str) -> list[Params]:
        """A list of such sets; none when absent."""
        return [Params(item) for item in cast("list[Any]", self._get(name, list, [], "a list"))]

    def words(self, name: str) -> list[str]:
        """A list of texts; none when absent."""
        values = cast("list[Any]", self._get(name, list, [], "a list of words"))
        if not all(isinstance(value, str) for value in values):
            raise InvalidInput(f"{name} should be a list of words", field=name)
        return values

    def choice(self, name: str, words: tuple[T, ...], default: T) -> T:
        """One of these words."""
        value = self.text(name, default)
        for word in words:
            if word == value:
                return word
        raise InvalidInput(f"{name} is not one of {', '.join(words)}", field=name)


__all__ = ["Params"]
