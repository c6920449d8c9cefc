"""Having something done: jobs are submitted, looked at and cancelled, and what waits for a person is answered.

submit call explain              one operation, as a job; as a session call; where it would go
jobs job cancel                  the owner sees all, everybody else their own: those of others do not exist
approvals decisions approve      what waits for a yes, and the answer, which carries its own signature
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kindmesh.coordinator.api import Emit, Method
from kindmesh.coordinator.brain.desk.disclosing import Called, Disclosing
from kindmesh.coordinator.brain.medulla.cedar_asked import LOOKS, named_things
from kindmesh.coordinator.decisions import Decisions, approval_decision
from kindmesh.coordinator.heart.heart import Heart, Wish
from kindmesh.coordinator.heart.machine_words import STATES
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.protocol.errors import InvalidInput, UnknownJob
from kindmesh.protocol.ids import parse_time_id
from kindmesh.protocol.messages.jobs import ArtifactInfo
from kindmesh.protocol.principal import Principal, belongs_to, describe_principal, principal_text
from kindmesh.protocol.roles import PURPOSES, Purpose
from kindmesh.protocol.signed import Signed, signed_from_bytes

SourcesOf = Callable[[Params, Principal], tuple[ArtifactInfo, ...]]
"""Who has the files that the arguments name, as far as who asks may say so."""


class WorkDesk:
    """See the module. `decisions` are what waits for the owner beyond jobs."""

    def __init__(
        self,
        *,
        heart: Heart,
        people: PeopleDesk,
        sources_of: SourcesOf,
        decisions: Decisions,
        disclosing: Disclosing,
    ) -> None:
        self._disclosing = disclosing
        self._heart = heart
        self._people = people
        self._sources_of = sources_of
        self._decisions = decisions
        self.approvers: list[Callable[[Signed], Awaitable[Any]]] = []
        """Asked before the Heart; each says None when an approval is not about something of its own."""

    def methods(self) -> dict[str, Method]:
        """For the coordinator's table."""
        return {
            "submit": self._submit,
            "call": self._call,
            "explain": self._explain,
            "jobs": self._jobs,
            "job": self._job,
            "cancel": self._cancel,
            "approvals": self._approvals,
            "decisions": self._decided,
            "approve": self._approve,
        }

    def _wish(self, params: Params, who: Principal) -> Wish:
        target, key = params.text("target", ""), params.text("key", "")
        return Wish(
            operation=params.text("operation"),
            args=params.mapping("args"),
            target=self._heart.devices.resolve(target) if target else b"",
            priority=params.choice("priority", ("emergency", "interactive", "background"), "interactive"),
            deadline_ms=params.number("deadline_ms", 0),
            # A member's keys are its own: it must not get another's job by guessing a key.
            key=(key if who.kind == "owner" else f"{principal_text(who)}/{key}") if key else None,
            run_id=parse_time_id(run) if (run := params.text("run", "")) else b"",
            step=params.number("step", 0),
            full=params.flag("full"),
            sources=self._sources_of(params, who),
            principal=who,
            proof=params.proof,
            purpose=params.choice("purpose", PURPOSES, "household"),
            hedge_ms=params.number("hedge_ms", -1, least=-1, most=600_000),
        )

    # These two are asked most. What they return is waited for as it is: no task is made for it.

    def _submit(self, params: Params, emit: Emit, who: Principal) -> Awaitable[Any]:
        wish = self._wish(params, who)
        if not params.flag("wait"):
            return self._submitted(wish)
        return self._heart.run(wish, None if params.flag("quiet") else emit)

    async def _submitted(self, wish: Wish) -> Any:
        job_id = await self._heart.submit(wish)
        return self._heart.job(job_id)

    def _call(self, params: Params, emit: Emit, who: Principal) -> Awaitable[Any]:
        target, operation = params.text("target", ""), params.text("operation")
        if who.kind != "owner":
            purpose = params.choice("purpose", PURPOSES, "household")
            for seat in self._heart.devices.seats(operation):
                self._people.check_call(who, seat.operation, purpose)
            if operation in LOOKS:
                return self._told(params, operation, purpose, who)
        return self._heart.call(
            operation,
            params.mapping("args"),
            target=self._heart.devices.resolve(target) if target else b"",
            within_ms=params.number("timeout_ms", 10_000, least=1, most=300_000),
        )

    async def _told(self, params: Params, operation: str, purpose: Purpose, who: Principal) -> Any:
        """How things are at home, as far as this member may know it."""
        devices, args, target = self._heart.devices, params.mapping("args"), params.text("target", "")
        if target:
            device = devices.resolve(target)
        else:
            offering = [seat.device.device_id for seat in devices.seats(operation)]
            device = next((one for one in offering if devices.is_here(one)), offering[0])
        within_ms = params.number("timeout_ms", 10_000, least=1, most=300_000)
        told = await self._heart.call(operation, args, target=device, within_ms=within_ms)
        asked = Called(operation, device, purpose, proof=params.proof)
        return await self._disclosing.call(asked, who, told, named_things(operation, args))

    async def _explain(self, params: Params, emit: Emit, who: Principal) -> Any:
        self._people.check_look(who)
        target = params.text("target", "")
        resolved = self._heart.devices.resolve(target) if target else b""
        return self._heart.explain(params.text("operation"), params.mapping("args"), resolved)

    async def _jobs(self, params: Params, emit: Emit, who: Principal) -> Any:
        state = params.text("state", "")
        if state and state not in STATES:
            raise InvalidInput(
                f"no job is ever {state[:40]!r}", field="state", hint=f"One of: {', '.join(STATES)}."
            )
        limit = params.number("limit", 20, least=1, most=1000)
        return self._heart.jobs(limit, state, "" if who.kind == "owner" else principal_text(who))

    def _named(self, params: Params, who: Principal) -> bytes:
        whose = "" if who.kind == "owner" else principal_text(who)
        return self._heart.read.named(params.text("id"), whose)

    async def _job(self, params: Params, emit: Emit, who: Principal) -> Any:
        return own_job(self._heart, self._named(params, who), who)

    async def _cancel(self, params: Params, emit: Emit, who: Principal) -> Any:
        job_id = self._named(params, who)
        own_job(self._heart, job_id, who)
        return self._heart.cancel(job_id, "the owner" if who.kind == "owner" else describe_principal(who))

    async def _approvals(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = []
        for waiting in self._heart.approvals():
            answerable = self._people.may_answer(who, waiting)
            if answerable or _is_own(waiting, who):
                found.append({**waiting, "answerable": answerable})
        return found

    async def _decided(self, params: Params, emit: Emit, who: Principal) -> Any:
        found = [approval_decision(waiting) for waiting in await self._approvals(params, emit, who)]
        if who.kind == "owner":
            found += await self._decisions.waiting(everything=params.flag("all"))
        return found

    async def _approve(self, params: Params, emit: Emit, who: Principal) -> Any:
        approval = signed_from_bytes(params.data("approval"))
        for other in self.approvers:
            found = await other(approval)
            if found is not None:
                return found
        return await self._heart.approve(approval)


def own_job(heart: Heart, job_id: bytes, who: Principal) -> dict[str, Any]:
    """A job's document; for a member, those of others do not exist.

    Raises:
        UnknownJob.
    """
    document = heart.job(job_id)
    if not _is_own(document, who):
        raise UnknownJob()
    return document


def _is_own(document: dict[str, Any], who: Principal) -> bool:
    return belongs_to(who, principal_text(Principal(**document["principal"])))


__all__ = ["SourcesOf", "WorkDesk", "own_job"]
