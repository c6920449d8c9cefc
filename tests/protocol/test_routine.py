"""Yeses to learned routines: what counts as the same sentence, what cannot mean anything, and what the prompt says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.samples import IDS, NOW, ROUTINE_REQUEST, ROUTINE_STEP, SIGNING

from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import BadSignature, InvalidInput, Malformed
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.routine import (
    ROUTINE_LASTS_MAX_MS,
    ROUTINE_TIMES_MAX,
    RoutineApproval,
    check_routine,
    describe_routine,
    open_routine,
    plain_words,
    sign_routine,
)
from kindmesh.protocol.standing import DAY_MS
from kindmesh.protocol.utterance import words_of


def approval(asked: dict[str, Any] | None = None, **changes: Any) -> RoutineApproval:
    request = encode(msgspec.structs.replace(ROUTINE_REQUEST, **(asked or {})))
    return msgspec.structs.replace(RoutineApproval(request, NOW, NOW + 30 * DAY_MS, 10), **changes)


@pytest.mark.parametrize(
    "said", ["movie time", "Movie Time!", " movie  time.", "“Movie” time…", "movie , time"]
)
def test_a_sentence_is_the_same_whatever_its_case_and_punctuation(said: str) -> None:
    assert plain_words(words_of(said)) == ("movie", "time")


@pytest.mark.parametrize(
    "said",
    ["movie time?", "no movie time", "time movie", "movie time please", "movie-time", "movie\u200btime"],
)
def test_other_words_are_another_sentence(said: str) -> None:
    assert plain_words(words_of(said)) != ("movie", "time")


@given(st.lists(st.text(alphabet="aAß .,!?'“x", max_size=12), max_size=8))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    once = plain_words(words)
    assert all(once)
    assert plain_words(once) == once == plain_words(word.upper() for word in once)


def test_what_it_is_about_comes_with_the_check() -> None:
    assert check_routine(approval()) == ROUTINE_REQUEST
    longest = approval(expires_ms=NOW + ROUTINE_LASTS_MAX_MS, times=ROUTINE_TIMES_MAX)
    assert check_routine(longest) == ROUTINE_REQUEST


@pytest.mark.parametrize(
    ("asked", "changes", "field"),
    [
        ({"words": ()}, {}, "words"),
        ({"words": ("Movie", "time")}, {}, "words"),
        ({"words": ("movie", "time!")}, {}, "words"),
        ({"steps": ()}, {}, "steps"),
        ({"steps": (msgspec.structs.replace(ROUTINE_STEP, after=(0,)),)}, {}, "steps.0.after"),
        ({}, {"expires_ms": NOW}, "days"),
        ({}, {"expires_ms": NOW + ROUTINE_LASTS_MAX_MS + 1}, "days"),
        ({}, {"times": 0}, "times"),
        ({}, {"times": ROUTINE_TIMES_MAX + 1}, "times"),
    ],
)
def test_what_cannot_mean_anything_is_refused(
    asked: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_routine(approval(asked, **changes))
    assert caught.value.field == field


def test_garbage_in_it_is_refused() -> None:
    with pytest.raises(Malformed):
        check_routine(approval(request=b"no request"))
    with pytest.raises(Malformed):
        check_routine(approval({"steps": (msgspec.structs.replace(ROUTINE_STEP, args=b"\xc1"),)}))


def test_the_signature_is_the_persons_and_for_this_alone() -> None:
    signed = sign_routine(approval(), SIGNING["anna"])
    assert open_routine(signed, SIGNING["anna"].public) == approval()
    with pytest.raises(BadSignature):
        open_routine(signed, SIGNING["owner"].public)
    more = msgspec.structs.replace(signed, payload=encode(approval(times=99)))
    with pytest.raises(BadSignature):
        open_routine(more, SIGNING["anna"].public)


def test_the_prompt_says_the_sentence_each_step_and_how_long() -> None:
    second = msgspec.structs.replace(ROUTINE_STEP, target_name="lamp\n", after=(0,), data_classes=("home",))
    lines = describe_routine(approval({"steps": (ROUTINE_STEP, second)}))
    assert lines[0] == "said       movie time"
    assert f"device     phone ({format_id(IDS['phone'])})" in lines
    assert f"device     lamp\\u000a ({format_id(IDS['phone'])})" in lines
    (first, other) = (line for line in lines if line.startswith("step "))
    assert (first, other) == ("step 1     speech.say: notify", "step 2     speech.say: notify, after 1")
    assert "data       home" in lines
    assert lines.count('    "text": "Good morning"') == 2
    assert lines[-1].startswith("even so    asked about in quiet hours")
    assert lines[-4:-1] == [
        "agreed     until 2026-01-31 00:00 UTC; kindmesh review grants ends it earlier",
        "may differ nothing: these words, these steps, these values",
        "how often  at most 10 times a day",
    ]
