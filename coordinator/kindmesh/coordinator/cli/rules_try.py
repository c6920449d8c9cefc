"""`policy try`: what would be answered if somebody asked for something, and which rule decides it. Nothing is done.

The rules are those of a file, or those in force; so is the policy. What is said, proven or present is what the options
say; at the permit it is what Medulla finds proven. Whether the words would really be enough is not tried here, nor are
roles' rights: those are other rules, which can only make the answer worse.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.capabilities.home.risk import operation_for
from kindmesh.coordinator.brain.medulla.cedar import Asked, Ruled, Rules
from kindmesh.coordinator.brain.medulla.cedar_asked import (
    WITH_SERVICES,
    about,
    weekday_of,
    whole_units,
    worst,
)
from kindmesh.coordinator.brain.medulla.cedar_check import check_rules, known_roles
from kindmesh.coordinator.brain.medulla.cedar_text import near
from kindmesh.coordinator.brain.medulla.review_facts import Facts
from kindmesh.coordinator.brain.medulla.review_step import scene_of
from kindmesh.coordinator.brain.medulla.rule_amounts import spent
from kindmesh.coordinator.cli.arguments import parse_arguments
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.coordinator.cli.rules_words import asked, known_actions, offered, read_rules, services, shipped
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.guards import settled_by_words
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.policy import SEVERITY, Answer, Policy, decide, first_policy
from kindmesh.protocol.roles import Purpose

_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_SAID: Final = {"allow": "It would be done", "ask": "It would be asked about", "deny": "It would not be done"}


class Tried(msgspec.Struct, frozen=True):
    """What the options say; empty where nothing was."""

    operation: str
    words: tuple[str, ...] = ()
    who: str = "owner"
    at: str = ""
    device: str = ""
    rules: str = ""
    purpose: Purpose = "household"
    said: bool = False
    present: bool = False


def run_try(out: Output, tried: Tried) -> int:
    """Say what would be answered.

    Raises:
        InvalidInput: an option that cannot be, with what there is.
    """
    policy = _policy()
    text = read_rules(tried.rules) if tried.rules else policy.cedar
    if tried.rules:
        check_rules(text, (role.name for role in policy.roles), known_actions())
    operation, args, names = _call(tried)
    role, name = _who(tried.who, policy)
    questions = about(_base(tried, operation, args, (role, name)), args, names)
    ruled = worst((Rules(text),), questions) if text else Ruled("allow")
    by_policy = decide(policy, operation.name, operation.effects)
    if by_policy == "ask" and tried.said:
        guards = policy.guards
        by_policy = "allow" if settled_by_words(guards, operation.name, tried.present) else by_policy
    answer: Answer = max((ruled.answer, by_policy), key=SEVERITY.__getitem__)
    document = {
        "answer": answer, "cedar": ruled.answer if text else None, "rules": list(ruled.rules),
        "reason": ruled.reason, "policy": by_policy, "operation": operation.name,
        "actions": sorted({one.action for one in questions}),
    }  # fmt: skip
    out.result(document, *_lines(answer, ruled, by_policy, bool(text)))
    return EXIT_DONE


def _lines(answer: Answer, ruled: Ruled, by_policy: Answer, has_rules: bool) -> list[str]:
    lines = [f"{_SAID[answer]}: {answer}."]
    if not has_rules:
        lines.append("  rules   there are none in Cedar")
    else:
        decided = f" by {', '.join(ruled.rules)}" if ruled.rules else ""
        why = f": {ruled.reason}" if ruled.reason else ""
        lines.append(f"  rules   {ruled.answer}{decided}{why}")
    return [*lines, f"  policy  {by_policy}"]


def _policy() -> Policy:
    told = asked("policy")
    if not isinstance(told, dict):
        return first_policy(bytes(20), 0)
    return decode(Policy, told["policy"], limit=ROSTER_MAX)


def _call(tried: Tried) -> tuple[Operation, dict[str, Any], dict[str, tuple[str, ...]]]:
    """The operation with its effects, its arguments, and what people call its things."""
    known = {**shipped(), **offered()}
    service = tried.operation if tried.operation in services() else ""
    given = [word for word in tried.words if service and word.startswith("entities=")]
    things = [one for word in given for one in word.partition("=")[2].split(",") if one]
    if service and not things:
        raise InvalidInput(
            "which thing is it about?", field="entities", hint=f"{service} entities=lock.front_door"
        )
    names = _names(things)
    name = tried.operation
    if service:
        name = max((_operation(one, service, names) for one in things), key=WITH_SERVICES.index)
    if name not in known:
        meant = near(name, (*known, *services()))
        hint = f"Did you mean {meant}?" if meant else "kindmesh capabilities lists operations."
        raise InvalidInput(f"nothing here does {name[:60]!r}", field="operation", hint=hint)
    fields = {field.name: {"type": field.type, "items": field.items} for field in known[name].input}
    words = [word for word in tried.words if word not in given]
    args = parse_arguments(words, fields, lambda path: {"artifact": str(path)})
    if service:
        args |= {"service": service, "entities": things}
    entities = args.get("entities")
    if isinstance(entities, list) and not names:
        names = _names([one for one in entities if isinstance(one, str)])
    return known[name], args, names


def _operation(thing: str, service: str, names: dict[str, tuple[str, ...]]) -> str:
    called = names.get(thing) or (thing,)
    return operation_for(Entity(thing, called[0], tuple(called[1:])), service)


def _names(things: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """As the home on the mesh calls them; where it cannot be asked, by their ids."""
    plain: dict[str, tuple[str, ...]] = {
        one: (one.partition(".")[2].replace("_", " "),) for one in things if "." in one
    }
    offers = (asked("capabilities") or []) if plain else []
    for device in [offer["device"] for offer in offers if offer["capability"] == "home"]:
        plain |= _called(device, tuple(plain))
    return plain


def _called(device: str, things: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What a device calls those things that it has."""

    def told(operation: str, args: dict[str, Any]) -> dict[str, Any]:
        found = asked("call", {"operation": operation, "args": args, "target": device})
        return found if isinstance(found, dict) else {}

    areas = {one["id"]: one for one in told("home.describe", {}).get("areas", ())}
    found = {}
    for thing in things:
        for one in told("home.get", {"entities": [thing]}).get("entities", ()):
            area = areas.get(one.get("area"), {})
            where = [area["name"], *area.get("aliases", ())] if area else []
            found[thing] = (one["name"], *one.get("aliases", ()), *where)
    return found


