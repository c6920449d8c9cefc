"""What a device gave, signed by that device, so that one value of it can be proven and the rest stays where it is.

    field     leaf = SHA-256(0x00 || "kindmesh-field-v1\\0" || length of the name (2 bytes) || name || SHA-256(value))
    receipt   the RFC 9162 root over the leaves of all fields, sorted by name, with whose job of which run it was, when
              it ended; `label`: what Medulla's permit says of what the device was given for this job (None: it is not
              known); `kept`: the strictest of what the operation's capability was ever given to keep

`value` is a field's canonical MessagePack. A `ResultProof` shows one field with its path to the root, and which parts
of a call's arguments are what inside it (`Use`). A receipt does not say where the device itself got the value from:
whoever judges by it takes that from the device's manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec

from kindmesh.protocol.bounds import Count, Hash, KeyId, TimeId, TimeMs, Word
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import InvalidInput, Malformed
from kindmesh.protocol.limits import PERMIT_MAX, PROOF_VALUE_MAX
from kindmesh.protocol.merkle import Frontier, inclusion_path, leaf_hash, nodes_of, verify_inclusion
from kindmesh.protocol.plan_labels import Carried
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

RECEIPT_DOMAIN: Final = b"kindmesh-receipt-v1\0"
FIELD_DOMAIN: Final = b"kindmesh-field-v1\0"
RECEIPT: Final = "receipt"
"""The entry of a result's `ext`: a `Signed` receipt as bytes."""
FIELDS_MAX: Final = 4_096
"""Fields of a result that has a receipt."""
USES_MAX: Final = 64
DEPTH_MAX: Final = 16

Step = Annotated[str, msgspec.Meta(max_length=400)]
Inside = Annotated[tuple[Step, ...], msgspec.Meta(max_length=DEPTH_MAX)]


class Receipt(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `device` did `operation` as job `job_id` of run `run_id` until `ended_ms` (its own clock)."""

    mesh: KeyId
    device: KeyId
    job_id: TimeId
    run_id: TimeId
    operation: Word
    size: Annotated[int, msgspec.Meta(ge=1, le=FIELDS_MAX)]
    root: Hash
    ended_ms: TimeMs
    label: Carried | None = None
    kept: Carried = Carried("user")


class Use(msgspec.Struct, array_like=True, frozen=True):
    """The part of the arguments at `path` (as an `ArgumentLabel` names it) is what is at `inside` in the field: names
    of fields and numbers of items, empty for the whole."""

    path: Step
    inside: Inside = ()


class ResultProof(msgspec.Struct, array_like=True, frozen=True):
    """Field `name` of a result is `value` (canonical MessagePack); `index` is its place among the sorted names,
    `hashes` are those beside the way up to the receipt's root."""

    receipt: Signed
    name: Step
    value: Annotated[bytes, msgspec.Meta(max_length=PROOF_VALUE_MAX)]
    index: Count
    hashes: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=16)]
    uses: Annotated[tuple[Use, ...], msgspec.Meta(max_length=USES_MAX)]


ResultProofs = Annotated[tuple[ResultProof, ...], msgspec.Meta(max_length=16)]


def field_hash(name: str, value: bytes) -> bytes:
    """The leaf of a field, 32 bytes; `value` is its canonical MessagePack."""
    said = name.encode()
    return leaf_hash(FIELD_DOMAIN + len(said).to_bytes(2, "big") + said + sha256(value))


def root_of_fields(value: Mapping[str, Any]) -> tuple[int, bytes]:
    """How many fields a result has, and the root over them; (0, empty) where there are none, too many, or a name is too
    long: then it has no receipt."""
    if not 0 < len(value) <= FIELDS_MAX or max(map(len, value)) > 400:
        return 0, b""
    tree = Frontier()
    for name in sorted(value):
        tree.append(field_hash(name, encode_value(value[name])))
    return len(value), tree.root()


def prove_field(value: Mapping[str, Any], name: str, receipt: Signed, uses: Iterable[Use]) -> ResultProof:
    """The proof of one field of a result.

    Raises:
        InvalidInput: there is no such field, or it is too long to be shown.
    """
    if name not in value:
        raise InvalidInput("there is no such field", field="name")
    names = sorted(value)
    data, index = encode_value(value[name]), names.index(name)
    if len(data) > PROOF_VALUE_MAX:
        raise InvalidInput(f"a field of more than {PROOF_VALUE_MAX} bytes is not shown", field="value")
    node = nodes_of([field_hash(one, encode_value(value[one])) for one in names])
    return ResultProof(
        receipt, name, data, index, tuple(inclusion_path(index, len(names), node)), tuple(uses)
    )


def shown_field(proof: ResultProof, receipt: Receipt) -> Any:
    """The field's value, proven to be of that receipt.

    Raises:
        Malformed: it does not lead to the root, or is not canonical.
    """
    leaf = field_hash(proof.name, proof.value)
    if proof.index >= receipt.size or not verify_inclusion(
        proof.index, receipt.size, leaf, proof.hashes, receipt.root
    ):
        raise Malformed("a value is not of the result that it is said to be of", field="evidence")
    return decode_value(proof.value)


def part_of(value: Any, inside: Inside) -> Any:
    """What is at `inside` in a value.

    Raises:
        Malformed: nothing is.
    """
    for name in inside:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and name.isascii() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise Malformed("a result has no such part", field="evidence")
    return value


def argument_at(args: Any, path: str) -> list[Any]:
    """The parts of arguments that are called so (names and numbers, with dots between): usually one; none if there is
    no such part, several where a name has a dot in it."""
    if not path:
        return [args]
    named = args.items() if isinstance(args, dict) else ()
    found: list[tuple[str, Any]] = [(str(name), item) for name, item in named]
    if isinstance(args, list):
        found = [(str(number), item) for number, item in enumerate(args)]
    parts = []
    for name, item in found:
        if path == name:
            parts.append(item)
        elif path.startswith(f"{name}."):
            parts += argument_at(item, path[len(name) + 1 :])
    return parts


def sign_receipt(receipt: Receipt, key: SigningKey) -> Signed:
    """Signed by the device that did it."""
    return sign_struct(receipt, RECEIPT_DOMAIN, key)


def open_receipt(signed: Signed, public: bytes) -> Receipt:
    """The receipt, its signature checked and nothing else.

    Raises:
        BadSignature, Malformed: that key did not sign it.
    """
    return open_signed(signed, Receipt, RECEIPT_DOMAIN, public, limit=PERMIT_MAX)


__all__ = [
    "FIELDS_MAX", "RECEIPT", "RECEIPT_DOMAIN", "Receipt", "ResultProof", "ResultProofs", "Use", "argument_at",
    "field_hash", "open_receipt", "part_of", "prove_field", "root_of_fields", "shown_field", "sign_receipt",
]  # fmt: skip
