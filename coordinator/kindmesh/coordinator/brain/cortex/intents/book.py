"""The names of a home as people say them: an index from words to things, areas and floors.

Words are compared by their stem (without the ending of a plural) and names without spaces between them, so that
"living room lamps", "livingroom lamp" and "Living Room Lamp" are one. Built once for each structure of a home.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.words import words

_DROPPED: Final = re.compile("[\u2019'`\u00b4]")
SEEN_MAX: Final = 1024
"""Descriptions of which it is remembered what they fit."""
WORDS_KEPT: Final = 8192
"""Words and names of which the plain form and the stem are remembered."""
_BREAKS: Final = re.compile(r"[^\w%°.+-]+|(?<!\d)[.](?!\d)|[.](?!\d)|(?<=\w)-(?=\w)|_")


class Kind(msgspec.Struct, frozen=True):
    """What a common noun means: domains and classes; `many`: it was a plural; `hint`: the noun itself."""

    domains: tuple[str, ...]
    classes: tuple[str, ...] = ()
    many: bool = False
    hint: str = ""
    named: tuple[str, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """Areas or a floor, by id. `short`: said without its "room", which is also what a thing there may be called."""

    areas: tuple[str, ...] = ()
    floor: str = ""
    short: bool = False


class Book(msgspec.Struct, frozen=True):
    """See the module. Keys are compact names; `names`: stems of the names of each thing (one set per name);
    `around`: stems that may be said with them (area, kind); `stems`: the things in whose names a stem is."""

    things: dict[str, tuple[str, ...]]
    places: dict[str, Place]
    names: dict[str, tuple[frozenset[str], ...]]
    around: dict[str, frozenset[str]]
    stems: dict[str, frozenset[str]]
    seen: dict[tuple[frozenset[str], frozenset[str]], tuple[tuple[int, str], ...]] = {}

    def fitting(self, wanted: frozenset[str], nouns: frozenset[str]) -> tuple[tuple[int, str], ...]:
        """Things whose names, kinds and places have all of these stems, at least one of them (no noun of a kind) in the
        name; with how many stems of the name were not said. What was asked is remembered."""
        found = self.seen.get((wanted, nouns))
        if found is None:
            if len(self.seen) >= SEEN_MAX:
                self.seen.clear()
            found = self.seen[wanted, nouns] = tuple(self._fitting(wanted, wanted - nouns))
        return found

    def _fitting(self, wanted: frozenset[str], own: frozenset[str]) -> Iterator[tuple[int, str]]:
        likely = {one for part in own for one in self.stems.get(part, ())}
        for one, names in self.names.items() if likely else ():
            if one not in likely:
                continue
            around = self.around[one]
            fits = [
                len(name - wanted) for name in names if not name.isdisjoint(own) and wanted - name <= around
            ]
            if fits:
                yield min(fits), one


@lru_cache(maxsize=WORDS_KEPT)
def plain(text: str) -> str:
    """A word or a name in small letters without punctuation: "Emma's-Room" is "emmas room"."""
    return " ".join(_BREAKS.sub(" ", _DROPPED.sub("", text.casefold())).split())


@lru_cache(maxsize=WORDS_KEPT)
def stem(word: str, language: str) -> str:
    """A word without the ending of a plural."""
    for ending, instead in _endings(language):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: len(word) - len(ending)] + instead
    return word


@lru_cache(maxsize=8)
def _endings(language: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(ending), str(instead)) for ending, instead in words(language)["grammar"]["endings"])


@lru_cache(maxsize=8)
def determiners(language: str) -> frozenset[str]:
    """Words that say nothing about which thing is meant: the, my, our ..."""
    return frozenset(words(language)["grammar"]["determiners"])


def compact(said: Iterable[str], language: str) -> str:
    """Words (plain) as a key of the book."""
    return "".join(stem(word, language) for word in said if word not in determiners(language))


@lru_cache(maxsize=8)
def kinds(language: str) -> Mapping[str, Kind]:
    """Common nouns by their plain words."""
    found: dict[str, Kind] = {}
    for row in words(language).get("kind", ()):
        for many, key in ((False, "one"), (True, "many")):
            for noun in row.get(key, ()):
                found[plain(noun)] = Kind(
                    tuple(row["domains"]), tuple(row.get("classes", ())), many,
                    _hint(noun, row, language), tuple(row.get("named", ())),
                )  # fmt: skip
    return found


def _hint(noun: str, row: Mapping[str, Any], language: str) -> str:
    """Words of which one may be in the name of the thing that is meant, where there are several."""
    if "hints" in row:
        return "|".join(row["hints"])
    return stem(plain(noun), language) if row.get("hint") else ""


@lru_cache(maxsize=8)
def _kind_stems(language: str) -> tuple[tuple[Kind, frozenset[str]], ...]:
    return tuple(
        (kind, frozenset(stem(word, language) for word in noun.split()))
        for noun, kind in kinds(language).items()
    )


def book_of(home: Home, language: str) -> Book:
    """The index of a home."""
    things: dict[str, list[str]] = {}
    names: dict[str, tuple[frozenset[str], ...]] = {}
    around: dict[str, frozenset[str]] = {}
    places = _places(home, language)
    for one in home.entities.values():
        called = [plain(name).split() for name in (one.name, *one.aliases)]
        for name in called:
            key = compact(name, language)
            if key:
                things.setdefault(key, []).append(one.id)
        names[one.id] = tuple(frozenset(stem(word, language) for word in name) for name in called if name)
        around[one.id] = _around(home, one, language)
    stems: dict[str, set[str]] = {}
    for one_id, called_ in names.items():
        for part in frozenset[str]().union(*called_):
            stems.setdefault(part, set()).add(one_id)
    return Book(
        {key: tuple(dict.fromkeys(ids)) for key, ids in things.items()}, places, names, around,
        {part: frozenset(ids) for part, ids in stems.items()},
    )  # fmt: skip


def _around(home: Home, one: Entity, language: str) -> frozenset[str]:
    found: set[str] = set()
    kind = one.attributes.get("device_class")
    for noun, stems in _kind_stems(language):
        if one.domain in noun.domains and (not noun.classes or kind in noun.classes) and not noun.named:
            found |= stems
    area = home.areas.get(one.area)
    if area is not None:
        floor = home.floors.get(area.floor)
        said = [area.name, *area.aliases, *((floor.name, *floor.aliases) if floor is not None else ())]
        found |= {stem(word, language) for name in said for word in plain(name).split()}
    return frozenset(found)


def _places(home: Home, language: str) -> dict[str, Place]:
    rooms = [str(word) for word in words(language)["grammar"]["rooms"]]
    found: dict[str, Place] = {}
    short: dict[str, list[Place]] = {}
    for floor in home.floors.values():
        for name in (floor.name, *floor.aliases):
            found.setdefault(compact(plain(name).split(), language), Place(floor=floor.id))
    for area in home.areas.values():
        for name in (area.name, *area.aliases):
            said = plain(name).split()
            found[compact(said, language)] = Place((area.id,))
            if len(said) > 1 and said[-1] in rooms:
                short.setdefault(compact(said[:-1], language), []).append(Place((area.id,), short=True))
    for key, same in short.items():
        if len(set(same)) == 1:
            found.setdefault(key, same[0])
    found.pop("", None)
    outdoors = _outdoors(home, language)
    for name in words(language)["grammar"].get("outdoors", ()) if outdoors else ():
        found.setdefault(compact((name,), language), Place(outdoors))
    return found


def _outdoors(home: Home, language: str) -> tuple[str, ...]:
    """Areas that are outside, by what they are called, where none is called "outside" itself."""
    known = frozenset(words(language)["grammar"].get("outdoor_areas", ()))
    return tuple(
        area.id for area in home.areas.values()
        if any(known & set(plain(name).split()) for name in (area.name, *area.aliases))
    )  # fmt: skip


def said_name(book: Book, said: Sequence[str], language: str) -> tuple[str, ...]:
    """Ids of the things called so, empty for none."""
    return book.things.get(compact(said, language), ())


__all__ = [
    "Book", "Kind", "Place", "book_of", "compact", "determiners", "kinds", "plain", "said_name", "stem",
]  # fmt: skip
