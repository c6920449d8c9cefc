"""What people say to a house that the official grammar does not have: phrases with holes, as data of each language.

    "(dim|lower) {t} to {v}"      optional words in [ ], alternatives in ( | ), holes in { }

`{t}` is a description (`describe.py`), `{v}` a value (`values.py`), `{s}` a state to ask for. A phrase fits only when
each of its holes is understood whole, so a sentence that merely begins like a command is no command. Each phrase is one
regular expression over plain words; all of a language are tried in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.acts import DOMAINS
from kindmesh.coordinator.brain.cortex.intents.asker import Asker, open_to
from kindmesh.coordinator.brain.cortex.intents.book import Book, plain
from kindmesh.coordinator.brain.cortex.intents.choosing import option_of, resumed
from kindmesh.coordinator.brain.cortex.intents.describe import Described, Describer, Word
from kindmesh.coordinator.brain.cortex.intents.frames import HOURS, FrameReader
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.making import SCORE, Maker
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target
from kindmesh.coordinator.brain.cortex.intents.phrase_table import Phrase, phrases
from kindmesh.coordinator.brain.cortex.intents.settable import EVERYTHING, SLOT_OF, bearable, fits, together
from kindmesh.coordinator.brain.cortex.intents.truths import COMMON
from kindmesh.coordinator.brain.cortex.intents.values import COLOUR, NUMBER, Value, duration_of, value_of
from kindmesh.coordinator.brain.cortex.intents.words import words

WORDS_MAX: Final = 32
"""Words of a sentence that can be a phrase."""
OPTION_LETTERS_MIN: Final = 7
NAME_WORDS_MAX: Final = 4
"""Words of a timer's name."""
TRUTH: Final = "truth"
_Maker = Callable[[Phrase, Mapping[str, list[Word]], list[Word]], Meaning | None]


