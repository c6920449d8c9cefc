"""What of a sentence is answered, and what is not told, with the words for that. Pure.

A part of a sentence that only asks is about things: those that may be told are told, those that may not are named, with
the reason. Where what is asked about was chosen among all that there is, and something is withheld, the answer says
that it is only as far as may be told. What a person was permitted to do is told with how the thing is afterwards (it
is what they did), and never with how it was before: no "already", and no change is listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from kindmesh.capabilities.home.model import Change, Home
from kindmesh.coordinator.brain.cortex.terms import Recognised, Understanding
from kindmesh.coordinator.brain.desk.judging import Judged, Why
from kindmesh.coordinator.brain.desk.veil import Veil
from kindmesh.coordinator.brain.desk.verifying import Verified
from kindmesh.coordinator.brain.desk.wording import Said, ended, listed, spoken_name

_NOT_OF_THE_HOME: Final = frozenset(
    {"HassGetCurrentTime", "HassGetCurrentDate", "HassNevermind", "HassRespond"}
)
NAMED_MAX: Final = 4
"""Things that are named one by one."""
_DONE_TO: Final = frozenset({"verified", "differs"})


class Told(msgspec.Struct, frozen=True):
    """`understanding`: what is left to be answered; `withheld`: things that are asked about and not told; `all_of_it`:
    that, and what else there may be, is withheld altogether; `partial`: only what may be told was looked at."""

    understanding: Understanding
    withheld: tuple[str, ...] = ()
    all_of_it: bool = False
    partial: bool = False

    @property
    def anything(self) -> bool:
        """Whether something is left to answer."""
        return bool(self.understanding.recognised) or not (self.withheld or self.all_of_it)


def told(understanding: Understanding, veil: Veil, home: Home) -> Told:
    """See the module; `home`: the things that there are."""
    if not veil.hides:
        return Told(understanding)
    kept: list[Recognised] = []
    withheld: list[str] = []
    partial = all_of_it = False
    for one in understanding.recognised:
        if not _only_asks(one):
            kept.append(one)
            continue
        about = things_of(one)
        hidden = [thing for thing in about if veil.on(thing) is not None]
        rest = [thing for thing in about if thing not in hidden]
        withheld += hidden
        if not about and veil.every is not None and one.intent.startswith("Hass"):
            all_of_it = True
        elif rest or not about:
            kept.append(_only(one, rest) if hidden else one)
            partial = partial or (not hidden and _chosen_among_hidden(one, about, veil, home))
    return Told(
        msgspec.structs.replace(understanding, recognised=tuple(kept)),
        tuple(dict.fromkeys(withheld)), all_of_it, partial,
    )  # fmt: skip


def things_of(one: Recognised) -> list[str]:
    """The things that a part of a sentence is about, each once."""
    values = one.reply.values
    named = [*one.entities, *values.get("ids", ()), *([values["entity"]] if "entity" in values else [])]
    return [thing for thing in dict.fromkeys(named) if isinstance(thing, str)]


def _only_asks(one: Recognised) -> bool:
    return not one.acts and not one.question and one.intent not in _NOT_OF_THE_HOME


def _only(one: Recognised, rest: list[str]) -> Recognised:
    values = {
        **one.reply.values,
        "ids": [thing for thing in one.reply.values.get("ids", ()) if thing in rest],
    }
    reply = msgspec.structs.replace(one.reply, values=values)
    return msgspec.structs.replace(one, entities=tuple(rest), reply=reply)


def _chosen_among_hidden(one: Recognised, about: list[str], veil: Veil, home: Home) -> bool:
    """Whether what is withheld could have been among what was asked about: of the same kind, and at the same place; of
    what is measured most or least, also elsewhere."""
    most = one.reply.key.endswith("/extreme")
    if (about and "name" in one.slots and not most) or not one.intent.startswith("Hass"):
        return False
    known = [home.entities[thing] for thing in about if thing in home.entities]
    kinds, places = {thing.domain for thing in known}, {thing.area for thing in known}
    return any(
        not known or (other.domain in kinds and (other.area in places or most))
        for other in home.entities.values()
        if veil.on(other.id) is not None
    )


def unknowable(understanding: Understanding, veil: Veil, home: Home) -> Judged | None:
    """A refusal of what could only be worked out from how a thing is that may not be told: "brighter"; else None."""
    for one in understanding.recognised if veil.hides else ():
        acted = [str(thing) for act in one.acts for thing in act.args.get("entities", ())]
        for thing, why in ((thing, veil.on(thing)) for thing in acted if _relative(one)):
            if why is not None:
                message = f"it depends on how {called(home, thing)} is now: {why.message}"
                return Judged("deny", (Why(why.rule, "", message),))
    return None


def _relative(one: Recognised) -> bool:
    return "step" in one.slots or (
        "volume_step" in one.slots and any(act.args.get("data") for act in one.acts)
    )


def called(home: Home, thing: str) -> str:
    """`the front door`; a person by their name."""
    entity = home.entities.get(thing)
    if entity is not None and entity.domain == "person" and entity.name.strip():
        return entity.name.strip()
    return spoken_name(entity, thing)


def withheld_words(found: Told, veil: Veil, home: Home, language: str = "en") -> tuple[Said, ...]:
    """What is said of what is not told: once for each reason. Safety wording."""
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for thing in found.withheld:
        hidden = veil.on(thing)
        if hidden is not None:
            by_reason.setdefault((hidden.answer, hidden.rule, hidden.message), []).append(thing)
    if found.all_of_it and veil.every is not None and not by_reason:
        by_reason[veil.every.answer, veil.every.rule, veil.every.message] = []
    return tuple(Said(_sentence(why, things, home, language), "safety") for why, things in by_reason.items())


def _sentence(why: tuple[str, str, str], things: list[str], home: Home, language: str) -> str:
    answer, rule, message = why
    german = language == "de"
    names = [
        home.entities[one].name if german and one in home.entities else called(home, one)
        for one in things[:NAMED_MAX]
    ]
    more = len(things) - NAMED_MAX
    if german:
        what = listed([*names, *([f"{more} weitere"] if more > 0 else [])], "und") or "das, was es hier gibt,"
        return f"Über {what} darf ich {'ohne ein Ja ' if answer == 'ask' else ''}nichts sagen."
    what = listed([*names, *([f"{more} more"] if more > 0 else [])]) or "how things are here"
    about = what if not things else f"about {what}"
    if answer == "ask":
        return ended(f"I may tell you {about} only with a yes: {message}")
    if rule == "unchecked":
        return ended(f"I cannot tell you {about} yet: {message}")
    return ended(f"I may not tell you {about}: {message}")


def as_far(text: str, found: Told, home: Home, language: str = "en") -> str:
    """An answer that is only so as far as may be told; a bare yes beside something that is not told says to what."""
    if not text.strip():
        return text
    if found.withheld and len(text.split()) == 1:
        names = [
            home.entities[one].name for part in found.understanding.recognised for one in things_of(part)
        ]
        return (
            f"{listed(list(dict.fromkeys(names))[:NAMED_MAX], 'und' if language == 'de' else 'and')}: {text}"
        )
    if not found.partial:
        return text
    return f"{'Soweit ich es sagen darf' if language == 'de' else 'As far as I may tell you'}: {text}"


def done_to(verified: Verified) -> frozenset[str]:
    """Things that something was done to: how they are now is what came of it."""
    return frozenset(one.entity for one in verified.findings if one.outcome in _DONE_TO)


def open_changes(verified: Verified, veil: Veil) -> Verified:
    """Without the changes that tell how a thing was before that may not be told."""
    changes = tuple(one for one in verified.changes if veil.on(one.entity) is None)
    return msgspec.structs.replace(verified, changes=changes)


def as_done(verified: Verified, veil: Veil, home: Home) -> tuple[Change, ...]:
    """The changes, and of each thing whose state before may not be told that it has become what it is."""
    hidden: Iterable[str] = (one.entity for one in verified.findings if one.outcome == "verified")
    made = [
        Change(thing, "state", None, home.entities[thing].state)
        for thing in hidden if veil.on(thing) is not None and thing in home.entities
    ]  # fmt: skip
    return (*open_changes(verified, veil).changes, *made)


__all__ = [
    "NAMED_MAX", "Told", "as_done", "as_far", "called", "done_to", "open_changes", "things_of", "told", "unknowable",
    "withheld_words",
]  # fmt: skip
