"""From an utterance as it was heard to clean words, each of which still knows its position in it.

What goes: wake words, politeness, fillers, words said twice, punctuation. What is mended: contractions ("what's" is
"what is"), apostrophes and spacing that speech recognition leaves out. What stays: everything between quotes, and the
comma as a word of its own, because it parts clauses. An indirect question becomes a direct one ("tell me if the door is
locked" is "is the door locked").

Rules: positions never leave the utterance; nothing is removed if nothing would be left; the same text always gives the
same words. Free text (a message, a reminder) is taken from the original words, see `original`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.terms import UTTERANCE_WORDS_MAX, Clause, words_of
from kindmesh.protocol.errors import InvalidInput

UTTERANCE_MAX: Final = 4096
"""Characters of one utterance."""
COMMA: Final = ","
_OPEN: Final = '"“„«'
_CLOSE: Final = '"”“»'
_APOSTROPHES: Final = str.maketrans({0x2018: "'", 0x2019: "'"})
_EDGE: Final = "\"“”„«»()[]{}<>.,;:!?…*_~`'"
_PAUSE: Final = re.compile(r"[,;:.!?…]+[\"”“»)\]]*$")
_MERIDIEM: Final = {"a.m": "am", "a.m.": "am", "p.m": "pm", "p.m.": "pm"}


class Word(msgspec.Struct, frozen=True):
    """A cleaned word; `at` is its position in the utterance; `literal`: it stood between quotes."""

    text: str
    at: int
    literal: bool = False

    @property
    def low(self) -> str:
        """In lower case; empty for what stood between quotes, which is nobody's grammar."""
        return "" if self.literal else self.text.lower()


Words = tuple[Word, ...]


def normalise(text: str, language: Language) -> Words:
    """The clean words of an utterance.

    Raises:
        InvalidInput: longer than `UTTERANCE_WORDS_MAX` words or `UTTERANCE_MAX` characters.
    """
    return clean(spoken(text, language), language)


def spoken(text: str, language: Language) -> Words:
    """The words as they were said, without punctuation, contractions spelt out; nothing else is removed.

    Raises:
        InvalidInput: see `normalise`.
    """
    if len(text) > UTTERANCE_MAX:
        raise InvalidInput(
            f"this is longer than {UTTERANCE_MAX} characters",
            field="text",
            hint="Say it in shorter sentences.",
        )
    heard = words_of(text)
    if len(heard) > UTTERANCE_WORDS_MAX:
        raise InvalidInput(
            f"this is longer than {UTTERANCE_WORDS_MAX} words",
            field="text",
            hint="Say it in shorter sentences.",
        )
    words = _spelt(_tokens(heard), language)
    return _joined(_told(words, language), language)


def clean(words: Words, language: Language) -> Words:
    """Without wake words, politeness, fillers and what was said twice."""
    words = _once(words)
    words = _without(words, language.fillers, language)
    words = _ends(words, language)
    return _direct(words, language)


def clause_of(words: Words, delay_ms: int = 0, at_ms: int = 0) -> Clause:
    """The clause that words make; the n-th position belongs to the n-th word of its text."""
    kept = [word for word in words if word.text != COMMA or word.literal]
    return Clause(" ".join(word.text for word in kept), tuple(word.at for word in kept), delay_ms, at_ms)


def original(text: str, positions: Iterable[int]) -> str:
    """What was said at these positions and between them, as it was said, without the punctuation around it."""
    at = sorted(set(positions))
    if not at:
        return ""
    said = " ".join(words_of(text)[at[0] : at[-1] + 1])
    return said.strip().strip('"“”„«»,;: ').rstrip(".!")


def starts(words: Sequence[Word], phrase: Sequence[str], at: int = 0) -> bool:
    """Whether the words at `at` are this phrase."""
    if at < 0 or at + len(phrase) > len(words) or (phrase and words[at].low != phrase[0]):
        return False
    return all(words[at + number].low == part for number, part in enumerate(phrase))


def _tokens(heard: tuple[str, ...]) -> Words:
    made: list[Word] = []
    literal = False
    for at, raw in enumerate(heard):
        opens = raw[0] in _OPEN and any(
            mark in later
            for later in (raw[1:], *heard[at + 1 :])
            for mark in _CLOSE
            if mark != "“" or raw[0] == "„"
        )
        literal = literal or opens
        bare = unicodedata.normalize("NFC", raw.translate(_APOSTROPHES)).strip(_EDGE)
        bare = _MERIDIEM.get(bare.lower(), bare)
        if bare:
            made.append(Word(bare, at, literal))
        ends = literal and any(mark in (raw[1:] if opens else raw) for mark in _CLOSE)
        literal = literal and not ends
        if not literal and _PAUSE.search(raw) and at + 1 < len(heard) and made and made[-1].text != COMMA:
            made.append(Word(COMMA, at))
    while made and made[-1].text == COMMA and not made[-1].literal:
        made.pop()
    return tuple(made)


def _spelt(words: Words, language: Language) -> Words:
    made: list[Word] = []
    for word in words:
        parts = language.contractions.get(word.low)
        made += [word] if parts is None else [Word(part, word.at) for part in parts]
    return tuple(made)


