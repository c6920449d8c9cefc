"""One step when its arguments are known: do the proven words settle what the owner's policy asks about, and is it
within the owner's bounds (quiet hours, rates, spending, places), which count whatever the policy says?

The same rules as for a whole plan (`review`), over one call whose values carry the labels as they count. What the plan
as a whole decides (how steps hang together, loops) was reviewed before; here everything has its final value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_facts import Done, Facts, Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call, Made
from kindmesh.coordinator.brain.medulla.review_scene import Rule, Scene, compiled
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.rule_amounts import DAY_MS, amounts, spending, spent
from kindmesh.coordinator.brain.medulla.rule_bounds import (
    again,
    countable,
    egress,
    lasting,
    presence,
    quiet,
    rates,
)
from kindmesh.coordinator.brain.medulla.rule_flows import two_of_three
from kindmesh.coordinator.brain.medulla.rule_known import known
from kindmesh.coordinator.brain.medulla.rule_policy import asker, consent
from kindmesh.coordinator.brain.medulla.rule_said import said
from kindmesh.coordinator.brain.medulla.rule_shape import acts, alphabets, hidden, precise
from kindmesh.coordinator.brain.medulla.rule_sinks import FOREIGN, foreign_sinks, signature, sinks
from kindmesh.coordinator.brain.medulla.rule_support import asked_for
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.roles import matches
from kindmesh.protocol.utterance_evidence import ArgumentLabel

STEP_RULES: Final[tuple[Rule, ...]] = (
    known, asker, consent, sinks, amounts, asked_for, said, alphabets, two_of_three, spending, again, presence,
    hidden, acts, precise,
)  # fmt: skip
BOUND_RULES: Final[tuple[Rule, ...]] = (egress, quiet, rates)
FOREIGN_RULES: Final[tuple[Rule, ...]] = (foreign_sinks, two_of_three)
_DEPTH: Final = 16


def scene_of(
    operation: Operation,
    effects: int,
    args: Mapping[str, Any],
    labels: Sequence[ArgumentLabel],
    facts: Facts,
    *,
    proven: bool = True,
) -> Scene:
    """The step as the rules see it; `proven`: labels are as they count, so that what still says device or memory is."""
    by_path = {one.path: one.label for one in labels}
    leaves = tuple(
        leaf
        for name, value in args.items()
        for leaf in _leaves(Leaf(name, name, value), name, by_path, proven=proven)
    )
    call = Call("", operation.name, operation, effects, leaves, None, Label())
    return Scene(facts, Made((call,)), compiled(tuple(facts.prover.proven())))


def unsettled(scene: Scene) -> tuple[str, ...]:
    """What speaks against doing this without a question, as sentences; empty: the words are enough."""
    return tuple(dict.fromkeys(reason.message for rule in STEP_RULES for reason in rule(scene)))


def beyond(scene: Scene) -> tuple[Reason, ...]:
    """Which of the owner's bounds this goes beyond; what is spent only where the owner wrote how much may be."""
    guards = scene.facts.guards
    rules = (*BOUND_RULES, spending) if guards.spend_plan or guards.spend_day else BOUND_RULES
    return tuple(reason for rule in rules for reason in rule(scene))


def is_foreign(labels: Sequence[ArgumentLabel]) -> bool:
    """Whether the plan itself says that a value came from the web, a device or a model."""
    return any(one.label.source in FOREIGN for one in labels)


def foreign(scene: Scene, args: Mapping[str, Any], labels: Sequence[ArgumentLabel]) -> tuple[Reason, ...]:
    """What holds whatever the owner's policy allows: where it goes, what is opened or run does not come from the web, a
    device or a model, by the plan's own `labels`; nor does what came from the web leave the house with private data.
    What nobody labelled, or labelled as the person's, is the policy's affair."""
    (call,) = scene.made.calls
    if call.operation is None:
        return ()
    said = (ArgumentLabel("", Label()), *labels)
    claimed = scene_of(call.operation, call.effects, args, said, scene.facts, proven=False)
    return tuple(reason for rule in FOREIGN_RULES for reason in rule(claimed))


def counted_for_ms(scene: Scene, *, by_words: bool) -> int:
    """How long the bounds look back at this step once it is done, 0: they do not; `by_words`: whether words may settle
    such a step, so that the same again matters."""
    (call,) = scene.made.calls
    spans = [
        rate.per_ms for rate in scene.facts.guards.rates
        if matches(rate.operation, call.name) and countable(scene, call)
    ]  # fmt: skip
    spans += [DAY_MS] if by_words and lasting(scene, call) else []
    spans += [DAY_MS] if call.effects & bits.SPEND else []
    return max(spans, default=0)


def done_here(scene: Scene) -> Done:
    """What the ledger remembers of this step."""
    facts, (call,) = scene.facts, scene.made.calls
    amount = spent(call) if call.effects & bits.SPEND else 0.0
    return Done(
        facts.principal, facts.now_ms, call.name, call.effects, signature(call), min(amount, 1e12), facts.run
    )


def _leaves(
    leaf: Leaf, exact: str, labels: Mapping[str, Label], depth: int = 0, *, proven: bool
) -> Iterator[Leaf]:
    """The leaves of a value; `exact` counts places in lists, as the paths of labels do."""
    value = leaf.value
    if isinstance(value, dict) and value and depth < _DEPTH:
        for name, item in value.items():
            inner = Leaf(leaf.field, f"{leaf.path}.{name}", item)
            yield from _leaves(inner, f"{exact}.{name}", labels, depth + 1, proven=proven)
    elif isinstance(value, list) and value and depth < _DEPTH:
        for number, item in enumerate(value):
            yield from _leaves(
                Leaf(leaf.field, leaf.path, item), f"{exact}.{number}", labels, depth + 1, proven=proven
            )
    else:
        label = _label(exact, labels)
        yield Leaf(leaf.field, leaf.path, value, label, given=proven and label.source in ("device", "memory"))


def _label(exact: str, labels: Mapping[str, Label]) -> Label:
    """The label of a part, or of what it is in; what nobody labelled counts as made up."""
    path = exact
    while path not in labels:
        if not path:
            return Label("model")
        path = path.rpartition(".")[0]
    return labels[path]


__all__ = [
    "BOUND_RULES", "FOREIGN_RULES", "STEP_RULES", "beyond", "counted_for_ms", "done_here", "foreign", "is_foreign",
    "scene_of", "unsettled",
]  # fmt: skip
