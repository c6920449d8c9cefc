"""Words under which the opposite of a command, or an "if", is no doubt: what is done for a while, and a condition that
only names the state which the command ends.

Whether a step only puts back what another step of the plan did, when the time is over that was said.

"Turn the heater on for ten minutes" has two steps, of which the second is the opposite of the words. It is meant all
the same when everything fits: the words say for how long, or until when; it comes after a wait, which comes after a
step of the same operation with the opposite verb; it is about exactly the things of that step and sets nothing else;
and it neither opens, unlocks nor disarms anything, nor starts what could hurt somebody. A step that is looked at by
itself, when its time has come, has no plan around it: there the verb that it puts back must have been said. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla.review_clause import ACTION_FIELDS
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_lexicon import PUT_BACK
from kindmesh.coordinator.brain.medulla.review_scene import Scene
from kindmesh.coordinator.brain.medulla.review_sources import field_words
from kindmesh.coordinator.brain.medulla.review_words import stem, tokens

_FOR_A_WHILE: Final = re.compile(
    r"\bfor\b(?:\W+[\w.,]+){0,6}?\W*(?:sec(?:ond)?|min(?:ute)?|hour|hr|day)s?\b|\b(?:until|till|til)\b"
    r"|\bagain in\b"
)
_STATE_IF: Final = re.compile(
    r"if [\w' -]{1,60}?(?: is| are|'s) (?:still )?(?P<state>on|off|open|closed|shut|unlocked|running|playing)\W+"
    r"(?:then |please |just )*(?P<verb>turn|switch|put|shut|close|open|lock|stop|start|pause) (?:it|them)"
    r"(?: (?P<particle>on|off))?(?: please)?"
)
_STATE_ENDS: Final = frozenset({
    ("on", "off"), ("off", "on"), ("running", "off"), ("playing", "off"), ("open", "close"), ("open", "shut"),
    ("unlocked", "lock"), ("running", "stop"), ("playing", "stop"), ("playing", "pause"), ("off", "start"),
})  # fmt: skip
_STATE_ASKED: Final = re.compile(
    r"(?:is|are) [\w' -]{1,60}? (?P<state>on|off|closed|shut|locked|running)\W+if not\W+(?:then |please |just )*"
    r"(?P<verb>turn|switch|put|shut|close|lock|start) (?:it|them)(?: (?P<particle>on|off))?(?: please)?"
)
_STATE_MEETS: Final = frozenset({
    ("on", "on"), ("off", "off"), ("running", "on"), ("running", "start"), ("on", "start"), ("locked", "lock"),
    ("closed", "close"), ("closed", "shut"), ("shut", "shut"), ("shut", "close"),
})  # fmt: skip
_POLITE: Final = re.compile(
    r"\bif (?:it|that)(?:'s| is) (?:no (?:trouble|bother)|not too much (?:trouble|bother)|all right|alright|ok|okay|"
    r"all the same(?: to you)?)\b|\bif you(?:'d| would| could)(?:n't| not)? (?:mind|be so (?:kind|good))\b"
)
_LETS_IN: Final = frozenset(map(stem, ("unlock", "open", "unbolt", "disarm", "dispense", "unlatch")))
_BACK: Final = frozenset((stem(one), stem(other)) for one, other in PUT_BACK)


def puts_back(scene: Scene, call: Call) -> bool:
    """See the module."""
    made = scene.made
    if call.undo or call.repeats or call.operation is None or not said_for_a_while(scene.words.meant):
        return False
    doing, things = _doing(call), _things(call)
    if not things or _LETS_IN & set(doing) or any(leaf.given or not leaf.known for leaf in call.leaves):
        return False
    if scene.physical(call) and scene.opening(call):
        return False
    if not call.step and not made.before:
        return any(one in scene.words.stems and back in doing for one, back in _BACK)
    waits = {leaf.path.rpartition(".")[0] for leaf in made.pauses} & made.before.get(call.step, frozenset())
    return any(
        other.name == call.name
        and not other.undo
        and other.step in made.before[wait]
        and _things(other) == things
        and _opposite(other, call)
        for wait in waits
        for other in made.calls
    )


@lru_cache(maxsize=512)
def said_for_a_while(meant: str) -> bool:
    """Whether it is said for how long, or until when."""
    return bool(_FOR_A_WHILE.search(meant))


@lru_cache(maxsize=512)
def only_its_state(meant: str) -> bool:
    """Whether an "if" says nothing but the state that the command ends: "if the radio is on, turn it off". Doing it
    where it is not so changes nothing. A plan that looks first has to depend on what it sees all the same."""
    text = meant.strip(" .!?").replace("\u2019", "'")
    found = _STATE_IF.fullmatch(text)
    if found is not None:
        return (found["state"], found["particle"] or found["verb"]) in _STATE_ENDS
    found = _STATE_ASKED.fullmatch(text)
    return found is not None and (found["state"], found["particle"] or found["verb"]) in _STATE_MEETS


def unconditional(text: str) -> str:
    """A text without the "if" of politeness, which nothing depends on: "if it is no trouble"."""
    return _POLITE.sub(" ", text)


def _doing(call: Call) -> tuple[str, ...]:
    """Stems of the verb of a call: of its service, where it has one, else of its name."""
    named = [
        str(leaf.value) for leaf in call.leaves
        if isinstance(leaf.value, str) and field_words(call.operation, leaf) & ACTION_FIELDS
    ]  # fmt: skip
    verb = (named[0] if named else call.name).rpartition(".")[2]
    return tuple(stem(word) for word in tokens(verb.replace("_", " ")))


def _things(call: Call) -> frozenset[str]:
    """What it is about, which has to be the same; flags and settings are none of it."""
    return frozenset(
        str(leaf.value) for leaf in Scene.all_leaves(call)
        if leaf.known and isinstance(leaf.value, str) and leaf.value
        and not field_words(call.operation, leaf) & ACTION_FIELDS
    )  # fmt: skip


def _opposite(first: Call, second: Call) -> bool:
    one, other = _doing(first), _doing(second)
    sets = [
        leaf for leaf in second.leaves if not isinstance(leaf.value, str) and leaf.value not in ({}, [], None)
    ]
    if one == other:
        # Muted, and not muted any more.
        before = {leaf.path for leaf in first.leaves if leaf.value is True}
        return bool(sets) and {leaf.path for leaf in sets if leaf.value is False} == before == {
            leaf.path for leaf in sets
        }
    return not sets and any((word, back) in _BACK for word in one for back in other)


__all__ = ["only_its_state", "puts_back", "said_for_a_while", "unconditional"]
