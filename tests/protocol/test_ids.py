"""Names of things: what is typed wrong is noticed, what is sorted sorts by time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import (
    format_id,
    format_time_id,
    id_time_ms,
    key_id,
    new_id,
    parse_id,
    parse_time_id,
    short_id,
    time_id_range,
)

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
RAW = sha256(b"somebody")[:20]
TEXT = format_id(RAW)


@given(st.binary(min_size=20, max_size=20))
def test_an_id_is_read_back_whatever_case_and_spacing_it_was_typed_in(raw: bytes) -> None:
    text = format_id(raw)
    assert [len(group) for group in text.split("-")] == [4] * 8 + [2]
    for typed in (text, text.upper(), text.replace("-", ""), text.replace("-", " "), f"  {text}\n"):
        assert parse_id(typed) == raw
    assert text.startswith(short_id(raw))
    assert len(short_id(raw)) == 9


def test_an_id_is_the_first_20_bytes_of_the_hash_of_the_key() -> None:
    assert key_id(b"k" * 32) == sha256(b"k" * 32)[:20]


def _accepted(typed: str) -> bool:
    try:
        parse_id(typed)
    except InvalidInput:
        return False
    return True


def test_a_wrong_character_passes_about_once_in_1024_times() -> None:
    plain = TEXT.replace("-", "")
    typed = [
        plain[:position] + char + plain[position + 1 :]
        for position in range(34)
        for char in ALPHABET
        if char != plain[position]
    ]
    passed = sum(map(_accepted, typed))
    assert len(typed) == 34 * 31
    # Expected 0.97 of 992 changes of the id; a wrong check character itself never passes.
    assert passed <= 6
    assert not any(_accepted(plain[:32] + a + b) for a in ALPHABET for b in ALPHABET if a + b != plain[32:])


def test_swapped_characters_pass_about_once_in_1024_times() -> None:
    chooser = random.Random(20)
    tried = passed = 0
    while tried < 6_000:
        plain = format_id(chooser.randbytes(20)).replace("-", "")
        at = chooser.randrange(33)
        if plain[at] != plain[at + 1]:
            tried += 1
            passed += _accepted(plain[:at] + plain[at + 1] + plain[at] + plain[at + 2 :])
    # Expected 5.9; more than 20 has a probability below one in a million.
    assert passed <= 20


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "abc",
        TEXT[:-1],
        TEXT + "a",
        TEXT.replace(TEXT[0], "1", 1),
        TEXT.replace(TEXT[0], "\u017f", 1),
        "ß" * 34,
    ],
)
def test_what_is_no_id_is_refused_with_the_field(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_id(typed)
    assert caught.value.field == "id"


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_invalid_input(typed: str) -> None:
    _accepted(typed)
    try:
        assert format_time_id(parse_time_id(typed)) == typed.strip().lower()
    except InvalidInput:
        pass


def test_formatting_something_else_is_our_bug() -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        format_id(b"short")
    with pytest.raises(ValueError, match="16 bytes"):
        format_time_id(b"short")
    with pytest.raises(ValueError, match="10 random bytes"):
        new_id(0, b"short")


times = st.integers(0, 2**48 - 1)
entropies = st.binary(min_size=10, max_size=10)


@given(times, entropies, times, entropies)
def test_ids_and_their_text_sort_by_time(first: int, a: bytes, second: int, b: bytes) -> None:
    one, two = new_id(first, a), new_id(second, b)
    assert id_time_ms(one) == first
    assert parse_time_id(format_time_id(one).upper()) == one
    assert (one < two) == (format_time_id(one) < format_time_id(two))
    assert first == second or (first < second) == (one < two)


@pytest.mark.parametrize("typed", ["", "z" * 26, "0" * 25, "0" * 27, "0" * 24, "0" * 25 + "1", "é" * 26])
def test_what_is_no_time_id_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        parse_time_id(typed)


@given(times, entropies, st.integers(1, 26))
def test_the_beginning_of_an_id_means_all_ids_that_begin_so(time: int, entropy: bytes, length: int) -> None:
    one = new_id(time, entropy)
    beginning = format_time_id(one)[:length]
    first, last = time_id_range(beginning.upper())
    assert first <= one <= last
    assert format_time_id(first).startswith(beginning)
    assert format_time_id(last).startswith(beginning)
    assert (first == last) == (length == 26)


@pytest.mark.parametrize("typed", ["", "w", "0-", "é", "0" * 25 + "1", "0" * 27])
def test_what_begins_no_time_id_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        time_id_range(typed)
