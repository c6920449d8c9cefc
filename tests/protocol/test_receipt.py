"""Receipts: each field of a result is proven by itself, and nothing that is not of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import IDS, MESH, NOW, PERMIT, SIGNING, time_id

from kindmesh.protocol.codec import decode, encode, encode_value
from kindmesh.protocol.errors import BadSignature, InvalidInput, Malformed
from kindmesh.protocol.limits import PROOF_VALUE_MAX
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.plan_labels import Carried, Label, carry
from kindmesh.protocol.receipt import (
    FIELDS_MAX,
    Receipt,
    Use,
    argument_at,
    open_receipt,
    part_of,
    prove_field,
    root_of_fields,
    shown_field,
    sign_receipt,
)
from kindmesh.protocol.utterance_evidence import PATH_MAX, ArgumentSource, argument_sources

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)
RESULTS = st.dictionaries(st.text(max_size=8), VALUES, min_size=1, max_size=9)


def receipt_of(value: dict[str, Any]) -> Receipt:
    size, root = root_of_fields(value)
    return Receipt(MESH, IDS["phone"], time_id(43), time_id(42), "home.get", size, root, NOW, Carried("user"))


@given(value=RESULTS)
def test_each_field_is_proven_and_no_other_value_is(value: dict[str, Any]) -> None:
    receipt = receipt_of(value)
    signed = sign_receipt(receipt, SIGNING["phone"])
    assert open_receipt(signed, SIGNING["phone"].public) == receipt
    for name, field in value.items():
        proof = prove_field(value, name, signed, (Use("text"),))
        assert encode_value(shown_field(proof, receipt)) == encode_value(field)
        for wrong in (
            msgspec.structs.replace(proof, value=encode_value("something else")),
            msgspec.structs.replace(proof, name=f"{name}x"),
            msgspec.structs.replace(proof, index=proof.index + len(value)),
            msgspec.structs.replace(proof, hashes=(*proof.hashes, bytes(32))),
        ):
            with pytest.raises(Malformed):
                shown_field(wrong, receipt)


def test_only_the_device_that_signed_it_gave_it() -> None:
    signed = sign_receipt(receipt_of({"a": 1}), SIGNING["phone"])
    with pytest.raises(BadSignature):
        open_receipt(signed, SIGNING["desk"].public)


def test_a_result_without_fields_or_with_too_many_has_no_receipt() -> None:
    assert root_of_fields({}) == (0, b"")
    assert root_of_fields({str(number): 0 for number in range(FIELDS_MAX + 1)}) == (0, b"")
    assert root_of_fields({"n" * 401: 0}) == (0, b"")
    assert root_of_fields({"n" * 400: 0})[0] == 1


def test_what_is_not_there_or_too_long_is_not_shown() -> None:
    value = {"text": "a" * PROOF_VALUE_MAX, "other": 1}
    signed = sign_receipt(receipt_of(value), SIGNING["phone"])
    for name in ("text", "none"):
        with pytest.raises(InvalidInput):
            prove_field(value, name, signed, ())


def test_parts_of_a_value_are_found_by_name_and_number() -> None:
    value = {"a": [{"b": "x"}, "y"], "1": "z"}
    assert part_of(value, ()) == value
    assert part_of(value, ("a", "0", "b")) == "x"
    assert part_of(value, ("1",)) == "z"
    for inside in (("c",), ("a", "2"), ("a", "x"), ("a", "-1"), ("a", "²"), ("a", "1", "b")):
        with pytest.raises(Malformed):
            part_of(value, inside)


def test_parts_of_arguments_are_found_by_their_paths_all_that_are_called_so() -> None:
    args = {"a": {"b": [1, {"c": 2}]}, "a.b": 3, "d": "text"}
    assert argument_at(args, "") == [args]
    assert argument_at(args, "a.b") == [[1, {"c": 2}], 3]
    assert argument_at(args, "a.b.1.c") == [2]
    assert argument_at(args, "d.x") == []
    assert argument_at("text", "x") == []
    assert argument_at([5, 6], "1") == [6]


def test_what_is_nothing_but_a_reference_is_told_with_its_path() -> None:
    args = {
        "text": {"$from": "read.text.0"},
        "list": [{"$from": "item"}, {"$from": "read.x", "$default": 1}, "plain"],
        "made": {"$text": [{"$from": "read.text"}]},
        "none": 1,
        "n" * (PATH_MAX + 1): {"$from": "read.text"},
    }
    assert argument_sources(args) == (
        ArgumentSource("text", "read", ("text", "0")), ArgumentSource("list.0", "item"),
    )  # fmt: skip
    assert argument_sources({"$from": "read"}) == (ArgumentSource("", "read"),)


def test_a_permit_of_before_says_nothing_of_where_the_arguments_came_from() -> None:
    fields = msgspec.msgpack.decode(encode(PERMIT))
    assert fields.pop() == ["device", ["*"], ["home"], ["*"]]
    assert decode(Permit, msgspec.msgpack.encode(fields)).label is None


def test_a_label_goes_over_the_wire_without_its_words() -> None:
    label = Label("memory", ("anna",), ("health",), ("care",), ("my", "words"))
    assert carry(label).label() == msgspec.structs.replace(label, words=())
