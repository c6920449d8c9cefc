"""`kindmesh review --manifests M.json [--policy P] --batch PLANS.jsonl`: plans judged without a mesh, line by line.

A line is `{"id", "plan", "request": {"text", "principal"}, "approvals": []}`; out comes `{"id", "verdict", "reasons",
"ms"}`. `request.text` stands for what was heard and proven: only the prover of spans reads it. Lines are judged in
their order, each against what those before it (of the same principal) were let do. A line that cannot be read becomes
an error object; the rest goes on, and the exit code is 1. Optional in a request: `name`, `role`, `present`, `area`,
`at` (local time, ISO 8601), `purpose`, `emergency`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Container, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, get_args

from kindmesh.coordinator.brain.medulla.cedar import Rules
from kindmesh.coordinator.brain.medulla.cedar_check import check_rules
from kindmesh.coordinator.brain.medulla.review import reviewed
from kindmesh.coordinator.brain.medulla.review_facts import Allowed, Facts, Ledger, Reviewed
from kindmesh.coordinator.brain.medulla.review_words import TextProver
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_FAILED, Output
from kindmesh.coordinator.cli.review_manifests import Tools, read_tools
from kindmesh.coordinator.cli.rules_words import known_actions, looks_like_rules, read_text
from kindmesh.coordinator.heart.schedules.zones import local_of, zone_named
from kindmesh.coordinator.policy_text import from_text
from kindmesh.protocol.errors import InvalidInput, KindmeshError, error_to_wire
from kindmesh.protocol.guards import Guards
from kindmesh.protocol.limits import PLAN_MAX
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_document
from kindmesh.protocol.plan_check import written_plan
from kindmesh.protocol.policy import Policy, decide
from kindmesh.protocol.roles import EVERYTHING, FIRST_ROLES, Purpose, RoleRule

_PARTS: Final = frozenset({"steps", "compensate", "sub", "plan", "$value"})
"""Where in a plan there may be steps, and what undoes them."""
_NESTED_MAX: Final = 64
LINE_MAX: Final = 8 * PLAN_MAX
WITHOUT_POLICY: Final = Guards(words=("*",), spend_plan=1_000.0, spend_day=1_000.0)
"""What bounds plans that are judged without a policy: proven words are enough for everything, up to this much money."""
_ROLE_WORDS: Final = (
    "owner", "resident", "caregiver", "guest", "alerts", "child", "kid", "visitor", "stranger",
    "device", "goal", "limb", "home",
)  # fmt: skip
_ALSO: Final = {"carer": "caregiver", "nurse": "caregiver", "": "nobody", "children": "child"}


class Reviewer:
    """Judges plans one after the other; `policy` None: see `WITHOUT_POLICY`; `rules`: in Cedar, as text."""

    def __init__(self, tools: Tools, policy: Policy | None = None, rules: str = "") -> None:
        self._cedar = (Rules(rules),) if rules else ()
        self._tools = tools
        self._policy = policy
        self._guards = WITHOUT_POLICY if policy is None else policy.guards
        self._roles: tuple[RoleRule, ...] = FIRST_ROLES if policy is None else policy.roles
        self._ledger = Ledger()
        self._served: set[tuple[str, str]] = set()

    def judge(self, line: Any, now_ms: int) -> Reviewed:
        """The verdict on one line.

        Raises:
            InvalidInput: names what is wrong with the line.
        """
        if not isinstance(line, dict):
            raise InvalidInput("a line is a map with id, plan and request", field="line")
        plan = plan_from_document(_named(line.get("plan"), self._tools.loose))
        facts = self._facts(line, plan, now_ms)
        verdict, self._ledger = reviewed(plan, facts)
        return verdict

    def _facts(self, line: dict[str, Any], plan: Plan, now_ms: int) -> Facts:
        request = line.get("request", {})
        if not isinstance(request, dict):
            raise InvalidInput("request is a map with text and principal", field="request")
        text = request.get("text", "")
        if not isinstance(text, str):
            raise InvalidInput("request.text is a text", field="request.text")
        principal, role, name = _principal(request)
        rule = next((known for known in self._roles if known.name == role), None)
        minute, weekday, now_ms = _time(request, now_ms, self._guards.zone)
        area = request.get("area") or ()
        purpose = request.get("purpose", "household")
        if purpose not in get_args(Purpose):
            raise InvalidInput(f"{str(purpose)[:40]!r} is no purpose", field="request.purpose")
        return Facts(
            operations=_used(plan, self._tools), policy=self._allowed(), guards=self._guards, prover=TextProver(text),
            principal=principal, name=name, role=role, rights=rule.rights if rule is not None else EVERYTHING,
            present=request.get("present", True) is True, purpose=purpose, address_book=self._tools.address_book,
            names=self._tools.names, area=(area,) if isinstance(area, str) else tuple(str(one) for one in area),
            now_ms=now_ms, minute=minute, emergency=request.get("emergency", False) is True,
            approved=frozenset(self._once(line.get("approvals", []), plan, principal)), ledger=self._ledger,
            weekday=weekday, cedar=self._cedar, dated=request.get("at") is not None,
        )  # fmt: skip

    def _once(self, given: Any, plan: Plan, principal: str) -> Iterator[str]:
        """Approved steps, of yeses that did not serve before; each serves once."""
        for step, said in _approved(given, plan):
            if (principal, said) not in self._served:
                self._served.add((principal, said))
                yield step

    def _allowed(self) -> Allowed:
        policy = self._policy
        if policy is None:
            return lambda operation, effects: "allow"
        return lambda operation, effects: decide(policy, operation, effects)


def _principal(request: dict[str, Any]) -> tuple[str, str, str]:
    """Text, role and name of who asks: `owner`, a role's name, `role:NAME`, a person's name, or a map."""
    given = request.get("principal", "owner")
    name, role = request.get("name", ""), request.get("role", "")
    if isinstance(given, dict):
        name = given.get("name", name) or given.get("id", "")
        role = given.get("role", role) or given.get("kind", "")
        given = str(given.get("id") or name or role)
    if not all(isinstance(one, str) for one in (given, name, role)):
        raise InvalidInput(
            "request.principal is a text or a map with id, name and role", field="request.principal"
        )
    if not role:
        head = given.removeprefix("role:").partition(":")[0].partition(" ")[0].casefold()
        role = _ALSO.get(head, head if head in _ROLE_WORDS or given.startswith("role:") else "person")
    if not name and role == "person":
        name = given.rpartition(":")[2].strip()
    return given or "nobody", role.casefold(), name


def _time(request: dict[str, Any], now_ms: int, zone: str) -> tuple[int, int, int]:
    """Minute of the day in `zone` (empty: this machine's), weekday (1 Monday), and UTC ms."""
    given = request.get("at")
    try:
        at = (
            datetime.fromisoformat(given)
            if given is not None
            else local_of(now_ms, zone_named(zone))
            if zone
            else datetime.fromtimestamp(now_ms / 1000).astimezone()
        )
    except (TypeError, ValueError) as error:
        raise InvalidInput("request.at is a local time, like 2026-11-27T22:30", field="request.at") from error
    return at.hour * 60 + at.minute, at.isoweekday(), int(at.timestamp() * 1000)


def _named(document: Any, loose: Container[str], depth: int = 0) -> Any:
    """A plan in which a tool that has no capability is called `tool.NAME`, as operations are."""
    if isinstance(document, list):
        return [_named(one, loose, depth) for one in document]
    if not isinstance(document, dict) or depth > _NESTED_MAX:
        return document
    found = {name: _named(one, loose, depth + 1) if name in _PARTS else one for name, one in document.items()}
    call = found.get("call")
    return found | {"call": f"tool.{call}"} if isinstance(call, str) and call in loose else found


def _used(plan: Plan, tools: Tools) -> dict[str, Operation]:
    """The operations that a plan, or a plan written into it, calls."""
    found: dict[str, Operation] = {}
    pending: list[Any] = [plan_to_document(plan)]
    while pending:
        document = pending.pop()
        for step in document.get("steps", ()) if isinstance(document, dict) else ():
            if not isinstance(step, dict):
                continue
            for call in (step.get("call"), (step.get("compensate") or {}).get("call")):
                operation = tools.find(call) if isinstance(call, str) else None
                if operation is not None:
                    found[str(call)] = operation
            inner = (step.get("sub") or {}).get("plan")
            if inner is not None:
                pending.append(
                    written_plan(inner) or (inner.get("$value") if isinstance(inner, dict) else None)
                )
    return found


def _approved(given: Any, plan: Plan) -> Iterator[tuple[str, str]]:
    """Steps that a person said yes to, each with exactly the arguments that the plan has, and done once; beside it what
    tells one yes from another."""
    if not isinstance(given, list):
        raise InvalidInput("approvals is a list", field="approvals")
    document = {step["id"]: step for step in plan_to_document(plan)["steps"]}
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("step"), str):
            raise InvalidInput("an approval names its step and args", field="approvals")
        step = document.get(one["step"])
        if step is None or any(more in step for more in ("for_each", "while", "compensate", "sub")):
            continue
        if one.get("args") == step.get("args", {}) and one.get("answer", "allow") == "allow":
            yield one["step"], json.dumps([step.get("call"), one], sort_keys=True, default=str)


