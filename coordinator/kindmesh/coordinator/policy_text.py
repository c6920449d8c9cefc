"""The owner's policy as text that a person can read and edit (TOML), and back.

    version = 3                      # for information: signing makes it rise

    [[rule]]
    operation = "speech.*"           # capability.operation, capability.* or *
    effects = ["notify"]
    answer = "allow"                 # allow, ask or deny

    [[role]]
    name = "caregiver"
    title = "looks after somebody here"
    operations = ["*"]               # at most these operations, effects, classes of data, purposes
    effects = ["read", "notify", "sense"]
    data = ["health", "home"]
    purposes = ["care", "alerts"]
    approves = []                    # effects whose questions these people may answer

    [words]                          # for what the proven words of who asks are enough
    enough = ["home.control"]
    at_home = ["home.access"]        # the same, while that person is at home

    [spend]                          # without a question; 0: nothing
    per_plan = 20
    per_day = 50

    [[quiet]]                        # what asks at night; emergencies do not
    from = "22:00"
    to = "07:00"
    effects = ["notify", "move"]

    [[rate]]                         # how often without a question
    operation = "messages.send"
    count = 10
    per_s = 3600

    [egress]                         # the only places that data may go to
    to = ["example.org"]

    [clock]                          # where the hours of [[quiet]] are meant; without it, by Medulla's own machine
    zone = "Europe/Berlin"

What does not fit is refused with its line and what to write instead; nothing is guessed. Rules in Cedar are no part of
this text: they are loaded for themselves, and stay as they are. Pure.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, Final

import msgspec

from kindmesh.coordinator.policy_guards import GUARD_TABLES, guards_from, guards_text
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import effect_names, parse_effects
from kindmesh.protocol.policy import Answer, Policy, Rule, check_policy
from kindmesh.protocol.roles import Rights, RoleRule

ANSWERS: Final[tuple[Answer, ...]] = ("allow", "ask", "deny")
TEXT_MAX: Final = 262_144
_RULE_KEYS: Final = ("operation", "effects", "answer")
_ROLE_KEYS: Final = ("name", "title", "operations", "effects", "data", "purposes", "approves")


def to_text(policy: Policy) -> str:
    """The policy as TOML; `from_text` of it is the same policy."""
    lines = [f"version = {policy.version}"]
    for rule in policy.rules:
        lines += [
            "",
            "[[rule]]",
            f"operation = {_quoted(rule.operation)}",
            f"effects = {_listed(effect_names(rule.effects))}",
            f"answer = {_quoted(rule.answer)}",
        ]
    for role in policy.roles:
        lines += [
            "",
            "[[role]]",
            f"name = {_quoted(role.name)}",
            f"title = {_quoted(role.title)}",
            f"operations = {_listed(role.rights.operations)}",
            f"effects = {_listed(effect_names(role.rights.effects))}",
            f"data = {_listed(role.rights.data_classes)}",
            f"purposes = {_listed(role.rights.purposes)}",
            f"approves = {_listed(effect_names(role.approves))}",
        ]
    lines += guards_text(policy.guards)
    return "\n".join(lines) + "\n"


def from_text(text: str, before: Policy, *, version: int, now_ms: int) -> Policy:
    """The policy that `text` says, as version `version` of `before`'s mesh and with its rules in Cedar, dated
    `now_ms`.

    Raises:
        InvalidInput: the line, what is wrong there, and what to write.
    """
    if len(text) > TEXT_MAX:
        raise InvalidInput(f"a policy has at most {TEXT_MAX} characters", field="file")
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(
            f"this is not TOML: {error}", field="file", hint="kindmesh policy show shows the form."
        ) from error
    where = _Where(text)
    unknown = next((key for key in said if key not in ("version", "rule", "role", *GUARD_TABLES)), None)
    if unknown is not None:
        raise where.wrong(
            "",
            0,
            unknown,
            "is nothing a policy has",
            f"There are version, [[rule]], [[role]], {', '.join(GUARD_TABLES)}.",
        )
    rules = tuple(_rule(where, number, table) for number, table in enumerate(_tables(where, said, "rule")))
    roles = tuple(_role(where, number, table) for number, table in enumerate(_tables(where, said, "role")))
    guards = guards_from(said, where.wrong)
    policy = Policy(before.mesh, version, now_ms, rules, roles, guards, before.cedar)
    check_policy(policy)
    return policy


def same(one: Policy, other: Policy) -> bool:
    """Whether two policies say the same, whatever their versions and dates are."""
    return (one.rules, one.roles, one.guards, one.cedar) == (
        other.rules,
        other.roles,
        other.guards,
        other.cedar,
    )


class _Where:
    """Finds the line of a table's key, for messages."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def line(self, kind: str, number: int, key: str) -> int:
        """From 1; the table's own line when the key is not written in it."""
        seen, at = -1, 0
        for position, line in enumerate(self._lines, start=1):
            heading = re.match(r"\s*\[+\s*([A-Za-z_]+)\s*\]+", line)
            if heading:
                seen += heading[1] == kind
                inside = heading[1] == kind and seen == number
                if inside:
                    at = position
                elif at:
                    return at
            elif (at or not kind) and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
                return position
        return at or 1

    def wrong(self, kind: str, number: int, key: str, what: str, hint: str) -> InvalidInput:
        """The error about a table's key."""
        line = self.line(kind, number, key)
        return InvalidInput(f"line {line}: {key} {what}", field=key, hint=hint)


