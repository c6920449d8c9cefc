"""What a language is to the Cortex: data, and no code. English is complete, German is the proof that it is only data.

A language names the words that carry no meaning (`fillers`, `opening`, `closing`), how contractions are spelt out, its
numbers, what parts sentences (`joins`), its times, and the sentence templates of its own grammar.
`sentences` are templates for `template.Template`, `replies` are what is answered, by key. How to add one:
`docs/how-to/add-a-language.md`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Final

import msgspec

from kindmesh.protocol.errors import InvalidInput

LANGUAGES: Final = ("en", "de")


class TimeWords(msgspec.Struct, frozen=True):
    """The words of times, all in lower case. `units`: name to milliseconds; `parts`: a part of the day to its hours
    (first, last, the hour that is meant when none is said); `days`: days from today; `weekdays`: 0 is Monday."""

    units: dict[str, int]
    weekdays: dict[str, int]
    months: dict[str, int]
    parts: dict[str, tuple[int, int, int]]
    days: dict[str, int]
    noon: dict[str, int]
    within: tuple[str, ...]
    """Before a duration: "in"."""
    hence: tuple[str, ...]
    """After a duration: "from now"."""
    at: tuple[str, ...]
    on: tuple[str, ...]
    next_: tuple[str, ...]
    this: tuple[str, ...]
    every: tuple[str, ...]
    half: tuple[str, ...]
    quarter: tuple[str, ...]
    past: tuple[str, ...]
    to: tuple[str, ...]
    oclock: tuple[str, ...]
    am: tuple[str, ...]
    pm: tuple[str, ...]
    and_: tuple[str, ...]
    one: tuple[str, ...]
    """What counts as one before a unit: "a", "an"."""
    daily: tuple[str, ...]
    """"daily": every day in one word."""
    weekday_words: tuple[str, ...]
    """"weekday": Monday to Friday, after "every"."""
    of: tuple[str, ...] = ()
    the: tuple[str, ...] = ()
    part_in: tuple[str, ...] = ()
    """Before a part of the day: "in the", after "in"."""
    before: tuple[str, ...] = ()
    """Before a moment: "an hour before sunset"."""
    sun: dict[str, str] = {}
    """What people call `sunrise` and `sunset`."""
    sun_at: tuple[str, ...] = ()
    """What stands before those: "at", "when"."""
    half_to: bool = False
    """Whether "half eight" is 7:30, as in German, and not 8:30."""
    ordinals: dict[str, int] = {}


class Numbers(msgspec.Struct, frozen=True):
    """Words of cardinal numbers: `small` alone or after `tens`, `scales` multiply; `and_` may lie between."""

    small: dict[str, int]
    tens: dict[str, int]
    scales: dict[str, int]
    and_: tuple[str, ...]


class Language(msgspec.Struct, frozen=True):
    """See the module. Phrases are words parted by one blank, in lower case."""

    code: str
    wake: tuple[str, ...]
    wake_before: tuple[str, ...]
    opening: tuple[str, ...]
    closing: tuple[str, ...]
    mind: tuple[str, ...]
    """Openings after which the verb is a participle: "would you mind turning"."""
    participles: dict[str, str]
    fillers: tuple[str, ...]
    reports: tuple[str, ...]
    """What follows the name of somebody who wants it: "mum says to"."""
    starters: tuple[str, ...]
    """Fillers only at the beginning."""
    contractions: dict[str, tuple[str, ...]]
    spelling: dict[str, tuple[str, ...]]
    """What speech recognition writes as one or two words, by what is meant."""
    joins: tuple[str, ...]
    """What parts one thing to do from the next: "and then"."""
    ordered: tuple[str, ...]
    """Those of `joins` after which the next is done only when the one before is."""
    verbs: tuple[str, ...]
    """First words of a clause that says what to do, or asks."""
    particles: tuple[str, ...]
    """What belongs to a verb and follows it: "on", "off"."""
    prepositions: tuple[str, ...]
    articles: tuple[str, ...]
    negations: tuple[str, ...]
    conditions: tuple[str, ...]
    """What makes a clause depend on something; the grammars have no conditions, so they abstain."""
    whether: tuple[str, ...]
    """Openings of an indirect question: "tell me if"."""
    be: tuple[str, ...]
    times: TimeWords
    numbers: Numbers
    sentences: dict[str, tuple[str, ...]]
    replies: dict[str, tuple[str, ...]]
    words: dict[str, tuple[str, ...]] = {}
    """Anything else that one recogniser looks up, by name."""


@cache
def language(code: str) -> Language:
    """The data of a language, by its code (`en`, `en-GB`).

    Raises:
        InvalidInput: there is none.
    """
    short = code.lower().split("-")[0].split("_")[0]
    if short not in LANGUAGES:
        raise InvalidInput(
            f"there is no grammar for {code[:20]!r}",
            field="language",
            hint=f"There is: {', '.join(LANGUAGES)}.",
        )
    made: Language = importlib.import_module(f"kindmesh.coordinator.brain.cortex.languages.{short}").LANGUAGE
    return made


__all__ = ["LANGUAGES", "Language", "Numbers", "TimeWords", "language"]
