"""What a plan reads before it does something: only what was spoken of is read, and nothing private leaves.

That a text comes from a file, a mailbox or a memory says nothing of whether it was meant: "tell Ann that I am late"
must not send her the diary. So where a step has an effect, what other steps look up, open or search is held to the
words as well, and where something goes out of the house, each private reading has to be asked for by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_looks import addresses, look
from kindmesh.coordinator.brain.medulla.review_scene import SELF, Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import field_words, is_address_book, is_private
from kindmesh.coordinator.brain.medulla.review_times import time_said
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import content, stem
from kindmesh.coordinator.brain.medulla.rule_sinks import file_named
from kindmesh.coordinator.brain.medulla.rule_support import meant

_ASKED: Final = Sentence("asked-for")
_SAID: Final = Sentence("said")
_READING: Final = int(bits.READ | bits.SENSE)
_ENOUGH: Final = 0.5


@lru_cache(maxsize=16)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_USUAL: Final = _stems(
    "all any inbox primary main default latest newest recent last today now current unread new first asc desc"
)
_FILES: Final = _stems("path file filename document")
_WHO: Final = _stems("patient person member account")
_HOW: Final = _stems(
    "limit format sort order unit units language lang type mode fields include page encoding"
)


def feeds(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    doing = [call for call in scene.made.calls if scene.has_effect(call) and not call.undo]
    if not doing:
        return
    outward = any(scene.outward(call) and call.effects & ~_READING for call in doing)
    for call in scene.made.calls:
        if call.operation is None or scene.has_effect(call) or is_address_book(call.name, call.operation):
            continue
        problem = next((found for leaf in call.leaves if (found := _aimed(scene, call, leaf))), "")
        if problem:
            yield _SAID(call.step, problem)
        elif outward and is_private(call.name, call.operation) and not _wanted(scene, call):
            yield _ASKED(call.step, f"nobody asked for {_title(call)}, and something leaves the house")


def _title(call: Call) -> str:
    return shown(call.operation.title if call.operation and call.operation.title else call.name)


def _wanted(scene: Scene, call: Call) -> bool:
    """Whether all that it is given was said, or it is asked for by what it does."""
    given = [
        leaf for leaf in call.leaves if leaf.known and isinstance(leaf.value, str) and leaf.value.strip()
    ]
    return bool(given) or meant(call, scene.words)


def _chained(scene: Scene, call: Call, leaf: Leaf) -> bool:
    """Whether it may come from another reading of the same store, or is the person's own answer."""
    if leaf.label is not None and leaf.label.source == "user":
        return True
    head = call.name.partition(".")[0]
    return any(
        other is not call and other.name.partition(".")[0] == head and not scene.acts(other)
        for other in scene.made.calls
    )


def _aimed(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why what a reading step looks for is not what was spoken of; empty: it is, or says nothing."""
    value = leaf.value
    if not leaf.known and field_words(call.operation, leaf) & _FILES and not _chained(scene, call, leaf):
        return f"which file is read {scene.whence(leaf).removeprefix('and that ')}"
    if not leaf.known or not isinstance(value, str) or not value.strip() or scene.is_default(call, leaf):
        return ""
    names, field = field_words(call.operation, leaf), Scene.field(call, leaf)
    if names & _HOW or (field is not None and value in field.choices) or value in scene.facts.names:
        return ""
    if value.casefold() in SELF or value.casefold() == scene.facts.name.casefold():
        return ""
    looks, words = look(value), scene.words
    if any(not words.exactly(one) for one in addresses(value)) or not any(sign.isalnum() for sign in value):
        fits = words.exactly(value)
    elif names & _WHO:
        fits = words.named(value)
    elif looks == "path" or names & _FILES:
        fits = words.exactly(value) or file_named(value, words)
    elif looks == "date":
        fits = time_said(value, words, scene.today)
    elif looks in ("recipient", "link", "shell"):
        fits = words.exactly(value)
    else:
        parts = [word for word in content(value.replace("_", " ").replace(".", " ")) if word not in _USUAL]
        known = sum(words.means(word) or words.number_said(word) for word in parts)
        fits = known >= _ENOUGH * len(parts)
    return "" if fits else f"this looks for {shown(value)}, and nobody spoke of it"


__all__ = ["feeds"]
