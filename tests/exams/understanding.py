"""The understanding exam: regression, unseen sentences, what is out of scope, what SLURP's people said, and latency.

Each part gives plain data: counts, and `faults`, the sentences that went wrong, for whoever mends it. `markdown` makes
the tables of docs/explanation/understanding.md of them.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from tests.exams import answering
from tests.exams.scoring import mark

HOMES: Final = ("flat", "farmhouse", "care_room", "german_flat")
SECOND: Final = ("loft", "orchard", "bungalow", "manor", "german_second")
"""The second set, written when the faults of the first had been read and mended."""
THIRD: Final = ("terrace", "ranch", "narrowboat")
"""The third, written when those of the second had been mended; what is to be left alone is in the same files."""
FOURTH: Final = ("condo", "plain", "vicarage")
"""The fourth, likewise, when most of what the third showed had yet to be mended."""
FIFTH: Final = ("villa", "share", "annex")
"""The fifth, likewise, while what the third and fourth showed was being mended; its wording is the hardest."""
SIXTH: Final = ("cottage",)
"""The sixth: everyday wording for an ordinary home, written when most of that was mended."""
SETS: Final[Mapping[str, tuple[str, ...]]] = {"first": HOMES, "second": SECOND, "third": THIRD,
                                                "fourth": FOURTH, "fifth": FIFTH, "sixth": SIXTH}  # fmt: skip
ALL: Final = tuple(home for homes in SETS.values() for home in homes)
GERMAN: Final = ("german_flat", "german_second")
KINDS: Final = ("command", "question", "leave")
Answers = Callable[[str, Sequence[dict[str, Any]]], list[dict[str, Any]]]
Result = dict[str, Any]

NOT_HOME: Final = (
    "weather_query", "qa_", "news_query", "email_", "social_", "post", "transport_", "takeaway_", "recommendation_",
    "cooking_", "general_", "greet", "quirky", "factoid", "play_game",
    "datetime_", "music_query", "music_likeness", "music_dislikeness", "likeness",
)  # fmt: skip
"""Intents of SLURP, or how they begin, whose sentences must change nothing in a home and send nothing."""
SLURP: Final[Mapping[str, tuple[str, ...]]] = {
    "iot_hue_lightoff": ("HassTurnOff",), "hue_lightoff": ("HassTurnOff",), "iot_hue_lighton": ("HassTurnOn",),
    "iot_hue_lightdim": ("HassLightSet",), "iot_hue_lightup": ("HassLightSet", "HassTurnOn"),
    "hue_lightup": ("HassLightSet", "HassTurnOn"), "iot_hue_lightchange": ("HassLightSet",),
    "iot_wemo_on": ("HassTurnOn",), "iot_wemo_off": ("HassTurnOff",), "iot_coffee": ("HassTurnOn",),
    "iot_cleaning": ("HassVacuumStart", "HassTurnOn", "HassVacuumCleanArea"), "cleaning": ("HassVacuumStart",),
    "audio_volume_up": ("HassSetVolumeRelative", "HassSetVolume"),
    "audio_volume_down": ("HassSetVolumeRelative", "HassSetVolume"),
    "audio_volume_mute": ("HassMediaPlayerMute", "HassMediaPlayerUnmute"),
}  # fmt: skip
"""What SLURP's intents are called here; sentences with other intents have no counterpart in the official ones."""
ENTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "house_place": ("area", "name", "floor"), "color_type": ("color",), "device_type": ("name", "device_class", "area"),
    "change_amount": ("brightness", "volume_level", "percentage", "volume_step"),
}  # fmt: skip


ROOMS: Final = (("loft", "lounge"), ("orchard", "kitchen"), ("bungalow", "lounge"), ("manor", "living_room"))
"""The homes of the second set, and a room in each."""


def set_of(home: str) -> str:
    """The set of sentences that a home belongs to."""
    return next(name for name, homes in SETS.items() if home in homes)


def english(homes: Iterable[str]) -> list[str]:
    """Those of `homes` where English is spoken."""
    return [home for home in homes if home not in GERMAN]


def not_home(intent: str) -> bool:
    """Whether a sentence of SLURP with this intent must do nothing."""
    return intent.startswith(NOT_HOME)


