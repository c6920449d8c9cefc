"""How a compound sentence may come apart. Only ways are made here; which of them means something is tried by `cortex`.

    turn off the lights | and | lock the door              two clauses
    turn on the kitchen | and | bedroom lights              they share the verb and the noun
    turn off the lights in the kitchen | and | the hall     they share all but the last name
    turn the lamp | and | the fan off                       they share the verb and its particle

A *segment* lies between two joins. Every way covers all words of the sentence, so nothing that was said is lost. A join
may belong to a name ("salt and pepper lamp"), therefore ways with fewer parts come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.durations import Durations, is_one
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words, starts
from kindmesh.coordinator.brain.cortex.numbers import number_at

SEGMENTS_MAX: Final = 6
"""Parts that a sentence may have; one with more is not taken apart."""


class Segment(msgspec.Struct, frozen=True):
    """Words between two joins; `ordered`: it is done only when what comes before it is."""

    words: Words
    ordered: bool = False


def segments(words: Words, language: Language) -> tuple[Segment, ...]:
    """The segments of a sentence; one when there is no join in it."""
    made: list[Segment] = []
    current: list[Word] = []
    ordered = False
    at = 0
    whole = _whole(words, language)
    joins = [(join.split(" "), join in language.ordered) for join in language.joins]
    while at < len(words):
        begin = at
        comma = words[at].text == COMMA and not words[at].literal
        at += 1 if comma else 0
        length, then = next(
            ((len(phrase), then) for phrase, then in joins if starts(words, phrase, at)), (0, False)
        )
        loose = length == 1 and words[at].low in language.words["before_verb"]
        if loose and not has_verb(words[at + 1 :], language):
            length = 0
        if words[begin].at in whole and not comma:
            length = 0
        at += length
        if not comma and not length:
            current.append(words[at])
            at += 1
            continue
        if current:
            made.append(Segment(tuple(current), ordered))
            current, ordered = [], then
        ordered = ordered or then
        if at == begin:
            at += 1
    if current:
        made.append(Segment(tuple(current), ordered))
    return tuple(made)


def _whole(words: Words, language: Language) -> set[int]:
    """Positions of joins inside a duration or number: "an hour and a half", "twenty one and a half"."""
    durations, inside = Durations(language), set[int]()
    for at, word in enumerate(words):
        if word.low not in language.times.and_:
            continue
        half = at + 1 + (1 if is_one(words, at + 1, language.times.one) else 0)
        split = any(
            length > at - begin + 1
            for begin in range(max(0, at - 4), at)
            for length in (durations.read(words, begin)[1], number_at(words, begin, language)[1])
        )
        counted = number_at(words, at - 1, language)[1] and is_one(words, half, language.times.half)
        if at and (split or counted):
            inside.add(word.at)
    return inside


def groupings(parts: Sequence[Segment], words: Words) -> Iterator[tuple[Segment, ...]]:
    """Every way to put neighbours together again, fewest parts first, all of them apart last."""
    if len(parts) > SEGMENTS_MAX:
        return
    cuts = range(1 << (len(parts) - 1))
    for mask in sorted(cuts, key=lambda one: (one.bit_count(), one)):
        made: list[Segment] = []
        begin = 0
        for number in range(len(parts)):
            if number == len(parts) - 1 or mask >> number & 1:
                made.append(_together(parts[begin : number + 1], words))
                begin = number + 1
        if len(made) > 1:
            yield tuple(made)


def _together(parts: Sequence[Segment], words: Words) -> Segment:
    if len(parts) == 1:
        return parts[0]
    first, last = words.index(parts[0].words[0]), len(words) - 1 - words[::-1].index(parts[-1].words[-1])
    return Segment(words[first : last + 1], parts[0].ordered)


def has_verb(words: Words, language: Language) -> bool:
    """Whether these words begin as a sentence of their own does."""
    return bool(words) and words[0].low in language.verbs


def shared(head: Words, followers: Sequence[Words], language: Language) -> Iterator[tuple[Words, ...]]:
    """The ways in which followers without a verb may share what their head says: full sentences, one per part."""
    particle = head[1:2] if len(head) > 1 and head[1].low in language.particles else ()
    verb = (head[0], *particle) if has_verb(head, language) else ()
    tail: Words = ()
    if followers[-1][-1].low in language.particles and len(followers[-1]) > 1:
        tail = (followers[-1][-1],)
        followers = (*followers[:-1], followers[-1][:-1])
        head = head if head[-1].low in language.particles or particle else (*head, *tail)
    elif not particle and len(head) > 1 and head[-1].low in language.particles:
        tail = head[-1:]
    # The verb for all of them.
    yield (head, *((*verb, *follower, *tail) for follower in followers))
    # The last noun for all of them as well.
    last = followers[-1]
    if len(last) > 1 and last[-1].low not in language.articles:
        noun = (last[-1],)
        stem = head[: -len(tail)] if tail else head
        yield (
            (*stem, *noun, *tail),
            *((*verb, *follower, *noun, *tail) for follower in followers[:-1]),
            (*verb, *last, *tail),
        )
    # All but the last name of the head.
    at = max(
        (n for n, word in enumerate(head) if n > len(verb) and word.low in language.prepositions), default=-1
    )
    if at > 0:
        base = head[: at + 1]
        named = [
            follower[1:] if follower[0].low in language.prepositions else follower for follower in followers
        ]
        yield (head, *((*base, *follower, *tail) for follower in named if follower))


def excepted(words: Words, language: Language) -> tuple[Words, list[list[list[Words]]]] | None:
    """What is said about all of them, and the ways to take what is left out: for each thing in it, the sentences that
    would name it alone. None when nothing is left out."""
    names = language.words
    at, length = next(
        (
            (at, len(phrase))
            for at in range(2, len(words))
            for phrase in (one.split(" ") for one in names["except"])
            if starts(words, phrase, at)
        ),
        (0, 0),
    )
    before, rest = words[:at], words[at + length :]
    if not at:
        at = next((n for n, word in enumerate(words) if n > 2 and word.low in names["leave"]), 0)
        if not at or words[at - 1].low not in (*names["but"], COMMA):
            return None
        before, rest = words[: at - 1], words[at + 1 :]
        while rest and rest[-1].low in (*names["alone"], *language.particles):
            rest = rest[:-1]
    while before and before[-1].text == COMMA:
        before = before[:-1]
    if not before or not rest:
        return None
    ends = before[-1:] if before[-1].low in language.particles else ()
    particle = before[1:2] if len(before) > 1 and before[1].low in language.particles else ends
    verb = (before[0], *particle) if has_verb(before, language) else ()
    # The name of one thing first, then an enumeration.
    parts = [part.words for part in segments(rest, language)]
    ways = [[rest], parts] if len(parts) > 1 else [[rest]]
    return before, [[[(*verb, *one), (*one, *particle)] for one in way] for way in ways]


def leaves(words: Words, language: Language) -> bool:
    """Whether it is said that something stays as it is: "but leave the heater on"."""
    return any(word.low in language.words["leave"] for word in words[:3])


__all__ = ["SEGMENTS_MAX", "Segment", "excepted", "groupings", "has_verb", "leaves", "segments", "shared"]
