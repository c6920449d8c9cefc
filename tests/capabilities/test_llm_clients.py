"""Each kind of provider, spoken to over HTTP on loopback: what is sent, what is understood, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.capabilities.conftest import OpenBench
from tests.support.model_server import SAYS, ModelServer, Reply, event, model_server, ollama_says, openai_says

from kindmesh.capabilities.llm.clients import make_client
from kindmesh.capabilities.llm.config import from_document
from kindmesh.capabilities.llm.keys import Key, find_key
from kindmesh.capabilities.llm.model import (
    Answer,
    Ask,
    Message,
    Model,
    NotCharged,
    Tool,
    ToolCall,
    Usage,
    unheard,
)
from kindmesh.protocol.errors import KindmeshError, ModelMalformed, ModelUnavailable

SECRET = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
TOOLS = (Tool("lamp", "Switch it", {"type": "object", "properties": {"on": {"type": "boolean"}}}),)
HELLO = Ask((Message("system", "Be kind."), Message("user", "Good morning.")), max_tokens=50)
KINDS = pytest.mark.parametrize("kind", sorted(SAYS))


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as made:
        yield made


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and an environment that tries to lead the SDKs elsewhere."""
    monkeypatch.setenv("TEST_KEY", SECRET)
    for name, value in {
        "OPENAI_BASE_URL": "http://127.0.0.1:9/", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9/",
        "OPENAI_ORG_ID": "org", "OPENAI_PROJECT_ID": "project", "HTTP_PROXY": "http://127.0.0.1:9/",
        "http_proxy": "http://127.0.0.1:9/", "ALL_PROXY": "http://127.0.0.1:9/",
        "OPENAI_CUSTOM_HEADERS": "x-tell: me", "ANTHROPIC_CUSTOM_HEADERS": "x-tell: me",
        "ANTHROPIC_API_KEY": "another", "ANTHROPIC_AUTH_TOKEN": "another", "OPENAI_API_KEY": "another",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


async def client(kind: str, server: ModelServer, *, key: str = "env:TEST_KEY", **timeouts: float) -> Model:
    url = server.url + ("/v1" if kind == "openai" else "")
    return await make_client(
        from_document({
            "providers": {"p": {"kind": kind, "url": url, "key": key}},
            "models": {"m": {"provider": "p", "name": "the-model", "context": 4_096}},
            "timeouts": {"connect_s": 5, **timeouts},
        }),
        "m",
    )  # fmt: skip


async def answer(kind: str, server: ModelServer, *replies: Reply, ask: Ask = HELLO, **more: Any) -> Answer:
    server.replies = list(replies)
    model = await client(kind, server, **more)
    try:
        return await model.answer(ask, unheard)
    finally:
        await model.close()


@KINDS
async def test_it_says_what_the_model_said_word_by_word(kind: str, server: ModelServer) -> None:
    server.replies = [Reply(SAYS[kind]("Good morning Anna"))]
    model, heard = await client(kind, server), []

    async def hear(text: str) -> None:
        heard.append(text)

    found = await model.answer(HELLO, hear)
    await model.close()
    assert found == Answer("GoodmorningAnna", (), "stop", Usage(11, 7))
    assert [piece for piece in heard if piece] == ["Good", "morning", "Anna"]


@KINDS
async def test_it_sends_the_question_the_key_and_nothing_about_this_machine(
    kind: str, server: ModelServer
) -> None:
    await answer(kind, server, Reply(SAYS[kind]("hello")))
    (asked,) = server.asked
    assert asked.path == PATHS[kind]
    own = {"anthropic-version", "x-api-key"} if kind == "anthropic" else {"authorization"}
    allowed = {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
    assert set(asked.headers) <= allowed | own
    assert asked.headers["user-agent"] == "kindmesh"
    assert (asked.headers.get("authorization"), asked.headers.get("x-api-key")) == (
        (None, SECRET) if kind == "anthropic" else (f"Bearer {SECRET}", None)
    )
    assert asked.body["model"] == "the-model"
    assert (asked.body["stream"], "Good morning." in json.dumps(asked.body["messages"])) == (True, True)
    most = asked.body["options"]["num_predict"] if kind == "ollama" else asked.body["max_tokens"]
    assert most == 50
    if kind == "ollama":
        assert asked.body["options"]["num_ctx"] == 4_096


@KINDS
async def test_without_a_key_none_is_sent(kind: str, server: ModelServer) -> None:
    await answer(kind, server, Reply(SAYS[kind]("hello")), key="none")
    assert not {"authorization", "x-api-key"} & set(server.asked[0].headers)


@KINDS
async def test_tool_calls_are_put_together_from_their_parts(kind: str, server: ModelServer) -> None:
    says = SAYS[kind]("", [("lamp", '{"on": true}'), ("lamp", '{"on": false}')])
    found = await answer(kind, server, Reply(says), ask=Ask(HELLO.messages, TOOLS))
    assert found.finish == "tool_calls"
    assert [(call.name, call.arguments) for call in found.tool_calls] == [
        ("lamp", {"on": True}),
        ("lamp", {"on": False}),
    ]
    assert len({call.id for call in found.tool_calls}) == 2
    assert "lamp" in json.dumps(server.asked[0].body["tools"])


@KINDS
async def test_results_of_tools_go_back_to_the_call_they_belong_to(kind: str, server: ModelServer) -> None:
    calls = (ToolCall("a1", "lamp", {"on": True}), ToolCall("a2", "lamp", {"on": False}))
    messages = (
        *HELLO.messages, Message("assistant", "", calls), Message("tool", "on it is", tool_call_id="a1"),
        Message("tool", "off it is", tool_call_id="a2"),
    )  # fmt: skip
    await answer(kind, server, Reply(SAYS[kind]("done")), ask=Ask(messages, TOOLS))
    sent = server.asked[0].body["messages"]
    if kind == "openai":
        assert [one.get("tool_call_id") for one in sent[-2:]] == ["a1", "a2"]
        assert json.loads(sent[-3]["tool_calls"][0]["function"]["arguments"]) == {"on": True}
    elif kind == "anthropic":
        assert [one["role"] for one in sent] == ["user", "assistant", "user"]
        assert [one["tool_use_id"] for one in sent[-1]["content"]] == ["a1", "a2"]
        assert server.asked[0].body["system"] == "Be kind."
    else:
        assert [one.get("tool_name") for one in sent[-2:]] == ["lamp", "lamp"]


@KINDS
@pytest.mark.parametrize(
    ("status", "said", "retry_ms"),
    [(401, "refuses the key", 0), (403, "refuses the key", 0), (402, "wants to be paid", 0), (404, "knows no such", 0),
     (400, "does not take this", 0), (429, "too many requests", 7_000), (500, "status 500", 0), (529, "status 529", 0),
     (302, "elsewhere", 0)],
)  # fmt: skip
async def test_a_refusal_is_said_in_our_words_and_tried_once(
    kind: str, server: ModelServer, status: int, said: str, retry_ms: int
) -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": "some_error", "message": f"no, {SECRET}: Good morning."}}
    )
    headers = {"content-type": "application/json", "retry-after": "7" if status == 429 else "soon"}
    headers["location"] = "http://127.0.0.1:9/"
    with pytest.raises(NotCharged) as error:
        await answer(kind, server, Reply([body.encode()], status, headers))
    assert said in error.value.message
    assert error.value.retry_ms == retry_ms
    shown = repr(error.value) + error.value.message + error.value.hint
    assert SECRET not in shown
    assert "morning" not in shown
    assert len(server.asked) == 1


@KINDS
async def test_a_provider_that_is_not_there_costs_nothing(kind: str, server: ModelServer) -> None:
    server.url = "http://127.0.0.1:9"
    with pytest.raises(NotCharged, match=r"127\.0\.0\.1 cannot be reached"):
        await answer(kind, server)


@KINDS
async def test_an_answer_that_breaks_off_is_no_answer(kind: str, server: ModelServer) -> None:
    pieces = SAYS[kind]("Good morning Anna")
    for reply in (Reply(pieces[:3], breaks=True), Reply(pieces[:3])):
        with pytest.raises(ModelUnavailable, match="broke off") as error:
            await answer(kind, server, reply)
        assert not isinstance(error.value, NotCharged)


@KINDS
@pytest.mark.parametrize("garbage", [b"data: {\n\n", b"data: [1]\n\n", b"data: 7\n\n", b"\xff\xfe\n\n", b"{\n", b"7\n",
                                     b'data: {"choices": 7}\n\n', b'event: message_start\ndata: {"type": 7}\n\n',
                                     b'{"message": []}\n', b"<html>\n"])  # fmt: skip
async def test_garbage_is_a_typed_error(kind: str, server: ModelServer, garbage: bytes) -> None:
    with pytest.raises((ModelMalformed, ModelUnavailable)):
        await answer(kind, server, Reply([garbage]))


@KINDS
async def test_an_error_in_the_middle_of_a_stream_is_one(kind: str, server: ModelServer) -> None:
    first = SAYS[kind]("Good morning Anna")[:3]
    broken = {"error": {"type": "overloaded_error", "message": SECRET}}
    last = (
        b'{"error": "out of memory"}\n' if kind == "ollama" else event({"type": "error", **broken}, "error")
    )
    with pytest.raises(ModelUnavailable) as error:
        await answer(kind, server, Reply([*first, last]))
    assert SECRET not in error.value.message


@KINDS
async def test_a_call_of_a_tool_that_was_not_given_is_malformed(kind: str, server: ModelServer) -> None:
    with pytest.raises(ModelMalformed, match="was not given"):
        await answer(kind, server, Reply(SAYS[kind]("", [("unlock", "{}")])), ask=Ask(HELLO.messages, TOOLS))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_arguments_that_end_in_the_middle_are_never_completed(kind: str, server: ModelServer) -> None:
    with pytest.raises(ModelMalformed, match="cannot be read"):
        await answer(
            kind, server, Reply(SAYS[kind]("", [("lamp", '{"on": tr')])), ask=Ask(HELLO.messages, TOOLS)
        )


@KINDS
async def test_an_answer_without_end_is_bounded(kind: str, server: ModelServer) -> None:
    begin, *words, _ = SAYS[kind](" ".join(["x" * 50_000] * 4))
    with pytest.raises(ModelMalformed, match="more than"):
        await answer(kind, server, Reply([begin, *words]))


@KINDS
async def test_bytes_without_end_are_bounded_too(kind: str, server: ModelServer) -> None:
    with pytest.raises(ModelUnavailable, match="broke off"):
        await answer(kind, server, Reply([b"data: " + b"x" * 1_000_000] * 20))


@KINDS
async def test_what_is_compressed_is_not_unpacked(kind: str, server: ModelServer) -> None:
    with pytest.raises(ModelUnavailable):
        await answer(kind, server, Reply([b"x"], headers={"content-encoding": "gzip"}))


@KINDS
async def test_whoever_gives_up_ends_the_request(kind: str, server: ModelServer) -> None:
    server.replies = [Reply(SAYS[kind]("a b c d e"), pause_s=30)]
    model = await client(kind, server)
    call = asyncio.ensure_future(model.answer(HELLO, unheard))
    await asyncio.wait_for(server.came.wait(), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await model.close()


async def test_a_server_that_does_not_count_gets_an_estimate_that_is_rather_too_high(
    server: ModelServer,
) -> None:
    found = await answer("openai", server, Reply(openai_says("Good morning Anna", counted=False)))
    assert found.usage.estimated
    assert found.usage.output_tokens >= 5


async def test_a_provider_in_the_engine_streams_falls_back_and_costs(
    open_bench: OpenBench, tmp_path: Path, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = {"kind": "openai", "url": server.url + "/v1", "key": "env:TEST_KEY", "local": False}
    (tmp_path / "llm.yaml").write_text(json.dumps({
        "providers": {"far": {**url, "local": None}, "here": {"kind": "ollama", "url": server.url}},
        "models": {"far": {"provider": "far", "name": "f", "price_in": 1, "price_out": 1},
                   "here": {"provider": "here", "name": "h"}},
        "order": {"chat": ["far", "here"]}, "budget": {"month": 1},
    }))  # fmt: skip
    arguments = {"messages": [{"role": "user", "text": "What is my secret?"}]}
    async with open_bench() as bench:
        server.replies = [Reply(status=429, headers={"retry-after": "60"}), Reply(ollama_says("hello"))]
        first = await bench.call("llm.chat", arguments)
        assert (first["model"], first["passed_over"][0]["model"]) == ("here", "far")
        assert "too many requests" in first["passed_over"][0]["reason"]
        server.replies = [Reply(openai_says("dear"))]
        paid = await bench.call("llm.chat", {**arguments, "model": "far"})
        assert (paid["text"], paid["cost_micros"]) == ("dear", 18)
    kept = await asyncio.to_thread(contents, tmp_path)
    assert SECRET.encode() not in kept
    assert b"my secret" not in kept
    assert SECRET not in caplog.text
    assert "my secret" not in caplog.text


def contents(folder: Path) -> bytes:
    """Of all files beneath a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("where", ["env:NOT_THERE", "env:EMPTY", "env:LINES", "keyring:nothing"])
def test_a_key_that_is_not_there_is_said_by_its_place(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.setenv("LINES", "one\ntwo\x07")
    with pytest.raises(NotCharged) as error:
        find_key(where)
    assert where.partition(":")[2] in error.value.message
    assert "two" not in error.value.message


def test_a_key_shows_itself_to_nobody() -> None:
    import pickle

    key = Key(SECRET)
    assert (repr(key), str(key), f"{key}") == ("(key)",) * 3
    assert SECRET not in repr([key])
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_every_error_of_a_client_is_one_of_ours() -> None:
    assert issubclass(NotCharged, KindmeshError)
    assert NotCharged().code == "MODEL_UNAVAILABLE"
