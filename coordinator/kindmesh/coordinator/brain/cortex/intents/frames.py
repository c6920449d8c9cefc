"""Commands in whatever order their pieces come: "crank the heating in the bedroom up to 21", "I want the lamp softer".

A phrase (`phrases.py`) fits word for word; a frame is looser in order and as strict in what it leaves over: nothing. A
sentence is a verb (or a wish), one description, and around it pieces from closed tables: a direction, a degree, a
value, a place, words that say nothing. Each word is one of these, or it is no command. Pieces that contradict each
other ("turn it up lower") mean nothing. What comes out is the same `Meaning` as a phrase's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import Book
from kindmesh.coordinator.brain.cortex.intents.complaints import ComplaintReader
from kindmesh.coordinator.brain.cortex.intents.describe import Described, Describer, Word
from kindmesh.coordinator.brain.cortex.intents.frame_table import ABOUT, DIMENSIONS, FrameTable, frame_table
from kindmesh.coordinator.brain.cortex.intents.making import Maker
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Target
from kindmesh.coordinator.brain.cortex.intents.settable import together
from kindmesh.coordinator.brain.cortex.intents.values import (
    COLOUR,
    DEGREES,
    KELVIN,
    LEVEL,
    MODE,
    NUMBER,
    PERCENT,
    Value,
    value_of,
)
from kindmesh.coordinator.brain.cortex.intents.words import words

READINGS_MAX: Final = 6
"""Ways to cover the words before or after a description that are kept."""
WORDS_MAX: Final = 18
HOURS: Final = 24
"""A bare number up to this, said with "on", may be an hour, and is no value."""
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


class FrameReader(msgspec.Struct, frozen=True):
    """Reads commands of one home in one language by their pieces."""

    home: Home
    book: Book
    language: str
    area: str = ""

    def read(self, said: Sequence[Word]) -> Iterator[Meaning]:
        """The meanings that a clause (cleaned, in plain words) can have, the likeliest first."""
        table = frame_table(self.language)
        if table is None or not 2 <= len(said) <= WORDS_MAX:
            return
        yield from ComplaintReader(self.home, self.book, self.language, self.area).read(said)
        said, wished = _without_wish(said, table)
        for sign, verb, size in (*table.verbs_at([word.text for word in said]), ("", "", 0)):
            lead = Pieces((sign,) if sign else (), tuple(word.at for word in said[:size]) if sign else ())
            meaning = self._framed(said[size:], lead, verb, spoken=bool(size) or wished, table=table)
            if meaning is not None:
                yield meaning
                return

    def _framed(
        self, said: Sequence[Word], lead: Pieces, verb: str, *, spoken: bool, table: FrameTable
    ) -> Meaning | None:
        """The rest of a clause after its verb; `spoken`: there was a verb or a wish."""
        if not spoken and table.telling_words.isdisjoint(word.text for word in said):
            return None
        count = len(said)
        pieces = [list(self._pieces(said, at, verb, table)) for at in range(count)]
        before, after = _covered(pieces), _covered_from(pieces)
        spans = sorted(
            ((first, last) for first in range(count) for last in range(first + 1, count + 1)
             if before[first] and after[last]),
            key=lambda span: span[0] - span[1],
        )  # fmt: skip
        for first, last in (*spans, *([(count, count)] if count else [])):
            for left, right in product(before[first], after[last]):
                around = left + right
                if first == last and not (around.it or around.place or around.degree or around.about):
                    continue
                # Without a verb the thing comes first: "curtains two thirds closed".
                if spoken or around.modal or not first:
                    whole = around if around.phrasal else lead + around
                    meaning = self._meant(said[first:last], whole, table)
                    if meaning is not None:
                        return meaning
        return None

    # ------------------------------------------------------------------------------------------------- covering

    def _pieces(
        self, said: Sequence[Word], at: int, verb: str, table: FrameTable
    ) -> Iterator[tuple[int, Pieces]]:
        """What can stand at a position, the longest first."""
        texts = [word.text for word in said]
        for size in range(min(PIECE_WORDS_MAX, len(said) - at), 0, -1):
            part = said[at : at + size]
            where = tuple(word.at for word in part)
            key = " ".join(texts[at : at + size])
            own = table.phrasal.get((verb, key))
            if own is not None:
                yield size, Pieces(signs=(own,), at=where, phrasal=True)
            for sign in table.signs.get(key, ()):
                follows = at > 0 and _ends_with_value(said, at, self.language)
                yield size, Pieces(signs=(sign,), at=where, after=(sign,) if follows else ())
            if key in table.degrees:
                yield size, Pieces(degree=True, at=where)
            if key in table.modal:
                yield size, Pieces(modal=True)
            if size <= VALUE_WORDS_MAX and all(map(table.may_be_value, texts[at : at + size])):
                value = value_of(texts[at : at + size], self.language)
                if value is not None and texts[at] not in _ARTICLES:
                    exact = bool(set(texts[at : at + size]) & table.exact_words) or any(
                        letter.isdigit() for letter in key
                    )
                    yield size, Pieces(values=((_before(texts, at, table), value, where),), exact=exact)
            if key in table.levels:
                yield size, Pieces(values=(("to", Value(LEVEL, table.levels[key]), where),))
            if self._is_place(part):
                yield size, Pieces(place=tuple(part))
            if key in table.glue:
                yield size, Pieces()
            if key in table.whole:
                yield size, Pieces(whole=True)
            if key == "on":
                yield size, Pieces(on=True)  # "the volume on the radio"
            if key == "it":
                yield size, Pieces(it=True)

    def _is_place(self, part: Sequence[Word]) -> bool:
        describer = Describer(self.home, self.book, self.language)
        grammar = words(self.language)["grammar"]
        found = describer.place(part)
        return found is not None and (part[0].text in grammar["in"] or bool(found.floor))

    # --------------------------------------------------------------------------------------------------- meaning

    def _meant(self, thing: Sequence[Word], pieces: Pieces, table: FrameTable) -> Meaning | None:
        signs = set(pieces.signs)
        if len([sign for sign in pieces.signs if sign.startswith(ABOUT)]) > 1:
            return None
        if any(one in signs and other in signs for one, other in table.opposites.items()):
            return None
        if len(pieces.values) > 2 or (not signs and not pieces.values):
            return None
        kinds, bare = self._kinds(signs, pieces)
        if not kinds:
            return None
        everything = tuple(words(self.language)["grammar"]["all_domains"]) if signs <= {"on", "off"} else ()
        everything = everything if not pieces.values else ("light",)
        describer = Describer(self.home, self.book, self.language, kinds, bare, tuple(
            one for one in everything if one in kinds))  # fmt: skip
        if pieces.on and not pieces.about:
            return None
        described = describer.read([*thing, *pieces.place])
        if described is None and not thing and not pieces.place and bare:
            described = Described((Target(domains=bare[:1], here=True, one=bare[0] != "light"),))
        if described is None or described.doubt:
            return None
        domains = self._domains(described)
        if not domains or (pieces.it and thing):
            return None
        if pieces.values:
            return self._valued(described, domains, _directions(signs), pieces)
        return self._directed(described, domains, _directions(signs), pieces)

    def _kinds(self, signs: set[str], pieces: Pieces) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Which domains can be meant, and what a place alone stands for."""
        kinds: set[str] | None = None
        bare: tuple[str, ...] = ()
        for sign in signs:
            row = DIMENSIONS[sign]
            kinds = set(row.kinds) if kinds is None else kinds & set(row.kinds)
            bare = row.bare or bare
        for _, value, _ in pieces.values:
            able = set(_VALUED.get(value.kind, ()))
            kinds = able if kinds is None else kinds & able
        if any(value.kind == DEGREES for _, value, _ in pieces.values):
            bare = ("climate",)
        elif pieces.values and not bare:
            bare = ("light", "climate")
        return tuple(sorted(kinds or ())), tuple(one for one in bare if one in (kinds or ()))

    def _domains(self, described: Described) -> set[str]:
        found: set[str] = set()
        for target in described.targets:
            found |= {one.partition(".")[0] for one in target.ids} or set(target.domains)
        return found

    def _valued(
        self, described: Described, domains: set[str], signs: set[str], pieces: Pieces
    ) -> Meaning | None:
        if signs & {"off", "locked", "out", "in"}:
            return None
        maker = Maker(self.home)
        if len(pieces.values) == 2:
            if signs - {"on"} or any(before == "by" for before, _, _ in pieces.values):
                return None
            one, other = (maker.setting(described, value, at, {}) for _, value, at in pieces.values)
            return together(one, other) if one is not None and other is not None else None
        before, value, at = pieces.values[0]
        towards = signs - {"on", "open", "closed"}
        numeric = value.kind in (PERCENT, NUMBER, DEGREES)
        if numeric and (before == "by" or (towards and before != "to")):
            if len(towards) != 1 or (value.kind == PERCENT and domains == {"climate"}):
                return None
            sign = next(iter(towards))
            return maker.step(described, up=DIMENSIONS[sign].up, value=value, at=at, warmth=sign in _WARMTH)
        if value.kind == NUMBER and not before and domains == {"media_player"} and not pieces.about:
            return None  # "Radio 4" is no volume
        if value.kind == NUMBER and value.value <= HOURS and "on" in signs:
            return None
        if value.kind in (COLOUR, KELVIN, MODE) and towards - {"up", "down"}:
            return None
        if "closed" in signs or "open" in signs:
            if not numeric or domains - {"cover", "valve"}:
                return None
            if "closed" in pieces.after or ("closed" in signs and before != "to"):
                # "Close it a third" leaves it two thirds open; "close it 40 percent" might mean either.
                if "closed" not in pieces.after and (pieces.exact or value.value not in _SHARES):
                    return None
                value = msgspec.structs.replace(value, value=100 - value.value)
        elif "down" in pieces.after and domains == {"cover"} and numeric:
            value = msgspec.structs.replace(value, value=100 - value.value)
        return maker.setting(described, value, at, {})

    def _directed(
        self, described: Described, domains: set[str], signs: set[str], pieces: Pieces
    ) -> Meaning | None:
        maker = Maker(self.home)
        covers = domains <= {"cover", "valve"}
        awnings = all(self.home.entities[one].attributes.get("device_class") == "awning"
                      for target in described.targets for one in target.ids)  # fmt: skip
        if "in" in signs or ("out" in signs and covers):
            if not (covers and awnings and any(target.ids for target in described.targets)):
                return None
            signs = (signs - {"in", "out", "open", "closed"}) | ({"closed"} if "in" in signs else {"open"})
        if "out" in signs:
            if not domains <= {"light", "switch"}:
                return None
            signs = (signs - {"out"}) | {"off"}
        if covers and signs & {"up", "down"}:
            if pieces.degree:
                return maker.step(described, up="up" in signs, value=None, at=pieces.at)
            signs = (signs - {"up", "down"}) | {"open" if "up" in signs else "closed"}
            if {"open", "closed"} <= signs:
                return None
        if signs == {"ajar"}:
            return maker.step(described, up=True, value=None, at=pieces.at)
        if covers and pieces.degree and domains == {"cover"} and signs in ({"open"}, {"closed"}):
            return maker.step(described, up="open" in signs, value=None, at=pieces.at)
        if len(signs) != 1:
            return None
        sign = next(iter(signs))
        if pieces.whole and sign not in _INTENTS and not covers:
            full = Value(PERCENT, 100 if DIMENSIONS[sign].up else 1)
            return maker.setting(described, full, pieces.at, {}) if sign in ("up", "down") else None
        intent = _INTENTS.get(sign)
        if intent is not None:
            return maker.made(intent[0], {}, described, intent[1])
        return maker.step(described, up=DIMENSIONS[sign].up, value=None, at=pieces.at, warmth=sign in _WARMTH)


