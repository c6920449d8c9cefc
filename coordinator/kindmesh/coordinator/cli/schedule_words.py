"""Times and outcomes of schedules in the words that people type and read."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from kindmesh.coordinator.cli.output import age
from kindmesh.protocol.errors import InvalidInput

_DURATION: Final = re.compile(r"([+-]?)(\d{1,9})(s|m|min|h|d)")
_CONDITION: Final = re.compile(r"([A-Za-z_][\w.]*)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_UNITS: Final = {"s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_OUTCOMES: Final = {
    "waiting": "waits for the run before it",
    "starting": "being started",
    "started": "running",
    "succeeded": "done",
    "not started": "could not be started",
    "forgotten": "started; how it ended is not kept any more",
}


def milliseconds(text: str, field: str, *, signed: bool = False) -> int:
    """`30m`, `2h`, with `signed` also `-15m`, `+1h` and `0`.

    Raises:
        InvalidInput: names the field.
    """
    if signed and text.strip() in ("0", "+0", "-0"):
        return 0
    found = _DURATION.fullmatch(text.strip())
    if found is None or (found[1] and not signed):
        raise InvalidInput(
            f"{text[:40]!r} is no length of time",
            field=field,
            hint="Write a whole number and s, m, h or d: 30m" + (", -15m." if signed else "."),
        )
    size = int(found[2]) * _UNITS[found[3]]
    return -size if found[1] == "-" else size


def scalar(text: str) -> str | int | float | bool | None:
    """`true`, `3`, `1.5`, `null` as what they look like; anything else, and what is in quotes, as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, (str, int, float)) else text


def condition(text: str) -> dict[str, Any]:
    """`name=hall`, `level<20`.

    Raises:
        InvalidInput: it is none.
    """
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"{text[:40]!r} is no condition", field="where", hint="Write FIELD=VALUE: name=hall."
        )
    return {"field": found[1], "test": found[2], "value": scalar(found[3].strip())}


def changed(text: str) -> dict[str, Any]:
    """`state`, `state=open`, `state=closed..open`.

    Raises:
        InvalidInput: no field is named.
    """
    field, equals, values = text.strip().partition("=")
    if not field:
        raise InvalidInput(
            "no field is named", field="change", hint="Write FIELD, FIELD=TO or FIELD=FROM..TO."
        )
    params: dict[str, Any] = {"field": field}
    if equals:
        begin, dots, end = values.rpartition("..")
        if dots and begin:
            params["from"] = scalar(begin)
        if end:
            params["to"] = scalar(end)
    return params


def outcome(firing: dict[str, Any]) -> str:
    """How a firing ended, with why."""
    state = firing["state"]
    if state != "missed":
        words = _OUTCOMES.get(state, state)
        late = f", {age(firing['late_ms'])} late" if firing["late_ms"] >= 60_000 else ""
        said = [text for text in (firing["why"], firing.get("problem", "")) if text]
        return f"{words}{late}" + (f": {'; '.join(said)}" if said else "")
    count = firing["count"]
    many = f"{count}{' or more' if firing['more'] else ''} times " if count > 1 or firing["more"] else ""
    return f"missed {many}({firing['why']})"


def next_words(document: dict[str, Any]) -> str:
    """When it is due next, or why it is not."""
    if document["next"] is not None:
        said: str = document["next"]["local"]
        return said
    if document["state"] == "active":
        return "when it happens"
    return "-"


__all__ = ["changed", "condition", "milliseconds", "next_words", "outcome", "scalar"]
