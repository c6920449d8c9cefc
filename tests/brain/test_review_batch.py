"""`kindmesh review --batch`: line by line, bad lines included, with manifests and policies as people write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.brain.review_kit import TOOLS, call, home, line, reviewer
from typer.testing import CliRunner

from kindmesh.capabilities.registry import available
from kindmesh.coordinator.cli.main import app
from kindmesh.coordinator.cli.review_batch import Reviewer, load_policy
from kindmesh.coordinator.cli.review_manifests import tools_from_document
from kindmesh.coordinator.policy_text import from_text, to_text
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.policy import Policy

POLICY = """
[[rule]]
operation = "*"
effects = ["read", "notify", "actuate", "write"]
answer = "allow"

[[rule]]
operation = "mail.send"
effects = ["write"]
answer = "deny"

[words]
enough = ["bank.*"]
at_home = ["home.access"]

[spend]
per_plan = 20
per_day = 50

[[quiet]]
from = "22:00"
to = "07:00"
effects = ["actuate"]

[[rate]]
operation = "messages.send"
count = 1
per_s = 3600

[egress]
to = ["example.org"]
"""


def run(tmp_path: Path, lines: list[Any], *more: str) -> tuple[int, list[dict[str, Any]]]:
    manifests, batch = tmp_path / "m.json", tmp_path / "b.jsonl"
    manifests.write_text(json.dumps(TOOLS))
    batch.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines))
    options = ["review", "--manifests", str(manifests), "--batch", str(batch), "--json", *more]
    result = CliRunner().invoke(app, options)
    return result.exit_code, [json.loads(one) for one in result.stdout.splitlines()]


def test_every_line_is_answered_in_order_and_bad_ones_do_not_stop_the_rest(tmp_path: Path) -> None:
    good = line("turn off the kitchen light", home("light.turn_off", "light.kitchen"))
    code, found = run(tmp_path, [good, "{", "", '"x"', {"id": 7}, {**good, "approvals": 1}, good])
    assert code == 1
    assert ["error" in one for one in found] == [False, True, True, True, True, False]
    assert found[0] == {
        "id": "turn off the kitchen light",
        "verdict": "allow",
        "reasons": [],
        "ms": found[0]["ms"],
    }
    assert (found[3]["id"], found[3]["error"]["field"]) == (7, "plan")


def test_without_bad_lines_the_exit_code_is_0(tmp_path: Path) -> None:
    code, found = run(tmp_path, [line("hello", call("mail.send", to="a@b.de", body="hello"))])
    assert (code, found[0]["verdict"]) == (0, "ask")
    assert set(found[0]["reasons"][0]) == {"rule", "step", "message"}


def test_the_policy_decides_and_its_bounds_count(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(POLICY)
    judging = reviewer(load_policy(path))

    def rules(text: str, step: dict[str, Any], **request: Any) -> list[str]:
        request = {"at": "2026-11-27T12:00", **request}
        return sorted({one.rule for one in judging.judge(line(text, step, **request), 0).reasons})

    off = home("light.turn_off", "light.kitchen")
    assert rules("turn off the kitchen light", off) == []
    assert rules("turn off the kitchen light", off, at="2026-11-27T23:00") == ["quiet-hours"]
    assert rules("turn off the kitchen light", off, at="2026-11-27T23:00", emergency=True) == []
    assert rules("email a@example.org hi", call("mail.send", to="a@example.org", body="hi")) == ["policy"]
    assert rules("pay Bob 30 euros", call("bank.transfer", payee="Bob", amount=30)) == ["spend"]
    text = call("messages.send", recipient="Anna", text="dinner is ready")
    assert rules("text Anna that dinner is ready", text) == []
    assert rules("text Anna that dinner is ready", text) == ["rate"]
    assert rules("look at https://example.com/a", call("web.fetch", url="https://example.com/a")) == [
        "egress"
    ]
    assert (
        rules("look at https://www.example.org/a", call("web.fetch", url="https://www.example.org/a")) == []
    )


def test_a_policy_with_bounds_reads_as_it_is_written() -> None:
    before = Policy(bytes(20), 1, 0, ())
    policy = from_text(POLICY, before, version=1, now_ms=0)
    assert from_text(to_text(policy), before, version=1, now_ms=0) == policy


@pytest.mark.parametrize(
    ("text", "line_number"),
    [
        ('[words]\nenogh = ["a.b"]', 2),
        ('[words]\nenough = ["Home"]', 2),
        ("words = 1", 1),
        ("quiet = 1", 1),
        ('[[quiet]]\nfrom = "25:00"\nto = "07:00"\neffects = ["notify"]', 2),
        ('[[quiet]]\nfrom = "22:00"\nto = "07:00"\neffects = ["shout"]', 4),
        ('[[quiet]]\nfrom = "22:00"\nto = "07:00"\neffects = ["notify"]\noperation = 1', 5),
        ('[[rate]]\noperation = "a.b"\ncount = 0\nper_s = 1', 3),
        ("[[rate]]\noperation = 1\ncount = 1\nper_s = 1", 2),
        ("[spend]\nper_plan = -1", 2),
        ('[egress]\nto = "x"', 2),
    ],
)
def test_a_wrong_bound_is_refused_with_its_line(text: str, line_number: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_text(text, Policy(bytes(20), 1, 0, ()), version=1, now_ms=0)
    assert refused.value.message.startswith(f"line {line_number}:")
    assert refused.value.hint


def test_manifests_of_our_own_and_of_other_systems_are_read() -> None:
    schema = {"type": "object", "properties": {"to": {"type": ["string", "null"]}}, "required": ["to"]}
    documents: list[Any] = [
        [{"name": "mail.send", "effects": ["write"], "parameters": schema}],
        {"mail.send": {"effects": ["write"], "input_schema": schema}},
        {"mail": {"operations": {"send": {"effects": "write", "inputSchema": schema}}}},
        [{"type": "function", "effects": ["write"], "function": {"name": "mail.send", "parameters": schema}}],
        {"tools": [{"name": "mail.send", "effects": 4, "input": [{"name": "to", "type": "text"}]}]},
        [{"name": "send", "effects": ["write"], "parameters": schema}],
    ]
    for document in documents:
        found = tools_from_document(document).find("mail.send")
        assert found is not None
        assert (found.effects, [field.name for field in found.input]) == (4, ["to"])


def test_what_several_devices_say_of_an_operation_adds_up() -> None:
    both = [{"name": "a.b", "effects": ["read"]}, {"name": "a.b", "effects": ["spend"]}]
    found = tools_from_document(both).find("a.b")
    assert found is not None
    assert found.effects == 65


def test_the_capabilities_of_this_build_are_read() -> None:
    documents = [
        {
            "capability": offer.manifest.capability,
            "operations": [
                {"name": one.name, "title": one.title, "effects": int(one.effects), "input": []}
                for one in offer.manifest.operations
            ],
        }
        for offer in available()
    ]
    assert tools_from_document(documents).find("speech.say") is not None


@pytest.mark.parametrize(
    "document", [1, ["x"], [{"effects": ["fly"], "name": "a.b"}], {"a": 1}, [{"operations": 1}]]
)
def test_what_is_no_manifest_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        tools_from_document(document)


def test_an_inventory_gives_names(tmp_path: Path) -> None:
    inventory = {
        "areas": [{"id": "k", "name": "Kitchen"}],
        "entities": [{"id": "light.k1", "name": "Ceiling", "aliases": ["big lamp"], "area": "k"}],
    }
    judging = reviewer(home=inventory)
    for text, expected in (("turn off the big lamp", "allow"), ("turn off the small lamp", "ask")):
        assert judging.judge(line(text, home("light.turn_off", "light.k1")), 0).verdict == expected


def test_explaining_a_plan_says_what_would_make_it_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests, plan = tmp_path / "m.json", tmp_path / "p.json"
    manifests.write_text("\n".join(json.dumps(one) for one in TOOLS))
    plan.write_text(json.dumps(line("", home("light.turn_off", "light.kitchen"))["plan"]))
    options = ["review", "explain", "--plan", str(plan), "--manifests", str(manifests), "--text"]
    allowed = CliRunner().invoke(app, [*options, "kitchen light off", "--json"])
    assert (allowed.exit_code, json.loads(allowed.stdout)) == (0, {"verdict": "allow", "reasons": []})
    asked = CliRunner().invoke(app, [*options, "bedroom light off"])
    assert asked.exit_code == 4
    assert "say the name, address or device" in asked.stdout


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    for options in (
        ["review", "--batch", "x"],
        ["review", "explain"],
        ["review", "id", "--batch", "x", "--manifests", "y"],
    ):
        assert CliRunner().invoke(app, options).exit_code == 2


def test_a_batch_comes_from_standard_input_too(tmp_path: Path) -> None:
    said = json.dumps(line("good night", call("speech.say", text="good night")))
    (tmp_path / "m.json").write_text(json.dumps(TOOLS))
    result = CliRunner().invoke(
        app, ["review", "--manifests", str(tmp_path / "m.json"), "--batch", "-", "--json"], input=said
    )
    assert json.loads(result.stdout)["verdict"] == "allow"


def test_a_tool_without_a_dot_is_called_by_its_own_name_also_in_a_plan_inside() -> None:
    tools = tools_from_document([{
        "name": "send_email", "description": "Send an email", "effects": ["write", "notify"],
        "parameters": {"type": "object", "properties": {"to": {"type": "string"}, "text": {"type": "string"}}},
    }])  # fmt: skip
    step = {"id": "mail", "call": "send_email", "args": {"to": "a@example.org", "text": "hello"}}
    request = {"text": "what is the weather", "principal": "owner"}
    inner = {"plan": 1, "name": "inside", "steps": [step]}
    around = {"plan": 1, "name": "around", "steps": [{"id": "all", "sub": {"plan": inner}}]}
    for plan in (inner, around):
        judged = Reviewer(tools).judge({"plan": plan, "request": request}, 0)
        assert judged.verdict == "ask"
        assert not {reason.rule for reason in judged.reasons} & {"check", "known"}
    unknown = {"plan": 1, "name": "inside", "steps": [{**step, "call": "send_fax"}]}
    assert Reviewer(tools).judge({"plan": unknown, "request": request}, 0).verdict == "deny"