_SHARES: Final = frozenset({20, 25, 33, 40, 50, 60, 66, 67, 75, 80})
_WARMTH: Final = frozenset({"warmer", "cooler"})
_INTENTS: Final[Mapping[str, tuple[str, str]]] = {
    "on": ("HassTurnOn", "default"),
    "run": ("HassTurnOn", "default"),
    "off": ("HassTurnOff", "default"),
    "open": ("HassTurnOn", "cover"),
    "closed": ("HassTurnOff", "cover"),
    "locked": ("HassTurnOn", "lock"),
}
_VALUED: Final[Mapping[str, tuple[str, ...]]] = {
    PERCENT: ("light", "fan", "cover", "valve", "media_player", "humidifier"),
    NUMBER: ("light", "fan", "cover", "media_player", "climate", "humidifier", "water_heater"),
    DEGREES: ("climate", "water_heater"),
    COLOUR: ("light",),
    KELVIN: ("light",),
    MODE: ("climate",),
    LEVEL: ("fan",),
}


def _covered(pieces: Sequence[Sequence[tuple[int, Pieces]]]) -> list[list[Pieces]]:
    """For each number of words: the ways to cover that many from the beginning."""
    found: list[list[Pieces]] = [[] for _ in range(len(pieces) + 1)]
    found[0] = [Pieces()]
    for at, here in enumerate(pieces):
        for size, piece in here if found[at] else ():
            room = max(0, READINGS_MAX - len(found[at + size]))
            found[at + size] += [one + piece for one in found[at][:room]]
    return found


