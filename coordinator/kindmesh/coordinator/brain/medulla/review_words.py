"""The prover of spans: what the person's proven words support. The only part of the review that looks at words.

A `Prover` says which words were really said; `Words` are those, compared generously for what is benign (plurals,
inflection, about the same meaning, numbers in words or digits, times) and strictly for what could do harm: an address
has to be there as it is, a name with all of its parts, a number exactly. Rules ask here and never read the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Protocol

from kindmesh.coordinator.brain.medulla.review_german import english
from kindmesh.coordinator.brain.medulla.review_lexicon import (
    ALIKE,
    EVERYTHING,
    GENERIC,
    MONEY,
    NUMBERS,
    OPPOSITE,
    PLACES,
    RELATIVE,
    STOP,
    TEMPORAL,
)
from kindmesh.coordinator.brain.medulla.review_numbers import numbers_of
from kindmesh.protocol.plan_labels import Label

TEXT_MAX: Final = 8_192
"""Characters of a request that are looked at; what is longer proves nothing beyond that."""


class Prover(Protocol):
    """Who knows which words were really said, in which order."""

    def supports(self, label: Label) -> bool:
        """Whether every one of the label's words is proven; false for a label without words."""

    def proven(self) -> tuple[str, ...]:
        """All words that are proven, in the order in which they were said."""


class TextProver:
    """Takes a text for what was said: the words are proven when they occur in it, in order. For batch review."""

    def __init__(self, text: str) -> None:
        self._words = tuple(re.findall(r"\S+", text[:TEXT_MAX]))

    def supports(self, label: Label) -> bool:
        """See `Prover`."""
        wanted = label_words(label)
        if not wanted:
            return False
        rest = iter([_bare(word) for word in self._words])
        return all(any(word == said for said in rest) for word in map(_bare, wanted))

    def proven(self) -> tuple[str, ...]:
        """See `Prover`."""
        return self._words


class NoProver:
    """Nothing was said, or nothing of it is proven."""

    def supports(self, label: Label) -> bool:
        """See `Prover`."""
        return False

    def proven(self) -> tuple[str, ...]:
        """See `Prover`."""
        return ()


def label_words(label: Label) -> tuple[str, ...]:
    """The words that a label names."""
    return label.words


_AROUND: Final = ".,;:!?\"'()[]{}\u00ab\u00bb\u201c\u201d\u2018\u2019"


def _bare(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold().strip(_AROUND)


_TOKEN: Final = re.compile("[^\\W_]+(?:['\u2019][^\\W\\d_]+)?", re.UNICODE)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z](?!s\b)[a-z])")
_DIGITS: Final = re.compile(r"\d")


def tokens(text: str) -> list[str]:
    """Lower-case words of a text, an identifier (`light.kitchen_ceiling`, `sendMoney`) or a title."""
    return list(_tokens(text[:TEXT_MAX]))


@lru_cache(maxsize=4096)
def _tokens(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKC", _CAMEL.sub(" ", text)).replace("\u2019", "'").casefold()
    return tuple(
        word if word in STOP else word.removesuffix("'s").replace("'", "") for word in _TOKEN.findall(plain)
    )


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A word without its usual English endings; crude on purpose, and the same for both sides."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        if (
            len(word) > len(ending) + 2
            and word.endswith(ending)
            and re.search("[aeiouy]", word[: -len(ending)])
        ):
            root = word[: -len(ending)]
            if len(root) > 2 and root[-1] == root[-2] and root[-1] not in "ls":
                return root[:-1]
            return _unmute(root)
    if len(word) > 4 and word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _unmute(word[:-1])
    return _unmute(word)


def _unmute(root: str) -> str:
    return root[:-1] if len(root) > 3 and root.endswith("e") else root


def _groups() -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for number, line in enumerate(ALIKE):
        for word in line.split():
            found.setdefault(stem(word), set()).add(number)
    return {word: frozenset(groups) for word, groups in found.items()}


