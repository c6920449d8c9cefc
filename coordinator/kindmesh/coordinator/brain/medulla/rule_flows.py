"""What must not come together, and what must not decide: untrusted input, private data and effects.

At most two of {untrusted input, private data, outward effect} meet in one step without a person, whatever way they take
(steps, memory, an earlier plan). What came from the web or a model decides no effect that could do harm (implicit
flows), and no list of theirs says how often something is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_lexicon import NUMBERS
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence
from kindmesh.coordinator.brain.medulla.review_words import stem
from kindmesh.coordinator.brain.medulla.rule_bounds import lasting

_THREE: Final = Sentence("two-of-three")
_INFLUENCE: Final = Sentence("influence")
_LOOP: Final = Sentence("loop")
_PRIVATE: Final = frozenset({"notes", "text", "image", "audio", "health", "location", "other", "*"})
_GRAVE: Final = int(bits.SPEND | bits.EXECUTE | bits.MOVE)
_LOOP_MOST: Final = 100


def two_of_three(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    for call in scene.made.calls:
        if call.operation is None or not scene.outward(call):
            continue
        made = call.made
        private = set(made.data_class) & _PRIVATE
        if private and made.source == "web":
            yield _THREE(call.step, "private data and text from outside would leave the house together")
        elif private and scene.has_effect(call) and not call.effects & ~int(bits.READ | bits.SENSE):
            yield _THREE(call.step, "private data would be part of a request to the outside")


def influence(scene: Scene) -> Iterator[Reason]:
    """An effect happens because a person wants it, not because of what the web, a message or a model says."""
    for call in scene.made.calls:
        if (
            call.operation is None
            or not scene.has_effect(call)
            or call.influence.source not in ("web", "model", "memory", "device")
        ):
            continue
        grave = bool(call.effects & _GRAVE) or (scene.physical(call) and scene.opening(call))
        if call.influence.source in ("web", "model"):
            yield _INFLUENCE(
                call.step, f"whether {call.name} is done would be decided by text from outside or a model"
            )
        elif grave:
            yield _INFLUENCE(
                call.step, f"whether {call.name} is done would be decided by what a device or a memory says"
            )


def loops(scene: Scene) -> Iterator[Reason]:
    """A step with an effect repeats over what was said: all of them, or as many as were named."""
    words = scene.words
    # A number that a step is given says how much, not how often.
    given = {
        float(leaf.value) for call in scene.made.calls for leaf in call.leaves
        if isinstance(leaf.value, (int, float)) and not isinstance(leaf.value, bool)
    }  # fmt: skip
    for call in scene.made.calls:
        if call.operation is None or not scene.has_effect(call) or not call.repeats or call.undo:
            continue
        if call.over is None and call.most <= 1:
            continue
        counts = {number for number in words.numbers if number >= 2 and number == int(number)} - given
        if call.over is not None:
            wide = words.everything or words.plural
            if call.effects & _GRAVE and call.most not in counts:
                yield _LOOP(
                    call.step, f"{call.name} would be done up to {call.most} times, and nobody said so"
                )
            elif not wide and call.most not in counts:
                yield _LOOP(call.step, f"{call.name} would be done for a whole list, and one was spoken of")
            elif counts and not words.everything and call.most > max(counts) and call.most != _LOOP_MOST:
                yield _LOOP(
                    call.step, f"{call.name} would be done up to {call.most} times, more than was said"
                )
            elif call.most > _LOOP_MOST:
                yield _LOOP(call.step, f"{call.name} would be done up to {call.most} times")
        elif call.most > _LOOP_MOST or _too_often(scene, call):
            yield _LOOP(call.step, f"{call.name} would be done {call.most} times")


def _too_often(scene: Scene, call: Call) -> bool:
    """Whether it is done more often than was said; each item of a list that stands in the plan counts once."""
    said = max((_often_said(one) for one in _TIMES.findall(scene.words.meant)), default=1.0)
    items = sum(other.step == call.step and not other.undo for other in scene.made.calls)
    if call.effects & _GRAVE and call.most > items * said:
        return True
    often = scene.words.everything or not scene.words.stems.isdisjoint(_OFTEN)
    return call.most > items * said and not often and lasting(scene, call)


_TIMES: Final = re.compile(r"\b(\w+) times\b|\b(twice|thrice)\b")


def _often_said(found: tuple[str, str]) -> float:
    """How often: three times, twice."""
    word = found[0] or found[1]
    return float(word) if word.isdigit() else float(NUMBERS.get(word, 1))


_OFTEN: Final = frozenset(
    stem(word) for word in (
        "every", "each", "daily", "weekly", "hourly", "monthly", "repeat", "keep", "until", "again", "whenever",
        "while",
    )
)  # fmt: skip


__all__ = ["influence", "loops", "two_of_three"]
