"""Where the official grammar takes a sentence for something that it does not say.

It is wide in places: "all the lights off" passes for a question, "my room" always for the room where one is, a bare
number for a brightness, and whatever follows "play" for a title. In these cases its reading is not used, and the
household's own phrases decide.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.book import determiners, plain
from kindmesh.coordinator.brain.cortex.intents.household import of_kind, placed
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning
from kindmesh.coordinator.brain.cortex.intents.words import words

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
    return _degrees(official, text, home)


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
    said = f" {plain(str(official.value('search_query', '')))} "
    if any(f" {word} " in said for word in words(language)["grammar"]["no_media"]):
        return True
    players = of_kind(home, ("media_player",), ())
    return any(f" {plain(name)} " in said for one in players for name in (one.name, *one.aliases))


def _degrees(official: Meaning, text: str, home: Home) -> bool:
    if official.intent != "HassLightSet" or "brightness" not in official.slots or "name" in official.slots:
        return False
    rest = text.casefold()
    signs = ("%", "percent", "prozent", "bright", "hell", "light", "licht", "lamp")
    if official.slots["brightness"].value > BEARABLE_MAX or any(sign in rest for sign in signs):
        return False
    target = official.targets[0]
    return bool(placed(home, of_kind(home, ("climate",), ()), target.areas, target.floors))


def with_here(official: Meaning, text: str, language: str) -> Meaning:
    """With `here_said` where "here" was said in so many words, which the official grammar does not tell."""
    said = f" {plain(text)} "
    if not any(f" {plain(phrase)} " in said for phrase in words(language)["grammar"]["here"]):
        return official
    targets = tuple(msgspec.structs.replace(one, here_said=one.here) for one in official.targets)
    return msgspec.structs.replace(official, targets=targets)


__all__ = ["BEARABLE_MAX", "misread", "with_here"]
