"""What is said around a command: how things are, and what it is for.

    it is stuffy, | turn the fan on             a statement and a command
    turn the lamp on | so that I can read       a command and its purpose
    the blinds in the study, | shut them        what it is about, and a command
    Emma is asleep, | turn her lamp off         who "her" is, and a command

A statement is never a wish, a report or a condition, and has no "not" that could be about the command: one that is
not surely harmless is no statement, and then the sentence is not understood. What a statement names stands in for "it",
"her" or "there" in the command, with its own words, so that a value still names the words that it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.lists import items_of
from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words, starts
from kindmesh.coordinator.brain.cortex.split import Segment

SUBJECT_MAX: Final = 5
"""Words before the verb of a statement."""
TAIL_MAX: Final = 12
COMMENT_MAX: Final = 7
"""Words of a remark that is no statement."""
"""Words of a purpose."""
Names = Callable[[Words], bool]
"""Whether these words describe things of the home."""


class Divided(msgspec.Struct, frozen=True):
    """The command's words, and the statements around it (in order)."""

    command: Words
    context: tuple[Words, ...]


class Background:
    """Tells statements from commands in one language; a language without the words for it has no statements."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = language.words

    def divide(self, parts: Sequence[Segment], words: Words, home: Home) -> Divided | None:
        """A sentence of one command (which may be compound) and statements; None when it is not like that."""
        idle = [
            self.states(part.words) or (_set_off(part.words, words) and self._comments(part.words, home))
            for part in parts
        ]
        wanted = [number for number, one in enumerate(idle) if not one]
        if not wanted or all(not one for one in idle):
            return None
        first, last = wanted[0], wanted[-1]
        if any(idle[first : last + 1]):
            return None
        begin, end = parts[first].words[0].at, parts[last].words[-1].at
        command = tuple(word for word in words if begin <= word.at <= end)
        context = tuple(part.words for part, one in zip(parts, idle, strict=True) if one)
        return Divided(command, context) if command else None

    def states(self, words: Words) -> bool:
        """Whether these words only say how things are."""
        lower = [word.low for word in words if word.text != COMMA]
        if lower and lower[0] in self._group("reasons"):
            lower = lower[1:]
        if len(lower) < 2 or self.wishes(lower):
            return " ".join(lower) in self._group("exclaims")
        if not self._harmless(lower):
            return False
        if lower[0] in self._group("subjects"):
            return lower[1] not in self._language.particles
        if lower[0] in self._language.verbs:
            return False
        return any(word in self._group("finite") for word in lower[1 : SUBJECT_MAX + 1])

    def _comments(self, words: Words, home: Home) -> bool:
        """Whether these words, without a verb that could be one of a command, are about nothing of the home."""
        lower = [word.low for word in words if word.text != COMMA]
        if not self._group("quoting"):
            # A language without the words for what others said cannot tell a remark from a report.
            return False
        if not 2 <= len(lower) <= COMMENT_MAX or self.wishes(lower) or not self._harmless(lower):
            return False
        # "Paint the fence" tells somebody to; "burning the bacon" does not.
        if lower[1] in self._language.articles and not lower[0].endswith(self._group("going_on")):
            return False
        times = self._language.times
        acting = {
            *self._language.verbs,
            *self._language.particles,
            *self._group("quoting"),
            *self._words["pronouns"],
        }
        acting |= {
            *times.days,
            *times.weekdays,
            *times.every,
            *times.daily,
            *times.noon,
            *times.units,
            *times.within,
        }
        acting |= {*self._group("degrees_of")}
        acting |= {*self._language.numbers.small, *self._language.numbers.tens}
        called = [name for one in home.entities.values() for name in (one.name, *one.aliases)]
        called += [name for one in home.areas.values() for name in (one.name, *one.aliases)]
        called += [name for one in home.floors.values() for name in (one.name, *one.aliases)]
        known = {part.removesuffix("'s") for name in called for part in name.lower().split()}
        return not any(word in acting or word in known or word[:1].isdigit() or not word for word in lower)

    def subject(self, words: Words) -> Words:
        """What a statement speaks of: its words before the verb."""
        for at, word in enumerate(words):
            if at and word.low in self._group("finite"):
                return words[:at]
        return ()

    def purposes(self, words: Words) -> Iterator[Words]:
        """The sentence without what it is for, or why it is said, at its end."""
        for at in range(2, len(words)):
            for phrase in self._group("purposes"):
                opening = phrase.split(" ")
                tail = words[at + len(opening) :]
                if not starts(words, opening, at) or len(tail) > TAIL_MAX:
                    continue
                if not tail and opening[0] not in self._group("alone_at_end"):
                    continue
                head = words[: at - 1] if words[at - 1].text == COMMA else words[:at]
                if len(head) > 1 and self._aims(opening, [word.low for word in tail]):
                    yield head

    def ways(
        self, divided: Divided, home: Home, describes: Names
    ) -> tuple[tuple[Words, ...], tuple[Words, ...]]:
        """The command, with what it leaves to its context put in: the ways to read it by itself, and the ways to read
        it in the place that was spoken of."""
        command, context = divided.command, divided.context
        place = next((found for one in context for found in self._places(one, home)), ())
        made = command
        for at, word in enumerate(command):
            if at and word.low in self._group("there") and place:
                before = at - 1 if command[at - 1].low in self._group("within_place") else at
                inside = Word(self._group("within_place")[0], place[0].at)
                return ((*command[:before], inside, *place, *command[at + 1 :]),), ()
            if word.low in self._group("possessives"):
                owner = next((found for one in context for found in self._people(one, home)), None)
                if owner is not None:
                    made = (*command[:at], Word(f"{owner.text}'s", owner.at), *command[at + 1 :])
        standing = self._standing(made, context, home, describes)
        if standing:
            return (standing,), ()
        if not place:
            return (made,), ()
        inside = Word(self._group("within_place")[0], place[0].at)
        return (made,), ((*made, inside, *place),)

    def _standing(self, command: Words, context: tuple[Words, ...], home: Home, describes: Names) -> Words:
        """The command with what "it" stands for in its place; empty without one."""
        at = next((n for n, word in enumerate(command) if n and word.low in self._words["pronouns"]), 0)
        if not at:
            return ()
        last = at + 1 < len(command) and command[at + 1].low in self._language.particles
        if not (last or at + 1 == len(command) or command[at + 1].low in self._group("after_pronoun")):
            return ()
        meant = [one for words in context for one in self._items(words, home)]
        if not meant:
            topics = [subject for words in context if (subject := self.subject(words))]
            meant = [one for one in topics if describes(one)] or self._named(context, home)
        return (*command[:at], *meant[0], *command[at + 1 :]) if len(meant) == 1 else ()

    def topic(self, parts: Sequence[Segment], words: Words) -> Divided | None:
        """ "The blinds in the study, shut them": what it is about stands in front, with no verb."""
        if (
            len(parts) < 2
            or self.states(parts[0].words)
            or not self._harmless([w.low for w in parts[0].words])
        ):
            return None
        rest = tuple(word for word in words if word.at > parts[0].words[-1].at and word.text != COMMA)
        at = next((n for n, word in enumerate(rest) if n and word.low in self._words["pronouns"]), 0)
        if not at or rest[0].low not in self._language.verbs:
            return None
        return Divided((*rest[:at], *parts[0].words, *rest[at + 1 :]), (parts[0].words,))

    def _items(self, words: Words, home: Home) -> list[Words]:
        """Entries of lists that a statement speaks of."""
        if not any(word.low in self._group("having") for word in words):
            return []
        summaries = {
            str(row["summary"]).casefold() for one in home.entities.values() if one.domain == "todo"
            for row in items_of(one)
        }  # fmt: skip
        return [
            words[begin : begin + len(name.split())]
            for name in sorted(summaries) for begin in range(len(words)) if starts(words, name.split(), begin)
        ]  # fmt: skip

    def _named(self, context: tuple[Words, ...], home: Home) -> list[Words]:
        """The one thing that statements call by a name of its own: "I cannot see the telly"."""
        found: dict[str, Words] = {}
        for one in home.entities.values():
            for name in (one.name, *one.aliases):
                parts = name.lower().split()
                for words in context:
                    begin = next((n for n in range(len(words)) if starts(words, parts, n)), -1)
                    if begin >= 0 and len(parts) > len(found.get(one.id, ())):
                        found[one.id] = words[begin : begin + len(parts)]
        return list(found.values())

    def _places(self, words: Words, home: Home) -> Iterator[Words]:
        names = [name.lower().split() for one in home.areas.values() for name in (one.name, *one.aliases)]
        for name in sorted(names, key=len, reverse=True):
            for begin in range(1, len(words)):
                before = words[begin - 1].low
                if starts(words, name, begin) and (
                    before in self._language.articles or before in self._language.prepositions
                ):
                    yield words[begin : begin + len(name)]

    def _people(self, words: Words, home: Home) -> Iterator[Word]:
        names = {one.name.lower() for one in home.entities.values() if one.domain == "person"}
        return (word for word in words if word.low in names)

    def _aims(self, opening: Sequence[str], tail: Sequence[str]) -> bool:
        if any(word in self._language.conditions for word in tail) or self.wishes(tail):
            return False
        if opening[0] not in self._group("for_whom"):
            return True
        times = self._language.times
        counted = {*times.units, *times.days, *times.weekdays, *times.noon, *self._language.numbers.small}
        counted |= {*self._language.numbers.tens, *self._group("lasting"), *times.months, *times.every}
        harmless = not any(word in counted or word[:1].isdigit() for word in tail)
        return harmless and not any(word in self._language.negations for word in tail)

    def _harmless(self, lower: Sequence[str]) -> bool:
        """Without a condition, and without a "not" that could be about the command."""
        if any(word in self._language.conditions for word in lower):
            return False
        text = f" {' '.join(lower)} "
        for phrase in self._group("harmless_not"):
            text = text.replace(f" {phrase} ", " ")
        return not any(word in self._language.negations for word in text.split())

    def wishes(self, lower: Sequence[str]) -> bool:
        """Whether somebody wants, reports or guesses something, so that it is no plain statement."""
        text = f" {' '.join(lower)} "
        return any(f" {phrase} " in text for phrase in self._group("wishes"))

    def _group(self, name: str) -> tuple[str, ...]:
        return self._words.get(name, ())


def _set_off(part: Words, words: Words) -> bool:
    """Whether a part stands apart by a comma: "dimmer" in "yellow and a little dimmer" is no remark."""
    first, last = words.index(part[0]), words.index(part[-1])
    if first:
        return words[first - 1].text == COMMA
    return last + 1 < len(words) and words[last + 1].text == COMMA


__all__ = ["COMMENT_MAX", "SUBJECT_MAX", "TAIL_MAX", "Background", "Divided"]
