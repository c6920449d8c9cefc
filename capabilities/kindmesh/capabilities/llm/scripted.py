"""A language model that says what stands in its script: for tests, for demonstrations, and to try a household out.

It is a model like any other, so everything above it is used as it is in earnest. Each call takes the first answer of
the script that still may be used (`times`, 0: for ever) and whose `when` occurs in what was said last; where none is
left it says so, as a model that is down would. Its usage is counted by the same estimate that budgets reserve with.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from kindmesh.capabilities.llm.model import (
    Answer,
    Ask,
    NotCharged,
    OnText,
    ToolCall,
    Usage,
    prompt_tokens,
    tokens_in,
)
from kindmesh.protocol.errors import ModelMalformed

_PIECE: Final = re.compile(r"\s*\S+\s*$|\s*\S+")


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the script calls."""

    name: str
    arguments: dict[str, Any] = {}


class ScriptedAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer; `fails` in its place: `unavailable` or `malformed`. `pause_ms` lies before each word."""

    say: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    when: str = ""
    times: Annotated[int, Meta(ge=0)] = 1
    fails: str = ""
    pause_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0


class ScriptedModel:
    """See the module. `asked` are the last questions, for whoever wants to look."""

    def __init__(self, script: Sequence[ScriptedAnswer]) -> None:
        self._script = tuple(script)
        self._used = [0] * len(self._script)
        self.asked: list[Ask] = []

    @classmethod
    def saying(cls, *answers: str) -> ScriptedModel:
        """Says these, one after the other."""
        return cls([ScriptedAnswer(say=text) for text in answers])

    async def answer(self, ask: Ask, on_text: OnText) -> Answer:
        """See `Model`."""
        self.asked = [*self.asked[-31:], ask]
        chosen = self._next(ask.messages[-1].text)
        if chosen.fails == "malformed":
            raise ModelMalformed("the script says that this answer is malformed")
        if chosen.fails:
            raise NotCharged("the script says that this model is down")
        said = ""
        for piece in pieces(chosen.say):
            await asyncio.sleep(chosen.pause_ms / 1000)
            said += piece
            await on_text(piece)
        calls = tuple(
            ToolCall(f"call_{number}", call.name, dict(call.arguments))
            for number, call in enumerate(chosen.calls, start=1)
        )
        spoken = said + "".join(call.name + msgspec.json.encode(call.arguments).decode() for call in calls)
        usage = Usage(prompt_tokens(ask), tokens_in(spoken), estimated=True)
        return Answer(said, calls, "tool_calls" if calls else "stop", usage)

    async def close(self) -> None:
        """See `Model`."""

    def _next(self, heard: str) -> ScriptedAnswer:
        folded = heard.casefold()
        for number, answer in enumerate(self._script):
            left = not answer.times or self._used[number] < answer.times
            if left and answer.when.casefold() in folded:
                self._used[number] += 1
                return answer
        raise NotCharged("the script has no answer to this", hint="Add one, or times: 0 for one that stays.")


def pieces(text: str) -> Iterable[str]:
    """A text word by word, white space included: joined, they are the text."""
    return _PIECE.findall(text) if text.strip() else ([text] if text else [])


__all__ = ["ScriptedAnswer", "ScriptedCall", "ScriptedModel", "pieces"]
