"""The words of a language, as data: `<language>.toml` beside this file.

What is said to people (questions, honest refusals), what things and states are called, and (for `phrases.py`) what
people say that the official grammar does not have. A language without a file of its own has the official grammar only,
and is answered in English where the official responses have nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, Final

OTHERWISE: Final = "en"
_NOTHING: Final[Mapping[str, str]] = {}


@lru_cache(maxsize=8)
def words(language: str) -> Mapping[str, Any]:
    """The data of a language."""
    folder = resources.files(__package__)
    found = folder / f"{language}.toml"
    if not found.is_file():
        found = folder / f"{OTHERWISE}.toml"
    return tomllib.loads(found.read_text(encoding="utf-8"))


def say(language: str, key: str, values: Mapping[str, str] = _NOTHING) -> str:
    """A sentence for people, by key, filled with `values`."""
    found = words(language)["say"].get(key) or words(OTHERWISE)["say"][key]
    return str(found).format_map(values)


def joined(language: str, names: Sequence[str], key: str = "and") -> str:
    """Several names as people list them: "A, B and C"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {say(language, key)} {names[-1]}"


def state_word(language: str, domain: str, kind: str, state: str) -> str:
    """What people call a state: "open" for the `on` of a window's sensor."""
    table = words(language).get("states", {})
    for key in (f"{domain}.{kind}", domain):
        found = table.get(key, {}).get(state)
        if found is not None:
            return str(found)
    return state.replace("_", " ")


__all__ = ["OTHERWISE", "joined", "say", "state_word", "words"]
