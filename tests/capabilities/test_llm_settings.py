"""`llm.yaml`, repaired arguments, and answers put together from pieces: what is taken, and what is refused by name."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.llm.assembly import Assembly
from kindmesh.capabilities.llm.config import from_document, from_text, is_at_home, load
from kindmesh.capabilities.llm.handlers import described
from kindmesh.capabilities.llm.model import TOOL_CALLS_MAX, Ask, Message, Tool, prompt_tokens, unheard
from kindmesh.capabilities.llm.repair import ARGUMENTS_MAX, mended, read_arguments
from kindmesh.capabilities.llm.routing import ordered
from kindmesh.protocol.errors import ConfigError, ModelMalformed

SECRET = "sk-abcdefghijklmnop"
FAR: dict[str, Any] = {"kind": "openai", "url": "https://models.example/v1"}
MODEL: dict[str, Any] = {"provider": "p", "name": "m", "price_in": 0, "price_out": 0}


@pytest.mark.parametrize(
    ("url", "at_home"),
    [("http://127.0.0.1:1/v1", True), ("http://localhost", True), ("http://[::1]:80", True),
     ("http://192.168.1.4", True),
     ("http://shed.local", True), ("http://SHED.LAN.", True), ("https://api.openai.com", False),
     ("http://8.8.8.8", False),
     ("http://local.example", False), ("http://localhost.example", False), ("http://127.0.0.1.example", False)],
)  # fmt: skip
def test_what_is_in_the_house_is_seen_by_the_address(url: str, at_home: bool) -> None:
    assert is_at_home(url) is at_home


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"providers": {"p": {**FAR, "key": SECRET}}}, "providers.p.key"),
        ({"providers": {"p": {**FAR, "api_key": SECRET}}}, "providers[...]"),
        ({"providers": {"p": {**FAR, "key": 7}}}, "providers[...].key"),
        ({"providers": {"p": {"kind": SECRET}}}, "providers[...].kind"),
        ({"providers": {"p": {**FAR, "url": f"https://user:{SECRET}@models.example"}}}, "providers.p.url"),
        ({"providers": {"p": {**FAR, "url": f"https://models.example/?key={SECRET}"}}}, "providers.p.url"),
        ({"providers": {"p": {**FAR, "url": "http://models.example"}}}, "providers.p.url"),
        ({"providers": {"p": {**FAR, "url": "ftp://models.example"}}}, "providers.p.url"),
        ({"providers": {"p": {**FAR, "url": "https://models.example:x"}}}, "providers.p.url"),
        ({"providers": {"p": {**FAR, "url": "http://8.8.8.8", "local": True}}}, "providers.p.local"),
        ({"providers": {"p": {"kind": "scripted"}}}, "providers.p.answers"),
        ({"providers": {"p": {**FAR, "answers": [{"say": "x"}]}}}, "providers.p.answers"),
        ({"providers": {"p": FAR}, "models": {"m": {"provider": "p", "name": "m"}}}, "models.m.price_in"),
        ({"providers": {"p": FAR}, "models": {"m": {**MODEL, "provider": "q"}}}, "models.m.provider"),
        ({"providers": {"p": FAR}, "models": {"m": {**MODEL, "tasks": ["sing"]}}}, "models.m.tasks"),
        ({"order": {"sing": []}}, "order"),
        ({"order": {"plan": ["nobody"]}}, "order.plan"),
        ({"outside": ["secrets"]}, "outside"),
        ({"budget": {"month": -1}}, "budget.month"),
        ({"timeouts": {"total_s": 0}}, "timeouts.total_s"),
        ([], "llm.yaml"),
        ({"keys": {"a": SECRET}}, "llm.yaml"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_and_never_repeats_what_stands_there(document: Any, field: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_document(document)
    assert error.value.field == field
    assert SECRET not in f"{error.value.message} {error.value.hint} {error.value.field}"
    assert error.value.__cause__ is None


def test_a_model_that_ollama_runs_elsewhere_is_outside() -> None:
    models = {
        "here": {"provider": "o", "name": "small"},
        "there": {**MODEL, "provider": "o", "name": "big:120b-cloud"},
    }
    settings = from_document({"providers": {"o": {"kind": "ollama"}}, "models": models})
    assert (settings.local("here"), settings.local("there")) == (True, False)


def test_costs_are_rounded_up() -> None:
    priced = {**MODEL, "price_in": 0.1, "price_out": 0.3}
    settings = from_document({"providers": {"p": FAR}, "models": {"m": priced}})
    assert settings.cost("m", 1, 1) == 400
    assert settings.cost("m", 0, 0) == 0
    assert settings.cost("m", 1_000_000, 0) == 100_000_000


@pytest.mark.parametrize(
    "text", ["providers: {p: {key: 'sk-abcdefghijklmnop", "a: &x 1\nb: *x", "\x00", "[1, 2]"]
)
def test_what_is_no_yaml_is_said_without_repeating_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        from_text(text)
    assert SECRET not in error.value.message
    (tmp_path / "llm.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError):
        load(tmp_path)


def test_an_empty_file_has_no_models() -> None:
    assert from_text("").models == {}


# --------------------------------------------------------------------------------------------- tool arguments


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}), ("  ", {}), ('{"a": 1}', {"a": 1}), ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('"{\\"a\\": 1}"', {"a": 1}), ('{"a": "x\ny"}', {"a": "x\ny"}), ('{"a": "b,}"}', {"a": "b,}"}),
        ('{"a": "\\"," , }', {"a": '",'}),
    ],
)  # fmt: skip
def test_arguments_are_read_and_mended_harmlessly(text: str, found: dict[str, Any]) -> None:
    assert read_arguments(text, "lamp") == found


@pytest.mark.parametrize(
    "text",
    ['{"a": 1', '{"a": 10', "[1]", "7", "{'a': 1}", '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1} {"b": 2}', "yes",
     "{" * 5_000, '{"a":' * 20 + "1" + "}" * 20, "x" * (ARGUMENTS_MAX + 1), '"\\"x\\""'],
)  # fmt: skip
def test_nothing_is_completed_or_guessed(text: str) -> None:
    with pytest.raises(ModelMalformed):
        read_arguments(text, "lamp")


@given(
    st.dictionaries(
        st.text(max_size=5), st.integers() | st.text(max_size=20) | st.lists(st.booleans(), max_size=3)
    )
)
def test_proper_json_is_never_changed_by_the_repair(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert json.loads(mended(text)) == value
    assert read_arguments(text, "lamp") == value


@given(st.text(max_size=200))
def test_whatever_a_model_writes_is_an_object_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(ModelMalformed):
        assert isinstance(read_arguments(text, "lamp"), dict)


async def test_more_tool_calls_than_an_answer_may_have_are_malformed() -> None:
    heard = Assembly(Ask((Message("user", "x"),), (Tool("lamp"),)), unheard)
    for _ in range(TOOL_CALLS_MAX):
        await heard.call("lamp", {})
    with pytest.raises(ModelMalformed):
        await heard.call("lamp", {})
    with pytest.raises(ModelMalformed):
        await heard.part(1, name="lamp", arguments="x")


async def test_arguments_without_end_are_malformed() -> None:
    heard = Assembly(Ask((Message("user", "x"),), (Tool("lamp"),)), unheard)
    await heard.part(0, name="lamp", arguments="x" * ARGUMENTS_MAX)
    with pytest.raises(ModelMalformed):
        await heard.part(0, arguments="x")


@given(st.text(max_size=300))
def test_an_estimate_of_tokens_grows_with_the_text(text: str) -> None:
    short, long = (prompt_tokens(Ask((Message("user", one),))) for one in (text, text + "one more word"))
    assert 0 < short < long


SECOND: dict[str, Any] = {
    "providers": {"here": {"kind": "ollama"}, "far": {"kind": "anthropic"}},
    "models": {
        "small": {"provider": "here", "name": "one:8b"},
        "judge": {"provider": "here", "name": "two:8b"},
        "away": {"provider": "far", "name": "big", "price_in": 1, "price_out": 1},
    },
    "second": "judge",
}


def test_the_second_reviewer_judges_and_does_nothing_else() -> None:
    settings = from_document(SECOND)
    assert ordered(settings, "judge") == ("judge",)
    assert "judge" not in ordered(settings, "plan")
    assert {one["name"]: one["second"] for one in described(settings, {})} == {
        "small": False, "judge": True, "away": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"second": "nobody"}, "second"),
        ({"second": "away"}, "second"),
        ({"order": {"plan": ["judge", "small"]}}, "order.plan"),
        ({"order": {"judge": ["small"]}}, "order.judge"),
        ({"models": {**SECOND["models"], "again": {"provider": "here", "name": "two:8b"}}}, "second"),
        (
            {
                "models": {
                    **SECOND["models"],
                    "judge": {"provider": "here", "name": "two:8b", "tasks": ["plan"]},
                }
            },
            "models.judge.tasks",
        ),
    ],
)
def test_a_second_reviewer_that_would_not_be_another_model_in_the_house_is_refused(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        from_document({**SECOND, **changes})
    assert wrong.value.field == field
    assert wrong.value.hint