def _covered_from(pieces: Sequence[Sequence[tuple[int, Pieces]]]) -> list[list[Pieces]]:
    """For each position: the ways to cover all words from there on."""
    found: list[list[Pieces]] = [[] for _ in range(len(pieces) + 1)]
    found[-1] = [Pieces()]
    for at in range(len(pieces) - 1, -1, -1):
        for size, piece in pieces[at]:
            room = max(0, READINGS_MAX - len(found[at]))
            found[at] += [piece + one for one in found[at + size][:room]]
    return found


def _without_wish(said: Sequence[Word], table: FrameTable) -> tuple[Sequence[Word], bool]:
    texts = [word.text for word in said]
    for wish in table.wishes:
        if len(texts) > len(wish) and tuple(texts[: len(wish)]) == wish:
            return said[len(wish) :], True
    return said, False


def _directions(signs: set[str]) -> set[str]:
    return {sign for sign in signs if not sign.startswith(ABOUT)}


def _before(texts: Sequence[str], at: int, table: FrameTable) -> str:
    """What stands before a value: "by", "to" or nothing."""
    word = texts[at - 1] if at else ""
    return "by" if word in table.by else ("to" if word in table.to else "")


def _ends_with_value(said: Sequence[Word], at: int, language: str) -> bool:
    texts = [word.text for word in said[:at]]
    return any(value_of(texts[-size:], language) is not None for size in range(1, min(4, at) + 1))


__all__ = ["HOURS", "FrameReader", "Pieces"]
