"""`policy check`, `load`, `remove`, `starter`: the owner's rules in Cedar, looked through, signed, and taken away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kindmesh.coordinator.brain.medulla.cedar_check import known_roles, problems, starter
from kindmesh.coordinator.brain.medulla.cedar_lockout import warnings
from kindmesh.coordinator.brain.medulla.cedar_text import Problem, statements
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_USAGE, Output, safe
from kindmesh.coordinator.cli.policy_commands import change_policy, current_policy
from kindmesh.coordinator.cli.rules_words import asked, known_actions, read_rules
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.policy import Policy


def run_check(out: Output, path: str) -> int:
    """Whether the rules in a file can be meant so; 2 when not, with every place. A warning is no mistake: 0."""
    text = read_rules(path)
    try:
        found = problems(text, _roles(), known_actions())
    except InvalidInput as error:
        # What cannot even be cut into rules has one place, which the message names.
        return out.trouble(error)
    if found:
        return _told(out, path, found)
    count, careful = len(statements(text)), warnings(text)
    said = (
        "1 rule, and nothing is wrong with it"
        if count == 1
        else f"{count} rules, and nothing is wrong with them"
    )
    document = {"ok": True, "rules": count, "problems": [], "warnings": [one._asdict() for one in careful]}
    out.result(document, f"{said}, but:" if careful else f"{said}.", *_lines(path, careful))
    return EXIT_DONE


def _lines(path: str, found: Iterable[Problem]) -> list[str]:
    """Each in two lines: where and what, and what to do."""
    return [
        line for one in found for line in (f"{path}:{one.line}:{one.column}: {one.what}", f"  {one.hint}")
    ]


def _told(out: Output, path: str, found: Iterable[Problem]) -> int:
    every = list(found)
    if out.as_json:
        first = every[0].error(len(every) - 1)
        body = {"code": first.code, "message": first.message, "hint": first.hint, "field": first.field}
        out.result({"ok": False, "error": body, "problems": [one._asdict() for one in every]})
    else:
        for line in _lines(path, every):
            out.note(line)
    return EXIT_USAGE


def _roles() -> tuple[str, ...]:
    """Those of the policy in force; where there is none, those of the first."""
    told = asked("policy")
    if not isinstance(told, dict):
        return known_roles()
    return known_roles(role.name for role in decode(Policy, told["policy"], limit=ROSTER_MAX).roles)


def run_load(out: Output, path: str, yes: bool) -> int:
    """Take over the rules in a file, in place of those before."""
    text = read_rules(path)
    found = problems(text, _roles(), known_actions())
    if found:
        return _told(out, path, found)

    def loaded(policy: Policy, version: int, now_ms: int) -> Policy:
        return msgspec.structs.replace(policy, version=version, issued_ms=now_ms, cedar=text)

    return change_policy(out, yes, loaded, warnings=warnings(text))


def run_remove(out: Output, yes: bool) -> int:
    """Take all rules in Cedar away: the policy counts alone again."""

    def without(policy: Policy, version: int, now_ms: int) -> Policy:
        return msgspec.structs.replace(policy, version=version, issued_ms=now_ms, cedar="")

    return change_policy(out, yes, without)


def run_starter(out: Output) -> int:
    """The rules that a household begins with."""
    out.result({"ok": True, "cedar": starter()}, *starter().splitlines())
    return EXIT_DONE


def run_show_rules(out: Output) -> int:
    """The rules in force, as they were loaded."""
    policy = current_policy()
    document: dict[str, Any] = {"version": policy.version, "cedar": policy.cedar}
    if not policy.cedar:
        out.note("There are no rules in Cedar. kindmesh policy starter prints some to begin with.")
    out.result(document, *map(safe, policy.cedar.splitlines()))
    return EXIT_DONE


__all__ = ["run_check", "run_load", "run_remove", "run_show_rules", "run_starter"]
