"""Every step with an effect says what the person said: its texts, its choices, its times.

Text that is written or sent must be mostly theirs, unless another step of the plan provides it; a value that is only
known later may not come from where it comes, where it decides what is done. No address hides inside a text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_clause import ACTION_FIELDS
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_looks import addresses, look
from kindmesh.coordinator.brain.medulla.review_scene import SELF, Scene, Sentence, shown, worse
from kindmesh.coordinator.brain.medulla.review_sources import (
    field_words,
    is_content,
    sink_of,
)
from kindmesh.coordinator.brain.medulla.review_times import clock_times, time_said
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import Words, content, stem, tokens
from kindmesh.coordinator.brain.medulla.rule_amounts import number_of
from kindmesh.coordinator.brain.medulla.rule_sinks import listed
from kindmesh.coordinator.brain.medulla.rule_support import tokens_of
from kindmesh.coordinator.brain.medulla.rule_switches import RECURRENCE

_SAID: Final = Sentence("said")


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_TIMES: Final = _stems(
    """start end time date when due at until deadline day from begin begins starts ends datetime timestamp expires
    ms iso finish finished ready depart departure arrive arrival expiry"""
)
_RISKY_FLAGS: Final = _stems(
    "force override public recursive permanent permanently skip anyone everyone all unsafe bypass sudo admin root"
)
_SHARE: Final = 0.34
_GRAVE: Final = int(bits.SPEND | bits.EXECUTE | bits.MOVE)


def said(scene: Scene) -> Iterator[Reason]:
    """Text, choices and switches of a step with an effect: mostly the person's words, the device's
    defaults, or what the words imply; no address hides inside a text."""
    for call in scene.made.calls:
        if call.operation is None or not scene.has_effect(call):
            continue
        for leaf in call.leaves:
            if scene.is_default(call, leaf):
                continue
            kind = sink_of(call.effects, call.name, call.operation, leaf)
            if isinstance(leaf.value, str) and not kind:
                hidden = [one for one in addresses(leaf.value) if not scene.words.exactly(one)]
                if hidden and call.effects & ~bits.READ:
                    yield _SAID(call.step, f"the text holds {shown(hidden[0])}, which nobody said")
                    continue
            if not kind and (leaf.given or not leaf.known):
                problem = _from_outside(scene, call, leaf)
                if problem:
                    yield _SAID(call.step, problem)
            often = leaf.known and field_words(call.operation, leaf) & RECURRENCE
            if kind or leaf.given or not leaf.known or often or _is_length(call, leaf):
                continue
            problem = _entry(scene, call, leaf) or _unsaid(scene, call, leaf)
            if problem:
                yield _SAID(call.step, problem)


def _from_outside(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why a value that is only known later may not come from where it comes: all but what is written or read out."""
    names = field_words(call.operation, leaf)
    outside = not leaf.book and worse(leaf.label, "memory", "device", "model", "web")
    grave = scene.outward(call) or scene.physical(call) or call.effects & _GRAVE
    steered = call.effects & int(bits.ACTUATE) and (
        worse(leaf.label, "memory", "model", "web") or _aims(call, leaf)
    )
    switching = steered and not listed(scene, call, leaf)
    if switching and not leaf.book:
        return f"this is about {shown(leaf.value) if leaf.known else leaf.path}, {scene.whence(leaf)}"
    steers = grave or call.effects & bits.WRITE
    text = (is_content(call.operation, leaf) or names & _DATA or names & _MADE) and not names & _LISTS
    text = text and not (names & _WHOSE and _writes_book(call))
    text = text and {*tokens_of(call)}.isdisjoint(_ENDING)
    if outside and (names & _TIMES or names & _QUANTITY or (steers and not text)):
        return f"this is about {shown(leaf.value) if leaf.known else leaf.path}, {scene.whence(leaf)}"
    return ""


def _aims(call: Call, leaf: Leaf) -> bool:
    """Whether it may say what is switched, and came from a device."""
    text = leaf.path == leaf.field and Scene.field_type(call, leaf) not in ("integer", "number", "boolean")
    return text and worse(leaf.label, "device") and not leaf.given and not is_content(call.operation, leaf)


_LISTS: Final = _stems("list calendar channel folder group")
_DATA: Final = _stems("value data payload content contents line")
_MADE: Final = _stems("clip image images photo picture video recording audio media snapshot")
"""What an earlier step took or made, and this one hands on; that it was wanted is what `feeds` looks at."""
_ENDING: Final = _stems("cancel delete remove move reschedule clear erase trash")
_QUANTITY: Final = _stems(
    """amount dose dosage strength quantity count price total level units number duration length delay minutes
    hours seconds"""
)


