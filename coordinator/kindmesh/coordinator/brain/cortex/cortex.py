"""The pipeline: from what a person said to a typed plan, without a model.

    routines -> stop -> own grammar -> home intents -> own grammar, what is left -> parts of a compound sentence

Rules: the whole sentence is tried before any of its parts; all parts are understood, or nothing is done; what was said
with "not" or "if" is never done; two readings of equal rank that do different things are a question. What nobody
understands gets a short honest reply. `understand` is a pure function of the text and the situation.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.answers import Answers
from kindmesh.coordinator.brain.cortex.language import language as language_of
from kindmesh.coordinator.brain.cortex.normalise import normalise, swallowed
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.reading import Reader, Reading
from kindmesh.coordinator.brain.cortex.routines import Routine, Routines
from kindmesh.coordinator.brain.cortex.steps import Ordered, plan_of, spanned, too_far
from kindmesh.coordinator.brain.cortex.terms import (
    Clause,
    Recognised,
    Recogniser,
    Reply,
    Situation,
    Understanding,
)


class Cortex:
    """Understands one language. `routines` are what it has learned; `home` recognises what is about the home (default:
    `intents.HomeIntents`, which needs `pip install 'kindmesh[brain]'`).

    Raises:
        InvalidInput: there is no such language, or a routine is wrong.
    """

    def __init__(
        self, language: str = "en", routines: Iterable[Routine] = (), home: Recogniser | None = None
    ) -> None:
        self.language = language_of(language)
        self._routines = Routines(routines)
        self._reader = Reader(self.language, home if home is not None else _home_intents(self.language.code))
        self._answers = Answers(self.language)

    def understand(self, text: str, situation: Situation) -> Understanding:
        """What `text` means in this situation. It never acts.

        Raises:
            InvalidInput: the text is too long, or the situation's zone is none.
        """
        words = normalise(text, self.language)
        phrase = Phrase(words, text, situation, self.language)
        if not words:
            return Understanding(understood=False, reply=phrase.reply("nothing_said"))
        learned = self._routines.match(words, text, situation, self.language)
        if learned is not None:
            clause = Clause(" ".join(word.text for word in words), tuple(word.at for word in words))
            known = Recognised(
                intent="Routine", slots={"routine": learned.routine.id, **learned.slots}, clause=clause,
                reply=Reply(key="own.done"),
            )  # fmt: skip
            plan = msgspec.structs.replace(learned.plan, name=learned.plan.name or text[:200])
            return Understanding(understood=True, recognised=(known,), plan=plan)
        return self._understanding(self._reader.read(phrase), phrase)

    def answer(self, understanding: Understanding, home_after: Home, now_ms: int) -> str:
        """What to say when it is done, from the home as it is then. It tells states, never intentions."""
        return self._answers.answer(understanding, home_after, now_ms)

    def _understanding(self, reading: Reading, phrase: Phrase) -> Understanding:
        now_ms = phrase.situation.now_ms
        recognised = tuple(part.recognised for part in reading.parts)
        if reading.refusal:
            return Understanding(understood=False, recognised=recognised, reply=reading.refusal)
        question = reading.question or next((one.question for one in recognised if one.question), "")
        if question:
            return Understanding(understood=True, recognised=recognised, question=question, reply=question)
        late = [one for one in recognised if too_far(one.clause.delay_ms, one.clause.at_ms, now_ms)]
        if late:
            return Understanding(understood=True, recognised=recognised, reply=phrase.reply("too_far"))
        more = swallowed(phrase.text, self.language)
        clauses = [Ordered(spanned(part.recognised, more), part.after) for part in reading.parts]
        plan = plan_of(phrase.text, clauses)
        said = "" if plan is not None else self._answers.at_once(recognised, phrase.situation)
        return Understanding(understood=True, recognised=recognised, plan=plan, reply=said)


def _home_intents(code: str) -> Recogniser:
    made: Recogniser = importlib.import_module("kindmesh.coordinator.brain.cortex.intents").HomeIntents(code)
    return made


__all__ = ["Cortex"]
