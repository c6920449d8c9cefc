"""Starts of members: restarts are normal, two at once are a copy, and nobody is framed by what was recorded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.mesh.boot_machine import Book, Boots, Start
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import InvalidTransition

PHONE, DESK = b"p" * 20, b"d" * 20


def start(boot: int, tag: str = "a") -> Start:
    return Start(boot, tag.encode() * 8)


def test_one_device_that_restarts_and_reconnects() -> None:
    boots = Boots()
    assert boots.live(PHONE) is None
    verdicts = [
        boots.confirm(PHONE, one) for one in (start(1), start(1), start(2, "b"), start(7, "c"), start(7, "c"))
    ]
    assert verdicts == ["first", "same", "restart", "restart", "same"]
    assert boots.live(PHONE) == start(7, "c")
    assert not boots.copied
    boots.validate()


def test_the_same_start_under_another_tag_and_an_older_start_that_lives_are_copies() -> None:
    for other in (start(2, "x"), start(1)):
        boots = Boots()
        boots.confirm(PHONE, start(2, "b"))
        assert boots.confirm(PHONE, other) == "copy"
        assert boots.copied == {PHONE}
        assert boots.confirm(DESK, start(1)) == "first"
        again = Boots(decode(Book, encode(boots.book())))
        assert again.copied == {PHONE}
        assert again.confirm(PHONE, start(2, "b")) == "same"
        boots.validate()


def test_after_the_owners_word_the_start_that_is_confirmed_next_counts() -> None:
    boots = Boots()
    boots.confirm(PHONE, start(5, "b"))
    boots.confirm(PHONE, start(3))
    boots.release(PHONE)
    assert not boots.copied
    assert boots.confirm(PHONE, start(3)) == "first"
    assert boots.confirm(PHONE, start(4, "n")) == "restart"
    # The other one is alive after all.
    assert boots.confirm(PHONE, start(3)) == "copy"
    boots.release(DESK)
    boots.forget(PHONE)
    boots.forget(DESK)
    assert boots.book() == Book()
    assert boots.confirm(PHONE, start(1)) == "first"


def test_a_copy_that_never_started_is_a_bug() -> None:
    with pytest.raises(InvalidTransition):
        Boots(Book((), (PHONE,))).validate()


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from("ab")), min_size=1, max_size=30))
def test_it_is_a_copy_exactly_when_two_starts_overlap(seen: list[tuple[int, str]]) -> None:
    boots = Boots()
    highest: tuple[int, str] | None = None
    copied = False
    for boot, tag in seen:
        boots.confirm(PHONE, start(boot, tag))
        if highest is None or boot > highest[0]:
            highest = (boot, tag)
        elif (boot, tag) != highest:
            copied = True
        boots.validate()
    assert (PHONE in boots.copied) == copied
