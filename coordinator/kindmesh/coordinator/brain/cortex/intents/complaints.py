"""What is wrong is a wish for what helps: "it is gloomy in the study", "that TV is far too loud", "I'm freezing".

Only of the home, and only now: who or what is spoken of has to be "it", "I", a thing or a room that is here, with
nothing left over, and of a thing or a room it has to be too much ("the lamp is bright" is no wish).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.intents.book import Book, determiners, plain
from kindmesh.coordinator.brain.cortex.intents.describe import Described, Describer, Word
from kindmesh.coordinator.brain.cortex.intents.frame_table import (
    DIMENSIONS,
    Complaint,
    FrameTable,
    frame_table,
)
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.making import Maker
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target
from kindmesh.coordinator.brain.cortex.intents.words import words

SUBJECT_WORDS_MAX: Final = 6
_WARMTH: Final = frozenset({"warmer", "cooler"})


class ComplaintReader(msgspec.Struct, frozen=True):
    """Reads complaints about one home. `area`: where it was said."""

    home: Home
    book: Book
    language: str
    area: str = ""

    def read(self, said: Sequence[Word]) -> Iterator[Meaning]:
        """The wish that a statement is, if it is one."""
        table = frame_table(self.language)
        texts = [word.text for word in said]
        if table is None or len(texts) < 2:
            return
        for size in range(1, min(SUBJECT_WORDS_MAX, len(said) - 1) + 1):
            subject, rest = list(said[:size]), said[size:]
            if rest[0].text in table.be:
                rest = rest[1:]
            elif subject[-1].text in table.subjects:
                pass
            elif subject[-1].text.endswith("s"):  # "the radio's"
                subject[-1] = Word(subject[-1].text[:-1], subject[-1].at)
            else:
                continue
            meaning = self._wish(subject, rest, table)
            if meaning is not None:
                yield meaning
                return
        if texts[0] not in table.complaints and texts[0] not in table.subjects:
            meaning = self._wish([], said, table)  # "a bit chilly in here"
            if meaning is not None:
                yield meaning

    def _wish(self, subject: list[Word], rest: Sequence[Word], table: FrameTable) -> Meaning | None:
        very, rest = _split(rest, table.very)
        wrong, after = _split(rest, table.complaints)
        if not wrong:
            return None
        complaint = table.complaints[wrong]
        after = _ended(after, table.after)
        at = tuple(word.at for word in rest[: len(wrong.split())])
        named = " ".join(word.text for word in subject)
        if named in table.subjects or not subject:
            if not subject and not (very and after):
                return None
            return self._about(complaint, after, at)
        if very not in table.too:
            return None
        return self._about(complaint, [*subject, *after], at)

    def _about(self, complaint: Complaint, where: Sequence[Word], at: tuple[int, ...]) -> Meaning | None:
        row = DIMENSIONS[complaint.sign]
        if {word.text for word in where} & set(words(self.language)["grammar"]["outside"]):
            return None
        said = " ".join(word.text for word in where)
        near = said in {plain(one) for one in words(self.language)["grammar"]["here"]}
        rest = [] if near else [word for word in where if word.text not in determiners(self.language)]
        describer = Describer(self.home, self.book, self.language, row.kinds, row.bare)
        if not rest:
            described: Described | None = Described(
                (Target(domains=row.bare, here=True, one=row.bare[0] != "light", words=at),)
            )
        else:
            described = describer.read(where)
        if described is None or described.doubt:
            return None
        things = self._things(described)
        if not things:
            return None
        if complaint.switch and not any(one.state == "on" for one in things if rest or self.area):
            return Maker(self.home).made("HassTurnOn", {"hint": Slot(True)}, described, "lights_area")
        if complaint.sign in _WARMTH and {one.domain for one in things} == {"light"}:
            return None
        fit = [one for one in things if _helps(one, complaint.sign)]
        if not fit and (rest or self.area):
            return None
        if len(fit) < len(things) and (rest or self.area):
            described = Described((Target(ids=tuple(one.id for one in fit), every=len(fit) > 1, words=at),))
        meaning = Maker(self.home).step(described, up=row.up, value=None, at=at)
        if meaning is None:
            return None
        return msgspec.structs.replace(meaning, slots={**meaning.slots, "hint": Slot(True)})

    def _things(self, described: Described) -> tuple[Entity, ...]:
        found: list[Entity] = []
        for target in described.targets:
            if target.ids:
                found += [self.home.entities[one] for one in target.ids]
                continue
            areas = target.areas or ((self.area,) if self.area and not target.floors else ())
            found += placed(
                self.home, of_kind(self.home, target.domains, target.classes), areas, target.floors
            )
        return tuple(found)


def _split(said: Sequence[Word], known: Container[str]) -> tuple[str, Sequence[Word]]:
    """The longest of the known phrases that the words begin with, and the rest."""
    for size in range(min(4, len(said)), 0, -1):
        key = " ".join(word.text for word in said[:size])
        if key in known:
            return key, said[size:]
    return "", said


def _ended(said: Sequence[Word], known: Container[str]) -> Sequence[Word]:
    """Without what is only said along: "too dark to read", "too warm to sleep in here"."""
    for size in (3, 2, 1):
        texts = [word.text for word in said]
        if len(said) >= size and " ".join(texts[-size:]) in known:
            return said[:-size]
        if len(said) >= size and " ".join(texts[:size]) in known:
            return said[size:]
    return said


def _helps(one: Entity, sign: str) -> bool:
    """Whether more or less of a thing would help: what is off has nothing to be less of, and a cooler does not heat."""
    if one.domain in ("light", "media_player", "fan"):
        return one.state not in ("off", "standby", "unavailable")
    if one.domain == "climate":
        modes = {str(mode) for mode in one.attributes.get("hvac_modes", ())}
        wanted = {"heat", "heat_cool", "auto"} if sign == "warmer" else set(modes)
        return (
            one.state != "off"
            and (not modes or bool(modes & wanted))
            and not (sign == "warmer" and one.state in ("cool", "dry", "fan_only"))
        )
    return True


__all__ = ["ComplaintReader"]
