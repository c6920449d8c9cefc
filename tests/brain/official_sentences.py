"""The official sentences as a regression check: their homes as ours, each sentence recognised and answered.

Run by hand: `python -m tests.brain.official_sentences PATH/intents_en.jsonl PATH/intents_en_homes.json`.

The official tests take some things for granted that a home has to have: a light where lights are switched, a timer
where one is cancelled. `furnished` adds one of what a sentence needs and its home lacks, so that there is something to
act upon; what the home says itself is never changed. Acting is imagined here in its simplest form (`acted`): the answer
is rendered from a home in which the calls did what they say.
"""

from __future__ import annotations

import collections
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kindmesh.capabilities.home.model import Area, Entity, Floor, Home
from kindmesh.coordinator.brain.cortex.intents import HomeIntents, answer
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Situation, words_of

NOW_MS = 1_379_379_735_000
"""2013-09-17 01:02:15 UTC, the time of the official tests."""
_SLUG = re.compile(r"[^a-z0-9]+")
_DOMAIN = {
    "HassClimate": "climate", "HassFan": "fan", "HassMedia": "media_player", "HassSetVolume": "media_player",
    "HassLight": "light", "HassVacuum": "vacuum", "HassLawn": "lawn_mower", "HassShopping": "todo",
    "HassSetPosition": "cover",
}  # fmt: skip
OWN_WORDS = frozenset({"HassRespond"})
"""Intents that we answer in our own words: the official ones speak of another product."""


def slug(name: str) -> str:
    return _SLUG.sub("_", name.casefold()).strip("_")


def home_of(document: Mapping[str, Any]) -> tuple[Home, str]:
    """A home of the official tests as ours, and the id of the area that something is said in."""
    floors = {slug(one["name"]): Floor(slug(one["name"]), one["name"]) for one in document.get("floors", [])}
    areas: dict[str, Area] = {}
    here = ""
    for one in document.get("areas", []):
        floor = slug(one["floor"]) if one.get("floor") else ""
        areas[slug(one["name"])] = Area(slug(one["name"]), one["name"], floor=floor)
        if floor and floor not in floors:
            floors[floor] = Floor(floor, one["floor"])
        if one.get("context_area"):
            here = slug(one["name"])
    entities: dict[str, Entity] = {}
    for one in document.get("entities", []):
        made = Entity(
            f"{one['domain']}.{slug(one['name'])}", one["name"], area=slug(one.get("area", "")),
            state=str(one.get("state", "off")), attributes=one.get("attributes", {}),
        )  # fmt: skip
        entities[made.id] = made
    return Home(floors, areas, entities), here


def furnished(home: Home, row: Mapping[str, Any]) -> Home:
    """The home with what the sentence takes for granted."""
    intent, slots = row["intent"], row["slots"]
    area = slug(slots.get("area", ""))
    if not area and slots.get("floor"):
        area = "some_room"
        home = Home(home.floors, {**home.areas, area: Area(area, "Some Room", floor=slug(slots["floor"]))},
                    home.entities)  # fmt: skip
    if "Timer" in intent:
        if "conversation_command" in slots:
            return home.with_entities(Entity("light.taken_for_granted", "Thing", state="on"))
        return home if intent == "HassStartTimer" else home.with_entities(*_timers(row, area))
    if intent == "HassGetState":
        return home
    domain = slots.get("domain") or next(
        (found for key, found in _DOMAIN.items() if intent.startswith(key)), ""
    )
    there = not area and any(one.domain == domain for one in home.entities.values())
    if intent != "HassVacuumCleanArea" and (not domain or "name" in slots or there):
        return home
    if intent.startswith("HassVacuum") and any(one.domain == "vacuum" for one in home.entities.values()):
        return home
    if any(one.domain == domain and one.area == area and area for one in home.entities.values()):
        return home
    attributes: dict[str, Any] = {"device_class": slots["device_class"]} if "device_class" in slots else {}
    if domain == "media_player":
        attributes["volume_level"] = 0.5
    if domain == "climate" and not area and intent == "HassClimateGetTemperature":
        return home
    return home.with_entities(Entity(f"{domain}.taken_for_granted", "Thing", area=area, state="off",
                                     attributes=attributes))  # fmt: skip


