"""What was nearly a name: one with a slip of an ear or a finger in it, or a part of one that fits only one thing.

Enough for what does no harm (a light, a fan, the heating), never for what locks or opens. A name counts for a thing
only when no other thing is called so; where two things fit, neither does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from kindmesh.coordinator.brain.medulla.review_lexicon import STOP
from kindmesh.coordinator.brain.medulla.review_words import Words, content, stem

_SLIP_FROM: Final = 4
"""Letters of a word from which a slip in it can be told from another word."""
_NOTHING: Final = frozenset(stem(word) for word in STOP)


def nearly_named(names: Mapping[str, Sequence[str]], text: str, words: Words) -> bool:
    """Whether one of its names was said but for a slip of an ear or a finger, and no other thing's."""
    shared = Counter(name for many in names.values() for name in set(many))
    said = [word for word in words.order if len(word) >= _SLIP_FROM]
    joined = {*words.stems, *(one + other for one, other in pairwise(words.order))}

    def called(thing: str) -> bool:
        for name in names[thing]:
            parts = content(name)
            if shared[name] == 1 and parts and (
                "".join(parts) in joined
                or all(words.says(part) or any(slipped(part, word) for word in said) for part in parts)
            ):  # fmt: skip
                return True
        return False

    return called(text) and not any(called(other) for other in names if other != text)


def only_fits(
    names: Mapping[str, Sequence[str]], kinds: Mapping[str, frozenset[str]], text: str, words: Words
) -> bool:
    """Whether all the words that named it (not the whole sentence) are of its name, its place or its kind, at least one
    of them of its name, and of no other thing are they all."""
    said = {word for word in words.stems if word not in _NOTHING}

    def fits(thing: str) -> bool:
        kind = thing.partition(".")[0]
        known = {word for name in names[thing] for word in content(name)}
        return said <= known | kinds.get(kind, frozenset())

    own = {
        word
        for name in names[text]
        if sum(name in many for many in names.values()) == 1
        for word in content(name)
    }
    return bool(said & own) and fits(text) and not any(fits(other) for other in names if other != text)


def slipped(name: str, said: str) -> bool:
    """Whether a word was meant for another one with one letter more, less, other, or two changed places."""
    if min(len(name), len(said)) < _SLIP_FROM or name[0] != said[0] or abs(len(name) - len(said)) > 1:
        return False
    at = next((n for n, (one, other) in enumerate(zip(name, said, strict=False)) if one != other), None)
    if at is None:
        return name != said
    rest, other = name[at:], said[at:]
    return (
        rest[1:] == other[1:]
        or rest[1:] == other
        or rest == other[1:]
        or (rest[:2] == other[1::-1] and rest[2:] == other[2:])
    )


__all__ = ["nearly_named", "only_fits", "slipped"]
