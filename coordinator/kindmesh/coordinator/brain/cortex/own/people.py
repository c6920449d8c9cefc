"""Messages to people, announcements, what is read aloud, and what is remembered.

Who may be sent something comes from the situation's `people`, never from the sentence alone. What no device present can
do is answered honestly.
"""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Words
from kindmesh.coordinator.brain.cortex.own.phrase import Found, Phrase, Sentences, at
from kindmesh.coordinator.brain.cortex.own.talk import SPEAK
from kindmesh.coordinator.brain.cortex.split import has_verb
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised

SEND: Final = "message.send"
NOTE: Final = "memory.note"
FIND: Final = "memory.find"
FORGET: Final = "memory.forget"
APPEND: Final = "notes.append"
NOTES: Final = "notes.list"
READ: Final = "vision.read_text"


_NAME_MAX: Final = 4
"""Words of a person's name."""


class Messages:
    """Messages and announcements."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._sentences = Sentences(language, ("Say", "Message", "MessageBare", "Read", "Game"))

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        for found in self._sentences.all(phrase.words):
            made = self._found(found, phrase)
            if made is not None:
                return made
        return None

    def _found(self, found: Found, phrase: Phrase) -> Recognised | None:
        if found.intent == "Game":
            return phrase.understood("Game", text=phrase.reply("no_game"))
        if found.intent == "Read":
            if not phrase.offers(READ):
                return phrase.nobody_can("Read")
            return phrase.understood("Read", question=phrase.reply("no_picture"))
        if found.intent == "Say":
            return self._say(found, phrase)
        who, text = self._divided(found, phrase)
        name = self._person(who, phrase)
        if name is None:
            return None
        if not name:
            # "Tell a joke" is about nobody: only what is plainly a message says that a person is not known.
            plain = any(word.low in self._language.words["message"] for word in phrase.words)
            said = phrase.reply("who_unknown", who=phrase.original(who))
            return phrase.understood(found.intent, text=said) if plain and who else None
        if not phrase.offers(SEND):
            return phrase.nobody_can(found.intent)
        if found.intent == "MessageBare":
            return phrase.understood(
                "Message", question=phrase.reply("what_message", who=phrase.original(who))
            )
        act = Act(SEND, {"to": name, "text": phrase.original(text)}, {"to": at(who), "text": at(text)})
        return phrase.understood(
            "Message", act, key="own.message", values={"who": phrase.original(who)}, slots={"to": name}
        )

    def _divided(self, found: Found, phrase: Phrase) -> tuple[Words, Words]:
        """To whom, and what: a name may have several words, so the longest that is known counts."""
        who, text = found.slots.get("who", ()), found.slots.get("text", ())
        if not text:
            return who, text
        words = (*who, *text)
        for length in range(min(len(words) - 1, _NAME_MAX), 0, -1):
            if self._person(words[:length], phrase):
                rest = words[length:]
                that = len(rest) > 1 and rest[0].low in self._language.words["that"]
                return words[:length], rest[1:] if that else rest
        return who, text

    def _person(self, who: Words, phrase: Phrase) -> str | None:
        """The id of a person, empty when nobody is called so, None when nobody else is meant ("tell me")."""
        words = [word.low for word in who]
        if words and words[0] in self._language.words["me"]:
            return None
        bare = self._bare(words)
        for name, known in phrase.situation.people.items():
            if self._bare(name.lower().split()) == bare:
                return known
        return ""

    def _bare(self, words: list[str]) -> list[str]:
        return words[1:] if len(words) > 1 and words[0] in self._language.articles else words

    def _say(self, found: Found, phrase: Phrase) -> Recognised | None:
        text = found.slots["text"]
        if not phrase.offers(SPEAK):
            return phrase.nobody_can("Say")
        if "area" in found.slots:
            name = " ".join(word.low for word in found.slots["area"])
            areas = phrase.situation.home.areas.values()
            place = next(
                (one for one in areas if name in (one.name.lower(), *(a.lower() for a in one.aliases))), None
            )
            if place is None:
                return None
            if place.id != phrase.situation.area:
                return phrase.understood("Say", text=phrase.reply("no_room_speech"))
        act = Act(SPEAK, {"text": phrase.original(text)}, {"text": at(text)})
        return phrase.understood("Say", act, key="own.said")


class Memory:
    """What is written down and found again, and where things are."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._sentences = Sentences(language, ("Remember", "Recall", "Forget", "Where"))

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        found = self._sentences.first(phrase.words)
        if found is None:
            return None
        thing = found.slots.get("thing", ())
        if "place" in found.slots and has_verb(found.slots["place"], self._language):
            # "I left the iron on, turn it off" is no note about where the iron is.
            return None
        if found.intent == "Remember":
            return self._remember(found, phrase)
        if found.intent == "Recall" and not thing:
            act = Act(NOTES, {})
            return (
                phrase.understood("Recall", act, key="own.found")
                if phrase.offers(NOTES)
                else phrase.nobody_can("Recall")
            )
        if found.intent == "Forget":
            if not phrase.offers(FORGET):
                return phrase.nobody_can("Forget")
            return phrase.understood(
                "Forget", Act(FORGET, {"about": phrase.original(thing)}, {"about": at(thing)})
            )
        if not phrase.offers(FIND):
            if found.intent == "Where" and not self._owned(phrase):
                return None
            return phrase.understood(found.intent, text=phrase.reply("no_memory"))
        act = Act(FIND, {"query": phrase.original(thing)}, {"query": at(thing)})
        return phrase.understood(found.intent, act, key="own.found")

    def _owned(self, phrase: Phrase) -> bool:
        """Whether it is about something of somebody here ("my keys"), and not about the world."""
        return any(word.low in self._language.words["mine"] for word in phrase.words)

    def _remember(self, found: Found, phrase: Phrase) -> Recognised:
        text: Words = found.slots.get("text", ()) or phrase.plain
        operation = next((one for one in (NOTE, APPEND) if phrase.offers(one)), "")
        if not operation:
            return phrase.nobody_can("Remember")
        act = Act(operation, {"text": phrase.original(text)}, {"text": at(text)})
        return phrase.understood("Remember", act, key="own.noted")


__all__ = ["APPEND", "FIND", "FORGET", "NOTE", "NOTES", "READ", "SEND", "Memory", "Messages"]
