"""Numbers in words: "one hundred and twenty five" is 125. Digits count too, with a decimal point or comma.

A number is read as far as it goes and no further: "seven thirty" is 7 and then 30, so a clock can be told from a sum.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Word

_DIGITS: Final = re.compile(r"\d{1,9}(?:[.,]\d{1,3})?")


def number_at(words: Sequence[Word], at: int, language: Language) -> tuple[float, int]:
    """The number that begins at `at` and how many words it takes; 0 words when there is none."""
    if at >= len(words):
        return 0.0, 0
    if _DIGITS.fullmatch(words[at].low):
        return float(words[at].low.replace(",", ".")), 1
    names = language.numbers
    total, part, length, last = 0, 0, 0, ""
    while at + length < len(words):
        word = words[at + length].low.replace("-", " ").split(" ")
        step = 0
        for name in word:
            if name in names.scales and last in ("small", "tens"):
                scale = names.scales[name]
                part = part * scale
                if scale >= 1000:
                    total, part = total + part, 0
                last, step = "scale", 1
            elif name in names.tens and last in ("", "scale"):
                part, last, step = part + names.tens[name], "tens", 1
            elif name in names.small and (
                last in ("", "scale") or (last == "tens" and 0 < names.small[name] < 10)
            ):
                part, last, step = part + names.small[name], "small", 1
            else:
                step = 0
                break
        if (
            not step
            and word[0] in names.and_
            and last == "scale"
            and _begins(words, at + length + 1, language)
        ):
            step = 1
        if not step:
            break
        length += 1
    return float(total + part), length


def number(words: Sequence[Word], language: Language) -> float | None:
    """The number that all of the words say; None when they say something else."""
    value, length = number_at(words, 0, language)
    return value if length and length == len(words) else None


def _begins(words: Sequence[Word], at: int, language: Language) -> bool:
    if at >= len(words):
        return False
    name = words[at].low.split("-")[0]
    return name in language.numbers.small or name in language.numbers.tens


__all__ = ["number", "number_at"]
