"""One sentence on the mesh, from being heard to being answered.

    heard -> the homes are read -> what may not be told is hidden -> understood -> reviewed -> written down -> run
          -> read back -> answered

Nothing is begun before it is written down with the key it came with: asked again with that key, after whatever died in
between, it is the same act and its answer. Nothing is claimed that was not read back. A plan that Medulla would refuse
is not started; one that needs a yes is, since the question is its own, and is called off when nobody answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import Situation, Turn, Understanding
from kindmesh.coordinator.brain.desk.answering import Answer, Answering, Came
from kindmesh.coordinator.brain.desk.applying import delayed
from kindmesh.coordinator.brain.desk.calling_off import CallingOff
from kindmesh.coordinator.brain.desk.conversation import Conversations, Taken
from kindmesh.coordinator.brain.desk.describe import plan_lines, plan_sentence, step_words
from kindmesh.coordinator.brain.desk.disclosing import Disclosing
from kindmesh.coordinator.brain.desk.doubts import doubts_of
from kindmesh.coordinator.brain.desk.following import Follower
from kindmesh.coordinator.brain.desk.homes import Homes, Seen
from kindmesh.coordinator.brain.desk.judging import UNCHECKED, Judged
from kindmesh.coordinator.brain.desk.lines import area_named, area_or_none, check_text
from kindmesh.coordinator.brain.desk.planning import Planning
from kindmesh.coordinator.brain.desk.reviewing import Reviewer
from kindmesh.coordinator.brain.desk.routing import entities_of, routed
from kindmesh.coordinator.brain.desk.second import SecondReviewer
from kindmesh.coordinator.brain.desk.thinking import Thinking
from kindmesh.coordinator.brain.desk.veil import Veil
from kindmesh.coordinator.brain.desk.verifying import lacks_yes, reported, verify
from kindmesh.coordinator.brain.desk.withholding import open_changes, unknowable
from kindmesh.coordinator.brain.desk.wording import Said, ended, listed, needs_yes, plain_text, refused
from kindmesh.coordinator.heart.devices import Seat
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.errors import StoreConflict
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.plan import Plan, plan_digest, plan_to_document
from kindmesh.protocol.plan_check import check_plan
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.utterance_evidence import Heard

ACT_MS: Final = 8_000
"""How long a device may take for a step."""
AWAY_MS: Final = 2_000
"""The same for one that does not answer even now."""
YES_MS: Final = 120_000
"""How long is waited for a person's yes."""

Stop: TypeAlias = Callable[[str, Principal], Awaitable[dict[str, Any]]]
"""Halts all devices for a reason, in somebody's name; says which were told (`devices`), and which not."""


class Asked(msgspec.Struct, frozen=True):
    """What came in: `key` makes it the same when it comes again, `conversation` is whose turns count, `heard` proves
    the words; `area` is where they said that they are, `place` where the device that heard them stands, which a
    home need not know; `yes_ms`: how long a person's yes is waited for."""

    text: str
    who: Principal
    key: str
    conversation: str
    area: str = ""
    language: str = "en"
    zone: str = "UTC"
    people: dict[str, str] = {}
    heard: Heard | None = None
    yes_ms: int = YES_MS
    place: str = ""


