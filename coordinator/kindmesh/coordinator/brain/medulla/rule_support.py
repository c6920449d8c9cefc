"""Every step with an effect is there because the person asked for it.

What the operation does must be among the proven words, or something alike; its opposite must not. Added steps have no
words. What a step is given is another rule's affair (`rule_said`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_back import puts_back
from kindmesh.coordinator.brain.medulla.review_clause import ACTION_FIELDS, clause_about
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_lexicon import SAID_FOR
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, compiled, shown
from kindmesh.coordinator.brain.medulla.review_sources import (
    field_words,
    is_address_book,
    sink_of,
)
from kindmesh.coordinator.brain.medulla.review_words import Words, content, is_generic, stem, tokens
from kindmesh.coordinator.brain.medulla.rule_amounts import known_things

_ASKED: Final = Sentence("asked-for")


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_VERBS: Final = _stems(
    """send delete remove pay transfer buy order purchase update edit modify change rename move cancel
    share invite upload publish post run execute stop unlock lock open close play pause call dial
    print forward reply clean dispense arm disarm book reserve subscribe unsubscribe block unblock
    grant revoke allow deny clear erase wipe reset format install uninstall download mute unmute
    raise lower water cook heat record capture snapshot photograph watch listen locate track approve
    reject donate sell trade withdraw deposit refund archive accept decline vacuum dock return drive
    mow brew flush trigger press skip next previous kill shut disable enable on off increase
    decrease complete finish log"""
)
_CREATING: Final = _stems(
    "create add new append write save schedule start set put make insert compose draft register plan remember"
)
_MOVING: Final = _stems("go come drive move fetch follow return navigate")
_MOVERS: Final = _stems("vacuum mow drive")
_SENDING: Final = _stems("send bring")
_RUNNING: Final = frozenset(
    ("run", "rerun", "execute", "start", "launch", "restart", "reboot", "command", "script", "shell")
)
"""As words, not as stems: who is running late wants nothing run."""
_FILES: Final = _stems("path file filename folder directory document source destination")


def asked_for(scene: Scene) -> Iterator[Reason]:
    """The operation of each step with an effect is meant by the words, and its opposite is not."""
    for call in scene.made.calls:
        if call.operation is None or not call.effects & ~int(bits.READ):
            continue
        if _forbidden(call, scene.words):
            yield _ASKED(call.step, f"what was said is not to do {_title(call)}")
            continue
        if not scene.has_effect(call):
            continue
        if (call.undo and _same_thing(scene, call)) or puts_back(scene, call):
            continue
        if _is_lookup(scene, call):
            continue
        if not scene.words:
            yield _ASKED(call.step, f"it is not proven that a person asked for {_title(call)}")
            continue
        against = _against(call, clause_about(scene, call))
        if against:
            yield _ASKED(call.step, f"what was said is the opposite of {shown(against)}")
        elif not _asked(scene, call) and not _plainly(scene, call):
            yield _ASKED(call.step, f"nobody asked for {_title(call)}")


def _asked(scene: Scene, call: Call) -> bool:
    """Whether it was spoken of; what lets somebody in and is told of no thing, with its own name."""
    alone = all(other.name == call.name or not scene.has_effect(other) for other in scene.made.calls)
    if not meant(call, scene.words, outward=scene.outward(call), alone=alone):
        return False
    doing, about = _parts(call)
    if not _LETTING_IN.intersection(doing) or any(leaf.value for leaf in Scene.all_leaves(call)):
        return True
    named = [word for word in about if not is_generic(word)]
    return alone or not named or any(scene.words.means(word) for word in named)


def _title(call: Call) -> str:
    return shown(call.operation.title) if call.operation and call.operation.title else shown(call.name)


def _same_thing(scene: Scene, undo: Call) -> bool:
    """Whether the undoing call is of the capability, and about nothing but what, the step that it undoes is."""
    others = [call for call in scene.made.calls if call.step == undo.step and not call.undo]
    values = {str(leaf.value) for call in others for leaf in Scene.all_leaves(call) if leaf.known}
    things = [
        leaf for leaf in Scene.all_leaves(undo)
        if sink_of(undo.effects, undo.name, undo.operation, leaf) and leaf.known
    ]  # fmt: skip
    if {*tokens_of(undo)} & _LETTING_IN and not any({*tokens_of(call)} & _LETTING_IN for call in others):
        return False
    return any(
        call.name.partition(".")[0] == undo.name.partition(".")[0] and not undo.effects & ~call.effects
        for call in others
    ) and all(str(leaf.value) in values for leaf in things)


_LETTING_IN: Final = _stems("unlock open unbolt disarm dispense release ignite")


def _is_lookup(scene: Scene, call: Call) -> bool:
    """Looking up somebody whom the person named."""
    if call.operation is None or not is_address_book(call.name, call.operation):
        return False
    return all(
        scene.claims(leaf) and (not isinstance(leaf.value, str) or scene.words_for(leaf).named(leaf.value))
        for leaf in call.leaves
    )


def _parts(call: Call) -> tuple[list[str], list[str]]:
    """Stems of what it does (verbs and actions), and of what it is about."""
    head, _, tail = call.name.partition(".")
    doing = [stem(word) for word in tokens(tail.replace("_", " ") or head)]
    about = [stem(word) for word in tokens(head.replace("_", " "))]
    for leaf in call.leaves:
        if isinstance(leaf.value, str) and field_words(call.operation, leaf) & ACTION_FIELDS:
            domain, _, service = leaf.value.partition(".")
            actions = [stem(word) for word in tokens((service or domain).replace("_", " "))]
            doing = [*actions] if service else [*doing, *actions]
            about += [stem(word) for word in tokens(domain.replace("_", " "))] if service else []
    return doing, about


def _plainly(scene: Scene, call: Call) -> bool:
    """Switching a thing of a home that is known, harmlessly: naming it and how is enough, without a verb."""
    if call.effects & ~int(bits.ACTUATE | bits.READ | bits.NOTIFY | bits.WRITE) or scene.physical(call):
        return False
    if scene.outward(call) or not known_things(scene, call):
        return False
    doing, _ = _parts(call)
    return not set(doing) & _stems("unlock open disarm dispense off lock arm stop delete remove clear")


def _forbidden(call: Call, words: Words) -> bool:
    """Whether it was said not to do this."""
    negated = words.negated()
    if not negated or "*" in negated:
        return bool(negated)
    doing, _ = _parts(call)
    return any(word in negated for word in doing if word not in _EMPTY and not is_generic(word))


def _against(call: Call, words: Words) -> str:
    doing, _ = _parts(call)
    return next((word for word in doing if words.against(word) and not words.says(word)), "")


_FOR_ME: Final = re.compile(
    r"\b(?:tell|show|read|give|let|send|write) (?:me|us|it to me)\b(?: know)?|\b(?:tell|say)(?:s|ing)? (?:about|of)\b|"
    r"\bwhat \w+ says?\b|\b(?:phone|telephone|mobile|house|account|invoice) numbers?\b|\b(?:e-?mail )?address(?:es)?\b"
)
"""What is said of answering, or of things that are only called like an act: nothing is sent or rung for it."""


@lru_cache(maxsize=256)
def _beyond_me(words: Words) -> Words:
    left = _FOR_ME.sub(" ", words.meant)
    return words if left == words.meant else compiled((left,))


def meant(call: Call, words: Words, *, outward: bool = False, alone: bool = True) -> bool:
    """Whether what the operation does was spoken of; `outward`: it carries something out of the house; `alone`: the
    plan does nothing else, so that a time is enough for the diary."""
    if outward and call.effects & ~int(bits.READ | bits.SENSE):
        words = _beyond_me(words)
    if call.effects & bits.EXECUTE:
        return _to_run(call, words)
    doing, about = _parts(call)
    title = content(call.operation.title if call.operation else "")
    verbs = [word for word in doing if word in _VERBS]
    if not verbs and title and title[0] in _VERBS and not any(word in _CREATING for word in doing):
        own = [word for word in doing if not is_generic(word) and word not in _EMPTY]
        switched = not call.effects & ~int(bits.ACTUATE | bits.READ | bits.NOTIFY)
        if any(words.says(word) or (switched and words.means(word)) for word in own):
            return True
        verbs = [title[0]]
    if not call.effects & ~int(bits.READ | bits.SENSE) and _names_it(call, words):
        return True
    if call.effects & bits.SPEND:
        paying = _stems(
            "pay transfer buy order purchase donate book spend settle rent bill checkout charge tip reserve subscribe"
        )
        giving = set(doing) & _stems("send give") and words.numbers
        return (
            words.money
            or any(words.says(word) for word in paying)
            or (bool(giving) and not words.stems.isdisjoint(_stems("send give")))
        )
    if call.effects & bits.MOVE and any(words.says(word) for word in _MOVING):
        return True
    if call.effects & bits.MOVE and any(words.says(word) for word in _SENDING):
        # A letter is sent as well: what moves has to be named.
        return any(
            words.means(word)
            for word in (*about, *title)
            if not (is_generic(word) or word in _VERBS - _MOVERS)
        )
    if verbs:
        verbs += [word for word in title[:6] if word in _VERBS and not call.effects & _GRAVE]
        otherwise = [other for kind in about for verb in verbs for other in _SAID_FOR.get((kind, verb), ())]
        return (
            any(words.means(word) for word in verbs)
            or any(words.says(word) for word in otherwise)
            or _implied(call, words, verbs, about)
        )
    named = [word for word in (*doing, *about, *title) if not is_generic(word) and word not in _CREATING]
    if not verbs and not named and not words.stems.isdisjoint(_ASKING):
        # A name that says nothing ("set device"): what it is done to, and how, is checked by itself.
        return any(sink_of(call.effects, call.name, call.operation, leaf) == "thing" for leaf in call.leaves)
    if any(words.means(word) for word in named):
        return True
    if any(
        field_words(call.operation, leaf) & _FILES
        and sink_of(call.effects, call.name, call.operation, leaf) == "path"
        and words.exactly(str(leaf.value))
        for leaf in call.leaves
    ):
        return True
    if alone and words.temporal and not _DIARY.isdisjoint((*doing, *about, *title)):
        return True
    # Who switches a light has not spoken of the camera that can be switched as well.
    plain = _ASKING if _CAPTURE.intersection((*doing, *about, *title)) else frozenset[str]()
    return any(words.says(word) for word in (*doing, *about, *title) if word not in _EMPTY | plain)


def _to_run(call: Call, words: Words) -> bool:
    """Whether something was to be run: that was said, or what was said begins with the command. What the command says
    is no reason to run it."""
    said = tokens(words.meant)
    own = {
        word for word in tokens(call.name.partition(".")[2].replace("_", " ")) if not is_generic(stem(word))
    }
    if not (_RUNNING | own).isdisjoint(said):
        return True
    begins = stem(next((word for word in said if word not in ("please", "hey", "ok", "now")), ""))
    given = [tokens(leaf.value)[:1] for leaf in call.leaves if isinstance(leaf.value, str)]
    return any(begins == stem(word) for one in given for word in one)


_SAID_FOR: Final = {(stem(kind), stem(verb)): _stems(text) for (kind, verb), text in SAID_FOR.items()}
_DIARY: Final = _stems("calendar event reminder appointment meeting agenda diary")
_EMPTY: Final = _stems("set get make do home house device use control access one the a of it put thing")
_ASKING: Final = _stems("turn switch set put make on off to start stop open close up down change")
_CAPTURE: Final = _stems(
    "camera snapshot capture photo picture record microphone listen watch locate location track screen"
)
_GRAVE: Final = int(bits.SPEND | bits.EXECUTE | bits.MOVE)


def tokens_of(call: Call) -> list[str]:
    """Stems in the name of a call."""
    doing, about = _parts(call)
    return [*doing, *about]


def _names_it(call: Call, words: Words) -> bool:
    """Whether all that a reading call is given was said, and something is given."""
    taken = call.operation is not None and {"image", "audio", "pictures"} & set(call.operation.data_classes)
    title = tokens(call.operation.title) if call.operation else []
    if taken or not {*tokens_of(call), *(stem(word) for word in title)}.isdisjoint(_CAPTURE):
        return False
    given = [leaf.value for leaf in call.leaves if isinstance(leaf.value, str) and leaf.value.strip()]
    return bool(given) and all(words.exactly(text) or (content(text) and words.named(text)) for text in given)


def _implied(call: Call, words: Words, verbs: list[str], about: list[str]) -> bool:
    """Verbs that people leave out: a thing and a state or an amount say it ("blinds to 40 percent")."""
    if not call.effects & bits.ACTUATE or call.effects & ~int(bits.ACTUATE | bits.READ | bits.NOTIFY):
        return False
    mild = not set(verbs) & _stems("unlock open disarm start dispense off lock arm stop pause return close")
    return mild and any(words.means(word) for word in about if not is_generic(word))


__all__ = ["asked_for", "meant", "tokens_of"]