def regression() -> Result:
    """The official sentences: intent, slots and answer."""
    from tests.brain.official_sentences import failures

    by: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    faults = []
    for row, fault in failures(answering.DATA / "intents_en.jsonl", answering.DATA / "intents_en_homes.json"):
        by[row["intent"]][0] += 1
        by[row["intent"]][1] += not fault
        if fault:
            faults.append({"text": row["text"], "home": row["home"], "fault": fault})
    total, right = (sum(one[at] for one in by.values()) for at in (0, 1))
    return {"total": total, "right": right, "by": {key: by[key] for key in sorted(by)}, "faults": faults}


def unseen(answers: Answers = answering.by_command, every: int = 1, homes: Sequence[str] = ALL) -> Result:
    """Our own sentences; `every` takes only each so-manieth."""
    counts: dict[tuple[str, str], collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults = []
    for name in homes:
        rows = answering.rows_of(answering.DATA / f"unseen_{name}.jsonl")[::every]
        things = {one.id: {"state": one.state, "attributes": one.attributes}
                  for one in answering.home(name).entities.values()}  # fmt: skip
        for row, out in zip(rows, answers(name, rows), strict=True):
            kind = "question" if "says" in row else "leave" if row.get("nothing") else "command"
            found = mark(row, things, out)
            counts[name, kind][found] += 1
            counts[f"class {set_of(name)}", row["class"]][found] += 1
            if found == "abstained" and out["verdict"] in ("ask", "deny"):
                counts[name, kind]["withheld"] += 1
            if found != "right":
                faults.append({"id": row["id"], "class": row["class"], "text": row["text"], "mark": found,
                               "changes": out["changes"], "reply": out["reply"], "verdict": out["verdict"],
                               "expect": row.get("says") or row["expect"]})  # fmt: skip
    return {
        "homes": {name: {kind: dict(counts[name, kind]) for kind in KINDS} for name in homes},
        "classes": {
            name: {key: dict(found) for (home, key), found in counts.items() if home == f"class {name}"}
            for name in SETS
        },
        "faults": faults,
    }  # fmt: skip


def acted(out: Mapping[str, Any]) -> bool:
    """Whether an answer changed something, or would have once a pause was over, or would send something."""
    calls = [step.get("call", "") for step in (out.get("plan") or {}).get("steps", [])]
    reads = ("home.get", "home.history", "home.describe")
    return bool(out["changes"]) or (
        out["verdict"] == "allow" and any(one and one not in reads for one in calls)
    )


def out_of_scope(data: Path | None, answers: Answers = answering.by_api, home: str = "farmhouse") -> Result:
    """Sentences that nothing may come of: our own, and SLURP's and CLINC's if `data` has them."""
    sets = {"own": [row["text"] for row in answering.rows_of(answering.DATA / "out_of_scope.jsonl")]}
    if data is not None:
        slurp = answering.rows_of(data / "slurp_devel.jsonl")
        sets["SLURP, not of the home"] = [row["text"] for row in slurp if not_home(row["intent"])]
        clinc = answering.rows_of(data / "clinc_dev.jsonl")
        sets["CLINC150, out of scope"] = [row["text"] for row in clinc if row["intent"] == "oos"]
    found: Result = {"sets": {}, "faults": []}
    asked = {name: [(home, "kitchen", text) for text in texts] for name, texts in sets.items()}
    if data is not None:
        # Each in the living room of each home of the second set, where there is most to be done by mistake.
        second = [row["text"] for row in answering.rows_of(answering.DATA / "out_of_scope_second.jsonl")]
        asked["own, second set, in four homes"] = [(*place, text) for place in ROOMS for text in second]
    for name, lines in asked.items():
        rows = [
            {"id": f"{name}-{at}", "text": text, "area": area} for at, (_, area, text) in enumerate(lines)
        ]
        outs = [
            out
            for where in dict.fromkeys(place for place, _, _ in lines)
            for out in answers(
                where, [row for row, line in zip(rows, lines, strict=True) if line[0] == where]
            )
        ]
        bad = [(row, out) for row, out in zip(rows, outs, strict=True) if acted(out)]
        found["sets"][name] = {"total": len(rows), "acted": len(bad)}
        found["faults"] += [
            {"set": name, "text": row["text"], "changes": out["changes"], "reply": out["reply"]}
            for row, out in bad
        ]
    return found


def slurp(data: Path, home: str = "flat") -> Result:
    """Sentences of SLURP about a home: the intent, and what it names, where both have a counterpart here."""
    counts: collections.Counter[str] = collections.Counter()
    by: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    faults = []
    for row in answering.rows_of(data / "slurp_devel.jsonl"):
        wanted = SLURP.get(row["intent"])
        if wanted is None:
            continue
        got = answering.understood(home, row["text"], "living_room", 1_800_000_000_000)
        intents = {one.intent for one in got.recognised} if got.understood else set()
        found = "right" if intents & set(wanted) else "other" if intents else "abstained"
        by[row["intent"]][found] += 1
        if found == "other":
            faults.append({"text": row["text"], "intent": row["intent"], "found": sorted(intents)})
        slots = [f"{key} {value}".casefold() for one in got.recognised for key, value in one.slots.items()]
        for entity in row["entities"] if found == "right" else ():
            names = ENTITIES.get(entity["type"])
            if names is not None:
                counts["entities"] += 1
                counts["found"] += any(
                    slot.startswith(names) and _same(slot, entity["text"]) for slot in slots
                )
    return {"by": {key: dict(by[key]) for key in sorted(by)}, "entities": dict(counts), "faults": faults}


def _same(slot: str, said: str) -> bool:
    words = {word.rstrip("s") for word in said.casefold().split()} - {"the", "my", "to", "of", "in"}
    return bool(words & {word.rstrip("s") for word in slot.split()[1:]})


def latency(sentences: int = 300) -> Result:
    """How long `understand` takes with 100 entities, in milliseconds; the first sentences warm up and do not count."""
    from kindmesh.capabilities.home.model import Home

    whole = answering.home("farmhouse")
    hundred = Home(whole.floors, whole.areas, dict(list(whole.entities.items())[:100]))
    rows = answering.rows_of(answering.DATA / "unseen_farmhouse.jsonl")
    brain = answering.cortex("en")
    from kindmesh.coordinator.brain.cortex.terms import Situation

    took = []
    for at in range(sentences + 20):
        row = rows[at % len(rows)]
        begun = time.perf_counter()
        brain.understand(row["text"], Situation(hundred, 1_800_000_000_000, area=row.get("area", "kitchen")))
        took.append((time.perf_counter() - begun) * 1000)
    cuts = quantiles(took[20:], n=20)
    return {
        "entities": 100,
        "sentences": sentences,
        "p50_ms": round(cuts[9], 2),
        "p95_ms": round(cuts[18], 2),
    }


def totals(result: Result, kind: str, homes: Iterable[str] = HOMES) -> dict[str, int]:
    """Right, wrong and abstained of `unseen`, summed over homes."""
    found: collections.Counter[str] = collections.Counter()
    for name in homes:
        found.update(result["homes"][name][kind])
    return {key: found[key] for key in ("right", "wrong", "abstained", "withheld")}


def asked(one: Mapping[str, int]) -> int:
    """How many sentences `totals` counted; those that were withheld are among the abstained."""
    return one["right"] + one["wrong"] + one["abstained"]


def run(data: Path | None) -> Result:
    """All of it."""
    ours, scope = unseen(), out_of_scope(data)
    for name in list(SETS)[2:]:
        alone = totals(ours, "leave", SETS[name])
        scope["sets"][f"own, {name} set"] = {"total": asked(alone), "acted": alone["wrong"]}
    return {
        "regression": regression(),
        "unseen": ours,
        "out_of_scope": scope,
        "slurp": None if data is None else slurp(data),
        "latency": latency(),
    }


__all__ = [
    "ALL",
    "FIFTH",
    "FOURTH",
    "GERMAN",
    "HOMES",
    "ROOMS",
    "SECOND",
    "SETS",
    "SIXTH",
    "THIRD",
    "acted",
    "asked",
    "english",
    "latency",
    "not_home",
    "out_of_scope",
    "regression",
    "run",
    "set_of",
    "slurp",
    "totals",
    "unseen",
]