_GROUPS: Final = _groups()
_STOP: Final = frozenset(stem(word) for word in STOP)
_GENERIC: Final = frozenset(stem(word) for word in GENERIC)
_PLACES: Final = frozenset(stem(word) for word in PLACES)
_MONEY: Final = frozenset(stem(word) for word in MONEY)
_NUMERALS: Final = frozenset(stem(word) for word in NUMBERS)
_TEMPORAL: Final = frozenset(stem(word) for word in TEMPORAL)
_RELATIVE: Final = frozenset(stem(word) for word in RELATIVE)
_NONE: Final[frozenset[int]] = frozenset()


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for sides in OPPOSITE:
        one, other = ({stem(word) for word in side.split()} for side in sides)
        for word in one:
            found.setdefault(word, set()).update(other)
        for word in other:
            found.setdefault(word, set()).update(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES: Final = _opposites()


def content(text: str) -> list[str]:
    """Stems of the words of `text` that mean something."""
    return [stem(word) for word in tokens(text) if word not in STOP]


@lru_cache(maxsize=4096)
def name_parts(name: str) -> tuple[str, ...]:
    """Stems of all that has to be said for a name to be said; empty for none."""
    return tuple(word for word in map(stem, tokens(name)) if word not in _STOP) or tuple(content(name))


def kin_of(word: str) -> frozenset[int]:
    """Numbers of the groups of names for the same person or thing that a stem is in; never of activities."""
    return _GROUPS.get(word, _NONE) & _NAMES


def is_place(word: str) -> bool:
    """Whether a stem only says where."""
    return word in _PLACES


def is_generic(word: str) -> bool:
    """Whether a stem in an operation's name says nothing."""
    return word in _GENERIC


_TURN_OF: Final = re.compile(r"\b(turn|tun|trun|switch|swich|shut) of\b")
"""What speech recognition makes of "turn off"."""


_SUN: Final = re.compile(
    r"\b(?:the )?sun (goes down|sets|is down|has set|has gone down|comes up|rises|is up|has risen|goes up)\b"
    r"|(?:(?<=\bwhen )|(?<=\buntil )|(?<=\bonce )|(?<=\bsoon as ))it (?:gets|is|is getting|goes) (dark|light)\b"
)
"""What is said of the sun, and not of a lamp or a blind."""


def _of_the_sun(found: re.Match[str]) -> str:
    said = next(one for one in found.groups() if one)
    return "sunset" if said == "dark" or said.endswith(("down", "sets", "set")) else "sunrise"


class Words:
    """Proven words, ready to be compared with; see the module."""

    def __init__(self, said: Iterable[str]) -> None:
        self.text = unicodedata.normalize("NFKC", " ".join(said))[:TEXT_MAX].casefold()
        heard = tokens(_SUN.sub(_of_the_sun, self.text))
        foreign = english(self.text)
        self.meant = foreign[0] if foreign else _SUN.sub(_of_the_sun, _TURN_OF.sub(r"\1 off", self.text))
        """The text in the words that the rules know; the same, where it is English."""
        parts = tokens(self.meant)
        self.everything = any(
            one in EVERYTHING
            and (following not in TEMPORAL or one in ("everything", "everyone", "everybody"))
            for one, following in pairwise([*parts, ""])
        )
        self.order = tuple(stem(word) for word in heard)
        self._plain = tuple(parts)
        self._known = frozenset(stem(word) for word in foreign[1]) if foreign else frozenset[str]()
        self.stems = frozenset(self.order) | frozenset(stem(word) for word in parts)
        self._alike = frozenset(group for word in self.stems for group in _GROUPS.get(word, _NONE))
        self.kin = self._alike & _NAMES
        self.numbers = numbers_of(self.meant)
        self.plural = any(word.endswith("s") and len(word) > 3 and stem(word) != word for word in parts)
        self._negated: tuple[str, ...] | None = None
        self._squeezed = re.sub(r"[^\w@+]", "", self.text)

    def __bool__(self) -> bool:
        return bool(self.order)

    def says(self, word: str) -> bool:
        """Whether the stem itself was said."""
        return word in self.stems or (len(word) > 5 and word in self._squeezed)

    def means(self, word: str) -> bool:
        """Whether the stem or something alike was said."""
        return self.says(word) or bool(_GROUPS.get(word, _NONE) & self._alike)

    def negated(self) -> tuple[str, ...]:
        """Stems of what was said not to be done, in order: after a "don't" that begins a clause or comes before it."""
        if self._negated is None:
            self._negated = _negated(self._plain)
        return self._negated

    def against(self, word: str) -> bool:
        """Whether only the opposite of the stem was said."""
        opposite = _OPPOSITES.get(word)
        return opposite is not None and word not in self.stems and not opposite.isdisjoint(self.stems)

    def exactly(self, value: str) -> bool:
        """Whether an address, link, number or command was said as it is (case and spaces between do not count)."""
        wanted = unicodedata.normalize("NFKC", value).casefold().strip()
        if not wanted:
            return False
        pattern = rf"(?<![\w@+/.-]){re.escape(wanted)}(?![\w@/-]|\.\w)"
        if re.search(pattern, self.text):
            return True
        dense = re.sub(r"[\s().-]", "", wanted)
        said = re.sub(r"(?<=[\w+])[\s().-]+(?=\w)", "", self.text)
        return len(dense) >= 6 and bool(_DIGITS.search(dense)) and "@" not in dense and dense in said

    def named(self, value: str) -> bool:
        """Whether a name was said with all of its parts (`Anna Weber`, `mum`, `kitchen speaker`)."""
        return self.has_all(name_parts(value))

    def has_all(self, parts: Collection[str]) -> bool:
        """The same, of the parts of a name (`name_parts`)."""
        return bool(parts) and all(self.says(word) or bool(kin_of(word) & self.kin) for word in parts)

    def within(self, stems: Mapping[int, Collection[str]]) -> Iterator[str]:
        """Which of these stems of more than five letters, by their length, stand in what was said, spaces left out."""
        text = self._squeezed
        for size, some in stems.items():
            if len(some) <= len(text):
                yield from (word for word in some if word in text)
            else:
                yield from {text[at : at + size] for at in range(len(text) - size + 1)}.intersection(some)

    def share(self, value: str) -> float:
        """How much of the meaning of `value` was said, 0..1; 1 for what means nothing by itself."""
        parts = content(value)
        if not parts:
            return 1.0
        return sum(self.means(word) or self.number_said(word) for word in parts) / len(parts)

    def number_said(self, word: str) -> bool:
        """Whether a word of digits is a number that was said."""
        return word.isdigit() and float(word) in self.numbers

    def number(self, value: float) -> bool:
        """Whether that number was said, in words or digits, by itself or with its unit."""
        return any(abs(value - known) <= 1e-6 * max(1.0, abs(known)) for known in self.numbers)

    @property
    def temporal(self) -> bool:
        """Whether a time was spoken of."""
        return not self.stems.isdisjoint(_TEMPORAL) or bool(re.search(r"\d{1,2}[:.]\d{2}", self.text))

    @property
    def relative(self) -> bool:
        """Whether more or less of something was wanted, without a number."""
        return not self.stems.isdisjoint(_RELATIVE)

    @property
    def money(self) -> bool:
        """Whether money was spoken of."""
        return not self.stems.isdisjoint(_MONEY) or any(sign in self.text for sign in "€$£")

    def unexplained(self, known: Iterable[str]) -> set[str]:
        """Stems that were said and that nothing among `known` (stems) accounts for."""
        have = set(known)
        alike = {group for word in have for group in _GROUPS.get(word, _NONE)}
        return {
            word
            for word in self.stems
            if word not in have
            and word not in _STOP
            and word not in self._known
            and word not in _TEMPORAL
            and word not in _NUMERALS
            and not (_GROUPS.get(word, _NONE) & alike)
            and not _DIGITS.search(word)
        }


_NOT: Final = frozenset({"don't", "dont", "not", "never"})
_TURN: Final = frozenset(("but", "instead", "rather"))
_BEFORE: Final = frozenset(
    ("please", "do", "you", "should", "must", "ever", "and", "but", "then", "hey", "ok", "i", "said")
)
_YET: Final = frozenset(("forget", "worry", "hesitate", "mind", "miss", "fail", "just", "only"))
"""After these a "don't" forbids nothing: don't forget to lock the door."""


def _negated(plain: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for position, word in enumerate(plain):
        after = plain[position + 1 :]
        if word not in _NOT or (after and after[0] in _YET):
            continue
        if all(before in _BEFORE or before in _NOT for before in plain[:position]):
            end = next((number for number, one in enumerate(after) if one in _TURN), len(after))
            found += ["*"] if end == len(after) else []
        elif plain[position - 1] in ("and", "but", "then", "do"):
            end = next(
                (number for number, one in enumerate(after) if one in ("and", "but", "then")), len(after)
            )
        else:
            end = 1
        found += [stem(one) for one in after[:end]]
    return tuple(found)


_NAME_WORDS: Final = (
    "light", "cover", "climate", "tv", "speaker", "mum", "dad", "grandma", "grandpa", "doctor", "fan", "plug", "kid",
    "lounge", "couch", "fridge",
)  # fmt: skip
_NAMES: Final = frozenset(
    number
    for number, line in enumerate(ALIKE)
    if line.split()[0] in _NAME_WORDS and line.split()[0] != "light"
) | {number for number, line in enumerate(ALIKE) if line.startswith("light lamp")}


def words_in(value: Any, depth: int = 0) -> Iterator[str]:
    """The texts in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth < 16:
        for item in value.values():
            yield from words_in(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 16:
        for item in value:
            yield from words_in(item, depth + 1)


__all__ = [
    "TEXT_MAX", "NoProver", "Prover", "TextProver", "Words", "content", "is_generic", "is_place", "kin_of",
    "label_words", "name_parts", "stem", "tokens", "words_in",
]  # fmt: skip
