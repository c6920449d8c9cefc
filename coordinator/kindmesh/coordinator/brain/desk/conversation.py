"""What was said lately, and what people thought of it: turns, sentences taken, feedback, routines, choices.

A conversation is a principal at a device, with an id of its own if whoever asks gives one. The desk keeps its newest
turns, so that "the other one" still means something after a restart. Every sentence that was taken keeps what it became
until it is answered, under the key it came with: asked again with that key, it is the same act.
A routine is a sentence and the plan it stands for. It begins as a proposal (a correction, or a model's plan that was
good), and counts only once the person confirmed it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

from kindmesh.coordinator.brain.cortex.terms import Turn, Understanding
from kindmesh.coordinator.brain.desk.judging import Why
from kindmesh.coordinator.brain.desk.keeping import NOTE_MAX, Keeping
from kindmesh.coordinator.brain.desk.veil import OPEN, Veil
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import InvalidInput, Malformed, UnknownJob
from kindmesh.protocol.ids import RANDOM_BYTES, format_time_id, new_id, parse_time_id
from kindmesh.protocol.plan import Plan
from kindmesh.protocol.policy import Answer

FRESH_MS: Final = 30 * 60 * 1000
"""Turns that are older are not what "it" means."""
_PERSONA: Final = b"persona"
_T = TypeVar("_T", bound=msgspec.Struct)


class Taken(msgspec.Struct, frozen=True):
    """A sentence that was taken: what it means, and the plan as it is run (None: there is nothing to do).
    `veil`: what whoever said it may not know; `modelled`: a language model planned it."""

    text: str
    understanding: Understanding
    plan: Plan | None = None
    verdict: Answer = "allow"
    now: tuple[str, ...] = ()
    where: dict[str, str] = {}
    reasons: tuple[Why, ...] = ()
    veil: Veil = OPEN
    modelled: bool = False


class Feedback(msgspec.Struct, frozen=True):
    """What a person thought of a reply: `meant` what they would have liked instead."""

    text: str
    reply: str
    good: bool
    meant: str = ""


class Routine(msgspec.Struct, frozen=True):
    """See the module. `why`: a correction, or a model's plan."""

    sentence: str
    plan: Plan
    state: Literal["proposed", "confirmed"] = "proposed"
    why: Literal["correction", "model"] = "correction"


class Kept(msgspec.Struct, frozen=True):
    """A routine with its id (text) and when it was written (UTC ms)."""

    id: str
    routine: Routine
    at_ms: int


