"""Judges a job that came: is it an order for this device? In this order: permit (`gate`), whether it is known, the
operation, its input, where its files are, room for it (`admission`). What is refused here has left no trace.
"""

from __future__ import annotations

from typing import Any, Final

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.trust import Trust
from kindmesh.node.admission import Room
from kindmesh.node.gate import check_job, check_repeat, open_job_permit
from kindmesh.node.job_events import JobArrived, Mode, Order
from kindmesh.node.journal import NodeJournal
from kindmesh.node.machine import JobMachine
from kindmesh.node.standing import standing
from kindmesh.node.supervisor import Supervisor
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import ArtifactMissing, InvalidInput, PermitStale
from kindmesh.protocol.extensions import check_extensions
from kindmesh.protocol.manifest import Effect, Operation, artifacts_in, check_fields
from kindmesh.protocol.messages.jobs import ArtifactInfo, Job
from kindmesh.protocol.permit import Permit
from kindmesh.protocol.permit_chain import check_parent

FULL: Final = "full"
"""Entry of a job's `ext` that asks for INTENT and RESULT to survive a power cut whatever the effects."""


class Accepted:
    """What an attempt needs to begin: its permit, its checked `values`, and the inputs that are not here yet."""

    __slots__ = ("job", "missing", "operation", "permit", "values")

    def __init__(
        self,
        job: Job,
        permit: Permit,
        operation: Operation,
        values: dict[str, Any],
        missing: tuple[ArtifactInfo, ...],
    ) -> None:
        self.job = job
        self.permit = permit
        self.operation = operation
        self.values = values
        self.missing = missing


class Intake:
    """See the module."""

    def __init__(
        self,
        *,
        trust: Trust,
        journal: NodeJournal,
        machine: JobMachine,
        supervisor: Supervisor,
        artifacts: ArtifactStore,
        room: Room,
    ) -> None:
        self._trust = trust
        self._journal = journal
        self._machine = machine
        self._supervisor = supervisor
        self._artifacts = artifacts
        self._room = room

    def judge(self, sender: bytes, job: Job, now_ms: int) -> tuple[JobArrived, Accepted | None]:
        """The order that a job is, if this device takes it; and what it needs, if it is to begin something.

        Raises:
            PermitRefused and its kin, CertificateExpired, Stopped: see `gate`.
            UnknownOperation, CapabilityMissing, CapabilityCrashed: not offered here, or not now.
            InvalidInput, Malformed, UnknownCritical: names the field.
            ArtifactMissing, Busy, StoreError.
        """
        check_extensions(job.ext)
        permit = open_job_permit(job, self._trust.membership.anchors)
        machine = self._machine
        known = self._journal.find(job.job_id) if machine.find(job.job_id) is None else None
        relation = machine.relation(job.job_id, job.epoch, known)
        if relation == "stale":
            raise PermitStale("a later attempt of this job was already given to this device")
        if relation != "new":
            check_repeat(job, permit, standing(self._trust, self._journal, sender, now_ms))
            order = Order(
                job.job_id, job.epoch, job.run_id, job.operation, permit.permit_id, sender, job.deadline_ms, "normal",
                repeatable=False,
            )  # fmt: skip
            return JobArrived(order, known), None
        operation = self._supervisor.find(job.operation)
        if operation.stream is not None:
            raise InvalidInput(
                f"{operation.name} streams", field="operation", hint="kindmesh stream opens it."
            )
        check_job(job, permit, operation, standing(self._trust, self._journal, sender, now_ms), now_ms)
        check_parent(permit, job.ext, self._trust.membership.anchors)
        self._journal.see_policy(permit.policy_version)
        values = self._read_input(job, operation)
        missing = self._missing(job, operation, values)
        self._room.check(operation, job.priority)
        order = Order(
            job.job_id, job.epoch, job.run_id, job.operation, permit.permit_id, sender,
            job.deadline_ms, self._mode(job, operation),
            operation.idempotent or operation.effects == Effect.READ, bool(missing),
        )  # fmt: skip
        return JobArrived(order, known), Accepted(job, permit, operation, values, missing)

    def _read_input(self, job: Job, operation: Operation) -> dict[str, Any]:
        limit = operation.limits.max_input_bytes
        if len(job.args) > limit:
            raise InvalidInput(
                f"the values of {operation.name} are {len(job.args)} bytes, at most {limit} are allowed",
                hint="Send less, or a file.",
            )
        return check_fields(operation.input, decode_value(job.args))

    def _missing(self, job: Job, operation: Operation, values: dict[str, Any]) -> tuple[ArtifactInfo, ...]:
        """Inputs that are not here, and who has them."""
        sources = {source.artifact: source for source in job.sources}
        missing = []
        for name in artifacts_in(operation.input, values):
            artifact = bytes.fromhex(name)
            if self._artifacts.has(artifact):
                continue
            if artifact not in sources:
                raise ArtifactMissing(
                    f"the file {name[:12]}... is not on this device, and nobody was named who has it"
                )
            missing.append(sources[artifact])
        return tuple(missing)

    def _mode(self, job: Job, operation: Operation) -> Mode:
        if operation.effects != Effect.READ or FULL in job.ext:
            return "full"
        return "shared" if self._supervisor.is_quick(operation.name) else "normal"


__all__ = ["FULL", "Accepted", "Intake"]
