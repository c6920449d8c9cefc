"""How much, how long, how many: a number with an effect is one that was said. And what is spent stays within bounds.

Numbers count in words or digits, with their units (`half an hour` is 1800 seconds, `40 percent` is 102 of 255). Of a
payment the amount has to be said exactly; a brightness or a temperature may also follow from "dimmer" or "warmer",
within what is comfortable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_clause import clause_about
from kindmesh.coordinator.brain.medulla.review_days import written
from kindmesh.coordinator.brain.medulla.review_facts import Done, Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown, worse
from kindmesh.coordinator.brain.medulla.review_sources import field_words, is_amount, sink_of
from kindmesh.coordinator.brain.medulla.review_times import clock_times, time_said
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import stem, tokens
from kindmesh.coordinator.brain.medulla.rule_sinks import signature

_AMOUNT: Final = Sentence("amount")
_SPEND: Final = Sentence("spend")
DAY_MS: Final = 86_400_000
_MONEY_TEXT: Final = re.compile(r"\s*[€$£]?\s*(\d+(?:[.,]\d+)*)\s*(?:€|\$|£|[A-Za-z]{3,7})?\s*")
_CLOCK: Final = re.compile(r"(\d{1,3}):(\d{2})(?::(\d{2}))?")
_ISO: Final = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", re.IGNORECASE)


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_COMFORT_C: Final = (12.0, 26.0)
_COMFORT_F: Final = (54.0, 79.0)
"""Temperatures of rooms, in degrees Celsius, and in Fahrenheit."""
_COMFORT: Final = {
    **dict.fromkeys(_stems("brightness bright percent pct level dim volume speed intensity"), (0.0, 100.0)),
    **dict.fromkeys(_stems("temperature temp degree target setpoint"), _COMFORT_C),
    **dict.fromkeys(_stems("kelvin mired color_temp colour"), (140.0, 7_000.0)),
}  # fmt: skip
_LENGTH: Final = _stems(
    "duration length delay timeout for wait minute minutes hour hours second seconds sec min ms millis after in"
)
_UNITS: Final = _stems(
    "ms millisecond milliseconds second seconds sec minute minutes min hour hours day days"
)
_NONE: Final = _stems(
    "off mute silence silent quiet shut close stop none no nothing dark out down zero empty aus zu stumm"
)
_AJAR: Final = 25.0
"""Percent that something is open at most, where only a little was asked for."""
_SHUT: Final = _stems("close closed shut down lower drop draw drawn")
_COUNTS: Final = _stems(
    """count quantity qty pieces portions number times copies people guests party persons seats tickets nights units
    servings repeat"""
)
_PLACES: Final = _stems("index offset page start position_id retries transition")
_NO_MONEY: Final = _stems("token tokens")
_COLOURS: Final = _stems("rgb hs xy rgbw color colour hue saturation")


def amounts(scene: Scene) -> Iterator[Reason]:
    """Every number of a step with an effect was said, or is the device's default; also how long a plan waits."""
    for call in scene.made.calls:
        mild = int(
            bits.READ if scene.outward(call) or _records(call) else bits.READ | bits.SENSE | bits.NOTIFY
        )
        if call.operation is None or not call.effects & ~mild:
            continue
        for leaf in call.leaves:
            if scene.is_default(call, leaf) or sink_of(call.effects, call.name, call.operation, leaf):
                continue
            problem = _problem(scene, call, leaf)
            if problem:
                grave = worse(leaf.label, "web") and call.effects & bits.SPEND
                yield _AMOUNT(call.step, problem, "deny" if grave else None)
    effects = [call for call in scene.made.calls if call.effects & ~int(bits.READ | bits.SENSE)]
    for leaf in scene.made.pauses:
        if (
            not effects
            or isinstance(leaf.value, bool)
            or not (leaf.known and isinstance(leaf.value, (int, float)))
        ):
            if effects and (
                worse(leaf.label, "memory", "model", "web") or (leaf.known and leaf.field == "for_ms")
            ):
                yield _AMOUNT(leaf.path.rpartition(".")[0], _whence("how long to wait", scene, leaf))
            continue
        said = leaf.field == "until_ms" and _until_said(scene, float(leaf.value))
        seconds = scene.words.number(leaf.value / 1_000)
        # A length that was said is there in every unit; a number without one counts as seconds.
        said = said or (leaf.value > 0 and seconds and (scene.words.number(leaf.value) or not _timed(scene)))
        small = leaf.field == "for_ms" and leaf.value <= 5_000 and not scene.words.temporal
        if not (said or small):
            yield _AMOUNT(
                leaf.path.rpartition(".")[0], f"nobody said how long to wait: {leaf.value / 1000:g} s"
            )


