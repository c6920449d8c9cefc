"""The planner: gives what the grammars do not understand to a language model, and hands back an `Understanding`.

    planner = Planner(chat, look=look, review=review)
    understanding = await planner.plan("make it cosy for the film", situation, manifests)

`chat` asks a language model (`llm.chat` or, where the owner allows it, `llm.chat_outside`) with the arguments given and
returns its result. `look` runs one operation that only reads; without it, what reads becomes steps of the plan.
`review` says why a plan is not allowed, in sentences; no sentence, it is. All decisions are in `loop_machine`; here
things are done. The planner never raises for what a model, a device or a reviewer does: the person gets an honest
sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.cortex.terms import UTTERANCE_WORDS_MAX, Situation, Understanding, words_of
from kindmesh.coordinator.brain.planner.loop_machine import COULD_NOT, Loop
from kindmesh.coordinator.brain.planner.loop_words import (
    AskModel,
    Bounds,
    Call,
    End,
    Event,
    Failed,
    Garbled,
    Judge,
    Judged,
    Look,
    Looked,
    LookUp,
    Said,
    Seen,
    Told,
)
from kindmesh.coordinator.brain.planner.prompt import fenced, messages
from kindmesh.coordinator.brain.planner.tools import Toolbox
from kindmesh.mesh.clock import Clock, SystemClock
from kindmesh.protocol.errors import (
    BudgetExceeded,
    ConfigError,
    Denied,
    EgressRefused,
    KindmeshError,
    ModelMalformed,
    NeedsApproval,
    NoDeviceAble,
    UnknownOperation,
)
from kindmesh.protocol.manifest import Manifest
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.plan_labels import Source

Chat = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""The arguments of `llm.chat` in, its result out; raises `KindmeshError`."""
LookAt = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""An operation that only reads and its arguments in, its result out; raises `KindmeshError`."""
Review = Callable[[Plan], Awaitable[Judged]]
"""A plan in, out come the reasons why it is not allowed."""

MAX_TOKENS: Final = 1_024
WEB: Final[Mapping[str, Source]] = {"browser": "web", "mail": "web", "web": "web"}
"""Capabilities whose results anybody in the world can write."""
_WHY: Final[tuple[tuple[type[KindmeshError], str], ...]] = (
    (BudgetExceeded, "The budget for language models is used up."),
    (EgressRefused, "A language model outside the house would be needed, and this stays in the house."),
    (NeedsApproval, "Asking a language model needs a person's yes first."),
    (Denied, "Asking a language model is not allowed."),
    (NoDeviceAble, "No device here has a language model."),
    (UnknownOperation, "No device here has a language model."),
    (ConfigError, "The language model here is not set up properly; kindmesh llm list says what is wrong."),
    (KindmeshError, "The language model did not answer."),
)


class _Result(msgspec.Struct):
    text: str
    tool_calls: list[Call]
    usage: dict[str, Any] = {}


class Planner:
    """See the module. `sources`: capabilities whose results are not a device's own."""

    def __init__(
        self,
        chat: Chat,
        *,
        look: LookAt | None = None,
        review: Review | None = None,
        clock: Clock | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 - a frozen value
        sources: Mapping[str, Source] = WEB,
    ) -> None:
        self._chat = chat
        self._look = look
        self._review = review
        self._clock = clock or SystemClock()
        self._bounds = bounds
        self._sources = sources

    async def plan(
        self, text: str, situation: Situation, manifests: Iterable[Manifest], *, run: str = ""
    ) -> Understanding:
        """What the utterance means, by a language model; always an answer, never an error of somebody else.

        `manifests`: what the devices offer; `situation.operations`, if there are any, narrows it to those present.
        `run`: what the costs are counted by.
        """
        toolbox = Toolbox(manifests, situation.operations)
        heard = words_of(text)
        if not heard or len(heard) > UTTERANCE_WORDS_MAX:
            return Understanding(False, reply=COULD_NOT)
        now_ms = self._clock.now_ms()
        loop = Loop(
            text, situation, toolbox, now_ms=now_ms, bounds=self._bounds, can_look=self._look is not None,
            sources=self._sources,
        )  # fmt: skip
        said = messages(text, situation)
        tools = toolbox.described(looks=self._look is not None)
        try:
            async with asyncio.timeout(self._bounds.time_ms / 1000):
                return await self._run(loop, said, tools, run)
        except TimeoutError:
            return self._ended(loop.handle(Failed("It took too long."), self._clock.now_ms()))

    async def _run(
        self, loop: Loop, said: list[dict[str, Any]], tools: list[dict[str, Any]], run: str
    ) -> Understanding:
        event: Event = await self._ask(loop, said, tools, run)
        while True:
            (instruction,) = loop.handle(event, self._clock.now_ms())
            match instruction:
                case End(understanding):
                    return understanding
                case AskModel(told):
                    said += [_message(one) for one in told]
                    event = await self._ask(loop, said, tools, run)
                case Look(lookups):
                    event = Looked(tuple([await self._looked(one) for one in lookups]))
                case Judge(plan):
                    event = await self._judged(plan)

    async def _ask(
        self, loop: Loop, said: list[dict[str, Any]], tools: list[dict[str, Any]], run: str
    ) -> Said | Failed | Garbled:
        arguments = {
            "messages": said, "tools": tools, "max_tokens": MAX_TOKENS, "temperature": 0.0, "task": "plan",
            "data_classes": list(loop.data_classes), "run": run,
        }  # fmt: skip
        try:
            found = msgspec.convert(await self._chat(arguments), _Result)
        except ModelMalformed:
            return Garbled()
        except KindmeshError as error:
            return Failed(next(why for kind, why in _WHY if isinstance(error, kind)))
        except msgspec.ValidationError:
            return Failed("The language model did not answer.")
        said.append(
            {
                "role": "assistant", "text": found.text,
                "tool_calls": [msgspec.to_builtins(call) for call in found.tool_calls],
            }
        )  # fmt: skip
        return Said(found.text, tuple(found.tool_calls), _tokens(found.usage))

    async def _looked(self, lookup: LookUp) -> Seen:
        if self._look is None:
            return Seen(lookup.name, error="nothing can be looked at now")
        try:
            return Seen(lookup.name, await self._look(lookup.operation, lookup.arguments))
        except KindmeshError as error:
            return Seen(lookup.name, error=error.message[:300])

    async def _judged(self, plan: Plan) -> Judged | Failed:
        if self._review is None:
            return Judged(())
        try:
            return await self._review(plan)
        except KindmeshError:
            return Failed("The plan could not be reviewed, so nothing was done.")

    @staticmethod
    def _ended(instructions: list[Any]) -> Understanding:
        (end,) = instructions
        understanding: Understanding = end.understanding
        return understanding


def _message(told: Told) -> dict[str, Any]:
    text = told.text if told.data is None else f"{told.text}\n{fenced(told.data)}"
    if told.call_id:
        return {"role": "tool", "text": text, "tool_call_id": told.call_id}
    return {"role": "user", "text": text}


def _tokens(usage: Mapping[str, Any]) -> int:
    found = (usage.get("input_tokens"), usage.get("output_tokens"))
    return sum(count for count in found if isinstance(count, int) and count > 0)


__all__ = ["MAX_TOKENS", "WEB", "Bounds", "Chat", "LookAt", "Planner", "Review"]
