"""Which clauses a sentence has and what each of them means: the whole first, then its parts.

Times that delay something are taken out of a clause before the home's recogniser sees it. A time at the beginning of a
compound sentence holds for all of it, one at the end of a part for that part (parts that share a verb are one part). If
that would open or unlock something now that may have been meant for later, it is a question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.background import Background
from kindmesh.coordinator.brain.cortex.choices import Choices
from kindmesh.coordinator.brain.cortex.conversation import Conversation
from kindmesh.coordinator.brain.cortex.excepting import excepting
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.lasting import Whiles, for_a_while
from kindmesh.coordinator.brain.cortex.normalise import Word, Words, clause_of, starts
from kindmesh.coordinator.brain.cortex.own.grammar import Grammar
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.own.reminders import spell
from kindmesh.coordinator.brain.cortex.reading_checks import barred, checked, idle, where_named
from kindmesh.coordinator.brain.cortex.readings import (
    Part,
    Reading,
    agreed,
    hinted,
    outright,
    same,
    standing,
    told_later,
    unclear,
)
from kindmesh.coordinator.brain.cortex.relative import resumed, straight
from kindmesh.coordinator.brain.cortex.rephrase import Rephrase
from kindmesh.coordinator.brain.cortex.split import (
    Segment,
    groupings,
    has_verb,
    segments,
    shared,
)
from kindmesh.coordinator.brain.cortex.sunlight import situated, sunlit
from kindmesh.coordinator.brain.cortex.terms import Clause, Recognised, Recogniser, Reply
from kindmesh.coordinator.brain.cortex.times import When, times

CALLS_MAX: Final = 24
"""How often the home's recogniser is asked about one utterance."""


