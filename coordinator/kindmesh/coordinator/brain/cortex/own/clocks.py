"""Timers that the home has, started by their name: "start the pasta timer" runs for as long as it is set to."""

from __future__ import annotations

from typing import Any

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.own.lists import NOTE
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase, Sentences, at
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised


class Clocks:
    """See the module; a time that is said with it is for the home's own intents."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._sentences = Sentences(language, ("TimerByName",))

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        found = self._sentences.first(phrase.words)
        if found is None:
            return None
        timers = [one for one in phrase.situation.home.entities.values() if one.domain == "timer"]
        if "name" in found.slots:
            said = " ".join(word.low for word in found.slots["name"])
            fitting = [one for one in timers if said in self._names(one)]
        else:
            here = [one for one in timers if one.area and one.area == phrase.situation.area]
            fitting = here or timers
        if len(fitting) != 1 or not phrase.offers(NOTE):
            return None
        timer = fitting[0]
        if timer.state == "active":
            return phrase.understood(
                "TimerByName", text=phrase.reply("timer_runs", name=timer.name), entities=(timer.id,)
            )
        if timer.state != "paused" and not str(timer.attributes.get("duration", "")).strip("0: "):
            question = phrase.reply("how_long", name=timer.name)
            return phrase.understood("TimerByName", question=question, entities=(timer.id,))
        args: dict[str, Any] = {"service": "timer.start", "entities": [timer.id], "data": {}}
        values = {"name": timer.name, "entity": timer.id, "state": "active"}
        act = Act(NOTE, args, {"entities": at(phrase.plain)})
        return phrase.understood(
            "TimerByName", act, key="own.timer_started", values=values, entities=(timer.id,)
        )

    def _names(self, timer: Entity) -> set[str]:
        names = {name.lower() for name in (timer.name, *timer.aliases)}
        words = self._language.words.get("timer", ())
        return names | {" ".join(word for word in name.split() if word not in words) for name in names}


__all__ = ["Clocks"]
