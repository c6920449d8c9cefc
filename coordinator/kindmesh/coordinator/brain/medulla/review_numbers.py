"""Every number that a text says: in digits or words, with its unit, as a percentage, as a time.

`numbers_of("a quarter past seven, forty percent, an hour and a half")` holds 7, 15, 40, 0.4, 102 (of 255), 90
(minutes), 5400 (seconds) and more. The set is what a value of a plan may be without anybody having changed it; a
number that is ten times as big is not in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

from kindmesh.coordinator.brain.medulla.review_lexicon import NUMBERS, SCALES, UNITS_MS

_PART: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[%€$£:]", re.UNICODE)
_MS: Final = (1, 1_000, 60_000, 3_600_000, 86_400_000)
NUMBERS_MAX: Final = 512
_SHARES: Final = {"and a half": 0.5, "and a quarter": 0.25, "and three quarters": 0.75}


def _digits(text: str) -> list[float]:
    """`1,200` is 1200, `1.200` is 1.2 and 1200, `12,50` is 12.5; what can be read in two ways is both."""
    found: list[float] = []
    if re.fullmatch(r"\d{1,3}([.,]\d{3})+", text):
        found.append(float(re.sub("[.,]", "", text)))
    if re.fullmatch(r"\d{1,3}(,\d{3})+\.\d+", text):
        found.append(float(text.replace(",", "")))
    if re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", text):
        found.append(float(text.replace(".", "").replace(",", ".")))
    if re.fullmatch(r"\d+([.,]\d+)?", text) and not re.fullmatch(r"\d{1,3},\d{3}", text):
        found.append(float(text.replace(",", ".")))
    return found


def _spoken(parts: list[str]) -> list[tuple[int, int, float]]:
    """`(start, end, number)` of each number in words or digits, the longest reading of each place."""
    found = []
    position = 0
    while position < len(parts):
        word = parts[position]
        readings = _digits(word) if word[0].isdigit() else []
        end = position + 1
        if readings:
            if end < len(parts) and parts[end] in SCALES:
                readings = [value * SCALES[parts[end]] for value in readings]
                end += 1
            found += [(position, end, value) for value in readings]
        elif word in NUMBERS or (word in SCALES and len(word) > 1):
            end, value = _in_words(parts, position)
            found.append((position, end, value))
        position = end
    return found


def _in_words(parts: list[str], position: int) -> tuple[int, float]:
    total, current, end = 0.0, 0.0, position
    last = 1e9
    while end < len(parts):
        word = parts[end]
        if word in SCALES and len(word) > 1:
            current = (current or 1) * SCALES[word]
            if SCALES[word] >= 1_000:
                total, current = total + current, 0.0
            last = 1e9
        elif (
            word in NUMBERS
            and NUMBERS[word] < last
            and (current % 100 == 0 or (current % 10 == 0 and NUMBERS[word] < 10))
        ):
            current += NUMBERS[word]
            last = 10 if NUMBERS[word] >= 20 else 1
        elif (
            word == "and"
            and end > position
            and end + 1 < len(parts)
            and current >= 100
            and parts[end + 1] in NUMBERS
        ):
            pass
        elif word == "point" and end + 1 < len(parts) and parts[end + 1] in NUMBERS:
            return end + 2, total + current + NUMBERS[parts[end + 1]] / 10
        else:
            break
        end += 1
    return end, total + current


def _unit(word: str) -> int:
    return UNITS_MS.get(word, UNITS_MS.get(word.removesuffix("s"), 0))


@lru_cache(maxsize=256)
def numbers_of(text: str) -> frozenset[float]:
    """All numbers that `text` says; at most `NUMBERS_MAX`."""
    parts = _PART.findall(text.casefold())
    spoken = _spoken(parts)
    found: set[float] = set()
    lengths: list[tuple[int, int, float]] = []
    for start, end, value in spoken:
        found.add(value)
        following = parts[end] if end < len(parts) else ""
        if following in ("%", "percent", "per"):
            found |= {value / 100, round(value * 255 / 100), round(value * 254 / 100), value * 255 / 100}
        if following in ("c", "p", "cent", "cents", "pence"):
            found.add(value / 100)
        if _unit(following):
            lengths.append((start, end + 1, value * _unit(following)))
        share = _SHARES.get(" ".join(parts[end : end + 3]), 0.0)
        if share and _unit((parts[end + 3 : end + 4] or [""])[0]):
            lengths.append((start, end + 4, (value + share) * _unit(parts[end + 3])))
        if following in ("am", "pm") or (following and parts[start - 1 : start] == ["at"]):
            found |= {value % 12, value % 12 + 12}
    for (_, end, one), (start, _, other) in pairwise(spoken):
        between = parts[end:start]
        # Twelve fifty; twelve euros fifty; half past does not add.
        if one == int(one) and 0 < other < 100 and len(between) <= 1 and between[:1] != ["and"]:
            if not between or between[0] in (
                "€",
                "$",
                "£",
                "euro",
                "euros",
                "dollar",
                "dollars",
                "pound",
                "pounds",
                "point",
                ":",
            ):
                found.add(one + other / 100)
        elif between in (["euros", "and"], ["dollars", "and"], ["pounds", "and"], ["euro", "and"]):
            found.add(one + other / 100)
    lengths += _articles(parts)
    lengths.sort()
    for number, (_, end, length) in enumerate(lengths):
        found |= {length / unit for unit in _MS}
        total, reach = length, end
        for start, beyond, more in lengths[number + 1 :]:
            if start - reach > 1 or more >= length:
                break
            total, reach = total + more, beyond
            found |= {total / unit for unit in _MS}
        more = _SHARES.get(" ".join(parts[reach : reach + 3]), 0.0)
        found |= {length * (1 + more) / unit for unit in _MS}
    found |= {value + _SHARES.get(" ".join(parts[end : end + 3]), 0.0) for _, end, value in spoken}
    found |= _idioms(parts)
    return frozenset(sorted(found)[:NUMBERS_MAX])


def _articles(parts: list[str]) -> list[tuple[int, int, float]]:
    """`an hour`, `a minute`, `half an hour`, `quarter of an hour`, `an hour and a half`."""
    found: list[tuple[int, int, float]] = []
    for position, word in enumerate(parts[:-1]):
        unit = _unit(parts[position + 1])
        before = parts[max(0, position - 2) : position]
        ahead = word == "next" and before == ["for", "the"]
        if not unit or (word not in ("a", "an", "half", "another") and not ahead):
            continue
        if word == "half" or before[-1:] == ["half"]:
            found.append((position, position + 2, unit * 0.5))
        elif not {"quarter", "quarters"}.isdisjoint(before):
            found.append((position, position + 2, unit * 0.25))
            if "three" in parts[max(0, position - 3) : position]:
                found.append((position, position + 2, unit * 0.75))
        else:
            found.append((position, position + 2, float(unit)))
    return found


def _idioms(parts: list[str]) -> set[float]:
    words = set(parts)
    found: set[float] = set()
    if words & {"half", "halfway"}:
        found |= {0.5, 50.0, 127.0, 128.0, 30.0}
    if "quarter" in words or "quarters" in words:
        found |= {0.25, 25.0, 15.0, 45.0}
        if "three" in words:
            found |= {0.75, 75.0}
    if words & {"third", "thirds"}:
        found |= {33.0, 67.0, 66.0, 34.0} if words & {"two", "thirds"} else {33.0, 34.0}
    if words & {
        "full",
        "fully",
        "max",
        "maximum",
        "completely",
        "flat",
        "highest",
        "brightest",
        "possible",
        "entirely",
    }:
        found |= {1.0, 100.0, 254.0, 255.0}
    if {"all", "way"} <= words:
        found |= {1.0, 100.0, 254.0, 255.0}
    if words & {"min", "minimum", "zero", "off", "nothing"}:
        found |= {0.0}
    if words & {"a", "an"}:
        found.add(1.0)
    if words & {"noon", "midday"}:
        found.add(12.0)
    if "midnight" in words:
        found |= {0.0, 24.0}
    return found


__all__ = ["NUMBERS_MAX", "numbers_of"]
