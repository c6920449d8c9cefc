"""`policy`: what is allowed, asked or forbidden, and what roles may do; every change is shown before it is signed."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kindmesh.coordinator.brain.medulla.cedar_text import Problem
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output
from kindmesh.coordinator.policy_text import from_text, same, to_text, with_rule
from kindmesh.mesh.home import Home
from kindmesh.protocol.anchors import next_version
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import InvalidInput, NotInitialised
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.manifest import effect_names, parse_effects
from kindmesh.protocol.policy import Answer, Policy, Rule, check_policy, first_policy, in_zone
from kindmesh.protocol.signed import signed_to_bytes


def _current(client: Any) -> Policy:
    return decode(Policy, client.call("policy")["policy"], limit=ROSTER_MAX)


def run_show(out: Output) -> int:
    """The policy in force, as the text that `policy set` takes."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        policy = _current(client)
    text = to_text(policy)
    if out.as_json:
        rules = [
            {"operation": rule.operation, "effects": effect_names(rule.effects), "answer": rule.answer}
            for rule in policy.rules
        ]
        roles = [
            {
                "name": role.name,
                "title": role.title,
                "operations": list(role.rights.operations),
                "effects": effect_names(role.rights.effects),
                "data": list(role.rights.data_classes),
                "purposes": list(role.rights.purposes),
                "approves": effect_names(role.approves),
            }
            for role in policy.roles
        ]
        document = {"version": policy.version, "rules": rules, "roles": roles, "text": text}
        out.result({**document, "cedar": policy.cedar})
    else:
        also = "# Rules in Cedar count, too: kindmesh policy rules"
        out.result(None, *([also] if policy.cedar else []), *text.splitlines())
    return EXIT_DONE


def run_set(out: Output, path: str, yes: bool) -> int:
    """Take over a policy from a file (`-`: standard input)."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as text", field="file") from error
    return change_policy(
        out, yes, lambda policy, version, now_ms: from_text(text, policy, version=version, now_ms=now_ms)
    )


def run_rule(out: Output, operation: str, answer: Answer, effects: Sequence[str], yes: bool) -> int:
    """One rule more: allow, ask or deny an operation."""
    home = Home.locate()
    if effects:
        bits = int(parse_effects(list(effects)))
    elif answer == "deny":
        bits = 255
    else:
        bits = _offered(home, operation)
    rule = Rule(operation, bits, answer)
    return change_policy(
        out, yes, lambda policy, version, now_ms: with_rule(policy, rule, version=version, now_ms=now_ms)
    )


def _offered(home: Home, operation: str) -> int:
    """The effects with which devices offer it now; so no effect is allowed that nobody has seen."""
    bits = 0
    with connect(home, timeout_ms=10_000) as client:
        for offer in client.call("capabilities"):
            for found in offer["operations"]:
                name = found["name"]
                if operation in ("*", name) or (operation.endswith(".*") and name.startswith(operation[:-1])):
                    bits |= int(parse_effects(found["effects"]))
    if not bits:
        raise InvalidInput(
            f"no device offers {operation[:80]} now",
            field="operation",
            hint="Name the effects: --effects notify (kindmesh capabilities lists what there is).",
        )
    return bits


def run_reset(out: Output, yes: bool) -> int:
    """The first policy's rules and roles again, as a new version; rules in Cedar stay."""

    def again(policy: Policy, version: int, now_ms: int) -> Policy:
        first = in_zone(first_policy(policy.mesh, now_ms), policy.guards.zone)
        return msgspec.structs.replace(first, version=version, cedar=policy.cedar)

    return change_policy(out, yes, again)


def current_policy() -> Policy:
    """The policy in force."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        return _current(client)


def change_policy(
    out: Output, yes: bool, change: Callable[[Policy, int, int], Policy], *, warnings: Sequence[Problem] = ()
) -> int:
    """Make a new version (`change` gets the policy, its next version and the time), show what changes and `warnings`,
    and have the owner sign it.

    Raises:
        KindmeshError: not the owner's device, a policy that cannot be, a wrong passphrase, or Medulla refuses it.
    """
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised(
            "the owner's key is not on this device", hint="Do this on the device where the mesh was made."
        )
    with connect(home, timeout_ms=30_000) as client:
        before = _current(client)
        now_ms = max(time.time_ns() // 1_000_000, before.issued_ms)
        after = change(before, next_version(before.version, now_ms), now_ms)
        check_policy(after)
        if same(before, after):
            out.result({"ok": True, "version": before.version, "changed": False}, "Nothing to change.")
            return EXIT_DONE
        changes = _difference(before, after)
        out.note("\n".join(changes))
        for one in warnings:
            out.note(f"Careful: {one.error().message}\n  {one.hint}")
        if not yes and not _agreed():
            out.note("Nothing was changed.")
            return EXIT_REFUSED
        signed = unlock_owner(home, ask_passphrase()).sign_policy(after)
        client.call("policy.set", {"policy": signed_to_bytes(signed)})
    document = {"ok": True, "version": after.version, "changed": True, "difference": changes}
    document["warnings"] = [one._asdict() for one in warnings]
    out.result(document, f"Policy {after.version} is in force.")
    return EXIT_DONE


def _difference(before: Policy, after: Policy) -> list[str]:
    old, new = ([*to_text(policy).splitlines(), *policy.cedar.splitlines()] for policy in (before, after))
    names = (f"policy {before.version}", f"policy {after.version}")
    found = difflib.unified_diff(old, new, *names, lineterm="", n=4)
    return [printable(line) for line in found]


def _agreed() -> bool:
    sys.stderr.write("Sign this? yes or no: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


__all__ = ["change_policy", "current_policy", "run_reset", "run_rule", "run_set", "run_show"]
