"""Bytes to typed structs and back (MessagePack through msgspec).

Structs are `array_like` and hold no free-form field: what is free-form (job arguments, results) travels as `bytes`
that hold one MessagePack value, is hashed as received, and is decoded apart by `decode_value` with a depth limit
checked before decoding. Array-like structs leave no place for duplicate keys; free-form values are accepted in
canonical form only (sorted keys, smallest encodings, 64-bit floats), which leaves none either. In an `ext` map the
last of doubled keys counts; a critical name is refused whatever it says.
Rules: size first, then depth, then decode; every failure is `Malformed`, never anything else.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.limits import ARGUMENTS_MAX, BODY_MAX, DEPTH_MAX

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_encode_sorted = msgspec.msgpack.Encoder(order="deterministic").encode
_decode_any = msgspec.msgpack.Decoder().decode
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_CONTAINER_BYTES = bytes([*range(0x81, 0x90), *range(0x91, 0xA0), 0xDC, 0xDD, 0xDE, 0xDF])


def encode(value: msgspec.Struct) -> bytes:
    """The bytes of a struct; the same struct always gives the same bytes."""
    return _encode(value)


def decode(type_: type[T], data: bytes, *, limit: int = BODY_MAX) -> T:
    """The struct in `data`.

    Raises:
        Malformed: longer than `limit` bytes, or not a value of that type.
    """
    if len(data) > limit:
        raise Malformed(f"{len(data)} bytes where at most {limit} are allowed")
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.msgpack.Decoder(type_)
    try:
        value: T = decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise Malformed(f"not a {getattr(type_, '__name__', 'value')}: {str(error)[:200]}") from error
    return value


def encode_value(value: Any) -> bytes:
    """Canonical bytes of plain data: None, bool, int, float, str, bytes, list, dict with str keys.

    Raises:
        Malformed: something that MessagePack cannot say.
    """
    try:
        return _encode_sorted(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise Malformed(f"cannot be encoded: {str(error)[:200]}") from error


def decode_value(data: bytes, *, limit: int = ARGUMENTS_MAX, depth: int = DEPTH_MAX) -> Any:
    """Plain data out of `data`, at most `depth` containers deep, without duplicate keys.

    Raises:
        Malformed: too long, too deep, not MessagePack, duplicate or non-text keys, extension types, numbers that
            are not finite (JSON, and so the owner's prompt, cannot show them).
    """
    if len(data) > limit:
        raise Malformed(f"{len(data)} bytes where at most {limit} are allowed")
    if len(data) - len(data.translate(None, _CONTAINER_BYTES)) > depth:
        _check_depth(data, depth)
    try:
        value = _decode_any(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise Malformed(f"not MessagePack: {str(error)[:200]}") from error
    _check_plain(value)
    if encode_value(value) != data:
        raise Malformed("not in canonical form (sorted keys, each once; smallest encodings; 64-bit floats)")
    return value


def _check_depth(data: bytes, depth: int) -> None:
    """Walk the bytes without building anything; `open_items` holds how many items each open container still wants."""
    position, size = 0, len(data)
    open_items: list[int] = []
    while position < size:
        first = data[position]
        position += 1
        children = -1
        if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
            skip = 0
        elif first <= 0x8F:
            skip, children = 0, 2 * (first & 0x0F)
        elif first <= 0x9F:
            skip, children = 0, first & 0x0F
        elif first <= 0xBF:
            skip = first & 0x1F
        elif first in _CONTAINER_LENGTHS:
            width, factor = _CONTAINER_LENGTHS[first]
            children, skip = factor * int.from_bytes(data[position : position + width], "big"), width
        elif first in _BLOB_LENGTHS:
            width, extra = _BLOB_LENGTHS[first]
            skip = width + extra + int.from_bytes(data[position : position + width], "big")
        else:
            skip = _FIXED_LENGTHS.get(first, 0)
        position += skip
        if open_items:
            open_items[-1] -= 1
        if children > 0:
            open_items.append(children)
            if len(open_items) > depth:
                raise Malformed(f"more than {depth} containers deep")
        while open_items and open_items[-1] == 0:
            open_items.pop()


_CONTAINER_LENGTHS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_BLOB_LENGTHS = {
    0xC4: (1, 0),
    0xC5: (2, 0),
    0xC6: (4, 0),
    0xC7: (1, 1),
    0xC8: (2, 1),
    0xC9: (4, 1),
    0xD9: (1, 0),
    0xDA: (2, 0),
    0xDB: (4, 0),
}
_FIXED_LENGTHS = {
    0xCA: 4,
    0xCB: 8,
    0xCC: 1,
    0xCD: 2,
    0xCE: 4,
    0xCF: 8,
    0xD0: 1,
    0xD1: 2,
    0xD2: 4,
    0xD3: 8,
    0xD4: 2,
    0xD5: 3,
    0xD6: 5,
    0xD7: 9,
    0xD8: 17,
}


def _check_plain(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Malformed("a key is not text")
            _check_plain(item)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Malformed("a number is not finite")
    elif value is not None and not isinstance(value, (str, bytes, int)):
        raise Malformed("an extension type is not allowed")


__all__ = ["decode", "decode_value", "encode", "encode_value"]
