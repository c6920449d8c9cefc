"""What the two readers of a sentence (the official grammar and the household's own phrases) have in common.

A reader turns words into a `Meaning`: an intent by the name Home Assistant gives it, and slots. A slot keeps the words
that it came from, because every value of a plan has to say so. Nothing is looked up here: which entities are meant is
decided later (`resolve.py`), and what is done with them after that (`acts.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Clause

_WORD: Final = re.compile(r"\S+")


class Slot(msgspec.Struct, frozen=True):
    """A value of a sentence; `text`: as it was said; `words`: positions in the clause (not the utterance)."""

    value: Any
    text: str = ""
    words: tuple[int, ...] = ()


class Target(msgspec.Struct, frozen=True):
    """Which things are meant. `ids`: entities by name; else all of `domains` (and `classes`, if any) in `areas` or on
    `floors` (ids; empty: anywhere). `here`: the place is left to where it was said (`here_said`: in so many words).
    `one`: a single thing was spoken of. `but`: entities left out. `hint`: a word that its name may have ("lamp").
    `loose`: the name was not said whole. `both`: exactly two were spoken of."""

    ids: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()
    here: bool = False
    here_said: bool = False
    one: bool = False
    every: bool = False
    but: tuple[str, ...] = ()
    hint: str = ""
    loose: bool = False
    both: bool = False
    words: tuple[int, ...] = ()


class Meaning(msgspec.Struct, frozen=True):
    """What a sentence says, before anything is looked up. `response`: which of the intent's templates answers it.
    `doubt`: what to ask instead of acting, when a name was not heard for sure."""

    intent: str
    slots: dict[str, Slot] = {}
    targets: tuple[Target, ...] = ()
    response: str = "default"
    score: float = 1.0
    doubt: str = ""

    def value(self, slot: str, otherwise: Any = None) -> Any:
        """The slot's value, or `otherwise`."""
        found = self.slots.get(slot)
        return otherwise if found is None else found.value


def words_between(text: str, start: int, end: int) -> tuple[int, ...]:
    """Positions of the words of `text` that touch the characters `start` to `end`."""
    return tuple(
        index for index, word in enumerate(_WORD.finditer(text)) if word.start() < end and word.end() > start
    )


def heard(clause: Clause, words: Iterable[int]) -> tuple[int, ...]:
    """Positions in the clause as positions in the utterance. Where the cleaned text has not as many words as it came
    from, which is which cannot be told: then all of the clause's words are named."""
    wanted = tuple(sorted(set(words)))
    if not wanted or not clause.words:
        return wanted
    if len(_WORD.findall(clause.text)) != len(clause.words):
        return clause.words
    return tuple(clause.words[index] for index in wanted if index < len(clause.words))


__all__ = ["Meaning", "Slot", "Target", "heard", "words_between"]
