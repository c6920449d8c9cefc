"""What a language model is to us: one small interface, and the values that go in and come out.

    Ask (messages, tools, bounds) --Model.answer, text as it is made--> Answer (text, tool calls, usage)

Each kind of provider has one module that turns an `Ask` into its own wire format and back, and nothing else:
choosing, paying, waiting and trying elsewhere are decided by whoever holds the models (`engine`). A model raises
`ModelUnavailable` when it cannot answer now and `ModelMalformed` when what it said cannot be used; it never retries,
and never answers with something made up. Tokens are counted as the provider counts them; where it does not say, they
are estimated and marked so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, Protocol

import msgspec

from kindmesh.protocol.errors import InvalidInput, ModelUnavailable

Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "filtered"]
MESSAGES_MAX: Final = 200
TOOLS_MAX: Final = 128
"""As many as the strictest of the providers takes."""
TOKENS_MAX: Final = 32_768
TEXT_MAX: Final = 131_072
"""Characters of one message, and of one answer."""
TOOL_CALLS_MAX: Final = 32
CHARS_PER_TOKEN: Final = 3
"""For estimates: fewer characters than a token of English has, so that an estimate is rather too high. Text outside
ASCII is counted in bytes of UTF-8."""
MESSAGE_TOKENS: Final = 8
"""What a message costs besides its text, as an upper bound: role, separators."""

OnText = Callable[[str], Awaitable[None]]
"""Given each piece of text as it is made."""


class ToolCall(msgspec.Struct, frozen=True):
    """The model wants a tool used. `id` names the call within the conversation."""

    id: str
    name: str
    arguments: dict[str, Any]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn. `tool_calls` belong to the assistant; `tool_call_id` to a `tool` message, whose text is the
    result."""

    role: Role
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Tool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the model may ask for. `parameters` is a JSON Schema of type object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=lambda: {"type": "object", "properties": {}})


class Ask(msgspec.Struct, frozen=True):
    """One question to a model. `temperature` 0..2."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    max_tokens: int = 1024
    temperature: float = 0.0


class Usage(msgspec.Struct, frozen=True):
    """Tokens; `estimated` where the provider did not count them."""

    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What the model said."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage = Usage()


class NotCharged(ModelUnavailable):
    """No answer, and surely nothing to pay: the request did not get there, or was refused."""


class Model(Protocol):
    """See the module."""

    async def answer(self, ask: Ask, on_text: OnText) -> Answer:
        """Ask once. `on_text` gets each piece as it comes, and an empty one for any other sign of life. Cancelling
        the
        caller ends the request.

        Raises:
            ModelUnavailable: no answer now. `retry_ms` where the provider says when. `NotCharged`: nothing was
                used.
            ModelMalformed: an answer that cannot be used.
        """

    async def close(self) -> None:
        """Let go of connections."""


async def unheard(text: str) -> None:
    """Nobody reads along."""


def function_tool(tool: Tool) -> dict[str, Any]:
    """A tool as OpenAI writes it down, and Ollama too."""
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def tokens_in(text: str) -> int:
    """An upper estimate of the tokens of a text."""
    return -(-len(text.encode()) // CHARS_PER_TOKEN)


def prompt_tokens(ask: Ask) -> int:
    """An upper estimate of the tokens that go in: messages, their tool calls, and the descriptions of tools."""
    count = 0
    for message in ask.messages:
        count += MESSAGE_TOKENS + tokens_in(message.text)
        for call in message.tool_calls:
            count += MESSAGE_TOKENS + tokens_in(call.name) + tokens_in(_json(call.arguments))
    for tool in ask.tools:
        count += MESSAGE_TOKENS + tokens_in(tool.name) + tokens_in(tool.description)
        count += tokens_in(_json(tool.parameters))
    return count


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def read_messages(values: list[Any]) -> tuple[Message, ...]:
    """The messages that plain data stand for.

    Raises:
        InvalidInput: names the field that is wrong.
    """
    messages: tuple[Message, ...] = _read(values, tuple[Message, ...], "messages")
    if not messages:
        raise InvalidInput("there is no message", field="messages", hint="At least one, with role and text.")
    known: set[str] = set()
    for message in messages:
        if len(message.text) > TEXT_MAX:
            raise InvalidInput(f"a message is longer than {TEXT_MAX}", field="messages", hint="Shorten it.")
        if message.tool_calls and message.role != "assistant":
            raise InvalidInput("only the assistant makes tool calls", field="messages")
        if (message.role == "tool") != bool(message.tool_call_id):
            raise InvalidInput("a tool's message, and only that, has tool_call_id", field="messages")
        if message.tool_call_id and message.tool_call_id not in known:
            raise InvalidInput(
                f"nobody made the call {message.tool_call_id[:40]!r}", field="messages",
                hint="The assistant's message with that call comes before the result.",
            )  # fmt: skip
        known |= {call.id for call in message.tool_calls}
    if all(message.role == "system" for message in messages):
        raise InvalidInput("there are only instructions, and nothing is asked", field="messages")
    return messages


def read_tools(values: list[Any]) -> tuple[Tool, ...]:
    """The tools that plain data stand for.

    Raises:
        InvalidInput: names the field that is wrong.
    """
    tools: tuple[Tool, ...] = _read(values, tuple[Tool, ...], "tools")
    names = [tool.name for tool in tools]
    if len(set(names)) != len(names):
        raise InvalidInput("two tools have the same name", field="tools")
    for tool in tools:
        if not (
            0 < len(tool.name) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-") for c in tool.name)
        ):
            raise InvalidInput(
                f"{tool.name[:40]!r} is no name for a tool", field="tools",
                hint="Up to 64 letters, digits, _ and -.",
            )  # fmt: skip
        if tool.parameters.get("type") != "object":
            raise InvalidInput("the parameters of a tool are an object", field="tools")
    return tools


def _read(values: list[Any], kind: Any, field: str) -> Any:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{field} is not as it should be: {str(error)[:160]}", field=field) from error


__all__ = [
    "MESSAGES_MAX", "TEXT_MAX", "TOKENS_MAX", "TOOLS_MAX", "TOOL_CALLS_MAX", "Answer", "Ask", "Finish", "Message",
    "Model", "NotCharged", "OnText", "Role", "Tool", "ToolCall", "Usage", "function_tool", "prompt_tokens",
    "read_messages", "read_tools", "tokens_in", "unheard",
]  # fmt: skip
