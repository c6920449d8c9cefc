"""Only what is known can be judged: operations and values that a device declared, plans that are there to be seen."""

from __future__ import annotations

from collections.abc import Iterator

from kindmesh.coordinator.brain.medulla.review_facts import Reason
from kindmesh.coordinator.brain.medulla.review_flow import Call
from kindmesh.coordinator.brain.medulla.review_scene import Scene, Sentence, shown
from kindmesh.coordinator.brain.medulla.review_trace import Leaf
from kindmesh.protocol.manifest import DATA_CLASSES
from kindmesh.protocol.roles import PURPOSES

_KNOWN = Sentence("known")
_UNSEEN = Sentence("unseen")


def known(scene: Scene) -> Iterator[Reason]:
    """Operations are declared with effects, values are among those an operation takes, labels use known words."""
    for call in scene.made.calls:
        if call.operation is None:
            yield _KNOWN(call.step, f"no device here says what {shown(call.name)} does", "deny")
            continue
        if not 0 < call.effects < 256:
            yield _KNOWN(call.step, f"{shown(call.name)} does not say what effects it has", "deny")
        names = {field.name for field in call.operation.input}
        for leaf in call.leaves:
            if leaf.field not in names and not (leaf.field == "" and not names):
                what = shown(leaf.field) if leaf.field else "a whole set of values at once"
                yield _KNOWN(call.step, f"{shown(call.name)} takes nothing called {what}")
            elif not _fits(scene, call, leaf):
                yield _KNOWN(
                    call.step, f"{shown(call.name)} does not take {shown(leaf.value)} as {shown(leaf.field)}"
                )
        for label in [leaf.label for leaf in Scene.all_leaves(call) if leaf.label is not None]:
            strange = [word for word in label.data_class if word not in DATA_CLASSES and word != "*"]
            strange += [word for word in label.purpose if word not in PURPOSES and word != "*"]
            if strange:
                yield _KNOWN(call.step, f"a label says {shown(strange[0])}, which is not known here")
                break


def _fits(scene: Scene, call: Call, leaf: Leaf) -> bool:
    """Whether a plain value is one that the argument may have, as the device declares it."""
    field = scene.field(call, leaf)
    if field is None or not leaf.known or leaf.value is None or leaf.path != leaf.field:
        return True
    text = leaf.value.strip().casefold() if isinstance(leaf.value, str) else ""
    if field.choices and text:
        return text in {one.casefold() for one in field.choices}
    if field.type in ("integer", "number") and text:
        return any(sign.isdigit() for sign in text)
    return True


def unseen(scene: Scene) -> Iterator[Reason]:
    """A plan that is only made while this one runs is agreed to by a person, and never comes from the web."""
    for step, label in scene.made.unseen:
        if label.source == "web":
            yield _UNSEEN(step, "what is to be done here would be taken from the web or a message", "deny")
        else:
            yield _UNSEEN(step, "what is to be done here is only decided while it runs")


__all__ = ["known", "unseen"]
