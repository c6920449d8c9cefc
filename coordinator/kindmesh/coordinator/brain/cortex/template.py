"""Sentence templates: what a household's own grammar is written in, and learned routines as well.

    (add|put) {item} (to|on) [the|my] shopping list[s]

`(a|b)` one of them, `[a]` perhaps, `{name}` a slot of one or more words, `{name:word}` a slot of exactly one. A `[s]`
at the end of a word belongs to the word. A slot takes as few words as will do. Everything matches word by word,
whatever the case, and always the whole clause. A template becomes one regular expression, so matching is bounded
by the words of a clause (`WORDS_MAX`) and the slots of a template (`SLOTS_MAX`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words
from kindmesh.protocol.errors import InvalidInput

WORDS_MAX: Final = 64
"""Words of a clause that templates look at; a longer one matches none."""
SLOTS_MAX: Final = 3
TEMPLATE_MAX: Final = 1024
"""Characters of a template."""
_DEPTH_MAX: Final = 8
_TOKEN: Final = re.compile(
    r"\{(?P<slot>[a-z][a-z0-9_]{0,31})(?::(?P<kind>text|word))?\}|[\[\]()|]|[^\s\[\](){}|]+"
)
_ENDING: Final = re.compile(r"([^\s\[\](){}|]+)\[([^\s\[\](){}|]+)\](?=[\s\])|]|$)")
_ANY: Final = r"(?:\S+ )"


class Matched(msgspec.Struct, frozen=True):
    """A template that fits: each slot's words, without commas."""

    slots: dict[str, Words]


class Template:
    """One template, compiled.

    Raises:
        InvalidInput: brackets that do not pair, a slot twice, too many slots, or nothing in it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > TEMPLATE_MAX:
            raise InvalidInput(f"a template has at most {TEMPLATE_MAX} characters", field="template")
        self._tokens = self._read(_ENDING.sub(r"(\1|\1\2)", text.lower()))
        self._at = 0
        self.slots: list[str] = []
        pattern = self._either(0)
        if self._at < len(self._tokens):
            raise self._wrong("a bracket closes that was never opened")
        if not self.slots and not re.search(r"\w", text):
            raise self._wrong("there is no word in it")
        self._pattern = re.compile(pattern)

    def match(self, words: Sequence[Word]) -> Matched | None:
        """What the slots are when the template fits all the words (commas do not count); None when it does not."""
        plain = [word for word in words if word.text != COMMA or word.literal]
        return self.match_said(said(plain), plain)

    def match_said(self, text: str, plain: Sequence[Word]) -> Matched | None:
        """The same, for `said(plain)`, made once for many templates."""
        found = self._pattern.fullmatch(text) if len(plain) <= WORDS_MAX else None
        if found is None:
            return None
        slots = {}
        for name in self.slots:
            start, end = found.span(name)
            if start >= 0:
                first = text.count(" ", 0, start)
                slots[name] = tuple(plain[first : first + text.count(" ", start, end)])
        return Matched(slots)

    def _read(self, text: str) -> list[re.Match[str]]:
        tokens, at = [], 0
        for token in _TOKEN.finditer(text):
            if text[at : token.start()].strip():
                raise self._wrong(f"{text[at : token.start()].strip()[:20]!r} has no place here")
            tokens.append(token)
            at = token.end()
        if text[at:].strip():
            raise self._wrong(f"{text[at:].strip()[:20]!r} has no place here")
        return tokens

    def _either(self, depth: int) -> str:
        if depth > _DEPTH_MAX:
            raise self._wrong(f"brackets are more than {_DEPTH_MAX} deep")
        ways = [self._sequence(depth)]
        while self._at < len(self._tokens) and self._tokens[self._at][0] == "|":
            self._at += 1
            ways.append(self._sequence(depth))
        return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"

    def _sequence(self, depth: int) -> str:
        parts: list[str] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token[0] in ("|", "]", ")"):
                break
            self._at += 1
            if token[0] in ("[", "("):
                inner = self._either(depth + 1)
                if (
                    self._at >= len(self._tokens)
                    or self._tokens[self._at][0] != {"[": "]", "(": ")"}[token[0]]
                ):
                    raise self._wrong("a bracket is not closed")
                self._at += 1
                parts.append(f"(?:{inner}){'?' if token[0] == '[' else ''}")
            elif token["slot"]:
                if token["slot"] in self.slots or len(self.slots) >= SLOTS_MAX:
                    raise self._wrong(f"at most {SLOTS_MAX} slots, each of them once")
                self.slots.append(token["slot"])
                parts.append(f"(?P<{token['slot']}>{_ANY}{'' if token['kind'] == 'word' else '+?'})")
            else:
                parts.append(re.escape(token[0]) + " ")
        return "".join(parts)

    def _wrong(self, why: str) -> InvalidInput:
        return InvalidInput(
            f"this is no sentence template: {why}",
            field="template",
            hint="Write it like: (turn|switch) on [the] {thing} lights.",
        )


def said(plain: Iterable[Word]) -> str:
    """The words as templates look at them: in lower case, each with a blank behind it. What stood between quotes is
    lower case too here, so that a slot can take it."""
    return "".join(f"{word.text.lower()} " for word in plain)


__all__ = ["SLOTS_MAX", "TEMPLATE_MAX", "WORDS_MAX", "Matched", "Template", "said"]