def _records(call: Call) -> bool:
    """Whether it takes pictures or sound, so that how long is a matter of privacy."""
    if call.operation is None or not call.effects & bits.SENSE:
        return False
    named = {
        stem(word)
        for word in tokens(f"{call.name} {call.operation.title}".replace(".", " ").replace("_", " "))
    }
    return bool({"image", "audio", "pictures"} & set(call.operation.data_classes) or named & _RECORDING)


_RECORDING: Final = _stems("record recording camera microphone clip footage listen")


def _until_said(scene: Scene, until_ms: float) -> bool:
    """Whether it is a time that was said: of that day, or so long from now."""
    facts, words = scene.facts, scene.words
    wait_ms = until_ms - facts.now_ms
    if scene.today is None:
        return words.temporal or bool(words.numbers)
    if not -60_000 <= wait_ms <= 366 * DAY_MS:
        return False
    at = int(facts.minute + facts.now_ms // 1_000 % 60 / 60 + wait_ms / 60_000 + 0.5)
    value = f"{written(scene.today + at // 1_440)} {at // 60 % 24:02}:{at % 60:02}"
    near = any(abs(wait_ms - one) <= 60_000 for one in words.numbers)
    return near or (words.temporal and time_said(value, words, scene.today))


def _timed(scene: Scene) -> bool:
    """Whether a number was said with a unit of time."""
    return not scene.words.stems.isdisjoint(_UNITS)


def compared(scene: Scene) -> Iterator[Reason]:
    """A number that a condition of an effect compares with is one that was said."""
    if not any(scene.has_effect(call) for call in scene.made.calls):
        return
    for leaf in scene.made.compared:
        value = leaf.value
        if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
            value = float(value)
        claimed = leaf.label is not None and bool(leaf.label.words)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or (value in (0, 1) and not claimed)
        ):
            continue
        if not scene.claims(leaf, model=True) or not scene.words.number(value):
            yield _AMOUNT(leaf.path, f"nobody said {value:g}, on which this depends")


def number_of(call: Call, leaf: Leaf) -> float | None:
    """The number that a value is, also where it is money or a length of time written as text; None: it is none."""
    value = leaf.value
    if isinstance(value, bool) or not leaf.known:
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, str):
        return None
    names = field_words(call.operation, leaf)
    if is_amount(call.operation, leaf):
        found = _MONEY_TEXT.fullmatch(value)
        if found:
            text = found[1]
            if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
                text = text.replace(",", "")
            return float(text.replace(",", ".")) if text.count(".") + text.count(",") <= 1 else None
    if names & _LENGTH:
        clock, iso = _CLOCK.fullmatch(value), _ISO.fullmatch(value)
        if clock and clock[3]:
            return int(clock[1]) * 3_600 + int(clock[2]) * 60 + int(clock[3])
        if clock:
            return int(clock[1]) * 60 + int(clock[2])
        if iso and value.upper() != "PT":
            return int(iso[1] or 0) * 3_600 + int(iso[2] or 0) * 60 + int(iso[3] or 0)
    declared = Scene.field_type(call, leaf) in ("integer", "number") and leaf.path == leaf.field
    if (declared or names & (_LENGTH | _COUNTS)) and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    return None


