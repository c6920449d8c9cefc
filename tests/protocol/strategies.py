"""Hypothesis strategies for every struct of the protocol, made from the types and bounds that the structs declare."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

import kindmesh.protocol
from kindmesh.protocol.codec import encode_value

LONGEST = 24


def modules() -> list[Any]:
    """All modules of kindmesh.protocol."""
    found = pkgutil.walk_packages(kindmesh.protocol.__path__, "kindmesh.protocol.")
    return [importlib.import_module(module.name) for module in found]


def wire_structs() -> list[type[msgspec.Struct]]:
    """Every struct that travels (array-like), by name."""
    found = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and value.__struct_config__.array_like
    }
    return sorted(found, key=lambda struct: (struct.__module__, struct.__name__))


def structs(type_: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Instances of `type_` within its bounds."""
    return _from_type(inspect.type_info(type_))


def _from_type(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            fields = {field.name: _from_type(field.type) for field in info.fields}
            return st.builds(info.cls, **fields)
        case inspect.BytesType():
            low = info.min_length or 0
            return st.binary(min_size=low, max_size=min(info.max_length or LONGEST, max(low, LONGEST)))
        case inspect.StrType():
            low = info.min_length or 0
            return st.text(min_size=low, max_size=min(info.max_length or LONGEST, max(low, LONGEST)))
        case inspect.IntType():
            low_int = info.ge if info.ge is not None else -(2**63)
            high_int = info.le if info.le is not None else 2**64 - 1
            return st.integers(low_int, high_int)
        case inspect.FloatType():
            return st.floats(info.ge, info.le, allow_nan=False, allow_infinity=False)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.UnionType():
            return st.one_of([_from_type(part) for part in info.types])
        case inspect.TupleType():
            return st.tuples(*[_from_type(part) for part in info.item_types])
        case inspect.VarTupleType():
            items = st.lists(_from_type(info.item_type), min_size=info.min_length or 0, max_size=2)
            return items.map(tuple)
        case inspect.DictType():
            return st.dictionaries(_from_type(info.key_type), _from_type(info.value_type), max_size=2)
    raise AssertionError(f"no strategy for {info}")


PLAIN_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
"""What `encode_value` takes."""

VALUE_BYTES = PLAIN_VALUES.map(encode_value)
NEARLY_VALUES = st.builds(
    lambda data, at, bit: bytes(
        [*data[: at % len(data)], data[at % len(data)] ^ (1 << bit), *data[at % len(data) + 1 :]]
    ),
    VALUE_BYTES,
    st.integers(0, 10_000),
    st.integers(0, 7),
)
"""Bytes that are one bit away from a value."""
