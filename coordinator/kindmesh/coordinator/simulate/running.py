"""Runs of several steps in a history: how their plans look, who starts them, and what has to be true of them.

A run is asked for under one key until it was acknowledged, as jobs are, by somebody who gives up when its time is over.
Each step that may not be done twice has a text of its own, so whatever does it shows which step it was:

    acknowledged --> a coordinator that starts has it (`lost`) --> ended, or a question in the inbox (`stuck`)
    a step's text is done at most once (`duplicate_effect`); exactly once if its item succeeded, not at all if it was
    skipped or failed; and what can be undone was undone when the run did not succeed (`contradiction`)

Runs are judged when they are first seen to have ended: what is old is removed from the journal.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from kindmesh.coordinator.app import Coordinator
from kindmesh.coordinator.simulate.history import Run, Shape
from kindmesh.coordinator.simulate.ledger import OPERATIONS, Ledger
from kindmesh.coordinator.simulate.process import SHORT_S, Killed
from kindmesh.coordinator.simulate.world import AGAIN_S, Life, World
from kindmesh.protocol.errors import KindmeshError, UnknownJob
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.plan import Plan, plan_from_document
from kindmesh.protocol.principal import OWNER

UNDONE: Final = "one"
"""The step of `undo` that can be undone."""


def plan_of(act: Run) -> Plan:
    """The plan of a run; a step's text is the run's key and its path."""

    def add(name: str, **more: Any) -> dict[str, Any]:
        given = {"text": f"{act.key}/{name}", "before_ms": act.before_ms}
        return {"id": name, "call": "work.add", "args": given, **more}

    def read(text: Any = act.key) -> dict[str, Any]:
        return {"id": "read", "call": "work.read", "args": {"text": text}, "retry": {"attempts": 3}}

    undo = {"call": "work.add", "args": {"text": f"{act.key}/undo:{UNDONE}"}}
    each: dict[str, Any] = {"for_each": {"over": [0, 1, 2], "parallel": 2}, "after": ["read"]}
    shapes: dict[Shape, list[dict[str, Any]]] = {
        "line": [read(), add("one", when={"$eq": [{"$from": "read.text"}, act.key]}), add("two", after=["one"])],
        "each": [read(), {**add("each", **each), "args": {"text": _indexed(act.key)}}],
        "undo": [add(UNDONE, compensate=undo), {**read(7), "after": [UNDONE]}],
        "sub": [{"id": "deep", "sub": {"plan": {"plan": 1, "steps": [add("deep")]}}}, add("two", after=["deep"])],
        "pause": [add("one"), {"id": "wait", "pause": {"for_ms": 45_000}, "after": ["one"]},
                  add("two", after=["wait"])],
        "ask": [add("one"), {"id": "sure", "ask": {"question": "Go on?", "answer": {"yes": {"type": "boolean"}}},
                             "after": ["one"]}, add("two", when={"$from": "sure.yes"})],
    }  # fmt: skip
    timed = {} if act.shape == "ask" else {"deadline_ms": act.within_ms}
    return plan_from_document({"plan": 1, "name": act.key, "steps": shapes[act.shape], **timed})


def _indexed(key: str) -> dict[str, Any]:
    return {"$text": [f"{key}/each[", {"$from": "index"}, "]"]}


@dataclass
class _Wanted:
    act: Run
    run_id: bytes = b""
    """Once it is acknowledged."""


class Running:
    """All runs of one history. `pending` are those that were not seen to have ended, by key."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world, self._ledger = world, ledger
        self.pending: dict[str, _Wanted] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def want(self, act: Run) -> None:
        """Somebody wants that done."""
        task = asyncio.ensure_future(self._ask(_Wanted(act)))
        for tasks in (self._asking, self._world.strays):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _ask(self, wanted: _Wanted) -> None:
        act, plan = wanted.act, plan_of(wanted.act)
        self._ledger.events["runs"] += 1
        end_ms = self._ledger.now_ms() + act.within_ms
        while self._ledger.now_ms() < end_ms:
            life = self._world.life("desk")
            if life is not None:
                try:
                    wanted.run_id = await life.process.run(life.coordinator.runs.start(plan, key=act.key))
                except (Killed, KindmeshError) as error:
                    self._ledger.note("run not taken", act.key, type(error).__name__, job=act.key)
                else:
                    self._ledger.note("run taken", act.key, job=act.key)
                    self.pending[act.key] = wanted
                    return
            await asyncio.sleep(AGAIN_S)
        self._ledger.note("run given up", act.key, job=act.key)

    async def answer(self, life: Life, *, allow: bool) -> None:
        """A person answers all that runs ask."""
        for asked in life.coordinator.runs.inbox():
            run_id = next((one.run_id for one in self.pending.values() if _id(one) == asked["run"]), b"")
            if run_id:
                answering = life.coordinator.runs.answer(run_id, asked["path"], {"yes": allow}, OWNER)
                try:
                    await life.process.run(answering)
                except (Killed, KindmeshError) as error:
                    self._ledger.note("not answered", asked["path"], type(error).__name__)

    # --------------------------------------------------------------------------------------------- what is seen

    def effect(self, operation: str, text: str) -> None:
        """Something was done; of a step that may not be done twice at most once."""
        key, _, path = text.partition("/")
        if not path:
            return
        self._ledger.note("step", operation, text, job=key)
        if not OPERATIONS[operation].idempotent and self._ledger.texts[text] > 1:
            times = self._ledger.texts[text]
            self._ledger.violate("duplicate_effect", f"{path} of the run was done {times} times", key)

    def look_for_lost(self, coordinator: Coordinator) -> None:
        """A coordinator started."""
        for key, wanted in self.pending.items():
            try:
                coordinator.runs.row(wanted.run_id)
            except UnknownJob as error:
                self._ledger.violate("lost", f"a run was taken, and after a restart: {error.message}", key)

    def look(self, coordinator: Coordinator) -> None:
        """Judge what has ended."""
        for key, wanted in list(self.pending.items()):
            if wanted.run_id not in coordinator.runs.open:
                document = coordinator.runs.document(wanted.run_id)
                if document["ended_ms"]:
                    del self.pending[key]
                    self._judge(wanted.act, document)

    def _judge(self, act: Run, document: dict[str, Any]) -> None:
        states = {item["path"]: item["state"] for item in document["items"]}
        self._ledger.events[f"runs {document['state']}"] += 1
        self._ledger.note("run ended", document["state"], sorted(states.items()), job=act.key)
        for item in document["items"]:
            path, state = item["path"], item["state"]
            times = self._ledger.texts[f"{act.key}/{path}"]
            has_work = path != "read" and bool(item["job"] or item["run"])
            if has_work and state == "succeeded" and times != 1:
                self._ledger.violate(
                    "contradiction", f"{path} succeeded, and was done {times} times", act.key
                )
            elif times and (state == "skipped" or (state == "failed" and item["job"])):
                self._ledger.violate("contradiction", f"{path} was done, and is said to be {state}", act.key)
        should_undo = act.shape == "undo" and document["state"] != "succeeded"
        if should_undo and states.get(UNDONE) == "succeeded" and f"undo:{UNDONE}" not in states:
            self._ledger.violate("contradiction", "it did not succeed, and was not undone", act.key)

    # ------------------------------------------------------------------------------------------------ time, end

    def patience_s(self, coordinator: Coordinator) -> float:
        """For how long no run has anything to do by the clock; 0: now."""
        runs = coordinator.runs
        if runs.rereading.due:
            return 0.0
        now_ms = self._world.clock.now_ms()
        times = [live.machine.next_time() for live in runs.open.values()]
        nearest = min((time for time in times if time), default=now_ms + 86_400_000)
        return max(0.0, (nearest - now_ms) / 1000 - SHORT_S - 0.5)

    def settled(self, coordinator: Coordinator) -> bool:
        """Whether all runs have ended, or wait for a person."""
        return not self._asking and not self._unanswered(coordinator)

    def _unanswered(self, coordinator: Coordinator) -> list[str]:
        waiting = {asked["run"] for asked in coordinator.runs.inbox()}
        open_runs = coordinator.runs.open
        return [
            key for key, one in self.pending.items() if one.run_id in open_runs and _id(one) not in waiting
        ]

    def end(self, coordinator: Coordinator) -> None:
        """Everything was well for long: what has not ended waits where a person sees it."""
        self.look(coordinator)
        for key in self._unanswered(coordinator):
            self._ledger.violate(
                "stuck", "everything is well, and the run neither ended nor waits visibly", key
            )


def _id(wanted: _Wanted) -> str:
    return format_time_id(wanted.run_id)


__all__ = ["Running", "plan_of"]