def _told(words: Words, language: Language) -> Words:
    """ "The lamp's still on" as "the lamp is still on", where no command has begun: "Anna's lamp" stays what it is."""
    states, be = language.words.get("states", ()), language.words.get("is_contracted", ())
    if not be:
        return words
    made: list[Word] = []
    command = False
    for at, word in enumerate(words):
        command = word.text != COMMA and (command or word.low in language.verbs)
        after = words[at + 1].low if at + 1 < len(words) else ""
        if (
            not command
            and word.low.endswith("'s")
            and len(word.low) > 3
            and after in states
            and not word.literal
        ):
            made += [Word(word.text[:-2], word.at), Word(be[0], word.at)]
        else:
            made.append(word)
    return tuple(made)


def _joined(words: Words, language: Language) -> Words:
    """Mend spacing: `spelling` has the phrase that was heard for what is meant."""
    made: list[Word] = []
    at = 0
    while at < len(words):
        for heard, meant in language.spelling.items():
            phrase = heard.split(" ")
            if starts(words, phrase, at):
                for number, part in enumerate(meant):
                    made.append(Word(part, words[at + min(number, len(phrase) - 1)].at))
                at += len(phrase)
                break
        else:
            made.append(words[at])
            at += 1
    return tuple(made)


def swallowed(text: str, language: Language) -> dict[int, int]:
    """Positions of words that are part of the one before them, as it was mended: "room" in "bed room"."""
    heard = [word.translate(_APOSTROPHES).strip(_EDGE).lower() for word in words_of(text)]
    pairs = {tuple(phrase.split(" ")) for phrase, meant in language.spelling.items() if len(meant) == 1}
    return {at: at + 1 for at in range(len(heard) - 1) if (heard[at], heard[at + 1]) in pairs}


def _once(words: Words) -> Words:
    made: list[Word] = []
    for word in words:
        again = made and made[-1].low == word.low and word.low.isalpha()
        if not again:
            made.append(word)
    return tuple(made)


def _without(words: Words, phrases: tuple[str, ...], language: Language) -> Words:
    made: list[Word] = []
    at = 0
    split = [phrase.split(" ") for phrase in phrases]
    while at < len(words):
        length = next((len(phrase) for phrase in split if starts(words, phrase, at)), 0)
        if length:
            at += length
            # What a filler leaves between two commas, or at the beginning, is no pause any more.
            if at < len(words) and words[at].text == COMMA and (not made or made[-1].text == COMMA):
                at += 1
            continue
        made.append(words[at])
        at += 1
    return tuple(made) if any(word.text != COMMA for word in made) else words


def _ends(words: Words, language: Language) -> Words:
    """Take wake words and politeness off both ends, as long as something stays."""
    while True:
        shorter = _opened(words, language)
        shorter = _closed(shorter, language)
        if shorter == words:
            return words
        words = shorter


def _opened(words: Words, language: Language) -> Words:
    if words and words[0].text == COMMA and not words[0].literal:
        return words[1:]
    for before in language.wake_before:
        phrase = before.split(" ")
        after = len(phrase)
        if starts(words, phrase) and after < len(words) - 1 and words[after].low in language.wake:
            return words[after + 1 :]
    if len(words) > 1 and words[0].low in language.wake:
        # "House, lights off" calls it; the house of "house meeting" is part of a name.
        named = words[0].low in language.words.get("wake_and_name", ())
        if not named or words[1].text == COMMA or words[1].low in language.verbs:
            return words[1:]
    for polite in language.mind:
        phrase = polite.split(" ")
        if starts(words, phrase) and len(words) > len(phrase):
            verb = words[len(phrase)]
            if verb.low in language.participles:
                return (Word(language.participles[verb.low], verb.at), *words[len(phrase) + 1 :])
    for report in language.reports:
        phrase = report.split(" ")
        for name in (1, 2):
            if starts(words, phrase, name) and len(words) > name + len(phrase):
                return words[name + len(phrase) :]
    for polite in (*language.starters, *language.opening):
        phrase = polite.split(" ")
        if len(words) > len(phrase) and starts(words, phrase):
            rest = words[len(phrase) :]
            # "Let us play" is no command to a player.
            idle = len(rest) == 1 and len(phrase) > 1 and rest[0].low in language.words.get("not_alone", ())
            return words if idle else rest
    return words


def _closed(words: Words, language: Language) -> Words:
    if words and words[-1].text == COMMA and not words[-1].literal:
        return words[:-1]
    if any(starts(words, one.split(" "), len(words) - len(one.split(" "))) for one in language.times.hence):
        return words
    for phrase in sorted((one.split(" ") for one in language.closing), key=lambda one: (-len(one), one)):
        if len(words) > len(phrase) and starts(words, phrase, len(words) - len(phrase)):
            return words[: -len(phrase)]
    if len(words) > 2 and words[-1].low in language.wake and words[-2].text == COMMA:
        return words[:-2]
    return words


def _direct(words: Words, language: Language) -> Words:
    for opening in language.whether:
        phrase = opening.split(" ")
        if not starts(words, phrase):
            continue
        rest = words[len(phrase) :]
        verb = next((number for number, word in enumerate(rest) if word.low in language.be), -1)
        if verb > 0 and verb < len(rest) - 1:
            return (rest[verb], *rest[:verb], *rest[verb + 1 :])
    return words


__all__ = [
    "COMMA", "UTTERANCE_MAX", "Word", "Words", "clause_of", "clean", "normalise", "original", "spoken", "starts",
    "swallowed",
]  # fmt: skip
