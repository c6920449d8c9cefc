"""`kindmesh policy check, starter, try` and `kindmesh review --policy RULES.cedar`, as typed, without a mesh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kindmesh.coordinator.cli.main import run

RULES = """
@id("all") permit (principal, action, resource);

@id("guests-at-night") @says("guests do not unlock anything at night")
forbid (principal in Role::"guest", action == Action::"lock.unlock", resource)
when { context.minute >= 1320 || context.minute < 360 };

@id("dear") @answer("ask") forbid (principal, action in Action::"effect.spend", resource)
when { context.amount > 20 };
"""


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Types a command with --json: exit code and the objects that it wrote."""
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path / "home"))
    (tmp_path / "rules.cedar").write_text(RULES)
    monkeypatch.chdir(tmp_path)

    def type_(*words: str) -> tuple[int, list[dict[str, Any]]]:
        code = run([*words, "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return type_


def test_the_starter_set_is_printed_and_passes_its_own_check(typed: Any, tmp_path: Path) -> None:
    code, (found,) = typed("policy", "starter")
    assert code == 0
    (tmp_path / "starter.cedar").write_text(found["cedar"])
    sound = {"ok": True, "rules": 4, "problems": [], "warnings": []}
    assert typed("policy", "check", "starter.cedar") == (0, [sound])


def test_check_warns_of_rules_that_permit_nothing(
    typed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.cedar").write_text('forbid (principal, action == Action::"lock.unlock", resource);\n')
    code, (found,) = typed("policy", "check", "one.cedar")
    assert (code, found["ok"], found["rules"], found["problems"]) == (0, True, 1, [])
    (warning,) = found["warnings"]
    assert (warning["line"], warning["column"]) == (1, 1)
    assert "nothing would be done any more" in warning["what"]
    assert run(["policy", "check", "one.cedar"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 rule, and nothing is wrong with it, but:"
    assert lines[1].startswith("one.cedar:1:1: nothing in it is permitted")
    assert "kindmesh policy starter" in lines[2]
    (tmp_path / "one.cedar").write_text("permit (principal, action, resource);\n")
    assert run(["policy", "check", "one.cedar"]) == 0
    assert capsys.readouterr().out == "1 rule, and nothing is wrong with it.\n"


def test_check_tells_every_place_with_a_hint_and_ends_with_2(typed: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.cedar").write_text(
        RULES.replace('"lock.unlock"', '"lock.unlok"').replace("minute <", "minut <")
    )
    code, (found,) = typed("policy", "check", "wrong.cedar")
    assert (code, found["ok"]) == (2, False)
    assert [(one["line"], one["hint"]) for one in found["problems"]] == [
        (5, 'Did you mean Action::"lock.unlock"?'), (6, "Did you mean minute?"),
    ]  # fmt: skip
    assert found["error"]["message"].startswith("line 5, column 55: ")
    (tmp_path / "cut.cedar").write_text("permit (")
    code, (found,) = typed("policy", "check", "cut.cedar")
    assert (code, found["error"]["message"]) == (2, "line 1, column 8: '(' is never closed")
    (tmp_path / "long.cedar").write_text("// " + "x" * 70_000)
    for name in ("long.cedar", "nowhere.cedar"):
        code, (found,) = typed("policy", "check", name)
        assert (code, found["error"]["field"]) == (2, "file")


@pytest.mark.parametrize(
    ("words", "answer", "rules"),
    [
        (("--as", "guest", "--at", "22:30"), "deny", ["guests-at-night"]),
        (("--as", "Ben:guest", "--at", "2026-11-27T05:59"), "deny", ["guests-at-night"]),
        (("--as", "guest", "--at", "12:00"), "ask", ["all"]),
        (("--as", "resident", "--at", "22:30", "--said", "--present"), "allow", ["all"]),
    ],
)
def test_try_says_the_answer_and_which_rule_made_it(
    typed: Any, words: tuple[str, ...], answer: str, rules: list[str]
) -> None:
    wish = ("policy", "try", "lock.unlock", "entities=lock.front_door", "--rules", "rules.cedar")
    code, (found,) = typed(*wish, *words)
    assert (code, found["answer"], found["rules"], found["actions"]) == (0, answer, rules, ["lock.unlock"])


@pytest.mark.parametrize(
    ("words", "field", "hint"),
    [
        (("note.append",), "operation", "Did you mean notes.append?"),
        (("lock.unlock",), "entities", "entities=lock.front_door"),
        (("notes.append", "text=x", "--as", "somebody"), "as", "NAME:ROLE"),
        (("notes.append", "text=x", "--at", "25:00"), "at", "22:30"),
        (("notes.append", "text=x", "--purpose", "fun"), "purpose", "household"),
    ],
)
def test_try_refuses_what_it_cannot_try(typed: Any, words: tuple[str, ...], field: str, hint: str) -> None:
    code, (found,) = typed("policy", "try", *words)
    assert (code, found["error"]["field"]) == (2, field)
    assert hint in found["error"]["hint"]


def test_rules_are_only_loaded_where_the_owners_key_is(typed: Any) -> None:
    for words in (("load", "rules.cedar"), ("remove",)):
        code, (found,) = typed("policy", *words, "--yes")
        assert (code, found["error"]["code"]) == (3, "NOT_INITIALISED")


def test_a_batch_is_judged_by_rules_too(typed: Any, tmp_path: Path) -> None:
    tools = [
        {"name": "home.access", "effects": ["actuate"], "parameters": {"properties": {
            "service": {"type": "string"}, "entities": {"type": "array"}}}},
        {"name": "shop.buy", "effects": ["spend"], "parameters": {"properties": {
            "item": {"type": "string"}, "price": {"type": "number"}}}},
    ]  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(tools))
    args = {"service": "lock.unlock", "entities": ["lock.front_door"]}

    def line(name: str, call: str, args: Any, **request: Any) -> str:
        plan = {"plan": 1, "name": name, "steps": [{"id": "a", "call": call, "args": args}]}
        request = {"text": "unlock the front door, buy milk for 30", "principal": "owner", **request}
        return json.dumps({"id": name, "plan": plan, "request": request, "approvals": []})

    later = {"service": "lock.unlock", "entities": {"$from": "inputs.which"}}
    lines = [
        line("night", "home.access", args, principal="role:guest", at="2026-11-27T23:00"),
        line("noon", "home.access", args, principal="role:resident", at="2026-11-27T12:00"),
        line("dear", "shop.buy", {"item": "milk", "price": 30}),
    ]
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    words = ("review", "--manifests", "m.json", "--policy", "rules.cedar", "--batch", "b.jsonl")
    code, found = typed(*words)
    assert code == 0
    by_id = {one["id"]: one for one in found}
    reason = {
        "rule": "cedar",
        "step": "a",
        "message": "guests do not unlock anything at night (rule guests-at-night)",
    }
    assert by_id["night"]["verdict"] == "deny"
    assert reason in by_id["night"]["reasons"]
    assert "cedar" not in [one["rule"] for one in by_id["noon"]["reasons"]]
    assert by_id["dear"]["verdict"] == "ask"
    assert "cedar" in [one["rule"] for one in by_id["dear"]["reasons"]]
    # A gap that only the run fills keeps no permit from matching for good.
    (tmp_path / "one.cedar").write_text('permit (principal, action, resource == Thing::"lock.front_door");')
    plan = {
        "name": "later",
        "plan": 1,
        "inputs": {"which": {"type": "list"}},
        "steps": [{"id": "a", "call": "home.access", "args": later}],
    }
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"id": "later", "plan": plan, "request": {"text": "unlock it"}})
    )
    _, (found,) = typed("review", "--manifests", "m.json", "--policy", "one.cedar", "--batch", "b.jsonl")
    said = [one["message"] for one in found["reasons"] if one["rule"] == "cedar"]
    assert found["verdict"] == "ask", found
    assert "only known later" in said[0]
    (tmp_path / "one.cedar").write_text("permit (principal, action, resource")
    code, (found,) = typed("review", "--manifests", "m.json", "--policy", "one.cedar", "--batch", "b.jsonl")
    assert (code, found["error"]["field"]) == (2, "cedar")
