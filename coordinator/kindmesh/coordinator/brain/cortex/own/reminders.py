"""Reminders and alarms: something is said at a time, and written down where there is a list or calendar for it.

What is written down is there at once; what is spoken is a step of the plan that waits. Without a device that speaks it
says so. A reminder without a time is a question, because a guess would come at the wrong time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Words
from kindmesh.coordinator.brain.cortex.own.lists import NOTE
from kindmesh.coordinator.brain.cortex.own.phrase import Found, Phrase, Sentences, at
from kindmesh.coordinator.brain.cortex.own.talk import SPEAK
from kindmesh.coordinator.brain.cortex.steps import too_far
from kindmesh.coordinator.brain.cortex.sunlight import situated, sunlit
from kindmesh.coordinator.brain.cortex.terms import Act, Clause, Recognised
from kindmesh.coordinator.brain.cortex.times import When, local, times, zone_of

_PANEL: Final = "alarm_control_panel"
_ALARM: Final = "timer.alarm"
"""The timer that an alarm is when the home has none for it; starting it makes it."""


class Reminders:
    """Reminders and alarms."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._times = times(language.code)
        self._sentences = Sentences(
            language,
            ("RemindBare", "Remind", "RemindOther", "Alarm", "AlarmQuery", "AlarmCancel", "AlarmNamed"),
        )

    def recognise(self, phrase: Phrase) -> Recognised | tuple[Recognised, ...] | None:
        """See `Topic`."""
        rest, when = self._times.extract(phrase.words, phrase.situation.now_ms, phrase.situation.zone)
        when = sunlit(when, phrase.situation)
        found = self._sentences.first(rest)
        if found is None and when is not None:
            rest, when = phrase.words, None
            found = self._sentences.first(rest)
        if found is None:
            return None
        if found.intent == "AlarmNamed" and {word.low for word in found.slots["text"]} & set(
            self._language.verbs
        ):
            return None
        if found.intent == "RemindOther":
            return (
                None
                if self._me(found)
                else phrase.understood(found.intent, text=phrase.reply("other_remind"))
            )
        if found.intent in ("AlarmQuery", "AlarmCancel"):
            return self._alarm_known(found, phrase)
        alarm = found.intent.startswith("Alarm")
        text = found.slots.get("text", ())
        if found.intent == "RemindBare" or (not alarm and self._vague(text)):
            return phrase.understood("Remind", question=phrase.reply("what_remind"))
        asked = self._unclear(when, alarm, phrase)
        if asked or when is None:
            return phrase.understood(found.intent, question=asked)
        if when.every:
            return phrase.understood(found.intent, text=phrase.reply("no_repeat"))
        return self._alarm(text, when, phrase) if alarm else self._remind(text, when, phrase)

    def _me(self, found: Found) -> bool:
        return found.slots["who"][0].low in self._language.words["me"]

    def _vague(self, text: Words) -> bool:
        return " ".join(word.low for word in text) in self._language.words["vague"]

    def _unclear(self, when: When | None, alarm: bool, phrase: Phrase) -> str:
        if when is None:
            return phrase.reply("when_alarm" if alarm else "when_remind")
        if when.sun and not when.at_ms:
            return phrase.reply("no_sun" if situated(phrase.situation) else "no_place")
        if when.past:
            return phrase.reply("passed")
        if when.every:
            return ""
        if when.vague or when.days > 1 or (alarm and not when.at_ms):
            said = phrase.original(word for word in phrase.words if word.at in when.at)
            return phrase.reply("which_hour", day=said)
        return phrase.reply("too_far") if too_far(when.delay_ms, when.at_ms, phrase.situation.now_ms) else ""

    def _remind(self, text: Words, when: When, phrase: Phrase) -> Recognised | tuple[Recognised, ...]:
        said = phrase.original(text)
        spoken = phrase.offers(SPEAK) and when.at_ms
        noted = self._noted(said, text, when, phrase) if phrase.offers(NOTE) else None
        if not spoken and noted is None:
            return phrase.nobody_can("Remind")
        values = {"text": said, "when": spell(when, phrase), **(noted[1] if noted else {})}
        parts = []
        if noted is not None:
            key = "own.reminder" if spoken else "own.noted_reminder"
            parts.append(phrase.understood("Remind", noted[0], key=key, values=values))
        if spoken:
            aloud = Act(SPEAK, {"text": phrase.reply("remind_say", text=said)}, {"text": at(text)})
            told = phrase.understood("RemindAloud", aloud, key="" if noted else "own.reminder", values=values)
            parts.append(self._at(told, when, phrase))
        return tuple(parts)

    def _noted(self, said: str, text: Words, when: When, phrase: Phrase) -> tuple[Act, dict[str, Any]] | None:
        """Where it is written down: a list for reminders or tasks, else a calendar."""
        entities = phrase.situation.home.entities.values()
        lists = [one for one in entities if one.domain == "todo"]
        names = self._language.words
        chosen = next((one for one in lists if self._called(one, names["reminders"])), None) or next(
            (one for one in lists if self._called(one, names["todo"])), None
        )
        if chosen is not None:
            due = {"due_datetime": iso(when.at_ms, phrase)} if when.at_ms else {"due_date": when.day}
            args = {"service": "todo.add_item", "entities": [chosen.id], "data": {"item": said, **due}}
            words = {"data.item": at(text), **{f"data.{name}": when.at for name in due}}
            return Act(NOTE, args, words), {"entity": chosen.id, "present": [said]}
        calendar = next((one for one in entities if one.domain == "calendar"), None)
        if calendar is None:
            return None
        data = {"summary": said, **span(when, 0, phrase)}
        words = {"data.summary": at(text), **{f"data.{name}": when.at for name in data if name != "summary"}}
        args = {"service": "calendar.create_event", "entities": [calendar.id], "data": data}
        return Act(NOTE, args, words), {"entity": calendar.id, "event": said}

    def _called(self, entity: Entity, names: tuple[str, ...]) -> bool:
        known = {entity.name.lower(), *(alias.lower() for alias in entity.aliases)}
        plain = {
            " ".join(word for word in name.replace("-", " ").split() if word != "list") for name in known
        }
        return bool((known | plain) & set(names))

    def _alarm(self, text: Words, when: When, phrase: Phrase) -> Recognised:
        timer = self._alarm_timer(phrase)
        values: dict[str, Any] = {"when": spell(when, phrase)}
        if timer is None and not phrase.offers(SPEAK):
            timer = Entity(_ALARM, self._language.words["alarm"][0].capitalize())
        if timer is not None and phrase.offers(NOTE):
            left = max(1, (when.at_ms - phrase.situation.now_ms) // 1000)
            duration = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            args = {"service": "timer.start", "entities": [timer.id], "data": {"duration": duration}}
            act = Act(NOTE, args, {"data.duration": when.at, "entities": at(phrase.plain)})
            values |= {"entity": timer.id, "state": "active"}
            return phrase.understood("Alarm", act, key="own.alarm", values=values, entities=(timer.id,))
        if phrase.offers(SPEAK):
            said = phrase.original(text) if text else phrase.reply("alarm_say")
            act = Act(SPEAK, {"text": said}, {"text": at(text)} if text else {})
            return self._at(phrase.understood("Alarm", act, key="own.alarm", values=values), when, phrase)
        return phrase.nobody_can("Alarm")

    def _alarm_timer(self, phrase: Phrase) -> Entity | None:
        words = self._language.words["alarm"]
        return next(
            (
                one
                for one in phrase.situation.home.entities.values()
                if one.domain == "timer" and any(word in f"{one.name} {one.id}".lower() for word in words)
            ),
            None,
        )

    def _alarm_known(self, found: Found, phrase: Phrase) -> Recognised | None:
        timer = self._alarm_timer(phrase)
        if timer is None:
            # Where there is a burglar alarm, it is asked about that.
            guarded = any(one.domain == _PANEL for one in phrase.situation.home.entities.values())
            return None if guarded and found.intent == "AlarmQuery" else phrase.nobody_can(found.intent)
        if timer.state != "active":
            return phrase.understood(found.intent, text=phrase.reply("no_alarm"), entities=(timer.id,))
        if found.intent == "AlarmCancel":
            args: dict[str, Any] = {"service": "timer.cancel", "entities": [timer.id], "data": {}}
            act = Act(NOTE, args, {"entities": at(phrase.plain)})
            values = {"entity": timer.id, "state": "idle"}
            return phrase.understood(
                found.intent, act, key="own.alarm_off", values=values, entities=(timer.id,)
            )
        when = str(timer.attributes.get("finishes_at", timer.attributes.get("remaining", "")))
        return phrase.understood(found.intent, key="own.alarm", values={"when": when}, entities=(timer.id,))

    def _at(self, recognised: Recognised, when: When, phrase: Phrase) -> Recognised:
        clause = Clause(
            " ".join(word.text for word in phrase.plain), at(phrase.plain), when.delay_ms,
            0 if when.delay_ms else when.at_ms,
        )  # fmt: skip
        return msgspec.structs.replace(recognised, clause=clause)


def iso(ms: int, phrase: Phrase) -> str:
    """An instant as ISO 8601 with the household's offset."""
    return local(ms, zone_of(phrase.situation.zone)).replace(microsecond=0).isoformat()


def span(when: When, minutes: int, phrase: Phrase) -> dict[str, str]:
    """Start and end of an appointment, as the calendar's service takes them; whole days when no hour was said."""
    if when.at_ms:
        end = when.at_ms + minutes * 60_000
        return {"start_date_time": iso(when.at_ms, phrase), "end_date_time": iso(end, phrase)}
    day = local(phrase.situation.now_ms, zone_of(phrase.situation.zone)).date()
    if when.day:
        day = day.fromisoformat(when.day)
    return {"start_date": day.isoformat(), "end_date": (day + timedelta(days=when.days)).isoformat()}


def spell(when: When, phrase: Phrase) -> str:
    """A time for people: the day's name if it is not today, and the hour."""
    zone = zone_of(phrase.situation.zone)
    now = local(phrase.situation.now_ms, zone)
    moment = local(when.at_ms, zone) if when.at_ms else None
    day = moment.date() if moment is not None else now.date().fromisoformat(when.day)
    names = phrase.language.words
    ahead = (day - now.date()).days
    said = names["near_days"][ahead] if 0 <= ahead < 2 else names["weekdays"][day.weekday()]
    if ahead >= 7:
        said = f"{said}, {day.day} {names['months'][day.month - 1]}"
    hour = f" {names['at'][0]} {moment.hour}:{moment.minute:02}" if moment is not None else ""
    return f"{said}{hour}"


__all__ = ["Reminders", "iso", "span", "spell"]
