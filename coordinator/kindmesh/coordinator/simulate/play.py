"""Makes a history happen in a world, keeps the ledger, and looks after everybody in between.

Between two actions, when nobody works on anything and nothing was broken lately, time is skipped (`HouseLoop.skip`):
heartbeats then come once in `STRIDE_S` instead of once a second. Nothing that decides is told; that is what the output
calls adaptive heartbeats.

Whether there is a way for an emergency is known here, because who breaks things is here: a device is *well* from the
moment at which everything that was done to it is mended, plus `HEALING_MS`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kindmesh.coordinator.heart.machine_job import GRACE_MS
from kindmesh.coordinator.heart.schedules.words import Action, Every, Schedule
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.coordinator.simulate import history as h
from kindmesh.coordinator.simulate.boundaries import Boundaries
from kindmesh.coordinator.simulate.bounds import oversized
from kindmesh.coordinator.simulate.forging import OVER_S, Forger
from kindmesh.coordinator.simulate.ledger import Ledger
from kindmesh.coordinator.simulate.permits import Witnessed
from kindmesh.coordinator.simulate.process import Killed
from kindmesh.coordinator.simulate.running import Running
from kindmesh.coordinator.simulate.streaming import Streaming
from kindmesh.coordinator.simulate.world import Life, Submitted, World, home_of
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.node.app import Node
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import RANDOM_BYTES, format_time_id, new_id
from kindmesh.protocol.messages import Job

STRIDE_S: Final = 240.0
"""How much quiet time is skipped between two heartbeats."""
BREATH_S: Final = 1.3
"""How long everything runs between two skips: a heartbeat and its answer."""
CALM_MS: Final = 18_000
"""Time without any action after which it may be quiet: longer than any device takes to notice what happened."""
HEALING_MS: Final = 25_000
LOOK_EVERY_MS: Final = 20_000
MEASURE_EVERY_MS: Final = 6 * 3_600_000
STUCK_MS: Final = 20_000
WAITING: Final = ("waiting_approval", "waiting_device")
SETTLE_S: Final = 900.0
LAUNCHER_S: Final = 0.7
FIRINGS_MAX: Final = 500
"""More than a history of days has for one schedule; older ones are not counted against it."""
DESK: Final = "desk"
MEDULLA: Final = "medulla"


class Player:
    """See the module; one history in one world that was entered and started by `begin`."""

    def __init__(
        self, world: World, told: h.History, ledger: Ledger, boundaries: Boundaries | None = None
    ) -> None:
        self.world, self.history, self.ledger = world, told, ledger
        self.loop = world.loop
        self.over = asyncio.Event()
        self.jobs: dict[str, Submitted] = {}
        self.deadlines: dict[str, int] = {}
        self.well_ms: dict[str, int] = {}
        """Since when somebody is well; who is not well is missing."""
        self.ills: dict[str, set[str]] = {}
        self.full: set[str] = set()
        self.plans: dict[str, Schedule] = {}
        self.running = Running(world, ledger)
        self.streaming = Streaming(world, ledger)
        self.kills = 0
        self._emergencies: dict[str, int] = {}
        self._slept_ms: dict[str, int] = {}
        self._woke_ms: dict[str, int] = {}
        self._boundaries = boundaries
        self._armed: dict[str, Boundaries] = {}
        self._last_ms = 0
        self._measured_ms = self._looked_ms = 0
        self._alive_ms: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        ledger.broken = self.over.set
        world.on_effect = self._effect
        world.on_job = lambda job, word: ledger.told(job.key, word)
        world.on_start = self._started

    @property
    def now_ms(self) -> int:
        """True time since the household was started."""
        return round(self.loop.time() * 1000)

    async def begin(self) -> None:
        """Start everybody, as on any morning."""
        await self.world.start(DESK, *self.world.names)
        await self.world.ready(*self.world.names)
        for name in (DESK, MEDULLA, *self.world.names):
            self.well_ms[name] = self.now_ms - HEALING_MS

    async def play(self) -> None:
        """The whole history, until the first violation; then everything is mended, and every job ends."""
        begun_ms = self.now_ms
        for act in self.history.acts:
            await self._wait(begun_ms + act.at_ms)
            if self.over.is_set():
                return
            self._last_ms = self.now_ms
            self.ledger.note("act", type(act).__name__, *_words(act))
            await self._do[type(act)](self, act)
        await self._wait(begun_ms + self.history.end_ms)
        if not self.over.is_set():
            await self._mend()
            await self._settle()

    # ------------------------------------------------------------------------------------------------- time

    async def _wait(self, until_ms: int) -> None:
        while self.now_ms < until_ms and not self.over.is_set():
            self._look()
            left_s = (until_ms - self.now_ms) / 1000
            if left_s > 2 * BREATH_S and self._quiet():
                passed = self.loop.skip(min(STRIDE_S, left_s - 2 * BREATH_S, self._patience_s()))
                self.ledger.events["skips"] += passed > 0
            await self._sleep(min(BREATH_S, left_s))
        self._look()

    async def _sleep(self, seconds: float) -> None:
        over = asyncio.ensure_future(self.over.wait())
        await asyncio.wait({over}, timeout=seconds)
        over.cancel()

    def _quiet(self) -> bool:
        if self.now_ms - self._last_ms < CALM_MS or self._tasks:
            return False
        for life in self.world.living():
            if life.process.stopped:
                continue
            if isinstance(life.part, Node):
                node = life.part
                if node.executor.running or (
                    node.reporter.waiting and node.uplink.connected(node.uplink.coordinator)
                ):
                    return False
            elif any(
                entry.machine.state not in WAITING for entry in life.coordinator.heart._dispatch.open.values()
            ):
                return False
        return True

    def _patience_s(self) -> float:
        """Until something has to happen in time: the next deadline of a job."""
        desk = self.world.desk
        if desk is None:
            return STRIDE_S
        now_ms = self.world.clock.now_ms()
        ends = [entry.machine.deadline_ms for entry in desk.heart._dispatch.open.values()]
        jobs_s = max(0.0, (min(ends, default=now_ms + 3_600_000) - now_ms) / 1000 - 1.0)
        return min(jobs_s, self.running.patience_s(desk))

    # ------------------------------------------------------------------------------------------ what is looked at

    def _look(self) -> None:
        now_ms = self.now_ms
        if self.world.problems:
            self.ledger.violate("crash", self.world.problems[0])
        for key, deadline_ms in list(self._emergencies.items()):
            if now_ms >= deadline_ms + STUCK_MS:
                del self._emergencies[key]
                self._judge_emergency(key, deadline_ms)
        if now_ms - self._looked_ms >= LOOK_EVERY_MS:
            self._looked_ms = now_ms
            self._look_for_stuck()
        if now_ms - self._measured_ms >= MEASURE_EVERY_MS:
            self._measured_ms = now_ms
            self._measure()

    def _look_for_stuck(self) -> None:
        """Past its deadline, the coordinator awake for a while, and still open: it should have ended."""
        life = self.world.life(DESK)
        if life is None or life.process.stopped or self.now_ms - self._alive_ms.get(DESK, 0) < STUCK_MS:
            return
        self.running.look(life.coordinator)
        if DESK in self.ills:
            return
        now_ms = self.world.clock.now_ms()
        for job_id, entry in life.coordinator.heart._dispatch.open.items():
            machine = entry.machine
            if now_ms > machine.deadline_ms + GRACE_MS + STUCK_MS:
                late_s = (now_ms - machine.deadline_ms) / 1000
                self.ledger.violate(
                    "stuck", f"{machine.state}, {late_s:.0f} s after its deadline", self._name(job_id)
                )

    def _measure(self) -> None:
        for life in self.world.living():
            for path, size in oversized(life.part, life.process.name):
                self.ledger.violate("unbounded", f"{path} has {size} entries")

    def _judge_emergency(self, key: str, deadline_ms: int) -> None:
        asked_ms = deadline_ms - h.EMERGENCY_MS
        if any(self._well_since(name) > asked_ms for name in (DESK, MEDULLA)):
            return
        ways = [name for name in self.world.names if self._well_since(name) <= asked_ms]
        if not ways:
            return
        ends = self.ledger.endings.get(key, [])
        if "cancelled" in ends:
            return
        done = [effect.at_ms for effect in self.ledger.effects if effect.job == key]
        if not done or min(done) > deadline_ms:
            self.ledger.violate(
                "emergency_late",
                f"ended as {ends or 'not yet'}, although {ways[0]} was well all the time",
                key,
            )

    def _well_since(self, name: str) -> int:
        if name in self.ills or name not in self.well_ms:
            return self.now_ms + 1
        return self.well_ms[name] + HEALING_MS

    def ill(self, name: str, why: str) -> None:
        """Something is wrong with somebody."""
        self.ills.setdefault(name, set()).add(why)

    def well(self, name: str, why: str) -> None:
        """That is mended."""
        whys = self.ills.get(name, set())
        whys.discard(why)
        if not whys:
            self.ills.pop(name, None)
        self.well_ms[name] = self.now_ms

    # ----------------------------------------------------------------------------------------- what others tell

    def _started(self, life: Life) -> None:
        name = life.process.name
        self._alive_ms[name] = self.now_ms
        if isinstance(life.part, Node):
            life.part.executor.watchers.append(partial(self._node_event, name))
        elif self._boundaries is not None:
            self._boundaries.arm(life)
            if self._boundaries.fatal:
                # To watch is nothing that goes on: the household is quiet meanwhile, and can settle.
                watching = asyncio.ensure_future(self._watch(life))
                self.world.strays.add(watching)
                watching.add_done_callback(self.world.strays.discard)

    async def _watch(self, life: Life) -> None:
        await life.process.gone.wait()
        self._spawn(self._again())

    async def _again(self) -> None:
        """As the launcher does: who dies is started again a moment later."""
        self.kills += 1
        self.ill(DESK, "dead")
        await asyncio.sleep(LAUNCHER_S)
        if self.world.life(DESK) is None:
            await self._bring(DESK)
        self.well(DESK, "dead")

    def _node_event(self, name: str, event: dict[str, Any]) -> None:
        self.ledger.note(event["event"], name, event["operation"], job=self._name(event["job"]))

    def _name(self, job_id: bytes) -> str:
        job = self.world.by_id.get(format_time_id(job_id))
        return self.ledger.ghost(job_id) if job is None else job.key

    def _effect(self, life: Life, job_id: bytes, operation: str, args: dict[str, Any]) -> None:
        name, node = life.process.name, life.node
        trust = node.trust
        work = node.executor.attempts.of(job_id)
        woke_ms = self._woke_ms.get(name, -1_000_000)
        asleep_ms = self._slept_ms.get(name, 0) if self.now_ms - woke_ms < 30_000 else 0
        job: Job | None = None if work is None else work.job
        device = node.identity.device_id
        about = Witnessed(
            device, device in trust.membership.revoked, trust.membership.revocations_issued_ms,
            self.world.start_ms + self.now_ms, asleep_ms,
        )  # fmt: skip
        self.ledger.effect(name, about, job=self._name(job_id), operation=operation, args=args, work=job)
        self.running.effect(operation, str(args["text"]))

    # ------------------------------------------------------------------------------------------------- actions

    async def _ask(self, act: h.Ask) -> None:
        clock_ms = self.world.clock.now_ms()
        target = self._identify(act.target)
        args: dict[str, Any] = {"text": act.key}
        if act.operation != "notes.append":
            args |= {"before_ms": act.before_ms, "after_ms": act.after_ms}
        wish = Wish(
            act.operation, args, target=target, priority=act.priority, deadline_ms=clock_ms + act.within_ms,
            key=act.key,
        )  # fmt: skip
        job = self.jobs[act.key] = Submitted(act.key, wish)
        if act.priority == "emergency":
            self._emergencies[act.key] = self.now_ms + act.within_ms
            self.ledger.events["emergencies"] += 1
        self.world.want(job)

    def _identify(self, name: str) -> bytes:
        """The id of a device, empty for nobody in particular."""
        return self.world.identify(name, home_of(self.world.folder, name)) if name else b""

    async def _stream(self, act: h.Stream) -> None:
        self._spawn(self.streaming.play(act, self._identify(act.target)))

    async def _plan(self, act: h.Plan) -> None:
        life = self.world.life(DESK)
        if life is None or life.process.stopped:
            return
        schedules = life.coordinator.scheduling.schedules
        now_ms = schedules.now_ms()
        schedule_id = new_id(now_ms, SeededEntropy(act.name).token(RANDOM_BYTES))
        action = Action("work.add", encode_value({"text": act.name, "before_ms": 20}))
        made = Schedule(schedule_id, act.name, Every(act.every_ms, now_ms), action, "UTC", now_ms)
        self.plans[act.name] = made
        self._spawn(self._arrange(life, made))

    async def _arrange(self, life: Life, made: Schedule) -> None:
        try:
            await life.process.run(_added(life, made))
        except (Killed, KindmeshError) as error:
            self.ledger.note("not planned", made.name, type(error).__name__)

    def _judge_plans(self) -> None:
        """What a schedule does is done once for each instant at which it was due."""
        desk = self.world.desk
        if desk is None:
            return
        for name, made in self.plans.items():
            found = desk.scheduling.schedules.journal.history(made.schedule_id, FIRINGS_MAX)
            due = {firing.due_ms for firing in found}
            self.ledger.note("plan", name, len(due), self.ledger.texts[name])
            if self.ledger.texts[name] > len(due):
                self.ledger.violate(
                    "duplicate_effect",
                    f"{name} was due {len(due)} times, and done {self.ledger.texts[name]} times",
                    name,
                )

    async def _run(self, act: h.Run) -> None:
        self.running.want(act)

    async def _cancel(self, act: h.Cancel) -> None:
        life, job = self.world.life(DESK), self.jobs.get(act.key)
        if life is None or life.process.stopped or job is None or not job.acknowledged:
            return
        with life.process.inside():
            try:
                life.coordinator.heart.cancel(job.job_id)
            except KindmeshError as error:
                self.ledger.note("refused", error.code, job=act.key)

    async def _answer(self, act: h.Answer) -> None:
        self._spawn(self._answer_all(act.allow))

    async def _answer_all(self, allow: bool) -> None:
        await self.world.owner_answers(allow=allow)
        life = self.world.life(DESK)
        if life is not None:
            await self.running.answer(life, allow=allow)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill(self, act: h.Kill) -> None:
        self.kills += 1
        self.ill(act.device, "dead")
        if act.device == MEDULLA:
            self.world.medulla.kill()
        elif act.boundary:
            life = self.world.life(act.device)
            if life is not None:
                if act.silent:
                    self.world.silent.add(life.process)
                self._armed[act.device] = Boundaries(act.boundary)
                self._armed[act.device].arm(life)
        else:
            self.world.kill(act.device, silent=act.silent, after_steps=act.steps)

    async def _start(self, act: h.Start) -> None:
        name = act.device
        if name == MEDULLA:
            if not self.world.medulla.alive:
                self.world.medulla.start()
        elif not self.world.is_dead(name):
            self._spare(name)
        else:
            await self._bring(name)
        self.well(name, "dead")

    def _spare(self, name: str) -> None:
        """Who has not died by now does not."""
        life, armed = self.world.life(name), self._armed.pop(name, None)
        if life is not None:
            life.process.fatal_step = 0
        if armed is not None:
            armed.fatal = 0

    async def _bring(self, name: str) -> None:
        """Start somebody who is dead."""
        try:
            life = await self.world.start(name)
        except KindmeshError as error:
            self.ledger.note("cannot start", name, error.code)
            return
        if name == DESK and not life.process.dead:
            self._look_for_lost(life)
        self._limit(name)

    def _look_for_lost(self, life: Life) -> None:
        heart = life.coordinator.heart
        self.running.look_for_lost(life.coordinator)
        for key in self.ledger.acknowledged:
            if not self.ledger.endings.get(key):
                try:
                    heart.job(self.jobs[key].job_id)
                except KindmeshError as error:
                    self.ledger.violate("lost", f"acknowledged, and after a restart: {error.message}", key)

    async def _sleep_device(self, act: h.Sleep) -> None:
        life = self.world.life(act.device)
        self.ill(act.device, "asleep")
        if life is not None:
            life.process.stop()
            self._slept_ms[act.device] = self.now_ms

    async def _wake(self, act: h.Wake) -> None:
        life = self.world.life(act.device)
        if life is not None and life.process.stopped:
            self._slept_ms[act.device] = self.now_ms - self._slept_ms.get(act.device, self.now_ms)
            self._woke_ms[act.device] = self.now_ms
            life.process.go_on()
        self.well(act.device, "asleep")

    def _copy(self, name: str) -> Any:
        return self.world.folder / f"{name}.kept"

    async def _keep(self, act: h.Keep) -> None:
        """A copy as a person makes it: of what is running."""
        source = home_of(self.world.folder, act.device).root
        shutil.copytree(source, self._copy(act.device), dirs_exist_ok=True)

    async def _restore(self, act: h.Restore) -> None:
        name, copy = act.device, self._copy(act.device)
        if not copy.exists():
            return
        # Whoever brings back a copy has a device with two pasts: the household may keep it at bay for good.
        self.ill(name, "restored")
        life = self.world.life(name)
        if life is not None:
            self.world.kill(name)
            await life.process.gone.wait()
        root = home_of(self.world.folder, name).root
        shutil.rmtree(root)
        shutil.copytree(copy, root)
        await self._bring(name)

    async def _shift(self, act: h.Shift) -> None:
        clock = self.world.clocks.get(act.device)
        if clock is not None:
            clock.skew_ms += act.by_ms
        self.world.skew_ms[act.device] = self.world.skew_ms.get(act.device, 0) + act.by_ms
        if self.world.skew_ms[act.device]:
            self.ill(act.device, "clock")
        else:
            self.well(act.device, "clock")

    async def _link(self, act: h.Link) -> None:
        self.world.network.change(
            act.source, act.destination, delay_ms=act.delay_ms, jitter_ms=act.jitter_ms, loss=act.loss,
            duplication=act.duplication, reordering=act.reordering, partitioned=act.partitioned,
        )  # fmt: skip
        name = act.destination if act.source == DESK else act.source
        way = f"{act.source}>{act.destination}"
        if act.partitioned or act.loss or act.delay_ms > 500:
            self.ill(name, way)
        else:
            self.well(name, way)

    async def _fill(self, act: h.Fill) -> None:
        self.full.add(act.device)
        self.ill(act.device, "full")
        self._limit(act.device)

    async def _room(self, act: h.Room) -> None:
        self.full.discard(act.device)
        self._limit(act.device)
        self.well(act.device, "full")

    def _limit(self, name: str) -> None:
        """A store whose file cannot grow: SQLite then says that the disk is full, and everything else follows."""
        life = self.world.life(name)
        if life is None or life.part.store._connection is None:
            return
        connection = life.part.store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        most = pages if name in self.full else 1_000_000_000
        connection.execute(f"PRAGMA max_page_count = {int(most)}").fetchone()

    async def _revoke(self, act: h.Revoke) -> None:
        self.ill(act.device, "revoked")
        self._spawn(self._remove(act.device))

    async def _remove(self, name: str) -> None:
        """As the owner does, until it was taken."""
        world = self.world
        removal = world.owner.sign_removal(world.identify(name, home_of(world.folder, name)))
        while not self.over.is_set():
            life = world.life(DESK)
            if life is not None and not life.process.stopped:
                coordinator = life.coordinator
                try:
                    trust = await life.process.run(coordinator.medulla.revoke(removal))
                    self.ledger.revoked_ms.setdefault(name, self.now_ms)
                    self.ledger.note("revoked", name)
                    with life.process.inside():
                        coordinator.trust_service.take(trust)
                except (Killed, KindmeshError) as error:
                    self.ledger.note("not revoked yet", name, type(error).__name__)
                else:
                    return
            await asyncio.sleep(1.0)

    async def _forge(self, act: h.Forge) -> None:
        life = self.world.life(DESK)
        if life is None or life.process.stopped:
            return
        world = self.world
        others = [name for name in world.names if name != act.device] or [act.device]
        ids = [world.identify(name, home_of(world.folder, name)) for name in (act.device, others[0])]
        forger = Forger(life.coordinator, SeededEntropy(f"{world.seed}/forger/{self.now_ms}"))
        with life.process.inside():
            forging = asyncio.get_running_loop().create_task(forger.forge(act.how, ids[0], ids[1]))
        if act.how == "expired":
            # It waits for longer than anything else here; what happens meanwhile may be quiet.
            self._last_ms = self.now_ms
            self.ledger.events["forged later"] += OVER_S > 0
        self._forging.add(forging)
        forging.add_done_callback(self._forging.discard)

    @property
    def _forging(self) -> set[asyncio.Task[None]]:
        return self.world.strays

    # ----------------------------------------------------------------------------------------------- the end

    async def _mend(self) -> None:
        """Everything that is broken is mended; nobody dies any more."""
        world = self.world
        for one, other in list(world.network._links):
            world.network.change(
                one,
                other,
                delay_ms=1.0,
                jitter_ms=0.0,
                loss=0.0,
                duplication=0.0,
                reordering=0.0,
                partitioned=False,
            )
        for name in (DESK, *world.names):
            self._spare(name)
            await self._room(h.Room(0, name))
            await self._wake(h.Wake(0, name))
        world._no_more_deaths()
        if not world.medulla.alive:
            world.medulla.start()
        for name in (DESK, *world.names):
            if world.is_dead(name):
                life = world._alive.get(name)
                if life is not None:
                    await life.process.gone.wait()
                await self._bring(name)
        for name in (DESK, MEDULLA, *world.names):
            self.well(name, "dead")
        self._last_ms = self.now_ms

    async def _settle(self) -> None:
        """Until every job has ended and every device was told that its results were taken."""
        end_ms = self.now_ms + round(SETTLE_S * 1000)
        while self.now_ms < end_ms and not self.over.is_set():
            await self._wait(self.now_ms + 5_000)
            if self._settled():
                break
        await self._wait(self.now_ms + 2_000)
        self._judge_plans()
        if self.world.desk is not None:
            self.running.end(self.world.desk)
        for key in self.ledger.acknowledged:
            if not self.world.ended(self.jobs[key]):
                self.ledger.violate("stuck", "everything is well, and it has not ended", key)

    def _settled(self) -> bool:
        desk = self.world.desk
        if self._tasks or self._emergencies or desk is None or not self.running.settled(desk):
            return False
        if not all(self.world.ended(self.jobs[key]) for key in self.ledger.acknowledged):
            return False
        return not any(
            life.part.executor.running
            or (life.part.reporter.waiting and life.part.uplink.connected(life.part.uplink.coordinator))
            for life in self.world.living()
            if isinstance(life.part, Node)
        )

    _do: Final[dict[type, Callable[[Player, Any], Any]]] = {
        h.Ask: _ask, h.Plan: _plan, h.Run: _run, h.Stream: _stream,
        h.Cancel: _cancel, h.Answer: _answer, h.Kill: _kill, h.Start: _start,
        h.Sleep: _sleep_device,
        h.Wake: _wake, h.Keep: _keep, h.Restore: _restore, h.Shift: _shift, h.Link: _link, h.Fill: _fill,
        h.Room: _room, h.Revoke: _revoke, h.Forge: _forge,
    }  # fmt: skip


async def _added(life: Life, made: Schedule) -> None:
    await life.coordinator.scheduling.schedules.add(made)


def _words(act: h.Act) -> list[str]:
    return [f"{name}={getattr(act, name)}" for name in act.__struct_fields__[1:]]


__all__ = ["DESK", "MEDULLA", "Player"]
