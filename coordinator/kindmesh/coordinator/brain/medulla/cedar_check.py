"""Whether a text of rules can mean what its author meant: every problem with its place and what to write instead.

Cedar's own checks (grammar, types against `rules.cedarschema`) are not enough for somebody's home: a rule about
`Action::"lock.unlok"` or `Role::"gest"` is well-formed and never matches, and a forbid that never matches protects
nobody. So unknown operations, services, roles and annotations are refused, a group of actions can only be used with
`in`, a rule that could only be a template is none, and a text without a rule would lock everybody out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Final

from kindmesh.coordinator.brain.medulla.cedar import effect_of, first_wrong, parse_problem, type_problems
from kindmesh.coordinator.brain.medulla.cedar_text import (
    PROBLEMS_MAX,
    Problem,
    Statement,
    Token,
    Uid,
    near,
    statements,
)
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.roles import FIRST_ROLES

RULES_MAX: Final = 500
SAYS_MAX: Final = 200
"""Characters of what a rule says to people."""
TYPES: Final = ("Action", "Area", "Device", "Person", "Role", "Thing")
ALSO_ROLES: Final = ("child", "device")
"""Roles that need not be in a policy: `child` because families have them, `device` for what asks by itself."""
EFFECT_GROUPS: Final = tuple(f"effect.{name}" for name in effect_names(255))
_WITH_SERVICES: Final = ("home.control", "home.access", "home.note")
_ANNOTATIONS: Final = ("id", "answer", "says")
_ANSWERS: Final = {"permit": ("allow", "ask"), "forbid": ("deny", "ask")}
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_ACTION: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31})?")
_IN: Final = frozenset({"in", "[", ","})
_ATTRIBUTE: Final = re.compile(r"attribute `(\w+)` (?:in context for \S+|on entity type `(\w+)`) not found")
_TYPE: Final = re.compile(r"unexpected type: expected (.+) but saw (.+)")
_QUOTED: Final = re.compile(r"`([^`]+)`|: (\w+)$|@(\w+)$")
_TYPE_WORDS: Final = {
    "Long": "a number", "String": "a text", "Bool": "true or false", "Set<String>": "a list of texts",
    "decimal": "a decimal",
}  # fmt: skip


def starter() -> str:
    """The rules that a household begins with."""
    return _shipped("starter.cedar")


def schema_text() -> str:
    """The vocabulary of rules, without actions, in Cedar's schema language."""
    return _shipped("rules.cedarschema")