def reviewer_for(tools: Tools, policy: str) -> Reviewer:
    """A reviewer by the file of a policy (TOML) or of rules (Cedar); empty: without.

    Raises:
        InvalidInput: it cannot be read; names the line. ConfigError: rules, and no cedarpy.
    """
    if not policy:
        return Reviewer(tools)
    path = Path(policy)
    text = read_text(policy)
    if not looks_like_rules(path, text):
        return Reviewer(tools, load_policy(path))
    known = known_actions((*tools.operations, *tools.loose))
    check_rules(text, (*(role.name for role in FIRST_ROLES), *_ROLE_WORDS, "person"), known)
    return Reviewer(tools, rules=text)


def load_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        InvalidInput: it cannot be read; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read as text", field="policy") from error
    before = Policy(bytes(20), 1, 0, ())
    return from_text(text, before, version=1, now_ms=0)


def run_batch(out: Output, manifests: str, policy: str, batch: str) -> int:
    """Judge every line of `batch` (`-`: standard input)."""
    reviewer = reviewer_for(read_tools(Path(manifests)), policy)
    failed = False
    for number, line in enumerate(_lines(batch), start=1):
        if not line.strip():
            continue
        known, document = _judged(reviewer, line, number)
        failed = failed or not known
        out.result(document, _spoken(document))
    return EXIT_FAILED if failed else EXIT_DONE


