"""The words that the parts of the Cortex have in common: what was said, in which situation, and what was understood.

    text --normalise, split--> Clause --a Recogniser each--> Recognised --plan--> Understanding

A *recogniser* gets one clause and says what it means, or None. It never guesses: what it is not sure of it leaves to
the next one, and in the end to an honest "I did not understand". `score` is 0..1. Positions of words count in the
utterance as it was heard (`words_of`), so that every value of a plan can name the words it came from.
Everything here is a value; nothing has a clock, a network or a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.protocol.plan import Plan

UTTERANCE_WORDS_MAX: Final = 256
"""Words of one utterance; what is longer is refused."""
_WORD: Final = re.compile(r"\S+")


def words_of(text: str) -> tuple[str, ...]:
    """The words of an utterance as it was heard, in order: what lies between white space, unchanged. This is what
    is proven word by word, so whoever counts words counts them like this."""
    return tuple(_WORD.findall(text))


class Clause(msgspec.Struct, frozen=True):
    """A part of an utterance that says one thing. `text` is cleaned (no politeness, no noise; lower case is not
    promised); `words` are the positions in the utterance that it came from; `delay_ms` is how long to wait first ("in
    ten minutes", 0: now), `at_ms` the time to wait for (UTC ms, 0: none)."""

    text: str
    words: tuple[int, ...] = ()
    delay_ms: int = 0
    at_ms: int = 0


class Act(msgspec.Struct, frozen=True):
    """One call that shall be made. `words`: for each argument (a name, or a path such as `data.brightness_pct`) the
    positions of the words that it came from; an argument that is not there came from the grammar itself."""

    operation: str
    args: dict[str, Any]
    words: dict[str, tuple[int, ...]] = {}
    target: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What to answer once it is done: `text` as it stands, or with `key` a template, filled from `values` and from the
    home as it is afterwards."""

    text: str = ""
    key: str = ""
    values: dict[str, Any] = {}
    also: str = ""
    """What is said after it, as it stands."""


class Back(msgspec.Struct, frozen=True):
    """What puts a clause back when it is over: `acts`, after `for_ms` from then on, or at `at_ms` (UTC); `words`: the
    positions of the words that say so."""

    acts: tuple[Act, ...]
    for_ms: int = 0
    at_ms: int = 0
    words: tuple[int, ...] = ()


class Recognised(msgspec.Struct, frozen=True):
    """What one clause means. `entities`: ids that it is about, for "it" and "the other one" in the next turn;
    `question`: what has to be asked first, and then nothing is done; `back`: how it ends, where it is for a while."""

    intent: str
    slots: dict[str, Any] = {}
    acts: tuple[Act, ...] = ()
    reply: Reply = Reply()
    score: float = 1.0
    entities: tuple[str, ...] = ()
    question: str = ""
    clause: Clause = Clause("")
    back: Back | None = None


class Turn(msgspec.Struct, frozen=True):
    """An earlier exchange of the same conversation, the latest last; `run`: id of the run that came of it, or empty."""

    text: str
    recognised: tuple[Recognised, ...] = ()
    reply: str = ""
    at_ms: int = 0
    run: str = ""


class Situation(msgspec.Struct, frozen=True):
    """Where and when something is said. `now_ms`: UTC; `zone`: the household's IANA time zone; `area`: id of the area
    of the device that heard it, or empty; `person`: who spoke, as a principal's text; `operations`: names of what the
    devices present offer; `people`: ids of people who can be sent a message, by what they are called; `place`: where
    the home is, in degrees north and east, or None."""

    home: Home
    now_ms: int
    zone: str = "UTC"
    area: str = ""
    language: str = "en"
    person: str = ""
    turns: tuple[Turn, ...] = ()
    operations: frozenset[str] = frozenset()
    people: Mapping[str, str] = {}
    place: tuple[float, float] | None = None


class Understanding(msgspec.Struct, frozen=True):
    """What an utterance means. Not `understood`: `reply` says so honestly, and there is no plan. A `question` has no
    plan either. `plan` is None when there is nothing to do but to answer."""

    understood: bool
    recognised: tuple[Recognised, ...] = ()
    plan: Plan | None = None
    question: str = ""
    reply: str = ""


class Recogniser(Protocol):
    """See the module."""

    def recognise(self, clause: Clause, situation: Situation) -> Recognised | None:
        """What the clause means; None when this one does not know."""


__all__ = [
    "UTTERANCE_WORDS_MAX", "Act", "Back", "Clause", "Recognised", "Recogniser", "Reply", "Situation", "Turn",
    "Understanding", "words_of",
]  # fmt: skip
