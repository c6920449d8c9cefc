"""What proves to Medulla that a value is what an earlier step of the run gave: that device's signed receipt, and the
field of the result that the value is in.

Only for values that are nothing but a reference to a step (or to an item of the list that one gave); what was put
together out of several stays unproven, and so does what is too long, or was done by a device that signs no receipts.
Then nothing is lost but the proof: the value counts as made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kindmesh.coordinator.heart.journal import Ending
from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_machine_items import child, index_of
from kindmesh.coordinator.heart.runs.run_words import Submit
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import PROOF_VALUE_MAX, RESULT_MAX
from kindmesh.protocol.plan_values import operator
from kindmesh.protocol.receipt import ResultProof, Use, prove_field
from kindmesh.protocol.signed import signed_from_bytes
from kindmesh.protocol.utterance_evidence import ArgumentSource

PROOFS_MAX: Final = 16
BYTES_MAX: Final = 2 * PROOF_VALUE_MAX
"""Of all fields that are shown with one step."""
_USES_MAX: Final = 64
_PROVABLE: Final = ("device", "memory")


def result_proofs(
    live: Live, wish: Submit, read: Callable[[bytes], Ending | None]
) -> tuple[ResultProof, ...]:
    """The proofs that go with a step; `read` tells how a job ended."""
    provable = {one.path for one in wish.labels if one.label.source in _PROVABLE}
    uses: dict[tuple[bytes, str], list[Use]] = {}
    for source in wish.sources:
        found = _origin(live, wish.path, source) if source.path in provable else None
        if found is not None:
            job, (name, *inside) = found
            uses.setdefault((job, name), []).append(Use(source.path, tuple(inside)))
    proofs, left = [], BYTES_MAX
    for (job, name), parts in list(uses.items())[:PROOFS_MAX]:
        proof = _proof(read, job, name, parts[:_USES_MAX])
        if proof is not None and len(proof.value) <= left:
            proofs.append(proof)
            left -= len(proof.value)
    return tuple(proofs)


def _origin(live: Live, path: str, source: ArgumentSource) -> tuple[bytes, tuple[str, ...]] | None:
    """The job whose result it is in, and where in it: a field at least."""
    machine, root, inside = live.machine, source.root, source.inside
    if root == "item":
        each = machine.steps[machine.items[path].step].for_each if path in machine.items else None
        over = each.over if each is not None else None
        if not isinstance(over, dict) or operator(over) != "$from" or "$default" in over:
            return None
        root, *below = over["$from"].split(".")
        inside = (*below, str(index_of(path)), *inside)
    if root in machine.steps and machine.repeats(root):
        if not inside or not inside[0].isdecimal():
            return None
        root, inside = child(root, int(inside[0])), inside[1:]
    made = machine.items.get(root)
    if made is None or not made.ref or not inside or machine.steps[made.step].sub is not None:
        return None
    return made.ref, inside


def _proof(
    read: Callable[[bytes], Ending | None], job: bytes, name: str, uses: Iterable[Use]
) -> ResultProof | None:
    try:
        ending = read(job)
        if ending is None or not ending.receipt or not ending.value:
            return None
        value: Any = decode_value(ending.value, limit=RESULT_MAX)
        return prove_field(value, name, signed_from_bytes(ending.receipt), uses)
    except KindmeshError:
        # Too long to be shown, forgotten, or damaged: it proves nothing, and the step is judged without.
        return None


__all__ = ["BYTES_MAX", "PROOFS_MAX", "result_proofs"]
