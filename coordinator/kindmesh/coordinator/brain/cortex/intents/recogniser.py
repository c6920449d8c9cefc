"""`HomeIntents`: from a clause to what it means in this home, by the official grammar and by the household's phrases.

Reading a sentence gives a `Meaning`; the home gives the entities; a table gives the services. Three ways to end without
acting: None (not understood: somebody else may), a question (more than one thing can be meant), or an honest answer
(understood, but nothing of the kind is here). What would let somebody in is done only to one clearly named thing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import Book, book_of
from kindmesh.coordinator.brain.cortex.intents.doubts import misread, not_ours, with_here
from kindmesh.coordinator.brain.cortex.intents.official import Ear, ear_of, read
from kindmesh.coordinator.brain.cortex.intents.phrases import PhraseReader
from kindmesh.coordinator.brain.cortex.intents.understanding import MISSING_SCORE, SentenceReader
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Situation

HOMES_KEPT: Final = 4
"""Homes whose names are kept ready."""
TEXT_MAX: Final = 400
"""Characters of a clause; a longer one is not a command to a house."""
_FREE: Final = frozenset({"HassMediaSearchAndPlay", "HassBroadcast"})
"""Intents that take whatever is said: the household's own phrases come first."""


class _Names(msgspec.Struct, frozen=True):
    """What is derived from the names of one home."""

    ear: Ear
    book: Book


class HomeIntents:
    """The recogniser of a language. Keeps only what is derived from names; holds no state of a home."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self._ears: OrderedDict[int, tuple[tuple[Any, ...], _Names]] = OrderedDict()

    def recognise(self, clause: Clause, situation: Situation) -> Recognised | None:
        """What the clause means here; None when it is none of this recogniser's."""
        text = clause.text.strip()
        if not text or len(text) > TEXT_MAX:
            return None
        heard_of = self._heard_of(situation.home)
        if not_ours(text, situation.home, self.language):
            return None
        phrases = PhraseReader(situation.home, heard_of.book, self.language, situation.area)
        for meaning in phrases.read(clause.text, truths=True):
            found = SentenceReader(self.language, clause, situation, meaning, self.recognise).understand()
            if found is not None and _settled(found):
                return found
        official = read(clause.text, heard_of.ear, self.language)
        first: Recognised | None = None
        if official is not None and not misread(official, clause.text, situation.home, self.language):
            official = with_here(official, clause.text, self.language)
            first = SentenceReader(self.language, clause, situation, official, self.recognise).understand()
            if first is not None and _settled(first) and official.intent not in _FREE:
                return first
        others: list[Recognised] = [] if first is None else [first]
        for meaning in phrases.read(clause.text):
            found = SentenceReader(self.language, clause, situation, meaning, self.recognise).understand()
            if found is not None and _settled(found):
                return found
            if found is not None:
                others.append(found)
        if first is not None and _settled(first):
            return first
        others.sort(key=_worth, reverse=True)
        return others[0] if others else None

    def _heard_of(self, home: Home) -> _Names:
        structure = _structure(home)
        key = hash(structure)
        kept = self._ears.get(key)
        if kept is not None and kept[0] == structure:
            self._ears.move_to_end(key)
            return kept[1]
        made = _Names(ear_of(home), book_of(home, self.language))
        self._ears[key] = (structure, made)
        while len(self._ears) > HOMES_KEPT:
            self._ears.popitem(last=False)
        return made


def _worth(found: Recognised) -> int:
    """Of answers without an act: what cannot be done, then a question, then that nothing of the kind is here."""
    if found.question:
        return 1
    return 0 if found.score < MISSING_SCORE * 2 else 2


def _settled(found: Recognised) -> bool:
    """Something is done or answered; not a question, and not that nothing is there."""
    return not found.question and (bool(found.acts) or bool(found.reply.key))


def _structure(home: Home) -> tuple[Any, ...]:
    """All that names depend on; states and attributes are not among it."""
    return (
        tuple((one.id, one.name, one.aliases, one.area) for one in home.entities.values()),
        tuple((one.id, one.name, one.aliases, one.floor) for one in home.areas.values()),
        tuple((one.id, one.name, one.aliases) for one in home.floors.values()),
    )


__all__ = ["HOMES_KEPT", "TEXT_MAX", "HomeIntents"]