class Conversations:
    """See the module."""

    def __init__(self, keeping: Keeping, clock: Clock, entropy: Entropy) -> None:
        self._keeping = keeping
        self._clock = clock
        self._entropy = entropy

    # ------------------------------------------------------------------------------------------------- turns

    def turns(self, conversation: str) -> tuple[Turn, ...]:
        """The newest turns that are fresh, the latest last."""
        after_ms = self._clock.now_ms() - FRESH_MS
        notes = [note for note in self._keeping.all("turn", conversation) if note.at_ms >= after_ms]
        return tuple(turn for turn in (_read(Turn, note.data) for note in notes) if turn is not None)

    def last(self, conversation: str) -> Turn | None:
        """The latest turn, however old."""
        notes = self._keeping.all("turn", conversation)
        return _read(Turn, notes[-1].data) if notes else None

    def remember(self, conversation: str, turn: Turn) -> None:
        """One more turn."""
        self._keeping.put("turn", conversation, self._new_id(), encode(turn), self._clock.now_ms())

    def forget(self, conversation: str, person: str) -> int:
        """Forget what was said in a conversation, and what was thought of it; how many notes there were."""
        return self._keeping.forget("turn", conversation) + sum(
            self._keeping.forget(kind, person) for kind in ("ask", "feedback")
        )

    # ------------------------------------------------------------------------------------------------- taken

    def taken(self, person: str, key: str) -> Taken | None:
        """What a sentence with that key became."""
        data = self._keeping.get("ask", person, _hashed(key))
        return None if data is None else _read(Taken, data)

    def take(self, person: str, key: str, taken: Taken) -> None:
        """Before anything is begun: what this sentence became."""
        self._keeping.put("ask", person, _hashed(key), encode(taken), self._clock.now_ms())

    def modelled(self, person: str, text: str) -> Plan | None:
        """What a language model last made of exactly this sentence, of those that are still kept."""
        found = (_read(Taken, note.data) for note in reversed(self._keeping.all("ask", person)))
        return next(
            (
                one.understanding.plan
                for one in found
                if one is not None and one.modelled and one.text == text
            ),
            None,
        )

    # ---------------------------------------------------------------------------------------------- feedback

    def judge(self, person: str, feedback: Feedback) -> None:
        """Keep what a person thought."""
        self._keeping.put("feedback", person, self._new_id(), encode(feedback), self._clock.now_ms())

    def judged(self, person: str) -> list[Feedback]:
        """What a person thought, the oldest first."""
        found = (_read(Feedback, note.data) for note in self._keeping.all("feedback", person))
        return [one for one in found if one is not None]

    # ---------------------------------------------------------------------------------------------- routines

    def routines(self, person: str) -> list[Kept]:
        """A person's routines, the oldest first."""
        found = []
        for note in self._keeping.all("routine", person):
            routine = _read(Routine, note.data)
            if routine is not None:
                found.append(Kept(format_time_id(note.note), routine, note.at_ms))
        return found

    def propose(self, person: str, routine: Routine) -> str:
        """Keep a proposal, in place of another one for the same sentence; its id."""
        for known in self.routines(person):
            if known.routine.sentence.casefold() == routine.sentence.casefold():
                self._keeping.remove("routine", person, _id(known))
        made = self._new_id()
        self._keeping.put("routine", person, made, encode(routine), self._clock.now_ms())
        return format_time_id(made)

    def confirm(self, person: str, text: str) -> Kept:
        """The person says yes: from now on the sentence means the plan.

        Raises:
            UnknownJob, InvalidInput: no routine, or several, have an id that begins so.
        """
        known = self.named(person, text)
        routine = msgspec.structs.replace(known.routine, state="confirmed")
        self._keeping.put("routine", person, _id(known), encode(routine), known.at_ms)
        return msgspec.structs.replace(known, routine=routine)

    def drop(self, person: str, text: str) -> Kept:
        """Forget a routine. Raises as `confirm`."""
        known = self.named(person, text)
        self._keeping.remove("routine", person, _id(known))
        return known

    def named(self, person: str, text: str) -> Kept:
        """The routine with an id that begins so. Raises as `confirm`."""
        wanted = text.strip().lower()
        found = [known for known in self.routines(person) if wanted and known.id.startswith(wanted)]
        if not found:
            raise UnknownJob("there is no such routine", hint="kindmesh ask routines lists them.")
        if len(found) > 1:
            some = ", ".join(known.id for known in found[:3])
            raise InvalidInput("several routines begin so", field="id", hint=f"Like {some}.")
        return found[0]

    # ----------------------------------------------------------------------------------------------- choices

    def persona(self, person: str) -> str:
        """The persona that a person chose, or empty."""
        data = self._keeping.get("choice", person, _PERSONA)
        return "" if data is None else data.decode("utf-8", "replace")

    def choose(self, person: str, persona: str) -> None:
        """A person chooses a persona."""
        self._keeping.put("choice", person, _PERSONA, persona.encode(), self._clock.now_ms())

    def _new_id(self) -> bytes:
        return new_id(self._clock.now_ms(), self._entropy.token(RANDOM_BYTES))


def _hashed(key: str) -> bytes:
    return sha256(key.encode())[:16]


def _id(known: Kept) -> bytes:
    return parse_time_id(known.id)


def _read(kind: type[_T], data: bytes) -> _T | None:
    try:
        return decode(kind, data, limit=NOTE_MAX)
    except Malformed:
        # Written by another version: nothing is remembered, and nothing breaks.
        return None


__all__ = ["Conversations", "Feedback", "Kept", "Routine", "Taken"]
