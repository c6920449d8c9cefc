"""What a sentence is answered with: a question from the home as who asks may know it, an act by what was verified.

What may not be told is named with the reason (`withholding`); the rest is answered all the same. What is known of a
device that is silent is old, and said to be.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Situation, Understanding
from kindmesh.coordinator.brain.desk.describe import duration_words
from kindmesh.coordinator.brain.desk.homes import Seen
from kindmesh.coordinator.brain.desk.judging import Judged
from kindmesh.coordinator.brain.desk.thinking import Thinking
from kindmesh.coordinator.brain.desk.veil import Veil
from kindmesh.coordinator.brain.desk.verifying import Verified, finding_parts
from kindmesh.coordinator.brain.desk.withholding import Told, as_done, as_far, done_to, told, withheld_words
from kindmesh.coordinator.brain.desk.wording import Said, confirmed, ended
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.ids import parse_id

_OF_THE_HOME: Final = frozenset({"HassGetState", "HassClimateGetTemperature", "HassGetWeather"})
"""Intents of questions that the states of things answer."""


class Answer(msgspec.Struct, frozen=True):
    """How it ended: `outcome` is `answered`, `planned`, `done`, `later` (some of it waits for its time), `partly`,
    `refused`, `unanswered`, `question` or `lost`."""

    parts: tuple[Said, ...]
    outcome: str
    understanding: Understanding
    judged: Judged | None = None
    plan: Any = None
    verified: Verified = Verified()
    run: str = ""
    lines: tuple[str, ...] = ()
    would: str = ""
    """The plan in one sentence, when nothing was done."""


class Came(msgspec.Struct, frozen=True):
    """What came of an act: `home` as it was read back, `veil` what who asked may not know of it; `unanswered`: nobody
    said yes in time, `later`: some of it waits for its time."""

    understanding: Understanding
    situation: Situation
    veil: Veil
    home: Home
    verified: Verified
    unanswered: bool = False
    later: bool = False


class Answering:
    """See the module."""

    def __init__(self, heart: Heart, thinking: Thinking, clock: Clock) -> None:
        self._heart = heart
        self._thinking = thinking
        self._clock = clock

    async def answered(
        self, understanding: Understanding, situation: Situation, seen: Seen, veil: Veil
    ) -> Answer:
        """The answer to what needs nothing done."""
        if understanding.question:
            return Answer((Said(understanding.question, "question"),), "question", understanding)
        if not understanding.understood:
            return Answer((Said(understanding.reply, "lost"),), "lost", understanding)
        found = told(understanding, veil, situation.home)
        withheld = withheld_words(found, veil, situation.home, situation.language)
        judged = self._judged(found, veil)
        if not found.anything:
            return Answer(withheld, "refused", understanding, judged)
        rest = found.understanding
        said = as_far(
            await self._thinking.answer(rest, situation, self._clock.now_ms()),
            found,
            situation.home,
            situation.language,
        )
        named = {entity for one in rest.recognised for entity in one.entities}
        silent = {seen.where[entity] for entity in named if seen.since(entity) is not None}
        if any(one.intent in _OF_THE_HOME and not one.entities for one in rest.recognised):
            # What was asked about was not found: it may be where nobody answers.
            silent |= set(seen.silent)
        old = self._stale(silent, seen)
        parts = (Said(ended(said) if old or withheld else said), *withheld, *old)
        return Answer(parts, "partly" if withheld else "answered", understanding, judged)

    def _judged(self, found: Told, veil: Veil) -> Judged | None:
        if found.all_of_it:
            return veil.judged(("",))
        return veil.judged(found.withheld) if found.withheld else None

    def _stale(self, silent: set[str], seen: Seen) -> tuple[Said, ...]:
        now_ms, parts = self._clock.now_ms(), []
        for device in sorted(silent):
            name, at_ms = self._heart.devices.name(parse_id(device)), seen.silent[device]
            when = f"that is {duration_words(now_ms - at_ms)} old" if at_ms else "I do not know how it is now"
            parts.append(Said(f"{name} does not answer: {when}.", "safety"))
        return tuple(parts)

    async def ending(self, came: Came) -> tuple[tuple[Said, ...], str]:
        """What to say of an act, and its outcome."""
        verified = came.verified
        home = came.veil.over(came.home, done_to(verified))
        if came.unanswered and not verified.all_good:
            what = "it was not done" if not verified.any_good else "not everything was done"
            said = Said(f"Nobody said yes in time, so {what}.", "safety")
            return (said, *finding_parts(verified, home)), "unanswered"
        if not verified.all_good:
            return finding_parts(verified, home), "partly"
        language, outcome = came.situation.language, "later" if came.later else "done"
        found = told(came.understanding, came.veil, home)
        withheld = withheld_words(found, came.veil, home, language)
        after = msgspec.structs.replace(came.situation, home=home)
        well = await self._thinking.answer(found.understanding, after, self._clock.now_ms())
        if not well.strip():
            # A plan that no grammar made has no words of its own.
            return (*(finding_parts(verified, home) or (Said("Done.", "done"),)), *withheld), outcome
        touched = [one.entity for one in verified.findings]
        well = confirmed(
            as_far(well, found, home, language), as_done(verified, came.veil, home), home, language, touched
        )
        return (Said(ended(well) if withheld else well, "done"), *withheld), "partly" if withheld else outcome


__all__ = ["Answer", "Answering", "Came"]
