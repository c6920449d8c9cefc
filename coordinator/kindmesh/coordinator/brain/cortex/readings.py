"""What a sentence was read as, and when two readings of it are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from kindmesh.coordinator.brain.cortex.conversation import UNCLEAR
from kindmesh.coordinator.brain.cortex.terms import Recognised, Reply

_TAKEN_BACK: Final = frozenset({"No", "HassNevermind"})
"""What takes back what was said before it."""


HINT: Final = "hint"
"""Slot of what is no command, but says what is wrong."""


class Part(msgspec.Struct, frozen=True):
    """One clause; `after`: it was said with "then"."""

    recognised: Recognised
    after: bool = False


class Reading(msgspec.Struct, frozen=True):
    """What the sentence means: its parts, or a question, or why nothing can be done."""

    parts: tuple[Part, ...] = ()
    question: str = ""
    refusal: str = ""


def unclear(reading: Reading) -> bool:
    """Whether it is only asked what "it" is."""
    return any(part.recognised.intent == UNCLEAR for part in reading.parts)


def hinted(reading: Reading) -> bool:
    """Whether something is done that was only hinted at ("it is cold in here"), beside what was said outright."""
    hints = [part.recognised.slots.get(HINT) is True for part in reading.parts]
    return any(hints) and not all(hints)


def outright(reading: Reading) -> Reading:
    """Without what was only hinted at, where something was said outright."""
    if not hinted(reading):
        return reading
    kept = tuple(part for part in reading.parts if part.recognised.slots.get(HINT) is not True)
    return msgspec.structs.replace(reading, parts=kept)


def standing(reading: Reading) -> Reading | None:
    """Without the question whether to do what is done anyway, and without what was taken back; None when it is open
    what still holds."""
    parts = _corrected(reading.parts)
    if parts is None:
        return None
    acted = {repr(act.args) for part in parts if not part.recognised.question for act in part.recognised.acts}
    kept = tuple(
        part
        for part in parts
        if part.recognised.slots.get("confirm") is not True
        or not {repr(act.args) for act in part.recognised.acts} <= acted
    )
    return msgspec.structs.replace(reading, parts=kept)


def _corrected(parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
    """ "A, no, B" is B alone, if both are the same with other things; "no, B" is B. None: "A, no", and all else."""
    kept: list[Part] = []
    instead = False
    for part in parts:
        if part.recognised.intent in _TAKEN_BACK and len(parts) > 1:
            instead = bool(kept)
            continue
        if instead and kept.pop().recognised.intent != part.recognised.intent:
            return None
        kept.append(part)
        instead = False
    return None if instead or not kept else tuple(kept)


def told_later(parts: Sequence[Part], say: Callable[[str], str]) -> tuple[Part, ...]:
    """Parts, where what comes after the end of something that is done for a while is not told as done."""
    made: list[Part] = []
    waits = False
    for part in parts:
        waits = part.after and waits
        one = part.recognised
        if waits and one.acts:
            one = msgspec.structs.replace(one, reply=Reply(text=say(one.clause.text)))
        made.append(msgspec.structs.replace(part, recognised=one))
        waits = waits or one.back is not None
    return tuple(made)


def agreed(alone: Sequence[Reading], placed: Sequence[Reading]) -> Reading | None:
    """The reading of a command by itself, or in the place that was spoken of: two that differ are none."""
    sure = [[one for one in some if _does(one)] for some in (alone, placed)]
    if sure[0] and sure[1] and not _alike(sure[0][0], sure[1][0]):
        return None
    return next((one for some in sure for one in some), None) or next(iter((*alone, *placed)), None)


def _does(reading: Reading) -> bool:
    return (
        not reading.question
        and any(one.recognised.acts for one in reading.parts)
        and not any(one.recognised.question for one in reading.parts)
    )


def _alike(one: Reading, other: Reading) -> bool:
    return same(*([tuple(part.recognised for part in reading.parts)] for reading in (one, other)))


def same(one: Iterable[tuple[Recognised, ...]], other: Iterable[tuple[Recognised, ...]]) -> bool:
    """Whether two readings do the same."""
    return [_key(part) for several in one for part in several] == [
        _key(part) for several in other for part in several
    ]


def _key(recognised: Recognised) -> tuple[object, ...]:
    return (recognised.intent, *((act.operation, repr(sorted(act.args.items()))) for act in recognised.acts))


__all__ = ["Part", "Reading", "agreed", "same", "standing", "told_later", "unclear"]
