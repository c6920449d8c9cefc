"""What the owner reads about a device at the door, and what the owner's answer means. No input, no output.

An answer is one line: the check code (or `yes` for a device whose label was read), and, to trim, what it may do:

    1234                     everything that was shown
    1234 device speech       these capabilities only
    1234 notes=read          of this one, these effects only (several with +)
    1234 -notes              everything but this
    no                       it is turned away
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.enrol import OfferSummary
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.manifest import EFFECT_WORDS, effect_names, parse_effects

NO = frozenset({"n", "no", "nein", "non"})
YES = frozenset({"y", "yes", "ja", "oui"})


class Answer(msgspec.Struct, frozen=True):
    """`code` is what was typed first, `trim` the rest; `refused` when the owner said no."""

    code: str = ""
    trim: tuple[str, ...] = ()
    refused: bool = False


def read_answer(line: str | None) -> Answer:
    """An answer in one line; None (the input ended) and an empty line are a no."""
    words = (line or "").replace(",", " ").split()
    if not words or words[0].lower() in NO:
        return Answer(refused=True)
    return Answer(code=words[0], trim=tuple(words[1:]))


def trim_offers(offers: Sequence[OfferSummary], words: Sequence[str]) -> tuple[CapabilityGrant, ...]:
    """What is granted of `offers`; see the module.

    Raises:
        InvalidInput: a word that names nothing of it.
    """
    left = {offer.capability: offer.effects for offer in offers}
    chosen: dict[str, int] = {}
    for word in words:
        name, _, effects = word.removeprefix("-").partition("=")
        if name not in left and name not in chosen:
            known = ", ".join(offer.capability for offer in offers) or "nothing"
            raise InvalidInput(f"it does not offer {name[:40]}", field="grant", hint=f"It offers {known}.")
        if word.startswith("-"):
            left.pop(name, None)
            chosen.pop(name, None)
            continue
        offered = next(offer.effects for offer in offers if offer.capability == name)
        wanted = int(parse_effects(effects.split("+"))) if effects else offered
        if wanted & ~offered:
            raise InvalidInput(
                f"{name} does not ask for {', '.join(effect_names(wanted & ~offered))}", field="grant"
            )
        chosen[name] = wanted
    only = any(not word.startswith("-") for word in words)
    return tuple(CapabilityGrant(name, effects) for name, effects in (chosen if only else left).items())


def describe_offers(offers: Sequence[OfferSummary]) -> list[str]:
    """One line for each operation, in plain words, with its capability's title above."""
    lines = []
    for offer in offers:
        lines.append(f"  {offer.capability}: {offer.title}")
        shown = [(operation.name, operation.effects) for operation in offer.operations]
        width = max((len(name) for name, _ in shown), default=0)
        lines += [f"    {name:<{width}}  {effect_words(effects)}" for name, effects in shown]
        if not shown:
            lines.append(f"    {effect_words(offer.effects)}")
    return lines


def effect_words(effects: int) -> str:
    """The effects in plain words."""
    return "; ".join(words for effect, words in EFFECT_WORDS.items() if effects & effect) or "does nothing"


def describe_grant(granted: Sequence[CapabilityGrant]) -> str:
    """What was granted, in one line."""
    return (
        ", ".join(f"{one.capability} ({'+'.join(effect_names(one.effects))})" for one in granted) or "nothing"
    )


__all__ = ["YES", "Answer", "describe_grant", "describe_offers", "effect_words", "read_answer", "trim_offers"]