def _lines(batch: str) -> Iterable[bytes]:
    if batch == "-":
        yield from iter(lambda: sys.stdin.buffer.readline(LINE_MAX + 1), b"")
        return
    try:
        with Path(batch).open("rb") as file:
            yield from iter(lambda: file.readline(LINE_MAX + 1), b"")
    except OSError as error:
        raise InvalidInput(f"{batch} cannot be read", field="batch") from error


def _judged(reviewer: Reviewer, line: bytes, number: int) -> tuple[bool, dict[str, Any]]:
    began = time.perf_counter()
    name: Any = None
    try:
        if len(line) > LINE_MAX:
            raise InvalidInput(f"line {number} is longer than {LINE_MAX} bytes", field="line")
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"line {number} is not JSON: {str(error)[:80]}", field="line") from error
        name = document.get("id") if isinstance(document, dict) else None
        verdict = reviewer.judge(document, time.time_ns() // 1_000_000)
    except KindmeshError as error:
        wire = error_to_wire(error)
        said = {"code": wire.code, "message": wire.message, "field": wire.field, "hint": wire.hint}
        return False, {"id": name, "line": number, "error": said}
    spent_ms = round((time.perf_counter() - began) * 1000, 3)
    return True, {"id": name, **verdict_document(verdict), "ms": spent_ms}


def verdict_document(verdict: Reviewed) -> dict[str, Any]:
    """`verdict` and `reasons` as plain data."""
    reasons = [{"rule": one.rule, "step": one.step, "message": one.message} for one in verdict.reasons]
    return {"verdict": verdict.verdict, "reasons": reasons}


def _spoken(document: dict[str, Any]) -> str:
    if "error" in document:
        return f"{document['id'] or document['line']}: {document['error']['message']}"
    why = "; ".join(f"{one['step']}: {one['message']}" for one in document["reasons"][:3])
    return f"{document['id']}: {document['verdict']}{'  ' + why if why else ''}"


__all__ = [
    "LINE_MAX", "WITHOUT_POLICY", "Reviewer", "load_policy", "reviewer_for", "run_batch", "verdict_document",
]  # fmt: skip
