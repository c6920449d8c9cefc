"""What this device signs about a job that succeeded: a receipt over the fields of its result (`protocol.receipt`).

Whose run it was, and what Medulla knew of where the arguments came from, is what Medulla's permit says, never what came
with the job. Beside it stands what the capability was ever given to keep (`kept_labels`). A result without fields has
no receipt, and neither has a job that did not succeed, or one whose permit says nothing of its arguments: it would
prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust
from kindmesh.node.kept_labels import KeptLabels
from kindmesh.protocol.manifest import Effect, Operation
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.plan_labels import carry
from kindmesh.protocol.receipt import RECEIPT, Receipt, root_of_fields, sign_receipt
from kindmesh.protocol.signed import signed_to_bytes

_READING: Final = int(Effect.READ | Effect.NOTIFY | Effect.SENSE)
NONE: Final[tuple[int, bytes]] = (0, b"")
"""The fields of a result that has none."""


class Receipts:
    """See the module."""

    def __init__(self, identity: Identity, trust: Trust, kept: KeptLabels) -> None:
        self._identity = identity
        self._trust = trust
        self._kept = kept

    def begins(self, permit: Permit, operation: Operation) -> None:
        """A job begins: what it does more than reading may be kept. Raises as `KeptLabels.given`."""
        if operation.effects & ~_READING:
            self._kept.given(operation.name, permit.label)

    @staticmethod
    def fields(permit: Permit, value: Mapping[str, Any]) -> tuple[int, bytes]:
        """How many fields a result has, and the root over them; `NONE` for one that would prove nothing."""
        return NONE if permit.label is None else root_of_fields(value)

    def ext(self, permit: Permit, fields: tuple[int, bytes], ended_ms: int) -> dict[str, bytes]:
        """What goes with the result of the job of that permit; nothing for `NONE`."""
        size, root = fields
        if not size:
            return {}
        receipt = Receipt(
            self._trust.mesh, self._identity.device_id, permit.job_id, permit.run_id, permit.operation, size, root,
            ended_ms, permit.label, carry(self._kept.of(permit.operation)),
        )  # fmt: skip
        return {RECEIPT: signed_to_bytes(sign_receipt(receipt, self._identity.signing))}


__all__ = ["NONE", "Receipts"]
