"""The official grammar: `hassil` over the sentences of `home-assistant-intents` (text CC BY 4.0, Open Home Foundation).

The only module that imports the two; both are loaded when the first sentence comes. The grammar of a language is
parsed once and shared. What it can hear of a home (names, aliases, areas, floors) is a set of slot lists, made once
for each structure of a home: states change all the time, names hardly ever.

hassil answers with the words it matched (spans of characters), from which the positions of words are counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.intents.meaning import Meaning, Slot, Target, words_between
from kindmesh.protocol.errors import ConfigError

if TYPE_CHECKING:
    from hassil.intents import SlotList
    from hassil.recognize import RecognizeResult

_IDS: Final = "ids"
_HERE: Final = "area"


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(f"{error.name} is not installed", hint="pip install 'kindmesh[brain]'")


@lru_cache(maxsize=8)
def _data(language: str) -> Mapping[str, Any]:
    try:
        from home_assistant_intents import get_intents  # noqa: PLC0415 - an extra: loaded when the first sentence comes
    except ImportError as error:
        raise _missing(error) from error
    data = get_intents(language)
    return data if data is not None else {}


class _Grammar(msgspec.Struct, frozen=True):
    """A parsed grammar; `clauses`: each set of literal pieces of which a template needs one (`pieces`: all of them);
    `needs`: for each block of templates the clauses (by number) that each needs, all of a template's at once."""

    intents: Any
    clauses: tuple[frozenset[str], ...]
    pieces: frozenset[str]
    needs: tuple[tuple[Any, Any, tuple[frozenset[int], ...]], ...]

    def fitting(self, text: str) -> Any:
        """Only the blocks that the sentence can be of. hassil asks the same of every template at every sentence; here
        each clause is looked for once."""
        from hassil import Intents  # noqa: PLC0415 - an extra: loaded when the first sentence comes
        from hassil.intents import Intent  # noqa: PLC0415 - as above

        said = text.casefold()
        heard = {piece for piece in self.pieces if piece in said}
        there = frozenset(
            number for number, clause in enumerate(self.clauses) if not heard.isdisjoint(clause)
        )
        found: dict[str, Any] = {}
        for intent, block, templates in self.needs:
            if any(template <= there for template in templates):
                found.setdefault(intent.name, Intent(intent.name)).data.append(block)
        whole = self.intents
        return Intents(
            whole.language, found, whole.slot_lists, whole.expansion_rules, whole.skip_words, whole.settings
        )


@lru_cache(maxsize=8)
def _grammar(language: str) -> _Grammar | None:
    try:
        from hassil import Intents  # noqa: PLC0415 - an extra: loaded when the first sentence comes
    except ImportError as error:
        raise _missing(error) from error
    data = _data(language)
    if not data:
        return None
    intents = Intents.from_dict(dict(data))
    numbers: dict[frozenset[str], int] = {}
    needs: list[tuple[Any, Any, tuple[frozenset[int], ...]]] = []
    for intent in intents.intents.values():
        for block in intent.data:
            rules = {**intents.expansion_rules, **block.expansion_rules}
            templates = [
                frozenset(
                    numbers.setdefault(clause, len(numbers)) for clause in one.get_required_clauses(rules)
                )
                for one in block.sentences
            ]
            needs.append((intent, block, tuple(dict.fromkeys(templates))))
    return _Grammar(intents, tuple(numbers), frozenset().union(*numbers), tuple(needs))


def responses(language: str) -> Mapping[str, Mapping[str, str]]:
    """Templates that answer an intent, by intent and key."""
    found = _data(language).get("responses", {}).get("intents", {})
    return found if isinstance(found, Mapping) else {}


def complaints(language: str) -> Mapping[str, str]:
    """Templates for what could not be done, by key (`no_area` ...)."""
    found = _data(language).get("responses", {}).get("errors", {})
    return found if isinstance(found, Mapping) else {}


class Ear(msgspec.Struct, frozen=True):
    """What can be heard of one home."""

    lists: dict[str, Any]


