"""Free-form values: one canonical form, bounded before it is decoded, and nothing but `Malformed` otherwise."""

from __future__ import annotations

import time
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.protocol import samples
from tests.protocol.strategies import NEARLY_VALUES, PLAIN_VALUES, VALUE_BYTES

from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.limits import ARGUMENTS_MAX, DEPTH_MAX


@given(PLAIN_VALUES)
def test_a_value_comes_back_and_another_implementation_reads_the_same(value: Any) -> None:
    data = encode_value(value)
    assert decode_value(data) == value
    assert encode_value(decode_value(data)) == data
    assert msgpack.unpackb(data, raw=False) == value


@given(st.binary(max_size=200) | NEARLY_VALUES)
@example(b"")
@example(b"\xc1")
def test_any_bytes_are_canonical_or_malformed(data: bytes) -> None:
    try:
        value = decode_value(data)
    except Malformed:
        return
    assert encode_value(value) == data


@given(VALUE_BYTES, st.data())
def test_a_value_cut_off_or_continued_is_malformed(data: bytes, choose: st.DataObject) -> None:
    cut = choose.draw(st.integers(0, len(data) - 1))
    for wrong in (data[:cut], data + data):
        with pytest.raises(Malformed):
            decode_value(wrong)


def test_the_order_in_which_keys_were_set_does_not_matter() -> None:
    assert encode_value({"b": {"y": 1, "x": 2}, "a": 3}) == encode_value({"a": 3, "b": {"x": 2, "y": 1}})


@pytest.mark.parametrize(
    "digits",
    [
        pytest.param("82a16201a16102", id="keys out of order"),
        pytest.param("82a16101a16102", id="a key twice"),
        pytest.param("cd0001", id="a long integer"),
        pytest.param("d90161", id="a long text length"),
        pytest.param("dc000101", id="a long array length"),
        pytest.param("ca3f000000", id="a 32-bit float"),
        pytest.param("cb7ff8000000000000", id="not a number"),
        pytest.param("91cb7ff0000000000000", id="infinity inside"),
        pytest.param("810102", id="a key that is a number"),
        pytest.param("81c001", id="a key that is nothing"),
        pytest.param("81900102", id="a key that is a list"),
        pytest.param("8180c0", id="a key that is a map"),
        pytest.param("d40100", id="an extension"),
        pytest.param("91d6ff00000001", id="a timestamp"),
        pytest.param("c70cff" + "ff" * 12, id="a timestamp out of range"),
    ],
)
def test_every_other_way_to_say_it_is_malformed(digits: str) -> None:
    with pytest.raises(Malformed):
        decode_value(bytes.fromhex(digits))


@pytest.mark.parametrize(
    "value",
    [object(), 2**64, -(2**63) - 1, {"a": {1, object()}}, "\ud800", {("a",): 1}, {1: 2, "a": 3}],
    # The same in every process that runs tests, so without the addresses of objects.
    ids=["object", "too-large", "too-small", "object-in-a-set", "surrogate", "tuple-key", "mixed-keys"],
)
def test_what_messagepack_cannot_say_canonically_is_malformed(value: object) -> None:
    with pytest.raises(Malformed):
        encode_value(value)


def test_a_value_that_contains_itself_is_malformed() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Malformed):
        encode_value(loop)


def _nested(levels: int, kind: str) -> bytes:
    return {"list": b"\x91", "map": b"\x81\xa1k"}[kind] * levels + b"\xc0"


@pytest.mark.parametrize("kind", ["list", "map"])
def test_the_depth_limit_is_exact(kind: str) -> None:
    decode_value(_nested(DEPTH_MAX, kind))
    with pytest.raises(Malformed, match="deep"):
        decode_value(_nested(DEPTH_MAX + 1, kind))
    with pytest.raises(Malformed, match="deep"):
        decode_value(_nested(2_000, kind))


def test_depth_is_how_deep_and_not_how_many() -> None:
    wide = [[[index]] for index in range(2_000)]
    assert decode_value(encode_value(wide), depth=3) == wide
    with pytest.raises(Malformed, match="deep"):
        decode_value(encode_value(wide), depth=2)


def test_bytes_inside_text_and_blobs_are_not_taken_for_containers() -> None:
    for size in (40, 300, 70_000):
        value = {
            "blob": b"\x91" * size,
            "text": "Ã" * (size // 2),
            "numbers": [2**32, -(2**40), 0.5, -200, 300] * 9,
        }
        assert decode_value(encode_value(value), depth=2) == value


@pytest.mark.parametrize(
    "head",
    [
        "c7ff01",
        "c8ffff01",
        "c9ffffffff01",
        "d401",
        "d501",
        "d601",
        "d701",
        "d801",
        "c1",
        "dcffff",
        "de0001",
        "df00000001",
    ],
)
def test_strange_bytes_among_many_containers_are_malformed(head: str) -> None:
    with pytest.raises(Malformed):
        decode_value(b"\xdc\x00\x64" + b"\x91\x01" * 60 + bytes.fromhex(head) + b"\x91\x01" * 39)


@given(
    st.lists(st.sampled_from([b"\x91", b"\x81", b"\xa1a", b"\x90", b"\xc0", b"\xdc\x00\x01"]), max_size=120)
)
def test_the_depth_check_agrees_with_what_was_decoded(parts: list[bytes]) -> None:
    def depth_of(value: Any) -> int:
        if isinstance(value, dict):
            value = list(value.values())
        return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) and value else 0

    data = b"".join(parts)
    try:
        real = depth_of(decode_value(data, depth=1_000))
    except Malformed:
        return
    if real:
        decode_value(data, depth=real)
        with pytest.raises(Malformed, match="deep"):
            decode_value(data, depth=real - 1)


def test_the_size_limit_is_exact_and_comes_first() -> None:
    largest = encode_value(b"x" * (ARGUMENTS_MAX - 5))
    assert len(largest) == ARGUMENTS_MAX
    decode_value(largest)
    with pytest.raises(Malformed, match="at most"):
        decode_value(b"\xc1" * (ARGUMENTS_MAX + 1))


def test_the_most_costly_values_of_allowed_size_are_judged_in_bounded_time() -> None:
    items = ARGUMENTS_MAX - 5
    for item in (b"\x01", b"\x90", b"\x80", b"\xa0"):
        started = time.process_time()
        value = decode_value(b"\xdd" + items.to_bytes(4, "big") + item * items)
        assert len(value) == items
        assert time.process_time() - started < 2


def test_a_struct_has_the_same_bytes_each_time() -> None:
    again = msgspec.structs.replace(samples.PERMIT)
    assert encode(samples.PERMIT) == encode(again)
