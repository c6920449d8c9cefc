"""The driver of all open runs: does what their machines ask for, and tells them what came of it. Decides nothing.

    plan --check--> run (on the disk) --machine--> items (on the disk) --> jobs, sub-runs, people, events, times

Rules: what a machine decided is committed before it is acted upon; a run that was acknowledged goes on after any
restart from its rows; a run ends once, and is told to have ended when that survives a power cut. When the disk fails,
memory is thrown away and read anew from what is there (`rereading`). What items ask of the Heart is in `run_work`, runs
of runs in `sub_runs`. All runs go on in the turn of the loop in which something happened; there are no tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.heart.journal import Finished
from kindmesh.coordinator.heart.retention import DAY_MS
from kindmesh.coordinator.heart.runs import run_documents as documents
from kindmesh.coordinator.heart.runs.live import Live, OnRun
from kindmesh.coordinator.heart.runs.rereading import Rereading
from kindmesh.coordinator.heart.runs.run_journal import Asked, Result, RunJournal, RunRow, Standing
from kindmesh.coordinator.heart.runs.run_words import (
    Answered,
    Begin,
    CancelRun,
    CancelWork,
    ClockRang,
    EndRun,
    Listen,
    Memorise,
    Recall,
    Resumed,
    RunEvent,
    RunInstruction,
    Spawn,
    Submit,
    Wake,
)
from kindmesh.coordinator.heart.runs.run_work import (
    Bus,
    MayHear,
    Past,
    Work,
)
from kindmesh.coordinator.heart.runs.sub_runs import SUBRUNS_OPEN_MAX, SubRuns
from kindmesh.coordinator.heart.timers import Timers
from kindmesh.mesh.clock import Clock, Entropy
from kindmesh.mesh.store import Store
from kindmesh.mesh.vault import RunVault
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import sha256
from kindmesh.protocol.errors import (
    Busy,
    InvalidInput,
    InvalidTransition,
    KindmeshError,
    StoreConflict,
    UnknownJob,
)
from kindmesh.protocol.ids import RANDOM_BYTES, new_id, time_id_range
from kindmesh.protocol.manifest import check_fields
from kindmesh.protocol.messages.jobs import ArtifactInfo, Priority
from kindmesh.protocol.plan import Plan, plan_from_bytes, plan_to_bytes
from kindmesh.protocol.plan_check import check_inputs, check_plan
from kindmesh.protocol.principal import OWNER, Principal, belongs_to, principal_text
from kindmesh.protocol.roles import Purpose
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.utterance_evidence import Heard

log = logging.getLogger("kindmesh.coordinator.runs")

RUNS_OPEN_MAX: Final = 256
RUNS_RESERVE: Final = 32
"""The last of these are for emergencies."""
KEY_MAX: Final = 200


class Runs:
    """See the module. Make it after the Heart; `recover` once the Heart has started, `close` before it closes."""

    def __init__(
        self,
        *,
        heart: Heart,
        store: Store,
        vault: RunVault,
        clock: Clock,
        entropy: Entropy,
        bus: Bus | None = None,
        past: Past = lambda since_ms, pattern: (),
        may_hear: MayHear = lambda live, event: True,
    ) -> None:
        """`store` has `RUN_TABLES`; `past` knows durable events, `may_hear` whether a run may be given an event."""
        self._heart = heart
        self._journal = RunJournal(store, vault)
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._timers = Timers(clock, self._rang)
        self._work = Work(heart, self._journal, clock, tell=self.tell, bus=bus, past=past, may_hear=may_hear)
        self.open: dict[bytes, Live] = {}
        self._below = SubRuns(
            heart,
            self._journal,
            self.open,
            most=RUNS_OPEN_MAX + SUBRUNS_OPEN_MAX,
            tell=self.tell,
            begin=self._begin,
        )
        self.rereading = Rereading(
            self._journal, store, clock, self.open, tell=self.tell, drop=self._timers.drop, over=self._over
        )
        self._do: dict[type, Callable[[Live, Any], None]] = {
            Submit: self._work.submit,
            Spawn: self._below.spawn,
            Recall: self._work.recall,
            Memorise: self._work.memorise,
            Listen: self._work.listen,
            CancelWork: lambda live, wish: self._work.cancel(live, wish, self._below.cancel),
            Wake: lambda live, wish: self._timers.at(live.row.run_id, wish.at_ms),
            EndRun: self._ended,
        }

    # ------------------------------------------------------------------------------------------ begin and end

    def recover(self) -> int:
        """Read the journal: all open runs go on; how many."""
        rows = self._journal.open_runs()
        for row in rows:
            self.rereading.load(row)
        for live in list(self.open.values()):
            self.tell(live.row.run_id, Resumed())
        if rows:
            log.info("runs go on after a restart", extra={"count": len(rows)})
        return len(rows)

    async def close(self) -> None:
        """Stop. Open runs stay in the journal and go on at the next start."""
        self._timers.close()
        self.rereading.close()
        for live in self.open.values():
            live.unlisten(everything=True)
        self.open.clear()

    # ------------------------------------------------------------------------------------------------- start

    async def start(
        self,
        plan: Plan,
        *,
        key: str | None = None,
        principal: Principal = OWNER,
        priority: Priority = "interactive",
        purpose: Purpose = "household",
        inputs: dict[str, Any] | None = None,
        proof: Signed | None = None,
        sources: tuple[ArtifactInfo, ...] = (),
        watcher: OnRun | None = None,
        heard: Heard | None = None,
        doubts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> bytes:
        """Start a plan; returns the run's id (16 bytes) when it is on the disk. The same key and plan: the same run.

        `sources` say who has the files it is given; `watcher` is called with each change (`run_documents.change`);
        `heard` is the utterance that it came from: words of it are proven to Medulla where values came from them;
        `doubts`: sentences said against a step ahead, by its id, so that it waits for a person's yes.

        Raises:
            InvalidInput: the plan or what it is given is wrong; the field is named.
            Busy: too many runs are open.
            StoreConflict: the key was used for something else.
            DiskFull, StoreError.
        """
        check_plan(plan, emergency=priority == "emergency")
        given = encode_value(check_inputs(plan, inputs or {}))
        if key is not None and not 0 < len(key) <= KEY_MAX:
            raise InvalidInput(f"a key has 1 to {KEY_MAX} characters", field="key")
        asked = Asked(plan_to_bytes(plan), given, principal, proof, None, sources, heard, dict(doubts or {}))
        known = None if key is None else self._journal.find_key(_top_key(key))
        if known is not None:
            if known.digest != _digest(asked):
                raise StoreConflict(
                    "this key was used for another run", hint="Use a new key for something new."
                )
            await self._store.durable()
            self._watch(known.run_id, watcher)
            return known.run_id
        self._check_room(priority)
        live = self._begin(asked, None if key is None else _top_key(key), priority, purpose, until_ms=0)
        self._watch(live.row.run_id, watcher)
        try:
            await self._store.durable()
        except KindmeshError:
            self.open.pop(live.row.run_id, None)
            raise
        return live.row.run_id

    def _check_room(self, priority: Priority) -> None:
        limit = RUNS_OPEN_MAX if priority == "emergency" else RUNS_OPEN_MAX - RUNS_RESERVE
        count = sum(not live.row.parent[0] for live in self.open.values())
        if count >= limit:
            raise Busy(f"{count} runs are open already", hint="Wait, or cancel some: kindmesh jobs runs.")

    def _begin(
        self,
        asked: Asked,
        key: str | None,
        priority: Priority,
        purpose: Purpose,
        *,
        until_ms: int,
        parent: tuple[bytes, str, int] = (b"", "", 0),
        depth: int = 1,
    ) -> Live:
        now_ms = self._clock.now_ms()
        run_id = new_id(now_ms, self._entropy.token(RANDOM_BYTES))
        row = RunRow(
            run_id, key, _digest(asked), principal_text(asked.principal), priority, purpose, depth, parent, now_ms,
            until_ms, 0, "running", None, "", b"", None,
        )  # fmt: skip
        live = Live(row, asked)
        deadline_ms = live.machine.plan.deadline_ms
        times = [time for time in (until_ms, now_ms + deadline_ms if deadline_ms else 0) if time]
        live.machine.until_ms = min(times, default=0)
        live.row = self._journal.begin(msgspec.structs.replace(row, until_ms=live.machine.until_ms), asked)
        self.open[run_id] = live
        self.tell(run_id, Begin())
        return live

    # -------------------------------------------------------------------------------------- the machine's wishes

    def tell(self, run_id: bytes, event: RunEvent) -> None:
        """Tell a run's machine, write what it decided, and act on it once that is committed."""
        live = self.open.get(run_id)
        if live is None or live.broken:
            return
        machine, now_ms = live.machine, self._clock.now_ms()
        before = (machine.state, machine.end)
        try:
            wishes = machine.handle(event, now_ms)
        except InvalidTransition as error:
            log.error("a bug in the run machine", extra={"run": run_id.hex(), "story": error.story})
            return
        changed = [machine.items[path] for path in sorted(machine.changed)]
        machine.changed.clear()
        try:
            for item in changed:
                self._journal.save_item(run_id, item)
            if (machine.state, machine.end) != before:
                result = Result(machine.output if machine.ended else None, machine.cause)
                standing = Standing(machine.state, machine.end, machine.where, now_ms if machine.ended else 0)
                self._journal.save(run_id, standing, result)
        except KindmeshError as error:
            asyncio.get_running_loop().call_soon(self.rereading.repair, live, error)
            return
        act = partial(self._act, live, wishes)
        if machine.ended:
            self._store.after_sync(act)
        else:
            self._store.after_commit(act)
        live.unlisten(everything=machine.ended)
        for item in changed:
            for watcher in live.watchers:
                watcher(documents.change(live, item))

    def _act(self, live: Live, wishes: list[RunInstruction], error: KindmeshError | None) -> None:
        if error is not None:
            self.rereading.repair(live, error)
            return
        for wish in wishes:
            if self.open.get(live.row.run_id) is not live or live.broken:
                return
            try:
                self._do[type(wish)](live, wish)
            except KindmeshError as failed:
                self.rereading.repair(live, failed)
                return

    def _ended(self, live: Live, wish: EndRun) -> None:
        run_id = live.row.run_id
        self._timers.drop(run_id)
        del self.open[run_id]
        row = self._journal.load(run_id)
        if row is None:
            return
        log.info("run ended", extra={"run": run_id.hex(), "state": row.state})
        self._over(live, row)

    def _over(self, live: Live, row: RunRow) -> None:
        """It has ended, and the disk knows: the run that it works for goes on, and whoever waits is told."""
        self._below.tell_above(row)
        document = self.document(row.run_id)
        for waiter in live.waiters:
            waiter(document)

    def _rang(self, run_id: bytes) -> None:
        self.tell(run_id, ClockRang())

    def ring(self) -> None:
        """Called with every heartbeat: looks at the clock, in case it was set; removes a run that is over."""
        self._timers.ring()
        retention = self._heart.retention
        try:
            self._journal.remove_old(retention.now_ms() - retention.rules.days * DAY_MS)
        except KindmeshError as error:
            log.warning("an old run could not be removed", extra={"code": error.code})

    def keep(self, jobs: Sequence[Finished]) -> list[bytes]:
        """A keeper (see `heart.retention`): jobs of runs that go on stay, and so do the keys of those runs."""
        return [run_id for run_id in {job.run_id for job in jobs} if run_id in self.open]

    # --------------------------------------------------------------------------------- look, wait, answer, cancel

    def _watch(self, run_id: bytes, watcher: OnRun | None) -> None:
        live = self.open.get(run_id)
        if live is not None and watcher is not None:
            live.watchers.append(watcher)

    def unwatch(self, run_id: bytes, watcher: OnRun | None) -> None:
        """Whoever was given to `start` as `watcher` has gone, and is told no more."""
        live = self.open.get(run_id)
        if live is not None and watcher in live.watchers:
            live.watchers.remove(watcher)

    async def wait(self, run_id: bytes) -> dict[str, Any]:
        """The run's document, once it has ended.

        Raises:
            UnknownJob.
        """
        live = self.open.get(run_id)
        if live is None:
            return self.document(run_id)
        ended: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        waiter = partial(_resolve, ended)
        live.waiters.append(waiter)
        try:
            return await ended
        finally:
            if waiter in live.waiters:
                live.waiters.remove(waiter)

    def named(self, text: str) -> list[bytes]:
        """Ids of the runs that begin so; at most 4.

        Raises:
            InvalidInput: no id.
        """
        return [row.run_id for row in self._journal.between(*time_id_range(text), 4)]

    def row(self, run_id: bytes) -> RunRow:
        """The run as the journal has it.

        Raises:
            UnknownJob.
        """
        row = self._journal.load(run_id)
        if row is None:
            raise UnknownJob("there is no such run", hint="kindmesh jobs runs lists them.")
        return row

    def runs(self, limit: int = 50, principal: str = "") -> list[dict[str, Any]]:
        """The newest runs first, without what they were given and gave; only those of a principal, if given."""
        rows = self._journal.recent(min(max(limit, 1), 1000), principal)
        return [documents.summary(row) for row in rows]

    def document(self, run_id: bytes) -> dict[str, Any]:
        """All about one run, its items and their jobs; a note in place of what was forgotten.

        Raises:
            UnknownJob.
        """
        return documents.document(self.row(run_id), self._journal, self._heart)

    def plan(self, run_id: bytes) -> Plan:
        """What a run executes.

        Raises:
            UnknownJob. KindmeshError: it was forgotten.
        """
        return plan_from_bytes(self._journal.asked(self.row(run_id)).plan)

    def inbox(self) -> list[dict[str, Any]]:
        """What waits for a person, the oldest first."""
        found = [
            documents.question(live, item, asked)
            for live in self.open.values()
            for item in live.machine.open_items()
            if item.state == "asking" and (asked := live.machine.steps[item.step].ask) is not None
        ]
        return sorted(found, key=lambda one: (one["asked_ms"], one["question_id"]))

    async def answer(self, run_id: bytes, path: str, values: dict[str, Any], by: Principal) -> None:
        """A person's answer to a question that waits, on the disk when this returns. Who may was checked before.

        Raises:
            UnknownJob: nothing waits there (any more).
            InvalidInput: the answer does not fit; the field is named. DiskFull, StoreError.
        """
        live = self.open.get(run_id)
        item = live.machine.items.get(path) if live is not None else None
        if live is None or item is None or item.state != "asking":
            raise UnknownJob(
                "this question was answered, or its run has ended", hint="kindmesh inbox lists them."
            )
        wanted = live.machine.steps[item.step].ask
        fields = (
            tuple(known.field(name) for name, known in wanted.answer.items()) if wanted is not None else ()
        )
        self.tell(run_id, Answered(path, check_fields(fields, values), principal_text(by)))
        await self._store.durable()

    def cancel(self, run_id: bytes, by: str = "the owner") -> dict[str, Any]:
        """Ask that a run ends; what runs is waited for, what can be undone is undone.

        Raises:
            UnknownJob.
        """
        self.tell(run_id, CancelRun(by))
        return documents.summary(self.row(run_id))

    def leave(self, who: Principal) -> None:
        """Somebody was removed: their runs, and those of what acted for them, end."""
        for live in list(self.open.values()):
            if belongs_to(who, live.row.principal):
                self.tell(live.row.run_id, CancelRun("the owner, who removed who asked"))

    def forget(self, run_id: bytes) -> bool:
        """Make what a run, its jobs and its sub-runs were given and gave unreadable for ever; False: no such run.

        Raises:
            InvalidInput: it has not ended.
        """
        if run_id in self.open:
            raise InvalidInput("this run has not ended", field="run", hint="Cancel it first.")
        return self._journal.forget(run_id)

    def statistics(self) -> dict[str, int]:
        """How many runs and items are open."""
        items = sum(len(live.machine.open_items()) for live in self.open.values())
        return {"open": len(self.open), "items": items}


def _top_key(key: str) -> str:
    return f"key:{key}"


def _digest(asked: Asked) -> bytes:
    return sha256(encode_value([asked.plan, asked.inputs]))


def _resolve(ended: asyncio.Future[dict[str, Any]], document: dict[str, Any]) -> None:
    if not ended.done():
        ended.set_result(document)


__all__ = ["KEY_MAX", "RUNS_OPEN_MAX", "RUNS_RESERVE", "Runs"]
