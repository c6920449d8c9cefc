"""What the review of a plan may look at, and what it answers. All values; none of it the plan's own word.

`Facts` are Medulla's: manifests that devices signed, the owner's policy and guards, the people, the time, what happened
before (`Ledger`), and a `Prover` of what the person said. `Reviewed` is the answer: the worst of what the rules found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.cedar import Rules
from kindmesh.coordinator.brain.medulla.review_words import NoProver, Prover
from kindmesh.protocol.guards import Guards
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import Answer
from kindmesh.protocol.roles import EVERYTHING, Rights

HISTORY_MAX: Final = 4_096
"""Done effects and kept values that a ledger remembers; the oldest go first."""
REASONS_MAX: Final = 32


class Reason(msgspec.Struct, frozen=True):
    """Why: the `rule`, the `step` (`outer.inner` in a plan inside), a sentence for a person, and how grave it is."""

    rule: str
    step: str
    message: str
    answer: Answer = "ask"


class Reviewed(msgspec.Struct, frozen=True):
    """The verdict and the reasons that make it; `also`: what else was found, less grave."""

    verdict: Answer
    reasons: tuple[Reason, ...] = ()
    also: tuple[Reason, ...] = ()


class Done(msgspec.Struct, frozen=True, array_like=True):
    """An effect that was let through: whose, when (UTC ms), what, to whom or what (`key`), for how much, and of which
    words or run it came (empty: not known)."""

    principal: str
    at_ms: int
    operation: str
    effects: int
    key: str = ""
    amount: float = 0.0
    run: bytes = b""


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A value that a plan wrote somewhere: `place` is the capability, `key` where in it (empty: not known)."""

    place: str
    key: str
    label: Label


class Ledger(msgspec.Struct, frozen=True):
    """What happened before, oldest first; bounded by `HISTORY_MAX`."""

    done: tuple[Done, ...] = ()
    kept: tuple[Kept, ...] = ()

    def with_(self, done: tuple[Done, ...], kept: tuple[Kept, ...] = ()) -> Ledger:
        """The ledger with these added."""
        return Ledger((*self.done, *done)[-HISTORY_MAX:], (*self.kept, *kept)[-HISTORY_MAX:])


Allowed = Callable[[str, int], Answer]
"""The owner's policy: an operation and its effects to an answer."""


class Facts(msgspec.Struct, frozen=True):
    """See the module.

    `operations`: by name; `policy`: the owner's; `prover`: what was said; `principal`: by whom the ledger counts
    (empty: the household as one), `name` and `role` of who asks; `present`: the person is at home; `purpose` as in
    requests; `address_book`: addresses by name; `names`: what people call an entity or a device, by id; `area`: where
    it was said; `now_ms`: UTC, and `minute`: of the local day; `approved`: steps to which a person said yes; `run`:
    what of the ledger came of the same words, empty: not known; `weekday`: 1 Monday to 7 Sunday, 0: by `now_ms`;
    `dated`: `now_ms` is when it was said, so that "tomorrow" is known; `cedar`: the owner's rules in Cedar, empty:
    none; `person` and `kind` of who asks, as those rules know them; `agreed`: steps to which a person said yes for
    whenever these words are said (with an empty id: the whole plan), and `settled`: the rules of which that settles the
    questions.
    """

    operations: Mapping[str, Operation]
    policy: Allowed
    guards: Guards = Guards()
    prover: Prover = NoProver()
    principal: str = "owner"
    name: str = ""
    role: str = "owner"
    rights: Rights = EVERYTHING
    present: bool = True
    purpose: str = "household"
    address_book: Mapping[str, tuple[str, ...]] = {}
    names: Mapping[str, tuple[str, ...]] = {}
    area: tuple[str, ...] = ()
    now_ms: int = 0
    minute: int = 720
    emergency: bool = False
    approved: frozenset[str] = frozenset()
    ledger: Ledger = Ledger()
    run: bytes = b""
    weekday: int = 0
    dated: bool = True
    cedar: tuple[Rules, ...] = ()
    person: str = ""
    kind: str = ""
    agreed: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()


__all__ = [
    "HISTORY_MAX", "REASONS_MAX", "Allowed", "Done", "Facts", "Kept", "Ledger", "Reason", "Reviewed",
]  # fmt: skip
