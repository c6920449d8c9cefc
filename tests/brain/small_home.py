"""A small home and a recogniser of a few plain sentences: the pipeline is tested apart from the home's intents."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home
from kindmesh.coordinator.brain.cortex.terms import Act, Clause, Recognised, Reply, Situation

ZONE = "Europe/Berlin"
NOW_MS = int(datetime(2026, 11, 27, 10, 0, tzinfo=ZoneInfo(ZONE)).timestamp()) * 1000
"""A Friday, ten in the morning."""
OPERATIONS = frozenset({"home.control", "home.access", "home.note", "home.get", "speech.say"})


def home() -> Home:
    """Two floors, three rooms."""
    areas = [
        Area("kitchen", "Kitchen", floor="ground"),
        Area("bedroom", "Bedroom", floor="up"),
        Area("hall", "Hall"),
    ]
    entities = [
        Entity("light.kitchen", "Kitchen light", area="kitchen", state="on"),
        Entity("light.bedroom", "Bedroom light", area="bedroom", state="off"),
        Entity("light.hall", "Hall light", area="hall", state="on"),
        Entity("light.salt", "Salt and pepper lamp", ("salt lamp",), area="kitchen", state="off"),
        Entity("lock.front", "Front door", area="hall", state="locked"),
        Entity("todo.shopping", "Shopping list", ("groceries",), state="1"),
        Entity("todo.chores", "Chores", state="0"),
        Entity("calendar.family", "Family", state="off"),
        Entity("timer.kitchen", "Kitchen timer", area="kitchen", state="idle"),
        Entity("person.anna", "Anna", state="home"),
    ]
    return Home(
        {one.id: one for one in (Floor("ground", "Ground floor"), Floor("up", "Upstairs"))},
        {one.id: one for one in areas},
        {one.id: one for one in entities},
    )


def situation(**other: object) -> Situation:
    """Now, in the kitchen."""
    known: dict[str, object] = {
        "home": home(), "now_ms": NOW_MS, "zone": ZONE, "area": "kitchen", "operations": OPERATIONS,
        "people": {"Anna": "p1", "the doctor": "p2"}, **other,
    }  # fmt: skip
    return Situation(**known)  # type: ignore[arg-type]  # a test names the fields that it changes


class PlainSentences:
    """Understands "turn on|off [the] NAME", "turn on|off the light[s] in [the] ROOM", "lock|unlock [the] NAME" and
    "is [the] NAME on|off|locked", and nothing else."""

    def recognise(self, clause: Clause, situation: Situation) -> Recognised | None:
        """See `Recogniser`."""
        text = clause.text.lower()
        switch = re.fullmatch(r"(?:turn|switch) (on|off) (?:the )?(.+)", text) or re.fullmatch(
            r"(?:turn|switch) (?P<b>.+) (?P<a>on|off)", text
        )
        if switch:
            named = switch.groupdict()
            direction, thing = (named["a"], named["b"]) if named else (switch[1], switch[2])
            return self._switch(direction, thing.removeprefix("the "), clause, situation)
        lock = re.fullmatch(r"(lock|unlock) (?:the )?(.+)", text)
        if lock:
            ids = self._named(lock[2], "lock", situation)
            return self._act("home.access", f"lock.{lock[1]}", ids, clause) if ids else None
        asked = re.fullmatch(r"is (?:the )?(.+) (on|off|locked)", text)
        if asked:
            ids = self._named(asked[1], "", situation)
            return (
                Recognised("HassGetState", entities=ids, reply=Reply(text="It is."), clause=clause)
                if ids
                else None
            )
        return None

    def _switch(self, direction: str, thing: str, clause: Clause, situation: Situation) -> Recognised | None:
        place = re.fullmatch(r"lights?(?: in (?:the )?(.+))?", thing)
        if place:
            ids = tuple(
                one.id
                for one in situation.home.entities.values()
                if one.domain == "light" and (one.area == (place[1] or situation.area))
            )
        else:
            ids = self._named(thing, "light", situation)
        return self._act("home.control", f"light.turn_{direction}", ids, clause) if ids else None

    def _named(self, name: str, domain: str, situation: Situation) -> tuple[str, ...]:
        return tuple(
            one.id
            for one in situation.home.entities.values()
            if one.id.startswith(domain)
            and name in (one.name.lower(), f"{one.name.lower()}s", *(alias.lower() for alias in one.aliases))
        )

    def _act(self, operation: str, service: str, ids: tuple[str, ...], clause: Clause) -> Recognised:
        act = Act(
            operation, {"service": service, "entities": list(ids), "data": {}},
            {"service": clause.words[:1], "entities": clause.words},
        )  # fmt: skip
        return Recognised("HassTurn", acts=(act,), entities=ids, clause=clause, reply=Reply(text="Done."))


__all__ = ["NOW_MS", "OPERATIONS", "ZONE", "PlainSentences", "home", "situation"]
