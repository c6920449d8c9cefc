"""Values in a plan: literals, references to what is known by then, and a small typed language over both.

Plain data is itself. A map with one key that begins with `$` is an operator:

    {$from: read.text}              a reference: inputs.NAME, a step's id, item, index, last, event, self; then fields
    {$from: read.text, $default: x} the same, or x where there is nothing
    {$value: ..., $label: {...}}    a literal as it is, whatever its keys; with a label
    {$text: [a, b]}                 the parts as one text
    {$count: x}                     how many items, fields or characters
    {$eq|$ne|$lt|$le|$gt|$ge: [a, b]}   {$in: [x, list]}   {$and|$or: [a, b, ...]}   {$not: a}

Rules: nothing is executed; evaluation always ends, in time that grows with the size of the data; only numbers compare
with numbers and text with text; `$and`, `$or` and `$not` take true or false and nothing that resembles them; unknown
(null) is equal to itself and to nothing else, and is neither less nor more than anything. A reference to a field that
is not there is an error, below something that is null it is null. The result carries the joined label of everything
that was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import EXPRESSION_DEPTH_MAX
from kindmesh.protocol.plan_labels import FROM_PLAN, Label, Traced, gather

REFERENCE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.([a-z][a-z0-9_]{0,31}|0|[1-9][0-9]{0,5})){0,12}")
OPERATORS: Final = (
    "$and", "$count", "$eq", "$from", "$ge", "$gt", "$in", "$le", "$lt", "$ne", "$not", "$or", "$text", "$value",
)  # fmt: skip
LOGICAL: Final = frozenset({"$and", "$eq", "$ge", "$gt", "$in", "$le", "$lt", "$ne", "$not", "$or"})
"""Operators that give true or false."""
_BESIDE: Final = {"$from": "$default", "$value": "$label"}
TEXT_LIMIT: Final = 262_144
"""Characters that `$text` makes at most."""


class Reference(msgspec.Struct, frozen=True):
    """`root` and what follows it; `optional`: it has a default."""

    root: str
    path: tuple[str, ...]
    optional: bool


def operator(value: Any) -> str:
    """The operator of a map, or empty when `value` is plain data."""
    words = [str(key) for key in value if str(key).startswith("$")] if isinstance(value, dict) else []
    return next((word for word in words if word not in _BESIDE.values()), words[0] if words else "")


def quoted(value: Any) -> Any:
    """`value` as a literal: wrapped where something in it would be taken for an operator."""
    return {"$value": value} if _has_operator(value) else value


def _has_operator(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(operator(value)) or any(_has_operator(item) for item in value.values())
    return isinstance(value, list) and any(_has_operator(item) for item in value)


def split_reference(text: Any, where: str) -> tuple[str, tuple[str, ...]]:
    """Root and path of a reference's text.

    Raises:
        InvalidInput: not such a text.
    """
    if not isinstance(text, str) or not REFERENCE.fullmatch(text):
        raise InvalidInput(
            f"{str(text)[:60]!r} is no reference", field=where, hint="Write it like read.text or inputs.name."
        )
    root, *path = text.split(".")
    return root, tuple(path)


def check_value(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what is no value: unknown operators, wrong numbers of operands, too deep.

    Raises:
        InvalidInput: `field` begins with `where`.
    """
    if depth > EXPRESSION_DEPTH_MAX:
        raise InvalidInput(f"more than {EXPRESSION_DEPTH_MAX} levels deep", field=where)
    word = operator(value)
    if not word:
        if isinstance(value, dict):
            for name, item in value.items():
                check_value(item, f"{where}.{name[:40]}", depth + 1)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                check_value(item, f"{where}.{number}", depth + 1)
        return
    if word not in OPERATORS:
        raise InvalidInput(
            f"there is no operator {word[:40]!r}", field=where, hint=f"There are: {', '.join(OPERATORS)}."
        )
    extra = set(value) - {word, _BESIDE.get(word, word)}
    if extra:
        raise InvalidInput(
            f"{word} stands alone, without {min(extra)[:40]!r}", field=where, hint="Quote data with $value."
        )
    _check_operands(word, value, where, depth)


def _check_operands(word: str, value: dict[str, Any], where: str, depth: int) -> None:
    operand = value[word]
    if word == "$from":
        split_reference(operand, where)
        check_value(value.get("$default"), f"{where}.$default", depth + 1)
    elif word == "$value":
        _label(value, where)
    elif word in ("$not", "$count"):
        check_value(operand, f"{where}.{word}", depth + 1)
    else:
        if not isinstance(operand, list) or not operand:
            raise InvalidInput(f"{word} takes a list", field=where)
        if word in LOGICAL and word not in ("$and", "$or") and len(operand) != 2:
            raise InvalidInput(f"{word} takes two values", field=where)
        for number, item in enumerate(operand):
            check_value(item, f"{where}.{word}.{number}", depth + 1)


def _label(value: dict[str, Any], where: str) -> Label:
    try:
        return msgspec.convert(value.get("$label", {}), Label)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"this is no label: {error}", field=f"{where}.$label") from error


