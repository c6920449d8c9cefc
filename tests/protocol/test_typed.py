"""Typed codes: forgiving to type, and everything that hangs on their key."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import CURVE, DOOR_KEYS, seed

from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, UnsupportedVersion
from kindmesh.protocol.typed import (
    TypedConfirm,
    TypedStart,
    check_accepted,
    check_confirm,
    check_start,
    distance,
    make_code,
    nearest,
    parse_code,
    typed_accepted,
    typed_confirm,
    typed_identities,
    typed_secret,
)
from kindmesh.protocol.words import WORDS

KEY = seed("typed")


def test_there_are_256_words_that_a_slip_never_confuses() -> None:
    assert len(set(WORDS)) == 256
    assert all(4 <= len(word) <= 8 and word.isascii() and word.islower() and word.isalpha() for word in WORDS)
    for one, other in itertools.combinations(WORDS, 2):
        assert distance(one, other) >= 2
        assert not one.startswith(other)
        assert not other.startswith(one)


@pytest.mark.parametrize(
    "text",
    ["maple otter 4821", "  Maple-OTTER-4821 ", "mapleotter4821", "maple, otter: 48 21", "maple_otter_4821"],
)
def test_a_code_is_typed_in_many_ways(text: str) -> None:
    assert parse_code(text) == "maple otter 4821"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "maple",
        "maple otter",
        "maple otter 482",
        "maple otter 48211",
        "4821",
        "one two three 4821",
        "mapleott 4821",
    ],
)
def test_what_is_no_code_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a pairing code") as caught:
        parse_code(text)
    assert "maple otter 4821" in caught.value.hint


@pytest.mark.parametrize("typed", ["mapel", "maplle", "mapl", "mable"])
def test_a_mistyped_word_is_named_with_the_nearest_one(typed: str) -> None:
    with pytest.raises(InvalidInput, match=repr(typed)) as caught:
        parse_code(f"{typed} otter 4821")
    assert caught.value.hint == "Did you mean maple?"


def test_a_word_that_is_near_to_none_is_only_named() -> None:
    for typed in ("xxxxxx", "x" * 30):
        with pytest.raises(InvalidInput, match="not in the list") as caught:
            parse_code(f"maple {typed} 4821")
        assert "Did you mean" not in caught.value.hint


def test_nearness_counts_edits() -> None:
    assert distance("otter", "toter") == distance("otter", "oter") == distance("otter", "ottter") == 1
    assert distance("", "abc") == 3
    assert nearest("otetr", WORDS) == "otter"


@given(st.binary(min_size=10, max_size=10))
def test_a_made_code_is_one_that_can_be_typed(random: bytes) -> None:
    code = make_code(random)
    assert parse_code(code) == parse_code(code.upper().replace(" ", "")) == code


def test_the_identities_hold_every_key_but_not_the_port() -> None:
    device, door = typed_identities(CURVE["phone"].public, DOOR_KEYS)
    assert CURVE["phone"].public in device
    for key in (DOOR_KEYS.mesh, DOOR_KEYS.ed_pub, DOOR_KEYS.curve_pub):
        assert key in door
    assert typed_identities(CURVE["phone"].public, msgspec.structs.replace(DOOR_KEYS, door=9))[1] == door


def test_confirmations_need_the_key() -> None:
    check_confirm(KEY, typed_confirm(KEY))
    check_accepted(KEY, typed_accepted(KEY, 7, "node"))
    check_start(TypedStart(1, b"A" + KEY))
    assert len(typed_secret(KEY)) == 16
    other = seed("another key")
    with pytest.raises(EnrolmentRefused, match="not the one that is shown"):
        check_confirm(KEY, typed_confirm(other))
    with pytest.raises(EnrolmentRefused, match="does not know this code"):
        check_accepted(KEY, typed_accepted(other, 7, "node"))
    changes: list[dict[str, object]] = [{"expires_s": 8}, {"role": "bridge"}, {"mac": typed_confirm(KEY).mac}]
    for change in changes:
        with pytest.raises(EnrolmentRefused):
            check_accepted(KEY, msgspec.structs.replace(typed_accepted(KEY, 7, "node"), **change))
    with pytest.raises(EnrolmentRefused):
        check_confirm(KEY, TypedConfirm(typed_accepted(KEY, 7, "node").mac))
    with pytest.raises(UnsupportedVersion):
        check_start(TypedStart(2, b"A" + KEY))
