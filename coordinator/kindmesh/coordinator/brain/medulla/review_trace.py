"""A value of a plan, taken apart before it is known: every leaf with what it is, as far as the plan says it, and its
label. The counterpart of `plan_values.evaluate`, for plans that nobody runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan_labels import Label, join
from kindmesh.protocol.plan_values import operator

UNKNOWN: Final = object()
"""A value that is only known when the plan runs."""
LEAVES_MAX: Final = 20_000
"""Values of one plan that are looked at; a plan with more is refused."""
_DEPTH: Final = 16


class Leaf(msgspec.Struct, frozen=True):
    """One value that a call gets. `field`: the argument, `path`: with what is inside it; `value`: what it is, or
    `UNKNOWN`; `label`: of what made it, None for a literal that has none; `book`: it comes from the address book;
    `given`: at run time, and proven to be what a device or a memory gave."""

    field: str
    path: str
    value: Any
    label: Label | None = None
    book: bool = False
    given: bool = False

    @property
    def known(self) -> bool:
        """Whether the value stands in the plan."""
        return self.value is not UNKNOWN


class Known(msgspec.Struct, frozen=True):
    """What a root is: its value where the plan says it, its label (None: a literal without), and whether it is from
    the address book."""

    value: Any = UNKNOWN
    label: Label | None = None
    book: bool = False


Scope = Mapping[str, Known]


class Tracer:
    """Takes values apart; counts what it has seen, over the whole plan."""

    def __init__(self) -> None:
        self._left = LEAVES_MAX

    def leaves(self, value: Any, scope: Scope, field: str = "", path: str = "") -> Iterator[Leaf]:
        """Every leaf of a checked value.

        Raises:
            InvalidInput: more than `LEAVES_MAX` so far.
        """
        self._left -= 1
        if self._left < 0:
            raise InvalidInput(f"a plan with more than {LEAVES_MAX} values", field="steps")
        word = operator(value)
        if word == "$value":
            yield from _spread(Leaf(field, path, value["$value"], label_in(value)))
        elif word == "$from":
            known = look_up(value, scope)
            label = known.label if known.value is not UNKNOWN else known.label or Label("model")
            yield from _spread(Leaf(field, path, known.value, label, known.book))
            if "$default" in value:
                yield from self.leaves(value["$default"], scope, field, path)
        elif word == "$text":
            yield from self._text(value["$text"], scope, field, path)
        elif word:
            operands = value[word] if isinstance(value[word], list) else [value[word]]
            yield Leaf(field, path, UNKNOWN, join(self._labels(operands, scope)))
        elif isinstance(value, dict) and value:
            for name, item in value.items():
                yield from self.leaves(item, scope, field, f"{path}.{name}" if path else name)
        elif isinstance(value, list) and value:
            for item in value:
                yield from self.leaves(item, scope, field, path)
        else:
            yield Leaf(field, path, value)

    def _text(self, pieces: list[Any], scope: Scope, field: str, path: str) -> Iterator[Leaf]:
        parts = [leaf for piece in pieces for leaf in self.leaves(piece, scope, field, path)]
        labels = [leaf.label for leaf in parts if leaf.label is not None]
        if all(leaf.known for leaf in parts):
            yield Leaf(
                field, path, "".join(str(leaf.value) for leaf in parts), join(labels) if labels else None
            )
            return
        bare = all(not str(leaf.value).strip() for leaf in parts if leaf.known)
        book = bare and all(leaf.book for leaf in parts if not leaf.known)
        yield Leaf(field, path, UNKNOWN, join(labels), book)
        for leaf in parts:
            if leaf.known and isinstance(leaf.value, str):
                yield msgspec.structs.replace(leaf, path=f"{path}.$text")

    def _labels(self, values: list[Any], scope: Scope) -> list[Label]:
        found = [leaf.label for value in values for leaf in self.leaves(value, scope)]
        return [label for label in found if label is not None]

    def compared(self, value: Any, scope: Scope, where: str) -> Iterator[Leaf]:
        """The leaves below the operators of a condition: what it compares with."""
        word = operator(value)
        if not word or word in ("$value", "$from", "$text"):
            yield from self.leaves(value, scope, "when", where)
            return
        for operand in value[word] if isinstance(value[word], list) else [value[word]]:
            yield from self.compared(operand, scope, where)

    def label(self, value: Any, scope: Scope) -> Label:
        """The label of the whole; of literals without any, the default."""
        return join(self._labels([value], scope))

    def known(self, value: Any, scope: Scope) -> Known:
        """The whole of a value, as a root for others."""
        if operator(value) == "$from" and "$default" not in value:
            return look_up(value, scope)
        leaves = list(self.leaves(value, scope))
        labels = [leaf.label for leaf in leaves if leaf.label is not None]
        return Known(
            plain(value, scope),
            join(labels) if labels else None,
            bool(leaves) and all(leaf.book for leaf in leaves),
        )


def label_in(value: Mapping[str, Any]) -> Label | None:
    """The label that a `$value` carries; None when it has none."""
    return msgspec.convert(value["$label"], Label) if "$label" in value else None


def look_up(value: Mapping[str, Any], scope: Scope) -> Known:
    """What a `$from` refers to, as far as it is known."""
    root, *path = value["$from"].split(".")
    if root == "inputs":
        root, path = f"inputs.{path[0] if path else ''}", path[1:]
    known = scope.get(root)
    if known is None:
        # All inputs at once, or an event.
        return Known(UNKNOWN, Label("device" if root == "event" else "model"))
    found = known.value
    for name in path:
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            found = UNKNOWN
            break
    return Known(found, known.label, known.book)


def plain(value: Any, scope: Scope) -> Any:
    """The data of a value; `UNKNOWN` where something in it is not known yet."""
    word = operator(value)
    if word == "$value":
        return value["$value"]
    if word == "$from" and "$default" not in value:
        return look_up(value, scope).value
    if word == "$text":
        pieces = [plain(item, scope) for item in value["$text"]]
        return UNKNOWN if any(item is UNKNOWN for item in pieces) else "".join(map(str, pieces))
    if word:
        return UNKNOWN
    if isinstance(value, dict):
        named = {name: plain(item, scope) for name, item in value.items()}
        return UNKNOWN if UNKNOWN in named.values() else named
    if isinstance(value, list):
        items = [plain(item, scope) for item in value]
        return UNKNOWN if any(item is UNKNOWN for item in items) else items
    return value


def _spread(leaf: Leaf, depth: int = 0) -> Iterator[Leaf]:
    value = leaf.value
    if isinstance(value, dict) and value and depth < _DEPTH:
        for name, item in value.items():
            path = f"{leaf.path}.{name}" if leaf.path else str(name)
            yield from _spread(msgspec.structs.replace(leaf, path=path, value=item), depth + 1)
    elif isinstance(value, list) and value and depth < _DEPTH:
        for item in value:
            yield from _spread(msgspec.structs.replace(leaf, value=item), depth + 1)
    else:
        yield leaf


__all__ = ["LEAVES_MAX", "UNKNOWN", "Known", "Leaf", "Scope", "Tracer", "label_in", "look_up", "plain"]
