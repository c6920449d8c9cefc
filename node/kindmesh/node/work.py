"""One attempt at a job that has room on this device: what it needs to begin, and what is known of it when it ended.

`finished` is the event of an operation that answered, `job_result` what whoever sent the job is told, with the receipt
that this device signs. The executor owns the task; nothing here waits or is kept on the disk.
"""

from __future__ import annotations

import asyncio
from typing import Any

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.node.intake import Accepted
from kindmesh.node.job_events import Finished, WriteResult
from kindmesh.node.receipts import NONE, Receipts
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import InternalError, error_to_wire
from kindmesh.protocol.limits import RESULT_MAX
from kindmesh.protocol.manifest import artifacts_in
from kindmesh.protocol.messages.jobs import ArtifactInfo, JobResult


class Work:
    """See the module; what it `made`, and the `fields` of its result, are known when it ended well."""

    __slots__ = (
        "abandoned", "attempt", "fields", "job", "made", "missing", "operation", "permit", "task", "until_ms", "values",
    )  # fmt: skip

    def __init__(self, accepted: Accepted) -> None:
        self.job = accepted.job
        self.permit = accepted.permit
        self.attempt = 0
        self.operation = accepted.operation
        self.values = accepted.values
        self.missing = accepted.missing
        self.made: tuple[ArtifactInfo, ...] = ()
        self.fields = NONE
        self.task: asyncio.Task[None] | None = None
        self.until_ms = accepted.job.deadline_ms
        self.abandoned = False

    def finished(self, value: dict[str, Any], holder: bytes, artifacts: ArtifactStore) -> Finished:
        """The operation answered with `value`; its files are with `holder`, this device.

        Raises:
            InternalError: it is more than the manifest promises.
            ArtifactMissing, ArtifactDamaged: a file that it names is not here, or was changed.
        """
        data = encode_value(value)
        if len(data) > min(self.operation.limits.max_output_bytes, RESULT_MAX):
            raise InternalError(
                f"{self.operation.name} answered with {len(data)} bytes, more than it promises"
            )
        names = artifacts_in(self.operation.output, value)
        found = [artifacts.stat(bytes.fromhex(name)) for name in names]
        self.made = tuple(ArtifactInfo(info.id, info.size, info.media_type, holder) for info in found)
        self.fields = Receipts.fields(self.permit, value)
        return Finished(self.job.job_id, self.attempt, data)


def job_result(step: WriteResult, work: Work | None, receipts: Receipts) -> JobResult:
    """What is told of a job that ended so; `work`: None when it never had room."""
    return JobResult(
        job_id=step.order.job_id,
        epoch=step.order.epoch,
        outcome=step.outcome,
        value=step.value,
        error=None if step.error is None else error_to_wire(step.error),
        permit_id=step.order.permit_id,
        started_ms=step.started_ms,
        ended_ms=step.ended_ms,
        artifacts=work.made if work is not None else (),
        ext=receipts.ext(work.permit, work.fields, step.ended_ms)
        if work is not None and step.outcome == "succeeded"
        else {},
    )


__all__ = ["Work", "job_result"]
