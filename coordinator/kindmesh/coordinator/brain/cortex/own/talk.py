"""What is said to the assistant itself: stop, emergencies, help, greetings, "say that again"."""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase, Sentences
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised

SPEAK: Final = "speech.say"
_REPLIES: Final = {
    "Help": "help", "Greeting": "greeting", "Goodbye": "goodbye", "Thanks": "thanks", "WhoAreYou": "who",
    "Yes": "yes_what", "No": "no_fine",
}  # fmt: skip


class Urgent:
    """`stop`, in its exact words, and calls for help. Both come before everything else, and neither ever waits."""

    def __init__(self, language: Language) -> None:
        self._stop = language.words["stop"]
        self._emergency = Sentences(language, ("Emergency",))

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        if " ".join(word.low for word in phrase.plain) in self._stop:
            return phrase.understood("Stop", text=phrase.reply("stop"))
        if self._emergency.first(phrase.words) is None:
            return None
        if not phrase.offers(SPEAK):
            return phrase.understood("Emergency", text=phrase.reply("emergency_none"))
        loud = Act(SPEAK, {"text": phrase.reply("emergency_loud")})
        return phrase.understood("Emergency", loud, text=phrase.reply("emergency_said"))


class Talk:
    """Small talk, and help."""

    def __init__(self, language: Language) -> None:
        self._sentences = Sentences(language, ("Repeat", *_REPLIES))

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        found = self._sentences.first(phrase.words)
        if found is None:
            return None
        if found.intent == "Repeat":
            last = next((turn.reply for turn in reversed(phrase.situation.turns) if turn.reply), "")
            return phrase.understood("Repeat", text=last or phrase.reply("repeat_none"))
        if found.intent == "Goodbye" and _named(phrase):
            return None
        said = "no_put_off" if found.intent == "No" and _put_off(phrase) else _REPLIES[found.intent]
        return phrase.understood(found.intent, text=phrase.reply(said))


def _put_off(phrase: Phrase) -> bool:
    """Whether something that was said last still waits for its time: a "never mind" does not reach it."""
    turn, now_ms = phrase.situation.turns[-1] if phrase.situation.turns else None, phrase.situation.now_ms
    return turn is not None and any(
        part.acts and (part.clause.at_ms or turn.at_ms + part.clause.delay_ms) > now_ms
        for part in turn.recognised
    )


def _named(phrase: Phrase) -> bool:
    """Whether something here is called like this: "good night" may be a scene."""
    text = " ".join(word.low for word in phrase.plain)
    return any(
        text in (one.name.lower(), *(alias.lower() for alias in one.aliases))
        for one in phrase.situation.home.entities.values()
    )


__all__ = ["SPEAK", "Talk", "Urgent"]
