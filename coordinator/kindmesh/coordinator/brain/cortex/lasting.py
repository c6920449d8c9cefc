"""What is done for a while: "turn the heater on for ten minutes", "keep the lights on until ten".

It is done now, and put back when the time is over: a second step of the same plan, behind a wait. Put back is only what
a plan can put back without knowing how it was before (on and off, open and closed, play and pause), and never so that a
door, gate or valve opens by itself. Everything else is said to be beyond this, and nothing is done. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Entity, Home
from kindmesh.coordinator.brain.cortex.durations import Durations, is_one, phrase_length
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import COMMA, Word, Words, starts
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase
from kindmesh.coordinator.brain.cortex.own.reminders import spell
from kindmesh.coordinator.brain.cortex.steps import too_far
from kindmesh.coordinator.brain.cortex.sunlight import situated, sunlit
from kindmesh.coordinator.brain.cortex.terms import Act, Back, Recognised, Reply
from kindmesh.coordinator.brain.cortex.times import Times, When

SERVICES_BACK: Final = {
    "turn_on": "turn_off", "turn_off": "turn_on", "open_cover": "close_cover", "close_cover": "open_cover",
    "unlock": "lock", "open_valve": "close_valve", "close_valve": "open_valve", "media_play": "media_pause",
    "media_pause": "media_play", "play_media": "media_pause", "start_mowing": "dock",
}  # fmt: skip
"""What ends a service of the same kind of thing."""
_STARTED: Final = {"vacuum.start": "vacuum.return_to_base"}
_MUTE: Final = ("media_player.volume_mute", "is_volume_muted")
_MOMENTARY: Final = frozenset(
    {"scene", "script", "button", "input_button", "automation", "timer", "todo", "calendar"}
)
"""Kinds of which nothing is left that could be put back."""
_ACCESS: Final = "home.access"
_LETS_IN: Final = frozenset({"turn_on", "open_cover", "open_valve", "unlock", "open"})
"""What is never done by itself to what lets people, water or gas in."""
_OFF: Final = frozenset({"off", "standby", "idle", "closed"})


class Lasting(msgspec.Struct, frozen=True):
    """A command and how long it holds: `words` without the length, `when` it ends (`delay_ms` or `at_ms`), `at`: where
    that was said, `said`: in which words, `kept`: what is so already stays so."""

    words: Words
    when: When
    at: tuple[int, ...]
    said: Words = ()
    kept: bool = False


class Whiles:
    """Finds for how long, or until when, in the words of one language."""

    def __init__(self, language: Language, times: Times) -> None:
        self._language = language
        self._times = times
        self._durations = Durations(language)

    def ways(self, phrase: Phrase) -> Iterator[Lasting]:
        """The ways to read the words as something that is done for a while."""
        words, now_ms, names = phrase.words, phrase.situation.now_ms, self._language.words
        for begin in range(len(words)):
            if is_one(words, begin, names.get("lasting", ())):
                more = phrase_length(words, begin + 1, names.get("lasting_more", ()))
                first = begin + 1 + more
                ms, length = self._durations.read(words, first)
                if not length and more and self._durations.unit(words, first):
                    # "For the next hour" is for one.
                    ms, length = self._durations.unit(words, first), 1
                if ms and length:
                    when = When(at_ms=now_ms + ms, delay_ms=ms, firm=True)
                    yield _cut(words, begin, first + length, when, self._language)
            ms, length = self._durations.read(words, begin)
            if ms and is_one(words, begin + length, names.get("lasting_after", ())):
                when = When(at_ms=now_ms + ms, delay_ms=ms, firm=True)
                yield _cut(words, begin, begin + length + 1, when, self._language)
            if is_one(words, begin, names.get("until", ())):
                ends = self._ends(phrase, begin + 1)
                if ends is not None:
                    yield _cut(words, begin, ends[1], ends[0], self._language)

    def unbound(self, phrase: Phrase) -> Words:
        """The words without their times: "after ten minutes" and "until ten" are no conditions."""
        words = next((one.words for one in self.ways(phrase)), phrase.words)
        rest, _ = self._times.extract(words, phrase.situation.now_ms, phrase.situation.zone, firm=True)
        return rest or words or phrase.words

    def _ends(self, phrase: Phrase, at: int) -> tuple[When, int] | None:
        """The time that stands there, also without the "at" before it, and the word after it."""
        words, now_ms, zone = phrase.words, phrase.situation.now_ms, phrase.situation.zone
        if at >= len(words):
            return None
        led = (*words[:at], Word(self._language.times.at[0], words[at].at), *words[at:])
        for way, shift in ((words, 1), (led, 0)):
            when = sunlit(self._times.read(way, at, now_ms, zone), phrase.situation)
            if when is not None and not when.every:
                return when, when.last + shift
        return None


def _cut(words: Words, begin: int, end: int, when: When, language: Language) -> Lasting:
    before, after = words[:begin], words[end:]
    if before and before[-1].text == COMMA:
        before = before[:-1]
    if not before and after and after[0].text == COMMA:
        after = after[1:]
    where = tuple(sorted({word.at for word in words[begin:end] if word.text != COMMA}))
    rest, kept = _said_as_done((*before, *after), language)
    return Lasting(rest, when, where, words[begin:end], kept)


def _said_as_done(words: Words, language: Language) -> tuple[Words, bool]:
    """ "Keep the lights on" as "turn the lights on": what is wanted, as something to do."""
    opening = next(
        (one.split(" ") for one in language.words.get("kept", ()) if starts(words, one.split(" "))), None
    )
    if opening is None or len(words) < len(opening) + 2:
        return words, False
    thing = words[len(opening) : -1]
    for pair in language.words.get("kept_as", ()):
        state, _, command = pair.partition(":")
        if words[-1].low == state:
            verb, _, particle = command.partition(" * ")
            last = (Word(particle, words[-1].at),) if particle else ()
            return (Word(verb, words[0].at), *thing, *last), True
    return words, False


def for_a_while(found: Recognised, one: Lasting, phrase: Phrase) -> Recognised:
    """What was recognised, with how it ends; or, in its place, what has to be asked or said first."""
    home, when = phrase.situation.home, one.when
    if found.question or found.back is not None or not found.acts:
        return found
    acts = held(found.acts, home) if one.kept else found.acts
    back = put_back(acts, home)
    if back is None:
        return msgspec.structs.replace(found, acts=(), reply=Reply(text=phrase.reply("no_back")))
    if when.sun and not when.at_ms:
        no_sun = phrase.reply("no_sun" if situated(phrase.situation) else "no_place")
        return msgspec.structs.replace(found, acts=(), reply=Reply(text=no_sun))
    question = phrase.reply("passed") if when.past else ""
    if not question and not when.at_ms:
        question = phrase.reply("which_hour", day=phrase.original(one.said))
    until = 0 if when.delay_ms else when.at_ms
    if too_far(when.delay_ms, until, phrase.situation.now_ms):
        return msgspec.structs.replace(found, acts=(), reply=Reply(text=phrase.reply("too_far")))
    ends = "back_for" if when.delay_ms else "back_at"
    said = phrase.original(
        word for word in one.said if word.low not in phrase.language.words.get("lasting", ())
    )
    values = {"length": said} if when.delay_ms else {"when": spell(when, phrase) if when.at_ms else ""}
    return msgspec.structs.replace(
        found, acts=acts, question=question, back=Back(back, when.delay_ms, until, one.at),
        reply=msgspec.structs.replace(found.reply, also=phrase.reply(ends, **values)),
        entities=tuple(dict.fromkeys(one for act in acts for one in act.args.get("entities", ()))),
    )  # fmt: skip


def held(acts: Sequence[Act], home: Home) -> tuple[Act, ...]:
    """The acts of "keep the lights on": of those that are on, where some are; of all, where none is."""
    kept = []
    for act in acts:
        ids = [one for one in act.args.get("entities", ()) if one in home.entities]
        verb = str(act.args.get("service", "")).partition(".")[2]
        so = [
            one for one in ids if (home.entities[one].state in _OFF) == (verb in ("turn_off", "close_cover"))
        ]
        kept.append(
            msgspec.structs.replace(act, args={**act.args, "entities": so})
            if so and verb in SERVICES_BACK
            else act
        )
    return tuple(kept)


def put_back(acts: Sequence[Act], home: Home) -> tuple[Act, ...] | None:
    """What puts back what the acts do; None: that cannot be, or must not be done by itself."""
    made = [_back(act, home) for act in acts]
    return None if not made or None in made else tuple(one for one in made if one is not None)


def _back(act: Act, home: Home) -> Act | None:
    service, data = str(act.args.get("service", "")), act.args.get("data") or {}
    domain, _, verb = service.partition(".")
    if domain in _MOMENTARY or not act.operation.startswith("home."):
        return None
    where = {"entities": act.words["entities"]} if "entities" in act.words else {}
    if service == _MUTE[0]:
        if data != {_MUTE[1]: True}:
            return None
        return Act(act.operation, {**act.args, "data": {_MUTE[1]: False}}, where, act.target)
    back = _STARTED.get(service) or (f"{domain}.{SERVICES_BACK[verb]}" if verb in SERVICES_BACK else "")
    if not back or (act.operation == _ACCESS and back.partition(".")[2] in _LETS_IN):
        return None
    # What was on already, and is made brighter or warmer, would have to be put back to what it was.
    things = [home.entities[one] for one in act.args.get("entities", ()) if one in home.entities]
    if data and verb == "turn_on" and not all(map(_is_off, things)):
        return None
    return Act(act.operation, {**act.args, "service": back, "data": {}}, where, act.target)


def _is_off(entity: Entity) -> bool:
    return entity.state in _OFF


__all__ = ["SERVICES_BACK", "Lasting", "Whiles", "for_a_while", "held", "put_back"]