def _timers(row: Mapping[str, Any], area: str) -> Iterator[Entity]:
    slots, state = row["slots"], "paused" if row["intent"] == "HassUnpauseTimer" else "active"
    begun = sum(int(slots.get(f"start_{unit}", 0)) * size
                for unit, size in (("hours", 3600), ("minutes", 60), ("seconds", 1))) or 3000  # fmt: skip
    left = re.match(r"(\d+) minutes? left", row["response"])
    rest = int(left[1]) * 60 if left else begun
    many = re.match(r"Canceled (\d+)", row["response"])
    for count in range(int(many[1]) if many else 1):
        name = slots.get("name", "Timer")
        yield Entity(f"timer.{slug(name)}_{count}", name, area=area, state=state, attributes={
            "duration": f"{begun // 3600}:{begun % 3600 // 60:02d}:{begun % 60:02d}",
            "remaining": f"{rest // 3600}:{rest % 3600 // 60:02d}:{rest % 60:02d}",
        })  # fmt: skip


_TO_STATE = {
    "turn_on": "on", "turn_off": "off", "open_cover": "open", "close_cover": "closed", "open_valve": "open",
    "close_valve": "closed", "lock": "locked", "unlock": "unlocked", "media_pause": "paused",
    "media_play": "playing", "play_media": "playing", "clean_area": "cleaning", "start": "cleaning",
    "start_mowing": "mowing", "return_to_base": "returning", "dock": "returning", "set_percentage": "on",
}  # fmt: skip
_TO_ATTRIBUTE = {"position": "current_position"}


def acted(home: Home, recognised: Recognised) -> Home:
    """The home in which each call did what its name says; what "Does Not Exist" cannot be played."""
    for act in recognised.acts:
        verb = str(act.args.get("service", "")).partition(".")[2]
        data = act.args.get("data", {})
        if data.get("media_content_id") == "Does Not Exist":
            continue
        for name in act.args.get("entities", ()):
            one = home.entities.get(name) or Entity(name, "Timer")
            fields = {_TO_ATTRIBUTE.get(key, key): value for key, value in data.items()}
            if "brightness_pct" in fields:
                fields["brightness"] = round(fields.pop("brightness_pct") * 2.55)
            home = home.with_entities(msgspec.structs.replace(
                one, state=_TO_STATE.get(verb, one.state), attributes={**one.attributes, **fields}))  # fmt: skip
    return home


def same(wanted: Any, found: Any) -> bool:
    """Values of slots compare as numbers where both are."""
    if str(wanted).casefold() == str(found).casefold():
        return True
    try:
        return float(wanted) == float(found)
    except (TypeError, ValueError):
        return False


def wrong(row: Mapping[str, Any], home: Home, here: str, reader: HomeIntents) -> str:
    """What is wrong with how a row is understood and answered; empty when nothing is."""
    text = row["text"]
    situation = Situation(home, NOW_MS, area=here, operations=frozenset({"speech.say"}))
    found = reader.recognise(Clause(text, tuple(range(len(words_of(text))))), situation)
    if found is None:
        return "not understood"
    if found.question:
        return f"asked: {found.question}"
    if found.intent != row["intent"]:
        return f"intent {found.intent}"
    slots = {key: value for key, value in found.slots.items() if key != "domain" or "domain" in row["slots"]}
    if set(slots) != set(row["slots"]) or not all(same(row["slots"][key], slots[key]) for key in slots):
        return f"slots {slots}, not {row['slots']}"
    said = answer(found.reply, found, acted(home, found), NOW_MS)
    if row["intent"] not in OWN_WORDS and said != row["response"]:
        return f"said {said!r}, not {row['response']!r}"
    return ""


def failures(sentences: Path, homes: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each row with what is wrong with it."""
    documents = json.loads(homes.read_text(encoding="utf-8"))
    reader = HomeIntents()
    for line in sentences.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        home, here = home_of(documents[row["home"]]) if row["home"] else (Home(), "")
        yield row, wrong(row, furnished(home, row), here, reader)


def main() -> None:
    by: dict[str, list[str]] = collections.defaultdict(list)
    total = 0
    begun = time.perf_counter()
    for row, fault in failures(Path(sys.argv[1]), Path(sys.argv[2])):
        total += 1
        if fault:
            by[row["intent"]].append(f"{row['text']} [{row['home']}]: {fault}")
    for intent, lines in sorted(by.items()):
        sys.stdout.write(f"## {intent}: {len(lines)}\n" + "".join(f"   {line}\n" for line in lines[:12]))
    bad = sum(map(len, by.values()))
    took = time.perf_counter() - begun
    sys.stdout.write(f"{total - bad} of {total} right, {1000 * took / max(total, 1):.1f} ms each\n")


if __name__ == "__main__":
    main()
