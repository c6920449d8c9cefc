"""What people's programs can ask of the desk: control methods.

    ask             have a sentence done, and hear what was verified (`plan`: only say what would be done)
    ask.feedback    good, or not what was meant, about the last reply of a conversation
    ask.routines    list, confirm or forget what sentences were learned
    ask.persona     which manners to have, for whoever asks
    ask.forget      forget what was said in a conversation

Whoever asks is a principal as everywhere; a member's conversations are its own. Events on the way go to whoever
follows; the mesh is told by `cognition.*` topics that something was heard, planned and answered, never what.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.desk.agreeing import Agreeing, Laid
from kindmesh.coordinator.brain.desk.asking import YES_MS, Answer, Asked, Asking
from kindmesh.coordinator.brain.desk.conversation import Conversations, Feedback, Kept, Routine
from kindmesh.coordinator.brain.desk.describe import plan_sentence
from kindmesh.coordinator.brain.desk.homes import Seen
from kindmesh.coordinator.brain.desk.personas import DEFAULT, persona_named, persona_names, worded
from kindmesh.coordinator.brain.desk.second_seat import SecondSeat
from kindmesh.coordinator.brain.desk.thinking import as_routine
from kindmesh.coordinator.brain.desk.warming import Warming
from kindmesh.coordinator.heart.devices import Seat
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.utterances import area_of, heard_in, is_spoken_by
from kindmesh.mesh.bus import EventBus
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.protocol.errors import AccessRefused, Busy, InvalidInput, KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, format_id, format_time_id, new_id
from kindmesh.protocol.plan import plan_to_document
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.routine import plain_words
from kindmesh.protocol.utterance import words_of
from kindmesh.protocol.utterance_evidence import Heard

log = logging.getLogger("kindmesh.coordinator.desk")

ASKS_MAX: Final = 32
"""Sentences under way at once."""
PEOPLE_S: Final = 1.0
"""How long Medulla may take to say who there is; a question about the home does not wait longer for it."""
KEY_MAX: Final = 100
YES_MOST_MS: Final = 3_600_000
LANGUAGES: Final = ("en", "de")
_Emit = Callable[[Any], None]
_Method = Callable[[Params, _Emit, Principal], Awaitable[Any]]


class Desk:
    """See the module."""

    def __init__(
        self,
        *,
        asking: Asking,
        conversations: Conversations,
        agreeing: Agreeing,
        second: SecondSeat,
        people: PeopleDesk,
        bus: EventBus,
        clock: Clock,
        entropy: Entropy,
        zone: str,
        warming: Warming,
    ) -> None:
        self.warming = warming
        self.second = second
        self._asking = asking
        self._conversations = conversations
        self._agreeing = agreeing
        self._people = people
        self._bus = bus
        self._clock = clock
        self._entropy = entropy
        self._zone = zone
        self._open = 0

    def methods(self) -> dict[str, _Method]:
        """For the coordinator's table."""
        return {
            "ask": self._ask,
            "ask.feedback": self._feedback,
            "ask.routines": self._routines,
            "ask.persona": self._persona,
            "ask.forget": self._forget,
        }

    # --------------------------------------------------------------------------------------------------- ask

    async def _ask(self, params: Params, emit: _Emit, who: Principal) -> Any:
        heard = heard_in(params)
        if params.proof is not None and not (heard is not None and is_spoken_by(heard, who)):
            # Medulla takes a person's signature for the one act that it names; for a sentence, which may be several,
            # it takes the words that they signed.
            raise AccessRefused(
                "a person's signature does not cover what they did not say",
                field="utterance",
                hint="Send the words as an utterance, or ask as the device itself: --as -.",
            )
        if heard is not None and heard.said.words != words_of(params.text("text")):
            raise InvalidInput("the utterance has other words than the text", field="utterance")
        if self._open >= ASKS_MAX:
            raise Busy("too many sentences are under way", hint="Wait a moment, then ask again.")
        self._open += 1
        try:
            return await self._asked(params, heard, emit, who)
        finally:
            self._open -= 1

    async def _asked(self, params: Params, heard: Heard | None, emit: _Emit, who: Principal) -> Any:
        begun = self._clock.monotonic()
        language = params.choice("language", LANGUAGES, "en")
        key, act = params.text("key", ""), not params.flag("plan")
        if len(key) > KEY_MAX:
            raise InvalidInput(f"a key has at most {KEY_MAX} characters", field="key")
        ask_id = format_time_id(new_id(self._clock.now_ms(), self._entropy.token(RANDOM_BYTES)))
        asked = Asked(
            params.text("text"),
            who,
            key or ask_id,
            self._conversation(params, who),
            params.text("area", ""),
            language,
            self._zone,
            {}
            if act and self._asking.halts(params.text("text"), language)
            else await self._known_people(who),
            heard,
            params.number("yes_ms", YES_MS, least=1_000, most=YES_MOST_MS),
            area_of(heard) or params.text("place", ""),
        )
        self._tell("heard", ask_id, {})
        answer = await self._asking.ask(
            asked, _quiet if params.flag("quiet") else emit, self._checker(who), act=act
        )
        persona = persona_named(self._conversations.persona(principal_text(who)) or DEFAULT)
        reply = worded(answer.parts, persona, asked.language)
        if act:
            self._remember(asked, answer, reply)
        self._tell("answered", ask_id, {"outcome": answer.outcome, "run": answer.run})
        return {
            "id": ask_id,
            "understood": answer.understanding.understood,
            "reply": reply,
            "plan": answer.plan,
            "verdict": None if answer.judged is None else answer.judged.verdict,
            "changes": [msgspec.to_builtins(change) for change in answer.verified.changes],
            "ms": round((self._clock.monotonic() - begun) * 1000, 3),
            "outcome": answer.outcome,
            "question": answer.understanding.question,
            "reasons": [] if answer.judged is None else answer.judged.documents(),
            "findings": [msgspec.to_builtins(one) for one in answer.verified.findings],
            "run": answer.run,
            "lines": list(answer.lines),
            "voice": persona.voice,
        }

    def _remember(self, asked: Asked, answer: Answer, reply: str) -> None:
        try:
            self._asking.remember(asked, answer, reply)
        except KindmeshError as error:
            # What was asked for was done and is told; only the next "it" will not know.
            log.warning("a turn was not kept", extra={"code": error.code})

    def _checker(self, who: Principal) -> Callable[[Seat], None]:
        def check(seat: Seat) -> None:
            if who.kind != "owner":
                self._people.check_call(who, seat.operation, "household")

        return check

    async def _known_people(self, who: Principal) -> dict[str, str]:
        """Whom a message can be sent to, by name: everybody for the owner, nobody for who may not look."""
        try:
            self._people.check_look(who)
            async with asyncio.timeout(PEOPLE_S):
                found = await self._people.people()
        except KindmeshError as error:
            log.info("nobody is known by name", extra={"code": error.code})
            return {}
        except TimeoutError:
            log.warning("nobody is known by name in time")
            return {}
        return {one["name"]: one["person"] for one in found["people"]}

    def _conversation(self, params: Params, who: Principal) -> str:
        given = params.text("conversation", "")
        if len(given) > KEY_MAX:
            raise InvalidInput(f"a conversation has at most {KEY_MAX} characters", field="conversation")
        device = format_id(who.device) if who.device else "here"
        return f"{principal_text(who)}\0{device}\0{given}"

    def _tell(self, what: str, ask_id: str, values: dict[str, Any]) -> None:
        topic = f"cognition.ask.{what}"
        if self._bus.wanted(topic):
            self._bus.emit(topic, {"ask": ask_id, **{name: value for name, value in values.items() if value}})

    # ---------------------------------------------------------------------------------------------- feedback

    async def _feedback(self, params: Params, emit: _Emit, who: Principal) -> Any:
        """Keep it; of a correction that is understood, a routine is proposed, and it is not done by itself."""
        good, meant = params.flag("good"), params.text("meant", "")
        conversation, person = self._conversation(params, who), principal_text(who)
        turn = self._conversations.last(conversation)
        if turn is None:
            raise InvalidInput(
                "nothing was said here yet", field="good", hint='Ask first: kindmesh ask "turn on the lamp".'
            )
        self._conversations.judge(person, Feedback(turn.text, turn.reply, good, meant))
        if good and not meant:
            return {"ok": True, "text": turn.text, **await self._solved(who, turn.text)}
        if good or not meant:
            return {"ok": True, "text": turn.text, "proposed": None}
        asked = Asked(
            meant,
            who,
            "",
            conversation,
            params.text("area", ""),
            params.choice("language", LANGUAGES, "en"),
            self._zone,
            await self._known_people(who),
            place=params.text("place", ""),
        )
        answer = await self._asking.ask(asked, emit, self._checker(who), act=False)
        plan = answer.understanding.plan
        if plan is None:
            return {
                "ok": True,
                "text": turn.text,
                "proposed": None,
                "reply": worded(answer.parts, persona_named(DEFAULT)),
            }
        routine = as_routine(turn.text, plan)
        return {"ok": True, "text": turn.text, **await self._proposed(who, routine), "does": answer.would}

    async def _solved(self, who: Principal, text: str) -> dict[str, Any]:
        """What a language model made of this sentence, and was good, is proposed, so that it needs no model again."""
        plan = self._conversations.modelled(principal_text(who), text)
        try:
            routine = None if plan is None else as_routine(text, plan, "model")
        except InvalidInput as error:
            log.info("a plan cannot be learned", extra={"field": error.field})
            routine = None
        if routine is None:
            return {"proposed": None}
        home = (await self._seen(who)).home
        return {**await self._proposed(who, routine), "does": plan_sentence(routine.plan, home)}

    async def _proposed(self, who: Principal, routine: Routine) -> dict[str, Any]:
        # What was agreed to for this sentence was agreed to for what it meant before.
        await self._agreeing.end(who, routine.sentence)
        made = self._conversations.propose(principal_text(who), routine)
        shown = {"id": made, "sentence": routine.sentence, "plan": plan_to_document(routine.plan)}
        return {"proposed": shown}

    # ---------------------------------------------------------------------------------------------- routines

    async def _routines(self, params: Params, emit: _Emit, who: Principal) -> Any:
        person = principal_text(who)
        what = params.choice("what", ("list", "confirm", "forget"), "list")
        seen = await self._seen(who)
        if what == "list":
            agreed = await self._agreed(who)
            known = self._conversations.routines(person)
            return [
                {**_document(one, seen.home), "agreed_until_ms": agreed.get(_words(one), 0)} for one in known
            ]
        if what == "confirm":
            kept = self._conversations.confirm(person, params.text("id"))
            laid = await self._agreeing.lay(who, kept.routine.sentence, kept.routine.plan, seen.where)
            return {"ok": True, **_document(kept, seen.home), **_laid(laid)}
        kept = self._conversations.named(person, params.text("id"))
        # The yes first: if that cannot be ended now, nothing is forgotten, and forgetting can be tried again.
        ended = await self._agreeing.end(who, kept.routine.sentence)
        self._conversations.drop(person, kept.id)
        return {"ok": True, "forgotten": True, "agreement_ended": ended, **_document(kept, seen.home)}

    async def _agreed(self, who: Principal) -> dict[tuple[str, ...], int]:
        try:
            return await self._agreeing.agreed(who)
        except KindmeshError as error:
            log.info("nothing is known of what was agreed to", extra={"code": error.code})
            return {}

    async def _seen(self, who: Principal) -> Seen:
        """What there is, and where; who may not look at a home has what they learned told with ids."""
        try:
            return await self._asking.seen(self._checker(who))
        except AccessRefused:
            return Seen(Home(), {}, {})

    async def _persona(self, params: Params, emit: _Emit, who: Principal) -> Any:
        person, name = principal_text(who), params.text("name", "")
        if name:
            persona_named(name)
            self._conversations.choose(person, name)
        chosen = self._conversations.persona(person) or DEFAULT
        return {"ok": True, "persona": chosen, "personas": persona_names()}

    async def _forget(self, params: Params, emit: _Emit, who: Principal) -> Any:
        count = self._conversations.forget(self._conversation(params, who), principal_text(who))
        return {"ok": True, "forgotten": count}


def _quiet(event: Any) -> None:
    """Nobody follows."""


def _words(known: Kept) -> tuple[str, ...]:
    return plain_words(words_of(known.routine.sentence))


def _laid(laid: Laid) -> dict[str, Any]:
    """`request`: bytes that may be signed, so that it needs no further yes; `asked`: what is asked about even so."""
    return {"request": laid.request, "asked": list(laid.asked), "still_asked": laid.why}


def _document(known: Kept, home: Home) -> dict[str, Any]:
    return {
        "id": known.id,
        "sentence": known.routine.sentence,
        "state": known.routine.state,
        "why": known.routine.why,
        "does": plan_sentence(known.routine.plan, home),
        "plan": plan_to_document(known.routine.plan),
        "at_ms": known.at_ms,
    }


__all__ = ["ASKS_MAX", "LANGUAGES", "Desk"]
