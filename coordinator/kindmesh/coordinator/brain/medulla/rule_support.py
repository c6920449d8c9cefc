"""Every step with an effect is there because the person asked for it, and says what the person said.

What the operation does must be among the proven words, or something alike; its opposite must not. Text that is written
or sent must be mostly theirs, unless another step of the plan provides it. Added steps have no words.
"""

from __future__ import annotations

import math
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
from kindmesh.coordinator.brain.medulla.review_looks import addresses, look
from kindmesh.coordinator.brain.medulla.review_scene import SELF, Scene, Sentence, shown, worse
from kindmesh.coordinator.brain.medulla.review_sources import (
    field_words,
    is_address_book,
    is_content,
    sink_of,
)
from kindmesh.coordinator.brain.medulla.review_times import clock_times, time_said
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import Words, content, is_generic, stem, tokens
from kindmesh.coordinator.brain.medulla.rule_amounts import known_things, number_of

_ASKED: Final = Sentence("asked-for")
_SAID: Final = Sentence("said")


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
_MOVING: Final = _stems("send go come drive bring move fetch follow return navigate")
_TIMES: Final = _stems(
    """start end time date when due at until deadline day from begin begins starts ends datetime timestamp expires
    ms iso finish finished ready depart departure arrive arrival expiry"""
)
_RISKY_FLAGS: Final = _stems(
    "force override public recursive permanent permanently skip anyone everyone all unsafe bypass sudo admin root"
)
_SHARE: Final = 0.34


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
        elif not _meant(call, scene.words) and not _plainly(scene, call):
            yield _ASKED(call.step, f"nobody asked for {_title(call)}")


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
    return any(
        call.name.partition(".")[0] == undo.name.partition(".")[0] and not undo.effects & ~call.effects
        for call in others
    ) and all(str(leaf.value) in values for leaf in things)


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


def _meant(call: Call, words: Words) -> bool:
    doing, about = _parts(call)
    title = content(call.operation.title if call.operation else "")
    verbs = [word for word in doing if word in _VERBS]
    if not verbs and title and title[0] in _VERBS and not any(word in _CREATING for word in doing):
        verbs = [title[0]]
    if not call.effects & ~int(bits.READ | bits.SENSE) and _names_it(call, words):
        return True
    if call.effects & bits.SPEND:
        paying = _stems(
            "pay transfer buy order purchase donate book spend settle rent bill checkout charge tip reserve subscribe"
        )
        return words.money or any(words.says(word) for word in paying)
    if call.effects & bits.MOVE and any(words.says(word) for word in _MOVING):
        return True
    if call.effects & bits.EXECUTE and not verbs:
        verbs = list(_stems("run execute"))
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
        sink_of(call.effects, call.name, call.operation, leaf) == "path" and words.exactly(str(leaf.value))
        for leaf in call.leaves
    ):
        return True
    if words.temporal and not {"calendar", "calendars", "event", "reminder"}.isdisjoint((*doing, *about)):
        return True
    return any(words.says(word) for word in (*doing, *about, *title) if word not in _EMPTY)


_SAID_FOR: Final = {(stem(kind), stem(verb)): _stems(text) for (kind, verb), text in SAID_FOR.items()}
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
    if not {*tokens_of(call)}.isdisjoint(_CAPTURE):
        return False
    given = [leaf.value for leaf in call.leaves if isinstance(leaf.value, str) and leaf.value.strip()]
    return bool(given) and all(words.exactly(text) or (content(text) and words.named(text)) for text in given)


def _implied(call: Call, words: Words, verbs: list[str], about: list[str]) -> bool:
    """Verbs that people leave out: a thing and a state or an amount say it ("blinds to 40 percent")."""
    if not call.effects & bits.ACTUATE or call.effects & ~int(bits.ACTUATE | bits.READ | bits.NOTIFY):
        return False
    mild = not set(verbs) & _stems("unlock open disarm start dispense off lock arm stop pause return close")
    return mild and any(words.means(word) for word in about if not is_generic(word))


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
            if kind or leaf.given or not leaf.known or _is_length(call, leaf):
                continue
            problem = _unsaid(scene, call, leaf)
            if problem:
                yield _SAID(call.step, problem)


def _from_outside(scene: Scene, call: Call, leaf: Leaf) -> str:
    """Why a value that is only known later may not come from where it comes: all but what is written or read out."""
    names = field_words(call.operation, leaf)
    outside = not leaf.book and worse(leaf.label, "memory", "device", "model", "web")
    grave = scene.outward(call) or scene.physical(call) or call.effects & _GRAVE
    switching = call.effects & int(bits.ACTUATE) and worse(leaf.label, "memory", "model", "web")
    if switching and not leaf.book:
        return f"this is about {shown(leaf.value) if leaf.known else leaf.path}, {scene.whence(leaf)}"
    steers = grave or call.effects & bits.WRITE
    text = (is_content(call.operation, leaf) or names & _DATA) and not names & _LISTS
    text = text and {*tokens_of(call)}.isdisjoint(_ENDING)
    if outside and (names & _TIMES or names & _QUANTITY or (steers and not text)):
        return f"this is about {shown(leaf.value) if leaf.known else leaf.path}, {scene.whence(leaf)}"
    return ""


_LISTS: Final = _stems("list calendar channel folder group")
_DATA: Final = _stems("value data payload content contents line")
_ENDING: Final = _stems("cancel delete remove move reschedule clear erase trash")
_QUANTITY: Final = _stems(
    """amount dose dosage strength quantity count price total level units number duration length delay minutes
    hours seconds"""
)


def _untimed(scene: Scene, call: Call, leaf: Leaf, value: str, names: frozenset[str]) -> str:
    if not scene.claims(leaf, model=True):
        return f"this is for {shown(value)}, {scene.whence(leaf)}"
    # When an appointment ends follows from when it begins; when a key, a loan or a charge ends does not.
    follows = bool(names & _ENDS) and any(
        field_words(call.operation, other) & _STARTS for other in call.leaves
    )
    if (follows and not clock_times(scene.words.meant)) or time_said(value, scene.words):
        return ""
    return (
        ""
        if follows and not names & _BEGINS and scene.words.temporal
        else f"nobody said when: {shown(value)}"
    )


def _is_length(call: Call, leaf: Leaf) -> bool:
    """Whether it says how long, as text; that it was said is what `amounts` looks at."""
    named = bool(field_words(call.operation, leaf) & _QUANTITY)
    return named and isinstance(leaf.value, str) and number_of(call, leaf) is not None


def _unsaid(scene: Scene, call: Call, leaf: Leaf) -> str:
    value, names = leaf.value, field_words(call.operation, leaf)
    if isinstance(value, bool):
        if (
            value
            and names & _RISKY_FLAGS
            and not any(scene.words.means(word) for word in names & _RISKY_FLAGS)
        ):
            return f"nobody asked for {shown(leaf.path)}"
        return ""
    if not isinstance(value, str) or not value.strip():
        return ""
    if names & ACTION_FIELDS and not call.effects & bits.EXECUTE:
        return ""
    if value.casefold() in SELF or value.casefold() == scene.facts.name.casefold():
        return ""
    field = Scene.field(call, leaf)
    if field is not None and value in field.choices:
        risky = _stems(value.replace("_", " ")) & _RISKY_FLAGS
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
        return ""
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


__all__ = ["asked_for", "said"]
