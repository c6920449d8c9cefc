"""What to say when something is done or was asked: from the replies of what was recognised and the home as it then is.

Replies of the home's intents are rendered by `intents.answer`. Those of the own grammar have keys that begin with
`own.` and are wordings of the language.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kindmesh.capabilities.home.lists import TO_DO, items_of
from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.own.phrase import wording
from kindmesh.coordinator.brain.cortex.terms import Recognised, Situation, Understanding

_OWN: Final = "own."
_INTENTS: Final = "kindmesh.coordinator.brain.cortex.intents"
"""Imported when it is needed: it needs the extra `brain`."""


class Answers:
    """Renders replies in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language

    def at_once(self, recognised: Sequence[Recognised], situation: Situation) -> str:
        """What to answer when there is nothing to do."""
        return self._joined(recognised, situation.home, situation.now_ms)

    def answer(self, understanding: Understanding, home_after: Home, now_ms: int) -> str:
        """What to answer once it is done."""
        if not understanding.understood or understanding.question:
            return understanding.reply or understanding.question
        return self._joined(understanding.recognised, home_after, now_ms)

    def _joined(self, recognised: Sequence[Recognised], home: Home, now_ms: int) -> str:
        told = (
            text
            for one in recognised
            for text in (self._one(_named(one) if len(recognised) > 1 else one, home, now_ms), one.reply.also)
        )
        said = list(dict.fromkeys(text for text in told if text))
        return " ".join([*map(_closed, said[:-1]), *said[-1:]])

    def _one(self, recognised: Recognised, home: Home, now_ms: int) -> str:
        reply = recognised.reply
        if reply.text:
            return reply.text
        if reply.key.startswith(_OWN):
            if not _seen(reply.values, home):
                return wording(self._language, "own.not_yet", recognised.clause.text, {})
            return wording(self._language, reply.key, recognised.clause.text, dict(reply.values))
        said: str = importlib.import_module(_INTENTS).answer(reply, recognised, home, now_ms)
        return said


def _named(recognised: Recognised) -> Recognised:
    """Beside another answer a bare "yes" says nothing: it names the thing and how it is."""
    intent, _, response = recognised.reply.key.partition("/")
    if response != "one_yesno":
        return recognised
    return msgspec.structs.replace(
        recognised, reply=msgspec.structs.replace(recognised.reply, key=f"{intent}/one")
    )


def _closed(text: str) -> str:
    """A sentence with its stop, so that another can follow."""
    return text if text.rstrip()[-1:] in (".", "!", "?") else f"{text.rstrip()}."


def _seen(values: Mapping[str, Any], home: Home) -> bool:
    """Whether the home shows what the reply is about to say: items on a list or off it, a state, an appointment."""
    entity = home.entities.get(str(values.get("entity", "")))
    if entity is None:
        return "entity" not in values
    items = {str(row["summary"]) for row in items_of(entity) if row["status"] == TO_DO}
    events = entity.attributes.get("events")
    titles = (
        {str(row.get("summary", "")) for row in events if isinstance(row, dict)}
        if isinstance(events, list)
        else set()
    )
    return (
        set(values.get("present", ())) <= items
        and not set(values.get("absent", ())) & items
        and ("state" not in values or entity.state == values["state"])
        and ("event" not in values or "gone" in values or values["event"] in titles)
        and ("gone" not in values or values["gone"] not in titles)
    )


__all__ = ["Answers"]