def _problem(scene: Scene, call: Call, leaf: Leaf) -> str:
    names = field_words(call.operation, leaf)
    field = Scene.field(call, leaf)
    if leaf.given or not leaf.known:
        numeric = field is not None and field.type in ("integer", "number")
        grave = (call.effects & bits.SPEND and (numeric or is_amount(call.operation, leaf))) or (
            numeric and (call.effects & (bits.MOVE | bits.ACTUATE) or scene.outward(call))
        )
        return _whence(f"how much the {_spoken(leaf)} is", scene, leaf) if grave else ""
    value = number_of(call, leaf)
    if value is None:
        if call.effects & bits.SPEND and is_amount(call.operation, leaf) and isinstance(leaf.value, str):
            said = scene.claims(leaf) and scene.words.exactly(leaf.value)
            return "" if said else f"{shown(leaf.value)} is no amount that was said"
        return ""
    words = scene.words_for(leaf)
    if scene.claims(leaf, model=not call.effects & bits.SPEND):
        if words.number(value):
            return ""
        if call.effects & bits.SPEND:
            minor = bool(names & _stems("cent cents minor pence")) and words.number(value / 100)
            if minor or (value == 1 and names & _COUNTS):
                return ""
        elif _follows(scene, leaf, names, value, call):
            return ""
    return f"the {_spoken(leaf)} would be {value:g}, {scene.whence(leaf)}"


def _whence(what: str, scene: Scene, leaf: Leaf) -> str:
    origin = scene.origin(leaf)
    return f"{what} comes from {origin}" if origin else f"nobody said {what}"


def _spoken(leaf: Leaf) -> str:
    """A value's name for people: `brightness pct` for `data.brightness_pct`."""
    return leaf.path.rpartition(".")[2].replace("_", " ")


_IMPLIED: Final = frozenset({0.0, 1.0, 50.0, 0.5, 100.0, 255.0, 254.0, 127.0, 128.0, 30.0})
"""Numbers that "half", "full", "off" and "a" bring with them."""


def known_things(scene: Scene, call: Call) -> bool:
    """Whether it is about things of a home that is known."""
    return any(isinstance(leaf.value, str) and leaf.value in scene.facts.names for leaf in call.leaves)


_LENGTHS: Final = re.compile(r"(?:^|[\W_])(?:days|hours|minutes|seconds|weeks|months|years)(?:$|[\W_])")
"""In the plural they say how long, not when."""


def _follows(scene: Scene, leaf: Leaf, names: frozenset[str], value: float, call: Call) -> bool:
    """Whether a number that was not said follows from what was: more or less of something, a colour, a time."""
    words = clause_about(scene, call)
    plain = words.numbers - _IMPLIED
    if value == 0.0 and (names & (_COLOURS | _PLACES) or not (plain or words.stems.isdisjoint(_NONE))):
        return True
    if value == 1.0 or (names & _LENGTH and _until(scene, value)):
        return True
    if 0 < value < 1 and words.number(round(value * 100, 6)):
        return True
    if names & _COLOURS and 0 <= value <= 7_000:
        return True
    if "position" in names and words.number(100.0 - value) and not words.stems.isdisjoint(_SHUT):
        return True  # "two thirds closed" is a third open
    if "position" in names and value <= _AJAR and words.relative and not plain:
        return True
    mild = not call.effects & ~int(bits.ACTUATE | bits.READ) and not scene.physical(call)
    stepped = "by" in words.stems or (words.relative and words.stems.isdisjoint(("to", "at")))
    if mild and known_things(scene, call) and (not plain or stepped):
        # How much louder or dimmer, or by how many degrees, is reckoned from how it is now.
        most = next((bound[1] for word, bound in _COMFORT.items() if word in names), 100.0)
        return 0.0 <= value <= (_HOT_WATER if _is_water(call) else most)
    bounds = next((bound for word, bound in _COMFORT.items() if word in names), None)
    if bounds == _COMFORT_C and words.relative and not plain and _COMFORT_F[0] <= value <= _COMFORT_F[1]:
        return True
    if bounds is not None and words.relative and not plain:
        return bounds[0] <= value <= bounds[1] or ("brightness" in {*names} and 0 <= value <= 255)
    if (
        names & _stems("time start end date at when due until timestamp hour day month year begin")
        and not names & _stems("duration timeout")
        and not _LENGTHS.search(f"{leaf.field} {leaf.path}".casefold())
    ):
        return words.temporal or bool(words.numbers)
    return False