def _who(who: str, policy: Policy) -> tuple[str, str]:
    """Role and name: a role, `NAME:ROLE`, or the name of a person that the mesh knows."""
    roles = known_roles(role.name for role in policy.roles)
    name, colon, role = who.partition(":")
    if colon:
        return role, name
    if who in (*roles, "child", "device"):
        return who, ""
    told = asked("people")
    people = told.get("people", ()) if isinstance(told, dict) else ()
    for person in people:
        if who.casefold() in (person["name"].casefold(), person["person"]):
            return person["role"], person["name"]
    raise InvalidInput(
        f"{who[:40]!r} is no role, and nobody's name here",
        field="as",
        hint=f"One of {', '.join(roles)}, or NAME:ROLE.",
    )


def _base(tried: Tried, operation: Operation, args: dict[str, Any], who: tuple[str, str]) -> Asked:
    minute, local_ms = _time(tried.at)
    role, name = who
    amount = 0
    if operation.effects & Effect.SPEND:
        scene = scene_of(operation, operation.effects, args, (), Facts({}, lambda *_: "allow"))
        amount = whole_units(spent(scene.made.calls[0]))
    return Asked(
        action=operation.name, operation=operation.name, effects=int(operation.effects),
        person="owner" if role == "owner" else name or role, name=name,
        kind=role if role in ("owner", "device") else "person", role=role, device=tried.device, minute=minute,
        weekday=weekday_of(local_ms), present=tried.present, said=tried.said, proven=tried.said,
        purpose=tried.purpose, amount=amount, source="user" if tried.said else "model",
        data=operation.data_classes,
    )  # fmt: skip


def _time(at: str) -> tuple[int, int]:
    """Minute of the day, and local ms; `HH:MM` today, or a local time in ISO 8601."""
    now = datetime.fromtimestamp(time.time()).astimezone()
    clock = _CLOCK.fullmatch(at)
    try:
        if clock:
            now = now.replace(hour=int(clock[1]), minute=int(clock[2]))
        elif at:
            now = datetime.fromisoformat(at).astimezone()
    except ValueError as error:
        raise InvalidInput(
            f"{at[:40]!r} is no time", field="at", hint="Like 22:30, or 2026-11-27T22:30."
        ) from error
    ahead = now.utcoffset()
    local_ms = int((now.timestamp() + (ahead.total_seconds() if ahead else 0)) * 1000)
    return now.hour * 60 + now.minute, local_ms


__all__ = ["Tried", "run_try"]
