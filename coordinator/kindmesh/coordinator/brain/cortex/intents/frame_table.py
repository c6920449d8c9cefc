"""The pieces of commands of a language, ready to be looked up, and what each direction can be about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain
from kindmesh.coordinator.brain.cortex.intents.words import words

VERB_WORDS_MAX: Final = 4


class Dimension(msgspec.Struct, frozen=True):
    """What a direction can be about (domains), what a place alone stands for (`bare`), and whether it is more."""

    kinds: tuple[str, ...]
    bare: tuple[str, ...] = ()
    up: bool = True


_SWITCHED: Final = (
    "light", "switch", "fan", "media_player", "input_boolean", "climate", "humidifier", "siren", "water_heater",
    "remote",
)  # fmt: skip
_GRADED: Final = ("light", "climate", "fan", "media_player", "cover", "humidifier", "water_heater")
DIMENSIONS: Final[Mapping[str, Dimension]] = {
    "on": Dimension(_SWITCHED, ("light",)),
    "off": Dimension((*_SWITCHED, "valve"), ("light",)),
    "out": Dimension(("light", "switch", "cover")),
    "in": Dimension(("cover",)),
    "open": Dimension(("cover", "valve")),
    "closed": Dimension(("cover", "valve")),
    "up": Dimension(_GRADED),
    "down": Dimension(_GRADED, (), up=False),
    "run": Dimension(("switch", "fan", "humidifier", "input_boolean", "siren")),
    "ajar": Dimension(("cover",)),
    "locked": Dimension(("lock",)),
    "brighter": Dimension(("light",), ("light",)),
    "dimmer": Dimension(("light",), ("light",), up=False),
    "warmer": Dimension(("climate", "light", "water_heater"), ("climate",)),
    "cooler": Dimension(("climate", "light", "water_heater"), ("climate",), up=False),
    "louder": Dimension(("media_player",), ("media_player",)),
    "quieter": Dimension(("media_player",), ("media_player",), up=False),
    "faster": Dimension(("fan",), ("fan",)),
    "slower": Dimension(("fan",), ("fan",), up=False),
    "about_volume": Dimension(("media_player",), ("media_player",)),
    "about_brightness": Dimension(("light",), ("light",)),
    "about_speed": Dimension(("fan",), ("fan",)),
    "about_warmth": Dimension(("climate", "water_heater"), ("climate",)),
    "about_position": Dimension(("cover", "valve")),
    "about_humidity": Dimension(("humidifier",), ("humidifier",)),
    "about_colour": Dimension(("light",), ("light",)),
}
ABOUT: Final = "about_"
"""What the names of signs begin with that say what it is about, and no direction."""


class Complaint(msgspec.Struct, frozen=True):
    """What is wrong, and what helps: a direction; `switch`: switched on, where nothing is on yet."""

    sign: str
    switch: bool = False


COMPLAINTS: Final[Mapping[str, Complaint]] = {
    "dark": Complaint("brighter", switch=True),
    "bright": Complaint("dimmer"),
    "cold": Complaint("warmer"),
    "hot": Complaint("cooler"),
    "loud": Complaint("quieter"),
    "quiet": Complaint("louder"),
    "fast": Complaint("slower"),
    "slow": Complaint("faster"),
}


class FrameTable(msgspec.Struct, frozen=True):
    """The tables of one language; words are plain and joined by one space."""

    verbs: Mapping[str, tuple[str, ...]]
    phrasal: Mapping[tuple[str, str], str]
    wishes: tuple[tuple[str, ...], ...]
    signs: Mapping[str, tuple[str, ...]]
    opposites: Mapping[str, str]
    glue: frozenset[str]
    modal: frozenset[str]
    degrees: frozenset[str]
    by: frozenset[str]
    to: frozenset[str]
    telling_words: frozenset[str]
    exact_words: frozenset[str]
    levels: Mapping[str, int]
    whole: frozenset[str]
    never_last: frozenset[str]
    complaints: Mapping[str, Complaint]
    very: frozenset[str]
    too: frozenset[str]
    be: frozenset[str]
    after: frozenset[str]
    subjects: frozenset[str]
    value_words: frozenset[str]

    def may_be_value(self, word: str) -> bool:
        """Whether a word is part of any value."""
        return word in self.value_words or any(letter.isdigit() for letter in word)

    def verbs_at(self, texts: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """What the verbs that a clause begins with bring to it, their words and how many these are, longest first."""
        for size in range(min(VERB_WORDS_MAX, len(texts) - 1), 0, -1):
            key = " ".join(texts[:size])
            for sign in self.verbs.get(key, ()):
                yield sign, key, size


@lru_cache(maxsize=8)
def frame_table(language: str) -> FrameTable | None:
    """The pieces of a language; None where it has none."""
    table = words(language).get("frames")
    if table is None:
        return None
    verbs: dict[str, list[str]] = {}
    for sign, said in table["verbs"].items():
        for verb in said:
            verbs.setdefault(plain(verb), []).append(str(sign))
    signs: dict[str, list[str]] = {}
    for sign, said in table["signs"].items():
        for one in said:
            signs.setdefault(plain(one), []).append(str(sign))
    phrasal = {
        (verb.split()[0], verb.split()[1]): found[0]
        for verb, found in verbs.items()
        if len(verb.split()) == 2 and found[0]
    }
    return FrameTable(
        {verb: tuple(found) for verb, found in verbs.items()}, phrasal,
        tuple(sorted((tuple(plain(one).split()) for one in table["wish"]), key=len, reverse=True)),
        {said: tuple(found) for said, found in signs.items()}, dict(table["opposites"]), _set(table["glue"]),
        _set(table["modal"]), _set([*table["degree"], *table["nicely"]]), _set(table["by"]), _set(table["to"]),
        _value_words(language) - determiners(language)
        | frozenset(plain(one).split()[-1] for said in (*table["signs"].values(), table["modal"]) for one in said),
        frozenset(plain(one) for one in words(language)["units"]["percent"]), dict(table["levels"]),
        _set(table["whole"]),
        determiners(language) | _set(words(language)["grammar"]["every"]),
        {plain(word): COMPLAINTS[wrong] for wrong, said in table["complaints"].items() for word in said},
        _set(table["very"]["words"]), _set(table["very"]["too"]), _set(table["very"]["be"]),
        _set(table["very"]["after"]), _set(table["very"]["subjects"]), _value_words(language),
    )  # fmt: skip


def _value_words(language: str) -> frozenset[str]:
    table = words(language)
    said = [*table["numbers"]["words"], *determiners(language), "and"]
    for part in ("point", "hundred", "and", "and_half"):
        said += table["numbers"][part]
    for names in (*table["values"].values(), *table["units"].values()):
        said += names
    return frozenset(word for one in said for word in plain(one).split())


def _set(said: Sequence[str]) -> frozenset[str]:
    return frozenset(plain(one) for one in said)


__all__ = ["ABOUT", "COMPLAINTS", "DIMENSIONS", "Complaint", "Dimension", "FrameTable", "frame_table"]