def ear_of(home: Home) -> Ear:
    """Slot lists of a home's names. The same name for several things of one domain is one entry with all ids."""
    try:
        from hassil.intents import TextSlotList  # noqa: PLC0415 - an extra: loaded when the first sentence comes
    except ImportError as error:
        raise _missing(error) from error
    names: dict[tuple[str, str], list[str]] = {}
    spoken: dict[tuple[str, str], str] = {}
    for one in home.entities.values():
        for name in (one.name, *one.aliases):
            key = (name.casefold().strip(), one.domain)
            if key[0]:
                names.setdefault(key, []).append(one.id)
                spoken.setdefault(key, one.name)
    lists: dict[str, SlotList] = {
        "name": TextSlotList.from_tuples(
            [(_plain(key[0]), spoken[key], {"domain": key[1]}, {_IDS: tuple(ids)}) for key, ids in names.items()],
            name="name", allow_template=False,
        ),
        "area": TextSlotList.from_tuples(
            [(_plain(said), area.name, {}, {_IDS: (area.id,)})
             for area in home.areas.values() for said in (area.name, *area.aliases) if said.strip()],
            name="area", allow_template=False,
        ),
        "floor": TextSlotList.from_tuples(
            [(_plain(said), floor.name, {}, {_IDS: (floor.id,)})
             for floor in home.floors.values() for said in (floor.name, *floor.aliases) if said.strip()],
            name="floor", allow_template=False,
        ),
    }  # fmt: skip
    return Ear(lists)


def _plain(name: str) -> str:
    return " ".join(name.replace("\u2019", "'").split())


def read(text: str, ear: Ear, language: str) -> Meaning | None:
    """What the official grammar makes of a sentence; None when it does not know it."""
    grammar = _grammar(language)
    if grammar is None:
        return None
    from hassil import recognize_best  # noqa: PLC0415 - an extra: loaded when the first sentence comes

    found = recognize_best(
        text,
        grammar.fitting(text),
        slot_lists=ear.lists,
        intent_context={_HERE: ""},
        best_slot_name="name",
        language=language,
    )
    return None if found is None else _meaning(text, found)


def _meaning(text: str, found: RecognizeResult) -> Meaning:
    slots: dict[str, Slot] = {}
    ids: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()
    words: set[int] = set()
    here = False
    for one in found.entities_list:
        at = words_between(text, *_span(text, one.text, *one.text_span)) if one.text_span else ()
        known = tuple(one.metadata.get(_IDS, ())) if one.metadata else ()
        if one.name == _HERE and one.value == "":
            here = True
            continue
        value = one.value.strip() if isinstance(one.value, str) else one.value
        slots[one.name] = Slot(value, one.text_clean, at)
        if one.name == "name" and known:
            ids = known
        elif one.name == "area":
            areas = known
        elif one.name == "floor":
            floors = known
        if one.name in ("name", "area", "floor", "device_class", "domain"):
            words.update(at)
    domain = slots["domain"].value if "domain" in slots else ""
    kind = slots["device_class"].value if "device_class" in slots else ""
    target = Target(
        ids=ids, domains=(domain,) if domain else (), classes=(kind,) if kind else (), areas=areas, floors=floors,
        here=here, words=tuple(sorted(words)),
    )  # fmt: skip
    return Meaning(found.intent.name, slots, (target,), found.response or "default")


def _span(text: str, said: str, start: int, end: int) -> tuple[int, int]:
    """Where `said` stands in `text`. The matcher's own spans run ahead behind a number or an article, so one that does
    not hold what was matched is moved to the nearest place that does."""
    wanted, heard = said.strip().casefold(), text.casefold()
    if not wanted or heard[start:end].strip() == wanted or len(heard) != len(text):
        return start, end
    places = [one.start() for one in re.finditer(rf"(?<!\w){re.escape(wanted)}(?!\w)", heard)]
    if not places:
        return start, end
    begin = min(places, key=lambda place: (abs(place - start), place))
    return begin, begin + len(wanted)


__all__ = ["Ear", "complaints", "ear_of", "read", "responses"]
