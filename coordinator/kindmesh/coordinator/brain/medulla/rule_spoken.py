"""How something was said: as a wish, or only turned over in the mind, put off, tied to something, or taken back.

The words of an act are also in "should I ...", "remind me to ...", "... if it rains" and "... no, forget it". What is
said of when, and on what it depends, has to be in the plan; what stands in a text that is handed on ("tell Ann that I
come if it rains") belongs to that text and counts for nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_back import only_its_state, unconditional
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence
from kindmesh.coordinator.brain.medulla.review_sources import field_words, is_content, sink_of
from kindmesh.coordinator.brain.medulla.review_words import stem, tokens

_ASKED: Final = Sentence("asked-for")
_MILD: Final = int(bits.READ | bits.SENSE)


@lru_cache(maxsize=16)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_MUSING: Final = re.compile(
    r"^(?:hey |so |um |well )*(?:(?:should|shall|may|might|must) (?:i|we)\b|what (?:would|will|might|could) happen\b|"
    r"what if\b|do you think\b|would it be\b|is it (?:ok|okay|safe|wise|allowed|a good idea)\b)|"
    r"\b(?:is|was) (?:that|this|it) (?:a good idea|ok|okay|right|true|safe|real|legit|allowed)\W*$|"
    r"\bwhat do you think\W*$"
)
_TAKEN_BACK: Final = re.compile(
    r"(?:\bno,? wait\b|\bwait,? no\b|\bforget (?:it|that|about it)|\bnever ?mind\b|\bscratch that\b|\bcancel that\b|"
    r"\b(?:no|actually),? (?:don'?t|do not)(?: do (?:it|that))?|\bactually,? no\b|\bon second thoughts?,? no\b|"
    r"\b(?:vergiss es|doch nicht|lass es|lass das))"
    r"(?:[\s,]*(?:forget (?:it|that)|don'?t|never ?mind|sorry|please|thanks|bitte|danke))*[\s.!…]*$"
)
_REMIND: Final = re.compile(r"^(?:please |hey |ok |can you |could you |would you )*remind (?!\w+ list)")
_IF: Final = re.compile(
    r"(?<!as )(?<!even )(?<!what )\b(?:if|unless|in case|provided that|as soon as|only (?:when|after|once|while))\b"
    r"(?! (?:possible|necessary|needed|need be|you (?:can|could|please|would|like|don't mind)|not already|any|so\b))"
)
_WHETHER: Final = re.compile(
    r"\b(?:check|see|look|know|ask|tell|wonder|find out|hear|say|sure|remember|me|us|him|her|them)(?: \w+)? if\b"
)
_CLOCK: Final = re.compile(
    r"\b(?:at|um) (?:\d{1,2}[:.]\d{2}|\d{1,2} ?(?:am|pm|a\.m\.|p\.m\.|o'?clock|uhr)|noon|midnight|sunset|sunrise|dawn|"
    r"dusk)(?!\w)"
)
_WHEN: Final = _stems(
    """start end time date when due at until deadline day begin delay finish depart slot reminder trigger schedule ready
    arrive arrival departure check condition rule event cron"""
)
_KEEPS_TIME: Final = _stems(
    "remind reminder calendar event task todo timer schedule appointment list note memo message"
)
_REMINDS: Final = _stems("remind reminder task todo timer alarm list note memo remember")
_ENDING: Final = _stems("cancel delete remove move reschedule clear")
_DIARY: Final = _stems("calendar event appointment agenda diary")
_TIED: Final = _stems("condition trigger rule when if only_if")


def spoken(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    doing = [
        call for call in scene.made.calls
        if call.operation is not None and not call.undo and (call.effects & ~_MILD)
    ]  # fmt: skip
    if not doing or not scene.words:
        return
    text = _own(scene, doing)
    if _MUSING.search(text):
        yield from (
            _ASKED(call.step, "that was thought about, and this does it") for call in _grave(scene, doing)
        )
    if _TAKEN_BACK.search(text):
        yield from (_ASKED(call.step, "what was said was taken back") for call in doing)
    if _REMIND.search(text) and not any(_reminds(call) for call in doing):
        yield from (
            _ASKED(call.step, "a reminder was wanted, and this does it") for call in _grave(scene, doing)
        )
    made = scene.made
    if made.events or made.conditional or made.unseen:
        return
    tied = not (len(scene.made.calls) == 1 and only_its_state(scene.words.meant))
    conditional = tied and _IF.search(_WHETHER.sub(" ", unconditional(text)))
    if conditional and not any(_tied(call) for call in doing):
        yield _ASKED(doing[0].step, "there was an “if”, and nothing in the plan depends on anything")
    clock = _CLOCK.search(text)
    if clock and not made.pauses and not any(_keeps(call) for call in doing):
        yield _ASKED(doing[0].step, f"“{clock[0]}” was said, and this would be done at once")


def _own(scene: Scene, doing: list[Call]) -> str:
    """What was said, without the texts that are handed on."""
    text = scene.words.meant.replace("\u2019", "'")
    for call in doing:
        for leaf in call.leaves:
            if isinstance(leaf.value, str) and is_content(call.operation, leaf) and " " in leaf.value.strip():
                text = text.replace(leaf.value.casefold().strip(" .!?"), " ")
    return text


def _grave(scene: Scene, doing: list[Call]) -> list[Call]:
    """Those that do more than tell somebody in the house."""
    return [call for call in doing if scene.has_effect(call)]


def _names(call: Call) -> set[str]:
    title = call.operation.title if call.operation else ""
    return {stem(word) for word in tokens(f"{call.name} {title}".replace("_", " ").replace(".", " "))}


def _reminds(call: Call) -> bool:
    """Whether it keeps something for somebody to remember; an event to which nobody is asked does as well."""
    names = _names(call)
    if names & _REMINDS and not call.effects & bits.ACTUATE:
        return True
    if names & _ENDING:
        return False
    sent = any(sink_of(call.effects, call.name, call.operation, leaf) == "recipient" for leaf in call.leaves)
    return bool(names & _DIARY) and not sent


def _keeps(call: Call) -> bool:
    """Whether it is told when, or keeps a text in which that stands."""
    return bool(_names(call) & _KEEPS_TIME) or any(
        field_words(call.operation, leaf) & _WHEN for leaf in call.leaves
    )


def _tied(call: Call) -> bool:
    """Whether it is told on what it depends, or keeps a text that says so."""
    if any(field_words(call.operation, leaf) & _TIED for leaf in call.leaves):
        return True
    return any(isinstance(leaf.value, str) and _IF.search(leaf.value.casefold()) for leaf in call.leaves)


__all__ = ["spoken"]
