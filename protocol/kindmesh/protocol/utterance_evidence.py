"""What goes to Medulla with a step: where each of its values came from, and proofs of the words they came from.

`argument_labels` gives the label of every part of a call's arguments by its path (`entities.0`, `data.brightness_pct`;
empty: the arguments as a whole). A part whose expression is one operator has one label, whatever it holds. `evidence`
shows the words that these labels name, as far as they occur in the utterance, and no others; or all of them. With them
go parts of results that devices signed (`receipt`): `argument_sources` says which parts of the arguments are what an
earlier step gave. All are claims of whoever made the plan; what Medulla makes of them is its own affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec

from kindmesh.protocol.bounds import Word
from kindmesh.protocol.limits import LABELS_MAX
from kindmesh.protocol.plan_labels import Label, Traced, join
from kindmesh.protocol.plan_values import evaluate, operator
from kindmesh.protocol.receipt import ResultProofs
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance import Spoken, WordProofs, find_words, prove

PATH_MAX: Final = 400
"""Characters of a path; a part that is called longer is labelled with what it is in."""


class ArgumentLabel(msgspec.Struct, array_like=True, frozen=True):
    """The label of a part of the arguments; `path` as in the module."""

    path: Annotated[str, msgspec.Meta(max_length=PATH_MAX)]
    label: Label


ArgumentLabels = Annotated[tuple[ArgumentLabel, ...], msgspec.Meta(max_length=LABELS_MAX)]


class Evidence(msgspec.Struct, array_like=True, frozen=True):
    """An utterance, signed by who heard it, and proofs of some of its words, in order; parts of signed results."""

    utterance: Signed
    words: WordProofs = ()
    results: ResultProofs = ()


class ArgumentSource(msgspec.Struct, array_like=True, frozen=True):
    """The part of the arguments at `path` is a reference: to `root` (a step, `item` ...), and what is `inside` it."""

    path: Annotated[str, msgspec.Meta(max_length=PATH_MAX)]
    root: Word
    inside: tuple[Word, ...] = ()


class Heard(msgspec.Struct, array_like=True, frozen=True):
    """What a run keeps of the utterance that it came from: the signed utterance, and what proves its words."""

    utterance: Signed
    said: Spoken


def argument_labels(args: Any, scope: Mapping[str, Traced], where: str) -> tuple[ArgumentLabel, ...]:
    """The labels of all parts of a call's arguments, an expression; of more than `LABELS_MAX` parts, one for all.

    Raises:
        InvalidInput: it cannot be evaluated; `where` is the field.
    """
    found = list(_parts(args, scope, where, ""))
    if len(found) <= LABELS_MAX:
        return tuple(found)
    return (ArgumentLabel("", join(one.label for one in found)),)


def _parts(value: Any, scope: Mapping[str, Traced], where: str, path: str) -> Iterable[ArgumentLabel]:
    named: list[tuple[str, Any]] = []
    if isinstance(value, dict) and not operator(value):
        named = list(value.items())
    elif isinstance(value, list):
        named = [(str(number), item) for number, item in enumerate(value)]
    paths = [f"{path}.{name}".removeprefix(".") for name, _ in named]
    if not named or max(map(len, paths)) > PATH_MAX:
        return [ArgumentLabel(path, evaluate(value, scope, where).label)]
    return [
        part
        for below, (name, item) in zip(paths, named, strict=True)
        for part in _parts(item, scope, f"{where}.{name}", below)
    ]


def argument_sources(args: Any, path: str = "") -> tuple[ArgumentSource, ...]:
    """The parts of a call's arguments, a checked expression, that are nothing but a reference, by the paths of
    `argument_labels`; one that has a default is none, and neither is what has too long a path."""
    if operator(args) == "$from" and "$default" not in args:
        root, *inside = args["$from"].split(".")
        return (ArgumentSource(path, root, tuple(inside)),) if len(path) <= PATH_MAX else ()
    if operator(args):
        return ()
    named: list[tuple[str, Any]] = list(args.items()) if isinstance(args, dict) else []
    if isinstance(args, list):
        named = [(str(number), item) for number, item in enumerate(args)]
    return tuple(
        one for name, item in named for one in argument_sources(item, f"{path}.{name}".removeprefix("."))
    )[:LABELS_MAX]


def evidence(heard: Heard, labels: Iterable[ArgumentLabel], *, whole: bool = False) -> Evidence:
    """The utterance with proofs of the words that these labels name, as far as they occur in it in order; `whole`: of
    all its words, for a step that shall be done because it was said."""
    wanted: set[int] = set(range(len(heard.said.words))) if whole else set()
    for one in labels:
        wanted.update(find_words(heard.said.words, one.label.words) or ())
    return Evidence(heard.utterance, prove(heard.said, wanted))


__all__ = [
    "ArgumentLabel", "ArgumentLabels", "ArgumentSource", "Evidence", "Heard", "argument_labels", "argument_sources",
    "evidence",
]  # fmt: skip
