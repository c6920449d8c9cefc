"""What a sentence means because of what was said before: "turn it off", "and the bedroom", "the other one", "undo".

Only a recent turn counts (`TURN_AGE_MS`); without one, a pronoun is a question. What is resolved like this is read by
the home's recogniser again, so it obeys the same rules; its values carry the words of *this* utterance ("it"), never
words of an earlier one, so nothing claims a proof that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Area, Entity, Floor
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Word, Words, normalise, starts
from kindmesh.coordinator.brain.cortex.own.phrase import Found, Phrase, Sentences, at, listed
from kindmesh.coordinator.brain.cortex.split import has_verb
from kindmesh.coordinator.brain.cortex.terms import Act, Clause, Recognised, Turn

TURN_AGE_MS: Final = 300_000
"""How long "it" may refer to something after it was said."""
UNCLEAR: Final = "Unclear"
"""The intent of a question what "it" is."""
_NAMES_MAX: Final = 6
_ACCESS: Final = "home.access"
_INVERSE: Final = {
    "turn_on": "turn_off", "turn_off": "turn_on", "open_cover": "close_cover", "close_cover": "open_cover",
    "lock": "unlock", "unlock": "lock", "open_valve": "close_valve", "close_valve": "open_valve",
    "media_pause": "media_play", "media_play": "media_pause",
}  # fmt: skip
Ask = Callable[[Phrase], Recognised | None]


class Conversation:
    """Resolves what refers to something said before, in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._sentences = Sentences(language, ("Undo", "Other", "Same", "Rather", "Yes"))

    def recent(self, phrase: Phrase) -> Turn | None:
        """The last turn, when it is recent enough and meant something."""
        turn = phrase.situation.turns[-1] if phrase.situation.turns else None
        if turn is None or not turn.recognised:
            return None
        return turn if 0 <= phrase.situation.now_ms - turn.at_ms <= TURN_AGE_MS else None

    def refer(self, phrase: Phrase, ask: Ask) -> Recognised | None:
        """What the sentence means by the last turn; None when it refers to none."""
        found = self._sentences.first(phrase.words)
        if found is None:
            return None
        turn = self.recent(phrase)
        if found.intent == "Yes":
            return None if turn is None else self._confirmed(turn, phrase)
        if found.intent == "Rather":
            return self._rather(found, turn, phrase, ask)
        if turn is None:
            short = found.intent != "Same"
            return phrase.understood(found.intent, question=phrase.reply("nothing_before")) if short else None
        if found.intent == "Undo":
            return self._undo(turn, phrase)
        if found.intent == "Other":
            return self._other(turn, phrase)
        return self._same(found, turn, phrase, ask)

    def pronoun(
        self, phrase: Phrase, ask: Ask, about: Sequence[str], named: Sequence[int] = ()
    ) -> Recognised | None:
        """The sentence with what "it" stands for in its place; None when it has no pronoun, or means nothing then.
        `named`: where in the same utterance it was called by its name, which then proves it."""
        names = self._language.words["pronouns"]
        place = next((n for n, word in enumerate(phrase.words) if n and word.low in names), -1)
        if place < 0:
            return None
        if not about:
            turn = self.recent(phrase)
            about = (
                tuple(dict.fromkeys(one for part in turn.recognised for one in part.entities)) if turn else ()
            )
        home = phrase.situation.home
        entities = [home.entities[one] for one in about if one in home.entities]
        if not entities:
            plain = phrase.words[0].low in self._language.words["control"] and len(phrase.words) <= _NAMES_MAX
            question = phrase.reply("what_it", word=phrase.words[place].text)
            return phrase.understood(UNCLEAR, question=question) if plain else None
        return self._replaced(phrase, place, entities, ask, tuple(named))

    def _replaced(
        self, phrase: Phrase, place: int, entities: Sequence[Entity], ask: Ask, named: tuple[int, ...]
    ) -> Recognised | None:
        made: list[Recognised] = []
        pronoun = phrase.words[place]
        spoken = tuple(sorted({*named, pronoun.at}))
        rest = [word for word in phrase.words[place + 1 :] if word.low not in self._language.words["again"]]
        domains = dict.fromkeys(one.domain for one in entities)
        for domain in domains:
            group = [one for one in entities if one.domain == domain]
            name = tuple(Word(text, pronoun.at) for text in group[0].name.split())
            found = ask(phrase.with_words((*phrase.words[:place], *name, *rest)))
            if found is None or (
                found.acts and any(act.args.get("entities") != [group[0].id] for act in found.acts)
            ):
                return None
            if len(group) > 1 and (not found.acts or any(act.operation == _ACCESS for act in found.acts)):
                names = listed((one.name for one in group[:_NAMES_MAX]), self._language, choice=True)
                return phrase.understood(found.intent, question=phrase.reply("which_other", names=names))
            acts = tuple(_with_entities(act, [one.id for one in group], spoken) for act in found.acts)
            made.append(msgspec.structs.replace(found, acts=acts, entities=tuple(one.id for one in group)))
        first = made[0]
        return msgspec.structs.replace(
            first,
            acts=tuple(act for one in made for act in one.acts),
            entities=tuple(one.id for one in entities),
        )

    def _confirmed(self, turn: Turn, phrase: Phrase) -> Recognised | None:
        """A yes to a question that had its acts ready."""
        last = turn.recognised[-1]
        if not last.question or not last.acts or last.slots.get("confirm") is not True:
            return None
        spoken = at(phrase.plain)
        acts = tuple(
            Act(act.operation, act.args, dict.fromkeys(act.words, spoken), act.target) for act in last.acts
        )
        return msgspec.structs.replace(last, acts=acts, question="", clause=_clause(phrase))

    def _undo(self, turn: Turn, phrase: Phrase) -> Recognised:
        acts = []
        for part in turn.recognised:
            for act in part.acts:
                domain, _, verb = str(act.args.get("service", "")).partition(".")
                if verb not in _INVERSE or act.args.get("data"):
                    return phrase.understood("Undo", text=phrase.reply("cannot_undo"))
                inverse = f"{domain}.{_INVERSE[verb]}"
                # To undo a lock is to unlock: that is as dangerous as it is.
                args = {**act.args, "service": inverse}
                acts.append(
                    Act(act.operation, args, {"service": at(phrase.plain), "entities": at(phrase.plain)})
                )
        if not acts or any(part.clause.delay_ms or part.clause.at_ms for part in turn.recognised):
            return phrase.understood("Undo", text=phrase.reply("cannot_undo"))
        about = tuple(one for part in turn.recognised for one in part.entities)
        return phrase.understood("Undo", *acts, key="own.done", entities=about)

    def _other(self, turn: Turn, phrase: Phrase) -> Recognised:
        last = turn.recognised[-1]
        home = phrase.situation.home
        before = home.entities.get(last.entities[0]) if len(last.entities) == 1 else None
        if before is None or not last.acts:
            return phrase.understood("Other", question=phrase.reply("nothing_before"))
        alike = [one for one in home.entities.values() if one.domain == before.domain and one.id != before.id]
        near = [one for one in alike if one.area == before.area] or alike
        if not near:
            return phrase.understood("Other", text=phrase.reply("no_other"))
        if len(near) > 1:
            names = listed((one.name for one in near[:_NAMES_MAX]), self._language, choice=True)
            asked = tuple(one.id for one in near)
            return phrase.understood(
                "Other", question=phrase.reply("which_other", names=names), entities=asked
            )
        spoken = at(phrase.plain)
        acts = tuple(_with_entities(act, [near[0].id], spoken) for act in last.acts)
        return msgspec.structs.replace(
            last, acts=acts, entities=(near[0].id,), question="", clause=_clause(phrase)
        )

    def _same(self, found: Found, turn: Turn, phrase: Phrase, ask: Ask) -> Recognised | None:
        name = found.slots["name"]
        last = turn.recognised[-1]
        if not (last.acts or last.entities) or not last.clause.text:
            return None
        base = tuple(Word(word.text, name[0].at) for word in normalise(last.clause.text, self._language))
        home = phrase.situation.home
        # A thing takes the place of a thing, a room that of a room.
        places = _called((*home.areas.values(), *home.floors.values()))
        things = _called(home.entities[one] for one in last.entities if one in home.entities)
        place = _longest(name, places) == (0, len(name))
        for names in (places, things) if place else (things, places):
            span = _longest(base, names)
            if span is not None:
                return self._asked_again(phrase, (*base[: span[0]], *name, *base[span[1] :]), last, ask)
        if place:
            within = tuple(Word(text, name[0].at) for text in self._language.words["within_place"])
            return self._asked_again(phrase, (*base, *within, *name), last, ask)
        return None

    def _rather(self, found: Found, turn: Turn | None, phrase: Phrase, ask: Ask) -> Recognised | None:
        """ "No, the hall light": what was said last, with this in its place. A mere name after "no" is no command."""
        name = found.slots["name"]
        made = None if turn is None else self._same(found, turn, phrase, ask)
        if made is not None or has_verb(name, self._language):
            return made
        named = ask(phrase.with_words(name))
        if named is None or not named.acts:
            return None
        last = turn.recognised[-1] if turn is not None else None
        if (
            last is None
            or not last.acts
            or len({_domain(one) for one in (*last.entities, *named.entities)}) != 1
        ):
            return phrase.understood("Rather", question=phrase.reply("nothing_before"))
        ids, spoken = list(named.entities), {"entities": at(name)}
        acts = tuple(
            Act(act.operation, {**act.args, "entities": ids}, spoken, act.target) for act in last.acts
        )
        return msgspec.structs.replace(
            last, acts=acts, entities=named.entities, question="", clause=_clause(phrase)
        )

    def _asked_again(self, phrase: Phrase, words: Words, last: Recognised, ask: Ask) -> Recognised | None:
        made = ask(phrase.with_words(words))
        if made is None or made.intent != last.intent or bool(made.acts) != bool(last.acts):
            return None
        clause = msgspec.structs.replace(made.clause, text=" ".join(word.text for word in words))
        return msgspec.structs.replace(made, clause=clause)


def _domain(entity: str) -> str:
    return entity.partition(".")[0]


def _clause(phrase: Phrase) -> Clause:
    return Clause(" ".join(word.text for word in phrase.plain), at(phrase.plain))


def _with_entities(act: Act, ids: list[str], words: tuple[int, ...]) -> Act:
    spoken = {**{name: where for name, where in act.words.items() if name != "entities"}, "entities": words}
    return Act(act.operation, {**act.args, "entities": ids}, spoken, act.target)


def _called(things: Iterable[Area | Floor | Entity]) -> set[tuple[str, ...]]:
    return {tuple(name.lower().split()) for one in things for name in (one.name, *one.aliases)}


def _longest(words: Sequence[Word], names: set[tuple[str, ...]]) -> tuple[int, int] | None:
    """Where the longest of the names stands in the words."""
    for name in sorted(names, key=lambda one: (-len(one), one)):
        for begin in range(len(words)):
            if starts(words, name, begin):
                return begin, begin + len(name)
    return None


__all__ = ["TURN_AGE_MS", "UNCLEAR", "Conversation"]