def _tables(where: _Where, said: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = said.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise where.wrong(
            kind, 0, kind, "is a table of its own", f"Write [[{kind}]] on a line, then its values."
        )
    return found


def _rule(where: _Where, number: int, table: dict[str, Any]) -> Rule:
    _known(where, "rule", number, table, _RULE_KEYS)
    answer = _text(where, "rule", number, table, "answer")
    for known in ANSWERS:
        if known == answer:
            rule = Rule(
                _text(where, "rule", number, table, "operation"),
                _effects(where, "rule", number, table, "effects"),
                known,
            )
            _check(where, "rule", number, Policy(bytes(20), 1, 0, (rule,), ()))
            return rule
    raise where.wrong("rule", number, "answer", f"is {answer[:20]!r}", f"Write one of: {', '.join(ANSWERS)}.")


def _role(where: _Where, number: int, table: dict[str, Any]) -> RoleRule:
    _known(where, "role", number, table, _ROLE_KEYS)
    rights = Rights(
        _words(where, "role", number, table, "operations"),
        _effects(where, "role", number, table, "effects"),
        _words(where, "role", number, table, "data"),
        _words(where, "role", number, table, "purposes"),
    )
    name = _text(where, "role", number, table, "name")
    title = _text(where, "role", number, table, "title") if "title" in table else ""
    approves = _effects(where, "role", number, table, "approves") if table.get("approves") else 0
    role = RoleRule(name, title, rights, approves)
    _check(where, "role", number, Policy(bytes(20), 1, 0, (), (role,)))
    return role


def _check(where: _Where, kind: str, number: int, alone: Policy) -> None:
    """A rule or role on its own, so that what is wrong with it has a line."""
    try:
        check_policy(alone)
    except InvalidInput as error:
        key = {"data_classes": "data"}.get(error.field, error.field)
        line = where.line(kind, number, key)
        raise InvalidInput(f"line {line}: {error.message}", field=key, hint=error.hint) from error


def _known(where: _Where, kind: str, number: int, table: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            raise where.wrong(kind, number, key, f"is nothing a {kind} has", f"It has {', '.join(keys)}.")


def _text(where: _Where, kind: str, number: int, table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or len(value) > 80 or not value.isprintable():
        raise where.wrong(
            kind, number, key, "should be a text", f'Write {key} = "...", at most 80 characters.'
        )
    return value


def _words(where: _Where, kind: str, number: int, table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key)
    if not isinstance(value, list) or not all(isinstance(word, str) and len(word) <= 80 for word in value):
        raise where.wrong(kind, number, key, "should be a list of words", f'Write {key} = ["...", "..."].')
    return tuple(value)


def _effects(where: _Where, kind: str, number: int, table: dict[str, Any], key: str) -> int:
    words = _words(where, kind, number, table, key)
    try:
        return int(parse_effects(list(words)))
    except InvalidInput as error:
        raise where.wrong(
            kind, number, key, f"has a word that is no effect: {error.message}", error.hint
        ) from error


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(words: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(_quoted(word) for word in words)}]"


def with_rule(policy: Policy, rule: Rule, *, version: int, now_ms: int) -> Policy:
    """The policy with this rule in place of those that spoke about exactly this operation and these effects."""
    kept = []
    for old in policy.rules:
        left = old.effects & ~rule.effects if old.operation == rule.operation else old.effects
        if left:
            kept.append(msgspec.structs.replace(old, effects=left))
    return msgspec.structs.replace(policy, version=version, issued_ms=now_ms, rules=(*kept, rule))


__all__ = ["ANSWERS", "from_text", "same", "to_text", "with_rule"]
