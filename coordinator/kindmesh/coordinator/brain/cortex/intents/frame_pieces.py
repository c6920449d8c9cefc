"""The pieces around a description in a command, and the ways to cover words with them whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import Book
from kindmesh.coordinator.brain.cortex.intents.describe import Describer, Word
from kindmesh.coordinator.brain.cortex.intents.frame_table import ABOUT, FrameTable
from kindmesh.coordinator.brain.cortex.intents.values import LEVEL, Value, value_of
from kindmesh.coordinator.brain.cortex.intents.words import words

READINGS_MAX: Final = 12
"""Ways to cover the words before or after a description that are kept."""
VALUE_WORDS_MAX: Final = 5
PIECE_WORDS_MAX: Final = 6
_ARTICLES: Final = frozenset({"a", "an", "the", "of", "some"})


class Pieces(msgspec.Struct, frozen=True):
    """What covers some words. `signs`: directions, by name; `at`: positions of their words; `values`: with the word
    before each ("by", "to" or empty) and its positions; `place`: the words of a place; `modal`: "should be"."""

    signs: tuple[str, ...] = ()
    at: tuple[int, ...] = ()
    values: tuple[tuple[str, Value, tuple[int, ...]], ...] = ()
    place: tuple[Word, ...] = ()
    after: tuple[str, ...] = ()
    degree: bool = False
    it: bool = False
    modal: bool = False
    phrasal: bool = False
    exact: bool = False
    whole: bool = False
    on: bool = False

    @property
    def about(self) -> bool:
        """Whether it says what of a thing is meant: its volume, its brightness."""
        return any(sign.startswith(ABOUT) for sign in self.signs)

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(
            self.signs + other.signs, self.at + other.at, self.values + other.values, self.place + other.place,
            self.after + other.after, self.degree or other.degree, self.it or other.it, self.modal or other.modal,
            self.phrasal or other.phrasal, self.exact or other.exact, self.whole or other.whole,
            self.on or other.on,
        )  # fmt: skip


class PieceReader(msgspec.Struct, frozen=True):
    """Finds pieces in the words that follow a verb."""

    home: Home
    book: Book
    language: str
    verb: str
    table: FrameTable

    def pieces(self, said: Sequence[Word], at: int) -> Iterator[tuple[int, Pieces]]:
        """What can stand at a position and how many words it has, the longest first."""
        texts = [word.text for word in said]
        for size in range(min(PIECE_WORDS_MAX, len(said) - at), 0, -1):
            key = " ".join(texts[at : at + size])
            part = said[at : at + size]
            for piece in (*self._signs(said, at, key, part), *self._values(texts, at, part)):
                yield size, piece
            if self._is_place(part):
                yield size, Pieces(place=tuple(part))
            for piece in self._plain(key):
                yield size, piece

    def _signs(self, said: Sequence[Word], at: int, key: str, part: Sequence[Word]) -> Iterator[Pieces]:
        where = tuple(word.at for word in part)
        own = self.table.phrasal.get((self.verb, key))
        if own is not None:
            yield Pieces(signs=(own,), at=where, phrasal=True)
        for sign in self.table.signs.get(key, ()):
            if sign != own:
                follows = at > 0 and self._ends_with_value(said, at)
                yield Pieces(signs=(sign,), at=where, after=(sign,) if follows else ())
        if key in self.table.degrees:
            yield Pieces(degree=True, at=where)

    def _values(self, texts: Sequence[str], at: int, part: Sequence[Word]) -> Iterator[Pieces]:
        said = texts[at : at + len(part)]
        key, where = " ".join(said), tuple(word.at for word in part)
        if key in self.table.levels:
            yield Pieces(values=(("to", Value(LEVEL, self.table.levels[key]), where),))
        if len(said) > VALUE_WORDS_MAX or said[0] in _ARTICLES or not all(map(self.table.may_be_value, said)):
            return
        value = value_of(said, self.language)
        if value is not None:
            exact = not self.table.exact_words.isdisjoint(said) or any(letter.isdigit() for letter in key)
            yield Pieces(values=((self._before(texts, at), value, where),), exact=exact)

    def _plain(self, key: str) -> Iterator[Pieces]:
        """What says nothing, or nothing that words of a table say."""
        if key in self.table.modal:
            yield Pieces(modal=True)
        if key in self.table.glue:
            yield Pieces()
        if key in self.table.whole:
            yield Pieces(whole=True)
        if key == "it":
            yield Pieces(it=True)
        if key == "on":
            yield Pieces(on=True)  # "the volume on the radio"

    def _is_place(self, part: Sequence[Word]) -> bool:
        found = Describer(self.home, self.book, self.language).place(part)
        return found is not None and (
            part[0].text in words(self.language)["grammar"]["in"] or bool(found.floor)
        )

    def _before(self, texts: Sequence[str], at: int) -> str:
        """What stands before a value: "by", "to" or nothing."""
        word = texts[at - 1] if at else ""
        return "by" if word in self.table.by else ("to" if word in self.table.to else "")

    def _ends_with_value(self, said: Sequence[Word], at: int) -> bool:
        texts = [word.text for word in said[:at]]
        return any(value_of(texts[-size:], self.language) is not None for size in range(1, min(4, at) + 1))


def covered(pieces: Sequence[Sequence[tuple[int, Pieces]]]) -> list[list[Pieces]]:
    """For each number of words: the ways to cover that many from the beginning."""
    found: list[list[Pieces]] = [[] for _ in range(len(pieces) + 1)]
    found[0] = [Pieces()]
    for at, here in enumerate(pieces):
        for size, piece in here if found[at] else ():
            room = max(0, READINGS_MAX - len(found[at + size]))
            found[at + size] += [one + piece for one in found[at][:room]]
    return found


def covered_from(pieces: Sequence[Sequence[tuple[int, Pieces]]]) -> list[list[Pieces]]:
    """For each position: the ways to cover all words from there on."""
    found: list[list[Pieces]] = [[] for _ in range(len(pieces) + 1)]
    found[-1] = [Pieces()]
    for at in range(len(pieces) - 1, -1, -1):
        for size, piece in pieces[at]:
            room = max(0, READINGS_MAX - len(found[at]))
            found[at] += [piece + one for one in found[at + size][:room]]
    return found


__all__ = ["PieceReader", "Pieces", "covered", "covered_from"]
