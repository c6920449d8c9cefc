"""One sentence on its way from a meaning to what is done: entities from the home, services from a table.

It ends in acts, in an answer, in a question when more than one thing can be meant, or in an honest word that nothing of
the kind is here. What would let somebody in is done only to one thing that was named whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.intents.acts import DOMAINS, acts_of, calls_for
from kindmesh.coordinator.brain.cortex.intents.book import plain
from kindmesh.coordinator.brain.cortex.intents.doubts import said_as_pronoun
from kindmesh.coordinator.brain.cortex.intents.household import (
    class_of,
    guarded,
    known,
    number,
    of_kind,
    placed,
)
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target, heard
from kindmesh.coordinator.brain.cortex.intents.nearer import nearer
from kindmesh.coordinator.brain.cortex.intents.official import complaints
from kindmesh.coordinator.brain.cortex.intents.preferred import PREFERRED
from kindmesh.coordinator.brain.cortex.intents.resolve import CHOICES_MAX, Found, find, labels
from kindmesh.coordinator.brain.cortex.intents.templates import render
from kindmesh.coordinator.brain.cortex.intents.timers import (
    TIMER_INTENTS,
    called_at,
    clock_text,
    new_timer,
    seconds_said,
    timers_meant,
    words_said,
)
from kindmesh.coordinator.brain.cortex.intents.truths import asked_of
from kindmesh.coordinator.brain.cortex.intents.words import joined, say, words
from kindmesh.coordinator.brain.cortex.terms import Act, Clause, Recognised, Reply, Situation, words_of

SPEAK: Final = "speech.say"
_CLEANING: Final = frozenset({"HassVacuumCleanArea", "HassVacuumStart"})
_TALK: Final = frozenset({"HassRespond", "HassNevermind", "HassGetCurrentTime", "HassGetCurrentDate"})
_READING: Final = frozenset(
    {"HassGetState", "HassClimateGetTemperature", "HassGetWeather", "HassTimerStatus"}
)
"""Intents that only tell: what was nearly heard is good enough for them."""
_OPENING: Final = frozenset({"cover.open_cover", "cover.set_cover_position", "cover.toggle", "lock.unlock",
                             "lock.open", "valve.open_valve", "valve.set_valve_position",
                             "alarm_control_panel.alarm_disarm"})  # fmt: skip
MISSING_SCORE: Final = 0.2
"""How sure it is what was meant, when nothing of the kind is here."""


class SentenceReader(msgspec.Struct, frozen=True):
    """One sentence on its way from meaning to acts."""

    language: str
    clause: Clause
    situation: Situation
    meaning: Meaning
    recognise: Callable[[Clause, Situation], Recognised | None]

    def understand(self) -> Recognised | None:
        """See `HomeIntents.recognise`."""
        meaning = self.meaning
        if meaning.value("brightness") == 1 and said_as_pronoun(self.clause.text, self.language):
            return None
        if meaning.doubt and meaning.intent not in _READING:
            asked = self._asked(say(self.language, "did_you_mean", {"name": meaning.doubt}))
            ids = tuple(one for target in meaning.targets for one in target.ids)
            return msgspec.structs.replace(asked, entities=ids)
        if meaning.intent in _TALK:
            return self._recognised((), ())
        if meaning.intent == "HassBroadcast":
            return self._broadcast()
        if meaning.intent in TIMER_INTENTS:
            return self._timer()
        if meaning.intent == "HassGetState":
            return self._query()
        if meaning.intent == "HassClimateGetTemperature":
            return self._temperature()
        if meaning.intent == "HassGetWeather":
            return self._weather()
        return self._action()

    def _action(self) -> Recognised | None:
        meaning, home = self.meaning, self.situation.home
        entities: list[Entity] = []
        for target in meaning.targets or (Target(here=True),):
            found = self._find(target)
            if found.where:
                return self._asked(say(self.language, "which_room"))
            if found.choice:
                return self._choose(found.choice)
            if found.missing:
                return self._missing(found.missing)
            entities += [one for one in found.entities if one not in entities]
        named = any(target.ids for target in meaning.targets)
        calls = calls_for(self._completed(), tuple(entities), home, named)
        if not calls:
            return self._told(say(self.language, "nothing_able"))
        for call in calls:
            if call.service in _OPENING:
                opened = tuple(one for one in call.entities if guarded(one))
                loose = any(target.loose for target in meaning.targets)
                if len(opened) > 1 or (opened and loose):
                    return self._choose(opened)
            refused = self._beyond(call.service, call.entities, call.data)
            if refused:
                return self._told(refused)
        acts = acts_of(calls, meaning.targets, self.clause, home)
        if not acts:
            return self._told(say(self.language, "nothing_able"))
        touched = tuple(dict.fromkeys(one for act in acts for one in act.args["entities"]))
        return self._recognised(acts, touched)

    def _find(self, target: Target) -> Found:
        domains = DOMAINS.get(self.meaning.intent, ())
        prefer = PREFERRED.get(self.meaning.intent, ())
        if not prefer and target.domains == ("media_player",) and target.one:
            prefer = PREFERRED["HassMediaStop"] if self.meaning.intent == "HassTurnOff" else ()
        if self.meaning.intent.startswith(("HassShoppingList", "HassList")):
            return self._list(target)
        if self.meaning.intent in _CLEANING and not target.ids:
            target = msgspec.structs.replace(target, areas=(), floors=(), here=False, one=True)
        if domains == ("media_player",) and target.here:
            target = msgspec.structs.replace(target, one=True)
        return find(
            self.situation.home,
            nearer(target, self.clause, self.situation, self.language),
            domains,
            self.situation.area,
            prefer,
        )

    def _completed(self) -> Meaning:
        """With the ids of the area to clean, which are an argument and not a place to look for a vacuum."""
        if self.meaning.intent not in _CLEANING:
            return self.meaning
        if "area_ids" in self.meaning.slots:
            return self.meaning
        said = [area for target in self.meaning.targets for area in target.areas]
        floors = {floor for target in self.meaning.targets for floor in target.floors}
        said += [one.id for one in self.situation.home.areas.values() if one.floor in floors]
        if not said and self.meaning.intent == "HassVacuumCleanArea" and self.situation.area:
            said.append(self.situation.area)
        words = tuple(
            word for key in ("area", "floor") for word in self.meaning.slots.get(key, Slot("")).words
        )
        place = Slot(tuple(dict.fromkeys(said)), words=words)
        return msgspec.structs.replace(self.meaning, slots={**self.meaning.slots, "area_ids": place})

    def _list(self, target: Target) -> Found:
        home = self.situation.home
        if target.ids:
            return find(home, target, ("todo",), self.situation.area)
        pool = of_kind(home, ("todo",), ())
        shopping = tuple(
            one for one in pool if one.id == "todo.shopping_list" or "shopping" in one.name.casefold()
        )
        if len(shopping) == 1 or len(pool) == 1:
            return Found(shopping if len(shopping) == 1 else pool)
        return Found(choice=shopping or pool) if pool else Found(missing="no_domain")

    def _beyond(self, service: str, entities: tuple[Entity, ...], data: Mapping[str, Any]) -> str:
        wanted = number(data.get("temperature"))
        if service != "climate.set_temperature" or wanted is None:
            return ""
        for one in entities:
            low, high = number(one.attributes.get("min_temp")), number(one.attributes.get("max_temp"))
            if (low is not None and wanted < low) or (high is not None and wanted > high):
                return say(self.language, "out_of_range", {
                    "name": one.name, "low": f"{low:g}" if low is not None else "?",
                    "high": f"{high:g}" if high is not None else "?",
                })  # fmt: skip
        return ""

    def _query(self) -> Recognised | None:
        meaning = self.meaning
        wanted = str(meaning.value("state", ""))
        entities: list[Entity] = []
        for target in meaning.targets:
            if "person" in target.domains and not self._is_place(wanted):
                return None
            found = self._find_asked(target, wanted)
            if found.missing:
                return self._missing(found.missing)
            entities += found.choice or found.entities
        ids = tuple(dict.fromkeys(one.id for one in entities))
        if meaning.response == "truth":
            ids = asked_of(self.situation.home, wanted, ids)
            if not ids:
                return None
        return self._recognised((), ids, {"state": wanted})

    def _find_asked(self, target: Target, wanted: str) -> Found:
        home, area = self.situation.home, self.situation.area
        domains = target.domains
        if target.classes and "cover" in domains:
            sensors = tuple(dict.fromkeys(target.classes))
            target = msgspec.structs.replace(target, domains=("cover", "binary_sensor"), classes=sensors)
        if target.ids:
            pool = tuple(home.entities[one] for one in target.ids if one in home.entities)
            there = placed(home, pool, target.areas, target.floors)
            pool = there or pool
            near = placed(home, pool, (area,), ()) if area else ()
            return Found(near if len(near) == 1 else pool)
        return find(home, target, domains, area)

    def _is_place(self, wanted: str) -> bool:
        said = wanted.casefold()
        home = self.situation.home
        places = {
            "home",
            "not_home",
            "away",
            *(one.state.casefold() for one in of_kind(home, ("person",), ())),
        }
        places |= {one.name.casefold() for one in of_kind(home, ("zone",), ())}
        return said in places

    def _temperature(self) -> Recognised | None:
        home, area = self.situation.home, self.situation.area
        target = self.meaning.targets[0] if self.meaning.targets else Target(here=True)
        if target.ids:
            pool = tuple(home.entities[one] for one in target.ids if one in home.entities)
            return self._recognised((), tuple(one.id for one in pool))
        pool = tuple(one for one in home.entities.values() if _measures(one))
        there = placed(home, pool, target.areas, ()) if target.areas else ()
        outside = None if there else self._outside(pool)
        if outside is not None:
            return outside
        if target.areas or target.floors:
            pool = placed(home, pool, target.areas, target.floors)
        elif area:
            pool = placed(home, pool, (area,), ()) or pool
        climates = tuple(one for one in pool if one.domain == "climate")
        sensors = tuple(one for one in pool if one.domain == "sensor")
        pool = climates or sensors
        if not pool:
            return self._told(say(self.language, "no_temperature"))
        return self._recognised((), tuple(one.id for one in pool))

    def _outside(self, pool: tuple[Entity, ...]) -> Recognised | None:
        """The temperature outside: of a sensor that is called so, else of the weather."""
        names = words(self.language)["grammar"]["outside"]
        if not set(plain(self.clause.text).split()) & set(names):
            return None
        found = tuple(one.id for one in pool if one.domain == "sensor"
                      and set(plain(" ".join((one.name, *one.aliases))).split()) & set(names))  # fmt: skip
        if not found:
            gardens = {*words(self.language)["grammar"]["gardens"]}
            areas = {area.id for area in self.situation.home.areas.values()
                     if {plain(area.name), *map(plain, area.aliases)} & gardens}  # fmt: skip
            found = tuple(one.id for one in pool if one.domain == "sensor" and one.area in areas)
        if found:
            return self._recognised((), found)
        weather = of_kind(self.situation.home, ("weather",), ())
        if len(weather) == 1:
            seen = msgspec.structs.replace(self, meaning=Meaning("HassGetWeather", targets=(Target(),)))
            return seen.understand()
        return None

    def _weather(self) -> Recognised:
        target = self.meaning.targets[0] if self.meaning.targets else Target()
        pool = of_kind(self.situation.home, ("weather",), ())
        ids = target.ids or tuple(one.id for one in pool[:1])
        return self._recognised((), ids)

    def _broadcast(self) -> Recognised:
        message = self.meaning.slots["message"]
        if SPEAK not in self.situation.operations:
            return self._told(say(self.language, "nothing_to_say_with"))
        act = Act(SPEAK, {"text": str(message.value)}, {"text": heard(self.clause, message.words)})
        return self._recognised((act,), ())

    def _timer(self) -> Recognised | None:
        meaning, home = self.meaning, self.situation.home
        if meaning.intent == "HassStartTimer":
            return self._start_timer()
        pool = timers_meant(home, meaning)
        ids = tuple(one.id for one in pool)
        if meaning.intent == "HassTimerStatus":
            return self._recognised((), ids)
        if meaning.intent == "HassCancelAllTimers":
            return self._recognised(self._timer_act("timer.cancel", ids, {}, {}) if ids else (), ids)
        if not pool:
            return self._told(say(self.language, "no_timer"))
        if len(pool) > 1:
            there = placed(home, pool, (self.situation.area,), ()) if self.situation.area else ()
            if len(there) != 1:
                return self._asked(self._which("which_timer", pool))
            pool, ids = there, (there[0].id,)
        service = {"HassCancelTimer": "timer.cancel", "HassPauseTimer": "timer.pause",
                   "HassUnpauseTimer": "timer.start"}.get(meaning.intent, "timer.change")  # fmt: skip
        data: dict[str, Any] = {}
        said: dict[str, tuple[int, ...]] = {}
        if service == "timer.change":
            sign = "-" if meaning.intent == "HassDecreaseTimer" else ""
            data["duration"] = sign + clock_text(seconds_said(meaning))
            said["data.duration"] = self._duration_words()
        said["entities"] = called_at(meaning, self.clause, pool)
        return self._recognised(self._timer_act(service, ids, data, said), ids)

    def _start_timer(self) -> Recognised | None:
        meaning = self.meaning
        seconds = seconds_said(meaning)
        command = meaning.slots.get("conversation_command")
        if seconds <= 0:
            return None
        if command is not None:
            return self._delayed(command, seconds)
        name = meaning.slots.get("name")
        areas = meaning.targets[0].areas if meaning.targets else ()
        area = self.situation.home.areas.get(areas[0] if areas else self.situation.area)
        called = str(name.value).strip() if name is not None else ""
        timer = new_timer(self.situation.home, called, area, placed=bool(areas))
        said = {
            "data.duration": self._duration_words(),
            "entities": called_at(meaning, self.clause, (timer,)),
        }
        data: dict[str, Any] = {"duration": clock_text(seconds)}
        if name is not None and timer.id not in self.situation.home.entities:
            data["name"] = timer.name
            said["data.name"] = heard(self.clause, name.words)
        return self._recognised(self._timer_act("timer.start", (timer.id,), data, said), (timer.id,))

    def _duration_words(self) -> tuple[int, ...]:
        """Where the duration was said, each number with its unit: "five" alone says no five minutes."""
        table = words(self.language)["durations"]
        spoken = [word.strip(",.;!?").casefold() for word in words_of(self.clause.text)]
        found = set(words_said(self.meaning))
        found |= {at + 1 for at in found if at + 1 < len(spoken) and spoken[at + 1] in table["units"]}
        between = {*table["and"], *table["of"]}
        for first, second in pairwise(sorted(found)):
            if all(spoken[at] in between for at in range(first + 1, second)):
                found.update(range(first + 1, second))
        return heard(self.clause, found)

    def _delayed(self, command: Slot, seconds: int) -> Recognised | None:
        """ "Turn off the lights in ten minutes": what the command means, in a clause that says to wait first."""
        inner = self.recognise(Clause(str(command.value), heard(self.clause, command.words)), self.situation)
        if inner is None or inner.question or not inner.acts:
            return inner  # nothing to wait for
        later = msgspec.structs.replace(self.clause, delay_ms=self.clause.delay_ms + seconds * 1000)
        whole = self._recognised(inner.acts, inner.entities)
        return msgspec.structs.replace(whole, clause=later)

    def _timer_act(
        self, service: str, ids: tuple[str, ...], data: dict[str, Any], said: dict[str, tuple[int, ...]]
    ) -> tuple[Act, ...]:
        named = heard(self.clause, [word for target in self.meaning.targets for word in target.words])
        words = {key: at for key, at in {"entities": named, **said}.items() if at}
        return (Act("home.note", {"service": service, "entities": list(ids), "data": data}, words),)

    def _recognised(
        self, acts: tuple[Act, ...], entities: tuple[str, ...], more: Mapping[str, Any] | None = None
    ) -> Recognised:
        meaning = self.meaning
        slots = {key: slot.value for key, slot in meaning.slots.items() if key != "area_ids"}
        values = {
            "language": self.language,
            "slots": self._spoken(),
            "ids": list(entities),
            "zone": self.situation.zone,
            **(more or {}),
        }
        return Recognised(
            meaning.intent, slots, acts, Reply(key=f"{meaning.intent}/{meaning.response}", values=values),
            meaning.score, entities, clause=self.clause,
        )  # fmt: skip

    def _spoken(self) -> dict[str, Any]:
        """Slots as the responses want them: numbers as they were said, all else as it is called."""
        found: dict[str, Any] = {}
        for key, slot in self.meaning.slots.items():
            numeric = isinstance(slot.value, int | float) and not isinstance(slot.value, bool)
            found[key] = slot.text if numeric and slot.text else slot.value
        if self.meaning.intent == "HassVacuumCleanArea" and "area" not in found:
            area = self.situation.home.areas.get(self.situation.area)
            found["area"] = area.name if area is not None else ""
        return found

    def _told(self, text: str) -> Recognised:
        """Understood, and nothing is done."""
        slots = {key: slot.value for key, slot in self.meaning.slots.items()}
        return Recognised(self.meaning.intent, slots, reply=Reply(text=text), score=self.meaning.score,
                          clause=self.clause)  # fmt: skip

    def _missing(self, key: str) -> Recognised:
        return msgspec.structs.replace(self._told(self._complaint(key)), score=MISSING_SCORE)

    def _asked(self, question: str) -> Recognised:
        return msgspec.structs.replace(self._told(""), question=question)

    def _choose(self, pool: tuple[Entity, ...]) -> Recognised:
        asked = self._asked(self._which("which", pool))
        return msgspec.structs.replace(asked, entities=tuple(one.id for one in pool))

    def _which(self, key: str, pool: tuple[Entity, ...]) -> str:
        names = labels(self.situation.home, pool)
        if len(names) > CHOICES_MAX:
            return say(self.language, "which_many", {"names": ", ".join(names[:CHOICES_MAX])})
        return say(self.language, key, {"names": joined(self.language, names, "or")})

    def _complaint(self, key: str) -> str:
        home = self.situation.home
        target = self.meaning.targets[0] if self.meaning.targets else Target()
        domains = target.domains or DOMAINS.get(self.meaning.intent, ("",))
        areas = [home.areas[one].name for one in target.areas if one in home.areas]
        floors = [home.floors[one].name for one in target.floors if one in home.floors]
        said = complaints(self.language).get(key) or complaints("en")[key]
        return render(said, {
            "domain": domains[0] if domains else "", "device_class": target.classes[0] if target.classes else "",
            "area": areas[0] if areas else "", "floor": floors[0] if floors else "",
            "entity": self.meaning.value("name", ""),
        })  # fmt: skip


def _measures(one: Entity) -> bool:
    if one.domain == "climate":
        return number(one.attributes.get("current_temperature")) is not None or number(one.state) is not None
    return one.domain == "sensor" and class_of(one) == "temperature" and known(one)


__all__ = ["MISSING_SCORE", "SPEAK", "SentenceReader"]
