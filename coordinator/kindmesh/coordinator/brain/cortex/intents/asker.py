"""Questions that ask for more than the state of what was described: phrases whose holes have rules of their own.

What something measures or senses, whether a word such as "done" is true of it (`truths.py`), where it is warmest
(`comparing.py`), how long a timer still has. Each reads the holes of one phrase and gives a `Meaning`, or None.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import Book, determiners, plain, stem
from kindmesh.coordinator.brain.cortex.intents.comparing import indoors
from kindmesh.coordinator.brain.cortex.intents.describe import Described, Describer, Word
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.making import SCORE, Maker
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target
from kindmesh.coordinator.brain.cortex.intents.phrase_table import Phrase
from kindmesh.coordinator.brain.cortex.intents.sensing import measuring, sensing
from kindmesh.coordinator.brain.cortex.intents.truths import MORE, called, domains_of
from kindmesh.coordinator.brain.cortex.intents.words import words

Holes = Mapping[str, list[Word]]


class Asker(msgspec.Struct, frozen=True):
    """Reads such phrases for one home, in one language; `area`: where it is asked."""

    home: Home
    book: Book
    language: str
    area: str = ""

    def _names(self) -> Describer:
        return Describer(self.home, self.book, self.language)

    def measure(self, phrase: Phrase, holes: Holes, place: list[Word]) -> Meaning | None:
        """ "The humidity in the bath", "the battery of the lock"."""
        measured, said = holes.get("m", []), [*holes.get("t", []), *place]
        kind = str(phrase.slots.get("measure", ""))
        found = measuring(self._names(), self.area, [word.text for word in measured], kind, said)
        if found is None:
            return None
        target = Target(ids=(found.id,), words=tuple(word.at for word in (*measured, *said)))
        return Maker(self.home).made("HassGetState", {}, Described((target,)), phrase.response)

    def sensed(self, phrase: Phrase, holes: Holes, place: list[Word]) -> Meaning | None:
        """ "Smoke in the hall", "anybody on the terrace"."""
        said = [*holes.get("t", []), *place]
        found = sensing(self._names(), [word.text for word in holes["h"]], said)
        if found is None:
            return None
        target = Target(ids=tuple(one.id for one in found), every=True, words=tuple(word.at for word in said))
        return Meaning(phrase.do, {}, (target,) if found else (), phrase.response, SCORE)

    def compared(self, phrase: Phrase, holes: Holes, place: list[Word]) -> Meaning | None:
        """ "The warmest room", "warmer in the hall than in the bath"."""
        kind = str(phrase.slots["measure"])
        pool = indoors(self.home, kind, self.language)
        slots = {"order": Slot(phrase.slots["order"])}
        if phrase.response == "extreme":
            found = msgspec.structs.replace(self._names(), bare=("sensor",)).read(place) if place else None
            if place and found is None:
                return None
            where = found.targets[0] if found is not None else Target()
            pool = placed(self.home, pool, where.areas, where.floors)
            ids = tuple(one.id for one in pool)
            return (
                Maker(self.home).made(phrase.do, slots, Described((Target(ids=ids, every=True),)), "extreme")
                if ids
                else None
            )
        both = [self.measure(phrase, {"t": holes[hole]}, []) for hole in ("t", "u")]
        chosen: list[str] = []
        for meaning, hole in zip(both, ("t", "u"), strict=True):
            there = self._names_of(holes[hole], pool)
            one = there or (meaning.targets[0].ids if meaning is not None else ())
            if len(one) != 1:
                return None
            chosen += one
        return Maker(self.home).made(
            phrase.do, slots, Described((Target(ids=tuple(chosen), every=True),)), "compare"
        )

    def _names_of(self, said: list[Word], pool: tuple[Entity, ...]) -> tuple[str, ...]:
        """Those of `pool` in the one place that is said."""
        found = msgspec.structs.replace(self._names(), bare=("sensor",)).read(said)
        if found is None or found.doubt or len(found.targets) != 1 or found.targets[0].ids:
            return ()
        return tuple(
            one.id for one in placed(self.home, pool, found.targets[0].areas, found.targets[0].floors)
        )

    def timer_asked(self, phrase: Phrase, holes: Holes, place: list[Word]) -> Meaning | None:
        """How long a timer still has, by what it is for: "the eggs" are the "Egg timer"."""
        name = [word.text for word in holes["n"] if word.text not in determiners(self.language)]
        wanted = {stem(text, self.language) for text in name} - {"timer"}
        pool = [one for one in of_kind(self.home, ("timer",), ()) if wanted and any(
            wanted == {stem(text, self.language) for text in plain(called).split()} - {"timer"}
            for called in (one.name, *one.aliases))]  # fmt: skip
        if len(pool) != 1:
            return None
        slots = {"name": Slot(pool[0].name, " ".join(name), tuple(word.at for word in holes["n"]))}
        return Meaning(phrase.do, slots, (), phrase.response, SCORE)

    def so(self, phrase: Phrase, holes: Holes, place: list[Word]) -> Meaning | None:
        """Whether something is done, plugged in, all the way up."""
        spoken = holes.get("p", [])
        fixed = phrase.slots.get("truth")
        asked = fixed or words(self.language).get("truths", {}).get(" ".join(word.text for word in spoken))
        if asked is None:
            return None
        said = [*holes.get("t", []), *place]
        slots = {"state": Slot(str(asked), words=tuple(word.at for word in spoken))}
        found = msgspec.structs.replace(self._names(), domains=domains_of(asked)).read(said)
        if found is not None and not found.doubt and asked not in MORE:
            return Maker(self.home).made(phrase.do, slots, open_to(found), phrase.response)
        ids = called(self.home, asked, [word.text for word in said], self.language)
        target = Target(ids=ids, every=True, words=tuple(word.at for word in said))
        return Maker(self.home).made(phrase.do, slots, Described((target,)), phrase.response) if ids else None


def open_to(found: Described) -> Described:
    """For a question all that is meant counts, not only what is here or what would be chosen of several."""
    return Described(
        tuple(
            msgspec.structs.replace(
                one, here=one.here_said, one=False, hint="" if one.hint.startswith("class:") else one.hint
            )
            for one in found.targets
        )
    )


__all__ = ["Asker", "open_to"]
