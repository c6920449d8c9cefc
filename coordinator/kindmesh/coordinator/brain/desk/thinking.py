"""The Cortex as the desk uses it: loaded when first asked, and used beside the loop, which has others to serve.

A sentence takes milliseconds, an odd one may take more, and the first one reads grammars, unless that was done before
(`warming`); heartbeats and permits do not wait for that. What recognises the home's sentences is heavy and shared; a
Cortex is made of it for each set of routines that people confirmed, and the least used are dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

from kindmesh.coordinator.brain.cortex.terms import Recogniser, Situation, Understanding
from kindmesh.coordinator.brain.desk.conversation import Kept, Routine
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.plan import Plan, plan_from_document, plan_to_document

if TYPE_CHECKING:
    from kindmesh.coordinator.brain.cortex.cortex import Cortex
    from kindmesh.coordinator.brain.cortex.language import Language

CORTICES_MAX: Final = 8
WARM: Final = ("turn on the kitchen light", "what time is it")
"""Sentences that use the grammars; nothing is done about them."""


class Thinking:
    """See the module."""

    def __init__(self) -> None:
        self._homes: dict[str, Recogniser] = {}
        self._made: OrderedDict[tuple[str, ...], Cortex] = OrderedDict()
        self._making = asyncio.Lock()

    def is_stop(self, text: str, language: str) -> bool:
        """Whether these are the exact words that halt everything; known without any grammar of the home."""
        from kindmesh.coordinator.brain.cortex.language import language as language_of  # noqa: PLC0415
        from kindmesh.coordinator.brain.cortex.normalise import COMMA, normalise  # noqa: PLC0415

        known = language_of(language)
        said = [word.low for word in normalise(text, known) if word.text != COMMA]
        return " ".join(said) in known.words["stop"]

    async def understand(
        self, text: str, situation: Situation, learned: Iterable[Kept] = ()
    ) -> Understanding:
        """What a sentence means to somebody who confirmed these routines.

        Raises:
            KindmeshError: it cannot be understood at all (the language, what is installed).
        """
        cortex = await self._cortex(situation.language, learned)
        return await asyncio.to_thread(cortex.understand, text, situation)

    async def warm(self, situation: Situation) -> None:
        """Load all that the first sentence needs; sentences that come meanwhile wait for it. Raises as `understand`."""
        async with self._making:
            cortex = await self._known(situation.language, [])
            for text in WARM:
                await asyncio.to_thread(cortex.understand, text, situation)

    async def answer(self, understanding: Understanding, situation: Situation, now_ms: int) -> str:
        """What to say once it is done; `situation.home` is the home as it is then."""
        cortex = await self._cortex(situation.language, ())
        return await asyncio.to_thread(cortex.answer, understanding, situation.home, now_ms)

    async def _cortex(self, language: str, learned: Iterable[Kept]) -> Cortex:
        confirmed = [known for known in learned if known.routine.state == "confirmed"]
        async with self._making:
            return await self._known(language, confirmed)

    async def _known(self, language: str, confirmed: list[Kept]) -> Cortex:
        """The Cortex with these routines; whoever calls holds `_making`."""
        key = (language, *(known.id for known in confirmed))
        found = self._made.get(key)
        if found is None:
            found = await asyncio.to_thread(self._make, language, confirmed)
            self._made[key] = found
            if len(self._made) > CORTICES_MAX:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return found

    def _make(self, language: str, confirmed: list[Kept]) -> Cortex:
        from kindmesh.coordinator.brain.cortex import routines  # noqa: PLC0415 - only once somebody asks
        from kindmesh.coordinator.brain.cortex.cortex import Cortex  # noqa: PLC0415
        from kindmesh.coordinator.brain.cortex.intents import HomeIntents  # noqa: PLC0415
        from kindmesh.coordinator.brain.cortex.language import language as language_of  # noqa: PLC0415

        if language not in self._homes:
            self._homes[language] = HomeIntents(language)
        spoken = language_of(language)
        known = [
            routines.Routine(kept.id, _as_heard(kept.routine.sentence, spoken), kept.routine.plan)
            for kept in confirmed
        ]
        return Cortex(language, known, home=self._homes[language])


def _as_heard(sentence: str, language: Language) -> str:
    """A learned sentence as it is when it is heard again: "it is movie time" for "It's movie time, please!"."""
    from kindmesh.coordinator.brain.cortex.normalise import COMMA, normalise  # noqa: PLC0415

    heard = " ".join(word.text for word in normalise(sentence, language) if word.text != COMMA)
    return heard if any(letter.isalnum() for letter in heard) else sentence


def as_routine(sentence: str, plan: Plan, why: Literal["correction", "model"] = "correction") -> Routine:
    """A proposal that a sentence means a plan, word by word.

    Raises:
        InvalidInput: the sentence cannot be one of a routine; or the plan waits for a moment that will be over.
    """
    from kindmesh.coordinator.brain.cortex import routines  # noqa: PLC0415 - only once somebody corrects

    plain = " ".join(sentence.split())
    if set(plain) & set("{}[]()|<>"):
        raise InvalidInput("a sentence with brackets cannot be learned", field="text")
    if any(step.pause is not None and step.pause.until_ms is not None for step in plan.steps):
        raise InvalidInput("what is meant for one moment cannot be learned", field="meant")
    routines.check_routine(routines.Routine("proposal", plain, plan))
    return Routine(plain, plan_from_document(_remembered(plan_to_document(plan))), why=why)


def _remembered(value: Any) -> Any:
    """A plan's document in which what was said comes from memory: it is not said the next time. What a model made up,
    or the web, stays that."""
    if isinstance(value, dict):
        if "$value" in value:
            label = {name: item for name, item in value.get("$label", {}).items() if name != "words"}
            if label.get("source", "user") == "user":
                label["source"] = "memory"
            return {**value, "$label": label}
        return {name: _remembered(item) for name, item in value.items()}
    return [_remembered(item) for item in value] if isinstance(value, list | tuple) else value


__all__ = ["CORTICES_MAX", "WARM", "Thinking", "as_routine"]
