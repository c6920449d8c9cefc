"""An answer put together from the pieces that a provider sends: text as it comes, tool calls in parts, counts.

Bounded: more text or more calls than an answer may have end it as malformed. An answer that nobody said was over is
broken off, however well its connection was closed.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

import msgspec

from kindmesh.capabilities.llm.model import (
    TEXT_MAX,
    TOOL_CALLS_MAX,
    Answer,
    Ask,
    Finish,
    OnText,
    ToolCall,
    Usage,
    prompt_tokens,
    tokens_in,
)
from kindmesh.capabilities.llm.repair import ARGUMENTS_MAX, read_arguments
from kindmesh.protocol.errors import ModelMalformed, ModelUnavailable


class _Part:
    """A tool call that is being heard."""

    __slots__ = ("arguments", "id", "name", "size")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.size = 0


class Assembly:
    """See the module."""

    def __init__(self, ask: Ask, on_text: OnText) -> None:
        self._ask = ask
        self._on_text = on_text
        self._text: list[str] = []
        self._length = 0
        self._parts: dict[int, _Part] = {}
        self._calls: list[ToolCall] = []
        self._counted: tuple[int, int] = (0, 0)
        self._finish: Finish | None = None

    async def text(self, piece: str) -> None:
        """Some text; empty: a sign of life."""
        self._length += len(piece)
        if self._length > TEXT_MAX:
            raise ModelMalformed(f"the model wrote more than {TEXT_MAX} characters")
        if piece:
            self._text.append(piece)
        await self._on_text(piece)

    async def part(self, index: int, *, call_id: str = "", name: str = "", arguments: str = "") -> None:
        """A part of the tool call with that number; id and name come once, arguments in pieces."""
        part = self._parts.get(index)
        if part is None:
            self._room()
            part = self._parts[index] = _Part()
        part.id = part.id or call_id[:256]
        part.name = part.name or name[:256]
        part.arguments.append(arguments)
        part.size += len(arguments)
        if part.size > ARGUMENTS_MAX:
            raise ModelMalformed(f"the model wrote more than {ARGUMENTS_MAX} characters of arguments")
        await self._on_text("")

    async def call(self, name: str, arguments: dict[str, Any]) -> None:
        """A whole tool call, from a provider that gives no ids."""
        self._room()
        self._calls.append(ToolCall("", name[:256], arguments))
        await self._on_text("")

    def counted(self, tokens_in_: int | None = None, tokens_out: int | None = None) -> None:
        """What the provider counted; what it does not say stays as it was."""
        before_in, before_out = self._counted
        self._counted = (tokens_in_ or before_in, tokens_out or before_out)

    def finished(self, why: Finish) -> None:
        """The provider says that the answer is over."""
        self._finish = why

    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            ModelUnavailable: it broke off.
            ModelMalformed: a tool call that cannot be used.
        """
        if self._finish is None:
            raise ModelUnavailable("the answer broke off in the middle")
        heard = [
            ToolCall(part.id, part.name, read_arguments("".join(part.arguments), part.name))
            for _, part in sorted(self._parts.items())
        ]
        calls = tuple(
            self._named(call, number) for number, call in enumerate([*heard, *self._calls], start=1)
        )
        text = "".join(self._text)
        finish = "tool_calls" if calls and self._finish == "stop" else self._finish
        return Answer(text, calls, finish, self._usage(text))

    def _named(self, call: ToolCall, number: int) -> ToolCall:
        if call.name not in {tool.name for tool in self._ask.tools}:
            raise ModelMalformed(f"the model called {call.name[:64]!r}, which it was not given")
        return call if call.id else ToolCall(f"call_{number}", call.name, call.arguments)

    def _usage(self, text: str) -> Usage:
        """As counted; else an upper estimate, so that nothing is too cheap."""
        went_in, came_out = self._counted
        if went_in and came_out:
            return Usage(went_in, came_out)
        spoken = sum(part.size for part in self._parts.values()) + len(self._calls) * 64
        estimate = tokens_in(text) + spoken
        return Usage(went_in or prompt_tokens(self._ask), came_out or estimate, estimated=True)

    def _room(self) -> None:
        if len(self._parts) + len(self._calls) >= TOOL_CALLS_MAX:
            raise ModelMalformed(f"the model made more than {TOOL_CALLS_MAX} tool calls")


async def hear_all(events: AsyncIterable[Any], take: Callable[[Any], Awaitable[None]]) -> None:
    """Take all of what an SDK streams; what it stumbles over (it checks nothing) is the provider's doing.

    Raises:
        ModelMalformed: it cannot be read.
    """
    try:
        async for event in events:
            await take(event)
    except (msgspec.MsgspecError, ValueError, AttributeError, TypeError) as error:
        raise ModelMalformed(f"the provider's answer cannot be read ({type(error).__name__})") from None


__all__ = ["Assembly", "hear_all"]
