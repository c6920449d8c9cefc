"""The arguments of a tool call, out of what a model wrote.

They are JSON, or become it by one harmless repair: a fence or white space around them, commas before a closing
bracket, control characters inside of text, JSON inside of a JSON string. Nothing is ever completed: of arguments that
end in the middle nobody knows what was meant, and half a number is another number. A name that is there twice is
refused, since two readers could take different ones. Whether the values are what an operation takes is checked by its
manifest.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from kindmesh.protocol.errors import ModelMalformed

ARGUMENTS_MAX: Final = 65_536
"""Characters."""
DEPTH_MAX: Final = 16


def read_arguments(text: str, tool: str) -> dict[str, Any]:
    """What `text` says.

    Raises:
        ModelMalformed: it is too long, too deep, or no JSON object also after the repair.
    """
    if len(text) > ARGUMENTS_MAX:
        raise ModelMalformed(
            f"the model wrote more than {ARGUMENTS_MAX} characters of arguments for {tool[:64]}"
        )
    for attempt in (text.strip() or "{}", mended(text)):
        try:
            found = json.loads(attempt, strict=False, object_pairs_hook=_once, parse_constant=_no_constant)
            if isinstance(found, str):
                found = json.loads(found, object_pairs_hook=_once, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and _depth(found) <= DEPTH_MAX:
            return found
    raise ModelMalformed(f"the model called {tool[:64]} with arguments that cannot be read")


def mended(text: str) -> str:
    """The one repair: without a fence, and without commas before closing brackets."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.removesuffix("```").partition("\n")[2].strip()
    kept: list[str] = []
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "}]":
            while kept and (kept[-1].isspace() or kept[-1] == ","):
                kept.pop()
        kept.append(character)
    return "".join(kept)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _depth(value: Any, so_far: int = 1) -> int:
    if so_far > DEPTH_MAX:
        return so_far
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((_depth(part, so_far + 1) for part in parts), default=so_far)


__all__ = ["ARGUMENTS_MAX", "DEPTH_MAX", "mended", "read_arguments"]
