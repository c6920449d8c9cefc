"""What is said at the end, as parts: each a sentence or two, and whether it is safety wording. Pure.

Safety wording is what somebody may rely on: a refusal, a thing that did not happen, a thing that needs a yes, a state
that was read back. No persona touches it, and nothing light-hearted stands next to it. Nothing is claimed that was not
verified: when any part of a request went wrong, each thing is named with how it is now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from kindmesh.capabilities.home.model import Change, Entity, Home
from kindmesh.coordinator.brain.desk.applying import Applied

REASONS_SAID: Final = 2
"""Reasons that are told in full; nobody listens to ten."""
CONFIRMED_MAX: Final = 3
"""Things that are named one by one when all went well."""
_PLAIN_STATES: Final = frozenset({"on", "off", "locked", "unlocked", "open", "closed"})
_PLURALS: Final = frozenset({
    "lights", "lamps", "bulbs", "leds", "spots", "spotlights", "lanterns", "blinds", "curtains", "drapes",
    "shades", "shutters", "doors", "gates", "windows", "fans", "sockets", "plugs", "speakers", "radiators",
    "heaters", "sprinklers", "valves", "locks", "stairs",
})  # fmt: skip
_PLAIN_DONE: Final = re.compile(
    r"(?:(?:turned (?:on|off)|closing|opening|locking|unlocking)(?: (?:all of )?the [a-z ]+)?|switched over|activated|"
    r"closed|opened|locked|unlocked|lights? turned (?:on|off))\.?",
    re.IGNORECASE,
)
"""What an official answer says of any thing; what it is called and how it is now says more."""
_BECOMES: Final = {
    "on": "on", "off": "off", "locking": "locked", "locked": "locked", "unlocking": "unlocked",
    "unlocked": "unlocked", "opening": "open", "opened": "open", "closing": "closed", "closed": "closed",
}  # fmt: skip
"""What they say that a thing becomes."""
Kind = Literal["done", "answer", "question", "lost", "safety"]
"""`done`: it was done and verified; `answer`: a question was answered; `lost`: not understood; `question`: one that
the person is asked; `safety`: see the module."""


class Said(msgspec.Struct, frozen=True):
    """One part of a reply."""

    text: str
    kind: Kind = "answer"


def plain_text(parts: Iterable[Said]) -> str:
    """The parts as one text."""
    return " ".join(part.text.strip() for part in parts if part.text.strip())


def the(entity: Entity | None, named: str) -> str:
    """`The kitchen light`: what a thing is called in the middle or at the beginning of a sentence."""
    name = spoken_name(entity, named)
    return name[0].upper() + name[1:]


def spoken_name(entity: Entity | None, named: str) -> str:
    """`the kitchen light` for an entity called Kitchen light; capitals that are no mere headings (TV, Anna's) stay."""
    name = entity.name.strip() if entity is not None and entity.name.strip() else named
    words = [word.lower() if word.isalpha() and word.istitle() else word for word in name.split()]
    plain = " ".join(words)
    return plain if plain.startswith(("the ", "my ")) or not words[0].isalpha() else f"the {plain}"


def listed(names: Sequence[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def ended(text: str) -> str:
    """`text` with a capital and a full stop."""
    text = text.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def state_sentence(home: Home, named: str) -> str:
    """`The kitchen light is off.`, from the home as it is."""
    entity = home.entities.get(named)
    if entity is None or entity.state in ("unknown", "unavailable", ""):
        return f"I do not know how {spoken_name(entity, named)} is now."
    return f"{the(entity, named)} {_is(entity.name)} {entity.state.replace('_', ' ')}."


def _is(name: str) -> str:
    """`are` after what is called by a plural: Garden lights."""
    last = (name.lower().split() or [""])[-1]
    return "are" if last in _PLURALS else "is"


def no_answer(home: Home, named: str) -> str:
    """`The bedroom light did not answer.`"""
    return f"{the(home.entities.get(named), named)} did not answer."


def uncertain(home: Home, named: str) -> str:
    """For what may or may not have happened."""
    return f"I do not know whether it worked for {spoken_name(home.entities.get(named), named)}: please look."


def not_changed(home: Home, named: str, why: str) -> str:
    """For what was refused, or went wrong, with the reason."""
    entity = home.entities.get(named)
    return f"{the(entity, named)} {_was(entity)} not changed: {ended(why)}"


def left(home: Home, named: str) -> str:
    """For what was not begun: `The kitchen light was left as it was.`"""
    entity = home.entities.get(named)
    was = _was(entity)
    return f"{the(entity, named)} {was} left as {'it' if was == 'was' else 'they'} {was}."


def _was(entity: Entity | None) -> str:
    return "were" if entity is not None and _is(entity.name) == "are" else "was"


def refused(reasons: Iterable[str], language: str = "en") -> Said:
    """A verdict of deny; the reasons are English, so another language has the sentence alone."""
    if language == "de":
        return Said("Das habe ich nicht getan: Es ist hier nicht erlaubt.", "safety")
    return Said(f"I did not do that. {reasons_text(reasons)}".strip(), "safety")


def needs_yes(reasons: Iterable[str], language: str = "en") -> Said:
    """A verdict of ask: nothing was done; the reasons as for `refused`."""
    if language == "de":
        return Said("Dafür brauche ich erst ein Ja. Es ist noch nichts geschehen.", "safety")
    return Said(f"This needs a yes first, so nothing was done. {reasons_text(reasons)}".strip(), "safety")


def batch_reply(applied: Applied, good: str) -> tuple[Said, ...]:
    """What to say of a plan that was applied; `good` is the answer for when all went well."""
    home = applied.home
    silent = [named for named in applied.touched if _unavailable(home, named)]
    if not applied.failed and not silent:
        return (Said(good, "done"),)
    changed = list(dict.fromkeys(one.entity for one in applied.changes))
    parts = [Said(state_sentence(home, named), "safety") for named in changed if named not in silent]
    parts += [Said(no_answer(home, named), "safety") for named in silent]
    for failure in applied.failed:
        names = failure.entities or (failure.step,)
        parts += [Said(not_changed(home, named, failure.error.message), "safety") for named in names]
    return tuple(parts)


def confirmed(
    good: str, changes: Iterable[Change], home: Home, language: str = "en", touched: Sequence[str] = ()
) -> str:
    """`good`, and then how the things are that changed, few of them by name, many by number: proof that the right ones
    were meant. Where `good` would only say that something was done, how the things are stands alone; also of those
    `touched` that were so before."""
    changes = tuple(changes)
    named = [one.entity for one in changes if one.attribute == "state" and one.after in _PLAIN_STATES]
    if language != "en":
        return good
    parts = [part.strip() for part in re.split(r"(?<=[.!?])\s+", good) if part.strip()]
    bare = [part for part in parts if _PLAIN_DONE.fullmatch(part)]
    rest = " ".join(part for part in parts if part not in bare)
    told = [
        one for one in dict.fromkeys(named)
        if not rest or spoken_name(home.entities.get(one), one) not in rest.lower()
    ]  # fmt: skip
    # Beside something else that was asked for, only what the bare words are about is told of what was so before.
    words = re.findall(r"[a-z]+", " ".join(bare).lower())
    states = {_BECOMES[word] for word in words if word in _BECOMES} if rest else _PLAIN_STATES
    changed = {one.entity for one in changes}
    same = [
        one for one in dict.fromkeys(touched) if one not in changed and _state_of(home, one) in states
    ]  # fmt: skip
    how = _counted(told, home, "{are} {state}")
    how += _counted(same, home, "{were} already {state}", more=bool(told))
    if not how:
        return good
    return " ".join([*([ended(rest)] if rest else []), *how])


def _state_of(home: Home, named: str) -> str:
    return home.entities[named].state if named in home.entities else ""


def _counted(told: Sequence[str], home: Home, form: str, *, more: bool = False) -> list[str]:
    """`The hall light is on.` for each of a few; of many `The hall light, the stairs light and 9 more are on.` for each
    state, or only `11 more` after others were named (`more`)."""
    if len(told) <= CONFIRMED_MAX:
        return [_together([one], home, form) for one in told]
    states: dict[str, list[str]] = {}
    for one in told:
        states.setdefault(_state_of(home, one), []).append(one)
    return [_together(ones, home, form, more=more) for ones in states.values()]


def _together(ones: Sequence[str], home: Home, form: str, *, more: bool = False) -> str:
    state = _state_of(home, ones[0])
    if state in ("unknown", "unavailable", ""):
        return " ".join(state_sentence(home, one) for one in ones)
    names = [spoken_name(home.entities.get(one), one) for one in ones]
    shown = names if len(names) <= CONFIRMED_MAX else [*names[:2], f"{len(names) - 2} more"]
    said = f"{len(names)} more" if more and len(names) > CONFIRMED_MAX else listed(shown)
    many = len(ones) > 1 or _is(home.entities[ones[0]].name) == "are"
    verbs = {"are": "are", "were": "were"} if many else {"are": "is", "were": "was"}
    return f"{said[0].upper()}{said[1:]} {form.format(state=state.replace('_', ' '), **verbs)}."


def _unavailable(home: Home, named: str) -> bool:
    entity = home.entities.get(named)
    return entity is not None and entity.state == "unavailable"


def reasons_text(reasons: Iterable[str]) -> str:
    """The first reasons as sentences, and how many there are beside them."""
    found = [ended(reason) for reason in dict.fromkeys(reasons) if reason.strip()]
    more = len(found) - REASONS_SAID
    return " ".join([*found[:REASONS_SAID], *([f"And {more} more."] if more > 0 else [])])


__all__ = [
    "Kind",
    "Said",
    "batch_reply",
    "confirmed",
    "ended",
    "left",
    "listed",
    "needs_yes",
    "no_answer",
    "not_changed",
    "plain_text",
    "reasons_text",
    "refused",
    "spoken_name",
    "state_sentence",
    "the",
    "uncertain",
]
