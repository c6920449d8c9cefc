"""Whose a value is that a language model put into a plan: the person's, or the model's.

A value is the person's only where it is literally what was said: its words stand in the utterance, next to each other
and in that order, or it is a number that stands there in digits. The label then carries those words, so that they can
be proven. A thing of the home counts as named where its whole name, or an alias, was said; that is looked up here and
not left to the model, and only as long as the model has read nothing but the request. Everything else is the model's,
and once it has read something from a device or the web, as untrusted as that. An empty value, true and false are
never anybody's words. Labels stand at every leaf, because a value without a label would count as the person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from kindmesh.capabilities.home.model import Home
from kindmesh.coordinator.brain.cortex.terms import words_of
from kindmesh.protocol.plan_labels import Label, join

MODEL: Final = Label("model")
_EDGES: Final = re.compile(r"^[^\w-]+|[^\w]+$")
_NUMBER: Final = re.compile(r"-?[0-9]{1,12}([.,][0-9]{1,6})?")


class Sources:
    """Labels the values of one plan. `read` are the labels of what the model was shown besides the request."""

    def __init__(self, text: str, home: Home, read: Iterable[Label] = ()) -> None:
        self._heard = words_of(text)
        self._low = [_low(word) for word in self._heard]
        self._home = home
        self._read = tuple(read)
        self._model = join((MODEL, *self._read))

    def labelled(self, value: Any) -> Any:
        """The value as a plan has it, with a label at every leaf."""
        if isinstance(value, dict) and value:
            return {name: self.labelled(item) for name, item in value.items()}
        if isinstance(value, list) and value:
            return [self.labelled(item) for item in value]
        return {"$value": value, "$label": _document(self.label(value))}

    def label(self, value: Any) -> Label:
        """Whose this leaf is."""
        positions = self.positions(value)
        return Label("user", words=tuple(self._heard[at] for at in positions)) if positions else self._model

    def positions(self, value: Any) -> tuple[int, ...]:
        """The positions of the words that the leaf literally is; none when it is not."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._number(float(value))
        if not isinstance(value, str):
            return ()
        entity = self._home.entities.get(value)
        if entity is None:
            return self._phrase(value)
        if self._read:
            return ()
        return next((found for name in (entity.name, *entity.aliases) if (found := self._phrase(name))), ())

    def _phrase(self, text: str) -> tuple[int, ...]:
        wanted = [_low(word) for word in words_of(text)]
        if not any(wanted):
            return ()
        for start in range(len(self._low) - len(wanted) + 1):
            if self._low[start : start + len(wanted)] == wanted:
                return tuple(range(start, start + len(wanted)))
        return ()

    def _number(self, value: float) -> tuple[int, ...]:
        for at, word in enumerate(self._low):
            found = _NUMBER.match(word)
            if (
                found
                and not word[found.end() :].strip("%°cfk")
                and float(found[0].replace(",", ".")) == value
            ):
                return (at,)
        return ()


def _low(word: str) -> str:
    """A word without case, and without the signs around it."""
    return _EDGES.sub("", word.casefold())


def _document(label: Label) -> dict[str, Any]:
    document: dict[str, Any] = {"source": label.source}
    for name, found in (("data_class", label.data_class), ("words", label.words)):
        if found:
            document[name] = list(found)
    for name, found in (("readers", label.readers), ("purpose", label.purpose)):
        if "*" not in found:
            document[name] = list(found)
    return document


__all__ = ["MODEL", "Sources"]
