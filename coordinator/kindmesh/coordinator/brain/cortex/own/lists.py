"""Lists: put on, take off, tick, ask. "Milk and eggs" are two things, "this item" is none; taking off and ticking are
left to the official grammar where it understands them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.lists import TO_DO, items_of
from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Words
from kindmesh.coordinator.brain.cortex.own.phrase import Found, Phrase, Sentences, at, listed
from kindmesh.coordinator.brain.cortex.split import has_verb
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised
from kindmesh.coordinator.brain.cortex.times import times

NOTE: Final = "home.note"
_LIST: Final = "todo"


_WORDS_MAX: Final = 4
"""Words of a thing that somebody has run out of; what is longer says something else."""
_OFF: Final = ("ListTick", "ListRemove")


class Lists:
    """`before` the home's intents: adding and asking; after them: taking off."""

    def __init__(self, language: Language, *, before: bool) -> None:
        first = (
            "ListAdd",
            "ListQuery",
            "ListShop",
            "ListCount",
            "ListHas",
            "ListWanted",
            "ListLists",
            "ListClear",
            *_OFF,
        )
        self._sentences = Sentences(language, first if before else (*_OFF, "ListNeed", "TickAny", "ListPut"))
        self._before = before
        self._words = language.words
        self._language = language

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        for found in self._sentences.all(phrase.words):
            made = self._found(found, phrase)
            if made is not None:
                return made
        return None

    def _found(self, found: Found, phrase: Phrase) -> Recognised | None:
        lists = [one for one in phrase.situation.home.entities.values() if one.domain == _LIST]
        if found.intent == "ListLists":
            names = listed((one.name for one in lists), self._language)
            said = phrase.reply("lists", names=names) if lists else phrase.reply("no_lists")
            return phrase.understood("ListLists", text=said)
        if found.intent == "ListNeed":
            return self._need(found, lists, phrase)
        if found.intent == "TickAny":
            return self._tick(found, lists, phrase)
        if found.intent == "ListPut" and not self._bare_things(found):
            return None
        if found.intent == "ListShop":
            return self._to_buy(found, lists, phrase)
        if found.intent == "ListWanted":
            return self._wanted(found, lists, phrase)
        name, due = self._due(found, phrase)
        chosen = self._chosen(name, lists, phrase)
        if chosen is None or isinstance(chosen, Recognised):
            return chosen
        if found.intent in ("ListAdd", "ListPut"):
            return self._add(found, chosen, name, due, phrase)
        if found.intent in ("ListTick", "ListRemove"):
            return self._off(found, chosen, name, phrase)
        if found.intent == "ListClear":
            return self._clear(chosen, name, phrase)
        return self._asked(found, chosen, phrase)

    def _due(self, found: Found, phrase: Phrase) -> tuple[Words, str]:
        """The list's name without a day behind it ("my list for tomorrow"), and that day."""
        situation = phrase.situation
        name, when = times(self._language.code).extract(
            found.slots["list"], situation.now_ms, situation.zone, firm=True
        )
        return (name, when.day) if when is not None and name and when.day else (found.slots["list"], "")

    def _chosen(self, name: Words, lists: list[Entity], phrase: Phrase) -> Entity | Recognised | None:
        said = [word.low for word in name]
        if any(word in (*self._language.conditions, *self._language.negations) for word in said):
            return None
        spoken = any(word in self._words["list"] for word in said)
        bare = [word for word in said if word not in self._words["list"] and word not in self._words["empty"]]
        if not bare:
            if not spoken:
                return None
            shopping = [one for one in lists if self._is(one, self._words["shopping"])]
            pool = shopping if len(shopping) == 1 else lists
        else:
            pool = [one for one in lists if " ".join(bare) in self._names(one)]
            # Reminders are written on the list of tasks, where there is none for them.
            for group, called in (("shopping", "shopping"), ("todo", "todo"), ("reminders", "todo")):
                if not pool and " ".join(bare) in self._words[group]:
                    pool = [one for one in lists if self._is(one, self._words[called])]
            if not pool and not spoken:
                return None
        if len(pool) == 1:
            return pool[0]
        if pool:
            names = listed((one.name for one in pool), self._language, choice=True)
            return phrase.understood("List", question=phrase.reply("which_list", names=names))
        if not lists:
            return phrase.understood("List", text=phrase.reply("no_lists"))
        return phrase.understood("List", text=phrase.reply("no_list", name=phrase.original(name)))

    def _names(self, entity: Entity) -> set[str]:
        names = set()
        for name in (entity.name, *entity.aliases, entity.id.partition(".")[2].replace("_", " ")):
            words = name.lower().replace("-", " ").split()
            names |= {
                name.lower(),
                " ".join(words),
                " ".join(w for w in words if w not in self._words["list"]),
            }
        return names

    def _is(self, entity: Entity, words: tuple[str, ...]) -> bool:
        return bool(self._names(entity) & set(words))

    def _items(self, found: Found, phrase: Phrase) -> list[Words]:
        """The things of an enumeration; a pair that belongs together stays together."""
        slot = found.slots["item"]
        words = [word for word in phrase.words if slot[0].at <= word.at <= slot[-1].at]
        paired = {
            number + 1
            for number in range(len(words) - 2)
            if " ".join(word.low for word in words[number : number + 3]) in self._words["pairs"]
        }
        items: list[Words] = []
        current: list[Any] = []
        for number, word in enumerate(words):
            joins = word.low in self._language.times.and_ and number not in paired
            if word.text == COMMA or joins:
                items += [tuple(current)] if current else []
                current = []
            else:
                current.append(word)
        items += [tuple(current)] if current else []
        return [self._bare(item) for item in items]

    def _bare(self, item: Words) -> Words:
        while len(item) > 1 and item[0].low in self._words["some"]:
            item = item[1:]
        return item

    def _vague(self, items: list[Words]) -> bool:
        """Whether something is no item: words for anything, or what ends in a pronoun ("put them on the list")."""
        return not items or any(
            " ".join(word.low for word in item) in self._words["vague"]
            or item[-1].low in self._words["pronouns"]
            for item in items
        )

    def _add(self, found: Found, chosen: Entity, name: Words, due: str, phrase: Phrase) -> Recognised | None:
        items = self._items(found, phrase)
        if items and items[0] and items[0][0].low in self._language.prepositions:
            return None
        intent = "HassShoppingListAddItem" if self._is(chosen, self._words["shopping"]) else "HassListAddItem"
        if self._vague(items):
            return phrase.understood(intent, question=phrase.reply("what_item", list=chosen.name))
        if not phrase.offers(NOTE):
            return phrase.nobody_can(intent)
        acts, said = [], []
        for item in items:
            text = phrase.original(item)
            data = {"item": text, **({"due_date": due} if due else {})}
            words = {
                "entities": at(name),
                "data.item": at(item),
                **({"data.due_date": at(found.slots["list"])} if due else {}),
            }
            acts.append(Act(NOTE, {"service": "todo.add_item", "entities": [chosen.id], "data": data}, words))
            said.append(text)
        return phrase.understood(
            intent, *acts, key="own.added_many" if len(said) > 1 else "own.added",
            values={"items": listed(said, self._language), "list": chosen.name, "entity": chosen.id, "present": said},
            entities=(chosen.id,), slots={"item": listed(said, self._language), "name": chosen.name},
        )  # fmt: skip

    def _off(self, found: Found, chosen: Entity, name: Words, phrase: Phrase) -> Recognised | None:
        items = self._items(found, phrase)
        if self._before and not self._vague(items):
            return None
        intent = "HassListCompleteItem" if found.intent == "ListTick" else "HassListRemoveItem"
        if self._vague(items):
            return phrase.understood(intent, question=phrase.reply("which_item"))
        if not phrase.offers(NOTE):
            return phrase.nobody_can(intent)
        have = {str(row["summary"]).strip().casefold(): str(row["summary"]) for row in items_of(chosen)}
        acts, said = [], []
        for item in items:
            text = phrase.original(item)
            known = have.get(text.casefold()) or _only(text, have)
            if known is None:
                return phrase.understood(
                    intent, text=phrase.reply("not_on_list", item=text, list=chosen.name)
                )
            said.append(known)
            words = {"entities": at(name), "data.item": at(item)}
            if found.intent == "ListTick":
                args: dict[str, Any] = {"item": known, "status": "completed"}
                acts.append(
                    Act(NOTE, {"service": "todo.update_item", "entities": [chosen.id], "data": args}, words)
                )
            else:
                args = {"item": [known]}
                acts.append(
                    Act(NOTE, {"service": "todo.remove_item", "entities": [chosen.id], "data": args}, words)
                )
        return phrase.understood(
            intent, *acts, key="own.removed_many" if len(said) > 1 else "own.removed",
            values={"items": listed(said, self._language), "list": chosen.name, "entity": chosen.id, "absent": said},
            entities=(chosen.id,),
        )  # fmt: skip

    def _clear(self, chosen: Entity, name: Words, phrase: Phrase) -> Recognised:
        items = [str(row["uid"]) for row in items_of(chosen)]
        if not items:
            return phrase.understood("ListClear", text=phrase.reply("list_empty", list=chosen.name))
        if not phrase.offers(NOTE):
            return phrase.nobody_can("ListClear")
        args = {"service": "todo.remove_item", "entities": [chosen.id], "data": {"item": items}}
        summaries = [str(row["summary"]) for row in items_of(chosen)]
        return phrase.understood(
            "ListClear", Act(NOTE, args, {"entities": at(name), "data.item": at(phrase.plain)}), key="own.cleared",
            values={"list": chosen.name, "entity": chosen.id, "absent": summaries}, entities=(chosen.id,),
        )  # fmt: skip

    def _asked(self, found: Found, chosen: Entity, phrase: Phrase) -> Recognised:
        open_items = [str(row["summary"]) for row in items_of(chosen) if row["status"] == TO_DO]
        intent, about = found.intent, (chosen.id,)
        if found.intent == "ListHas":
            item = " ".join(word.low for word in self._bare(found.slots["item"]))
            if self._vague([found.slots["item"]]):
                return phrase.understood(intent, question=phrase.reply("which_item"))
            has = any(item in (one.casefold(), f"{one.casefold()}s") for one in open_items)
            key = "own.list_has" if has else "own.list_has_not"
            return phrase.understood(
                intent, key=key, values={"item": item, "list": chosen.name}, entities=about
            )
        if not open_items:
            return phrase.understood(
                intent, text=phrase.reply("list_empty", list=chosen.name), entities=about
            )
        if found.intent == "ListCount":
            key = "own.list_count_one" if len(open_items) == 1 else "own.list_count"
            values: dict[str, Any] = {"count": len(open_items), "list": chosen.name}
            return phrase.understood(intent, key=key, values=values, entities=about)
        values = {"items": listed(open_items, self._language), "list": chosen.name}
        return phrase.understood(intent, key="own.list", values=values, entities=about)

    def _bare_things(self, found: Found) -> bool:
        """Whether these are only things, and no sentence about them."""
        said = [word.low for word in found.slots["item"]]
        spoken = {*self._words.get("finite", ()), *self._language.negations, *self._language.conditions}
        spoken |= {*self._language.verbs, *self._words["mine"], *self._words["me"]}
        spoken |= {*self._words.get("not_ours", ())}
        first = has_verb(found.slots["item"], self._language) or said[0] in self._words.get("subjects", ())
        return not first and not spoken & set(said)

    def _tick(self, found: Found, lists: list[Entity], phrase: Phrase) -> Recognised | None:
        """ "Tick off X", where X stands on one list only."""
        text = phrase.original(self._bare(found.slots["item"]))
        fitting = []
        for one in lists:
            have = {str(row["summary"]).strip().casefold(): str(row["summary"]) for row in items_of(one)}
            if have.get(text.casefold()) or _only(text, have):
                fitting.append(one)
        if len(fitting) != 1:
            return None
        return self._off(
            msgspec.structs.replace(found, intent="ListTick"), fitting[0], found.slots["item"], phrase
        )

    def _wanted(self, found: Found, lists: list[Entity], phrase: Phrase) -> Recognised | None:
        """ "Do we need salt?": whether it is on the shopping list."""
        shopping = [one for one in lists if self._is(one, self._words["shopping"])]
        if len(shopping) != 1 or len(found.slots["item"]) > _WORDS_MAX:
            return None
        return self._asked(msgspec.structs.replace(found, intent="ListHas"), shopping[0], phrase)

    def _to_buy(self, found: Found, lists: list[Entity], phrase: Phrase) -> Recognised | None:
        """ "What do we need from the shop?": what is on the shopping list."""
        shopping = [one for one in lists if self._is(one, self._words["shopping"])]
        if len(shopping) != 1:
            return None
        return self._asked(msgspec.structs.replace(found, intent="ListQuery"), shopping[0], phrase)

    def _need(self, found: Found, lists: list[Entity], phrase: Phrase) -> Recognised | None:
        shopping = [one for one in lists if self._is(one, self._words["shopping"])]
        items = self._items(found, phrase)
        wordy = any(len(item) > _WORDS_MAX or has_verb(item, self._language) for item in items)
        if len(shopping) != 1 or wordy or self._vague(items):
            return None
        texts = [phrase.original(item) for item in items]
        acts = [
            Act(NOTE, {"service": "todo.add_item", "entities": [shopping[0].id], "data": {"item": text}},
                {"data.item": at(item)})
            for text, item in zip(texts, items, strict=True)
        ]  # fmt: skip
        said = listed(texts, self._language)
        return phrase.understood(
            "ListNeed", *acts, key="own.added_many" if len(texts) > 1 else "own.added", slots={"confirm": True},
            question=phrase.reply("shall_add", item=said, list=shopping[0].name),
            values={"items": said, "list": shopping[0].name, "entity": shopping[0].id, "present": texts},
        )  # fmt: skip


def _only(text: str, have: Mapping[str, str]) -> str | None:
    """The only item in which these words stand one after the other."""
    fitting = [known for low, known in have.items() if f" {text.casefold()} " in f" {low} "]
    return fitting[0] if len(fitting) == 1 else None


__all__ = ["NOTE", "Lists"]
