"""The calendar: put in, ask, cancel. A day that is not said is asked for; nothing is cancelled that is not found."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from kindmesh.capabilities.home.model import Entity
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.normalise import Words
from kindmesh.coordinator.brain.cortex.own.lists import NOTE
from kindmesh.coordinator.brain.cortex.own.phrase import Found, Phrase, Sentences, at, listed
from kindmesh.coordinator.brain.cortex.own.reminders import span, spell
from kindmesh.coordinator.brain.cortex.terms import Act, Recognised
from kindmesh.coordinator.brain.cortex.times import When, local, times, zone_of

EVENT_MINUTES: Final = 60
"""How long an appointment is when nobody says."""
_AHEAD: Final = 365
_ASKING: Final = ("CalendarQuery", "CalendarNext", "CalendarWhen")


class Calendars:
    """See the module."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._times = times(language.code)
        self._sentences = Sentences(
            language,
            (
                "CalendarStated",
                "CalendarClear",
                "CalendarNext",
                "CalendarQuery",
                "CalendarRemove",
                "CalendarAdd",
                "CalendarWhen",
            ),
        )

    def recognise(self, phrase: Phrase) -> Recognised | None:
        """See `Topic`."""
        rest, when = self._times.extract(
            phrase.words, phrase.situation.now_ms, phrase.situation.zone, firm=True
        )
        if not rest:
            return None
        for found in self._sentences.all(rest):
            made = self._found(found, rest, when, phrase)
            if made is not None:
                return made
        return None

    def _found(self, found: Found, rest: Words, when: When | None, phrase: Phrase) -> Recognised | None:
        calendars = [one for one in phrase.situation.home.entities.values() if one.domain == "calendar"]
        spoken = any(word.low in self._language.words["calendar"] for word in rest[1:])
        event = found.slots.get("event", ())
        if found.intent in ("CalendarWhen", "CalendarRemove", "CalendarAdd") and not spoken:
            known = self._events_named(event, calendars) if event else []
            if not known and not self._sounds_like_event(event):
                return None
        elif found.intent == "CalendarQuery" and not spoken and when is None and not self._says_event(rest):
            return None
        if not calendars:
            return phrase.understood(found.intent, text=phrase.reply("no_calendar"))
        if found.intent in _ASKING:
            return self._asked(found, when, calendars, phrase)
        if found.intent == "CalendarClear":
            events = self._between(calendars, when, phrase)
            said = phrase.reply("shall_clear", count=len(events))
            empty = phrase.reply("calendar_empty", day="")
            return phrase.understood(
                found.intent, question=said if events else "", text="" if events else empty
            )
        if not phrase.offers(NOTE):
            return phrase.nobody_can(found.intent)
        if found.intent == "CalendarStated":
            return self._add(found, event, when, calendars, phrase)
        if found.intent == "CalendarRemove":
            return self._remove(event, when, calendars, phrase)
        return self._add(found, event, when, calendars, phrase)

    def _sounds_like_event(self, event: Words) -> bool:
        return any(word.low in self._language.words["event"] for word in event)

    def _says_event(self, rest: Words) -> bool:
        plural = self._language.words["event"]
        return any(word.low in plural or word.low.removesuffix("s") in plural for word in rest)

    def _add(
        self, found: Found, event: Words, when: When | None, calendars: list[Entity], phrase: Phrase
    ) -> Recognised:
        chosen = self._chosen(found.slots.get("calendar", ()), calendars, phrase)
        if isinstance(chosen, Recognised):
            return chosen
        # A time that stands in the middle of a title is no part of it.
        stated = found.intent == "CalendarStated"
        said = (
            " ".join(phrase.original((one,)) for one in _apart(event)) if stated else phrase.original(event)
        )
        if when is None or when.every or (when.vague and not when.at_ms) or when.days > 1:
            if when is not None and when.every:
                return phrase.understood("CalendarAdd", text=phrase.reply("no_repeat"))
            return phrase.understood("CalendarAdd", question=phrase.reply("when_event", event=said))
        if when.past:
            return phrase.understood("CalendarAdd", question=phrase.reply("passed"))
        if when.vague:
            day = phrase.original(word for word in phrase.words if word.at in when.at)
            return phrase.understood("CalendarAdd", question=phrase.reply("which_hour", day=day))
        times_said = span(when, EVENT_MINUTES, phrase)
        args = {
            "service": "calendar.create_event", "entities": [chosen.id], "data": {"summary": said, **times_said},
        }  # fmt: skip
        words = {"data.summary": at(event), **{f"data.{name}": when.at for name in times_said}}
        if found.slots.get("calendar"):
            words["entities"] = at(found.slots["calendar"])
        return phrase.understood(
            "CalendarAdd", Act(NOTE, args, words), key="own.event_added",
            values={"event": said, "when": spell(when, phrase), "entity": chosen.id}, entities=(chosen.id,),
        )  # fmt: skip

    def _chosen(self, name: Words, calendars: list[Entity], phrase: Phrase) -> Entity | Recognised:
        said = " ".join(word.low for word in name)
        fitting = [one for one in calendars if said and said in f"{one.name} {' '.join(one.aliases)}".lower()]
        pool = fitting or calendars
        if len(pool) == 1:
            return pool[0]
        names = listed((one.name for one in pool), self._language, choice=True)
        return phrase.understood("CalendarAdd", question=phrase.reply("which_calendar", names=names))

    def _remove(self, event: Words, when: When | None, calendars: list[Entity], phrase: Phrase) -> Recognised:
        known = self._events_named(event, calendars)
        if when is not None and when.day:
            days = {self._day(row["start"], phrase) for _, row in known}
            known = (
                [(one, row) for one, row in known if self._day(row["start"], phrase) == when.day]
                if days
                else []
            )
        said = phrase.original(event)
        if not known:
            return phrase.understood("CalendarRemove", text=phrase.reply("no_event", event=said))
        if len(known) > 1:
            names = listed(
                (f"{row['summary']} ({row['start']})" for _, row in known), self._language, choice=True
            )
            return phrase.understood("CalendarRemove", question=phrase.reply("which_event", names=names))
        calendar, row = known[0]
        named = str(row.get("uid") or row["summary"])
        args = {"service": "calendar.delete_event", "entities": [calendar.id], "data": {"summary": named}}
        return phrase.understood(
            "CalendarRemove", Act(NOTE, args, {"data.summary": at(event)}), key="own.event_removed",
            values={"event": str(row["summary"]), "entity": calendar.id, "gone": str(row["summary"])},
            entities=(calendar.id,),
        )  # fmt: skip

    def _asked(self, found: Found, when: When | None, calendars: list[Entity], phrase: Phrase) -> Recognised:
        about = tuple(one.id for one in calendars)
        if found.intent == "CalendarWhen":
            known = self._events_named(found.slots["event"], calendars)
            if not known:
                said = phrase.reply("no_event", event=phrase.original(found.slots["event"]))
                return phrase.understood(found.intent, text=said, entities=about)
            events = known
        else:
            events = self._between(calendars, None if found.intent == "CalendarNext" else when, phrase)
            events = events[:1] if found.intent == "CalendarNext" else events
        if not events:
            day = ""
            if when is not None:
                day = f" {phrase.original(word for word in phrase.words if word.at in when.at)}"
            return phrase.understood(
                found.intent, text=phrase.reply("calendar_empty", day=day), entities=about
            )
        told = "; ".join(self._told(row, phrase) for _, row in events[:10])
        return phrase.understood(found.intent, key="own.events", values={"events": told}, entities=about)

    def _told(self, row: dict[str, Any], phrase: Phrase) -> str:
        start = _moment(str(row["start"]), phrase)
        if start is None:
            return str(row["summary"])
        whole = "T" not in str(row["start"])
        when = When(at_ms=0 if whole else round(start.timestamp() * 1000), day=start.date().isoformat())
        return f"{row['summary']}, {spell(when, phrase)}"

    def _between(
        self, calendars: list[Entity], when: When | None, phrase: Phrase
    ) -> list[tuple[Entity, dict[str, Any]]]:
        """The appointments of the days that were said; without any, all that are still to come."""
        zone = zone_of(phrase.situation.zone)
        now = local(phrase.situation.now_ms, zone)
        first = date.fromisoformat(when.day) if when is not None and when.day else now.date()
        days = when.days if when is not None and when.day else _AHEAD
        found = []
        for calendar in calendars:
            for row in _rows(calendar):
                start = _moment(str(row["start"]), phrase)
                if start is None or not first <= start.date() < first + timedelta(days=days):
                    continue
                if (when is None or not when.day) and start < now and "T" in str(row["start"]):
                    continue
                found.append((start, calendar, row))
        return [
            (calendar, row)
            for _, calendar, row in sorted(found, key=lambda one: (one[0], str(one[2]["summary"])))
        ]

    def _events_named(self, event: Words, calendars: list[Entity]) -> list[tuple[Entity, dict[str, Any]]]:
        wanted = (
            {word.low for word in event} - set(self._language.articles) - set(self._language.prepositions)
        )
        wanted -= set(self._language.words["event_generic"])
        if not wanted:
            return []
        return [
            (calendar, row)
            for calendar in calendars
            for row in _rows(calendar)
            if wanted <= set(str(row["summary"]).lower().split())
        ]

    def _day(self, start: Any, phrase: Phrase) -> str:
        moment = _moment(str(start), phrase)
        return moment.date().isoformat() if moment is not None else ""


def _apart(words: Words) -> Words:
    """One word for each position: "Dad's" was two, "Dad is"."""
    return tuple(word for n, word in enumerate(words) if not n or words[n - 1].at != word.at)


def _rows(calendar: Entity) -> list[dict[str, Any]]:
    raw = calendar.attributes.get("events")
    rows = [row for row in raw if isinstance(row, dict)] if isinstance(raw, list) else []
    return [{"summary": "", "start": "", **row} for row in rows]


def _moment(text: str, phrase: Phrase) -> datetime | None:
    zone = zone_of(phrase.situation.zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


__all__ = ["EVENT_MINUTES", "Calendars"]
