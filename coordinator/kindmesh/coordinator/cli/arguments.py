"""`key=value` words into an operation's arguments, by the types that its manifest declares.

Text is taken as it is; whole numbers, numbers and true/false are read; lists and objects are JSON (a list of text may
be separated by commas); an artifact is a path to a file, or 64 hexadecimal characters. `key=@FILE` takes text from a
file and `key=-` from standard input. What does not fit is refused by name, before anything is sent.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import ARGUMENTS_MAX

_ARTIFACT = re.compile(r"[0-9a-f]{64}")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

Upload = Callable[[Path], dict[str, Any]]


def parse_arguments(
    words: Sequence[str], fields: dict[str, dict[str, Any]], upload: Upload
) -> dict[str, Any]:
    """`words` against `fields` (name -> a manifest field as `capabilities --json` shows it).

    Raises:
        InvalidInput: names the field.
    """
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            hint = f"Write key=value; it takes: {', '.join(fields) or 'nothing'}."
            raise InvalidInput(f"{word!r} is not key=value", field=name[:40], hint=hint)
        if name in values:
            raise InvalidInput(f"{name} is given twice", field=name)
        field = fields.get(name)
        # An unknown name is sent as text, so that the answer (which names what there is) comes from one place.
        values[name] = text if field is None else _value(name, text, field, upload)
    return values


def _value(name: str, text: str, field: dict[str, Any], upload: Upload) -> Any:
    kind = field["type"]
    if kind == "artifact":
        if _ARTIFACT.fullmatch(text):
            return {"artifact": text}
        if not text:
            raise InvalidInput(f"{name} is empty", field=name, hint=f"Write {name}=FILE.")
        return upload(Path(text))
    text = _from_file(name, text)
    if kind == "text":
        return text
    if kind == "bytes":
        return text.encode()
    if kind == "boolean":
        if text.lower() in (*_TRUE, *_FALSE):
            return text.lower() in _TRUE
        raise InvalidInput(f"{name} should be true or false", field=name)
    if kind in ("integer", "number"):
        return _number(name, text, kind)
    if kind == "list" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InvalidInput(f"{name} is nested too deeply", field=name) from error
    except ValueError as error:
        raise InvalidInput(f"{name} should be JSON: {error}", field=name) from error


def _number(name: str, text: str, kind: str) -> int | float:
    try:
        return int(text) if kind == "integer" else float(text)
    except ValueError as error:
        wanted = "a whole number" if kind == "integer" else "a number"
        raise InvalidInput(f"{name} should be {wanted}, not {text[:40]!r}", field=name) from error


def _from_file(name: str, text: str) -> str:
    if text == "-":
        given = sys.stdin.read(ARGUMENTS_MAX + 1)
    elif not text.startswith("@"):
        return text
    else:
        try:
            with Path(text[1:]).open(encoding="utf-8") as source:
                given = source.read(ARGUMENTS_MAX + 1)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{text[1:]} cannot be read as text", field=name) from error
    if len(given) > ARGUMENTS_MAX:
        raise InvalidInput(
            f"{name} is longer than {ARGUMENTS_MAX} characters", field=name, hint="Send it in parts."
        )
    return given


__all__ = ["Upload", "parse_arguments"]
