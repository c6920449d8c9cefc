"""Durations in words: "an hour and a half", "2 hours and 30 minutes", "three quarters of an hour", "90s"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, starts
from kindmesh.coordinator.brain.cortex.numbers import number_at

_TIGHT: Final = re.compile(r"(\d{1,4}(?:[.,]\d+)?)([a-zäöü]+)")


class Durations:
    """Reads the durations of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = language.times
        self._units = dict(language.times.units)

    def read(self, words: Sequence[Word], at: int) -> tuple[int, int]:
        """The duration (ms) that begins at `at` and how many words it takes; 0 words when there is none."""
        total, length = self._amount(words, at)
        if not length:
            return 0, 0
        while True:
            skip = 1 if is_one(words, at + length, self._words.and_) else 0
            if is_one(words, at + length, (COMMA,)):
                skip = 1
            more, taken = self._amount(words, at + length + skip)
            if not taken:
                return total, length
            total, length = total + more, length + skip + taken

    def whole(self, words: Sequence[Word]) -> int:
        """The duration that all of the words say (ms), or 0."""
        total, length = self.read(words, 0)
        return total if length == len(words) else 0

    def unit(self, words: Sequence[Word], at: int) -> int:
        """The milliseconds of the unit at this word, or 0."""
        return self._units.get(words[at].low, 0) if at < len(words) else 0

    def _amount(self, words: Sequence[Word], at: int) -> tuple[int, int]:
        """One "number unit", with halves and quarters."""
        names = self._words
        tight = _TIGHT.fullmatch(words[at].low) if at < len(words) else None
        if tight and tight[2] in self._units:
            return int(float(tight[1].replace(",", ".")) * self._units[tight[2]]), 1
        if is_one(words, at, names.half) or is_one(words, at, names.quarter):
            share = 0.5 if is_one(words, at, names.half) else 0.25
            begin = at + 1
            begin += 1 if is_one(words, begin, names.of) else 0
            begin += 1 if is_one(words, begin, names.one) else 0
            unit = self.unit(words, begin)
            return (int(share * unit), begin + 1 - at) if unit else (0, 0)
        if is_one(words, at, names.one) and (
            is_one(words, at + 1, names.half) or is_one(words, at + 1, names.quarter)
        ):
            ms, length = self._amount(words, at + 1)
            if length:
                return ms, length + 1
        value, length = number_at(words, at, self._language)
        if not length and is_one(words, at, names.one):
            value, length = 1.0, 1
        if not length:
            return 0, 0
        half, more = self._and_half(words, at + length)
        value, length = value + half, length + more
        unit = self.unit(words, at + length)
        if not unit:
            return 0, 0
        length += 1
        if not more:
            half, more = self._and_half(words, at + length)
            following = self.unit(words, at + length + more) if more else 0
            if more and not following:
                value, length = value + half, length + more
        return int(value * unit), length

    def _and_half(self, words: Sequence[Word], at: int) -> tuple[float, int]:
        if not is_one(words, at, self._words.and_):
            return 0.0, 0
        one = 1 if is_one(words, at + 1, self._words.one) else 0
        if is_one(words, at + 1 + one, self._words.half):
            return 0.5, 2 + one
        if is_one(words, at + 1 + one, self._words.quarter):
            return 0.25, 2 + one
        return 0.0, 0


def is_one(words: Sequence[Word], at: int, names: Sequence[str]) -> bool:
    """Whether the word at `at` is one of these; what stood between quotes is none."""
    return 0 <= at < len(words) and bool(words[at].low) and words[at].low in names


def phrase_length(words: Sequence[Word], at: int, phrases: Sequence[str]) -> int:
    """How many words the first of these phrases takes at `at`; 0 when none is there."""
    return next((len(one.split(" ")) for one in phrases if starts(words, one.split(" "), at)), 0)


__all__ = ["Durations", "is_one", "phrase_length"]
