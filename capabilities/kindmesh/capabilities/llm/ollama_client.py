"""Ollama, by its own HTTP interface (`POST /api/chat`, one JSON object a line). `num_ctx` is always said: without it
Ollama cuts a long question short and says nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.capabilities.llm.assembly import Assembly
from kindmesh.capabilities.llm.config import Entry, Timeouts
from kindmesh.capabilities.llm.http import TRANSPORT_ERRORS, http_client, lost, refused
from kindmesh.capabilities.llm.keys import Key
from kindmesh.capabilities.llm.model import Answer, Ask, Finish, Message, OnText, function_tool
from kindmesh.protocol.errors import ModelMalformed, ModelUnavailable

_FINISH: Final[dict[str, Finish]] = {"stop": "stop", "length": "length"}


class _Function(msgspec.Struct):
    name: str
    arguments: dict[str, Any] = {}


class _Call(msgspec.Struct):
    function: _Function


class _Said(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    message: _Said | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None


class OllamaModel:
    """See the module."""

    def __init__(self, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> None:
        self._url, self._entry = url, entry
        self._client = http_client(url, timeouts, key, header="authorization", scheme="Bearer ")

    async def answer(self, ask: Ask, on_text: OnText) -> Answer:
        """See `Model`."""
        heard = Assembly(ask, on_text)
        try:
            async with self._client.stream("POST", "/api/chat", json=self._request(ask)) as response:
                if response.status_code != 200:
                    raise refused(response.status_code, response.headers)
                async for line in response.aiter_lines():
                    if line.strip():
                        await _take(heard, msgspec.json.decode(line, type=_Line))
        except TRANSPORT_ERRORS as error:
            raise lost(error, self._url) from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise ModelMalformed(f"the provider's answer cannot be read ({type(error).__name__})") from None
        return heard.answer()

    async def close(self) -> None:
        """See `Model`."""
        await self._client.aclose()

    def _request(self, ask: Ask) -> dict[str, Any]:
        options: dict[str, Any] = {"num_predict": ask.max_tokens, "num_ctx": self._entry.context}
        if self._entry.temperature:
            options["temperature"] = ask.temperature
        request: dict[str, Any] = {
            "model": self._entry.name, "messages": turns(ask.messages), "stream": True, "options": options,
        }  # fmt: skip
        if ask.tools:
            request["tools"] = [function_tool(tool) for tool in ask.tools]
        return request


def turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages as Ollama wants them: it has no ids of calls, and is told which tool a result is from."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    found: list[dict[str, Any]] = []
    for message in messages:
        said: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.tool_call_id:
            said["tool_name"] = names.get(message.tool_call_id, "")
        if message.tool_calls:
            said["tool_calls"] = [
                {"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
            ]
        found.append(said)
    return found


async def _take(heard: Assembly, line: _Line) -> None:
    if line.error is not None:
        raise ModelUnavailable("the provider failed in the middle of the answer")
    said = line.message or _Said()
    await heard.text(said.content or "")
    for call in said.tool_calls or []:
        await heard.call(call.function.name, call.function.arguments)
    if line.done:
        heard.counted(line.prompt_eval_count, line.eval_count)
        heard.finished(_FINISH.get(line.done_reason or "stop", "stop"))


def connect(*, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> OllamaModel:
    """A client for one model; nothing is sent yet."""
    return OllamaModel(url, key, entry, timeouts)


__all__ = ["OllamaModel", "connect", "turns"]
