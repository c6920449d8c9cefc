"""`kindmesh llm`: what a person types, what is written, what is said, and that no key is in any of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kindmesh.capabilities.llm.budget import BudgetKeeper
from kindmesh.capabilities.llm.config import Budget, load
from kindmesh.coordinator.cli.main import app
from kindmesh.mesh.home import Home
from kindmesh.mesh.yaml_text import from_yaml, to_yaml

SECRET = "sk-abcdefghijklmnop"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("KINDMESH_HOME", str(tmp_path / "home"))
    return Home.locate()


def llm(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["llm", *words, "--json"], input=typed)


def said(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def write(home: Home, text: str) -> None:
    home.create()
    (home.node / "llm.yaml").write_text(text)


def test_without_models_every_command_says_how_to_add_one(home: Home) -> None:
    for command in ("list", "test", "budget"):
        result = llm(command)
        assert (result.exit_code, said(result)["error"]["code"]) == (2, "CONFIG")
        assert "kindmesh llm add" in said(result)["error"]["hint"]


def test_models_that_are_added_are_listed_and_share_a_provider(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert llm("add", "small", "--kind", "ollama", "--model", "qwen3:8b").exit_code == 0
    assert llm("add", "tiny", "--kind", "ollama", "--model", "qwen3:1b", "--context", "4096").exit_code == 0
    priced = ("--price-in", "1", "--price-out", "4")
    assert said(llm("add", "far", "--kind", "openai", "--model", "gpt", *priced))["local"] is False
    listed = said(llm("list"))
    assert [(one["name"], one["provider"], one["local"]) for one in listed["models"]] == [
        ("small", "ollama", True), ("tiny", "ollama", True), ("far", "openai", False),
    ]  # fmt: skip
    assert listed["models"][2]["key"] == "missing (env:OPENAI_API_KEY)"
    assert set(load(home.node).providers) == {"ollama", "openai"}
    # Another address of the same kind is another provider.
    llm("add", "shed", "--kind", "ollama", "--model", "x", "--url", "http://shed.local:11434")
    assert load(home.node).models["shed"].provider == "shed"


@pytest.mark.parametrize(
    "words",
    [("far", "--kind", "openai", "--model", "m"), ("a b", "--kind", "ollama", "--model", "m"),
     ("far", "--kind", SECRET, "--model", "m"), ("far", "--kind", "ollama", "--model", "m", "--key", SECRET),
     ("far", "--kind", "ollama", "--model", "m", "--context", "1")],
)  # fmt: skip
def test_what_is_wrong_changes_nothing_and_is_not_repeated(home: Home, words: tuple[str, ...]) -> None:
    llm("add", "small", "--kind", "ollama", "--model", "qwen3:8b")
    before = (home.node / "llm.yaml").read_bytes()
    result = llm("add", *words)
    assert result.exit_code == 2
    assert SECRET not in result.output
    assert (home.node / "llm.yaml").read_bytes() == before


def test_what_was_there_before_is_kept_with_its_comments(home: Home) -> None:
    write(home, "# mine\nproviders: {o: {kind: ollama}}\nmodels: {}\n")
    result = CliRunner().invoke(app, ["llm", "add", "small", "--kind", "ollama", "--model", "x"])
    assert "llm.yaml.before" in result.stdout
    assert "# mine" in (home.node / "llm.yaml.before").read_text()
    assert load(home.node).models["small"].provider == "o"


def test_each_model_is_asked_and_what_fails_is_said(home: Home) -> None:
    write(home, json.dumps({
        "providers": {"good": {"kind": "scripted", "answers": [{"say": "ready", "times": 0}]},
                      "bad": {"kind": "scripted", "answers": [{"fails": "unavailable", "times": 0}]}},
        "models": {"one": {"provider": "good", "name": "x"}, "two": {"provider": "bad", "name": "y"}},
    }))  # fmt: skip
    result = llm("test")
    assert result.exit_code == 1
    good, bad = said(result)["models"]
    assert (good["ok"], good["text"], bad["ok"], bad["code"]) == (True, "ready", False, "MODEL_UNAVAILABLE")
    assert llm("test", "one").exit_code == 0
    assert said(llm("test", "three"))["error"]["field"] == "name"


PRICED = json.dumps({
    "providers": {"p": {"kind": "scripted", "local": False, "answers": [{"say": "ready", "times": 0}]}},
    "models": {"far": {"provider": "p", "name": "x", "price_in": 1, "price_out": 2}},
    "budget": {"month": 2, "day": 0.5, "currency": "USD"},
})  # fmt: skip


def test_a_test_of_what_costs_money_is_paid_and_shown_in_the_budget(home: Home) -> None:
    write(home, PRICED)
    (tested,) = said(llm("test"))["models"]
    assert tested["cost_micros"] > 0
    budget = said(llm("budget"))
    assert budget["month_spent"] == pytest.approx(tested["cost_micros"] / 1e6)
    assert (budget["month_limit"], budget["day_limit"], budget["run_limit"], budget["currency"]) == (
        2,
        0.5,
        0.5,
        "USD",
    )
    assert list(budget["by_model"]) == ["far"]


def test_while_a_node_runs_it_alone_writes_the_ledger(home: Home) -> None:
    write(home, PRICED)
    with home.lock("node"):
        (tested,) = said(llm("test"))["models"]
    assert (tested["ok"], "kindmesh call llm.chat_outside" in tested["hint"]) == (False, True)


async def test_what_was_reserved_and_never_heard_of_is_shown(home: Home) -> None:
    write(home, PRICED)
    keeper = BudgetKeeper.open(home.data / "llm")
    await keeper.reserve("far", "", 300_000_000, Budget(month=2))
    keeper._store.abandon()
    shown = CliRunner().invoke(app, ["llm", "budget"]).stdout
    assert "0.30 USD of it is reserved for 1 requests" in shown
    assert "Today: 0.30 USD of 0.50 USD" in shown


@pytest.fixture
def no_keyring() -> Iterator[None]:
    import keyring
    from keyring.backends import fail

    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call] # keyring says no types here
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("no_keyring")
def test_a_key_without_a_keyring_is_refused_and_not_repeated(home: Home) -> None:
    result = llm("key", "openai", typed=f"{SECRET}\n")
    assert result.exit_code != 0
    assert SECRET not in result.output
    assert said(llm("key", "openai", typed="\n"))["error"]["field"] == "key"
    assert said(llm("key", "a b", typed="x\n"))["error"]["field"] == "name"


def test_yaml_that_is_written_is_read_back() -> None:
    document = {
        "providers": {"é": {"url": "http://x:1", "local": True}},
        "models": {},
        "on": ["no", "1", 1, None],
    }
    assert from_yaml(to_yaml(document), "x") == document
