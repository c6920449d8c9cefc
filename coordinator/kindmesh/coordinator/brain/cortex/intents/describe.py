"""From a description ("all the lights upstairs except the desk lamp") to targets.

Every word of a description has to be accounted for: as a name, a place, a common noun, or a word that says nothing.
One that is left over means that the description was not understood, and then nothing is done. In this order:

1. the whole is a name; 2. place and name; 3. place and common noun; 4. name and common noun ("play corner light");
5. words that together fit one thing only ("the reading lamp"); 6. a place alone; 7. a name or place nearly heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import (
    Book,
    Kind,
    Place,
    compact,
    determiners,
    kinds,
    plain,
    said_name,
    stem,
)
from kindmesh.coordinator.brain.cortex.intents.fuzzy import SURE, nearest, sure
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Target
from kindmesh.coordinator.brain.cortex.intents.words import words

WHOLE_NAMES: Final = frozenset({"scene", "script", "button", "input_button", "automation"})
"""Domains whose things are called by their whole name only: part of it ("night") is an everyday word."""
_BRANDED: Final = frozenset({"media_player", "fan", "vacuum"})
"""Domains whose things are often called by what made them; else the first word is what it is for: "car charger"."""
PARTS_MAX: Final = 6
"""Things named in one sentence."""


class Word(msgspec.Struct, frozen=True):
    """A plain word and its position in the clause."""

    text: str
    at: int


class Described(msgspec.Struct, frozen=True):
    """Targets; `doubt`: the name that was perhaps meant, to be asked for."""

    targets: tuple[Target, ...]
    doubt: str = ""


class Describer(msgspec.Struct, frozen=True):
    """Reads descriptions of one home in one language. `domains`: what can be meant at all (empty: anything);
    `bare`: the kind that a place alone stands for (empty: a place alone means nothing);
    `everything`: what that word stands for; `guess`: names that were nearly heard count."""

    home: Home
    book: Book
    language: str
    domains: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    everything: tuple[str, ...] = ()
    guess: bool = False

    def read(self, said: Sequence[Word]) -> Described | None:
        """See the module; None when it was not understood."""
        said, left_out = self._exceptions(said)
        but: tuple[str, ...] = ()
        if left_out:
            without = msgspec.structs.replace(self, bare=self.bare or self.everything or ("light",)).read(
                left_out
            )
            if without is not None and not without.doubt:
                but = tuple(one for target in without.targets for one in self._members(target))
            if not but:
                return None
        pieces = self._spread(self._split(said))
        whole = self._part(said, guess=self.guess and len(pieces) < 2)
        parts = [whole] if whole is not None else [self._part(part, guess=self.guess) for part in pieces]
        if not parts or len(parts) > PARTS_MAX or any(part is None for part in parts):
            if len(parts) < 2:
                return None
            shared = self._shared(pieces)
            if shared is None:
                return None
            parts = [*shared]
        found = [part for part in parts if part is not None]
        targets = self._joined([target for part in found for target in part.targets])
        doubts = [part.doubt for part in found if part.doubt]
        if but:
            targets = [msgspec.structs.replace(target, but=but, every=target.every or not target.areas)
                       for target in targets]  # fmt: skip
        return Described(tuple(targets), doubts[0] if doubts else "")

    def _members(self, target: Target) -> tuple[str, ...]:
        if target.ids:
            return target.ids
        pool = of_kind(self.home, target.domains, target.classes)
        return tuple(one.id for one in placed(self.home, pool, target.areas, target.floors))

    def _exceptions(self, said: Sequence[Word]) -> tuple[Sequence[Word], Sequence[Word]]:
        for phrase in _phrases(self.language, "except"):
            at = _find(said, phrase)
            if 0 < at < len(said) - len(phrase):
                kept = list(said[at + len(phrase) :])
                if len(kept) > 1 and kept[-1].text in _phrase_words(self.language, "one"):
                    noun = next((w for w in reversed(said[:at]) if w.text in kinds(self.language)), None)
                    kept[-1:] = [Word(noun.text, kept[-1].at)] if noun is not None else []
                return said[:at], kept
        return said, ()

    def _split(self, said: Sequence[Word]) -> list[Sequence[Word]]:
        ands = {phrase[0] for phrase in _phrases(self.language, "and")}
        parts: list[list[Word]] = [[]]
        for word in said:
            if word.text in ands:
                parts.append([])
            else:
                parts[-1].append(word)
        return [part for part in parts if part]

    def _spread(self, pieces: list[Sequence[Word]]) -> list[Sequence[Word]]:
        """ "The lamp in the hall and in the study": a place after a thing and its place is for the same thing."""
        found: list[Sequence[Word]] = []
        for piece in pieces:
            before = found[-1] if found else ()
            if before and (piece[0].text,) in _phrases(self.language, "in") and self.place(piece) is not None:
                sizes = [size for size in range(1, len(before)) if self.place(before[-size:]) is not None]
                thing = self._trimmed(before[: len(before) - max(sizes)]) if sizes else ()
                found.append([*thing, *piece])
                continue
            found.append(piece)
        return found

    def _shared(self, parts: list[Sequence[Word]]) -> list[Described] | None:
        """What the last part says for all: "kitchen and bedroom lights", "lights and fans in the bedroom"."""
        found: list[Described] = []
        last = self._part(parts[-1]) if parts else None
        if last is None or len(parts) < 2:
            return None
        for part in parts[:-1]:
            place = self.place(part)
            if place is not None and last.targets[0].domains:
                at = tuple(word.at for word in part)
                found.append(Described((msgspec.structs.replace(
                    last.targets[0], areas=place.areas, floors=_ids(place.floor),
                    words=tuple(sorted({*at, *last.targets[0].words}))),)))  # fmt: skip
                continue
            own = self._part(part)
            if own is None:
                return None
            found.append(own)
        return [*found, last]

    def _joined(self, targets: list[Target]) -> list[Target]:
        """A place said after the last of several kinds is the place of all of them."""
        if len(targets) < 2 or not (targets[-1].areas or targets[-1].floors):
            return targets
        last = targets[-1]
        if any(target.areas or target.floors or target.ids for target in targets[:-1]):
            return targets
        return [msgspec.structs.replace(target, areas=last.areas, floors=last.floors, here=False)
                for target in targets]  # fmt: skip

    def _part(self, said: Sequence[Word], *, guess: bool = False) -> Described | None:
        at = tuple(word.at for word in said)
        exact = self._allowed(said_name(self.book, [word.text for word in said], self.language))
        mine = any(word.text in _ours(self.language) for word in said)
        said, both = self._without(said, "both")
        said, every = self._without(said, "every")
        whole = every and self._many_there(said)
        if exact and not whole:
            return Described((Target(ids=exact, words=at),))
        said, here = self._without(said, "here")
        said, anywhere = self._without(said, "everywhere")
        said = [word for word in said if word.text not in determiners(self.language)]
        if not said:
            return None
        here = here or (every and mine and not anywhere)  # "all my lights" are those where I am
        flags = Target(
            here=not anywhere, here_said=here, every=anywhere or (every and not here), both=both, words=at
        )
        for thing, place in self._cuts(said)[1 if whole else 0 :]:
            found = self._thing(thing, place, flags, every=every, here=here)
            if found is not None:
                return found
        return self._near(said, flags, every) if guess else None

    def _cuts(self, said: Sequence[Word]) -> list[tuple[Sequence[Word], Place | None]]:
        """The ways to read a description as a thing and a place, the longest place first; without one, too."""
        count = len(said)
        found: list[tuple[Sequence[Word], Place | None]] = [(said, None)]
        for size in range(count, 0, -1):
            tail = self.place(said[count - size :])
            if tail is not None:
                found.append((self._trimmed(said[: count - size]), tail))
            head = self.place(said[:size])
            if head is not None and size < count:
                found.append((said[size:], head))
        return found

    def _trimmed(self, said: Sequence[Word]) -> Sequence[Word]:
        """Without the preposition at the end."""
        between = _phrases(self.language, "in")
        while said and (said[-1].text,) in between:
            said = said[:-1]
        return said

    def _is_room(self, phrase: tuple[str, ...]) -> bool:
        """ "In my room", where there is a room that is called "My room"."""
        texts = [text for text in phrase if (text,) not in _phrases(self.language, "in")]
        called = " ".join(texts)
        return len(texts) > 1 and any(
            called == plain(name) for area in self.home.areas.values() for name in (area.name, *area.aliases)
        )

    def tails(self, said: Sequence[Word]) -> list[int]:
        """How many words at the end can be a place, or what is left out, that was said after all else."""
        found = [size for size in range(1, min(9, len(said))) if self._places(said[-size:])]
        for phrase in _phrases(self.language, "except"):
            at = _find(said, phrase)
            if at > 0:
                return [len(said) - at]
        return sorted(found, reverse=True)

    def _places(self, said: Sequence[Word]) -> bool:
        """Whether these are places and nothing else: "in the hall and the study", "in here"."""
        if tuple(word.text for word in said) in _phrases(self.language, "here"):
            return True
        pieces = self._split(said)
        return bool(pieces) and all(self.place(piece) is not None for piece in pieces)

    def place(self, said: Sequence[Word]) -> Place | None:
        """The area or floor that these words are, perhaps after a preposition."""
        between = _phrases(self.language, "in")
        while said and (said[0].text,) in between:
            said = said[1:]
        texts = [word.text for word in said]
        if not texts:
            return None
        found = self.book.places.get(compact(texts, self.language))
        if found is None and texts[-1].endswith("s"):  # the kitchen's
            found = self.book.places.get(compact([*texts[:-1], texts[-1][:-1]], self.language))
        return found

    def _thing(
        self, said: Sequence[Word], place: Place | None, flags: Target, *, every: bool, here: bool
    ) -> Described | None:
        texts = [word.text for word in said]
        areas, floors = (place.areas, _ids(place.floor)) if place is not None else ((), ())
        base = msgspec.structs.replace(flags, areas=areas, floors=floors, here=flags.here and place is None,
                                       every=flags.every and place is None)  # fmt: skip
        if not texts:
            if place is None or place.short or not self.bare:
                return None
            return Described((msgspec.structs.replace(base, domains=self.bare),))
        if self.everything and tuple(texts) in _phrases(self.language, "everything"):
            whole = place is None and not here
            # Said in a room it is all of that room, unless it says "the house".
            near = here or (whole and not flags.every and texts[-1].startswith("every"))
            return Described((msgspec.structs.replace(
                base, domains=self.everything, here=near, here_said=near, every=whole),))  # fmt: skip
        named = self._there(self._allowed(said_name(self.book, texts, self.language)), areas, floors)
        if named:
            return Described((Target(ids=named, every=every and len(named) > 1, words=flags.words),))
        kind = self._kind(texts)
        if kind is not None:
            return self._of_kind(kind, base, every)
        if place is None and self.place(said) is not None:
            return None
        return self._fitting(texts, base, every) or self._beside(said, base, every)

    def _beside(self, said: Sequence[Word], base: Target, every: bool) -> Described | None:
        """ "The lamp by the desk" is the desk lamp, where something is called that."""
        between = _phrases(self.language, "beside")
        for at in range(1, len(said) - 1):
            if said[at].text not in _openings(self.language, "beside"):
                continue
            size = next((len(part) for part in between
                         if tuple(word.text for word in said[at : at + len(part)]) == part), 0)  # fmt: skip
            rest = [word.text for word in said[at + size :] if word.text not in determiners(self.language)]
            if not size or not rest:
                continue
            texts = [*rest, *(word.text for word in said[:at])]
            named = self._there(
                self._allowed(said_name(self.book, texts, self.language)), base.areas, base.floors
            )
            if named:
                return Described((Target(ids=named, every=every and len(named) > 1, words=base.words),))
            return self._fitting(texts, base, every)
        return None

    def _many_there(self, said: Sequence[Word]) -> bool:
        """Whether it is a place and a plural: all "the bedroom lights" are more than the one called "Bedroom Light"."""
        said = [word for word in said if word.text not in determiners(self.language)]
        noun = kinds(self.language).get(said[-1].text) if said else None
        return noun is not None and noun.many and self.place(said[:-1]) is not None

    def _of_kind(self, kind: Kind, base: Target, every: bool) -> Described | None:
        domains = tuple(one for one in kind.domains if not self.domains or one in self.domains)
        if not domains:
            return None
        if kind.named:
            ids = tuple(
                one.id for one in placed(self.home, of_kind(self.home, domains, ()), base.areas, base.floors)
                if any(word in plain(" ".join((one.name, *one.aliases))) for word in kind.named)
            )  # fmt: skip
            return Described((Target(ids=ids, every=kind.many or every, words=base.words),)) if ids else None
        one = not kind.many and not every and not base.both
        kinds_ = msgspec.structs.replace(base, domains=domains, classes=kind.classes, one=one, hint=kind.hint)
        return Described((kinds_,))

    def _kind(self, texts: Sequence[str]) -> Kind | None:
        table = kinds(self.language)
        return table.get(" ".join(texts)) or table.get("".join(texts))

    def _fitting(self, texts: Sequence[str], base: Target, every: bool) -> Described | None:
        """Things whose names, kinds and places have all of these words, and at least one of them in the name."""
        wanted = frozenset(stem(text, self.language) for text in texts)
        nouns = self._nouns(texts)
        head = stem(texts[-1], self.language)
        found: list[tuple[int, str]] = []
        for extra, one in self.book.fitting(wanted, nouns):
            entity = self.home.entities[one]
            domain = entity.domain
            if domain in WHOLE_NAMES or (self.domains and domain not in self.domains):
                continue
            if self._headed(one, head, texts[-1]) and placed(self.home, (entity,), base.areas, base.floors):
                found.append((extra, one))
        if not found:
            return None
        noun = kinds(self.language).get(texts[-1])
        many = every or base.both or (noun is not None and noun.many)
        least = min(extra for extra, _ in found)
        ids = tuple(one for extra, one in found if many or extra == least)
        return Described((Target(ids=ids, every=many, both=base.both, loose=True, words=base.words),))

    def _headed(self, one: str, head: str, last: str) -> bool:
        """Whether the last word said is the last of one of its names, or what such a thing is called."""
        entity = self.home.entities[one]
        noun = kinds(self.language).get(last)
        if noun is not None and entity.domain in noun.domains:
            return True
        for name in (entity.name, *entity.aliases):
            parts = [stem(part, self.language) for part in plain(name).split()]
            # "The bread" is the bread maker: what it is a maker of is its name.
            while len(parts) > 1 and parts[-1] in _general(self.language):
                if head == parts[-1]:
                    return True
                parts.pop()
            if parts and (parts[-1] == head or (parts[0] == head and self._is_brand(one, head))):
                return True
        return False

    def _is_brand(self, one: str, first: str) -> bool:
        """Whether the first word of a name stands for the whole: "the Sonos" for "Sonos One"."""
        if one.partition(".")[0] not in _BRANDED or self.book.stems.get(first, frozenset()) != {one}:
            return False
        return not any(first in around for around in self.book.around.values())

    def _nouns(self, texts: Sequence[str]) -> frozenset[str]:
        return frozenset(stem(text, self.language) for text in texts if text in kinds(self.language))

    def _near(self, said: Sequence[Word], flags: Target, every: bool) -> Described | None:
        """What was nearly heard: a name, or a place beside a common noun."""
        texts = [word.text for word in said]
        if any(text in _loud(self.language) or text[0].isdigit() for text in texts):
            return None
        keys = [key for key, ids in self.book.things.items() if self._allowed(ids)]
        key, like = nearest(compact(texts, self.language), keys)
        if key and like > 0:
            ids = self._allowed(self.book.things[key])
            doubt = "" if like >= sure(key) else self.home.entities[ids[0]].name
            return Described((Target(ids=ids, loose=True, words=flags.words),), doubt)
        for size in range(1, len(said)):
            for place_words, thing in (
                (said[:size], said[size:]),
                (said[-size:], self._trimmed(said[:-size])),
            ):
                kind = self._kind([word.text for word in thing])
                if kind is None:
                    continue
                outer = [
                    word.text for word in place_words if (word.text,) not in _phrases(self.language, "in")
                ]
                key, like = nearest(compact(outer, self.language), self.book.places)
                if like < SURE:
                    continue
                place = self.book.places[key]
                base = msgspec.structs.replace(flags, areas=place.areas, floors=_ids(place.floor), here=False,
                                               every=False)  # fmt: skip
                return self._of_kind(kind, base, every)
        return None

    def _allowed(self, ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in ids if not self.domains or one.partition(".")[0] in self.domains)

    def _there(
        self, ids: tuple[str, ...], areas: tuple[str, ...], floors: tuple[str, ...]
    ) -> tuple[str, ...]:
        pool = tuple(self.home.entities[one] for one in ids)
        return tuple(one.id for one in placed(self.home, pool, areas, floors))

    def _without(self, said: Sequence[Word], group: str) -> tuple[Sequence[Word], bool]:
        for phrase in _phrases(self.language, group):
            at = _find(said, phrase)
            if at >= 0 and not (group == "here" and self._is_room(phrase)):
                return [*said[:at], *said[at + len(phrase) :]], True
        return said, False


def _ids(one: str) -> tuple[str, ...]:
    return (one,) if one else ()


@lru_cache(maxsize=8)
def _loud(language: str) -> frozenset[str]:
    """Words that a name nearly heard does not have: they say what to do, and must be accounted for."""
    return frozenset(words(language)["grammar"]["loud"])


@lru_cache(maxsize=8)
def _ours(language: str) -> frozenset[str]:
    """Words that say whose: my, our."""
    return frozenset(words(language)["grammar"].get("ours", ()))


@lru_cache(maxsize=8)
def _general(language: str) -> frozenset[str]:
    """Stems of words at the end of a name that say only that it is a device: maker, machine."""
    return frozenset(stem(word, language) for word in words(language)["grammar"].get("general", ()))


@lru_cache(maxsize=64)
def _phrase_words(language: str, group: str) -> frozenset[str]:
    return frozenset(word for phrase in _phrases(language, group) for word in phrase)


@lru_cache(maxsize=64)
def _openings(language: str, group: str) -> frozenset[str]:
    """The words that phrases of a group begin with."""
    return frozenset(phrase[0] for phrase in _phrases(language, group))


@lru_cache(maxsize=64)
def _phrases(language: str, group: str) -> tuple[tuple[str, ...], ...]:
    """Phrases of a group of the grammar, the longest first."""
    found = [tuple(plain(phrase).split()) for phrase in words(language)["grammar"].get(group, ())]
    return tuple(sorted(found, key=len, reverse=True))


def _find(said: Sequence[Word], phrase: tuple[str, ...]) -> int:
    for at in range(len(said) - len(phrase) + 1):
        if said[at].text == phrase[0] and tuple(word.text for word in said[at : at + len(phrase)]) == phrase:
            return at
    return -1


__all__ = ["PARTS_MAX", "Described", "Describer", "Word"]