def _untimed(scene: Scene, call: Call, leaf: Leaf, value: str, names: frozenset[str]) -> str:
    if not scene.claims(leaf, model=True):
        return f"this is for {shown(value)}, {scene.whence(leaf)}"
    # When an appointment ends follows from when it begins; when a key, a loan or a charge ends does not.
    begins = [
        other.value for other in call.leaves
        if isinstance(other.value, str) and field_words(call.operation, other) & _STARTS
    ]  # fmt: skip
    if time_said(value, scene.words, scene.today, ending=bool(names & _ENDS)):
        return ""
    said = clock_times(scene.words.meant)
    if names & _ENDS and begins and not names & _BEGINS and len(said) <= _ONE_TIME:
        near = any(value[:10] == one[:10] and value > one for one in begins) or look(value) != "date"
        if near and (not said or scene.words.temporal):
            return ""
    return f"nobody said when: {shown(value)}"


_ONE_TIME: Final = 3
"""In how many ways one time of day can be meant: "at 9" is 9:00 and 21:00."""


def _is_length(call: Call, leaf: Leaf) -> bool:
    """Whether it says how long, as text; that it was said is what `amounts` looks at."""
    named = bool(field_words(call.operation, leaf) & _QUANTITY)
    return named and isinstance(leaf.value, str) and number_of(call, leaf) is not None


def _unsaid(scene: Scene, call: Call, leaf: Leaf) -> str:
    value, names = leaf.value, field_words(call.operation, leaf)
    if isinstance(value, bool):
        flags = names & _RISKY_FLAGS if value else frozenset()
        asked = not flags or any(scene.words.means(word) for word in flags)
        return "" if asked else f"nobody asked for {shown(leaf.path)}"
    if not isinstance(value, str) or not value.strip():
        return ""
    if names & ACTION_FIELDS and not call.effects & bits.EXECUTE:
        return ""
    if value.casefold() in SELF or value.casefold() == scene.facts.name.casefold():
        return ""
    field = Scene.field(call, leaf)
    if field is not None and value in field.choices:
        risky = any(not scene.words.means(word) for word in _stems(value.replace("_", " ")) & _RISKY_FLAGS)
        opposite = any(scene.words.against(word) for word in content(value))
        return f"{shown(value)} is not what was said" if risky or opposite else ""
    if look(value) == "date" or names & _TIMES:
        return _untimed(scene, call, leaf, value, names)
    strange = [one for one in _NUMBER.findall(value) if not _number(one, scene.words)]
    if strange and not scene.words.exactly(value):
        return f"nobody said {shown(strange[0])}"
    trusted = leaf.label is None or scene.claims(leaf)
    words = scene.words_for(leaf) if trusted else scene.words
    parts = content(value)
    if not parts:
        unsaid = scene.outward(call) or any(sign in value for sign in "*/~") or ".." in value
        some = any(scene.words.says(stem(word)) for word in tokens(value))
        return f"nobody said {shown(value)}" if unsaid and not some and not scene.words.exactly(value) else ""
    have = words.share(value) * len(parts)
    enough = min(math.ceil(_SHARE * len(parts)), 3)
    if len(parts) == 1 and parts[0] in _CODES:
        return ""
    if trusted or worse(leaf.label, "memory", "device", "model", "web"):
        if have + 1e-9 >= enough:
            return ""
        whole = scene.words.share(value) * len(parts)
        if trusted and whole + 1e-9 >= enough:
            return ""
    return f"this says {shown(value)}, {scene.whence(leaf)}"


def _writes_book(call: Call) -> bool:
    """Whether it writes where people's addresses are."""
    named = {stem(word) for word in tokens(call.name.replace("_", " ").replace(".", " "))}
    return bool(named & _stems("contact contacts people person addressbook phonebook"))


def _entry(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why an entry of the address book is not that of whom was named."""
    if not field_words(call.operation, leaf) & _WHOSE or not isinstance(leaf.value, str):
        return ""
    book = _writes_book(call)
    said = not leaf.value.strip() or (
        scene.claims(leaf, model=True) and scene.words_for(leaf).named(leaf.value)
    )
    return f"this is the entry of {shown(leaf.value)}, and nobody said so" if book and not said else ""


_WHOSE: Final = _stems("name person contact who whose")
_BEGINS: Final = _stems("start begin at when due from")
_STARTS: Final = _stems("start begin")
_ENDS: Final = _stems("end ends until to finish expires")
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)")
_CODES: Final = _stems(
    """en de fr es it nl eur usd gbp chf metric imperial celsius fahrenheit html plain markdown text normal
    default low high medium once none primary private utf8 json pdf png jpg switch position power
    level brightness state attach"""
)


def _number(text: str, words: Words) -> bool:
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text.replace(",", "")
    return words.exactly(text) or (plain.count(".") <= 1 and words.number(float(plain)))


__all__ = ["said"]
