"""Anthropic's models, by the `anthropic` SDK. The only module that imports it; it does not get the key (see `http`),
retries nothing, and traces nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import anthropic
import msgspec

from kindmesh.capabilities.llm.assembly import Assembly, hear_all
from kindmesh.capabilities.llm.config import Entry, Timeouts
from kindmesh.capabilities.llm.http import TRANSPORT_ERRORS, http_client, lost, refused
from kindmesh.capabilities.llm.keys import Key
from kindmesh.capabilities.llm.model import Answer, Ask, Finish, Message, OnText

_FINISH: Final[dict[str, Finish]] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "refusal": "filtered",
}  # fmt: skip


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    def all_input(self) -> int:
        return sum(
            count or 0
            for count in (self.input_tokens, self.cache_creation_input_tokens, self.cache_read_input_tokens)
        )


class _Begun(msgspec.Struct):
    usage: _Counts | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Begun | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Counts | None = None


class AnthropicModel:
    """See the module."""

    def __init__(self, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> None:
        self._url, self._entry = url, entry
        self._client = anthropic.AsyncAnthropic(
            api_key="not-here", webhook_key="", base_url=url, max_retries=0, open_telemetry=False,
            http_client=http_client(url, timeouts, key, header="x-api-key"),
        )  # fmt: skip

    async def answer(self, ask: Ask, on_text: OnText) -> Answer:
        """See `Model`."""
        heard = Assembly(ask, on_text)
        try:
            # What is asked is plain data of ours: the SDK's parameter types add nothing to it.
            create: Any = self._client.messages.create
            async with await create(**self._request(ask)) as stream:
                await hear_all(stream, partial(_take, heard))
        except anthropic.APIStatusError as error:
            status = error.status_code if error.status_code >= 300 else 500  # said in the middle of a stream
            raise refused(status, error.response.headers, getattr(error, "type", "")) from None
        except anthropic.APIConnectionError as error:
            raise lost(error.__cause__, self._url) from None
        except anthropic.APIError:
            raise refused(500, {}) from None
        except TRANSPORT_ERRORS as error:
            raise lost(error, self._url) from None
        return heard.answer()

    async def close(self) -> None:
        """See `Model`."""
        await self._client.close()

    def _request(self, ask: Ask) -> dict[str, Any]:
        system = "\n\n".join(message.text for message in ask.messages if message.role == "system")
        request: dict[str, Any] = {
            "model": self._entry.name,
            "max_tokens": ask.max_tokens,
            "messages": turns(ask.messages),
            "stream": True,
        }
        if system:
            request["system"] = system
        if ask.tools:
            request["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in ask.tools
            ]
        return request


def turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages as Anthropic wants them: results of tools are said by the user, and roles take turns."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if found and found[-1]["role"] == role:
            found[-1]["content"] += _blocks(message)
        else:
            found.append({"role": role, "content": _blocks(message)})
    return found


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    return blocks + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in message.tool_calls
    ]


async def _take(heard: Assembly, event: Any) -> None:
    found = msgspec.convert(event.to_dict(warnings=False), _Event)
    delta = found.delta or _Delta()
    if found.message is not None and found.message.usage is not None:
        heard.counted(found.message.usage.all_input(), None)
    if found.type == "message_delta":
        if found.usage is not None:
            heard.counted(None, found.usage.output_tokens)
        if delta.stop_reason:
            heard.finished(_FINISH.get(delta.stop_reason, "stop"))
    elif found.content_block is not None and found.content_block.type == "tool_use":
        block = found.content_block
        await heard.part(found.index, call_id=block.id or "", name=block.name or "")
    elif delta.partial_json is not None and delta.type == "input_json_delta":
        await heard.part(found.index, arguments=delta.partial_json)
    else:
        await heard.text((delta.text or "") if delta.type == "text_delta" else "")


def connect(*, url: str, key: Key, entry: Entry, timeouts: Timeouts) -> AnthropicModel:
    """A client for one model; nothing is sent yet."""
    return AnthropicModel(url, key, entry, timeouts)


__all__ = ["AnthropicModel", "connect", "turns"]
