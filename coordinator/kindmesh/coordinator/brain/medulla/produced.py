"""Which values are proven to be what a device gave: Medulla's own look at the signed results that come as evidence.

    the receipt is signed by a member's own key, of this mesh, this run            else nothing is permitted
    the field leads to the receipt's root, the argument is what is in it           else nothing is permitted
    the member was removed since, or offers the operation no more, or nothing      the value counts as `model`
      is known of what it was given

What is proven counts as what it is at most: the join of what the plan says of it, what was known of what the device was
given (the receipt's labels: Medulla's own word, through the permits), and where the device's manifest says that it gets
its output (`source_of`). So no device gives anything that counts as `user`, and what it made of a text of the web
counts as `web`. `carried` is the word for the permit: of what is given, without the words themselves. A number could
carry nothing: that a model wrote something into what the device keeps says as little of a number that is read there
(`_kept`) as of one that is given (`carried`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.evidence import Proven
from kindmesh.coordinator.brain.medulla.review_sources import source_of
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import decode_value, encode, encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.limits import CLOCK_SKEW_MS
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan_labels import Carried, Label, carry, join
from kindmesh.protocol.receipt import (
    Receipt,
    ResultProof,
    argument_at,
    open_receipt,
    part_of,
    shown_field,
)
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import ArgumentLabel

OPENED_MAX: Final = 256
CARRIED_MAX: Final = 400
"""Bytes of a label in a permit; a longer one is written as the strictest there is."""
STRICTEST: Final = Carried("web", readers=(), purpose=())
_OPEN: Final = Carried("user")
_DOING: Final = ("action", "service")
_NAME: Final = re.compile(r"[a-z_]{2,32}\.[a-z_]{1,40}")
_UNPROVEN: Final = Label("model")
_PROVABLE: Final = ("device", "memory")


class Maker(msgspec.Struct, frozen=True):
    """Who signed a receipt: `certificate`, None: no member; `gone`: removed since, or two devices use its identity;
    `operation`: what it declares of that operation, None: nothing."""

    certificate: Certificate | None
    gone: bool = False
    operation: Operation | None = None


class Receipts:
    """Receipts that were opened lately: each signature is checked once."""

    def __init__(self) -> None:
        self._opened: dict[Signed, Receipt] = {}

    def opened(self, signed: Signed, public: bytes) -> Receipt:
        """The receipt inside. Raises as `open_receipt`."""
        known = self._opened.get(signed)
        if known is None:
            known = open_receipt(signed, public)
            if len(self._opened) >= OPENED_MAX:
                del self._opened[next(iter(self._opened))]
            self._opened[signed] = known
        return known


class Given(msgspec.Struct, frozen=True):
    """The step that results shall prove something for: its arguments, and what the plan says of them."""

    mesh: bytes
    run_id: bytes
    args: bytes
    labels: tuple[ArgumentLabel, ...]
    now_ms: int


Makers = Callable[[bytes, str], Maker]
"""Who has the key of that id, and what they declare of that operation (empty: of none)."""


class _Broken(Exception):
    """Why a proof does not hold."""


def with_results(
    found: Proven, results: Iterable[ResultProof], wanted: Given, makers: Makers, receipts: Receipts
) -> Proven:
    """What is proven by words, with what is proven by results beside. Changes nothing that is kept but `receipts`."""
    if found.problem:
        return found
    proven: dict[str, Label] = {}
    args: Any = decode_value(wanted.args)
    try:
        for proof in results:
            proven.update(_shown(proof, args, wanted, makers, receipts))
    except _Broken as broken:
        return Proven(problem=str(broken))
    except KindmeshError as error:
        return Proven(problem=error.message)
    if not proven:
        return found
    claimed = {one.path: one.label for one in wanted.labels}
    labels = tuple(
        ArgumentLabel(one.path, join((claimed[one.path], proven[one.path])))
        if one.path in proven and claimed[one.path].source in _PROVABLE
        else one
        for one in found.labels
    )
    return msgspec.structs.replace(found, labels=labels)


def _shown(
    proof: ResultProof, args: Any, wanted: Given, makers: Makers, receipts: Receipts
) -> dict[str, Label]:
    """What each part of the arguments that this proves counts as at most; empty: nothing, though nobody need have
    tried anything.

    Raises:
        _Broken, KindmeshError: it does not hold.
    """
    signer = makers(proof.receipt.author, "")
    certificate = signer.certificate
    if signer.gone:
        return {}
    if certificate is None:
        raise _Broken("a result is signed by no member")
    receipt = receipts.opened(proof.receipt, certificate.ed_pub)
    if receipt.mesh != wanted.mesh or receipt.device != certificate.subject or certificate.kind != "device":
        raise _Broken("a result is signed by another one than the device that is said to have given it")
    if receipt.run_id != wanted.run_id:
        raise _Broken("a result is of another run")
    if receipt.ended_ms > wanted.now_ms + CLOCK_SKEW_MS:
        raise _Broken("a result is of a time that has not come")
    value = shown_field(proof, receipt)
    for use in proof.uses:
        given = encode_value(part_of(value, use.inside))
        # One place only: a name with a dot in it could be taken for another.
        if [encode_value(part) for part in argument_at(args, use.path)] != [given]:
            raise _Broken("a value is not what the device gave")
    maker = makers(proof.receipt.author, receipt.operation)
    if maker.operation is None or receipt.label is None:
        return {}
    origin = source_of(receipt.operation, maker.operation)
    classes = Label(data_class=maker.operation.data_classes)
    label = join((receipt.label.label(), origin, classes))
    return {use.path: join((label, _kept(receipt, part_of(value, use.inside)))) for use in proof.uses}


def _kept(receipt: Receipt, part: Any) -> Label:
    """What the device kept, as far as it says something of this part of what it gave."""
    kept = receipt.kept.label()
    number = part is None or isinstance(part, (int, float))
    return msgspec.structs.replace(kept, source="user") if number and kept.source == "model" else kept


def carried(
    args: Any, labels: Iterable[ArgumentLabel], operation: Operation | None, things: Mapping[str, Any]
) -> Carried:
    """What is known of where arguments came from, for the permit: the join of what their parts count as, but for those
    that could carry nothing: numbers, what the device itself offers as a choice or a default, ids of its own things,
    names of what is done to them (`light.turn_on`)."""
    by_path = {one.path: one.label for one in labels}
    if operation is None:
        return carry(_UNPROVEN)
    found = [
        label
        for name, value in (args.items() if isinstance(args, dict) else ())
        for label in _parts(name, value, by_path, _empty(operation, name, things))
    ]
    made = carry(join(found))
    return made if made == _OPEN or len(encode(made)) <= CARRIED_MAX else STRICTEST


def _empty(operation: Operation, name: str, things: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Whether a value of that argument could carry nothing."""
    field = next((one for one in operation.input if one.name == name), None)

    def empty(value: Any) -> bool:
        if not isinstance(value, str) or not value or value in things:
            return not isinstance(value, bytes)
        if field is None:
            return False
        if name in _DOING and _NAME.fullmatch(value):
            return True
        return value in field.choices or bool(field.default and decode_value(field.default) == value)

    return empty


