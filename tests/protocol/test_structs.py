"""Every struct that travels: there and back, exactly; and what is not such a struct is `Malformed`, never a crash."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from tests.protocol import audit_samples, samples
from tests.protocol.strategies import structs, wire_structs

from kindmesh.protocol import envelope
from kindmesh.protocol.certificate import Roster
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import Malformed
from kindmesh.protocol.messages import BODIES, SESSION_BODIES, MessageType, SessionBody, SessionType
from kindmesh.protocol.stream_spec import StreamBounds

STRUCTS = wire_structs()
SAMPLES: list[msgspec.Struct] = [
    *(body for _, body in samples.MESSAGES.values()),
    *samples.SESSION_MESSAGES.values(),
    *samples.ENROL_MESSAGES,
    *samples.ADOPT_MESSAGES,
    samples.LABEL,
    *samples.PROVENANCE,
    samples.DOOR_KEYS,
    *samples.CERTIFICATES.values(),
    samples.BUNDLE,
    samples.ANCHORS,
    *samples.READMIT_MESSAGES,
    samples.RECALL,
    samples.READMISSION,
    samples.PAPERS,
    samples.ROSTER,
    samples.REVOCATIONS,
    samples.RENEWAL,
    samples.MANIFEST,
    samples.STREAMING,
    StreamBounds(60_000, 1_000_000),
    samples.SESSION_PERMIT,
    samples.ADVERT,
    samples.TOPICS,
    samples.POLICY,
    samples.GRANT,
    samples.REMOVAL,
    samples.RELEASE,
    samples.REQUEST,
    samples.APPROVAL,
    samples.PERMIT,
    samples.SIGNED_PERMIT,
    samples.INVITATION,
    audit_samples.ENTRIES[0],
    audit_samples.HEADS[0],
    audit_samples.NEWS,
    audit_samples.SEEN,
    audit_samples.ROWS[1],
    samples.TERMS,
    samples.ACCEPTANCE,
    samples.ACCEPTED,
    samples.PERSON_INVITATION,
    samples.PERSON_REQUEST,
    samples.DELEGATION,
    envelope.peek_header(samples.HELLO_FRAMES),
]
names = pytest.mark.parametrize("type_", STRUCTS, ids=lambda struct: struct.__name__)
each = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: type(sample).__name__)


def _decoded(type_: type[msgspec.Struct], data: bytes) -> msgspec.Struct | None:
    try:
        return decode(type_, data)
    except Malformed:
        return None


@names
def test_a_struct_comes_back_as_it_was_and_its_bytes_are_stable(type_: type[msgspec.Struct]) -> None:
    @settings(max_examples=15)
    @given(structs(type_))
    def check(value: msgspec.Struct) -> None:
        data = encode(value)
        again = decode(type_, data)
        assert again == value
        assert encode(again) == data

    check()


@names
def test_any_bytes_are_either_such_a_struct_or_malformed(type_: type[msgspec.Struct]) -> None:
    # A frame that says it is an array of the right length gets further than noise would.
    length = len(type_.__struct_fields__) + (type_.__struct_config__.tag is not None)
    head = bytes([0x90 | length]) if length < 16 else b"\xdc" + length.to_bytes(2, "big")

    @settings(max_examples=25)
    @given(st.binary(max_size=120), st.booleans())
    def check(data: bytes, framed: bool) -> None:
        value = _decoded(type_, head + data if framed else data)
        assert value is None or decode(type_, encode(value)) == value

    check()


@each
def test_a_struct_cut_off_anywhere_is_malformed(sample: msgspec.Struct) -> None:
    data = encode(sample)
    step = max(1, len(data) // 200)
    assert [cut for cut in range(0, len(data), step) if _decoded(type(sample), data[:cut])] == []


@each
def test_bytes_after_the_end_are_malformed(sample: msgspec.Struct) -> None:
    with pytest.raises(Malformed):
        decode(type(sample), encode(sample) + b"\x00")


@each
def test_one_byte_more_than_the_limit_is_malformed_before_it_is_decoded(sample: msgspec.Struct) -> None:
    data = encode(sample)
    assert decode(type(sample), data, limit=len(data)) == sample
    with pytest.raises(Malformed, match="at most"):
        decode(type(sample), data, limit=len(data) - 1)


@each
def test_a_flipped_bit_is_another_struct_or_malformed_and_never_the_same(sample: msgspec.Struct) -> None:
    data = encode(sample)
    for position in range(0, len(data), max(1, len(data) // 100)):
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        assert _decoded(type(sample), bytes(changed)) != sample


def _bounded(info: inspect.Type) -> list[inspect.Type]:
    parts: list[inspect.Type] = []
    for part in info.types if isinstance(info, inspect.UnionType) else (info,):
        if isinstance(part, inspect.VarTupleType):
            parts += _bounded(part.item_type)
        else:
            parts.append(part)
    return parts


@names
def test_every_number_that_travels_has_bounds(type_: type[msgspec.Struct]) -> None:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        for part in _bounded(field.type):
            if isinstance(part, (inspect.IntType, inspect.FloatType)):
                assert part.ge is not None, field.name
                assert part.le is not None, field.name


def _wrong_values(info: inspect.Type) -> list[Any]:
    """Values that a field of this type must not take, however alike they look."""
    match info:
        case inspect.IntType(ge=low, le=high) if low is not None and high is not None:
            return [True, 1.0, "1", b"1", None, low - 1, high + 1]
        case inspect.FloatType(ge=low_f, le=high_f) if low_f is not None and high_f is not None:
            beyond = [low_f - 1, high_f * 2 + 1]
            return [True, "0.5", float("nan"), float("inf"), float("-inf"), *beyond]
        case inspect.BytesType():
            wrong: list[Any] = ["text", 5, True, None, [1]]
            if info.min_length:
                wrong += [b"x" * (info.min_length - 1), b""]
            if info.max_length and info.max_length < 4096:
                wrong.append(b"x" * (info.max_length + 1))
            return wrong
        case inspect.StrType():
            wrong = [b"bytes", 5, True, None, ["a"]]
            return [*wrong, "x" * (info.max_length + 1)] if info.max_length else wrong
        case inspect.BoolType():
            return [0, 1, "true", None]
        case inspect.LiteralType():
            return ["no such word", 0, None, b""]
        case inspect.StructType() | inspect.VarTupleType() | inspect.TupleType():
            return [5, "text", b"bytes", None, {"a": 1}]
    return []


@each
def test_a_field_with_a_value_of_another_kind_or_out_of_bounds_is_malformed(sample: msgspec.Struct) -> None:
    info = inspect.type_info(type(sample))
    assert isinstance(info, inspect.StructType)
    tag = sample.__struct_config__.tag
    values = [getattr(sample, name) for name in sample.__struct_fields__]
    shift = 0 if tag is None else 1
    for position, field in enumerate(info.fields):
        optional = isinstance(field.type, inspect.UnionType)
        for wrong in [] if optional else _wrong_values(field.type):
            row = [*([] if tag is None else [tag]), *values]
            row[position + shift] = wrong
            with pytest.raises(Malformed):
                decode(type(sample), msgspec.msgpack.encode(row))


@each
def test_a_map_in_place_of_the_array_is_malformed(sample: msgspec.Struct) -> None:
    named = {name: getattr(sample, name) for name in sample.__struct_fields__}
    with pytest.raises(Malformed):
        decode(type(sample), msgspec.msgpack.encode(named))


def test_a_tail_nested_deeper_than_the_interpreter_can_go_is_malformed() -> None:
    stop = b"\x92\xa0" + b"\x91" * 200_000 + b"\xc0"
    with pytest.raises(Malformed):
        decode(BODIES[MessageType.STOP], stop)


def test_text_that_is_not_utf8_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode(BODIES[MessageType.STOP], b"\x91\xa2\xff\xfe")


def test_an_array_that_claims_four_billion_items_is_malformed_at_once() -> None:
    with pytest.raises(Malformed):
        decode(Roster, encode(samples.ROSTER)[:-1] + b"\xdd\xff\xff\xff\xff")


def test_the_samples_leave_no_struct_out() -> None:
    def inside(info: inspect.Type) -> set[type]:
        match info:
            case inspect.StructType():
                return {info.cls}.union(*(inside(field.type) for field in info.fields))
            case inspect.VarTupleType():
                return inside(info.item_type)
            case inspect.UnionType():
                return set().union(*(inside(part) for part in info.types))
        return set()

    covered = set().union(*(inside(inspect.type_info(type(sample))) for sample in SAMPLES))
    covered |= {SessionBody}
    assert {struct.__name__ for struct in STRUCTS} - {struct.__name__ for struct in covered} == set()


def test_every_message_type_has_a_body_and_a_sample() -> None:
    assert set(BODIES) == set(MessageType) == set(samples.MESSAGES)
    assert set(SESSION_BODIES) == set(SessionType) == set(samples.SESSION_MESSAGES)
    for type_, (_, body) in samples.MESSAGES.items():
        assert type(body) is BODIES[type_]
    for session_type, payload in samples.SESSION_MESSAGES.items():
        assert type(payload) is SESSION_BODIES[session_type]
