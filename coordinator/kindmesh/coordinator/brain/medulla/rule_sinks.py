"""Who gets it, where it goes, what is run, what is opened: only from the person's own words, the address book or a
standing yes; never from the web, a device, a model, or a memory of them.

Addresses and commands have to be said as they are, names with all of their parts. A device or a room is compared with
what people call it: its place and its kind have to fit, and nothing that was said may point to another one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_kinds import ALL_KIND_STEMS, KIND_STEMS
from kindmesh.coordinator.brain.medulla.review_looks import addresses, look
from kindmesh.coordinator.brain.medulla.review_scene import SELF, Scene, Sentence, shown, worse
from kindmesh.coordinator.brain.medulla.review_sources import (
    is_address_book,
    name_words,
    sink_of,
)
from kindmesh.coordinator.brain.medulla.review_things import place_said, points_elsewhere, thing_meant
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import Words, content, is_generic, is_place, stem, tokens
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.policy import Answer

FOREIGN: Final = ("web", "device", "model")
"""Sources that never decide where something goes."""
_SINK: Final = Sentence("sink")
_KIND: Final = {
    "recipient": "who gets this", "link": "where this goes", "shell": "what is run", "path": "which file this is",
    "lock": "what is opened or locked", "thing": "which device this is",
}  # fmt: skip
_WOULD: Final = {
    "recipient": "this would go to", "link": "this would go to", "shell": "this would run",
    "path": "this is about the file", "lock": "this would open or lock", "thing": "this is about",
}  # fmt: skip


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


def sinks(scene: Scene) -> Iterator[Reason]:
    """See the module."""
    return _sinks(scene, lambda leaf: True)


def foreign_sinks(scene: Scene) -> Iterator[Reason]:
    """The same, of values that came from the web, a device or a model, as their labels say."""
    return _sinks(scene, lambda leaf: worse(leaf.label, *FOREIGN))


def _sinks(scene: Scene, looked_at: Callable[[Leaf], bool]) -> Iterator[Reason]:
    for call in scene.made.calls:
        if call.operation is None:
            continue
        lookup = is_address_book(call.name, call.operation)
        if lookup and any(scene.has_effect(other) for other in scene.made.calls):
            yield from (
                _SINK(call.step, problem) for leaf in call.leaves if (problem := _looked_up(scene, leaf))
            )
        for leaf in call.leaves:
            kind = sink_of(call.effects, call.name, call.operation, leaf)
            if not kind or not looked_at(leaf) or (not scene.has_effect(call) and kind != "link"):
                continue
            if lookup and kind == "recipient":
                continue
            problem = (
                "" if kind == "thing" and listed(scene, call, leaf) else _problem(scene, call, leaf, kind)
            )
            if problem:
                yield _SINK(call.step, problem, _gravity(call, leaf, kind))
        if call.target is not None and looked_at(call.target):
            problem = _problem(scene, call, call.target, "thing") or _other_device(scene, call.target)
            if problem:
                yield _SINK(call.step, problem)


def _looked_up(scene: Scene, leaf: Leaf) -> str:
    """Why somebody is looked up, where something comes of it, whom nobody named."""
    if not leaf.known:
        return _unknown(scene, leaf, "recipient")
    if not isinstance(leaf.value, str) or not leaf.value.strip():
        return ""
    if not scene.claims(leaf):
        return f"this looks up {shown(leaf.value)}, {scene.whence(leaf)}"
    return (
        ""
        if scene.words_for(leaf).named(leaf.value)
        else f"this looks up {shown(leaf.value)}, and nobody said so"
    )


def _other_device(scene: Scene, target: Leaf) -> str:
    """Why the device that shall do it is not the one that was named; a part of its name is not enough."""
    value = target.value
    if not isinstance(value, str) or value in scene.facts.names:
        return ""
    strange = [
        word for word in content(value.replace("_", " ").replace("-", " "))
        if word not in ALL_KIND_STEMS and not is_generic(word) and not word.isdigit() and not scene.words.says(word)
    ]  # fmt: skip
    return f"{_WOULD['thing']} {scene.called(value)}, and nobody said so" if strange else ""


def _gravity(call: Call, leaf: Leaf, kind: str) -> Answer | None:
    if not worse(leaf.label, "web"):
        return None
    grave = kind in ("shell", "lock") or call.effects & (bits.SPEND | bits.EXECUTE)
    return "deny" if grave else None


def _problem(scene: Scene, call: Call, leaf: Leaf, kind: str) -> str:
    if leaf.book and not worse(leaf.label, "web", "model"):
        return "" if kind == "recipient" else _unknown(scene, leaf, kind)
    if not leaf.known:
        return _unknown(scene, leaf, kind)
    if leaf.value in (None, "", [], {}):
        return ""
    if scene.is_default(call, leaf):
        return ""
    if not scene.claims(leaf, model=kind == "thing"):
        return f"{_WOULD[kind]} {scene.called(str(leaf.value))}, {scene.whence(leaf)}"
    words = scene.words_for(leaf)
    if kind == "link" and leaf.value in scene.facts.names:
        kind = "thing"
    text = (
        leaf.value
        if isinstance(leaf.value, str)
        else f"{leaf.value:g}"
        if isinstance(leaf.value, (int, float))
        else str(leaf.value)
    )
    if kind in {"lock", "thing"}:
        fits = thing_named(scene, call, text, words, strict=kind == "lock")
    elif kind == "shell":
        fits = words.exactly(text) or (not _looks_run(text) and _plainly(text, words))
    elif kind == "path":
        fits = words.exactly(text) or file_named(text, words)
    else:
        fits = _addressed(scene, text, words)
    if fits:
        return ""
    return f"{_WOULD[kind]} {scene.called(text)}, and nobody said so"


def _unknown(scene: Scene, leaf: Leaf, kind: str) -> str:
    origin = scene.origin(leaf)
    return f"{_KIND[kind]} comes from {origin}" if origin else f"nobody said {_KIND[kind]}"


def _looks_run(text: str) -> bool:
    return any(sign in text for sign in "|;&$`><\\/=-*(){}")


def _plainly(text: str, words: Words) -> bool:
    return words.named(text)


def file_named(text: str, words: Words) -> bool:
    """Whether a file was named by the last part of its path; where a path of that name was said, it is that one."""
    name = text.replace("\\", "/").rstrip("/").split("/")[-1]
    stem_, _, ending = name.rpartition(".")
    if not (stem_ and len(ending) <= 5):
        stem_ = name
    if re.search(rf"[\w.~-]/{re.escape(name.casefold())}(?![\w.-])", words.text):
        return False
    outside = ".." in text or text.startswith(("/etc", "/root", "/bin", "/usr", "/var", "~/.", "/."))
    return not outside and words.named(stem_.replace("_", " ").replace("-", " "))


def _addressed(scene: Scene, text: str, words: Words) -> bool:
    facts = scene.facts
    plain = text.strip().casefold()
    if plain in SELF or (facts.name and plain == facts.name.casefold()):
        return True
    for name, known in facts.address_book.items():
        if words.named(name) and plain in {one.casefold() for one in (*known, name)}:
            return True
    if text.casefold().startswith("http://") and "https://" + text.casefold()[7:] in words.text:
        return False
    if look(text) in ("recipient", "link", "shell") or addresses(text) or "@" in text:
        return words.exactly(text) or words.exactly(_without_scheme(text))
    if any(sign.isdigit() for sign in text):
        return words.exactly(text) or words.named(text)
    return words.named(text)


def _without_scheme(text: str) -> str:
    return (
        text.split("://", 1)[-1].rstrip("/").removeprefix("www.")
        if "://" in text
        else text.removeprefix("@").removeprefix("#")
    )


def thing_named(scene: Scene, call: Call, text: str, words: Words, *, strict: bool) -> bool:
    """Whether a device, entity or room was meant; `strict`: it locks or opens, so all of its name has to be there."""
    if text.casefold() in ("all", "*", "everything", "any"):
        return words.everything
    if text in scene.facts.names:
        return thing_meant(scene, call, text, words, opening=strict and scene.opening(call))
    domain, _, rest = text.partition(".")
    if (look(text) in ("recipient", "link", "shell", "path") and "/" not in text[:1]) or addresses(text):
        # No thing at home is called that.
        return False
    if "." in rest or "/" in text:
        return words.exactly(text)
    if not rest or " " in text:
        return _loose(scene, text, words, strict)
    parts = [stem(word) for word in tokens(rest.replace("_", " ")) if not word.isdigit()]
    kinds = KIND_STEMS.get(domain, frozenset({stem(word) for word in tokens(domain.replace("_", " "))}))
    kind_said = any(words.says(word) or scene.words.says(word) for word in kinds) or any(
        words.means(stem(word)) for word in tokens(domain.replace("_", " "))
    )
    own = [word for word in parts if word not in kinds and not is_generic(word)]
    kind_named = [word for word in parts if word in kinds]
    if strict:
        # A door and a lock are said for each other; what tells two of them apart has to be said.
        return bool(kind_said) and all(words.says(word) for word in own) and bool(own or kind_named)
    if not own:
        # light.lamp, cover.blinds: its kind is its whole name.
        near = kind_said and domain in _ONE_OF_A_KIND
        return any(words.says(word) or (near and words.means(word)) for word in kind_named)
    known = [word for word in own if words.says(word) or (not is_place(word) and words.means(word))]
    if len(known) == len(own):
        return kind_said or not all(is_place(word) for word in own) or (words.everything and kind_said)
    if known and (kind_said or any(not is_place(word) for word in known)):
        return not points_elsewhere(scene, known, words)
    if kind_said and words.everything:
        return not points_elsewhere(scene, list(kinds), words)
    if (
        kind_said
        and not place_said(words)
        and (_any_will_do(scene, domain, kind_named, words) or _only_one(scene, text, domain))
    ):
        return True
    areas = {stem(word) for area in scene.facts.area for word in tokens(area)}
    return kind_said and bool(areas) and areas <= set(own) | kinds and not place_said(words)


_ONE_OF_A_KIND: Final = frozenset(
    {"timer", "todo", "calendar", "vacuum", "shopping_list", "lawn_mower", "reminder", "alarm"}
)
"""Kinds of things of which a home has one, or where it does not matter which."""


def _any_will_do(scene: Scene, domain: str, named: list[str], words: Words) -> bool:
    """Whether the kind says enough: a timer or a list, when no other one was spoken of."""
    return domain in _ONE_OF_A_KIND and bool(named) and not points_elsewhere(scene, named, words)


def _only_one(scene: Scene, text: str, domain: str) -> bool:
    """Whether the home, as far as it is known, has one such thing."""
    return scene.home.is_only(text, domain)


def _loose(scene: Scene, text: str, words: Words, strict: bool) -> bool:
    """Names and identifiers of other systems: `Kitchen Lamp`, `lamp_12`, `kitchen`."""
    parts = [
        stem(word)
        for word in tokens(text.replace("_", " ").replace(".", " "))
        if not any(sign.isdigit() for sign in word)
    ]
    own = [word for word in parts if not is_generic(word)] or parts
    if not own:
        return words.exactly(text)
    numbers = [word for word in tokens(text.replace("_", " ")) if word.isdigit()]
    if numbers and not all(float(word) in words.numbers for word in numbers) and strict:
        return False
    known = [
        word for word in own if words.says(word) or (not strict and not is_place(word) and words.means(word))
    ]
    if known and not strict:
        # Its kind may have been said elsewhere: "blinds in the living room".
        known += [
            word for word in own if word not in known and word in ALL_KIND_STEMS and scene.words.says(word)
        ]
    if len(known) == len(own):
        return True
    return (
        not strict
        and bool(known)
        and any(not is_place(word) for word in known)
        and not points_elsewhere(scene, known, words)
        and not _other_place(own, words)
    )


def _other_place(own: list[str], words: Words) -> bool:
    """Whether it lies in one place and another was said."""
    places = {word for word in own if is_place(word)}
    return bool(places) and not places & words.stems


def listed(scene: Scene, call: Call, leaf: Leaf) -> bool:
    """Whether it is one of those that a device listed, all of which were meant: "turn off all the lights"."""
    if leaf.known or call.over is None or not worse(leaf.label, "device") or not worse(call.over, "device"):
        return False
    if scene.physical(call) or call.effects & ~int(bits.ACTUATE | bits.READ | bits.NOTIFY):
        return False
    head = call.name.partition(".")[0]
    reading = [other for other in scene.made.calls if not scene.acts(other)]
    if not reading or any(other.name.partition(".")[0] != head for other in reading):
        return False
    kinds = scene.words.stems & ALL_KIND_STEMS - _SWITCHING
    named = any(kinds.intersection(name_words(one.name, one.operation)) for one in (call, *reading))
    return scene.words.everything and named and not points_elsewhere(scene, (), scene.words)


_SWITCHING: Final = _stems("open close run play clean bright dim")


def signature(call: Call) -> str:
    """All that a call is given, as one text: two calls with the same do the same."""
    given = [f"{leaf.path}={'?' if not leaf.known else leaf.value!r}".casefold() for leaf in call.leaves]
    return sha256("\n".join(sorted(given)).encode("utf-8", "replace")).hex()[:32]


__all__ = ["FOREIGN", "file_named", "foreign_sinks", "listed", "signature", "sinks", "thing_named"]
