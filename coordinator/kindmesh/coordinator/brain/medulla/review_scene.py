"""One plan with the facts, as the rules see it, and the questions about it that several rules ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from kindmesh.coordinator.brain.medulla.review_facts import Facts, Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call, Made
from kindmesh.coordinator.brain.medulla.review_home import HomeNames
from kindmesh.coordinator.brain.medulla.review_sources import is_opening, is_outward, is_physical, name_words
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.review_words import Words, stem, tokens, words_in
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.manifest import HARMLESS, Effect, Field
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import Answer

_HARMLESS: Final = int(HARMLESS)
_READING: Final = int(Effect.READ | Effect.SENSE)
_ORIGINS: Final = {
    "memory": "stored notes",
    "device": "what a device read",
    "model": "a language model",
    "web": "the web or a message",
}
SELF: Final = frozenset({"me", "myself", "self", "owner", "asker", "user"})


class Scene:
    """See the module. `words` are those proven; `home`: what people call the things of the home."""

    def __init__(self, facts: Facts, made: Made, words: Words) -> None:
        self.facts, self.made, self.words = facts, made, words
        self.home = facts.names if isinstance(facts.names, HomeNames) else HomeNames(facts.names)
        self._outward: dict[int, bool] = {}

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Stems that the plan itself accounts for."""
        return frozenset(_mentioned(self.made.calls, self.facts))

    @cached_property
    def used(self) -> frozenset[str]:
        """Everything that is known of what the calls are given, as text."""
        return frozenset(
            str(leaf.value) for call in self.made.calls for leaf in Scene.all_leaves(call) if leaf.known
        )

    def outward(self, call: Call) -> bool:
        """Whether it carries something out of the house."""
        known = self._outward.get(id(call))
        if known is None:
            known = self._outward[id(call)] = is_outward(call.name, call.operation, call.effects)
        return known

    def named(self, words: Words) -> frozenset[str]:
        """All names of things that were said."""
        return self.home.said(words)

    def has_effect(self, call: Call) -> bool:
        """Whether it does more than read and notify within the house."""
        return bool(call.effects & ~_HARMLESS) or self.outward(call)

    def physical(self, call: Call) -> bool:
        """Whether somebody could be hurt or let in."""
        return is_physical(call.name, call.operation, call.effects, self.all_leaves(call))

    def opening(self, call: Call) -> bool:
        """Whether it opens, starts or moves."""
        return is_opening(call.name, call.leaves)

    @staticmethod
    def all_leaves(call: Call) -> tuple[Leaf, ...]:
        """Arguments and target."""
        return call.leaves if call.target is None else (*call.leaves, call.target)

    @staticmethod
    def field(call: Call, leaf: Leaf) -> Field | None:
        """The argument as the device declares it."""
        if call.operation is None:
            return None
        return next((field for field in call.operation.input if field.name == leaf.field), None)

    @staticmethod
    def field_type(call: Call, leaf: Leaf) -> str:
        """The type that the device declares for the argument; empty: unknown."""
        field = Scene.field(call, leaf)
        return "" if field is None else field.type

    @staticmethod
    def acts(call: Call) -> bool:
        """Whether it does more than read or sense."""
        return bool(call.effects & ~_READING)

    @cached_property
    def today(self) -> int | None:
        """The local day (`review_days`), where it is known."""
        facts = self.facts
        if not facts.dated or not facts.now_ms:
            return None
        shift = (facts.minute - facts.now_ms // 60_000 + 720) % 1_440 - 720
        return (facts.now_ms // 60_000 + shift) // 1_440

    def is_default(self, call: Call, leaf: Leaf) -> bool:
        """Whether it is what the device would take anyway."""
        field = self.field(call, leaf)
        if field is None or not field.default or not leaf.known:
            return False
        if leaf.label is not None and leaf.label.source != "user":
            return False
        default = decode_value(field.default)
        return bool(default == leaf.value) or leaf.value in list(words_in(default))

    def claims(self, leaf: Leaf, *, model: bool = False) -> bool:
        """Whether the value may be measured against the words at all: written into the plan, labelled as the person's
        or not at all, and, where words are named, those proven; `model`: also what a model wrote, where it does little
        harm when it says what was said."""
        if not leaf.known:
            return False
        if leaf.label is None or (model and leaf.label.source == "model"):
            return True
        if leaf.label.source != "user":
            return False
        return not leaf.label.words or self.facts.prover.supports(leaf.label)

    def words_for(self, leaf: Leaf) -> Words:
        """The words that the value is measured against: its own, where it names some."""
        if leaf.label is not None and leaf.label.words and self.facts.prover.supports(leaf.label):
            return compiled(leaf.label.words)
        return self.words

    def called(self, value: str) -> str:
        """What people call a thing, where it is known; else the value itself."""
        name = next(iter(self.facts.names.get(value, ())), "")
        return shown(name or value)

    def whence(self, leaf: Leaf) -> str:
        """Why a value is in doubt, for the end of a sentence about it: `and that comes from the web or a message`."""
        origin = self.origin(leaf)
        return f"and that comes from {origin}" if origin else "and nobody said so"

    def origin(self, leaf: Leaf) -> str:
        """Where a value came from, in words for a person; empty: nobody said it."""
        if leaf.label is None or self.claims(leaf):
            return ""
        if leaf.label.source == "user":
            return "words that are not proven"
        return _ORIGINS[leaf.label.source]


@lru_cache(maxsize=512)
def compiled(said: tuple[str, ...]) -> Words:
    """`Words` of these words, made once."""
    return Words(said)


def _mentioned(calls: Iterable[Call], facts: Facts) -> Iterable[str]:
    for call in calls:
        yield from name_words(call.name, call.operation)
        for leaf in Scene.all_leaves(call):
            yield from (stem(word) for word in tokens(leaf.field.replace("_", " ")))
            # What came from outside accounts for nothing that was said.
            for text in () if leaf.given else words_in(leaf.value):
                yield from (stem(word) for word in tokens(text.replace("_", " ")[:2_000]))
                for name in facts.names.get(text, ()):
                    yield from (stem(word) for word in tokens(name))


Rule: TypeAlias = Callable[[Scene], Iterable[Reason]]


def shown(value: Any) -> str:
    """A value in a sentence."""
    text = value if isinstance(value, str) else str(value)
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return f"“{text[:60]}{'…' if len(text) > 60 else ''}”"


def worse(label: Label | None, *sources: str) -> bool:
    """Whether it comes from one of these sources."""
    return label is not None and label.source in sources


class Sentence(msgspec.Struct, frozen=True):
    """A rule's name with how grave a finding of it usually is."""

    rule: str
    answer: Answer = "ask"

    def __call__(self, step: str, message: str, answer: Answer | None = None) -> Reason:
        """The finding at a step; `answer` where it is graver than usual."""
        return Reason(self.rule, step, message, answer or self.answer)


__all__ = ["SELF", "Rule", "Scene", "Sentence", "compiled", "shown", "worse"]
