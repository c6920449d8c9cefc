"""An answer to the question which of several things was meant: "the first one", "both", "the one in the kitchen".

The candidates are those of the question, and nothing else: an answer never reaches a thing that was not offered. The
sentence that led to the question is read again in a home where, of the candidates, only the chosen one is there; its
values carry the words of the answer, so nothing claims a proof that it does not have. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.conversation import TURN_AGE_MS
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Word, normalise
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase, listed
from kindmesh.coordinator.brain.cortex.readings import Part, Reading
from kindmesh.coordinator.brain.cortex.terms import Recognised, Turn

ANSWER_MAX: Final = 7
"""Words of an answer; what is longer is a sentence of its own."""
_ACCESS: Final = "home.access"


class Choices:
    """Reads answers in one language; a language without the words for it has none."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def asked(self, phrase: Phrase) -> tuple[Turn, tuple[Entity, ...]] | None:
        """The last turn and the candidates that it offered; None when nothing is open."""
        turn = phrase.situation.turns[-1] if phrase.situation.turns else None
        if (
            turn is None
            or not turn.recognised
            or not 0 <= phrase.situation.now_ms - turn.at_ms <= TURN_AGE_MS
        ):
            return None
        last = turn.recognised[-1]
        home = phrase.situation.home
        offered = tuple(home.entities[one] for one in last.entities if one in home.entities)
        return (turn, offered) if last.question and not last.acts and len(offered) > 1 else None

    def chosen(self, phrase: Phrase, offered: Sequence[Entity]) -> tuple[Entity, ...]:
        """Which of the candidates the words choose; empty: they say nothing of that."""
        lower = [word.low for word in phrase.plain if word.low not in self._language.articles]
        lower = [word for word in lower if word not in self._group("choice_words")]
        text = " ".join(word.low for word in phrase.plain)
        if text in self._group("choice_all"):
            return tuple(offered)
        if not lower or len(phrase.plain) > ANSWER_MAX or any(word in self._language.verbs for word in lower):
            return ()
        if len(lower) == 1:
            for at, names in enumerate(self._group("choice_order")):
                if lower[0] in names.split():
                    return (offered[at],) if at < len(offered) else ()
            if lower[0] in self._group("choice_last"):
                return (offered[-1],)
            if lower[0] in self._group("choice_other"):
                return self._other(phrase, offered)
        wanted = {word for word in lower if word not in self._language.prepositions}
        fitting = [one for one in offered if wanted and wanted <= _known(one, phrase.situation.home)]
        return (fitting[0],) if len(fitting) == 1 else ()

    def phrases(
        self, phrase: Phrase, turn: Turn, offered: Sequence[Entity], kept: Sequence[Entity]
    ) -> Iterator[Phrase]:
        """The earlier sentence, once for each thing that was chosen, in a home without the other candidates."""
        place = phrase.plain[0].at
        words = tuple(Word(word.text, place, word.literal) for word in normalise(turn.text, self._language))
        home = phrase.situation.home
        for one in kept:
            gone = {other.id for other in offered} - {one.id}
            entities = {key: known for key, known in home.entities.items() if key not in gone}
            situation = msgspec.structs.replace(
                phrase.situation,
                home=Home(home.floors, home.areas, entities),
                turns=phrase.situation.turns[:-1],
            )
            yield Phrase(words, phrase.text, situation, phrase.language)

    def agreed(
        self, phrase: Phrase, readings: Sequence[Reading], offered: Sequence[Entity]
    ) -> Reading | None:
        """What the readings do together; None where one of them does not do it. Two doors are opened one by one."""
        parts = [part for reading in readings for part in reading.parts]
        told = [part.recognised for part in parts]
        if not told or any(reading.refusal or reading.question for reading in readings):
            return None
        if any(one.question for one in told) or not any(one.acts for one in told):
            return None
        if len(readings) > 1 and any(act.operation == _ACCESS for one in told for act in one.acts):
            return self.again(phrase, offered)
        spoken = tuple(word.at for word in phrase.plain)
        return Reading(tuple(Part(_said_now(part.recognised, spoken), part.after) for part in parts))

    def again(self, phrase: Phrase, offered: Sequence[Entity]) -> Reading:
        """The same question once more."""
        called = [one.name for one in offered]
        areas = phrase.situation.home.areas
        told = [
            f"{one.name} ({areas[one.area].name})"
            if called.count(one.name) > 1 and one.area in areas
            else one.name
            for one in offered
        ]
        names = listed(told, self._language, choice=True)
        asked = phrase.understood(
            "Choice",
            question=phrase.reply("which_other", names=names),
            entities=tuple(one.id for one in offered),
        )
        return Reading((Part(asked),))

    def _other(self, phrase: Phrase, offered: Sequence[Entity]) -> tuple[Entity, ...]:
        """Of two, the one that the turn before the question was not about."""
        turns = phrase.situation.turns
        before = turns[-2].recognised[-1].entities if len(turns) > 1 and turns[-2].recognised else ()
        left = [one for one in offered if one.id not in before]
        return tuple(left) if len(offered) == 2 and len(left) == 1 else ()

    def speaks_of_one(self, phrase: Phrase) -> bool:
        """Whether it is one of them that is spoken of ("the other one", "the blue one"), of which it is open which."""
        lower = [word.low for word in phrase.plain]
        rest = [
            word for word in lower if word not in (*self._language.articles, *self._group("choice_words"))
        ]
        other = len(rest) == 1 and rest[0] in self._group("choice_other")
        short = len(lower) <= ANSWER_MAX and not any(word in self._language.verbs for word in lower)
        return other or (short and bool(lower) and lower[-1] in self._group("choice_ends"))

    def _group(self, name: str) -> tuple[str, ...]:
        return self._language.words.get(name, ())


def _known(one: Entity, home: Home) -> set[str]:
    """The words of a thing's names, and of where it is."""
    area = home.areas.get(one.area)
    floor = home.floors.get(area.floor) if area is not None else None
    places = [place for place in (area, floor) if place is not None]
    names = [one.name, *one.aliases, *(name for place in places for name in (place.name, *place.aliases))]
    return {word for name in names for word in name.lower().replace("'s", "").split()} | {
        word for name in names for word in name.lower().split()
    }


def _said_now(found: Recognised, spoken: tuple[int, ...]) -> Recognised:
    """With the words of the answer as what was said."""
    acts = tuple(msgspec.structs.replace(act, words=dict.fromkeys(act.words, spoken)) for act in found.acts)
    clause = msgspec.structs.replace(found.clause, words=spoken)
    return msgspec.structs.replace(found, acts=acts, clause=clause)


__all__ = ["ANSWER_MAX", "Choices"]
