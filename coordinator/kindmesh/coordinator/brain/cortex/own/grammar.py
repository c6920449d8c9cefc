"""The topics of the household's own grammar, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Sequence

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.own.calendars import Calendars
from kindmesh.coordinator.brain.cortex.own.clocks import Clocks
from kindmesh.coordinator.brain.cortex.own.lists import Lists
from kindmesh.coordinator.brain.cortex.own.people import Memory, Messages
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase, Topic
from kindmesh.coordinator.brain.cortex.own.reminders import Reminders
from kindmesh.coordinator.brain.cortex.own.talk import Talk, Urgent
from kindmesh.coordinator.brain.cortex.terms import Recognised


class Grammar:
    """All topics of a language."""

    def __init__(self, language: Language) -> None:
        self._urgent = Urgent(language)
        self._first: tuple[Topic, ...] = (
            Talk(language), Lists(language, before=True), Clocks(language), Reminders(language),
            Calendars(language), Messages(language),
        )  # fmt: skip
        self._last: tuple[Topic, ...] = (Lists(language, before=False), Memory(language))

    def urgent(self, phrase: Phrase) -> Recognised | None:
        """`stop` and calls for help; these come before everything."""
        return self._urgent.recognise(phrase)

    def first(self, phrase: Phrase) -> tuple[Recognised, ...]:
        """What is asked before the recogniser of the home; empty when no topic knows."""
        return _asked(self._first, phrase)

    def last(self, phrase: Phrase) -> tuple[Recognised, ...]:
        """What is asked after it."""
        return _asked(self._last, phrase)


def _asked(topics: Sequence[Topic], phrase: Phrase) -> tuple[Recognised, ...]:
    for topic in topics:
        found = topic.recognise(phrase)
        if found is not None:
            return found if isinstance(found, tuple) else (found,)
    return ()


__all__ = ["Grammar"]
