"""Which way something is switched, what is chosen, and whether it lasts: said as it is, or it is asked about.

A switch (`on: false`, `covered: false`) has no word in it, so its argument's name is read as one. Of several choices
the one that was said counts; more rights than were spoken of, or "from now on" where "once" was said, are another act.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_back import puts_back
from kindmesh.coordinator.brain.medulla.review_clause import clause_about
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import field_words
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import Words, content, stem, tokens
from kindmesh.coordinator.brain.medulla.rule_amounts import known_things

_SAID: Final = Sentence("said")
_ASKED: Final = Sentence("asked-for")


@lru_cache(maxsize=32)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_STATE: Final = _stems("on power powered enable enabled active activated running state is_on switched")
_OFF: Final = _stems(
    """off out stop disable deactivate kill quench shut cut no not never without don't remove end halt cancel aus nicht
    kein"""
)
_SIDES: Final = {
    "open": (_stems("open"), _stems("close shut")), "opened": (_stems("open"), _stems("close shut")),
    "closed": (_stems("close shut"), _stems("open")), "lock": (_stems("lock secure"), _stems("unlock open")),
    "mute": (_stems("mute silence quiet"), _stems("unmute loud")), "arm": (_stems("arm secure"), _stems("disarm")),
    "cover": (_stems("cover hide close mask privacy private"), _stems("uncover show open off")),
    "private": (_stems("private"), _stems("public")), "public": (_stems("public"), _stems("private")),
}  # fmt: skip
_SIDE_OF: Final = {stem(word): sides for word, sides in _SIDES.items()}
_TELLING: Final = _stems("notify invite broadcast announce guests attendees subscribers followers")
_RIGHTS: Final = _stems(
    "owner editor edit write admin administrator full manage manager delete anyone public world"
)
_LASTING: Final = _stems(
    """autoforward autoreply automatic automatically automation routine rule filter future always every recurring
    standing permanent permanently subscribe subscription repeat forever"""
)
_AGAIN: Final = _stems(
    """every each daily weekly monthly yearly hourly regular regularly standing recurring repeat always future automatic
    automatically rule filter automation routine subscribe subscription whenever weekday weekdays forever permanent
    permanently immer jeden jede"""
)


_ON_DAYS: Final = re.compile(
    r"\b(?:an?|per|each) (?:day|week|month|year)\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)days\b|"
    r"\bfrom (?:now|today|tomorrow) on\b"
)
RECURRENCE: Final = _stems("recurrence recurring repeat repeats frequency freq rrule every cron")
"""Names of arguments that say how often."""
_SHORT_DAYS: Final = {
    "mo": "monday", "tu": "tuesday", "we": "wednesday", "th": "thursday", "fr": "friday", "sa": "saturday",
    "su": "sunday",
}  # fmt: skip
_RULE_WORDS: Final = frozenset({"freq", "byday", "interval", "rrule", "on", "the", "at"})


def switches(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    for call in scene.made.calls:
        if call.operation is None or call.undo or not scene.has_effect(call) or puts_back(scene, call):
            continue
        if not known_things(scene, call) and (lasting := _lasts(scene, call)):
            yield _ASKED(call.step, lasting)
        for leaf in call.leaves:
            if not leaf.known or scene.is_default(call, leaf):
                continue
            problem = ""
            if isinstance(leaf.value, bool):
                problem = _switched(scene, call, leaf)
            elif isinstance(leaf.value, str):
                problem = _chosen(scene, call, leaf) or _recurs(scene, call, leaf)
            if problem:
                yield _SAID(call.step, problem)


def _lasts(scene: Scene, call: Call) -> str:
    title = call.operation.title if call.operation else ""
    name = {stem(word) for word in tokens(call.name.replace("_", " ").replace(".", " "))}
    if not (name | set(content(title))) & _LASTING or not scene.words.stems.isdisjoint(_AGAIN):
        return ""
    if _ON_DAYS.search(scene.words.meant):
        return ""
    return f"this would hold from now on ({shown(title or call.name)}), and once was spoken of"


def _switched(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why a switch is not set as it was said."""
    names, words = field_words(call.operation, leaf), clause_about(scene, call)
    said = frozenset(words.stems)
    value = bool(leaf.value)
    if value and names & _TELLING and not any(scene.words.means(word) for word in names & _TELLING):
        return f"nobody asked for {shown(leaf.path)}"
    sides = next((_SIDE_OF[name] for name in names if name in _SIDE_OF), None)
    if sides is None and names & _STATE:
        sides = (_stems("on enable activate start run begin resume"), _OFF)
    if sides is None or known_things(scene, call):
        return ""
    mine, other = sides if value else (sides[1], sides[0])
    if value:
        return f"{shown(leaf.path)} is not what was said" if said & other and not said & mine else ""
    denied = said & (mine | _OFF) or any(word.startswith("un") and word[2:] in other for word in said)
    return "" if denied else f"{shown(leaf.path)} off is not what was said"


def _chosen(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why one of several choices is not the one that was said."""
    field = Scene.field(call, leaf)
    value = str(leaf.value)
    rights = _stems(value.casefold().replace("_", " ")) & _RIGHTS
    if field is None or value not in field.choices or known_things(scene, call):
        return ""
    if rights and call.effects & bits.WRITE and not all(_says(scene.words, word) for word in rights):
        return f"nobody gave the right {shown(value)}"
    words = clause_about(scene, call)
    mine = _parts(value)
    if not mine or any(words.means(word) for word in mine):
        return ""
    rest = [one for one in field.choices if one != value and _parts(one)]
    other = next((one for one in rest if all(_says(words, word) for word in _parts(one))), "")
    return f"{shown(value)} is not what was said, but {shown(other)}" if other else ""


def _recurs(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why something is repeated otherwise than was said."""
    if not field_words(call.operation, leaf) & RECURRENCE or not str(leaf.value).strip():
        return ""
    words, days = scene.words, bool(_DAY.search(scene.words.meant))
    for word in tokens(str(leaf.value).replace("_", " ")):
        plain = _SHORT_DAYS.get(word, word)
        weekly = days and plain in ("weekly", "week")
        if plain in _RULE_WORDS or plain in ("none", "never", "once") or weekly:
            continue
        if not (words.means(stem(plain)) or words.number_said(plain)):
            return f"{shown(leaf.value)} is not how often was said"
    return ""


_DAY: Final = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b")


def _says(words: Words, word: str) -> bool:
    return word in words.stems


def _parts(choice: str) -> list[str]:
    return content(choice.replace("_", " "))


__all__ = ["RECURRENCE", "switches"]
