"""What people's programs can ask about runs: control methods over `heart.runs`.

    run.start    start a plan (`wait`: answer when it has ended, with events on the way)      the owner, devices, goals
    run.check    is this plan one that could run; the graph of it; nothing is done            everybody
    run.list  run.show  run.cancel                                                            whose run it is
    inbox  inbox.answer      questions of runs that wait for a person                         whom the plan names

Members see and cancel their own runs, as with jobs; the owner all. An answer is given by a person who proves to be one
(their signature over the request), by the owner at the coordinator, or by the very device that started the run; never
by something that acts for somebody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.runs.live import Live
from kindmesh.coordinator.heart.runs.run_documents import step_document
from kindmesh.coordinator.heart.runs.runs import Runs
from kindmesh.coordinator.params import Params
from kindmesh.coordinator.people import PeopleDesk
from kindmesh.coordinator.utterances import heard_in, is_spoken_by
from kindmesh.protocol.errors import AccessRefused, InvalidInput, UnknownJob, UnknownOperation
from kindmesh.protocol.ids import format_time_id, parse_time_id
from kindmesh.protocol.messages.events import OPEN_CLASS, MeshEvent, may_read
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.plan import Plan, plan_digest, plan_from_document
from kindmesh.protocol.plan_check import check_inputs, check_plan
from kindmesh.protocol.principal import (
    Principal,
    belongs_to,
    describe_principal,
    principal_from_text,
    principal_text,
)
from kindmesh.protocol.roles import PURPOSES

_Emit = Callable[[Any], None]
_Method = Callable[[Params, _Emit, Principal], Awaitable[Any]]
_Sources = Callable[[Params, Principal], tuple[ArtifactInfo, ...]]
_PRIORITIES: Final[tuple[Priority, ...]] = ("emergency", "interactive", "background")


class RunDesk:
    """See the module; holds no state. `sources` says who has the files that values name, and refuses others' files."""

    def __init__(self, runs: Runs, heart: Heart, people: PeopleDesk, sources: _Sources) -> None:
        self._runs = runs
        self._heart = heart
        self._people = people
        self._sources = sources

    def methods(self) -> dict[str, _Method]:
        """For the coordinator's table."""
        return {
            "run.start": self._start,
            "run.check": self._check,
            "run.list": self._list,
            "run.show": self._show,
            "run.cancel": self._cancel,
            "inbox": self._inbox,
            "inbox.answer": self._answer,
        }

    # --------------------------------------------------------------------------------------------------- start

    async def _start(self, params: Params, emit: _Emit, who: Principal) -> Any:
        heard = heard_in(params)
        if params.proof is not None and not (heard is not None and is_spoken_by(heard, who)):
            # Medulla takes a person's signature for the one act that it names; for a plan, which is several, it takes
            # the words that they signed.
            raise AccessRefused(
                "a person's signature does not cover a plan that did not come from their words",
                hint="The owner, or the device itself (--as -), can start it; or call its steps one by one.",
            )
        plan, inputs = plan_from_document(params.mapping("plan")), params.mapping("inputs")
        key, waits = params.text("key", ""), params.flag("wait")
        watcher = emit if waits and not params.flag("quiet") else None
        run_id = await self._runs.start(
            plan,
            # A member's keys are its own: it must not get another's run by guessing a key.
            key=(key if who.kind == "owner" else f"{principal_text(who)}/{key}") if key else None,
            principal=who,
            priority=params.choice("priority", _PRIORITIES, "interactive"),
            purpose=params.choice("purpose", PURPOSES, "household"),
            inputs=inputs,
            heard=heard,
            sources=self._sources(
                Params({**params.values, "args": {"plan": params.mapping("plan"), **inputs}}), who
            ),
            watcher=watcher,
        )
        if not waits:
            return self._runs.document(run_id)
        try:
            emit({"event": "started", "run": format_time_id(run_id)})
            return await self._runs.wait(run_id)
        finally:
            self._runs.unwatch(run_id, watcher)

    async def _check(self, params: Params, emit: _Emit, who: Principal) -> Any:
        plan = plan_from_document(params.mapping("plan"))
        priority = params.choice("priority", _PRIORITIES, "interactive")
        check_plan(plan, emergency=priority == "emergency")
        if "inputs" in params.values:
            check_inputs(plan, params.mapping("inputs"))
        return {
            "ok": True,
            "name": plan.name,
            "digest": plan_digest(plan).hex(),
            "inputs": {name: {"type": one.type, "title": one.title} for name, one in plan.inputs.items()},
            "steps": [step_document(step) for step in plan.steps],
            "warnings": self._warnings(plan),
        }

    def _warnings(self, plan: Plan) -> list[str]:
        """What could not be done as things are now."""
        found = []
        for step in plan.steps:
            calls = [step.call] if step.call else []
            calls += [step.compensate.call] if step.compensate is not None else []
            for operation in calls:
                try:
                    seats = self._heart.devices.seats(operation)
                except UnknownOperation as error:
                    found.append(f"{step.id}: {error.message}. {error.hint}".strip())
                    continue
                fields = {field.name for field in seats[0].operation.input}
                missing = [
                    field.name
                    for field in seats[0].operation.input
                    if field.required and step.call == operation and field.name not in step.args
                ]
                strange = [name for name in step.args if step.call == operation and name not in fields]
                if missing and not any(name.startswith("$") for name in step.args):
                    found.append(f"{step.id}: {operation} also needs {', '.join(missing)}")
                if strange and not any(name.startswith("$") for name in strange):
                    found.append(f"{step.id}: {operation} takes no {', '.join(strange)}")
        return found

    # ------------------------------------------------------------------------------------------- look and cancel

    async def _list(self, params: Params, emit: _Emit, who: Principal) -> Any:
        limit = params.number("limit", 20, least=1, most=1000)
        return self._runs.runs(limit, "" if who.kind == "owner" else principal_text(who))

    def _own(self, text: str, who: Principal) -> bytes:
        """The run that somebody means; for a member, those of others do not exist.

        Raises:
            UnknownJob. InvalidInput: several begin so.
        """
        found = [
            run_id for run_id in self._runs.named(text) if belongs_to(who, self._runs.row(run_id).principal)
        ]
        if not found:
            raise UnknownJob(
                f"no run's id begins with {text.strip()[:26]}", hint="kindmesh jobs runs lists them."
            )
        if len(found) > 1:
            some = ", ".join(format_time_id(run_id) for run_id in found[:3])
            raise InvalidInput(
                f"several runs begin with {text.strip()[:26]}", field="id", hint=f"Like {some}."
            )
        return found[0]

    async def _show(self, params: Params, emit: _Emit, who: Principal) -> Any:
        run_id = self._own(params.text("id"), who)
        return await self._runs.wait(run_id) if params.flag("wait") else self._runs.document(run_id)

    async def _cancel(self, params: Params, emit: _Emit, who: Principal) -> Any:
        by = "the owner" if who.kind == "owner" else describe_principal(who)
        return self._runs.cancel(self._own(params.text("id"), who), by)

    # --------------------------------------------------------------------------------------------------- inbox

    async def _inbox(self, params: Params, emit: _Emit, who: Principal) -> Any:
        found = []
        for waiting in self._runs.inbox():
            answerable = self._may_answer(waiting, who)
            if answerable or belongs_to(who, self._whose(waiting)):
                found.append({**waiting, "answerable": answerable})
        return found

    async def _answer(self, params: Params, emit: _Emit, who: Principal) -> Any:
        named = params.text("id")
        fitting = [
            waiting
            for waiting in self._runs.inbox()
            if waiting["question_id"].startswith(named.strip().lower())
            and (self._may_answer(waiting, who) or belongs_to(who, self._whose(waiting)))
        ]
        exact = [waiting for waiting in fitting if waiting["question_id"] == named.strip().lower()] or fitting
        if not exact:
            raise UnknownJob("no question waits under this id", hint="kindmesh inbox lists them.")
        if len(exact) > 1:
            some = ", ".join(waiting["question_id"] for waiting in exact[:3])
            raise InvalidInput("several questions begin so", field="id", hint=f"Like {some}.")
        (waiting,) = exact
        if not self._may_answer(waiting, who):
            raise AccessRefused(
                "this question is for somebody else", field="id", hint=f"For {', '.join(waiting['who'])}."
            )
        run_id = parse_time_id(waiting["run"])
        await self._runs.answer(run_id, waiting["path"], params.mapping("values"), who)
        return {"ok": True, "question_id": waiting["question_id"], "run": waiting["run"]}

    def _whose(self, waiting: dict[str, Any]) -> str:
        return self._runs.row(parse_time_id(waiting["run"])).principal

    def _may_answer(self, waiting: dict[str, Any], who: Principal) -> bool:
        if who.kind not in ("owner", "person", "device"):
            return False
        asker = principal_from_text(self._whose(waiting))
        for allowed in waiting["who"]:
            kind, _, name = allowed.partition(":")
            if kind == "owner" and who.kind == "owner":
                return True
            if kind == "asker" and who.person == asker.person and (who.person or who.id == asker.id):
                return True
            if kind == "person" and who.kind == "person" and who.id == name:
                return True
            if kind == "role" and who.kind == "person" and self._people.role(who) == name:
                return True
        return False


def may_hear(people: PeopleDesk, live: Live, event: MeshEvent) -> bool:
    """Whether who started a run, and the device where that was asked, may see the data of an event."""
    who = live.asked.principal
    if who.device and not may_read(event.labels, event.source, who.device):
        return False
    rights = people.rights(who)
    if rights is None or event.labels.data_class == OPEN_CLASS:
        return True
    return "*" in rights.data_classes or event.labels.data_class in rights.data_classes


__all__ = ["RunDesk", "may_hear"]