def references(value: Any) -> Iterator[Reference]:
    """Every reference in a checked value, in order."""
    word = operator(value)
    if word == "$value":
        return
    if word == "$from":
        root, *path = value["$from"].split(".")
        yield Reference(root, tuple(path), "$default" in value)
        yield from references(value.get("$default"))
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def evaluate(value: Any, scope: Mapping[str, Traced], where: str) -> Traced:
    """What a checked value is now; `scope` has what each root is.

    Raises:
        InvalidInput: a reference leads nowhere, or an operand has the wrong type; `where` is the field.
    """
    word = operator(value)
    if not word:
        return _plain(value, scope, where)
    if word == "$value":
        return Traced(value["$value"], _label(value, where), FROM_PLAN)
    if word == "$from":
        return _look_up(value, scope, where)
    if word in ("$not", "$count"):
        part = evaluate(value[word], scope, where)
        counted = _count(part.value, where) if word == "$count" else not _truth(part.value, where)
        return Traced(counted, part.label, part.origins)
    parts = [evaluate(item, scope, where) for item in value[word]]
    values = [part.value for part in parts]
    made: Any
    if word == "$text":
        made = _text(values, where)
    elif word in ("$and", "$or"):
        # All of them are looked at, so that one that is no condition is never overlooked.
        truths = [_truth(item, where) for item in values]
        made = all(truths) if word == "$and" else any(truths)
    else:
        made = _COMPARISONS[word](values[0], values[1], where)
    return Traced(made, *gather(parts))


def weigh(value: Any, limit: int, where: str) -> int:
    """About how many bytes plain data takes as MessagePack; what is shared counts each time, as it would be written.

    Raises:
        InvalidInput: more than `limit`.
    """
    size, pending = 0, [value]
    while pending:
        item = pending.pop()
        size += 1
        if isinstance(item, (str, bytes)):
            size += len(item)
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
        if size + len(pending) > limit:
            raise InvalidInput(
                f"this is more than {limit} bytes", field=where, hint="Pass files (artifacts) instead."
            )
    return size


def truth(value: Any, scope: Mapping[str, Traced], where: str) -> bool:
    """Whether a condition holds.

    Raises:
        InvalidInput: it is neither true nor false.
    """
    return _truth(evaluate(value, scope, where).value, where)


def _plain(value: Any, scope: Mapping[str, Traced], where: str) -> Traced:
    if isinstance(value, dict):
        named = {name: evaluate(item, scope, f"{where}.{name}") for name, item in value.items()}
        made: Any = {name: part.value for name, part in named.items()}
        return _gathered(made, list(named.values()))
    if isinstance(value, list):
        parts = [evaluate(item, scope, f"{where}.{number}") for number, item in enumerate(value)]
        return _gathered([part.value for part in parts], parts)
    return Traced(value, Label(), FROM_PLAN)


def _gathered(made: Any, parts: list[Traced]) -> Traced:
    return Traced(made, *gather(parts)) if parts else Traced(made, Label(), FROM_PLAN)


def _look_up(value: dict[str, Any], scope: Mapping[str, Traced], where: str) -> Traced:
    root, *path = value["$from"].split(".")
    known = scope.get(root)
    if known is None:
        raise InvalidInput(f"nothing is called {root} here", field=where)
    found: Any = known.value
    missing = found is None
    for name in path:
        if found is None:
            missing = True
            break
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            found, missing = None, True
            if "$default" not in value:
                have = ", ".join(sorted(known.value)[:8]) if isinstance(known.value, dict) else ""
                raise InvalidInput(
                    f"{value['$from']} is not there: no {name}",
                    field=where,
                    hint=f"{root} has: {have}." if have else "",
                )
    if (missing or found is None) and "$default" in value:
        other = evaluate(value["$default"], scope, where)
        return Traced(other.value, *gather([known, other]))
    return Traced(found, known.label, known.origins)


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        said = "unknown" if value is None else f"{type(value).__name__}"
        raise InvalidInput(f"a condition is {said}, not true or false", field=where)
    return value


def _count(value: Any, where: str) -> int:
    if not isinstance(value, (str, list, dict, bytes)):
        raise InvalidInput("$count takes text, a list or named values", field=where)
    return len(value)


def _text(values: list[Any], where: str) -> str:
    said = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise InvalidInput("$text takes texts and numbers", field=where)
        said.append(str(value))
    made = "".join(said)
    if len(made) > TEXT_LIMIT:
        raise InvalidInput(f"$text made more than {TEXT_LIMIT} characters", field=where)
    return made


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def _equal(one: Any, other: Any, where: str) -> bool:
    if _kind(one) != _kind(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name], where) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(_equal(a, b, where) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any, str], bool]:
    def compared(one: Any, other: Any, where: str) -> bool:
        kinds = {_kind(one), _kind(other)}
        if kinds not in ({"number"}, {"str"}):
            raise InvalidInput(
                f"{_kind(one)} and {_kind(other)} have no order",
                field=where,
                hint="Numbers compare with numbers, text with text.",
            )
        return compare(one, other)

    return compared


def _within(one: Any, other: Any, where: str) -> bool:
    if not isinstance(other, list):
        raise InvalidInput("$in takes a value and a list", field=where)
    return any(_equal(one, item, where) for item in other)


_COMPARISONS: Final[dict[str, Callable[[Any, Any, str], bool]]] = {
    "$eq": _equal,
    "$ne": lambda one, other, where: not _equal(one, other, where),
    "$lt": _ordered(lambda one, other: one < other),
    "$le": _ordered(lambda one, other: one <= other),
    "$gt": _ordered(lambda one, other: one > other),
    "$ge": _ordered(lambda one, other: one >= other),
    "$in": _within,
}

__all__ = [
    "LOGICAL",
    "OPERATORS",
    "Reference",
    "check_value",
    "evaluate",
    "operator",
    "quoted",
    "references",
    "split_reference",
    "truth",
    "weigh",
]
