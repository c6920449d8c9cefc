"""What the recognisers of the household's own grammar get, and how they answer.

A `Phrase` is one clause with its words, the utterance that it came from, and the situation. `Sentences` finds which of
the templates of some intents fits. Free text comes from the original words, so a message is sent as it was said.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words, original
from kindmesh.coordinator.brain.cortex.template import Template, said
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised, Reply, Situation


class Phrase(msgspec.Struct, frozen=True):
    """One clause: `words` are clean, `text` is the whole utterance as it was heard."""

    words: Words
    text: str
    situation: Situation
    language: Language

    @property
    def plain(self) -> Words:
        """The words without commas."""
        return tuple(word for word in self.words if word.text != COMMA or word.literal)

    def with_words(self, words: Words) -> Phrase:
        """The same situation, other words."""
        return msgspec.structs.replace(self, words=words)

    def original(self, words: Iterable[Word]) -> str:
        """These words as they were said."""
        return original(self.text, (word.at for word in words))

    def reply(self, key: str, **values: Any) -> str:
        """What is answered under that key."""
        return wording(self.language, key, self.text, values)

    def understood(
        self,
        intent: str,
        *acts: Act,
        key: str = "",
        values: dict[str, Any] | None = None,
        text: str = "",
        question: str = "",
        slots: dict[str, Any] | None = None,
        score: float = 1.0,
        entities: tuple[str, ...] = (),
    ) -> Recognised:
        """A result. `key` names the reply, `text` is one that stands as it is."""
        return Recognised(
            intent=intent, slots=slots or {}, acts=acts, reply=Reply(text=text, key=key, values=values or {}),
            score=score, entities=entities, question=question,
        )  # fmt: skip

    def offers(self, operation: str) -> bool:
        """Whether some device present can do that."""
        return operation in self.situation.operations

    def nobody_can(self, intent: str) -> Recognised:
        """Understood, but nothing here can do it."""
        return self.understood(intent, text=self.reply("no_device"))


class Found(msgspec.Struct, frozen=True):
    """Which template of which intent fits, with the words of its slots."""

    intent: str
    slots: dict[str, Words]


class Sentences:
    """The templates of some intents of a language, compiled once, tried in order."""

    def __init__(self, language: Language, intents: Iterable[str]) -> None:
        self._templates = [
            (intent, Template(text)) for intent in intents for text in language.sentences.get(intent, ())
        ]

    def all(self, words: Words) -> Iterator[Found]:
        """Every template that fits the words, in order."""
        plain = [word for word in words if word.text != COMMA or word.literal]
        text = said(plain)
        for intent, template in self._templates:
            matched = template.match_said(text, plain)
            if matched is not None:
                yield Found(intent, matched.slots)

    def first(self, words: Words) -> Found | None:
        """The first that fits."""
        return next(self.all(words), None)


class Topic(Protocol):
    """A recogniser of the household's own grammar."""

    def recognise(self, phrase: Phrase) -> Recognised | tuple[Recognised, ...] | None:
        """What the clause means; None when it is not this topic. Several: they are done together."""


def wording(language: Language, key: str, seed: str, values: dict[str, Any]) -> str:
    """One of the wordings of a reply; the same utterance always gets the same one.

    Raises:
        KeyError: the language has no reply of that key.
    """
    ways = language.replies[key]
    return ways[zlib.crc32(seed.encode("utf-8", "surrogatepass")) % len(ways)].format_map(values)


def at(words: Iterable[Word]) -> tuple[int, ...]:
    """The positions of words in the utterance."""
    return tuple(sorted({word.at for word in words}))


def listed(names: Iterable[str], language: Language, *, choice: bool = False) -> str:
    """ "a, b and c"; "a, b or c" where one is to be chosen."""
    known = list(names)
    if len(known) < 2:
        return "".join(known)
    last = language.words["or"][0] if choice else language.times.and_[0]
    return f"{', '.join(known[:-1])} {last} {known[-1]}"


__all__ = ["Found", "Phrase", "Sentences", "Topic", "at", "listed", "wording"]