def _parts(
    path: str, value: Any, labels: Mapping[str, Label], empty: Callable[[Any], bool], depth: int = 0
) -> Iterable[Label]:
    named: list[tuple[str, Any]] = []
    if isinstance(value, dict) and depth < 16:
        named = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and depth < 16:
        named = [(str(number), item) for number, item in enumerate(value)]
    if path in labels or not isinstance(value, (dict, list)) or depth >= 16:
        label = _label(path, labels)
        if label.source != "model" or not _hollow(value, empty):
            yield label
        return
    for name, item in named:
        yield from _parts(f"{path}.{name}", item, labels, empty, depth + 1)


def _hollow(value: Any, empty: Callable[[Any], bool], depth: int = 0) -> bool:
    """Whether all that is in a value could carry nothing; the names in it are the planner's."""
    if isinstance(value, dict):
        return not value
    if isinstance(value, list):
        return depth < 16 and all(_hollow(item, empty, depth + 1) for item in value)
    return empty(value)


def _label(path: str, labels: Mapping[str, Label]) -> Label:
    while path not in labels:
        if not path:
            return _UNPROVEN
        path = path.rpartition(".")[0]
    return labels[path]


__all__ = ["CARRIED_MAX", "STRICTEST", "Given", "Maker", "Receipts", "carried", "with_results"]
