"""The names of a home, looked up in tables: the same answers as reading through every name, however large the home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.brain.medulla.review_home import HEARD_MAX, HomeNames
from kindmesh.coordinator.brain.medulla.review_kinds import KIND_STEMS
from kindmesh.coordinator.brain.medulla.review_lexicon import STOP
from kindmesh.coordinator.brain.medulla.review_names import slipped
from kindmesh.coordinator.brain.medulla.review_words import Words, content, kin_of, stem, tokens

Names = Mapping[str, Sequence[str]]
STOP_STEMS = {stem(word) for word in STOP}


def is_own(names: Names, name: str) -> bool:
    return sum(name in many for many in names.values()) == 1


def read_said(names: Names, words: Words) -> set[str]:
    """What was said, by reading through every name."""

    def named(name: str) -> bool:
        parts = [stem(word) for word in tokens(name)]
        parts = [word for word in parts if word not in STOP_STEMS] or content(name)
        return bool(parts) and all(words.says(part) or kin_of(part) & words.kin for part in parts)

    return {name for many in names.values() for name in many if named(name)}


def read_nearly(names: Names, text: str, words: Words) -> bool:
    said = [word for word in words.order if len(word) >= 4]
    joined = {*words.stems, *(one + other for one, other in pairwise(words.order))}

    def called(thing: str) -> bool:
        for name in names[thing]:
            parts = content(name)
            slips = [words.says(part) or any(slipped(part, word) for word in said) for part in parts]
            if is_own(names, name) and parts and ("".join(parts) in joined or all(slips)):
                return True
        return False

    return called(text) and not any(called(other) for other in names if other != text)


def read_fitting(names: Names, text: str, words: Words) -> bool:
    said = {word for word in words.stems if word not in STOP_STEMS}

    def fits(thing: str) -> bool:
        known = {word for name in names[thing] for word in content(name)}
        return said <= known | KIND_STEMS.get(thing.partition(".")[0], frozenset())

    own = {word for name in names[text] if is_own(names, name) for word in content(name)}
    return bool(said & own) and fits(text) and not any(fits(other) for other in names if other != text)


WORDS = (
    "kitchen", "kitchn", "kitchens", "bath", "bathroom", "the", "my", "lamp", "lampe", "light", "lights", "strip",
    "porch", "portch", "floor", "flor", "floorlamp", "tv", "television", "couch", "sofa", "table", "tabel", "cable",
    "1", "12", "317", "mum's", "Mum", "heater", "heating", "all", "everything", "off", "reading", "red", "Große", "é",
)  # fmt: skip
sentences = st.lists(st.sampled_from(WORDS), min_size=0, max_size=6).map(" ".join)
things = st.builds(
    lambda kind, number: f"{kind}.{number}",
    st.sampled_from(("light", "climate", "media_player", "lock", "odd")),
    st.integers(0, 9),
)
homes = st.dictionaries(things, st.lists(sentences, max_size=3).map(tuple), max_size=9)


@given(homes, sentences)
def test_tables_answer_as_reading_through_every_name_does(names: Names, sentence: str) -> None:
    home, words = HomeNames(names), Words((sentence,))
    assert home.said(words) == read_said(names, words)
    for thing in names:
        assert (home.nearly(words) == thing) == read_nearly(names, thing, words)
        assert (home.fitting(words) == thing) == read_fitting(names, thing, words)
        kind = thing.partition(".")[0]
        alike = [known for known in names if known.partition(".")[0] == kind]
        assert home.is_only(thing, kind) == (alike == [thing])
    assert dict(home) == dict(names)
    for name in {name for many in names.values() for name in many}:
        assert home.is_own(name) == is_own(names, name)
        assert (home.owner(name) != "") == is_own(names, name)
    for answer in (home.nearly(words), home.fitting(words)):
        assert answer == "" or answer in names


def lamps(many: int, extra: Names) -> dict[str, Sequence[str]]:
    return {f"light.l{number}": (f"Lamp {number}", "Hall") for number in range(many)} | dict(extra)


@pytest.mark.parametrize("many", [3, 400])
def test_a_large_home_answers_as_a_small_one(many: int) -> None:
    names = lamps(many, {"light.desk": ("Writing Desk Lamp",), "fan.attic": ("Attic Fan", "Hall")})
    home = HomeNames(names)
    for sentence in (
        "writing desk lamp off",
        "writting desk lamp",
        "attic",
        "hall fan",
        "lamp 2",
        "lamp",
        "",
    ):
        words = Words((sentence,))
        assert home.said(words) == read_said(names, words)
        for thing in ("light.desk", "fan.attic", "light.l2"):
            assert (home.nearly(words) == thing) == read_nearly(names, thing, words)
            assert (home.fitting(words) == thing) == read_fitting(names, thing, words)


def test_a_long_request_in_a_home_of_long_names_finds_them_without_the_spaces() -> None:
    names = {f"light.x{number}": (f"conservatory{number:02}",) for number in range(20)}
    home = HomeNames(names)
    assert home.said(Words(("conser vatory07",))) == {"conservatory07"}
    assert home.said(
        Words(("turn on the conser vatory07 and whatever else there is in the house tonight",))
    ) == {"conservatory07"}


def test_answers_are_kept_for_a_bounded_number_of_sentences() -> None:
    home = HomeNames({"light.desk": ("Desk",)})
    first = Words(("desk",))
    assert home.fitting(first) == home.fitting(first) == "light.desk"
    for number in range(3 * HEARD_MAX):
        assert home.said(Words((f"desk {number}",))) == {"Desk"}
    assert len(home._heard) <= HEARD_MAX
