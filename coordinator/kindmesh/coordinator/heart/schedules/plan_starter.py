"""Schedules that start a whole plan: as a run, under the firing's key, for whoever made the schedule.

One operation stays a job: it is a run of its own, and waits for a device as long as the schedule is patient. A plan has
its own deadlines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.heart.schedules.starter import Holder, JobStarter, key_of
from kindmesh.coordinator.heart.schedules.words import Schedule
from kindmesh.node.holding import artifact_id
from kindmesh.protocol.codec import decode_value
from kindmesh.protocol.errors import InvalidInput, KindmeshError, UnknownJob
from kindmesh.protocol.limits import ARGUMENTS_MAX
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.plan import Plan, plan_from_bytes, plan_from_document
from kindmesh.protocol.plan_check import written_plan


class Starters:
    """A `Starter`: plans as runs, single operations as jobs."""

    def __init__(self, jobs: JobStarter, runs: Runs, held: Holder) -> None:
        self._jobs = jobs
        self._runs = runs
        self._held = held

    async def start(self, schedule: Schedule, due_ms: int, patience_ms: int) -> bytes:
        """See `Starter`."""
        action = schedule.action
        if not action.plan:
            return await self._jobs.start(schedule, due_ms, patience_ms)
        inputs = decode_value(action.args, limit=ARGUMENTS_MAX)
        own = schedule.maker.kind == "owner"
        return await self._runs.start(
            plan_from_bytes(action.plan),
            key=key_of(schedule, due_ms),
            principal=schedule.maker,
            priority=schedule.priority,
            purpose=schedule.purpose,
            inputs=inputs,
            sources=tuple(self._sources(inputs)) if own else (),
        )

    def _sources(self, inputs: Any) -> Iterator[ArtifactInfo]:
        for name in files_in(inputs):
            found = self._held(name)
            if found is not None:
                yield found

    async def ended(self, schedule: Schedule, ref: bytes) -> str:
        """See `Starter`."""
        if not schedule.action.plan:
            return await self._jobs.ended(schedule, ref)
        try:
            document = await self._runs.wait(ref)
        except UnknownJob:
            return "forgotten"
        return str(document["state"])

    def problem(self, schedule: Schedule, ref: bytes) -> str:
        """See `Starter`."""
        if not schedule.action.plan:
            return self._jobs.problem(schedule, ref)
        try:
            error = self._runs.document(ref)["error"]
        except KindmeshError as unreadable:
            return unreadable.message
        return error["message"] if error else ""


def files_in(value: Any) -> list[bytes]:
    """Files that values name, at any depth."""
    if isinstance(value, list):
        return [name for item in value for name in files_in(item)]
    if not isinstance(value, dict):
        return []
    found = [name for item in value.values() for name in files_in(item)]
    try:
        return [artifact_id(value.get("artifact")), *found]
    except InvalidInput:
        return found


def calls_in(plan: Plan) -> set[str]:
    """Every operation that a (checked) plan names, in what undoes it and in plans inside it, too."""
    found: set[str] = set()
    for step in plan.steps:
        if step.call:
            found.add(step.call)
        if step.compensate is not None:
            found.add(step.compensate.call)
        inner = None if step.sub is None else written_plan(step.sub.plan)
        if inner is not None:
            found |= calls_in(plan_from_document(inner))
    return found


__all__ = ["Starters", "calls_in", "files_in"]
