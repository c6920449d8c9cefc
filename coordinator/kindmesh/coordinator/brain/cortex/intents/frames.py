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
from kindmesh.coordinator.brain.cortex.intents.frame_pieces import PieceReader, Pieces, covered, covered_from
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
)
from kindmesh.coordinator.brain.cortex.intents.words import words

WORDS_MAX: Final = 18
ABSOLUTE_FROM: Final = 10
"""Degrees from which a number is what it shall be, and not by how much more."""
_DEGREED: Final = frozenset({"climate", "water_heater"})
HOURS: Final = 24
"""A bare number up to this, said with "on", may be an hour, and is no value."""


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
        reader = PieceReader(self.home, self.book, self.language, verb, table)
        pieces = [list(reader.pieces(said, at)) for at in range(count)]
        before, after = covered(pieces), covered_from(pieces)
        spans = sorted(
            ((first, last) for first in range(count) for last in range(first + 1, count + 1)
             if before[first] and after[last] and said[last - 1].text not in table.never_last),
            key=lambda span: span[0] - span[1],
        )  # fmt: skip
        for first, last in (*spans, *([(count, count)] if count else [])):
            for left, right in product(before[first], after[last]):
                around = left + right
                if first == last and not (around.it or around.place or around.about):
                    continue
                # Without a verb the thing comes first: "curtains two thirds closed".
                if spoken or around.modal or not first or first == last:
                    whole = around if around.phrasal else lead + around
                    meaning = self._meant(said[first:last], whole, table)
                    if meaning is not None:
                        return meaning
        return None

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
        if (
            described is None
            and not thing
            and not pieces.place
            and bare
            and (not pieces.it or any(value.kind == DEGREES for _, value, _ in pieces.values))
        ):
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
        if numeric and towards and not before and domains <= _DEGREED and value.value >= ABSOLUTE_FROM:
            towards = set()  # "warm the study, nineteen degrees"
        if numeric and (before == "by" or (towards and before != "to")):
            if len(towards) != 1 or (value.kind == PERCENT and domains == {"climate"}):
                return None
            sign = next(iter(towards))
            return maker.step(described, up=DIMENSIONS[sign].up, value=value, at=at, warmth=sign in _WARMTH)
        if value.kind == NUMBER and not before and domains == {"media_player"} and not pieces.about:
            return None  # "Radio 4" is no volume
        if value.kind == NUMBER and value.value <= HOURS and "on" in signs and not pieces.about:
            return None
        if value.kind in (COLOUR, KELVIN, MODE) and towards - {"up", "down"}:
            return None
        share = self._share(value, before, domains, signs, pieces) if numeric else value
        if share is None or (share is value and not numeric and signs & {"open", "closed"}):
            return None
        return maker.setting(described, share, at, {})

    def _share(
        self, value: Value, before: str, domains: set[str], signs: set[str], pieces: Pieces
    ) -> Value | None:
        """How far open a cover shall be: "two thirds closed" is a third. None: it can be read in two ways."""
        rest = msgspec.structs.replace(value, value=100 - value.value)
        if not signs & {"open", "closed"}:
            return rest if "down" in pieces.after and domains == {"cover"} else value
        if domains - {"cover", "valve"}:
            return None
        if "closed" in pieces.after:
            return rest
        if "closed" not in signs or before == "to":
            return value
        # "Close it a third" leaves it two thirds open; "close it 40 percent" might mean either.
        return None if pieces.exact or value.value not in _SHARES else rest

    def _directed(
        self, described: Described, domains: set[str], signs: set[str], pieces: Pieces
    ) -> Meaning | None:
        maker = Maker(self.home)
        if pieces.about and signs & {"on", "off"}:
            return _muted(described, signs, pieces, maker)
        covers = domains <= {"cover", "valve"}
        if covers:
            signs = self._moved(described, signs)
            if pieces.degree and signs in ({"open"}, {"closed"}, {"ajar"}):
                return maker.step(described, up=signs != {"closed"}, value=None, at=pieces.at)
        if signs == {"ajar"}:
            return maker.step(described, up=True, value=None, at=pieces.at)
        if signs & {"in", "out"}:
            if "in" in signs or not domains <= {"light", "switch"}:
                return None
            signs = (signs - {"out"}) | {"off"}
        if len(signs) != 1:
            return None
        sign = next(iter(signs))
        if pieces.whole and sign not in _INTENTS and not covers:
            full = Value(PERCENT, 100 if DIMENSIONS[sign].up else 1)
            return maker.setting(described, full, pieces.at, {}) if sign in ("up", "down") else None
        intent = _INTENTS.get(sign)
        if pieces.degree and sign in ("off", "on"):
            return None  # nothing is a bit off
        if intent is not None:
            return maker.made(intent[0], {}, described, intent[1])
        return maker.step(described, up=DIMENSIONS[sign].up, value=None, at=pieces.at, warmth=sign in _WARMTH)

    def _moved(self, described: Described, signs: set[str]) -> set[str]:
        """Directions of what opens and closes: down is closed, and of an awning so is in."""
        ids = [one for target in described.targets for one in target.ids]
        if ids and all(self.home.entities[one].attributes.get("device_class") == "awning" for one in ids):
            signs = {{"in": "closed", "out": "open"}.get(sign, sign) for sign in signs}
        return {{"up": "open", "down": "closed"}.get(sign, sign) for sign in signs}


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


def _without_wish(said: Sequence[Word], table: FrameTable) -> tuple[Sequence[Word], bool]:
    texts = [word.text for word in said]
    for wish in table.wishes:
        if len(texts) > len(wish) and tuple(texts[: len(wish)]) == wish:
            return said[len(wish) :], True
    return said, False


def _muted(described: Described, signs: set[str], pieces: Pieces, maker: Maker) -> Meaning | None:
    """ "The sound off" of a player is no player off."""
    if "about_volume" not in pieces.signs or len(signs) != 1:
        return None
    intent = "HassMediaPlayerMute" if "off" in signs else "HassMediaPlayerUnmute"
    return maker.made(intent, {}, described, "default")


def _directions(signs: set[str]) -> set[str]:
    return {sign for sign in signs if not sign.startswith(ABOUT)}


__all__ = ["HOURS", "FrameReader"]
