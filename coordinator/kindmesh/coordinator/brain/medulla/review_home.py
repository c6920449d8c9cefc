"""What people call the things of a home, made ready once for each advert, so that judging a step does not read it all.

    said      every name of which all parts were said
    nearly    the only thing whose own name was said but for a slip of an ear or a finger
    fitting   the only thing to whose name, place or kind all the words belong, at least one of them to its own name

A name counts for a thing only when no other thing is called so; where two things fit, neither does. A name can only
have been said when each of its parts was, so it is looked for under one of them, the one that fewest names have; what
is not under a word of the sentence (or near one) is never looked at. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

from kindmesh.coordinator.brain.medulla.review_kinds import KIND_STEMS
from kindmesh.coordinator.brain.medulla.review_lexicon import STOP
from kindmesh.coordinator.brain.medulla.review_names import ALIKE_FIRST, SLIP_FROM, slipped
from kindmesh.coordinator.brain.medulla.review_words import Words, content, kin_of, name_parts, stem

HEARD_MAX: Final = 64
"""Sentences, and parts of them, for which the answers are kept."""
_LONG: Final = 6
"""Letters from which `Words.says` looks for a stem between spaces, too."""
_NOTHING: Final = frozenset(stem(word) for word in STOP)
_KINDS_OF: Final[dict[str, tuple[str, ...]]] = {
    word: tuple(kind for kind, stems in KIND_STEMS.items() if word in stems)
    for word in frozenset().union(*KIND_STEMS.values())
}
_NONE: Final[frozenset[str]] = frozenset()


class _Parts:
    """Names by the part of each that fewest of them have."""

    def __init__(self, names: Mapping[str, tuple[str, ...]]) -> None:
        many = Counter(part for parts in names.values() for part in set(parts))
        self._names: dict[str, list[str]] = {}
        self._long: dict[int, set[str]] = {}
        self._kin: dict[int, set[str]] = {}
        self._near: dict[tuple[str, int], set[str]] = {}
        for name, parts in names.items():
            self._names.setdefault(min(parts, key=lambda part: (many[part], part)), []).append(name)
        for part in self._names:
            if len(part) >= _LONG:
                self._long.setdefault(len(part), set()).add(part)
            for group in kin_of(part):
                self._kin.setdefault(group, set()).add(part)
            if len(part) >= SLIP_FROM:
                self._near.setdefault((part[0], len(part)), set()).add(part)

    def _of(self, parts: Iterable[str]) -> Iterator[str]:
        for part in parts:
            yield from self._names[part]

    def said(self, words: Words, *, kin: bool) -> Iterator[str]:
        """Names that may have been said; `kin`: also by another word for the same thing."""
        parts = {part for part in words.stems if part in self._names}
        parts.update(words.within(self._long))
        if kin:
            parts.update(part for group in words.kin for part in self._kin.get(group, ()))
        yield from self._of(parts)

    def near(self, words: Iterable[str]) -> Iterator[str]:
        """Names that a slip may have turned into one of these words."""
        parts: set[str] = set()
        for word in words:
            for first in (word[0], *ALIKE_FIRST.get(word[0], "")):
                for size in (len(word) - 1, len(word), len(word) + 1):
                    parts.update(part for part in self._near.get((first, size), ()) if slipped(part, word))
        yield from self._of(parts)


class HomeNames(Mapping[str, tuple[str, ...]]):
    """Names by the id of a thing, which begins with its kind (`light.kitchen`); see the module."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._names = {thing: tuple(many) for thing, many in names.items()}
        self._heard: dict[tuple[str, Words], frozenset[str] | str] = {}

    def __getitem__(self, thing: str) -> tuple[str, ...]:
        return self._names[thing]

    def __contains__(self, thing: object) -> bool:
        return thing in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    # ------------------------------------------------------------------------------------------------ the tables

    @cached_property
    def _things(self) -> dict[str, tuple[str, ...]]:
        """By a name: who is called that."""
        found: dict[str, list[str]] = {}
        for thing, many in self._names.items():
            for name in dict.fromkeys(many):
                found.setdefault(name, []).append(thing)
        return {name: tuple(things) for name, things in found.items()}

    @cached_property
    def _of_kind(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for thing in self._names:
            found.setdefault(thing.partition(".")[0], []).append(thing)
        return {kind: tuple(things) for kind, things in found.items()}

    @cached_property
    def _whole(self) -> _Parts:
        return _Parts({name: parts for name in self._things if (parts := name_parts(name))})

    @cached_property
    def _meaning(self) -> dict[str, tuple[str, ...]]:
        """Of names that only one thing has: the stems that mean something."""
        own = ((name, tuple(content(name))) for name, things in self._things.items() if len(things) == 1)
        return {name: parts for name, parts in own if parts}

    @cached_property
    def _own(self) -> _Parts:
        return _Parts(self._meaning)

    @cached_property
    def _joined(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, parts in self._meaning.items():
            found.setdefault("".join(parts), []).append(name)
        return found

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        """By thing: the stems of all its names."""
        return {
            thing: frozenset(word for name in many for word in content(name))
            for thing, many in self._names.items()
        }

    @cached_property
    def _having(self) -> dict[str, list[str]]:
        """By a stem: the things of whose names it is part."""
        found: dict[str, list[str]] = {}
        for thing, stems in self._known.items():
            for word in stems:
                found.setdefault(word, []).append(thing)
        return found

    # ------------------------------------------------------------------------------------------------- questions

    @cached_property
    def places(self) -> frozenset[str]:
        """Names of areas and floors, whose ids have no kind before a dot."""
        return frozenset(name for thing, many in self._names.items() if "." not in thing for name in many)

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """All things of a kind."""
        return self._of_kind.get(kind, ())

    def parts(self, thing: str) -> frozenset[str]:
        """The stems of all that a thing is called, and of where it is."""
        return self._known[thing]

    def is_own(self, name: str) -> bool:
        """Whether one thing of the home only is called that."""
        return len(self._things.get(name, ())) == 1

    def owner(self, name: str) -> str:
        """The only thing that is called that; empty: none, or several."""
        things = self._things.get(name, ())
        return things[0] if len(things) == 1 else ""

    def is_only(self, thing: str, kind: str) -> bool:
        """Whether it is the only one of that kind."""
        return self._of_kind.get(kind) == (thing,)

    def said(self, words: Words) -> frozenset[str]:
        """All names that were said, each with all of its parts."""
        found = self._heard.get(("said", words))
        if not isinstance(found, frozenset):
            maybe = self._whole.said(words, kin=True)
            found = frozenset(name for name in maybe if words.has_all(name_parts(name)))
            self._keep("said", words, found)
        return found

    def nearly(self, words: Words) -> str:
        """The only thing of which a name of its own was said but for a slip of an ear or a finger; empty: none, or
        several."""
        found = self._heard.get(("nearly", words))
        if not isinstance(found, str):
            found = self._nearly(words)
            self._keep("nearly", words, found)
        return found

    def fitting(self, words: Words) -> str:
        """The only thing to whose name, place or kind all the words belong that mean something (those that named it,
        not the whole sentence), at least one of them to a name that only it has; empty: none, or several."""
        found = self._heard.get(("fitting", words))
        if not isinstance(found, str):
            found = self._fitting(frozenset(words.stems - _NOTHING))
            self._keep("fitting", words, found)
        return found

    def _keep(self, question: str, words: Words, found: frozenset[str] | str) -> None:
        if len(self._heard) >= HEARD_MAX:
            self._heard.clear()
        self._heard[question, words] = found

    def _nearly(self, words: Words) -> str:
        heard = [word for word in words.order if len(word) >= SLIP_FROM]
        joined = {*words.stems, *(one + other for one, other in pairwise(words.order))}

        def called(name: str) -> bool:
            return all(
                words.says(part) or any(slipped(part, word) for word in heard) for part in self._meaning[name]
            )

        things = {self._things[name][0] for one in joined for name in self._joined.get(one, ())}
        for maybe in (self._own.said(words, kin=False), self._own.near(heard)):
            for name in maybe:
                if len(things) > 1:
                    return ""
                if self._things[name][0] not in things and called(name):
                    things.add(self._things[name][0])
        return things.pop() if len(things) == 1 else ""

    def _fitting(self, said: frozenset[str]) -> str:
        if not said:
            return ""
        fits: list[str] = []
        for thing in self._fewest(said):
            if said <= self._known[thing] | KIND_STEMS.get(thing.partition(".")[0], _NONE):
                fits.append(thing)
                if len(fits) > 1:
                    return ""
        if not fits:
            return ""
        own = {word for name in self._names[fits[0]] for word in self._meaning.get(name, ())}
        return "" if said.isdisjoint(own) else fits[0]

    def _fewest(self, said: frozenset[str]) -> Iterable[str]:
        """The things to which one of the words belongs: of the word that fewest have."""

        def places(word: str) -> list[Sequence[str]]:
            kinds = (self._of_kind.get(kind, ()) for kind in _KINDS_OF.get(word, ()))
            return [self._having.get(word, ()), *kinds]

        word = min(sorted(said), key=lambda word: sum(map(len, places(word))))
        return dict.fromkeys(thing for things in places(word) for thing in things)


__all__ = ["HEARD_MAX", "HomeNames"]
