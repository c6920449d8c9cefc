"""A slip of an ear or a finger: one word that was meant for another.

Enough for what does no harm (a light, a fan, the heating), never for what locks or opens.
"""

from __future__ import annotations

from typing import Final

SLIP_FROM: Final = 4
"""Letters of a word from which a slip in it can be told from another word."""

ALIKE_FIRST: Final = {"c": "sk", "s": "c", "k": "c", "g": "j", "j": "g"}
"""First letters that may sound the same: "sellar" is the cellar."""


def slipped(name: str, said: str) -> bool:
    """Whether a word was meant for another one with one letter more, less, other, or two changed places."""
    if (
        len(name) == len(said) >= SLIP_FROM
        and name[1:] == said[1:]
        and name[0] in ALIKE_FIRST.get(said[0], "")
    ):
        return True
    if min(len(name), len(said)) < SLIP_FROM or name[0] != said[0] or abs(len(name) - len(said)) > 1:
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


__all__ = ["ALIKE_FIRST", "SLIP_FROM", "slipped"]
