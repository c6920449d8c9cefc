"""The bounds of a policy (`protocol.guards`) as TOML, and back; the form is shown in `policy_text`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kindmesh.coordinator.heart.schedules.zones import zone_named
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.guards import Guards, Quiet, Rate, check_guards
from kindmesh.protocol.manifest import effect_names, parse_effects

GUARD_TABLES: Final = ("words", "spend", "quiet", "rate", "egress", "clock")
Wrong = Callable[[str, int, str, str, str], InvalidInput]
"""Makes the error about a key: kind of table, its number, the key, what is wrong, what to write."""
_KEYS: Final = {
    "words": ("enough", "at_home"),
    "spend": ("per_plan", "per_day"),
    "quiet": ("from", "to", "effects", "operation"),
    "rate": ("operation", "count", "per_s"),
    "egress": ("to",),
    "clock": ("zone",),
}
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def guards_text(guards: Guards) -> list[str]:
    """Lines of TOML; none for what is default."""
    lines: list[str] = []
    if guards.words or guards.present:
        lines += ["", "[words]", f"enough = {_listed(guards.words)}", f"at_home = {_listed(guards.present)}"]
    if guards.spend_plan or guards.spend_day:
        lines += ["", "[spend]", f"per_plan = {guards.spend_plan!r}", f"per_day = {guards.spend_day!r}"]
    for quiet in guards.quiet:
        lines += ["", "[[quiet]]", f'from = "{_clock(quiet.since)}"', f'to = "{_clock(quiet.until)}"']
        lines += [
            f"effects = {_listed(effect_names(quiet.effects))}",
            f"operation = {_quoted(quiet.operation)}",
        ]
    for rate in guards.rates:
        lines += ["", "[[rate]]", f"operation = {_quoted(rate.operation)}", f"count = {rate.count}"]
        lines += [f"per_s = {rate.per_ms / 1000:g}"]
    if guards.egress:
        lines += ["", "[egress]", f"to = {_listed(guards.egress)}"]
    if guards.zone:
        lines += ["", "[clock]", f"zone = {_quoted(guards.zone)}"]
    return lines


def guards_from(said: Mapping[str, Any], wrong: Wrong) -> Guards:
    """The bounds that parsed TOML says.

    Raises:
        InvalidInput: by way of `wrong`, with the line.
    """
    words, spend = _table(said, "words", wrong), _table(said, "spend", wrong)
    egress = _table(said, "egress", wrong)
    guards = Guards(
        words=_words(words, "words", 0, "enough", wrong),
        present=_words(words, "words", 0, "at_home", wrong),
        quiet=tuple(
            _quiet(table, number, wrong) for number, table in enumerate(_tables(said, "quiet", wrong))
        ),
        rates=tuple(_rate(table, number, wrong) for number, table in enumerate(_tables(said, "rate", wrong))),
        spend_plan=_number(spend, "spend", 0, "per_plan", wrong, least=0),
        spend_day=_number(spend, "spend", 0, "per_day", wrong, least=0),
        egress=_words(egress, "egress", 0, "to", wrong),
        zone=_zone(_table(said, "clock", wrong), wrong),
    )
    try:
        check_guards(guards)
    except InvalidInput as error:
        key = {"words": "enough", "present": "at_home", "zone": "zone"}.get(error.field, "operation")
        kind = {"present": "words", "zone": "clock"}.get(error.field, error.field)
        raise wrong(kind, 0, key, f"cannot be: {error.message}", error.hint) from error
    return guards


def _table(said: Mapping[str, Any], kind: str, wrong: Wrong) -> dict[str, Any]:
    found = said.get(kind, {})
    if not isinstance(found, dict):
        raise wrong(kind, 0, kind, "is a table of its own", f"Write [{kind}] on a line, then its values.")
    _known(found, kind, 0, wrong)
    return found


def _tables(said: Mapping[str, Any], kind: str, wrong: Wrong) -> list[dict[str, Any]]:
    found = said.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise wrong(kind, 0, kind, "is a table of its own", f"Write [[{kind}]] on a line, then its values.")
    for number, table in enumerate(found):
        _known(table, kind, number, wrong)
    return found


def _known(table: Mapping[str, Any], kind: str, number: int, wrong: Wrong) -> None:
    for key in table:
        if key not in _KEYS[kind]:
            raise wrong(kind, number, key, f"is nothing that {kind} has", f"It has {', '.join(_KEYS[kind])}.")


def _words(table: Mapping[str, Any], kind: str, number: int, key: str, wrong: Wrong) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(
        isinstance(word, str) and 0 < len(word) <= 80 for word in value
    ):
        raise wrong(kind, number, key, "should be a list of words", f'Write {key} = ["...", "..."].')
    return tuple(value)


def _number(
    table: Mapping[str, Any], kind: str, number: int, key: str, wrong: Wrong, *, least: float = 1
) -> float:
    value = table.get(key, 0 if least == 0 else None)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 1e9:
        raise wrong(kind, number, key, f"should be a number from {least:g}", f"Write {key} = 20.")
    return float(value)


def _quiet(table: Mapping[str, Any], number: int, wrong: Wrong) -> Quiet:
    try:
        effects = int(parse_effects(list(_words(table, "quiet", number, "effects", wrong))))
    except InvalidInput as error:
        raise wrong(
            "quiet", number, "effects", f"has a word that is no effect: {error.message}", error.hint
        ) from error
    operation = table.get("operation", "*")
    if not isinstance(operation, str):
        raise wrong("quiet", number, "operation", "should be a text", 'Write operation = "speech.*".')
    since, until = (_minute(table, number, key, wrong) for key in ("from", "to"))
    return Quiet(since, until, effects, operation)


def _zone(table: Mapping[str, Any], wrong: Wrong) -> str:
    zone = table.get("zone", "")
    if not isinstance(zone, str):
        raise wrong("clock", 0, "zone", "should be a text", 'Write zone = "Europe/Berlin".')
    if zone:
        try:
            zone_named(zone)
        except InvalidInput as error:
            raise wrong("clock", 0, "zone", f"cannot be: {error.message}", error.hint) from error
    return zone


def _minute(table: Mapping[str, Any], number: int, key: str, wrong: Wrong) -> int:
    found = _CLOCK.fullmatch(str(table.get(key, "")))
    if found is None:
        raise wrong("quiet", number, key, "is no time of day", f'Write {key} = "22:00".')
    return int(found[1]) * 60 + int(found[2])


def _rate(table: Mapping[str, Any], number: int, wrong: Wrong) -> Rate:
    operation = table.get("operation")
    if not isinstance(operation, str):
        raise wrong("rate", number, "operation", "should be a text", 'Write operation = "messages.send".')
    count = _number(table, "rate", number, "count", wrong)
    per_s = _number(table, "rate", number, "per_s", wrong)
    return Rate(operation, min(int(count), 100_000), int(per_s * 1000))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(_quoted(word) for word in words)}]"


__all__ = ["GUARD_TABLES", "Wrong", "guards_from", "guards_text"]
