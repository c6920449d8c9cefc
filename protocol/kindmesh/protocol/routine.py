"""A person's yes to a learned routine: whenever they say this sentence, these very steps, without a question each time.

It is made out of what Medulla lays before the person (`RoutineRequest`: names, effects and values as Medulla knows
them) and signed by that person's own key over those very bytes, with an end and how often in a day. It settles a step
only when the person's *whole* sentence is proven and is these words (`plain_words`: whatever the case, and without
punctuation at the ends of words), when the step is one of these with these very values on that device, once for each
time that it is said, and after the steps that come before it. Everything else is asked about as before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from kindmesh.protocol.bounds import (
    Arguments,
    Count,
    Effects,
    KeyId,
    Name,
    Payload,
    TimeId,
    TimeMs,
    Word,
    printable,
)
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.plan_labels import HeardWords
from kindmesh.protocol.principal import Principal, describe_principal
from kindmesh.protocol.signed import Signed, open_signed, sign_struct
from kindmesh.protocol.standing import DAY_MS, utc_text

ROUTINE_DOMAIN: Final = b"kindmesh-routine-v1\0"
ROUTINE_STEPS_MAX: Final = 16
ROUTINE_TIMES_MAX: Final = 100
"""How often in a day it may be said."""
ROUTINE_LASTS_MAX_MS: Final = 366 * DAY_MS
_EDGE: Final = "\"'“”„«»()[].,;:!…"

StepNumber = Annotated[int, msgspec.Meta(ge=0, le=ROUTINE_STEPS_MAX - 1)]


class RoutineStep(msgspec.Struct, array_like=True, frozen=True):
    """One step: `args` are the canonical argument bytes, `effects` and `data_classes` as the device declares them,
    `after` the numbers (from 0) of those steps of the routine that come before it."""

    operation: Word
    target: KeyId
    target_name: Name
    args: Arguments
    effects: Effects
    data_classes: tuple[Word, ...] = ()
    after: Annotated[tuple[StepNumber, ...], msgspec.Meta(max_length=ROUTINE_STEPS_MAX)] = ()


class RoutineRequest(msgspec.Struct, array_like=True, frozen=True):
    """What a person is asked to agree to; made by Medulla, which takes a yes to it until `expires_ms`."""

    mesh: KeyId
    request_id: TimeId
    principal: Principal
    words: HeardWords
    steps: Annotated[tuple[RoutineStep, ...], msgspec.Meta(max_length=ROUTINE_STEPS_MAX)]
    issued_ms: TimeMs
    expires_ms: TimeMs
    purpose: Word = "household"


class RoutineApproval(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `request` are the `RoutineRequest`'s bytes; in force until `expires_ms`,
    at most `times` a day."""

    request: Payload
    issued_ms: TimeMs
    expires_ms: TimeMs
    times: Count

    def asked(self) -> RoutineRequest:
        """What it was made out of.

        Raises:
            Malformed: none.
        """
        return decode(RoutineRequest, self.request, limit=ROSTER_MAX)


def plain_words(words: Iterable[str]) -> tuple[str, ...]:
    """The words by which two sentences count as the same: case folded, without punctuation at their ends. A question
    mark stays: it makes another sentence."""
    bare = (word.strip(_EDGE).casefold() for word in words)
    return tuple(word for word in bare if word)


def check_routine(approval: RoutineApproval) -> RoutineRequest:
    """What it is about; refuses one that cannot mean anything, or lasts too long.

    Raises:
        InvalidInput: names the field.
        Malformed: its request is none, or values of a step are not canonical.
    """
    asked = approval.asked()
    if not asked.words or asked.words != plain_words(asked.words):
        raise InvalidInput("a routine begins with the words of a sentence", field="words")
    if not asked.steps:
        raise InvalidInput("there is no step in it", field="steps")
    for number, step in enumerate(asked.steps):
        decode_value(step.args)
        if any(before >= number for before in step.after):
            raise InvalidInput("a step comes after one that is not before it", field=f"steps.{number}.after")
    if not 0 < approval.expires_ms - approval.issued_ms <= ROUTINE_LASTS_MAX_MS:
        days = ROUTINE_LASTS_MAX_MS // DAY_MS
        raise InvalidInput(f"a yes like this lasts at most {days} days", field="days")
    if not 0 < approval.times <= ROUTINE_TIMES_MAX:
        raise InvalidInput(f"it says how often a day: 1 to {ROUTINE_TIMES_MAX} times", field="times")
    return asked


def sign_routine(approval: RoutineApproval, person: SigningKey) -> Signed:
    """Signed by the own key of the person whose sentence it is."""
    return sign_struct(approval, ROUTINE_DOMAIN, person)


def open_routine(signed: Signed, person_pub: bytes) -> RoutineApproval:
    """The approval; `BadSignature` when that person did not sign it."""
    return open_signed(signed, RoutineApproval, ROUTINE_DOMAIN, person_pub)


def describe_routine(approval: RoutineApproval) -> list[str]:
    """Lines of the prompt: the sentence, every step with its values, and for how long, from the bytes that are signed.

    Raises:
        Malformed: the request is none, or its values are not canonical.
    """
    asked = approval.asked()
    lines = [
        f"said       {printable(' '.join(asked.words))}",
        f"said by    {describe_principal(asked.principal)}",
        f"for        {printable(asked.purpose)}",
    ]
    for number, step in enumerate(asked.steps, 1):
        after = f", after {', '.join(str(before + 1) for before in step.after)}" if step.after else ""
        values = msgspec.json.format(msgspec.json.encode(decode_value(step.args)), indent=2).decode()
        lines += [
            f"step {number:<5} {printable(step.operation)}: {', '.join(effect_names(step.effects))}{after}",
            f"device     {printable(step.target_name)} ({format_id(step.target)})",
            *(f"data       {printable(name)}" for name in step.data_classes),
            *(f"  {printable(line)}" for line in values.split("\n")),
        ]
    return [
        *lines,
        f"agreed     until {utc_text(approval.expires_ms)}; kindmesh review grants ends it earlier",
        "may differ nothing: these words, these steps, these values",
        f"how often  at most {approval.times} times a day",
        "even so    asked about in quiet hours, beyond the owner's bounds, and where somebody could be hurt or let in"
        " while nobody is known to be there",
    ]


__all__ = [
    "ROUTINE_DOMAIN", "ROUTINE_LASTS_MAX_MS", "ROUTINE_STEPS_MAX", "ROUTINE_TIMES_MAX", "RoutineApproval",
    "RoutineRequest", "RoutineStep", "check_routine", "describe_routine", "open_routine", "plain_words", "sign_routine",
]  # fmt: skip
