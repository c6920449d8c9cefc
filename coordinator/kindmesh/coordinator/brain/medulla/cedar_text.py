"""Cedar text taken apart into tokens and statements, so that whatever is wrong can be told with its line and column.

Cedar's own parser says what is wrong and not where. So the text is cut here, by Cedar's lexical rules, into tokens that
know their place and into statements (one rule each, up to its `;`). Nothing is decided here; a text that cannot be cut
is refused with the place where it stops making sense. Cedar's parser descends as deep as a text nests and ends its
whole process when that is too deep: so depth and length of a rule are bounded here, before it sees any of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple

from kindmesh.protocol.errors import InvalidInput

Kind = Literal["word", "text", "number", "sign"]
_KINDS: Final[tuple[Kind, ...]] = ("word", "text", "number", "sign")
PROBLEMS_MAX: Final = 20
"""Problems that are told at once."""
DEPTH_MAX: Final = 32
"""Brackets inside each other."""
TOKENS_MAX: Final = 1_024
"""Tokens of one rule; chains of `if`, `&&` and `.` nest in Cedar's parser too."""

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      |(?P<text>"(?:[^"\\]|\\.)*")
      |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
      |(?P<number>[0-9]+)
      |(?P<sign>::|==|!=|<=|>=|&&|\|\||[-@(){}\[\];,.:<>!+*?%=])""",
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = {"(": ")", "{": "}", "[": "]"}
_ESCAPE: Final = re.compile(r'\\(?:u\{([0-9A-Fa-f]{1,6})\}|x([0-7][0-9A-Fa-f])|(["\'\\nrt0*]))')
_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class Token(NamedTuple):
    """`start`: offset in the text; `line` and `column` count from 1."""

    kind: Kind
    text: str
    start: int
    line: int
    column: int

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.start + len(self.text)

    @property
    def value(self) -> str:
        """What a string says, its escapes undone."""
        return _ESCAPE.sub(_unescaped, self.text[1:-1])


class Annotation(NamedTuple):
    """`@name("value")`; without a value it is empty."""

    name: Token
    value: str


class Uid(NamedTuple):
    """`Type::"id"`, as written; `before` and `after` are the tokens around it."""

    type: Token
    id: Token
    before: str
    after: str


class Problem(NamedTuple):
    """What is wrong at a place, and what to write instead."""

    line: int
    column: int
    what: str
    hint: str

    def error(self, more: int = 0) -> InvalidInput:
        """As an error; `more`: how many others there are."""
        also = f" (and {more} more)" if more else ""
        return InvalidInput(
            f"line {self.line}, column {self.column}: {self.what}{also}", field="cedar", hint=self.hint
        )


class Statement(NamedTuple):
    """One rule: `number` from 0, its tokens, and its text."""

    number: int
    tokens: tuple[Token, ...]
    text: str

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Those in front of it, in their order."""
        found, place = [], 0
        while place + 1 < len(self.tokens) and self.tokens[place].text == "@":
            name, place = self.tokens[place + 1], place + 2
            value = ""
            if [one.text for one in self.tokens[place : place + 1]] == ["("]:
                if place + 1 < len(self.tokens) and self.tokens[place + 1].kind == "text":
                    value = self.tokens[place + 1].value
                place += 3
            found.append(Annotation(name, value))
        return tuple(found)

    @property
    def uids(self) -> tuple[Uid, ...]:
        """Every `Type::"id"` in it."""
        words = self.tokens
        return tuple(
            Uid(words[at - 2], words[at], words[at - 3].text if at > 2 else "", _at(words, at + 1))
            for at in range(2, len(words))
            if words[at].kind == "text" and words[at - 1].text == "::" and words[at - 2].kind == "word"
        )

    def of_context(self) -> tuple[Token, ...]:
        """The names after `context.`, `context has` and `context[`."""
        words = self.tokens
        return tuple(
            words[at]
            for at in range(2, len(words))
            if words[at - 2].text == "context" and words[at - 1].text in (".", "has", "[")
        )

    def find(self, text: str) -> Token:
        """The first token that says it; the first of all where none does."""
        quoted = f'"{text}"'
        return next((one for one in self.tokens if one.text in (text, quoted)), self.tokens[0])


def _at(words: tuple[Token, ...], place: int) -> str:
    return words[place].text if place < len(words) else ""


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _PLAIN.get(found[3], found[3])


def statements(text: str) -> tuple[Statement, ...]:
    """The rules of a text.

    Raises:
        InvalidInput: a character that is no part of Cedar, a text or bracket that never ends, no `;` at the end.
    """
    found: list[Statement] = []
    begun: list[Token] = []
    open_: list[Token] = []
    for token in _tokens(text):
        begun.append(token)
        if len(begun) > TOKENS_MAX:
            raise _problem(
                begun[0], f"this rule has more than {TOKENS_MAX} words", "Make several of it."
            ).error()
        if token.text in _OPENING:
            open_.append(token)
            if len(open_) > DEPTH_MAX:
                raise _problem(
                    token, f"more than {DEPTH_MAX} brackets inside each other", "Make it simpler."
                ).error()
        elif token.text in _OPENING.values() and token.kind == "sign":
            if not open_ or _OPENING[open_[-1].text] != token.text:
                raise _problem(token, f"nothing is open that {token.text!r} closes", "Take it out.").error()
            open_.pop()
        elif token.text == ";":
            if open_:
                raise _never_closed(open_[-1])
            found.append(_statement(len(found), begun, text))
            begun = []
    if open_:
        raise _never_closed(open_[-1])
    if begun:
        raise _problem(begun[-1], "this rule has no end", "Write a ; after it.").error()
    return tuple(found)


def _never_closed(token: Token) -> InvalidInput:
    return _problem(
        token, f"{token.text!r} is never closed", f"Write {_OPENING[token.text]} where it ends."
    ).error()


def _statement(number: int, tokens: list[Token], text: str) -> Statement:
    return Statement(number, tuple(tokens), text[tokens[0].start : tokens[-1].end])


def _tokens(text: str) -> Iterable[Token]:
    lines = [0, *(found.end() for found in re.finditer(r"\n", text))]
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        line = bisect_right(lines, place)
        column = place - lines[line - 1] + 1
        if found is None:
            strange = text[place]
            if strange == '"':
                raise Problem(line, column, "this text never ends", 'Write " where it ends.').error()
            hint = "Rules are Cedar: kindmesh policy starter shows some."
            raise Problem(line, column, f"{strange!r} is nothing that a rule has", hint).error()
        for kind in _KINDS:
            if found.lastgroup == kind:
                yield Token(kind, found[0], place, line, column)
        place = found.end()


def _problem(token: Token, what: str, hint: str) -> Problem:
    return Problem(token.line, token.column, what, hint)


def near(word: str, known: Iterable[str]) -> str:
    """The known word that somebody may have meant; empty: none is near."""
    found = get_close_matches(word, sorted(known), 1, 0.7)
    return found[0] if found else ""


__all__ = [
    "DEPTH_MAX", "PROBLEMS_MAX", "TOKENS_MAX", "Annotation", "Problem", "Statement", "Token", "Uid", "near",
    "statements",
]  # fmt: skip
