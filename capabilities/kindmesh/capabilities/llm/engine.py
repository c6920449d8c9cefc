"""Asks language models: chooses (`routing`), reserves (`budget`), waits, tries the next one, and says why.

    ask --route--> for each model of the chain: reserve, ask within its times, settle
                     answered                         -> the answer
                     failed before a word was heard   -> the next one, with the reason kept
                     failed after it                  -> the end: half an answer of one and half of another is none

What a request really cost is settled in every case. A request that the provider refused, or that never reached it,
costs nothing; where that cannot be known (it broke off, or was given up) the whole reservation counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from kindmesh.capabilities.llm.budget import BudgetKeeper
from kindmesh.capabilities.llm.config import NANOS, Settings
from kindmesh.capabilities.llm.model import Answer, Ask, Model, NotCharged, OnText, prompt_tokens
from kindmesh.capabilities.llm.routing import PassedOver, Wish, nobody, route
from kindmesh.mesh.breaker_machine import Begun, Breaker, Event, Failed, Released, Rules, Worked
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import (
    BudgetExceeded,
    CapabilityMissing,
    KindmeshError,
    ModelMalformed,
    ModelUnavailable,
)

Maker = Callable[[Settings, str], Awaitable[Model]]
"""Makes the client of a model, by its name in the settings."""
RULES: Final = Rules(pause_ms=20_000)
"""How long a model that keeps failing is passed over at first. Failures add up however far apart they are: where each
takes minutes, a window would never see three."""
_MICROS: Final = NANOS // 1_000_000


class Replied(msgspec.Struct, frozen=True):
    """An answer, whose it is, what it cost, and who was passed over."""

    answer: Answer
    model: str
    local: bool
    cost_micros: int
    passed_over: tuple[PassedOver, ...] = ()


class Engine:
    """See the module. `budget` None: there is nothing with a price. Clients are kept until `close`."""

    def __init__(self, settings: Settings, make: Maker, budget: BudgetKeeper | None, clock: Clock) -> None:
        self.settings = settings
        self._make = make
        self._budget = budget
        self._clock = clock
        self._clients: dict[str, Model] = {}
        self._breakers = {name: Breaker(RULES) for name in settings.models}
        self._making = asyncio.Lock()
        self._open = 0
        self._retired = False

    async def ask(self, wish: Wish, ask: Ask, on_text: OnText, *, run: str = "") -> Replied:
        """Ask whoever may be asked; what of `wish` the question itself decides is filled in here.

        Raises:
            InvalidInput: there is no model of that name.
            EgressRefused, BudgetExceeded, ModelUnavailable, ModelMalformed: nobody answered, and why.
            DiskFull, StoreError: the budget could not be written, so nothing was asked.
        """
        wish = msgspec.structs.replace(
            wish, tokens_in=prompt_tokens(ask), max_tokens=ask.max_tokens, with_tools=bool(ask.tools)
        )
        chosen = route(wish, self.settings, self.failing())
        passed = list(chosen.passed_over)
        errors: list[KindmeshError] = []
        for name in chosen.chain:
            hearing = _Hearing(on_text)
            self._open += 1
            try:
                return await self._one(name, wish, ask, hearing, run=run, passed=passed)
            except (ModelUnavailable, ModelMalformed, BudgetExceeded, CapabilityMissing) as error:
                if hearing.heard:
                    raise
                errors.append(error)
                passed.append(PassedOver(name, error.message[:300]))
            finally:
                self._open -= 1
                if self._retired and not self._open:
                    await self.close()
        raise _outcome(tuple(passed), errors)

    def failing(self) -> dict[str, str]:
        """Why a model should not be asked now, by its name."""
        now_ms = self._now_ms()
        said = {name: breaker.why_not(now_ms) for name, breaker in self._breakers.items()}
        return {name: why for name, why in said.items() if why}

    async def retire(self) -> None:
        """Nothing more will be asked; what is under way goes on, and the last of it closes the connections."""
        self._retired = True
        if not self._open:
            await self.close()

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def _one(
        self, name: str, wish: Wish, ask: Ask, hearing: _Hearing, *, run: str, passed: list[PassedOver]
    ) -> Replied:
        settings, local = self.settings, self.settings.local(name)
        worst = settings.cost(name, wish.tokens_in, ask.max_tokens)
        client = await self._client(name)
        charge = await self._reserve(name, run, worst)
        breaker = self._breakers[name]
        breaker.handle(Begun(), self._now_ms())
        cost = worst
        verdict: Event = Released()
        try:
            answer = await self._timed(client, ask, hearing)
            cost = settings.cost(name, answer.usage.input_tokens, answer.usage.output_tokens)
            verdict = Worked()
        except (ModelUnavailable, ModelMalformed) as error:
            cost = 0 if isinstance(error, NotCharged) else worst
            verdict = Failed(error.message[:200], error.retry_ms)
            raise
        finally:
            breaker.handle(verdict, self._now_ms())
            if charge is not None and self._budget is not None:
                await self._budget.settle(charge, cost)
        return Replied(answer, name, local, -(-cost // _MICROS), tuple(passed))

    async def _reserve(self, name: str, run: str, worst: int) -> bytes | None:
        if not worst:
            return None
        if self._budget is None:
            raise BudgetExceeded("nothing may be spent here")
        return await self._budget.reserve(name, run, worst, self.settings.budget)

    async def _timed(self, client: Model, ask: Ask, hearing: _Hearing) -> Answer:
        times = self.settings.timeouts
        total = asyncio.timeout(times.total_s)
        try:
            async with total, asyncio.timeout(times.first_s) as patience:
                hearing.wait(patience, times.silence_s)
                return await client.answer(ask, hearing.text)
        except TimeoutError:
            if total.expired():
                said = "took too long to answer"
            else:
                said = "fell silent" if hearing.alive else "did not begin to answer in time"
            raise ModelUnavailable(f"the model {said}") from None

    async def _client(self, name: str) -> Model:
        async with self._making:
            if name not in self._clients:
                self._clients[name] = await self._make(self.settings, name)
            return self._clients[name]

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)


class _Hearing:
    """Passes on what a model says, and is patient only for so long. A piece without text is a sign of life, such as a
    part of a tool call. Time that the listener takes is not the model's."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self._patience: asyncio.Timeout | None = None
        self._silence_s = 0.0
        self.heard = self.alive = False

    def wait(self, patience: asyncio.Timeout, silence_s: float) -> None:
        self._patience, self._silence_s = patience, silence_s

    async def text(self, piece: str) -> None:
        self.alive = True
        if piece:
            self.heard = True
            self._be_patient(None)
            await self._on_text(piece)
        self._be_patient(asyncio.get_running_loop().time() + self._silence_s)

    def _be_patient(self, until: float | None) -> None:
        if self._patience is not None:
            self._patience.reschedule(until)


def _outcome(passed: tuple[PassedOver, ...], errors: list[KindmeshError]) -> KindmeshError:
    """The error that says why nobody answered: the only one there is as it is, else of the kind that they share."""
    if len(errors) == len(passed) == 1:
        return errors[0]
    general = nobody(passed)
    kinds = {type(error) for error in errors}
    if kinds and kinds <= {BudgetExceeded}:
        return BudgetExceeded(general.message)
    if kinds and kinds <= {ModelMalformed}:
        return ModelMalformed(general.message)
    general.retry_ms = max((error.retry_ms for error in errors), default=0)
    return general


__all__ = ["RULES", "Engine", "Maker", "Replied"]