class Reader:
    """Reads the sentences of one language."""

    def __init__(self, language: Language, home: Recogniser) -> None:
        self._language = language
        self._home = home
        self._grammar = Grammar(language)
        self._times = times(language.code)
        self._whiles = Whiles(language, self._times)
        self._conversation = Conversation(language)
        self._background = Background(language)
        self._rephrase = Rephrase(language)
        self._choices = Choices(language)

    def read(self, phrase: Phrase) -> Reading:
        """What a sentence means, as it was said or in other words."""
        if self._grammar.urgent(phrase) is None:
            answered = self._answered(phrase)
            if answered is not None:
                return answered
            told = self._able(phrase, self._rephrase.first(phrase), questions=False)
            if told is not None:
                return told
        reading = self._read(phrase)
        if not reading.refusal and not unclear(reading):
            return reading
        return self._able(phrase, self._rephrase.after(phrase), questions=True) or reading

    def _read(self, phrase: Phrase) -> Reading:
        asked: dict[str, Recognised | None] = {}
        urgent = self._grammar.urgent(phrase)
        whole = (self._of(urgent, phrase.words),) if urgent is not None else self._whole(phrase, asked)
        if whole:
            return Reading(tuple(Part(one) for one in whole))
        reading = self._apart(phrase, asked)
        plain = straight(phrase.words, self._language)
        if (reading.refusal or unclear(reading)) and plain != phrase.words:
            return self._read(phrase.with_words(plain))
        return self._aimed(phrase, reading) if reading.refusal else reading

    def _answered(self, phrase: Phrase) -> Reading | None:
        """What the words mean as an answer to the question which thing was meant; None: they are none."""
        open_ = self._choices.asked(phrase)
        if open_ is None:
            return None
        turn, offered = open_
        kept = self._choices.chosen(phrase, offered)
        if not kept:
            return self._choices.again(phrase, offered) if self._choices.speaks_of_one(phrase) else None
        readings = [self.read(one) for one in self._choices.phrases(phrase, turn, offered, kept)]
        return self._choices.agreed(phrase, readings, offered)

    def _able(self, phrase: Phrase, ways: Iterable[Words], *, questions: bool) -> Reading | None:
        """The first way to say it that can be done, or is answered; else, with `questions`, the first that asks."""
        asks: Reading | None = None
        for words in ways:
            reading = self._read(phrase.with_words(words))
            told = [part.recognised for part in reading.parts]
            if not told or reading.refusal or unclear(reading):
                continue
            if reading.question or any(one.question for one in told):
                asks = asks or reading
            elif any(one.acts for one in told) or all(one.reply.key for one in told):
                return reading
        return asks if questions else None

    def _aimed(self, phrase: Phrase, otherwise: Reading) -> Reading:
        """The sentence without what it is for."""
        for head in self._background.purposes(phrase.words):
            again: dict[str, Recognised | None] = {}
            whole = self._clause(phrase.with_words(head), again)
            reading = (
                Reading(tuple(Part(one) for one in whole))
                if whole
                else self._apart(phrase.with_words(head), again)
            )
            if any(part.recognised.acts for part in reading.parts):
                return reading
        return otherwise

    def _apart(self, phrase: Phrase, asked: dict[str, Recognised | None]) -> Reading:
        parts = segments(phrase.words, self._language)
        if len(parts) > 1:
            reading = self._compound(phrase, parts, asked)
            open_ = reading.refusal or unclear(reading) or hinted(reading)
            return outright((self._in_context(phrase, parts) or reading) if open_ else reading)
        if parts and parts[0].words != phrase.words:
            # Only a join stood before it: "and lock the door".
            alone = self._clause(phrase.with_words(parts[0].words), asked)
            if alone:
                return Reading(tuple(Part(one) for one in alone))
        return Reading(refusal=self._refusal(phrase))

    def _in_context(self, phrase: Phrase, parts: Sequence[Segment]) -> Reading | None:
        """A command with statements around it, which say what "it" is, or where."""
        divided = self._background.divide(
            parts, phrase.words, phrase.situation.home
        ) or self._background.topic(parts, phrase.words)
        if divided is None or self._lead(phrase, parts)[1] is not None:
            return None
        asked: dict[str, Recognised | None] = {}

        def describes(words: Words) -> bool:
            probe = (*(Word(text, words[0].at) for text in self._language.words["probe"]), *words)
            found = self._ask(probe, phrase, {})
            return found is not None and bool(found.entities) and not found.question

        alone, there = self._background.ways(divided, phrase.situation.home, describes)
        readings = [self._command(phrase.with_words(words), asked) for words in alone]
        placed = [self._command(phrase.with_words(words), asked) for words in there]
        return agreed([one for one in readings if one], [one for one in placed if one])

    def _command(self, phrase: Phrase, asked: dict[str, Recognised | None]) -> Reading | None:
        """What can be done, or asked; a statement that means nothing by itself is no command."""
        whole = self._clause(phrase, asked) or excepting(phrase, lambda again: self._clause(again, asked))
        if whole:
            return Reading(tuple(Part(one) for one in whole))
        parts = segments(phrase.words, self._language)
        reading = self._compound(phrase, parts, asked) if len(parts) > 1 else Reading(refusal="-")
        return None if reading.refusal else reading

    def _whole(self, phrase: Phrase, asked: dict[str, Recognised | None]) -> tuple[Recognised, ...]:
        """The sentence as one clause. What only makes sense after another sentence comes before small talk."""

        def ask(again: Phrase) -> Recognised | None:
            return self._delayed(again, asked, None)

        referred = self._conversation.refer(phrase, ask)
        if referred is not None:
            return (self._of(referred, phrase.words),)
        return self._clause(phrase, asked) or excepting(phrase, lambda again: self._clause(again, asked))

    def _refusal(self, phrase: Phrase) -> str:
        if barred(phrase.words, self._language) and has_verb(phrase.words, self._language):
            return phrase.reply("barred")
        return phrase.reply("not_understood")

    def _clause(
        self,
        phrase: Phrase,
        asked: dict[str, Recognised | None],
        when: When | None = None,
        about: Recognised | None = None,
    ) -> tuple[Recognised, ...]:
        """What one clause means, with its time; `when` is one that holds for it from elsewhere, `about` the clause
        before it in the same sentence. Empty: nothing."""
        if not phrase.words:
            return ()
        own = self._grammar.first(phrase) if when is None else ()
        if own:
            return tuple(self._of(one, phrase.words) for one in own)
        if barred(self._whiles.unbound(phrase), self._language):
            return self._asking_when(phrase, asked)
        found = self._delayed(phrase, asked, when)
        if found is not None:
            return (found,)
        last = self._grammar.last(phrase) if when is None else ()
        if last:
            return tuple(self._of(one, phrase.words) for one in last)
        meant = self._conversation.pronoun(
            phrase, lambda again: self._delayed(again, asked, when), about.entities if about else (),
            where_named(about) if about else (),
        )  # fmt: skip
        return () if meant is None else (self._of(meant, phrase.words),)

    def _asking_when(self, phrase: Phrase, asked: dict[str, Recognised | None]) -> tuple[Recognised, ...]:
        """ "When is the cake done?" is a question, and no condition: it may be answered, and nothing else."""
        openings = self._language.words.get("asking_when", ())
        if any(starts(phrase.words, opening.split()) for opening in openings):
            found = self._ask(phrase.words, phrase, asked)
            if found is not None and found.intent in _ANSWERED and not found.acts and not found.question:
                return (self._of(found, phrase.words),)
        return ()

    def _delayed(
        self, phrase: Phrase, asked: dict[str, Recognised | None], when: When | None
    ) -> Recognised | None:
        situation = phrase.situation
        held = self._lasting(phrase, asked, when)
        if held is not None:
            return held
        if when is not None:
            found = self._ask(phrase.words, phrase, asked)
            return None if found is None or not found.acts else self._timed(found, phrase, phrase.words, when)
        for firm in (True, False):
            rest, own = self._times.extract(phrase.words, situation.now_ms, situation.zone, firm=firm)
            own = sunlit(own, situation)
            if own is not None and rest:
                found = self._ask(rest, phrase, asked)
                if found is not None and (found.acts or found.question) and found.intent not in _TIMERS:
                    return self._timed(found, phrase, rest, own)
            if firm:
                found = self._ask(phrase.words, phrase, asked)
                if found is not None:
                    return self._of(found, phrase.words)
        return None

    def _lasting(
        self, phrase: Phrase, asked: dict[str, Recognised | None], when: When | None
    ) -> Recognised | None:
        """What is done for a while, and put back then."""
        for one in self._whiles.ways(phrase):
            found = self._delayed(phrase.with_words(one.words), asked, when) if one.words else None
            if found is None or found.intent in _TIMERS or not (found.acts or found.question):
                continue
            made = for_a_while(found, one, phrase)
            open_ = not made.acts or made.question
            return None if open_ and self._ask(phrase.words, phrase, asked) is not None else made
        return None

    def _timed(self, found: Recognised, phrase: Phrase, words: Words, when: When) -> Recognised:
        question = found.question
        if when.every:
            return msgspec.structs.replace(
                self._of(found, phrase.words), acts=(), question="", reply=_text(phrase.reply("no_repeat"))
            )
        if when.sun and not when.at_ms:
            no_sun = phrase.reply("no_sun" if situated(phrase.situation) else "no_place")
            return msgspec.structs.replace(
                self._of(found, phrase.words), acts=(), question="", reply=_text(no_sun)
            )
        if when.past:
            question = phrase.reply("passed")
        elif not when.delay_ms and (when.vague or when.minute < 0):
            said = phrase.original(word for word in phrase.words if word.at in when.at)
            question = phrase.reply("which_hour", day=said)
        positions = tuple(sorted({*(word.at for word in words), *when.at}))
        clause = clause_of(words)
        clause = Clause(clause.text, positions, when.delay_ms, 0 if when.delay_ms else when.at_ms)
        reply = found.reply
        if clause.at_ms:
            reply = msgspec.structs.replace(reply, values={**reply.values, "when": spell(when, phrase)})
        return msgspec.structs.replace(found, clause=clause, question=question, reply=reply)

    def _of(self, found: Recognised, words: Words) -> Recognised:
        if found.clause.text:
            return found
        return msgspec.structs.replace(found, clause=clause_of(words))

    def _ask(self, words: Words, phrase: Phrase, asked: dict[str, Recognised | None]) -> Recognised | None:
        clause = clause_of(words)
        if not clause.text:
            return None
        key = f"{clause.text}\n{clause.words}"
        if key not in asked:
            if len(asked) >= CALLS_MAX:
                return None
            asked[key] = self._home.recognise(clause, phrase.situation)
        return asked[key]

    # Compound sentences.

    def _compound(
        self, phrase: Phrase, parts: Sequence[Segment], asked: dict[str, Recognised | None]
    ) -> Reading:
        rest, lead = self._lead(phrase, resumed(parts, self._language))
        while len(rest) > 1 and idle(rest[0].words, phrase, self._background):
            rest = rest[1:]
        if len(rest) == 1:
            alone = self._clause(phrase.with_words(rest[0].words), asked, lead)
            if alone:
                return Reading(tuple(Part(one) for one in alone))
        missing = ""
        for way in groupings(rest, phrase.words):
            readings = self._way(phrase, way, asked, lead)
            if isinstance(readings, Reading):
                return standing(readings) or Reading(refusal=self._refusal(phrase))
            missing = readings or missing
        return Reading(
            refusal=phrase.reply("part_not_understood", part=missing) if missing else self._refusal(phrase)
        )

    def _lead(self, phrase: Phrase, parts: Sequence[Segment]) -> tuple[tuple[Segment, ...], When | None]:
        """A time that stands before everything holds for every part."""
        first = parts[0].words
        when = self._times.read(first, 0, phrase.situation.now_ms, phrase.situation.zone)
        when = sunlit(when, phrase.situation)
        if when is None or not when.firm:
            return tuple(parts), None
        left = first[when.last + 1 :]
        head = (Segment(left),) if left else ()
        return (*head, *parts[1:]), when

    def _way(
        self, phrase: Phrase, way: Sequence[Segment], asked: dict[str, Recognised | None], lead: When | None
    ) -> Reading | str:
        """What the parts mean, or the one that means nothing."""
        made: list[Part] = []
        at = 0
        while at < len(way):
            follow = at + 1
            while follow < len(way) and not self._begins(way[follow].words, phrase):
                follow += 1
            group = way[at:follow]
            about = made[-1].recognised if made else None
            alone = []
            if len(group) > 1 and not has_verb(group[0].words, self._language):
                alone = [self._clause(phrase.with_words(one.words), asked, lead) for one in group]
            found: Reading | tuple[tuple[Recognised, ...], ...] | None
            found = (
                tuple(alone)
                if alone and all(alone)
                else self._group(phrase, [segment.words for segment in group], asked, lead, about)
            )
            if isinstance(found, Reading):
                return found
            if found is None:
                alone = [self._clause(phrase.with_words(segment.words), asked, lead) for segment in group]
                if not all(alone):
                    number = next(number for number, one in enumerate(alone) if not one)
                    return phrase.original(group[number].words)
                found = tuple(alone)
            made += [
                Part(one, group[min(number, len(group) - 1)].ordered)
                for number, several in enumerate(found)
                for one in several
            ]
            at = follow
        return checked(phrase, told_later(made, lambda text: phrase.reply("after_that", text=text)), lead)

    def _begins(self, words: Words, phrase: Phrase) -> bool:
        """Whether these words begin a sentence of their own, also behind a time: "and in an hour turn it off"."""
        if has_verb(words, self._language):
            return True
        when = self._times.read(words, 0, phrase.situation.now_ms, phrase.situation.zone)
        return when is not None and when.firm and has_verb(words[when.last + 1 :], self._language)

    def _group(
        self,
        phrase: Phrase,
        group: Sequence[Words],
        asked: dict[str, Recognised | None],
        lead: When | None,
        about: Recognised | None,
    ) -> tuple[tuple[Recognised, ...], ...] | Reading | None:
        """A head with a verb and followers that share it. None: nothing that is understood, or nothing shared."""
        if len(group) == 1:
            one = self._clause(phrase.with_words(group[0]), asked, lead, about)
            return (one,) if one else None
        situation = phrase.situation
        when = lead
        if lead is None:
            last, when = self._times.extract(group[-1], situation.now_ms, situation.zone, firm=True)
            when = sunlit(when, situation)
            group = (*group[:-1], last) if last else group[:-1]
        stays = next(iter(self._whiles.ways(phrase.with_words(group[-1]))), None)
        if stays is not None and stays.words == group[-1][: -len(stays.said)]:
            group = (*group[:-1], stays.words) if stays.words else group[:-1]
        if len(group) < 2:
            return None
        readings: list[tuple[tuple[Recognised, ...], ...]] = []
        for way in shared(group[0], group[1:], self._language):
            whole = [(*words, *(stays.said if stays is not None else ())) for words in way]
            found = [self._clause(phrase.with_words(words), asked, when) for words in whole]
            if all(found) and not any(same(found, other) for other in readings):
                readings.append(tuple(found))
        if len(readings) > 1:
            first, second = (" + ".join(one[0].clause.text for one in reading) for reading in readings[:2])
            question = phrase.reply("several", first=first, second=second)
            return Reading(tuple(Part(one) for several in readings[0] for one in several), question=question)
        return readings[0] if readings else None


_TIMERS: Final = frozenset(
    {
        "HassStartTimer", "HassIncreaseTimer", "HassDecreaseTimer", "HassCancelTimer", "HassPauseTimer",
        "HassUnpauseTimer", "HassTimerStatus", "HassCancelAllTimers",
    }
)  # fmt: skip
"""Intents whose durations are their own, not a delay."""
_ANSWERED: Final = frozenset({"HassTimerStatus", "HassGetState"})
"""What a question with "when" in it may be."""


def _text(text: str) -> Reply:
    return Reply(text=text)


__all__ = ["CALLS_MAX", "Part", "Reader", "Reading"]
