"""What German words say in the English that the rules know, word for word, with the particles that stand at the end.

`english("schließ die Tür ab")` is "lock door": a text that only the rules read (acts, kinds, numbers, times, "not"),
never one for people. Names stay what they are. A text counts as German when more of its words are German alone than
English alone. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla.review_lexicon import STOP
from kindmesh.coordinator.brain.medulla.review_lexicon_de import (
    BEGINS,
    ELSEWHERE,
    ENDS,
    GLOSS,
    OFF,
    ON,
    ONES,
    TENS,
    VERB_ENDS,
)

_PART: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+|[^\w\s]")
_SEPARABLE: Final = re.compile(
    r"(an|ein|aus|ab|auf|zu|hoch|runter|herunter)(?:zu|ge)?(schalt|mach|stell|dreh|zieh|zog|fahr|knips|schließ|schliess|"
    r"schloss|sperr)(?:en|et|t|e|n)?"
)
_CLOSING: Final = re.compile(r"(schließ|schliess|sperr)(?:e|en|t|st)?")
_ENDING: Final = frozenset({"und", "dann", "oder", "aber", "bitte", "danke", ",", ";", ".", "!", "?"})
_ARTICLES: Final = frozenset({"ein", "eine", "einen", "einem", "einer", "eines"})
_UNITS: Final = frozenset({"minute", "stunde", "sekunde", "tag", "woche"})
_HALVES: Final = re.compile(r"(zwei|drei|vier|fünf)einhalb")
_HOURS: Final = (
    "twelve",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_KIND_MIN: Final = 3
"""Letters that a compound has before its kind."""


@lru_cache(maxsize=256)
def english(text: str) -> tuple[str, frozenset[str]] | None:
    """The text in English, and those of its words that are wholly accounted for by that; None: it is not German."""
    parts = _PART.findall(text)
    if not _spoken(parts):
        return None
    found: list[str] = []
    known: set[str] = set()
    skip: set[int] = set()
    for at, part in enumerate(parts):
        meant = "" if at in skip else _meant(parts, at, skip)
        if meant is None:
            found.append(part)
            kind = _kind_of(part)
            found += [kind] if kind else []
        else:
            known.add(part)
            found += [meant] if meant else []
    return " ".join(found), frozenset(known)


def _spoken(parts: list[str]) -> bool:
    """Whether this is German: a sentence, or words of a label that can be nothing else."""
    mine = sum(map(_is_german, parts))
    if not mine:
        return any(map(_word, parts)) and all(_word(part) is not None for part in parts)
    return mine > sum(part in _ENGLISH for part in parts)


_ENGLISH: Final = STOP - ELSEWHERE


def _is_german(part: str) -> bool:
    """Whether a word is German, and no English."""
    if part in ELSEWHERE:
        return False
    return part in _ONLY or bool(_CLOSING.fullmatch(part)) or _word(part) is not None or bool(_kind_of(part))


_ONLY: Final = frozenset({"aus", "ab", "auf", "zu", "ein", "eine", "einen", "einer", "uhr", "nach"})


def _meant(parts: list[str], at: int, skip: set[int]) -> str | None:
    """What the part says where it stands; None: a name, or not known. Particles that it uses up go into `skip`."""
    part = parts[at]
    following = parts[at + 1] if at + 1 < len(parts) else ""
    if _CLOSING.fullmatch(part):
        return _closing(parts, at, skip)
    if part in _ARTICLES and following in _UNITS:
        return "an"
    if part == "halb" and _hour(following):
        skip.add(at + 1)
        return f"half past {_HOURS[_hour(following) - 1]}"
    if part == "uhr":
        return "" if re.fullmatch(r"\d{1,2}", following) else "oclock"
    if (
        part.isdigit()
        and following == "uhr"
        and at + 2 < len(parts)
        and re.fullmatch(r"\d{2}", parts[at + 2])
    ):
        skip.add(at + 2)
        return f"{part}:{parts[at + 2]}"
    place = _placed(parts, at)
    return _word(part) if place is None else place


def _closing(parts: list[str], at: int, skip: set[int]) -> str:
    """To close, to lock or to unlock, by the particle at the end of its clause."""
    end = next((n for n in range(at + 1, len(parts)) if parts[n] in _ENDING), len(parts)) - 1
    particle = parts[end] if end > at else ""
    if particle not in ("ab", "auf", "zu"):
        return "lock" if parts[at].startswith("sperr") else "close"
    skip.add(end)
    if particle == "auf":
        return "unlock"
    return "close" if particle == "zu" and not parts[at].startswith("sperr") else "lock"


def _placed(parts: list[str], at: int) -> str | None:
    """A small word whose meaning is in its place; None: this is none."""
    part = parts[at]
    following = parts[at + 1] if at + 1 < len(parts) else ""
    last = not following or following in _ENDING
    number = bool(following) and (following[0].isdigit() or _is_number(following))
    if part in (*ON, *OFF, "auf", "zu") and last:
        return "on" if part in ON else "off" if part in OFF else "open up" if part == "auf" else "close"
    if part == "auf":
        return "to" if number else ""
    if part == "um":
        unit = parts[at + 2] if at + 2 < len(parts) else ""
        return "by" if unit in ("grad", "prozent", "%") else "at"
    if part in ("vor", "nach"):
        before = parts[at - 1] if at else ""
        fits = number and (
            before == "viertel" or before[:1].isdigit() or _is_number(before) or before == "minuten"
        )
        return ("to" if part == "vor" else "past") if fits else "after" if part == "nach" else ""
    if part == "zu":
        return "too"
    if part == "aus":
        return "off from"
    return "" if part in (*ON, *OFF, *_ARTICLES) else None


def _is_number(part: str) -> bool:
    return _number(part) is not None or part in ("halb", "halbe", "voll", "volle", "hälfte", "hundert")


def _number(part: str) -> str | None:
    for ten in TENS:
        one, joint, rest = part.partition("und")
        if joint and rest == ten and one in ONES:
            return f"{GLOSS[ten]} {ONES[one]}"
    halves = _HALVES.fullmatch(part)
    if halves:
        return f"{GLOSS[halves[1]]} and a half"
    meant = GLOSS.get(part, "")
    return meant if meant in _COUNTED else None


_COUNTED: Final = frozenset({GLOSS[ten] for ten in TENS} | set(ONES.values()) | {
    "zero", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen", "hundred",
})  # fmt: skip


def _hour(part: str) -> int:
    """1..12, 0: no hour."""
    if part.isdigit() and 1 <= int(part) <= 12:
        return int(part)
    spoken = GLOSS.get(part, "")
    return _HOURS.index(spoken, 1) if spoken in _HOURS else 1 if part == "eins" else 0


def _word(part: str) -> str | None:
    """What a word says by itself; None: it is no German that is known."""
    if part in GLOSS:
        return GLOSS[part]
    number = _number(part)
    if number is not None:
        return number
    apart = _SEPARABLE.fullmatch(part)
    if apart:
        return _separable(apart[1], apart[2])
    return next(
        (
            meant
            for begin, meant in BEGINS.items()
            if part.startswith(begin) and part[len(begin) :] in VERB_ENDS
        ),
        None,
    )


def _separable(particle: str, verb: str) -> str:
    if verb.startswith(("schl", "sperr")):
        return {"ab": "lock", "zu": "lock", "auf": "unlock"}.get(particle, "close")
    return {
        "an": "switch on", "ein": "switch on", "aus": "switch off", "ab": "switch off", "auf": "open", "zu": "close",
        "hoch": "raise up",
    }.get(particle, "lower down")  # fmt: skip


def _kind_of(part: str) -> str:
    """The kind that a compound names at its end: "Stehlampe" is a lamp."""
    return next(
        (kind for end, kind in ENDS.items() if part.endswith(end) and len(part) >= len(end) + _KIND_MIN), ""
    )


__all__ = ["english"]
