"""Looking at jobs: lists, documents, what waits for a person, and where something would go. Changes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kindmesh.coordinator.heart import documents, wishes
from kindmesh.coordinator.heart.devices import Devices
from kindmesh.coordinator.heart.dispatch import Dispatch
from kindmesh.coordinator.heart.entry import Document
from kindmesh.coordinator.heart.journal import Ending, HeartJournal, JobRow
from kindmesh.coordinator.heart.placement import explain, rank
from kindmesh.coordinator.heart.settling import Settler
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.mesh.clock import Clock
from kindmesh.protocol.codec import decode, decode_value
from kindmesh.protocol.errors import ArtifactMissing, InvalidInput, KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_id, format_time_id, time_id_range
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.policy import ApprovalRequest
from kindmesh.protocol.principal import principal_document
from kindmesh.protocol.signed import Signed


class Reading:
    """See the module."""

    def __init__(
        self,
        dispatch: Dispatch,
        journal: HeartJournal,
        devices: Devices,
        clock: Clock,
        settler: Settler,
    ) -> None:
        self._settler = settler
        self._dispatch = dispatch
        self._journal = journal
        self._devices = devices
        self._clock = clock

    def jobs(self, limit: int = 50, state: str = "", principal: str = "") -> list[Document]:
        """The newest jobs first, without what they were given and gave; `limit` 1..1000; only those of a principal."""
        self._dispatch.save()
        rows = self._journal.recent(min(max(limit, 1), 1000), state, principal)
        return [self._summary(row) for row in rows]

    def _summary(self, row: JobRow) -> Document:
        document = documents.summary(row.facts, row.now, row.ended_ms, self._devices.name)
        if row.now.state == "uncertain":
            document["settled"] = self._settler.document(row.facts.job_id, row.facts.run_id)
        return document

    def unsettled(self, limit: int = 100) -> list[Document]:
        """Jobs that may or may not have happened, and nobody has looked yet: whole documents, the oldest first."""
        return [self.job(job_id) for job_id in self._settler.unsettled(limit)]

    def job(self, job_id: bytes) -> Document:
        """All about one job: what it was given (`args`), what it gave, and its story.

        Raises:
            UnknownJob.
        """
        entry = self._dispatch.open.get(job_id)
        if entry is None:
            row = self.row(job_id)
            document = self.ended_document(row)
            try:
                document["args"] = decode_value(self._journal.request(row).args)
            except KindmeshError as error:
                document["args"] = None
                document["note"] = error.message
            return document
        document = self._dispatch.telling.document(entry, entry.progress(), None, 0)
        document["args"] = decode_value(entry.request.args)
        document["why"] = entry.machine.why
        return document

    def statistics(self) -> dict[str, Any]:
        """Open jobs by state, and how long jobs usually take (ms)."""
        states = Counter(entry.machine.state for entry in self._dispatch.open.values())
        return {
            "open": len(self._dispatch.open),
            "states": dict(states),
            "usual_ms": round(self._dispatch.usual_ms),
        }

    def named(self, text: str, principal: str = "") -> bytes:
        """The id of the job that a person means: its id, or the beginning of it, if no other job begins so.

        Raises:
            InvalidInput: not such an id, or several jobs begin so; names some.
            UnknownJob: none does. Only those of `principal` count, if given.
        """
        bounds = time_id_range(text)
        if bounds[0] == bounds[1]:
            return bounds[0]
        found = self._journal.between(*bounds, 4, principal)
        if not found:
            raise UnknownJob(f"no job's id begins with {text.strip()[:26]}")
        if len(found) > 1:
            some = ", ".join(format_time_id(job_id) for job_id in found[:3])
            raise InvalidInput(
                f"several jobs begin with {text.strip()[:26]}", field="id", hint=f"For instance {some}."
            )
        return found[0]

    def with_key(self, key: str) -> JobRow | None:
        """The job that was submitted with this key."""
        return self._journal.find_key(key)

    def row(self, job_id: bytes) -> JobRow:
        """The job as the journal has it.

        Raises:
            UnknownJob.
        """
        row = self._journal.load(job_id)
        if row is None:
            raise UnknownJob()
        return row

    def ended_document(self, row: JobRow) -> Document:
        """A job that has ended as plain data; a note in place of what was forgotten."""
        document = self._summary(row)
        try:
            documents.with_ending(document, self._journal.ending(row))
        except KindmeshError as error:
            documents.with_ending(document, None)
            document["note"] = error.message
        return documents.with_story(document, row.now.story, self._devices.name)

    def ending(self, job_id: bytes) -> Ending | None:
        """How a job ended, None while it is open.

        Raises:
            UnknownJob. Forgotten, BadSeal, Malformed: it cannot be opened any more.
        """
        return self._journal.ending(self.row(job_id))

    def made(self, job_id: bytes, artifact: bytes) -> tuple[ArtifactInfo, Signed]:
        """An artifact (32 bytes) that a job made, and the permit under which its maker gives it to this coordinator.

        Raises:
            UnknownJob. ArtifactMissing: the job did not make it.
        """
        row = self.row(job_id)
        ending = self._journal.ending(row)
        for info in ending.artifacts if ending is not None else ():
            if info.artifact == artifact and row.now.permit is not None:
                return info, row.now.permit
        raise ArtifactMissing("this job did not make that file")

    def makers(self, artifact: bytes) -> frozenset[str]:
        """The principals whose jobs made an artifact (32 bytes)."""
        return self._journal.makers(artifact)

    def approvals(self) -> list[Document]:
        """What waits for a person: `request` are the bytes to show and to have signed."""
        found = []
        for entry in self._dispatch.open.values():
            if entry.question and entry.machine.state == "waiting_approval":
                request = decode(ApprovalRequest, entry.question, limit=2 * ARGUMENTS_MAX)
                found.append(
                    {
                        "job": format_time_id(entry.facts.job_id),
                        "operation": request.operation,
                        "device": format_id(request.target),
                        "device_name": request.target_name,
                        "effects": effect_names(request.effects),
                        "reasons": list(request.reasons),
                        "principal": principal_document(request.principal),
                        "purpose": request.purpose,
                        "issued_ms": request.issued_ms,
                        "expires_ms": request.expires_ms,
                        "request": entry.question,
                    }
                )
        return found

    def explain(self, operation: str, args: dict[str, Any], target: bytes = b"") -> Document:
        """Where this would go now, and why; nothing is done.

        Raises:
            UnknownOperation, InvalidInput, Malformed.
        """
        now_ms = self._clock.now_ms()
        need = wishes.check(Wish(operation, args, target), self._devices, self._journal, now_ms).need
        candidates = self._devices.candidates(self._devices.seats(operation), now_ms)
        self._devices.age(candidates)
        verdicts = rank(candidates, need)
        choice = self._dispatch.placer.choose(need)
        return {
            "operation": operation,
            "device": format_id(choice.device) if choice.device else "",
            "device_name": self._devices.name(choice.device),
            "why": choice.why,
            "candidates": [
                {
                    "device": format_id(verdict.device),
                    "device_name": verdict.name,
                    "score": verdict.score,
                    "parts": {part.name: part.weight * part.value for part in verdict.parts},
                    "why_not": verdict.why_not,
                    "hint": verdict.hint,
                }
                for verdict in verdicts
            ],
            "text": explain(verdicts),
        }


__all__ = ["Reading"]
