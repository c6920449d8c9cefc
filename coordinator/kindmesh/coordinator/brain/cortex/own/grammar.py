"""The topics of the household's own grammar, in the order in which they are asked."""

from __future__ import annotations

from kindmesh.coordinator.brain.cortex.language import Language
from kindmesh.coordinator.brain.cortex.own.phrase import Phrase, Topic
from kindmesh.coordinator.brain.cortex.terms import Recognised


class Grammar:
    """All topics of a language."""

    def __init__(self, language: Language) -> None:
        self._first: tuple[Topic, ...] = ()
        self._last: tuple[Topic, ...] = ()

    def first(self, phrase: Phrase) -> Recognised | None:
        """What is asked before the recogniser of the home."""
        return next((found for topic in self._first if (found := topic.recognise(phrase)) is not None), None)

    def last(self, phrase: Phrase) -> Recognised | None:
        """What is asked after it."""
        return next((found for topic in self._last if (found := topic.recognise(phrase)) is not None), None)


__all__ = ["Grammar"]
