"""The owner's policy, who asks, and what a value may be used for and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_sources import sink_of
from kindmesh.coordinator.brain.medulla.review_words import stem, tokens
from kindmesh.protocol.guards import settled_by_words
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.roles import missing

_POLICY: Final = Sentence("policy")
_ASKER: Final = Sentence("asker")
_CONSENT: Final = Sentence("consent", "deny")
_CHILD: Final = frozenset({"child", "kid", "children", "minor", "teenager", "toddler"})
_GUEST: Final = frozenset({"guest", "visitor", "guests", "stranger"})
_THINGS: Final = frozenset({"device", "goal", "limb", "home", "nobody"})
"""Who is no person: always narrower than one."""
_NOT_FOR_GUESTS: Final = int(bits.SPEND | bits.EXECUTE | bits.MOVE | bits.SENSE)


def policy(scene: Scene) -> Iterator[Reason]:
    """What the owner forbade is not done; what the owner wants to be asked about is asked, unless the owner said that
    the proven words of who asks are enough (the other rules see to those)."""
    facts = scene.facts
    for call in scene.made.calls:
        if call.operation is None:
            continue
        answer = facts.policy(call.name, call.effects)
        words = ", ".join(effect_names(call.effects))
        if answer == "deny":
            yield _POLICY(call.step, f"the owner's policy forbids {call.name} ({words})", "deny")
        elif answer == "ask":
            said = bool(scene.words) and settled_by_words(facts.guards, call.name, facts.present)
            if not said:
                yield _POLICY(call.step, f"the owner's policy asks before {call.name} ({words})")


def asker(scene: Scene) -> Iterator[Reason]:
    """Nobody does more than their role; children, guests, and what is no person do not spend, open, move, run or send
    without the owner."""
    facts = scene.facts
    for call in scene.made.calls:
        if call.operation is None:
            continue
        lacking = missing(facts.rights, call.name, call.effects, call.operation.data_classes, facts.purpose)
        if lacking:
            yield _ASKER(call.step, f"{facts.name or facts.role} was not given: {'; '.join(lacking)}", "deny")
        if facts.role in _CHILD | _GUEST | _THINGS:
            beyond = call.effects & _NOT_FOR_GUESTS
            risky = _serious(call) or scene.physical(call) or (scene.outward(call) and scene.has_effect(call))
            if beyond or risky:
                who = (
                    "a child"
                    if facts.role in _CHILD
                    else "a guest"
                    if facts.role in _GUEST
                    else "what is no person"
                )
                yield _ASKER(call.step, f"{call.name} is nothing that {who} does here without the owner")


def _serious(call: Call) -> bool:
    """Whether it deletes, gives rights, or writes where money, health, files or people's addresses are."""
    if call.operation is None or not call.effects & bits.WRITE:
        return False
    title = call.operation.title
    named = {stem(word) for word in tokens(f"{call.name} {title}".replace("_", " ").replace(".", " "))}
    return bool(named & _SERIOUS) or bool({"health", "money", "contacts"} & set(call.operation.data_classes))


_SERIOUS: Final = frozenset(
    stem(word)
    for word in (
        "delete", "remove", "erase", "trash", "share", "link", "grant", "invite", "limit", "permission", "dose",
        "medicine", "pill", "card", "account", "password", "pin", "user", "role", "policy", "install", "publish",
    )
)  # fmt: skip


def consent(scene: Scene) -> Iterator[Reason]:
    """What people agreed to for one purpose, or for some readers, serves no other and goes to nobody else."""
    facts = scene.facts
    for call in scene.made.calls:
        made = call.made
        if "*" not in made.purpose and facts.purpose not in made.purpose:
            allowed = ", ".join(made.purpose) or "nothing together"
            yield _CONSENT(call.step, f"what this uses was given for {allowed}, not for {facts.purpose}")
        if "*" in made.readers or not scene.outward(call):
            continue
        for leaf in call.leaves:
            if sink_of(call.effects, call.name, call.operation, leaf) not in ("recipient", "link"):
                continue
            if not leaf.known or str(leaf.value).casefold() not in {one.casefold() for one in made.readers}:
                whom = shown(leaf.value) if leaf.known else "somebody who is only known later"
                yield _CONSENT(call.step, f"what this uses may not be given to {whom}")


__all__ = ["asker", "consent", "policy"]
