"""OpenAI-compatible endpoints (OpenAI, llama.cpp, vLLM, LM Studio and many more), by the `openai` SDK. The only
module that imports it; it does not get the key (see `http`), and retries nothing.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

import msgspec
import openai

from kindmesh.capabilities.llm.assembly import Assembly, hear_all
from kindmesh.capabilities.llm.config import Entry, Timeouts
from kindmesh.capabilities.llm.http import TRANSPORT_ERRORS, http_client, lost, refused
from kindmesh.capabilities.llm.keys import Key
from kindmesh.capabilities.llm.model import Answer, Ask, Finish, Message, OnText, function_tool

_FINISH: Final[dict[str, Finish]] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls",
    "content_filter": "filtered",
}  # fmt: skip
_OWN: Final = "https://api.openai.com/"
"""There, `max_tokens` has another name for the newer models; elsewhere only the older one is known by all."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Counts | None = None


class OpenAIModel:
    """See the module."""

    def __init__(self, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> None:
        self._url, self._entry = url, entry
        self._client = openai.AsyncOpenAI(
            api_key="not-here", organization="", project="", webhook_secret="", base_url=url, max_retries=0,
            http_client=http_client(url, timeouts, key, header="authorization", scheme="Bearer "),
        )  # fmt: skip

    async def answer(self, ask: Ask, on_text: OnText) -> Answer:
        """See `Model`."""
        heard = Assembly(ask, on_text)
        try:
            # What is asked is plain data of ours: the SDK's parameter types add nothing to it.
            create: Any = self._client.chat.completions.create
            async with await create(**self._request(ask)) as stream:
                await hear_all(stream, partial(_take, heard))
        except openai.APIStatusError as error:
            raise refused(error.status_code, error.response.headers, error.code or error.type) from None
        except openai.APIConnectionError as error:
            raise lost(error.__cause__, self._url) from None
        except openai.APIError as error:
            raise refused(500, {}, error.code or error.type) from None
        except TRANSPORT_ERRORS as error:
            raise lost(error, self._url) from None
        return heard.answer()

    async def close(self) -> None:
        """See `Model`."""
        await self._client.close()

    def _request(self, ask: Ask) -> dict[str, Any]:
        most = "max_completion_tokens" if self._url.startswith(_OWN) else "max_tokens"
        request: dict[str, Any] = {
            "model": self._entry.name,
            "messages": [_message(message) for message in ask.messages],
            most: ask.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._entry.temperature:
            request["temperature"] = ask.temperature
        if ask.tools:
            request["tools"] = [function_tool(tool) for tool in ask.tools]
        return request


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_call_id:
        said["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]  # fmt: skip
    return said


async def _take(heard: Assembly, chunk: Any) -> None:
    found = msgspec.convert(chunk.to_dict(warnings=False), _Chunk)
    if found.usage is not None:
        heard.counted(found.usage.prompt_tokens, found.usage.completion_tokens)
    for choice in (found.choices or [])[:1]:
        delta = choice.delta or _Delta()
        await heard.text(delta.content or "")
        for number, call in enumerate(delta.tool_calls or []):
            function = call.function or _Function()
            await heard.part(
                number if call.index is None else call.index,
                call_id=call.id or "",
                name=function.name or "",
                arguments=function.arguments or "",
            )
        if choice.finish_reason:
            heard.finished(_FINISH.get(choice.finish_reason, "stop"))


def connect(*, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> OpenAIModel:
    """A client for one model; nothing is sent yet."""
    return OpenAIModel(url, key, entry, timeouts)


__all__ = ["OpenAIModel", "connect"]
