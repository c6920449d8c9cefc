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
    """The data of a language: of its file, and of those that go on with a topic (`<language>_<topic>.toml`)."""
    folder = resources.files(__package__)
    names = sorted(one.name for one in folder.iterdir() if one.name.endswith(".toml"))
    found: dict[str, Any] = {}
    for code in (language, OTHERWISE):
        for name in names:
            if name == f"{code}.toml" or name.startswith(f"{code}_"):
                _merge(found, tomllib.loads((folder / name).read_text(encoding="utf-8")))
        if found:
            break
    return found


def _merge(found: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Tables are one table, lists one list."""
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(found.setdefault(key, {}), value)
        elif isinstance(value, list):
            found.setdefault(key, []).extend(value)
        else:
            found[key] = value


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
