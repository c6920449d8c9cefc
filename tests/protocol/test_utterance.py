"""Utterances: words are proven one by one, nothing else is shown, and whatever does not fit is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import IDS, MESH, NOW, SIGNING, time_id

from kindmesh.coordinator.brain.cortex.terms import words_of as words_of_the_cortex
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import BadSignature, InvalidInput, Malformed
from kindmesh.protocol.limits import UTTERANCE_WORD_MAX, UTTERANCE_WORDS_MAX
from kindmesh.protocol.utterance import (
    Spoken,
    Utterance,
    WordProof,
    check_spoken,
    find_words,
    open_utterance,
    prove,
    root_of,
    shown_words,
    sign_utterance,
    spoken,
    words_of,
)

SALTS = tuple(sha256(bytes([number % 256]))[:16] for number in range(300))
TEXTS = st.lists(st.sampled_from(["lock", "the", "door", "Küche,", "10%"]), min_size=1, max_size=20)


def said_of(text: str) -> Spoken:
    return spoken(text, SALTS)


def utterance_of(said: Spoken, person: bytes = b"") -> Utterance:
    return Utterance(
        MESH,
        time_id(1),
        len(said.words),
        root_of(said),
        IDS["phone"],
        person,
        "owner",
        NOW,
        present=not person,
    )


@given(TEXTS, st.data())
def test_whatever_is_shown_is_proven_and_nothing_else_is_in_the_proof(
    words: list[str], data: st.DataObject
) -> None:
    said = said_of(" ".join(words))
    utterance = utterance_of(said)
    chosen = data.draw(st.sets(st.integers(0, len(words) - 1)))
    proofs = prove(said, chosen)
    assert shown_words(utterance, proofs) == tuple(words[index] for index in sorted(chosen))
    over_the_wire = [decode(WordProof, encode(proof)) for proof in proofs]
    assert shown_words(utterance, over_the_wire) == shown_words(utterance, proofs)
    shown = b"".join(encode(proof) for proof in proofs)
    assert not any(said.salts[index] in shown for index in range(len(words)) if index not in chosen)


@given(TEXTS, st.data())
def test_a_proof_that_was_changed_proves_nothing(words: list[str], data: st.DataObject) -> None:
    said = said_of(" ".join(words))
    utterance = utterance_of(said)
    index = data.draw(st.integers(0, len(words) - 1))
    (proof,) = prove(said, [index])
    other = data.draw(st.integers(0, UTTERANCE_WORDS_MAX - 1).filter(lambda at: at != index))
    for changed in (
        msgspec.structs.replace(proof, word=proof.word + "s"),
        msgspec.structs.replace(proof, index=other),
        msgspec.structs.replace(proof, salt=bytes(16)),
        msgspec.structs.replace(proof, path=(*proof.path, bytes(32))),
    ):
        with pytest.raises(Malformed) as caught:
            shown_words(utterance, [changed])
        assert caught.value.field == "evidence"
    with pytest.raises(Malformed):
        shown_words(utterance, [proof, proof])


def test_equal_words_look_different_and_a_word_alone_is_a_tree() -> None:
    said = said_of("stop stop")
    assert len({proof.path for proof in prove(said, [0, 1])}) == 2
    alone = said_of("stop")
    assert shown_words(utterance_of(alone), prove(alone, [0])) == ("stop",)
    assert shown_words(utterance_of(alone), ()) == ()


@pytest.mark.parametrize("index", [-1, 2])
def test_a_word_that_is_not_there_cannot_be_shown(index: int) -> None:
    with pytest.raises(InvalidInput, match=f"no word {index}"):
        prove(said_of("stop now"), [index, 1])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (" ", "text"),
        ("x " * (UTTERANCE_WORDS_MAX + 1), "text"),
        ("x" * (UTTERANCE_WORD_MAX + 1), "text"),
        ("half \ud83d", "text"),
    ],
)
def test_what_is_no_utterance_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        spoken(text, SALTS)
    assert caught.value.field == field


@pytest.mark.parametrize("salts", [(), (b"short", b"short"), SALTS[:1]])
def test_each_word_takes_a_salt_of_its_own(salts: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        spoken("stop now", salts)
    assert caught.value.field == "salts"


def test_words_that_are_not_those_of_the_utterance_are_refused() -> None:
    said = said_of("stop now")
    utterance = utterance_of(said)
    check_spoken(said, utterance)
    for other in (
        said_of("stop then"), said_of("stop"), Spoken(said.words, said.salts[:1]), Spoken(said.words, SALTS[5:7]),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            check_spoken(other, utterance)
        assert caught.value.field == "utterance"


def test_who_signed_is_checked_and_a_persons_key_is_nowhere_in_particular() -> None:
    utterance = utterance_of(said_of("stop now"))
    signed = sign_utterance(utterance, SIGNING["phone"])
    assert open_utterance(signed, SIGNING["phone"].public) == utterance
    with pytest.raises(BadSignature):
        open_utterance(signed, SIGNING["desk"].public)
    by_person = msgspec.structs.replace(utterance, person=IDS["anna"])
    with pytest.raises(Malformed) as caught:
        open_utterance(sign_utterance(by_person, SIGNING["anna"]), SIGNING["anna"].public)
    assert caught.value.field == "present"
    away = msgspec.structs.replace(by_person, present=False)
    assert open_utterance(sign_utterance(away, SIGNING["anna"]), SIGNING["anna"].public) == away


@given(TEXTS, TEXTS)
def test_words_are_found_in_order_or_not_at_all(heard: list[str], wanted: list[str]) -> None:
    found = find_words(heard, wanted)
    if found is not None:
        assert list(found) == sorted(set(found))
        assert [heard[at] for at in found] == wanted
    assert find_words(heard, ()) == ()
    assert find_words(heard, heard) == tuple(range(len(heard)))


def test_words_out_of_order_are_not_found() -> None:
    heard = words_of("turn off the kitchen light")
    assert find_words(heard, ("kitchen", "light")) == (3, 4)
    assert find_words(heard, ("off", "light")) == (1, 4)
    assert find_words(heard, ("light", "kitchen")) is None
    assert find_words(heard, ("kitchen", "kitchen")) is None


def test_what_a_program_logs_of_an_utterance_has_no_words() -> None:
    assert "stop" not in repr(said_of("stop now"))


@given(st.text())
def test_the_cortex_counts_the_same_words(text: str) -> None:
    assert words_of(text) == words_of_the_cortex(text)


def test_one_that_says_nothing_of_where_it_was_said_is_read_as_before() -> None:
    utterance = msgspec.structs.replace(utterance_of(said_of("the door")), area="Hall")
    fields = msgspec.msgpack.decode(encode(utterance))
    assert fields.pop() == "Hall"
    assert decode(Utterance, msgspec.msgpack.encode(fields)) == msgspec.structs.replace(utterance, area="")


def test_where_it_was_said_is_as_long_as_a_word_at_most() -> None:
    utterance = utterance_of(said_of("the door"))
    for size, taken in ((80, True), (81, False)):
        data = encode(msgspec.structs.replace(utterance, area="a" * size))
        if taken:
            assert decode(Utterance, data).area == "a" * size
        else:
            with pytest.raises(Malformed):
                decode(Utterance, data)
