"""Sentences made straight before they are read: relative clauses, and what is done and undone in one breath.

the lamp that is in the study               the lamp in the study
turn off the lights that are on upstairs    turn off all the lights upstairs
turn the pump on and off again in an hour   turn the pump on | turn the pump off in an hour
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Word, Words
from kindmesh.coordinator.brain.cortex.split import Segment


def straight(words: Words, language: Language) -> Words:
    """Without a relative clause, if it only says where, or names the state that the command ends; else as it was."""
    group = language.words.get("relative", ())
    at = next(
        (n for n in range(2, len(words) - 2) if words[n].low in group and words[n + 1].low in language.be), 0
    )
    if not at:
        return words
    end = at + 2
    while end < len(words) - 1 and words[end].low in language.words.get("still", ()):
        end += 1
    after = words[end + 1].low if end + 1 < len(words) else ""
    over = not after or after in language.prepositions or after in language.words.get("floors", ())
    ended = {pair.partition(":")[2] for pair in language.words.get("ends", ()) if _said(words[:at], pair)}
    if over and words[end].low in ended:
        begin = next((n for n in range(at - 1, 0, -1) if words[n].low in language.times.the), 0)
        every = Word(language.words["every_one"][0], words[begin].at)
        return (*words[:begin], every, *words[begin:at], *words[end + 1 :]) if begin else words
    if end == at + 2 and words[end].low in language.prepositions and len(words) > end + 1:
        return (*words[:at], *words[end:])
    return words


def _said(words: Words, pair: str) -> bool:
    """Whether the command has all the words before the colon."""
    return set(pair.partition(":")[0].split()) <= {word.low for word in words}


def resumed(parts: Sequence[Segment], language: Language) -> tuple[Segment, ...]:
    """Parts, where one that begins with "off" or "on" has the verb and the thing of the part before it."""
    made: list[Segment] = []
    for part in parts:
        before = made[-1].words if made else ()
        first = part.words[0]
        switched = language.words.get("switched", ())
        at = next(
            (n for n, word in enumerate(before) if n and word.low in switched and word.low != first.low), 0
        )
        if first.low in switched and at and before[0].low in language.verbs:
            rest = tuple(word for word in part.words[1:] if word.low not in language.words["again"])
            now = language.words.get("at_once", ())
            bare = tuple(word for word in before if word.low not in now)
            made[-1] = msgspec.structs.replace(made[-1], words=bare)
            turned = tuple(first if word is before[at] else word for word in bare)
            made.append(msgspec.structs.replace(part, words=(*turned, *rest)))
            continue
        made.append(part)
    return tuple(made)


__all__ = ["resumed", "straight"]
