"""Where the official grammar takes a sentence for something that it does not say.

It is wide in places: "all the lights off" passes for a question, "my room" always for the room where one is, a bare
number for a brightness, and whatever follows "play" for a title. In these cases its reading is not used, and the
household's own phrases decide.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import determiners, kinds, plain
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning
from kindmesh.coordinator.brain.cortex.intents.words import words

_GROUPED: Final = frozenset({"HassTurnOn", "HassTurnOff", "HassLightSet", "HassSetPosition"})
BEARABLE_MAX: Final = 30
"""Degrees (°C) that a bare number of a room can mean."""


def misread(official: Meaning, text: str, home: Home, language: str) -> bool:
    """Whether the official reading of a sentence is not to be used; see the module."""
    said = plain(text)
    if official.intent == "HassMediaSearchAndPlay":
        return _no_title(official, home, language)
    if official.intent == "HassGetState" and "?" not in text:
        first = said.split()[:1]
        if first and first[0] not in words(language)["grammar"]["question_words"]:
            return True
    if "area" not in official.slots and _room_called(said, home, language):
        return True
    if _all_ours(official, said, language):
        return True
    if _no_state(official, home, language) or _one_lamp(official, said, home, language):
        return True
    return _degrees(official, text, home)


def _all_ours(official: Meaning, said: str, language: str) -> bool:
    """ "All my lights" are those where it was said; the official grammar hears all of the home."""
    if official.intent not in _GROUPED:
        return False
    grammar = words(language)["grammar"]
    spoken = set(said.split())
    several = not spoken.isdisjoint({*grammar["every"], *grammar.get("both", ())})
    return (
        several
        and (not spoken.isdisjoint(grammar.get("ours", ())) or "both" in spoken)
        and not any(target.ids or target.areas or target.floors for target in official.targets)
    )


def _room_called(said: str, home: Home, language: str) -> bool:
    """Whether a room's own name begins like "my room" and was said."""
    for area in home.areas.values():
        for name in (area.name, *area.aliases):
            parts = plain(name).split()
            if len(parts) > 1 and parts[0] in determiners(language) and f" {plain(name)} " in f" {said} ":
                return True
    return False


def _no_title(official: Meaning, home: Home, language: str) -> bool:
    """ "Play chess with me" is no music, and "play her music box" is about a player."""
    query = plain(str(official.value("search_query", "")))
    said = f" {query} "
    if query and query.split()[0] in words(language)["grammar"].get("no_title", ()):
        return True
    if any(f" {word} " in said for word in words(language)["grammar"]["no_media"]):
        return True
    players = of_kind(home, ("media_player",), ())
    return any(f" {plain(name)} " in said for one in players for name in (one.name, *one.aliases))


def _no_state(official: Meaning, home: Home, language: str) -> bool:
    """ "Is Emma's phone charged" is not about Emma, and nothing here is "made of cheese"."""
    state = plain(str(official.value("state", "")))
    if official.intent != "HassGetState" or not state or "name" not in official.slots:
        return False
    raw = str(official.value("state", "")).strip().casefold()
    if raw.startswith(("'s ", "\u2019s ", "s ")):
        return True
    ids = official.targets[0].ids
    if not ids or any(one.partition(".")[0] in ("person", "sensor", "zone", "weather") for one in ids):
        return False
    states = {plain(one.state) for one in home.entities.values()}
    states |= {plain(name) for table in words(language).get("states", {}).values() for name in table.values()}
    return state not in states and state not in words(language).get("asked", {})


def _one_lamp(official: Meaning, said: str, home: Home, language: str) -> bool:
    """ "The lamp in the study" is the one that is called a lamp, where there is one, and not every light there."""
    target = official.targets[0] if official.targets else None
    if target is None or target.ids or target.domains != ("light",) or not (target.areas or target.floors):
        return False
    nouns = [noun for noun, kind in kinds(language).items() if kind.hint and not kind.many]
    hints = [kinds(language)[noun].hint for noun in nouns if f" {noun} " in f" {said} "]
    there = placed(home, of_kind(home, ("light",), ()), target.areas, target.floors)
    return any(
        hint in plain(name).split() for hint in hints for one in there for name in (one.name, *one.aliases)
    )


def said_as_pronoun(text: str, language: str) -> bool:
    """Whether the "one" of the words is no number: "the kitchen one"."""
    return plain(text).split()[-1:] == [words(language)["grammar"].get("pronoun_one", "")]


def _degrees(official: Meaning, text: str, home: Home) -> bool:
    if official.intent != "HassLightSet" or "brightness" not in official.slots or "name" in official.slots:
        return False
    rest = text.casefold()
    signs = ("%", "percent", "prozent", "bright", "hell", "light", "licht", "lamp")
    if official.slots["brightness"].value > BEARABLE_MAX or any(sign in rest for sign in signs):
        return False
    target = official.targets[0]
    return bool(placed(home, of_kind(home, ("climate",), ()), target.areas, target.floors))


def not_ours(text: str, home: Home, language: str) -> bool:
    """ "Your camera" is that of whoever is spoken to, not one of the home."""
    said = set(plain(text).split()) & set(words(language)["grammar"].get("not_ours", ()))
    if not said:
        return False
    names = [name for one in home.entities.values() for name in (one.name, *one.aliases)]
    names += [name for one in home.areas.values() for name in (one.name, *one.aliases)]
    return not any(said & set(plain(name).split()) for name in names)


def with_here(official: Meaning, text: str, language: str) -> Meaning:
    """With `here_said` where "here" was said in so many words, which the official grammar does not tell."""
    said = f" {plain(text)} "
    if not any(f" {plain(phrase)} " in said for phrase in words(language)["grammar"]["here"]):
        return official
    targets = tuple(msgspec.structs.replace(one, here_said=one.here) for one in official.targets)
    return msgspec.structs.replace(official, targets=targets)


__all__ = ["BEARABLE_MAX", "misread", "not_ours", "said_as_pronoun", "with_here"]