class PhraseReader(msgspec.Struct, frozen=True):
    """Reads sentences of one home by the phrases of one language."""

    home: Home
    book: Book
    language: str
    area: str = ""

    def read(self, text: str, *, truths: bool = False) -> Iterator[Meaning]:
        """The meanings that a sentence can have, the likeliest first; `truths`: only whether something is so."""
        said = [Word(part, at) for at, word in enumerate(text.split()) for part in plain(word).split()]
        said = self._bare(self._mended(said))
        if not said or len(said) > WORDS_MAX:
            return
        fits: list[tuple[Phrase, re.Match[str], list[Word], list[Word]]] = []
        for words_, place in self._placed(said):
            line = "".join(f"{word.text} " for word in words_)
            there = {word.text for word in words_}
            for phrase in phrases(self.language):
                if (truths and phrase.response != TRUTH) or any(
                    there.isdisjoint(need) for need in phrase.needs
                ):
                    continue
                found = phrase.pattern.fullmatch(line)
                if found is not None:
                    fits.append((phrase, found, words_, place))
        for guess in (False, True):
            for phrase, found, words_, place in fits:
                meaning = self._meaning(phrase, found, words_, place, guess=guess)
                if meaning is not None and not (truths and meaning.value("state") in COMMON):
                    yield meaning
            if not guess and not truths:
                yield from FrameReader(self.home, self.book, self.language, self.area).read(said)

    def _mended(self, said: list[Word]) -> list[Word]:
        """Common slips of ears and fingers in words that are not names."""
        slips = words(self.language)["slips"]
        return [Word(slips.get(word.text, word.text), word.at) for word in said]

    def _bare(self, said: list[Word]) -> list[Word]:
        """Without politeness at either end."""
        noise = words(self.language)["noise"]
        before = sorted((plain(one).split() for one in noise["before"]), key=len, reverse=True)
        after = sorted((plain(one).split() for one in noise["after"]), key=len, reverse=True)
        changed = True
        while changed:
            changed = False
            for phrase in before:
                if len(said) > len(phrase) and [word.text for word in said[: len(phrase)]] == phrase:
                    said, changed = said[len(phrase) :], True
            for phrase in after:
                if len(said) > len(phrase) and [word.text for word in said[-len(phrase) :]] == phrase:
                    said, changed = said[: -len(phrase)], True
        return said

    def _placed(self, said: list[Word]) -> Iterator[tuple[list[Word], list[Word]]]:
        """The sentence as it is, without a place in front ("in the kitchen ..."), and without a place or what is left
        out at the end ("turn everything off upstairs")."""
        yield said, []
        for size in Describer(self.home, self.book, self.language).tails(said):
            if size < len(said):
                yield said[:-size], said[-size:]
        grammar = words(self.language)["grammar"]
        if said[0].text in grammar["in"]:
            for size in range(2, min(6, len(said))):
                yield said[size:], said[:size]

    def _meaning(
        self, phrase: Phrase, found: re.Match[str], said: list[Word], place: list[Word], *, guess: bool
    ) -> Meaning | None:
        holes = {name: _words_of(found, name, said) for name in found.re.groupindex if found[name]}
        value: Value | None = None
        value_at: tuple[int, ...] = ()
        if "v" in holes:
            value = value_of([word.text for word in holes["v"]], self.language)
            value_at = tuple(word.at for word in holes["v"])
            if value is None or _no_value(phrase.do, value):
                return None
        slots = {name: Slot(given, words=_spoken(found, said)) for name, given in phrase.slots.items()}
        special = self._special(phrase, holes)
        if special is not None:
            return special(phrase, holes, place)
        if "s" in holes:
            state = self._state(holes["s"])
            if state is None:
                return None
            slots["state"] = Slot(
                state, " ".join(word.text for word in holes["s"]), tuple(w.at for w in holes["s"])
            )
        described = self._targets(phrase, holes.get("t"), place, slots, guess=guess)
        if described is None or (value is not None and _is_source(described, value, holes)):
            return None
        if phrase.do == "HassVacuumCleanArea" and not self._add_place(
            described, holes.get("place", place), slots
        ):
            return None
        if phrase.do == "HassGetState":
            return self._asked(phrase, described, slots)
        if phrase.do in ("set", "set_on", "both"):
            if "w" in holes:
                return self._both(described, holes, slots)
            return self._maker().setting(described, value, value_at, slots)
        if phrase.do in ("step", "step_position"):
            spoken = [word for word in said if word.at in _spoken(found, said)]
            outside = "climate" in phrase.kinds and phrase.do == "step" and self._outdoors(said)
            return None if outside else self._step(phrase, described, value, value_at, spoken)
        if value is not None:
            name = SLOT_OF.get(phrase.do, "")
            if not name or not fits(phrase.do, value) or self._rather_warm(phrase, described, holes, value):
                return None
            slots[name] = Slot(value.value, words=value_at)
        return self._maker().made(phrase.do, slots, described, phrase.response)

    def _step(
        self,
        phrase: Phrase,
        described: Described,
        value: Value | None,
        at: tuple[int, ...],
        spoken: list[Word],
    ) -> Meaning | None:
        warmth = not {word.text for word in spoken}.isdisjoint(words(self.language).get("warmth", ()))
        up, told = bool(phrase.slots.get("up", True)), at or tuple(word.at for word in spoken)
        meaning = self._maker().step(described, up=up, value=value, at=told, warmth=warmth)
        if meaning is None or "hint" not in phrase.slots:
            return meaning
        return msgspec.structs.replace(meaning, slots={**meaning.slots, "hint": Slot(True)})

    def _rather_warm(
        self, phrase: Phrase, described: Described, holes: Mapping[str, list[Word]], value: Value
    ) -> bool:
        """Whether a bare number of a bare room where there is heating is a temperature, and no brightness."""
        target, said = described.targets[0], holes.get("t", [])
        if phrase.do != "HassLightSet":
            return False
        heated = placed(self.home, of_kind(self.home, ("climate",), ()), target.areas, target.floors)
        if (
            not (target.areas or target.floors)
            or value.kind != NUMBER
            or not bearable(value.value, heated)
            or not heated
        ):
            return False
        return Describer(self.home, self.book, self.language, ("light",)).read(said) is None

    def _special(self, phrase: Phrase, holes: Mapping[str, list[Word]]) -> _Maker | None:
        """Who reads a phrase that is not about described things."""
        asker = Asker(self.home, self.book, self.language, self.area)
        if phrase.response in ("extreme", "compare"):
            return asker.compared
        if "n" in holes:
            return asker.timer_asked
        if "p" in holes or "truth" in phrase.slots:
            return asker.so
        if "h" in holes:
            return asker.sensed
        if "o" in holes:
            return self._chosen
        if "d" in holes:
            return self._timer
        return asker.measure if "m" in holes or "measure" in phrase.slots else None

    def _targets(
        self,
        phrase: Phrase,
        said: list[Word] | None,
        place: list[Word],
        slots: Mapping[str, Slot],
        *,
        guess: bool,
    ) -> Described | None:
        kinds = phrase.kinds or DOMAINS.get(phrase.do, ())
        if phrase.do == "HassGetState" and "state" in slots:
            asked = tuple(words(self.language)["asked_domains"][slots["state"].value])
            kinds = tuple(one for one in asked if not phrase.kinds or one in phrase.kinds)
        whole = words(self.language)["grammar"]["all_domains"] if phrase.do in EVERYTHING else ()
        everything = tuple(one for one in whole if one in kinds)
        describer = Describer(self.home, self.book, self.language, kinds, phrase.bare, everything, guess)
        if said is None:
            base = Target(
                domains=phrase.kinds, classes=phrase.classes, here=not phrase.signs, every=bool(phrase.signs),
                one=phrase.do not in EVERYTHING,
            )  # fmt: skip
            if not place or phrase.place:
                return Described((base,))
            where = msgspec.structs.replace(describer, bare=phrase.kinds).read(place)
            return where if where is not None and not where.doubt else None
        return describer.read([*said, *([] if phrase.place else place)])

    def _add_place(self, described: Described, said: list[Word], slots: dict[str, Slot]) -> bool:
        """The area or floor to clean, as slots; what is said of it is no place to look for the vacuum."""
        where = Describer(self.home, self.book, self.language, (), ("vacuum",)).read(said) if said else None
        if where is None or where.doubt or any(target.ids for target in where.targets):
            return False
        areas = [self.home.areas[one] for target in where.targets for one in target.areas]
        floors = [self.home.floors[one] for target in where.targets for one in target.floors]
        at = tuple(word.at for word in said)
        if areas:
            slots["area"] = Slot(areas[0].name, words=at)
        if floors:
            slots["floor"] = Slot(floors[0].name, words=at)
        ids = [one.id for one in areas]
        ids += [one.id for one in self.home.areas.values() if one.floor in {floor.id for floor in floors}]
        slots["area_ids"] = Slot(tuple(dict.fromkeys(ids)), words=at)
        return bool(ids) or any(target.here_said for target in where.targets)

    def _timer(self, phrase: Phrase, holes: Mapping[str, list[Word]], place: list[Word]) -> Meaning | None:
        """A timer, perhaps with a name or a place."""
        seconds = duration_of([word.text for word in holes["d"]], self.language)
        if seconds is None:
            return None
        at = tuple(word.at for word in holes["d"])
        parts = {"hours": seconds // 3600, "minutes": seconds % 3600 // 60, "seconds": seconds % 60}
        slots = {unit: Slot(count, str(count), at) for unit, count in parts.items() if count}
        if "x" in holes:
            name = " ".join(word.text for word in holes["x"])
            loud = {word.text for word in holes["x"]} & {*words(self.language)["grammar"]["loud"], "timer"}
            if (
                loud
                or len(holes["x"]) > NAME_WORDS_MAX
                or duration_of(name.split(), self.language) is not None
            ):
                return None
            slots["name"] = Slot(name, name, tuple(word.at for word in holes["x"]))
        if not place:
            return Meaning(phrase.do, slots, (), phrase.response, SCORE)
        found = Describer(self.home, self.book, self.language, (), ("timer",)).read(place)
        if found is None or found.doubt or found.targets[0].ids:
            return None
        return self._maker().made(phrase.do, slots, found, phrase.response)

    def _maker(self) -> Maker:
        return Maker(self.home)

    def _names(self) -> Describer:
        return Describer(self.home, self.book, self.language)

    def _chosen(self, phrase: Phrase, holes: Mapping[str, list[Word]], place: list[Word]) -> Meaning | None:
        """A source or a programme, from the list of the thing that has it; or what goes on by its title."""
        if phrase.response == "named" and not _named_so(holes["o"]):
            return None
        names = msgspec.structs.replace(self._names(), domains=phrase.kinds, bare=phrase.bare)
        said = [*holes.get("t", []), *place]
        found = (
            resumed(names, holes["o"])
            if phrase.do == "title"
            else option_of(names, self.area, holes["o"], said)
        )
        return (
            None
            if found is None
            else self._maker().made(found.intent, dict(found.slots), Described(found.targets), "default")
        )

    def _both(
        self, described: Described, holes: Mapping[str, list[Word]], slots: Mapping[str, Slot]
    ) -> Meaning | None:
        """A colour and a brightness, or a mode and degrees, said in one breath."""
        found = [
            self._maker().setting(
                described, value_of([word.text for word in holes[hole]], self.language),
                tuple(word.at for word in holes[hole]), dict(slots),
            )
            for hole in ("v", "w")
        ]  # fmt: skip
        one, other = found
        return together(one, other) if one is not None and other is not None else None

    def _asked(self, phrase: Phrase, described: Described, slots: dict[str, Slot]) -> Meaning:
        """A question: about one thing, or whether any or all of several are in a state."""
        targets = open_to(described).targets
        response = phrase.response
        if response == "auto":
            single = all(len(target.ids) == 1 for target in targets)
            whole = (
                slots["state"].value in words(self.language)["grammar"]["resting"]
                if "state" in slots
                else False
            )
            response = "one_yesno" if single and len(targets) == 1 else ("all" if whole else "any")
        return self._maker().made("HassGetState", slots, Described(targets, described.doubt), response)

    def _outdoors(self, said: list[Word]) -> bool:
        """ "It is cold outside" wishes for nothing."""
        return bool({word.text for word in said} & set(words(self.language)["grammar"]["outside"]))

    def _state(self, said: Sequence[Word]) -> str | None:
        table = words(self.language)["asked"]
        found = table.get(" ".join(word.text for word in said))
        return str(found) if found is not None else None


def _no_value(do: str, value: Value) -> bool:
    """Whether a value means something else there: an hour after "on at", an amount after "is it"."""
    if do == "HassGetState":
        return value.kind != COLOUR
    return bool(do == "set_on" and value.kind == NUMBER and value.value <= HOURS)


def _named_so(said: Sequence[Word]) -> bool:
    """Whether an option is said clearly enough to be a sentence of its own: "HDMI 1", "PlayStation", and not "one"."""
    return len(said) > 1 or len(said[0].text) >= OPTION_LETTERS_MIN


def _is_source(described: Described, value: Value, holes: Mapping[str, list[Word]]) -> bool:
    """Whether a number right after a player is part of a name, and no volume: "Radio 4"."""
    if value.kind != NUMBER or "t" not in holes or holes["t"][-1].at + 1 != holes["v"][0].at:
        return False
    target = described.targets[0]
    return target.domains == ("media_player",) or any(one.startswith("media_player.") for one in target.ids)


def _words_of(found: re.Match[str], name: str, said: list[Word]) -> list[Word]:
    first = found.string[: found.start(name)].count(" ")
    return said[first : first + found[name].count(" ")]


def _spoken(found: re.Match[str], said: list[Word]) -> tuple[int, ...]:
    """Positions of the words of the phrase itself, without its holes."""
    holes = {word.at for name in found.re.groupindex if found[name] for word in _words_of(found, name, said)}
    return tuple(word.at for word in said if word.at not in holes)


__all__ = ["SCORE", "WORDS_MAX", "PhraseReader"]
