"""Which thing of a home that is known was meant by the proven words: by its name, by a part of a name that fits nothing
better, by its kind and where it is, by "everything", or because no other one of its kind is there.

Rules: what opens something is meant only where nothing else of its kind fits as well; a place or another thing that was
named, and that the plan does nothing with, speaks against it; words that nothing in the plan accounts for do as well.
What closes, locks or switches off may be meant with all of its kind. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_kinds import ALL_KIND_STEMS, KIND_STEMS
from kindmesh.coordinator.brain.medulla.review_nicknames import is_outside, nicknamed
from kindmesh.coordinator.brain.medulla.review_scene import Scene, compiled
from kindmesh.coordinator.brain.medulla.review_words import Words, content, is_place, stem


@lru_cache(maxsize=64)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_ROOM_DEGREES: Final = (5.0, 30.0)
"""What a number said of a room, and of nothing in it, can mean in degrees (°C)."""
_PASSING: Final = frozenset({
    "media_pause", "media_play", "media_stop", "media_next_track", "media_previous_track", "media_play_pause",
    "volume_mute", "volume_set", "volume_up", "volume_down",
})  # fmt: skip
"""What can be done to whatever plays just now, which only its state tells: nothing lasts, nothing is bought."""
_FILLER: Final = _stems(
    """please turn switch make set get put give bring let go room bit lot thing stuff light lights upstairs
    downstairs percent degrees degree minute hour second half all every everything both whole entire
    time day night bed sleep dark bright movie leaving leave gone away here there coming home house flat
    apartment bungalow cottage
    warm cold hot too late early good morning evening dinner now tired hurry
    off notch another extra take give stop start cut trim begin run keep resume crank whack knock kick bang stick hit
    dial bump nudge fade tune glow shine shall needs level mode setting
    gloomy murky dingy dazzling blinding harsh nippy perishing roasting boiling baking stifling stuffy muggy scorching
    smidge smidgen fraction hair crack chink inch bit slightly somewhat further gently soft deep pale rich warm pretty
    blast pelt flat throttle belt bore outdoor outdoors outside going running started about around roughly
    kindly love dear darling honey sweetheart mate favour favor maybe perhaps possible mind thanks cheers moment
    actually right back also other ones one quarter third full way max min maximum minimum touch notch
    tad little completely fully everywhere wish able everyone anything"""
)


def thing_meant(scene: Scene, call: Call, text: str, words: Words, *, opening: bool) -> bool:
    """Whether this thing (an id among the names that are known) was meant; `opening`: the call opens, unlocks or starts
    something that somebody could be hurt by."""
    called = scene.home[text]
    words = _before_exceptions(words)
    said = scene.named(words)
    if _is_place(text):
        return bool(said.intersection(called))
    others = _own_names(scene, said, text)
    own = [
        name for name in said.intersection(called) if scene.home.is_own(name) and not _part_of(name, others)
    ]
    if own and (_exactly(own, words) or not _exactly(others, words)):
        return True
    kind = text.partition(".")[0]
    kinds = KIND_STEMS.get(kind, frozenset({stem(kind)}))
    if not opening and _nearly(scene, text, words):
        return True
    there, kind_said = bool(said.intersection(called)), any(scene.words.says(word) for word in kinds)
    kind_said = kind_said or (not opening and _implied(scene, call, kind))
    strays = _elsewhere(scene, said, words)
    if not opening and not strays and (nicknamed(scene, text, words) or _by_option(scene, call, words)):
        return True
    if not opening and kind_said and not strays and is_outside(scene, text, words):
        return True
    if strays or points_elsewhere(scene, kinds, words):
        # Words that only say more of where it stands: "the lights off in the lounge".
        return not opening and not strays and there and kind_said
    if not opening and words.everything and not _of_another_kind(words, kind):
        if "everyth" in words.stems and not there and not _in_the_room(scene, text):
            return False
        return there or not any(name in scene.home.places or not scene.home.is_own(name) for name in said)
    if kind == "climate" and not opening and there and _degrees(call):
        return True
    best = _best(scene, words, text, kind)
    by_name = not opening and _partly_named(scene, words, text)
    if best == {text} and (kind_said or by_name) and not names_another(scene, text, words):
        return True
    if text in best and by_name and words.everything:
        return True
    return kind_said and _of_its_kind(scene, call, text, words, best, opening=opening)


def _implied(scene: Scene, call: Call, kind: str) -> bool:
    """Whether what is done says of which kind the thing is: a source by its name is a player's, ticking off is done on
    a list."""
    verbs = [
        leaf.value.partition(".")[2] for leaf in call.leaves
        if isinstance(leaf.value, str) and leaf.value.startswith(f"{kind}.")
    ]  # fmt: skip
    if kind == "media_player" and "select_source" in verbs:
        return any(
            leaf.field == "data" and isinstance(leaf.value, str) and scene.words.exactly(leaf.value)
            for leaf in call.leaves
        )
    return kind == "todo" and "update_item" in verbs and bool(scene.words.stems & _TICKED)


_TICKED: Final = _stems("tick cross check strike bought fetched done finished")


def _of_its_kind(scene: Scene, call: Call, text: str, words: Words, best: set[str], *, opening: bool) -> bool:
    """Whether, its kind being said, this one of the kind is meant; see `thing_meant`."""
    kind, called = text.partition(".")[0], scene.home[text]
    alike = scene.home.of_kind(kind)
    if alike == (text,):
        return True
    if kind in _ANY_WILL_DO and (text in best or not best):
        return True
    if best and text not in best:
        return False
    if text in best and (words.everything or (words.plural and not opening and best <= scene.used)):
        return True
    if scene.named(words).intersection(called):
        return not opening or words.everything or _alone(scene, kind, called, words)
    if kind == "lock" and not opening and not best:
        return True
    near = _near(scene, alike)
    if kind == "media_player" and not best and not near and _passing(call):
        return True
    return text in near and not opening


def _by_option(scene: Scene, call: Call, words: Words) -> bool:
    """Whether a player was told by what it can be switched to, said as it is ("HDMI 1") where no room is known."""
    if scene.facts.area:
        return False
    things = {leaf.value for leaf in call.leaves if isinstance(leaf.value, str)}
    sources = [
        leaf.value for leaf in call.leaves
        if isinstance(leaf.value, str) and leaf.path.rpartition(".")[2] in ("source", "sound_mode")
    ]  # fmt: skip
    players = [one for one in things if one in scene.home and one.startswith("media_player.")]
    return len(players) == 1 and len(sources) == 1 and words.exactly(sources[0])


def _in_the_room(scene: Scene, text: str) -> bool:
    """Whether "everything" can mean this: it is in the room where that was said, or nobody said it in a room that is
    known, or the whole house was spoken of."""
    room = scene.facts.area[0].casefold() if scene.facts.area else ""
    if not room or scene.words.stems & _WHOLE:
        return True
    inside = [one for one in scene.home if "." in one and room in map(str.casefold, scene.home[one])]
    return not inside or text in inside


_WHOLE: Final = _stems("house home flat apartment everywhere whole entire")


def _near(scene: Scene, alike: Iterable[str]) -> set[str]:
    """Those in the room where the sentence was said; where there is none, those on its floor."""
    places = [area.casefold() for area in scene.facts.area]
    for some in (places[:1], places):
        found = {one for one in alike if any(name.casefold() in some for name in scene.home[one])}
        if found:
            return found
    return set()


def _exactly(names: Iterable[str], words: Words) -> bool:
    """Whether one of these names was said in its own words, and not in those of its like ("telly" for "TV")."""
    return any(all(words.says(word) for word in content(name)) for name in names)


def _part_of(name: str, others: Iterable[str]) -> bool:
    """Whether another name that was said has all that this one has, and more: "list" in "shopping list"."""
    return any(set(content(name)) < set(content(other)) for other in others)


def _own_names(scene: Scene, said: Iterable[str], text: str) -> list[str]:
    """Names that were said, each of one other thing only of the same kind."""
    kind = text.partition(".")[0]
    return [
        name for name in said
        if scene.home.owner(name) not in ("", text) and scene.home.owner(name).partition(".")[0] == kind
    ]  # fmt: skip


_ANY_WILL_DO: Final = frozenset({"timer", "todo", "calendar"})
"""Kinds of things of which it does not matter which, when no other one was spoken of."""


def _before_exceptions(words: Words) -> Words:
    """What was said without what comes after "except", which is named to be left alone."""
    parts = _EXCEPT.split(words.text, maxsplit=1)
    return compiled((parts[0],)) if len(parts) > 1 and parts[0].strip() else words


_EXCEPT: Final = re.compile(
    r"\b(?:except|apart from|other than|but|besides|excluding|außer|ausser|bis auf)\b|(?:,|\band) (?:leave|keep)\b"
)


def _is_place(text: str) -> bool:
    return "." not in text


def _nearly(scene: Scene, text: str, words: Words) -> bool:
    return text in (scene.home.nearly(words), scene.home.fitting(words)) and not names_another(
        scene, text, words
    )


def _of_another_kind(words: Words, kind: str) -> bool:
    """Whether "all" is said of a kind that this is none of: "all the lights" is no fan."""
    mine = KIND_STEMS.get(kind, frozenset())
    if words.stems & mine:
        return False
    return any(words.stems & KIND_STEMS[other] for other in _PLAIN_KINDS if other != kind)


_PLAIN_KINDS: Final = [
    "light",
    "cover",
    "climate",
    "media_player",
    "lock",
    "fan",
    "switch",
    "valve",
    "vacuum",
]


def _elsewhere(scene: Scene, said: Iterable[str], words: Words) -> frozenset[str]:
    """Names that were said and that nothing of the plan is called, is in, or is given as a value."""
    here = {name for one in scene.used for name in scene.facts.names.get(one, ())}
    return frozenset(
        name for name in said
        if name not in here and _exactly((name,), words)
        and not all(word in scene.mentioned for word in content(name))
    )  # fmt: skip


def _best(scene: Scene, words: Words, text: str, kind: str) -> set[str]:
    """Things of this kind in whose names most of what was said is; empty where no word is of any name."""
    found = {
        known: frozenset(word for word in scene.home.parts(known) if words.says(word) and word not in _FILLER)
        for known in scene.home.of_kind(kind)
    }
    most = found.get(text, frozenset())
    if not most or any(not other <= most for other in found.values()):
        return {
            known
            for known, other in found.items()
            if other and not any(other < more for more in found.values())
        }
    return {known for known, other in found.items() if other == most}


def _alone(scene: Scene, kind: str, called: Iterable[str], words: Words) -> bool:
    """Whether only one thing of the kind is in a place that was named."""
    wanted = scene.named(words).intersection(called)
    there = [known for known in scene.home.of_kind(kind) if wanted.intersection(scene.home[known])]
    return len(there) == 1


def _partly_named(scene: Scene, words: Words, text: str) -> bool:
    """Whether a word was said that is in its own names, and not only in that of where it is."""
    places = scene.home.places
    own = {word for name in scene.home[text] if name not in places for word in content(name)}
    return any(words.says(word) and word not in _FILLER for word in own)


def _degrees(call: Call) -> bool:
    """Whether a temperature is set that rooms have (that it was said is looked at by itself)."""
    return any(
        leaf.path.endswith("temperature") and isinstance(leaf.value, (int, float))
        and _ROOM_DEGREES[0] <= leaf.value <= _ROOM_DEGREES[1]
        for leaf in call.leaves
    )  # fmt: skip


def _passing(call: Call) -> bool:
    return any(
        isinstance(leaf.value, str) and leaf.value.partition(".")[2] in _PASSING for leaf in call.leaves
    )


def names_another(scene: Scene, text: str, words: Words) -> bool:
    """Whether the sentence, beyond the words of this thing, names another one that the plan does nothing with."""
    beyond = scene.named(scene.words) - scene.named(words)
    others = {scene.home.owner(name) for name in beyond} - {"", text}
    return bool(others) and not others <= scene.used


def points_elsewhere(scene: Scene, known: Iterable[str], words: Words) -> bool:
    """Whether something was said that no part of the plan accounts for, and that could name another thing."""
    left = words.unexplained((*scene.mentioned, *known)) & scene.words.stems
    return any(word not in ALL_KIND_STEMS and len(word) > 2 and word not in _FILLER for word in left)


def place_said(words: Words) -> bool:
    """Whether a word was said that only says where."""
    return any(is_place(word) for word in words.stems)


__all__ = ["names_another", "place_said", "points_elsewhere", "thing_meant"]