class Asking:
    """See the module; one for the coordinator."""

    def __init__(
        self,
        *,
        heart: Heart,
        runs: Runs,
        homes: Homes,
        thinking: Thinking,
        reviewer: Reviewer,
        disclosing: Disclosing,
        second: SecondReviewer,
        planning: Planning,
        stop: Stop,
        conversations: Conversations,
        clock: Clock,
        where: tuple[float, float] | None = None,
    ) -> None:
        """`where`: degrees north and east of the home, if that is known."""
        self._where = where
        self._heart = heart
        self._runs = runs
        self._homes = homes
        self._thinking = thinking
        self._answering = Answering(heart, thinking, clock)
        self._calling_off = CallingOff(runs)
        self._reviewer = reviewer
        self._disclosing = disclosing
        self._second = second
        self._planning = planning
        self._stop = stop
        self._conversations = conversations
        self._clock = clock

    async def ask(
        self, asked: Asked, emit: Callable[[Any], None], check: Callable[[Seat], None], *, act: bool = True
    ) -> Answer:
        """Have a sentence done; `act` False: only say what would be. `check` refuses who may not look at a home.

        Raises:
            InvalidInput: the text or the area. StoreConflict: the key was used for something else.
            AccessRefused, Busy, NotRunning, DiskFull, StoreError.
        """
        check_text(asked.text)
        emit({"event": "heard"})
        if act and self.halts(asked.text, asked.language):
            return await self._stopped(asked)
        seen = await self._homes.read(check)
        person = principal_text(asked.who)
        taken = self._conversations.taken(person, asked.key) if act else None
        # What was said proves who asks once; what was taken keeps what came of it.
        veil = taken.veil if taken is not None else await self._disclosing.veil(seen, asked.who, asked.heard)
        seen = msgspec.structs.replace(seen, home=veil.over(seen.home))
        situation = self._situation(asked, seen)
        if taken is None:
            known: dict[bytes, Judged] = {}
            understanding = await self._thinking.understand(
                asked.text, situation, self._conversations.routines(person)
            )
            modelled = not understanding.understood and self._planning.is_there()
            if modelled:
                emit({"event": "thinking"})
                understanding = await self._planning.plan(
                    asked.text, situation, asked.who,
                    review=partial(self._seconded, asked, known), looks=partial(self._reviewed, asked),
                    check=check, where=seen.where, veil=veil,
                )  # fmt: skip
            if understanding.plan is None:
                off = await self._calling_off.answer(
                    understanding, situation.turns, asked.who, seen.home, asked.language, act=act
                )
                if off is not None:
                    return off
                return await self._answering.answered(understanding, situation, seen, veil)
            check_plan(understanding.plan)
            judged = (
                unknowable(understanding, veil, seen.home)
                or known.get(plan_digest(understanding.plan))
                or await self._reviewed(asked, understanding.plan)
            )
            emit(
                {
                    "event": "planned",
                    "steps": self._words(understanding, seen.home),
                    "verdict": judged.verdict,
                }
            )
            if not act or judged.verdict == "deny":
                return self._withheld(understanding, judged, seen.home)
            taken = self._taken(asked, understanding, judged, seen, veil)
            taken = msgspec.structs.replace(taken, modelled=modelled)
            self._conversations.take(person, asked.key, taken)
        elif taken.text != asked.text:
            raise StoreConflict(
                "this key was used for another sentence", hint="Use a new key for something new."
            )
        return await self._run(asked, taken, situation, seen, emit)

    async def home(self, check: Callable[[Seat], None]) -> Home:
        """What there is, as far as devices tell it now or told it last.

        Raises:
            AccessRefused: from `check`.
        """
        return (await self.seen(check)).home

    async def seen(self, check: Callable[[Seat], None]) -> Seen:
        """The same, with where each thing is. Raises as `home`."""
        return await self._homes.read(check)

    def halts(self, text: str, language: str) -> bool:
        """Whether this halts everything, which waits for nobody."""
        return self._thinking.is_stop(text, language)

    async def _stopped(self, asked: Asked) -> Answer:
        """Everything is halted, before anything is read, understood or asked."""
        told = await self._stop(asked.text, asked.who)
        reached, missed = told["devices"], told["not_reached"]
        parts = [Said(f"Stopped: {listed(reached)}." if reached else "There is no device to stop.", "safety")]
        if missed:
            parts.append(Said(f"Not reached: {listed(missed)}.", "safety"))
        understanding = Understanding(understood=True, reply=plain_text(parts))
        return Answer(tuple(parts), "partly" if missed else "done", understanding)

    # ------------------------------------------------------------------------------------------------- before

    def _situation(self, asked: Asked, seen: Seen) -> Situation:
        return Situation(
            seen.home,
            self._clock.now_ms(),
            zone=asked.zone,
            area=area_named(seen.home, asked.area) or area_or_none(seen.home, asked.place),
            language=asked.language,
            person=principal_text(asked.who),
            turns=self._conversations.turns(asked.conversation),
            operations=frozenset(
                operation["name"]
                for offer in self._heart.devices.capabilities()
                for operation in offer["operations"]
            ),
            people=asked.people,
            place=self._where,
        )

    async def _reviewed(self, asked: Asked, plan: Plan) -> Judged:
        return await self._reviewer.review(plan, asked.who, asked.heard)

    async def _seconded(self, asked: Asked, known: dict[bytes, Judged], plan: Plan) -> Judged:
        """What is said of a plan that a language model made, by a second reviewer too; put into `known`."""
        judged = await self._reviewed(asked, plan)
        if judged.verdict != "deny":
            opinion = await self._second.opinion(plan, asked.who)
            if opinion is not None and opinion.answer != "allow":
                judged = await self._reviewer.review(plan, asked.who, asked.heard, opinion)
        known[plan_digest(plan)] = judged
        return judged

    def _words(self, understanding: Understanding, home: Home) -> list[str]:
        plan = understanding.plan
        return [] if plan is None else [step_words(step, home) for step in plan.steps]

    def _withheld(self, understanding: Understanding, judged: Judged, home: Home) -> Answer:
        plan = understanding.plan
        assert plan is not None  # noqa: S101 - the caller looked
        lines = tuple(plan_lines(plan, home, judged.verdict, judged.messages))
        if judged is UNCHECKED:
            lines = (*lines[:-1], f"Medulla: no answer. {ended(judged.messages[0])}")
        if judged.verdict == "deny":
            parts, outcome = (refused(judged.messages),), "refused"
        elif judged.verdict == "ask":
            parts, outcome = (needs_yes(judged.messages),), "planned"
        else:
            parts, outcome = (Said(plan_sentence(plan, home)),), "planned"
        return Answer(
            parts,
            outcome,
            understanding,
            judged,
            plan_to_document(plan),
            lines=lines,
            would=plan_sentence(plan, home),
        )

    def _taken(
        self, asked: Asked, understanding: Understanding, judged: Judged, seen: Seen, veil: Veil
    ) -> Taken:
        plan = understanding.plan
        assert plan is not None  # noqa: S101 - the caller looked

        def within_ms(device: str, operation: str) -> int:
            if device in seen.silent:
                return AWAY_MS
            asks = judged.verdict == "ask" or self._reviewer.waits_for_yes(operation)
            return asked.yes_ms if asks else ACT_MS

        split = routed(plan, seen.where, within_ms)
        later = delayed(split)
        ids = tuple(step.id for step in split.steps if step.id not in later)
        where = {
            entity: seen.where[entity]
            for step in split.steps
            for entity in entities_of(step)
            if entity in seen.where
        }
        return Taken(asked.text, understanding, split, judged.verdict, ids, where, judged.reasons, veil)

    # --------------------------------------------------------------------------------------------------- act

    async def _run(
        self, asked: Asked, taken: Taken, situation: Situation, seen: Seen, emit: Callable[[Any], None]
    ) -> Answer:
        plan, understanding = taken.plan, taken.understanding
        assert plan is not None  # noqa: S101 - only plans are taken
        follower = Follower(self._runs, emit)
        run_id = await self._runs.start(
            plan,
            key=f"ask/{principal_text(asked.who)}/{asked.key}",
            principal=asked.who,
            watcher=follower,
            heard=asked.heard,
            doubts=doubts_of(taken.reasons, plan) if taken.verdict == "ask" else {},
        )
        now = frozenset(taken.now)
        try:
            document, given_up = await follower.wait(run_id, now, ACT_MS, asked.yes_ms)
        finally:
            self._runs.unwatch(run_id, follower)
        items = [item for item in document["items"] if not item["path"].startswith("undo:")]
        touched = {entity for step in plan.steps if step.id in now for entity in entities_of(step)}
        touched |= {change.entity for change in reported(items)}
        where = msgspec.structs.replace(seen, where={**seen.where, **taken.where})
        home, read = await self._homes.again(where, touched)
        asked_in_vain = given_up and follower.waits
        verified = verify(plan, items, home, read, now, given_up=given_up and not asked_in_vain)
        unanswered = asked_in_vain or lacks_yes(items)
        parts, outcome = await self._answering.ending(
            Came(understanding, situation, taken.veil, home, verified, unanswered=unanswered,
                 later=any(step.id not in now for step in plan.steps)),
        )  # fmt: skip
        return Answer(
            parts,
            outcome,
            understanding,
            Judged(taken.verdict, taken.reasons),
            plan_to_document(plan),
            open_changes(verified, taken.veil),
            format_time_id(run_id),
        )

    def remember(self, asked: Asked, answer: Answer, reply: str) -> None:
        """Keep the turn; a disk that does not take it costs the next pronoun, not the act."""
        turn = Turn(asked.text, answer.understanding.recognised, reply, self._clock.now_ms(), answer.run)
        self._conversations.remember(asked.conversation, turn)


__all__ = ["ACT_MS", "AWAY_MS", "YES_MS", "Answer", "Asked", "Asking"]
