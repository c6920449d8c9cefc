"""A provider's key: found in the environment or the keyring, shown to nobody.

A `Key` says nothing when it is printed, logged or put into an error; only the module that sends it asks for `text`.
What others say is `cleaned` of it before it goes on: a provider may repeat the key that it refuses.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from kindmesh.capabilities.llm.model import NotCharged
from kindmesh.mesh import key_keyring
from kindmesh.protocol.errors import KeyringUnavailable

KEY_MAX: Final = 4_096
_HIDDEN: Final = "(key)"
_PART: Final = 8
"""Characters of a key that are hidden also when only they appear, from its beginning or its end."""


class Key:
    """See the module. Empty where there is none."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def text(self) -> str:
        """The key itself."""
        return self._text

    def cleaned(self, said: str) -> str:
        """`said` without the key, and without its first and last characters."""
        if len(self._text) < _PART:
            return said.replace(self._text, _HIDDEN) if self._text else said
        for part in (self._text, self._text[:_PART], self._text[-_PART:]):
            said = said.replace(part, _HIDDEN)
        return said

    def __repr__(self) -> str:
        return _HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a key is not written anywhere")


def find_key(where: str, env: Mapping[str, str] | None = None) -> Key:
    """The key at `env:NAME` or `keyring:NAME`; empty `where`: none is needed.

    Raises:
        NotCharged: there is none there; says where it was looked for.
    """
    if not where:
        return Key()
    kind, _, name = where.partition(":")
    if kind == "env":
        text = (os.environ if env is None else env).get(name, "").strip()
        if not text:
            raise NotCharged(
                f"its key is not in the environment ({name})", hint=f"Set {name} where Kindmesh starts."
            )
    else:
        try:
            text = key_keyring.get_text(name).strip()
        except KeyringUnavailable as error:
            raise NotCharged(
                f"its key is not in the keyring ({name}): {error.message}", hint=error.hint
            ) from error
    if len(text) > KEY_MAX or not (text.isascii() and text.isprintable()):
        raise NotCharged(f"what is at {where} is no key", hint="A key is one line of plain characters.")
    return Key(text)


__all__ = ["Key", "find_key"]