_HOT_WATER: Final = 65.0
"""Degrees (°C) that water is heated to at most, where more or less of it was asked for."""


def _is_water(call: Call) -> bool:
    return any(isinstance(leaf.value, str) and leaf.value.startswith("water_heater.") for leaf in call.leaves)


def _until(scene: Scene, seconds: float) -> bool:
    """Whether it is as long as from now to a time of day that was said, to the minute."""
    facts = scene.facts
    end = facts.minute * 60 + facts.now_ms // 1_000 % 60 + seconds
    return seconds > 0 and any(
        (int(end + slack) // 3_600 % 24, int(end + slack) // 60 % 60) in clock_times(scene.words.meant)
        for slack in (0, 30)
    )


def spending(scene: Scene) -> Iterator[Reason]:
    """What is spent by this plan, and by the same person within a day, stays within the owner's bounds; the same
    payment twice is asked about, whether in one plan or in two."""
    facts = scene.facts
    day = [
        done for done in facts.ledger.done
        if done.principal == facts.principal and done.effects & bits.SPEND and facts.now_ms - done.at_ms < DAY_MS
    ]  # fmt: skip
    total = sum(done.amount for done in day if facts.run and done.run == facts.run)
    before = sum(done.amount for done in day) - total
    for call in scene.made.calls:
        if not call.effects & bits.SPEND or call.undo:
            continue
        amount = spent(call)
        total += amount
        if f"{call.name} {signature(call)}" in {f"{done.operation} {done.key}" for done in day}:
            yield _SPEND(call.step, "the same was paid already within a day")
        if total > facts.guards.spend_plan:
            yield _SPEND(
                call.step,
                f"the plan spends {total:g}, more than the {facts.guards.spend_plan:g} that need no question",
            )
        elif before + total > facts.guards.spend_day:
            yield _SPEND(
                call.step,
                f"with this, {before + total:g} are spent within a day, more than {facts.guards.spend_day:g}",
            )


def spent(call: Call) -> float:
    """How much a call spends at most, as far as the plan says: its amounts, or its only number, as often as it runs."""
    named = [number_of(call, leaf) for leaf in call.leaves if is_amount(call.operation, leaf)]
    found = [value for value in named if value is not None]
    if not found:
        others = [
            number_of(call, leaf)
            for leaf in call.leaves
            if not sink_of(call.effects, call.name, call.operation, leaf)
            and not field_words(call.operation, leaf) & _NO_MONEY
        ]
        found = [value for value in others if value is not None]
    cents = any(field_words(call.operation, leaf) & _stems("cent cents minor pence") for leaf in call.leaves)
    return (
        max(found, default=0.0)
        / (100 if cents else 1)
        * max(1, call.most if call.over is not None or (call.repeats and call.most > 1 and call.over) else 1)
    )


def done_of(scene: Scene) -> tuple[Done, ...]:
    """What the ledger remembers of a plan that was let through."""
    facts = scene.facts
    return tuple(
        Done(
            facts.principal,
            facts.now_ms,
            call.name,
            call.effects,
            signature(call),
            spent(call) if call.effects & bits.SPEND else 0.0,
            facts.run,
        )
        for call in scene.made.calls
        if scene.has_effect(call) and not call.undo
    )


__all__ = ["DAY_MS", "amounts", "compared", "done_of", "known_things", "number_of", "spending", "spent"]
