"""The phrases of a language, ready to be tried: each template as one regular expression over plain words.

A template needs some of its words; which ones is known beforehand, so most templates are left out by a look at a set.
Where a description is followed at once by a value, the places where one ends and the other begins are tried in turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.intents.book import plain
from kindmesh.coordinator.brain.cortex.intents.words import words

VALUE_SIZES: Final = (4, 3, 2, 1)
_TOUCHING: Final = re.compile(r"\{t\}(?: \[[^\]]*\])* \{[vsp]\}|\{d\} \{x\}")
_HOLE: Final = re.compile(r"\{(\w+)\}")


class Phrase(msgspec.Struct, frozen=True):
    """A phrase ready to be tried. `do`: an intent, or where the thing decides: `set`, `set_on` (switched on) or `step`.
    `needs`: of each of these sets a sentence has a word, or it is not tried."""

    do: str
    pattern: Any
    kinds: tuple[str, ...]
    bare: tuple[str, ...]
    slots: dict[str, Any]
    response: str
    place: bool
    classes: tuple[str, ...]
    signs: tuple[str, ...]
    needs: tuple[frozenset[str], ...]


@lru_cache(maxsize=8)
def phrases(language: str) -> tuple[Phrase, ...]:
    """All phrases of a language."""
    short = words(language)["grammar"].get("contractions", {})
    return tuple(
        _compiled(row, say, short, size)
        for row in words(language).get("phrase", ())
        for say in row["say"]
        for size in _sizes(say)
    )


def _sizes(say: str) -> tuple[int, ...]:
    """How many words a value or state can be that comes right after a description: where the one ends and the other
    begins is then tried, the longest first. 0: any number."""
    return VALUE_SIZES if _TOUCHING.search(say) else (0,)


def _compiled(row: Mapping[str, Any], say: str, short: Mapping[str, str], size: int) -> Phrase:
    return Phrase(
        row["do"], re.compile(_regex(say, short, size)), tuple(row.get("kinds", ())), tuple(row.get("bare", ())),
        dict(row.get("slots", {})), row.get("response", "default"), bool(row.get("place", False)),
        tuple(row.get("classes", ())), tuple(row.get("signs", ())), _needs(say, short),
    )  # fmt: skip


def _needs(say: str, short: Mapping[str, str]) -> tuple[frozenset[str], ...]:
    """What a template cannot do without: its words outside of brackets, and one word of each of its alternatives."""
    found: list[frozenset[str]] = []
    depth, optional = 0, 0
    group: set[str] = set()
    fresh = True
    for piece in re.findall(r"[\[\](|)]|\{\w+\}|[^\s\[\](|){}]+", say):
        if piece == "[":
            optional += 1
        elif piece == "]":
            optional -= 1
        elif optional:
            continue
        elif piece == "(":
            depth, group, fresh = depth + 1, set(), True
        elif piece == ")":
            depth -= 1
            found.append(frozenset(group))
        elif piece == "|":
            fresh = True
        elif not piece.startswith("{"):
            both = {piece, plain(short[piece]).split()[0]} if piece in short else {piece}
            if not depth:
                found.append(frozenset(both))
            elif fresh:
                group |= both
                fresh = False
    return tuple(one for one in found if one)


def _regex(say: str, short: Mapping[str, str], size: int) -> str:
    """A template as a regular expression over words that are each followed by one space; `short` has contractions."""
    found: list[str] = []
    for piece in re.findall(r"[\[\](|)]|\{\w+\}|[^\s\[\](|){}]+", say):
        if piece == "[":
            found.append("(?:")
        elif piece == "]":
            found.append(")?")
        elif piece == "(":
            found.append("(?:")
        elif piece in ("|", ")"):
            found.append(piece)
        elif hole := _HOLE.fullmatch(piece):
            many = f"{{{size}}}" if size and hole[1] in ("v", "s", "p", "d") else "+?"
            found.append(f"(?P<{hole[1]}>(?:\\S+ ){many})")
        elif piece in short:
            found.append(f"(?:{re.escape(piece)} |{re.escape(plain(short[piece]))} )")
        else:
            found.append(re.escape(piece) + " ")
    return "".join(found)


__all__ = ["VALUE_SIZES", "Phrase", "phrases"]
