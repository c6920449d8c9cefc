"""Sentences said in other words: what people say in the order of speech, in words that the grammars know.

    we have run out of bread, stick it on the list       add bread to the list
    is the pump running? if not, start it                start the pump
    shut the blind after turning off the lamp            turn off the lamp, then shut the blind
    turn on the study, no, the kitchen light             turn on the kitchen light
    give the fan half an hour                            turn on the fan for half an hour

Each way is a sentence of its own, of words that were said (with their positions) and of some that the pattern puts in;
it is read like any other, and counts only when it can be done. `first` are patterns that say more than their parts do,
so they come before the sentence is read as it stands; `after` come when nothing else is understood. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kindmesh.coordinator.brain.cortex.durations import Durations
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.template import Template, said

_PANEL: Final = "alarm_control_panel"
_ITEM_MAX: Final = 6


class Rephrase:
    """The patterns of one language; a language without any has no other words."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._durations = Durations(language)
        self._first = [_pattern(line) for line in language.words.get("rephrased_first", ())]
        self._after = [_pattern(line) for line in language.words.get("rephrased", ())]

    def first(self, phrase: Phrase) -> Iterator[Words]:
        """Ways that come before the sentence as it stands."""
        yield from self._armed(phrase)
        yield from self._listed(phrase)
        yield from _matched(self._first, phrase)

    def after(self, phrase: Phrase) -> Iterator[Words]:
        """Ways that come when nothing is understood."""
        words = phrase.words
        for way in (
            self._known_state(words),
            self._ordered(words),
            self._corrected(words),
            self._ended(words),
        ):
            if way and way != words:
                yield way
        yield from self._given(phrase)
        yield from _matched(self._after, phrase)

    def _group(self, name: str) -> tuple[str, ...]:
        return self._language.words.get(name, ())

    def _armed(self, phrase: Phrase) -> Iterator[Words]:
        """ "Set the burglar alarm" is about the panel of that name, and no alarm clock."""
        words = phrase.words
        if len(words) < 3 or words[0].low not in self._group("arming"):
            return
        end = next((n for n, word in enumerate(words) if word.text == COMMA), len(words))
        name = " ".join(word.low for word in words[1:end] if word.low not in self._language.articles)
        for one in phrase.situation.home.entities.values():
            if one.domain == _PANEL and name in {one.name.lower(), *(alias.lower() for alias in one.aliases)}:
                yield (Word(self._group("arm")[0], words[0].at), *words[1:])

    def _listed(self, phrase: Phrase) -> Iterator[Words]:
        """ "Shopping list: cheese": a list's name, a colon, and what goes on it."""
        heard = phrase.text.split()
        at = next(
            (n for n, word in enumerate(phrase.words) if n and word.text == COMMA and not word.literal), 0
        )
        if not at or len(phrase.words) < at + 2 or not heard[phrase.words[at].at].endswith(":"):
            return
        name, item = phrase.words[:at], phrase.words[at + 1 :]
        wanted = " ".join(word.low for word in name if word.low not in self._language.articles)
        lists = [one for one in phrase.situation.home.entities.values() if one.domain == "todo"]
        names = {called.lower() for one in lists for called in (one.name, *one.aliases)}
        group = self._group("list_add")
        if wanted in names and len(item) <= _ITEM_MAX and len(group) == 2:
            yield (Word(group[0], name[0].at), *item, Word(group[1], name[0].at), *name)

    def _known_state(self, words: Words) -> Words:
        """ "If the radio is on, turn it off", "is the pump running? if not, start it": the command, which does nothing
        where it is so already."""
        plain = tuple(word for word in words if word.text != COMMA)
        lower = [word.low for word in plain]
        if len(lower) < 6:
            return ()
        if lower[0] in self._group("condition_if"):
            be = next((n for n, word in enumerate(lower) if word in self._language.be), 0)
            if be < 2 or be + 3 > len(lower):
                return ()
            thing, state, rest = plain[1:be], lower[be + 1], plain[be + 2 :]
            ends = self._group("ends")
        elif lower[0] in self._language.be:
            negated = next(
                (n for n in range(3, len(lower) - 2) if lower[n : n + 2] == list(self._group("if_not"))), 0
            )
            if not negated:
                return ()
            thing, state, rest = plain[1 : negated - 1], lower[negated - 1], plain[negated + 2 :]
            ends = self._group("reaches")
        else:
            return ()
        rest = rest[1:] if rest and rest[0].low in self._group("condition_then") else rest
        place = next((n for n, word in enumerate(rest) if n and word.low in self._group("pronouns")), 0)
        if not place or len(rest) > 4 or not thing:
            return ()
        command = " ".join(word.low for word in (*rest[:place], *rest[place + 1 :]))
        if f"{command}:{state}" not in ends:
            return ()
        return (*rest[:place], *thing, *rest[place + 1 :])

    def _ordered(self, words: Words) -> Words:
        """ "Shut the blind after turning off the lamp and lock the door": in the order in which it is to be done."""
        for at in range(2, len(words) - 2):
            side = words[at].low
            if side not in (*self._group("done_after"), *self._group("done_before")):
                continue
            rest = words[at + 1 :]
            first = rest[0].low
            if first in self._language.participles:
                rest = (Word(self._language.participles[first], rest[0].at), *rest[1:])
            elif first in self._group("not_ours_i") and len(rest) > 2 and rest[1].low in self._language.verbs:
                rest = rest[1:]
            else:
                continue
            end = next((n for n, one in enumerate(rest) if one.low in self._language.times.and_), len(rest))
            then = Word(self._language.ordered[-1], words[at].at)
            head = words[: at - 1] if words[at - 1].text == COMMA else words[:at]
            if side in self._group("done_after"):
                return (*rest[:end], then, *head, *rest[end:])
            return (*head, then, *rest)
        return ()

    def _corrected(self, words: Words) -> Words:
        """ "Turn on the study, no, the kitchen light": what comes after "no" in the place of what is like it."""
        for at in range(2, len(words) - 1):
            if words[at].low not in self._group("correcting"):
                continue
            before = _without_comma(words[:at])
            after = words[at + 1 :]
            while after and (after[0].text == COMMA or after[0].low in self._group("correcting_more")):
                after = after[1:]
            if not after or not before:
                continue
            if after[0].low in self._language.verbs:
                return after if after[0].low == before[0].low else ()
            numbers = [n for n, word in enumerate(before) if self._is_number(word)]
            if self._is_number(after[0]):
                return (*before[: numbers[-1]], *after) if numbers else ()
            cut = [n for n, word in enumerate(before) if word.low in self._language.articles]
            if after[0].low in self._language.articles and cut:
                return (*before[: cut[-1]], *after)
        return ()

    def _is_number(self, word: Word) -> bool:
        numbers = self._language.numbers
        return word.low[:1].isdigit() or word.low in numbers.small or word.low in numbers.tens

    def _ended(self, words: Words) -> Words:
        """ "On for an hour, then off": the end is said twice."""
        lower = [word.low for word in words]
        for phrase in self._group("and_off"):
            tail = phrase.split(" ")
            if len(lower) > len(tail) + 3 and lower[-len(tail) :] == tail:
                return _without_comma(words[: -len(tail)])
        return ()

    def _given(self, phrase: Phrase) -> Iterator[Words]:
        """ "Give the rice 12 minutes": a timer, where there is one for it; else it is on for as long."""
        words, verb = phrase.plain, self._group("giving")
        if len(words) < 4 or words[0].low not in verb:
            return
        at = next((n for n in range(2, len(words)) if self._durations.read(words, n)[1] == len(words) - n), 0)
        if not at:
            return
        thing, length, place = words[1:at], words[at:], words[0].at
        said_of = [word.low for word in thing if word.low not in self._language.articles]
        timers = [one for one in phrase.situation.home.entities.values() if one.domain == "timer"]
        known = any(
            set(said_of) <= set(f"{one.name} {' '.join(one.aliases)}".lower().split()) for one in timers
        )
        for line in self._group("given_timer" if known else "given"):
            yield _filled(line, {"thing": thing, "length": length}, place)


def _without_comma(words: Words) -> Words:
    while words and words[-1].text == COMMA:
        words = words[:-1]
    return words


def _pattern(line: str) -> tuple[Template, str]:
    pattern, _, way = line.partition(" => ")
    return Template(pattern), way


def _matched(patterns: Sequence[tuple[Template, str]], phrase: Phrase) -> Iterator[Words]:
    plain = phrase.plain
    text = said(plain)
    for template, way in patterns:
        found = template.match_said(text, plain)
        if found is not None:
            # The words that a pattern puts in stand where no slot is, so that they are part of no value.
            slots = {word.at for words in found.slots.values() for word in words}
            place = next((word.at for word in plain if word.at not in slots), plain[0].at)
            yield _filled(way, found.slots, place)


def _filled(way: str, slots: dict[str, Words], place: int) -> Words:
    """The words of a way: those of slots as they were said, the others where the sentence begins."""
    made: list[Word] = []
    for part in way.split(" "):
        made += slots.get(part[1:-1], ()) if part.startswith("{") else (Word(part, place),)
    return tuple(made)


__all__ = ["Rephrase"]
