"""One step when its arguments are known: do the proven words settle what the owner's policy asks about?

The same rules as for a whole plan (`review`), over one call whose values carry the labels as they count. What the plan
as a whole decides (how steps hang together, loops) was reviewed before; here everything has its final value. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kindmesh.coordinator.brain.medulla.review_facts import Facts
from kindmesh.coordinator.brain.medulla.review_flow import Call, Made
from kindmesh.coordinator.brain.medulla.review_scene import Rule, Scene, compiled
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.coordinator.brain.medulla.rule_amounts import amounts
from kindmesh.coordinator.brain.medulla.rule_bounds import egress, presence, quiet
from kindmesh.coordinator.brain.medulla.rule_flows import two_of_three
from kindmesh.coordinator.brain.medulla.rule_known import known
from kindmesh.coordinator.brain.medulla.rule_policy import asker, consent
from kindmesh.coordinator.brain.medulla.rule_sinks import sinks
from kindmesh.coordinator.brain.medulla.rule_support import alphabets, asked_for, said
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.utterance_evidence import ArgumentLabel

STEP_RULES: Final[tuple[Rule, ...]] = (
    known, asker, consent, sinks, amounts, asked_for, said, alphabets, two_of_three, egress, quiet, presence,
)  # fmt: skip
_DEPTH: Final = 16


def unsettled(
    operation: Operation, effects: int, args: Mapping[str, Any], labels: Sequence[ArgumentLabel], facts: Facts
) -> tuple[str, ...]:
    """What speaks against doing this without a question, as sentences; empty: the words are enough."""
    by_path = {one.path: one.label for one in labels}
    leaves = tuple(
        leaf for name, value in args.items() for leaf in _leaves(Leaf(name, name, value), name, by_path)
    )
    call = Call("", operation.name, operation, effects, leaves, None, Label())
    scene = Scene(facts, Made((call,)), compiled(tuple(facts.prover.proven())))
    return tuple(dict.fromkeys(reason.message for rule in STEP_RULES for reason in rule(scene)))


def _leaves(leaf: Leaf, exact: str, labels: Mapping[str, Label], depth: int = 0) -> Iterator[Leaf]:
    """The leaves of a value; `exact` counts places in lists, as the paths of labels do."""
    value = leaf.value
    if isinstance(value, dict) and value and depth < _DEPTH:
        for name, item in value.items():
            inner = Leaf(leaf.field, f"{leaf.path}.{name}", item)
            yield from _leaves(inner, f"{exact}.{name}", labels, depth + 1)
    elif isinstance(value, list) and value and depth < _DEPTH:
        for number, item in enumerate(value):
            yield from _leaves(Leaf(leaf.field, leaf.path, item), f"{exact}.{number}", labels, depth + 1)
    else:
        yield Leaf(leaf.field, leaf.path, value, _label(exact, labels))


def _label(exact: str, labels: Mapping[str, Label]) -> Label:
    """The label of a part, or of what it is in; what nobody labelled counts as made up."""
    path = exact
    while path not in labels:
        if not path:
            return Label("model")
        path = path.rpartition(".")[0]
    return labels[path]


__all__ = ["STEP_RULES", "unsettled"]
