"""What is known about a value of a plan besides the value: its label and where it came from.

    source      user < memory < device < model < web: who said it; of several, the one to be trusted least counts
    readers     who may be given it; of several, only those whom all of them name (`*`: anybody)
    data_class  what it is about; of several, all of them
    purpose     what it may be used for; of several, only what all of them allow (`*`: anything)
    words       the words of an utterance that it came from, as they were heard (`words_of`) and in that order; of
                several, each distinct word of all, as it is met, the first `UTTERANCE_WORDS_MAX`; empty: not from words

`join` is therefore a least upper bound: commutative (words: but for their order), associative, idempotent, and never
less strict than its parts. Words never make a label less strict: what is joined with something that a device, a model
or the web said keeps its words, and its source is still the one to be trusted least.
`origins` are the ends of a value's lineage: `plan` (written into the plan), `inputs.NAME`, the path of a step (`read`,
`read[2]`), `item`, `event`, each with every step on the way. A label is a claim until it is proven: whoever judges by
it checks the producing node's signed result, or the person's signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec

from kindmesh.protocol.bounds import Word
from kindmesh.protocol.limits import LINEAGE_MAX, UTTERANCE_WORD_MAX, UTTERANCE_WORDS_MAX

Source = Literal["user", "memory", "device", "model", "web"]
SOURCES: Final[tuple[Source, ...]] = ("user", "memory", "device", "model", "web")
"""The most trusted first."""
ANYBODY: Final = ("*",)
LabelWords = Annotated[tuple[Word, ...], msgspec.Meta(max_length=64)]
HeardWord = Annotated[str, msgspec.Meta(min_length=1, max_length=UTTERANCE_WORD_MAX)]
HeardWords = Annotated[tuple[HeardWord, ...], msgspec.Meta(max_length=UTTERANCE_WORDS_MAX)]
"""Words of an utterance, in order."""


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """See the module. The default is what a person typed, about nothing in particular, for everybody and anything."""

    source: Source = "user"
    readers: LabelWords = ANYBODY
    data_class: LabelWords = ()
    purpose: LabelWords = ANYBODY
    words: HeardWords = ()


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """A label without its words, as it goes over the wire with a permit and with what a device gives."""

    source: Source
    readers: LabelWords = ANYBODY
    data_class: LabelWords = ()
    purpose: LabelWords = ANYBODY

    def label(self) -> Label:
        """The label again."""
        return Label(self.source, self.readers, self.data_class, self.purpose)


def carry(label: Label) -> Carried:
    """The label without its words."""
    return Carried(label.source, label.readers, label.data_class, label.purpose)


class Traced(msgspec.Struct, frozen=True):
    """A plain value with its label and origins (sorted, at most `LINEAGE_MAX`)."""

    value: Any
    label: Label = Label()
    origins: tuple[str, ...] = ()


FROM_PLAN: Final = ("plan",)


def join(labels: Iterable[Label]) -> Label:
    """The label of what was made out of values with these labels; of none, the default."""
    joined: Label | None = None
    for label in labels:
        joined = label if joined is None else _join(joined, label)
    return Label() if joined is None else Label(
        joined.source, _sorted(joined.readers), _sorted(joined.data_class), _sorted(joined.purpose),
        _distinct(joined.words),
    )  # fmt: skip


def _join(one: Label, other: Label) -> Label:
    source = max(one.source, other.source, key=SOURCES.index)
    return Label(
        source,
        _both(one.readers, other.readers),
        _sorted((*one.data_class, *other.data_class)),
        _both(one.purpose, other.purpose),
        _distinct((*one.words, *other.words)),
    )


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in one:
        return other
    return one if "*" in other else tuple(word for word in one if word in other)


def _distinct(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))[:UTTERANCE_WORDS_MAX] if words else ()


def _sorted(words: tuple[str, ...]) -> tuple[str, ...]:
    return ANYBODY if "*" in words else tuple(sorted(set(words)))


def gather(parts: Iterable[Traced]) -> tuple[Label, tuple[str, ...]]:
    """Label and origins of what was made out of `parts`."""
    known = list(parts)
    origins = sorted({origin for part in known for origin in part.origins})
    return join(part.label for part in known), tuple(origins[:LINEAGE_MAX])


__all__ = [
    "ANYBODY", "FROM_PLAN", "SOURCES", "Carried", "HeardWord", "HeardWords", "Label", "LabelWords", "Source", "Traced",
    "carry", "gather", "join",
]  # fmt: skip
