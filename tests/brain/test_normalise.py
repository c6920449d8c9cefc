"""What is cleaned off an utterance, what is mended, and that every word keeps its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.brain.small_home import PlainSentences, situation

from kindmesh.coordinator.brain.cortex.cortex import Cortex
from kindmesh.coordinator.brain.cortex.language import LANGUAGES, language
from kindmesh.coordinator.brain.cortex.languages.de_sentences import REPLIES as GERMAN
from kindmesh.coordinator.brain.cortex.languages.en_replies import REPLIES as ENGLISH
from kindmesh.coordinator.brain.cortex.normalise import clause_of, normalise, original
from kindmesh.coordinator.brain.cortex.numbers import number
from kindmesh.coordinator.brain.cortex.split import segments
from kindmesh.coordinator.brain.cortex.template import Template
from kindmesh.coordinator.brain.cortex.terms import words_of
from kindmesh.protocol.errors import InvalidInput

EN = language("en")


def clean(text: str) -> str:
    return clause_of(normalise(text, EN)).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hey Kindmesh, could you please, um, turn turn off the lights, please?", "turn off the lights"),
        ("would you mind turning on the lamp", "turn on the lamp"),
        ("tell me if the front door is locked", "is the front door locked"),
        ("whats the temperature", "what is the temperature"),
        ("set it to 5 p.m.", "set it to 5 pm"),
        ("mum says to turn off the tv", "turn off the tv"),
        ("turn off the tv while you're at it", "turn off the tv"),
        ("uh, like, you know, lock the door right now", "lock the door"),
        ("please", "please"),
        ("wake me in half an hour from now", "wake me in half an hour from now"),
        ("don't turn on the light", "do not turn on the light"),
        ("turn of the light", "turn off the light"),
    ],
)
def test_noise_goes_and_meaning_stays(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_each_clean_word_knows_where_it_was_heard() -> None:
    clause = clause_of(normalise("Hey Kindmesh, could you please turn off the Kitchen light?", EN))
    heard = words_of("Hey Kindmesh, could you please turn off the Kitchen light?")
    assert [heard[at] for at in clause.words] == ["turn", "off", "the", "Kitchen", "light?"]


def test_what_stands_between_quotes_is_nobodys_grammar() -> None:
    words = normalise('say "um, please stop and wait" please', EN)
    assert [word.text for word in words if word.literal] == ["um", "please", "stop", "and", "wait"]
    assert len(segments(words, EN)) == 1


def test_free_text_is_what_was_said() -> None:
    assert original("tell Anna: I'm fine, thanks!", (2, 3)) == "I'm fine"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("one hundred and twenty five", 125), ("twenty-five", 25), ("21.5", 21.5), ("two thousand", 2000),
        ("seven thirty", None),
    ],
)  # fmt: skip
def test_numbers_in_words(text: str, value: float | None) -> None:
    assert number(normalise(text, EN), EN) == value


@pytest.mark.parametrize("text", ["in an hour and a half", "wait one hundred and five minutes"])
def test_a_number_is_not_taken_apart(text: str) -> None:
    assert len(segments(normalise(text, EN), EN)) == 1


@pytest.mark.parametrize(
    "text", ["(a", "a)", "[a|b", "{a} {a}", "{a} {b} {c} {d}", "", "[]", "x" * 2000, "(" * 50]
)
def test_a_template_that_is_wrong_says_so(text: str) -> None:
    with pytest.raises(InvalidInput):
        Template(text)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text("ab \"“”,.'?!", max_size=40)))
def test_words_never_leave_the_utterance(text: str) -> None:
    for code in LANGUAGES:
        words = normalise(text, language(code))
        assert all(0 <= word.at < len(words_of(text)) for word in words)
        assert [word.at for word in words] == sorted(word.at for word in words) or "if" in text.lower()
        clause = clause_of(words)
        assert len(clause.words) == len(clause.text.split())


def test_a_language_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput, match="grammar for"):
        Cortex("tlh", home=PlainSentences())


def test_every_language_has_every_answer() -> None:
    assert set(GERMAN) == set(ENGLISH)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Stopp", "Stop"), ("Hilfe", "Emergency"), ("wer bist du", "WhoAreYou"), ("vielen Dank", "Thanks"),
        ("erinnere mich morgen um acht an die Tabletten", "Remind"), ("weck mich morgen um sieben", "Alarm"),
        ("trag einen Zahnarzttermin am Freitag um 15 Uhr in den Kalender ein", "CalendarAdd"),
        ("was habe ich morgen vor", "CalendarQuery"), ("welche Listen gibt es", "ListLists"),
        ("merk dir dass der Schlüssel unter der Matte liegt", "Remember"),
        ("sag Anna dass es mir gut geht", "Message"),
        ("guten Morgen", "Greeting"),
    ],
)  # fmt: skip
def test_german_sentences_are_understood_by_the_same_code(text: str, intent: str) -> None:
    said = Cortex("de", home=PlainSentences()).understand(text, situation(language="de"))
    assert said.recognised[0].intent == intent


def test_german_refuses_what_it_is_not_sure_of() -> None:
    said = Cortex("de", home=PlainSentences()).understand(
        "wenn es regnet, mach das Licht an", situation(language="de")
    )
    assert not said.understood
    assert said.plan is None