@cache
def _shipped(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def check_rules(text: str, roles: Iterable[str], actions: Iterable[str] | None = None) -> None:
    """Refuse a text that has a problem.

    Raises:
        InvalidInput: the first one, with its line, column and hint. ConfigError: no cedarpy.
    """
    found = problems(text, roles, actions)
    if found:
        raise found[0].error(len(found) - 1)


def problems(text: str, roles: Iterable[str], actions: Iterable[str] | None = None) -> tuple[Problem, ...]:
    """All problems of a text (at most `PROBLEMS_MAX`), in its order. `roles`: those of the policy; `actions`:
    operations and services that there are, None: any.

    Raises:
        InvalidInput: it cannot be cut into rules. ConfigError: no cedarpy.
    """
    cut = statements(text)
    if not cut:
        hint = "kindmesh policy starter prints rules to begin with; kindmesh policy remove takes rules away."
        return (Problem(1, 1, "there is no rule in it, so nothing would ever be permitted", hint),)
    if len(cut) > RULES_MAX:
        token = cut[RULES_MAX].tokens[0]
        return (Problem(token.line, token.column, f"more than {RULES_MAX} rules", "Put some together."),)
    known_roles = {*roles, *ALSO_ROLES}
    known_actions = None if actions is None else frozenset(actions)
    found: dict[int, list[Problem]] = {}
    seen: dict[str, int] = {}
    for one in cut:
        found[one.number] = [
            *_annotations(one, seen),
            *(_grammar(one) or [*_slots(one), *_names(one, known_roles, known_actions)]),
        ]
    sound = {one.number: one for one in cut if not found[one.number]}
    schema = schema_for(cut)
    said = type_problems({number: one.text for number, one in sound.items()}, schema)
    for number, sentences in said.items():
        found[number] = [_typed(sound[number], sentence) for sentence in sentences[:3]]
    every = {(one.line, one.column): one for some in found.values() for one in reversed(some)}
    return tuple(every[place] for place in sorted(every))[:PROBLEMS_MAX]


def schema_for(cut: Iterable[Statement]) -> str:
    """The schema with every action that the rules name. Effects of an action are only known when it is asked for, so
    each may have all of them."""
    named = {uid.id.value for one in cut for uid in one.uids if uid.type.text == "Action"}
    groups = sorted({*EFFECT_GROUPS, *(name for name in named if "." not in name)})
    single = sorted({name for name in named if "." in name} - set(EFFECT_GROUPS) | {"any.thing"})
    above = ", ".join(f'Action::"{name}"' for name in groups)
    to = "appliesTo { principal: [Person], resource: [Thing, Device], context: Context }"
    lines = [f'action "{name}";' for name in groups]
    lines += [f'action "{name}" in [{above}] {to};' for name in single]
    return schema_text() + "\n".join(lines) + "\n"


def _at(token: Token, what: str, hint: str) -> Problem:
    return Problem(token.line, token.column, what, hint)


def _annotations(one: Statement, seen: dict[str, int]) -> Iterator[Problem]:
    for annotation in one.annotations:
        name, value = annotation.name, annotation.value
        if name.text not in _ANNOTATIONS:
            meant = near(name.text, _ANNOTATIONS)
            hint = f"Did you mean @{meant}?" if meant else f"There are @{', @'.join(_ANNOTATIONS)}."
            yield _at(name, f"a rule has no @{name.text}", hint)
        elif name.text == "id":
            if not _ID.fullmatch(value):
                yield _at(
                    name,
                    "this is no name for a rule",
                    'Lower case letters, digits, - and _: @id("night-lock").',
                )
            elif value in seen:
                yield _at(
                    name, f"the rule in line {seen[value]} is called that, too", "Give it another name."
                )
            seen.setdefault(value, name.line)
        elif name.text == "says" and not (0 < len(value) <= SAYS_MAX and value.isprintable()):
            yield _at(
                name, "this is no sentence for people", f"At most {SAYS_MAX} characters that can be printed."
            )
        elif name.text == "answer":
            may = _ANSWERS.get(effect_of(one).text, ())
            if may and value not in may:
                hint = "Write " + " or ".join(f'@answer("{word}")' for word in may) + "."
                yield _at(name, f"a {effect_of(one).text} cannot answer {value[:20]!r}", hint)


def _grammar(one: Statement) -> list[Problem]:
    effect = effect_of(one)
    if effect.text not in _ANSWERS:
        meant = near(effect.text, _ANSWERS) or {"allow": "permit", "deny": "forbid"}.get(effect.text, "")
        hint = f"Did you mean {meant}?" if meant else "A rule begins with permit or forbid."
        return [_at(effect, f"{effect.text[:40]!r} begins no rule", hint)]
    said = parse_problem(one.text)
    if not said:
        return []
    wrong = first_wrong(one)
    if wrong is None and "integer" in said:
        wrong = max(
            (token for token in one.tokens if token.kind == "number"), key=lambda token: len(token.text)
        )
    if wrong is None:
        quoted = _QUOTED.search(said)
        wrong = one.find(next(filter(None, quoted.groups()), "")) if quoted else effect
    return [_at(wrong, _plain(said), _grammar_hint(wrong, said))]


def _plain(said: str) -> str:
    return said.replace("`", '"').replace('""', '"')[:200]


def _grammar_hint(wrong: Token, said: str) -> str:
    if wrong.kind == "sign" and wrong.text in "=><":
        return "Comparisons are ==, !=, <, <=, >, >=."
    meant = near(
        wrong.text,
        ("when", "unless", "principal", "action", "resource", "contains", "containsAll", "containsAny"),
    )
    if meant and meant != wrong.text:
        return f"Did you mean {meant}?"
    if "too large" in said:
        return "Whole numbers up to 9223372036854775807."
    return "A rule is: forbid (principal, action, resource) when { ... };"


def _slots(one: Statement) -> Iterator[Problem]:
    for token in one.tokens:
        if token.text == "?":
            yield _at(token, "a rule has no places to fill in", "Name whom or what it is about.")


def _names(one: Statement, roles: set[str], actions: frozenset[str] | None) -> Iterator[Problem]:
    for uid in one.uids:
        kind, name = uid.type.text, uid.id.value
        if kind not in TYPES:
            meant = near(kind, TYPES)
            hint = f'Did you mean {meant}::"{name}"?' if meant else f"There are {', '.join(TYPES)}."
            yield _at(uid.type, f"there is no {kind}", hint)
        elif kind == "Role" and name not in roles:
            meant = near(name, roles)
            hint = f'Did you mean Role::"{meant}"?' if meant else f"There are {', '.join(sorted(roles))}."
            yield _at(uid.id, f"the policy has no role {name[:40]!r}", hint)
        elif kind == "Person" and name != "owner" and not _is_id(name):
            hint = f'Write when {{ principal.name == "{name}" }}, or Person::"owner".'
            yield _at(uid.id, f"{name[:40]!r} is nobody's id", hint)
        elif kind == "Action":
            yield from _action(uid, name, actions)
    declared = _declared("context")
    for token in one.of_context():
        name = token.value if token.kind == "text" else token.text
        if name not in declared:
            meant = near(name, declared)
            hint = f"Did you mean {meant}?" if meant else f"There are {', '.join(declared)}."
            yield _at(token, f"the context has no {name[:40]!r}", hint)


def _is_id(name: str) -> bool:
    try:
        parse_id(name)
    except KindmeshError:
        return False
    return True


def _action(uid: Uid, name: str, actions: frozenset[str] | None) -> Iterator[Problem]:
    groups = {*EFFECT_GROUPS, *_WITH_SERVICES}
    if actions is not None:
        groups |= {one.partition(".")[0] for one in actions}
    known = None if actions is None else groups | actions
    unwritten = not _ACTION.fullmatch(name) and (actions is None or name not in actions)
    if unwritten or (name.startswith("effect.") and name not in EFFECT_GROUPS):
        meant = near(name, known or groups)
        hint = f'Did you mean Action::"{meant}"?' if meant else "Write capability.operation or kind.service."
        yield _at(uid.id, f"{name[:40]!r} is nothing that can be done", hint)
    elif known is not None and name not in known:
        meant = near(name, known)
        hint = (
            f'Did you mean Action::"{meant}"?'
            if meant
            else "kindmesh capabilities lists operations; a service is like lock.unlock."
        )
        yield _at(uid.id, f"nothing here does {name!r}", hint)
    elif (name in groups or (actions is None and "." not in name)) and _is_compared(uid):
        yield _at(
            uid.id,
            f"{name!r} is a group, and never equal to one action",
            f'Write action in Action::"{name}".',
        )


def _is_compared(uid: Uid) -> bool:
    return uid.before not in _IN or uid.after in ("==", "!=")


def _typed(one: Statement, said: str) -> Problem:
    attribute = _ATTRIBUTE.search(said)
    if attribute:
        name, kind = attribute[1], attribute[2]
        place = "context" if kind is None else kind
        meant = near(name, _declared(place))
        hint = f"Did you mean {meant}?" if meant else f"There are {', '.join(_declared(place))}."
        return _at(one.find(name), f"{place if kind else 'the context'} has no {name!r}", hint)
    types = _TYPE.search(said)
    if types:
        wanted, got = (_TYPE_WORDS.get(word, word.replace("`", "")) for word in types.groups())
        where = next((token for token in one.tokens if token.text in ("when", "unless")), effect_of(one))
        hint = "docs/reference/rules.md says of each name what it is."
        return _at(where, f"this needs {wanted}, and what is there is {got}", hint)
    quoted = _QUOTED.search(said)
    word = next(filter(None, quoted.groups()), "") if quoted else ""
    where = one.find(word.rpartition('::"')[2].rstrip('"')) if word else effect_of(one)
    return _at(where, _plain(said), "docs/reference/rules.md says what rules can speak about.")


@cache
def _declared(place: str) -> tuple[str, ...]:
    text = schema_text()
    head = "type Context = {" if place == "context" else f"entity {place} "
    body = text[text.index(head) :].partition("{")[2].partition("}")[0]
    return tuple(re.findall(r"(\w+): ", re.sub(r"//[^\n]*", "", body)))


def known_roles(roles: Iterable[str] = ()) -> tuple[str, ...]:
    """Roles of a policy, or without one those of the first."""
    return tuple(roles) or tuple(role.name for role in FIRST_ROLES)


__all__ = [
    "ALSO_ROLES", "EFFECT_GROUPS", "RULES_MAX", "SAYS_MAX", "check_rules", "known_roles",
    "problems", "schema_for", "schema_text", "starter",
]  # fmt: skip
