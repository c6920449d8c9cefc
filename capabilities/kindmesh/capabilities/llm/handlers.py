"""Serves `llm.*`: arguments in, an answer out; what is decided on the way is in `engine` and `routing`.

`llm.yaml` is read when the first request comes and again whenever it was changed; what runs meanwhile ends as it
began. The budget is opened with the first model that has a price, and stays open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from kindmesh.capabilities.base import Capability, Context, Services, operation
from kindmesh.capabilities.llm.budget import BudgetKeeper
from kindmesh.capabilities.llm.clients import make_client
from kindmesh.capabilities.llm.config import FILE, Settings, load
from kindmesh.capabilities.llm.engine import Engine, Replied
from kindmesh.capabilities.llm.manifest import MANIFEST, TASK_DEFAULT
from kindmesh.capabilities.llm.model import Ask, OnText, read_messages, read_tools, unheard
from kindmesh.capabilities.llm.routing import Wish
from kindmesh.mesh.clock import SystemClock
from kindmesh.protocol.errors import ConfigError
from kindmesh.protocol.manifest import Manifest

__all__ = ["Llm", "Models", "Said"]


class Said(msgspec.Struct, frozen=True):
    """The answer of `llm.chat` and its kin; see the manifest."""

    text: str
    tool_calls: list[dict[str, Any]]
    finish: str
    model: str
    local: bool
    usage: dict[str, Any]
    cost_micros: int
    passed_over: list[dict[str, Any]]


class Models(msgspec.Struct, frozen=True):
    """The answer of `llm.models`."""

    models: list[dict[str, Any]]
    currency: str


_NO_TOOLS: Final[list[Any]] = []
_OTHER: Final[list[Any]] = ["other"]
_ANYBODY: Final[list[Any]] = ["*"]


def _asking(*, may_leave: bool, streams: bool) -> Callable[..., Coroutine[Any, Any, Said]]:
    """The handler of one of the four operations: they take and give the same."""

    async def ask(  # noqa: PLR0917 - the manifest's inputs, which are given by name
        self: Llm,
        context: Context,
        messages: list[Any],
        tools: list[Any] = _NO_TOOLS,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        model: str = "",
        task: str = TASK_DEFAULT,
        data_classes: list[Any] = _OTHER,
        readers: list[Any] = _ANYBODY,
        run: str = "",
    ) -> Said:
        asked = Ask(read_messages(messages), read_tools(tools), max_tokens, temperature)
        wish = Wish(task, 0, 0, may_leave, model, tuple(data_classes), tuple(readers))
        engine = await self.ready()
        context.progress(None, "asking a language model")
        return _said(await engine.ask(wish, asked, _to_stream(context) if streams else unheard, run=run))

    return ask


class Llm(Capability):
    """See the module."""

    manifest: ClassVar[Manifest] = MANIFEST

    def __init__(self) -> None:
        self._folder = Path()
        self._data = Path()
        self._clock = SystemClock()
        self._budget: BudgetKeeper | None = None
        self._engine: Engine | None = None
        self._stamp: tuple[int, int, int] | None = None

    async def start(self, services: Services) -> None:
        """Remember where things are; nothing is read or opened yet."""
        self._data = services.data_dir
        self._folder = services.config_dir or services.data_dir

    async def stop(self) -> None:
        """Close connections and the budget."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.close()

    chat = operation("llm.chat")(_asking(may_leave=False, streams=False))
    chat_outside = operation("llm.chat_outside")(_asking(may_leave=True, streams=False))
    stream = operation("llm.stream")(_asking(may_leave=False, streams=True))
    stream_outside = operation("llm.stream_outside")(_asking(may_leave=True, streams=True))

    @operation("llm.models")
    async def models(self, context: Context) -> Models:
        """The models of this device, and what is wrong with each; none where none is set up."""
        if self._stamped() is None:
            return Models([], "EUR")
        engine = await self.ready()
        return Models(described(engine.settings, engine.failing()), engine.settings.budget.currency)

    async def ready(self) -> Engine:
        """The engine for the settings as they are now.

        Raises:
            ConfigError: there are none, or they are wrong.
        """
        stamp = self._stamped()
        if self._engine is None or stamp != self._stamp:
            settings = await asyncio.to_thread(load, self._folder)
            if self._budget is None and any(settings.cost(name, 1, 1) for name in settings.models):
                self._budget = BudgetKeeper.open(self._data)
            if self._engine is not None:
                await self._engine.retire()
            self._engine, self._stamp = Engine(settings, make_client, self._budget, self._clock), stamp
        return self._engine

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = (self._folder / FILE).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{FILE} cannot be read: {error.strerror}", field=FILE) from error
        return found.st_ino, found.st_mtime_ns, found.st_size


def described(settings: Settings, failing: dict[str, str]) -> list[dict[str, Any]]:
    """The models for people and programs; `failing`: what is wrong with those that failed."""
    return [
        {
            "name": name, "provider": entry.provider, "called": entry.name, "local": settings.local(name),
            "tasks": list(entry.tasks), "context": entry.context, "tools": entry.tools,
            "price_in": entry.price_in or 0.0, "price_out": entry.price_out or 0.0, "state": failing.get(name, ""),
            "second": name == settings.second,
        }
        for name, entry in settings.models.items()
    ]  # fmt: skip


def _to_stream(context: Context) -> OnText:
    async def pass_on(text: str) -> None:
        await context.stream.write(text.encode())

    return pass_on


def _said(replied: Replied) -> Said:
    answer = replied.answer
    return Said(
        text=answer.text,
        tool_calls=[msgspec.to_builtins(call) for call in answer.tool_calls],
        finish=answer.finish,
        model=replied.model,
        local=replied.local,
        usage=msgspec.to_builtins(answer.usage),
        cost_micros=replied.cost_micros,
        passed_over=[{"model": one.model, "reason": one.reason} for one in replied.passed_over],
    )
