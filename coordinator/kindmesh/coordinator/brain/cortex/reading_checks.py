"""What keeps a part of a sentence from being done: a "not", an "if", or a time that may have been meant for all of it.
And what is only said beside a command: "it is so loud"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kindmesh.coordinator.brain.cortex.background import Background
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Words
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.readings import Part, Reading
from kindmesh.coordinator.brain.cortex.terms import Recognised
from kindmesh.coordinator.brain.cortex.times import When

_SURE: Final = 0.4
"""What is less sure than this was said of something that is not here."""
_HEAVY: Final = frozenset({"home.access"})
"""What is never done at a time that the words leave open."""


def barred(words: Words, language: Language) -> bool:
    """Whether there is a "not" in it, or an "if"."""
    lower = [word.low for word in words]
    text = f" {' '.join(lower)} "
    for phrase in language.words.get("senses_not", ()):  # "I can not see a thing"
        text = text.replace(f" {phrase} ", " ")
    lower = text.split() or lower
    if lower[0] in language.conditions or any(word in language.negations for word in lower):
        return True
    return any(word in language.conditions[:6] for word in lower)


def idle(words: Words, phrase: Phrase, background: Background) -> bool:
    """Whether this only says how things are ("it is so loud"): it names nothing here, and has no "not" or "if"."""
    lower = [word.low for word in words]
    said = f" {' '.join(lower)} "
    if (
        barred(words, phrase.language)
        or background.wishes(lower)
        or not said.startswith(tuple(f" {one} " for one in phrase.language.words["idle"]))
    ):
        return False
    home = phrase.situation.home
    named = [name for one in home.entities.values() for name in (one.name, *one.aliases)]
    named += [name for one in home.areas.values() for name in (one.name, *one.aliases)]
    named += [name for one in home.floors.values() for name in (one.name, *one.aliases)]
    return not any(f" {name.lower()} " in said for name in named)


def checked(phrase: Phrase, parts: Sequence[Part], lead: When | None) -> Reading:
    """The parts; a question where what opens or unlocks now may have been meant for the time at the end."""
    done = any(part.recognised.acts for part in parts)
    lost = next((part.recognised for part in parts if done and _names_nothing(part.recognised)), None)
    if lost is not None:
        # One part is about something that is not here: then it is open what the others were meant for.
        return Reading(
            refusal=phrase.reply("part_not_understood", part=phrase.original(_words_at(phrase, lost)))
        )
    later = [part for part in parts if part.recognised.clause.delay_ms or part.recognised.clause.at_ms]
    heavy = [
        part for part in parts
        if part not in later and any(act.operation in _HEAVY for act in part.recognised.acts)
    ]  # fmt: skip
    if lead is None and heavy and later and parts[-1] in later and not parts[-1].after:
        question = phrase.reply("delay_which", first=heavy[0].recognised.clause.text)
        return Reading(tuple(parts), question=question)
    return Reading(tuple(parts))


def _names_nothing(one: Recognised) -> bool:
    """Whether nothing of the kind is here; "brighter, say fifty percent" is nothing to say aloud."""
    told = not one.acts and not one.question and bool(one.reply.text)
    return told and (one.score < _SURE or one.intent == "Say")


def _words_at(phrase: Phrase, one: Recognised) -> Words:
    return tuple(word for word in phrase.words if word.at in one.clause.words)


def where_named(about: Recognised) -> tuple[int, ...]:
    """The words by which a clause named what it is about; all of its words, where it does nothing itself."""
    named = [at for act in about.acts for at in act.words.get("entities", ())]
    return tuple(sorted({*named})) if named or about.acts else about.clause.words


__all__ = ["barred", "checked", "idle", "where_named"]
