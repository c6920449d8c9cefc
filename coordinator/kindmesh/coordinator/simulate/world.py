"""A household in virtual time: the shipped coordinator, Medulla and nodes over a network that can misbehave.

    async with World(folder, seed) as world:
        await world.start("desk", "phone", "kitchen")
        job = world.submit("work.add")
        world.kill("phone", after_steps=40)
        await world.settle()

Every random decision comes from the seed. A job that was not acknowledged because the coordinator died is submitted
again with the same key, as a patient person would. Leaving the block closes what lives; then `tests.sim.evidence`
looks at what is on the disks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kindmesh.coordinator.app import Coordinator
from kindmesh.coordinator.heart.wishes import Wish
from kindmesh.coordinator.owner import Owner
from kindmesh.coordinator.simulate.process import (
    CutOff,
    HouseLoop,
    Killed,
    Process,
    ProcessTransport,
    outside,
)
from kindmesh.coordinator.simulate.reviewer import MedullaHouse, SimulatedLink
from kindmesh.coordinator.simulate.work import WORKS
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.memory import LinkSettings, MemoryNetwork
from kindmesh.mesh.virtual import EPOCH_MS, SeededEntropy, SimulatedClock
from kindmesh.node.app import Node
from kindmesh.node.config import Config, MeshSection
from kindmesh.node.facts import Facts
from kindmesh.protocol.errors import InternalError, KindmeshError
from kindmesh.protocol.ids import format_time_id
from kindmesh.protocol.messages import NodeFacts

START_MS = EPOCH_MS + 3_600_000
"""When the runs begin: an hour after the household was made."""
ENDED = ("succeeded", "failed", "cancelled", "expired", "uncertain")
LOOK_S = 0.05
AGAIN_S = 0.2
OnEffect = Callable[["Life", bytes, str, dict[str, Any]], None]
"""(who did it, job id, operation, what it was given)."""
NODES = ("phone", "kitchen", "hall")


def home_of(folder: Path, name: str) -> Home:
    """The state folder of a device."""
    return Home(folder / name)


class HouseClock(SimulatedClock):
    """A clock on which time that was skipped (`HouseLoop.skip`) passed, and was not waited through."""

    def monotonic(self) -> float:
        """Virtual seconds that were not skipped."""
        loop = self._loop
        return loop.time() - (loop.skipped_s if isinstance(loop, HouseLoop) else 0.0)


def clock_at(start_ms: int, skew_ms: int = 0) -> HouseClock:
    """A clock of the running loop."""
    return HouseClock(asyncio.get_running_loop(), start_ms=start_ms, skew_ms=skew_ms)


class StillFacts(Facts):
    """A device on which nothing changes, whatever the machine does that runs the simulation."""

    def read(self, running: int = 0) -> NodeFacts:
        return NodeFacts(0.1, None, None, None, 1_000, 10_000, running)


@dataclass
class Life:
    """One life of a coordinator or node."""

    process: Process
    transport: ProcessTransport
    part: Coordinator | Node

    @property
    def coordinator(self) -> Coordinator:
        """The coordinator that lives."""
        if not isinstance(self.part, Coordinator):
            raise InternalError(f"{self.process.name} is no coordinator")
        return self.part

    @property
    def node(self) -> Node:
        """The node that lives."""
        if not isinstance(self.part, Node):
            raise InternalError(f"{self.process.name} is no node")
        return self.part


@dataclass
class Submitted:
    """A job that somebody wants: `acknowledged` once the coordinator promised it, `endings` as it was told."""

    key: str
    wish: Wish
    job_id: bytes = b""
    acknowledged: bool = False
    given_up: bool = False
    tried: int = 0
    refusals: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)


class World:
    """See the module. `names` are the nodes that `start_all` starts; `problems` are exceptions nobody caught."""

    owner: Owner
    """Set by whoever runs the world, if there is one who answers."""

    def __init__(
        self, folder: Path, seed: int, *, names: tuple[str, ...] = NODES, start_ms: int = START_MS
    ) -> None:
        self.folder, self.seed, self.names, self.start_ms = folder, seed, names, start_ms
        self.random = random.Random(f"world-{seed}")
        self.network = MemoryNetwork(seed)
        self.problems: list[str] = []
        self.jobs: list[Submitted] = []
        self.lives: dict[str, int] = {}
        self.skew_ms: dict[str, int] = {}
        """How wrong the clocks of devices are that start from now on."""
        self.clocks: dict[str, SimulatedClock] = {}
        self.jumped_ms = 0
        self.papers = False
        """Whether the coordinator believes that it can be asked for papers, and so changes its CURVE key by itself."""
        self.silent: set[Process] = set()
        self.on_effect: OnEffect | None = None
        """Told of every effect, at that moment."""
        self.on_start: Callable[[Life], None] | None = None
        """Told of every new life, before it does anything."""
        self.on_job: Callable[[Submitted, str], None] | None = None
        """Told what a person is told: `acknowledged`, the code of a refusal, or how a job ended."""
        self.ids: dict[str, bytes] = {}
        self.strays: set[asyncio.Task[None]] = set()
        """Tasks of nobody in the household, that end when it does."""
        self._wanted: list[Submitted] = []
        self._wanting = asyncio.Event()
        self._alive: dict[str, Life] = {}
        self.processes: list[Process] = []
        self._told: dict[str, list[str]] = {}
        self.by_id: dict[str, Submitted] = {}
        """Jobs that were given an id, by its text."""
        self._peace = False

    # ------------------------------------------------------------------------------------------ begin and end

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, HouseLoop):
            raise InternalError("a world needs a loop that knows processes", hint="Use run_house.")
        self.loop = loop
        loop.set_exception_handler(self._problem)
        self.clock = clock_at(self.start_ms)
        self.medulla = MedullaHouse(home_of(self.folder, "desk").medulla, str(self.seed), self.clock)
        self.medulla.start()

        self._asking = loop.create_task(self._ask_again())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._asking.cancel()
        for stray in list(self.strays):
            stray.cancel()
        for life in sorted(self._alive.values(), key=lambda life: life.process.name == "desk"):
            if kind is None:
                await life.process.run(life.part.__aexit__(None, None, None))
            else:
                life.process.die()
        await asyncio.sleep(0)
        self.medulla.kill()

    def bury(self) -> None:
        """Let what was killed end, so that the loop can; only after the evidence was taken."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for process in self.processes:
            process.bury()

    def _problem(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), CutOff):
            self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def process(self, name: str) -> Process:
        """A new life of a device's process."""
        self.lives[name] = self.lives.get(name, 0) + 1
        made = Process(name, self._aftermath)
        self.processes.append(made)
        return made

    def link(self, **changes: Any) -> LinkSettings:
        """How links are in this household, by its seed."""
        return LinkSettings(
            delay_ms=self.random.uniform(0.2, 20), jitter_ms=self.random.uniform(0, 10), **changes
        )

    # ------------------------------------------------------------------------------------------ lives and deaths

    async def start(self, *names: str, fatal_step: int = 0) -> Life:
        """Start devices, one after the other; returns the last. With `fatal_step` it dies at that step of its life."""
        life: Life | None = None
        for name in names:
            before = self._alive.get(name)
            if before is not None:
                if not before.process.dead:
                    raise InternalError(f"{name} lives")
                await before.process.gone.wait()
            process = self.process(name)
            process.fatal_step = fatal_step
            transport = ProcessTransport(process, self.network, name)
            with process.inside():
                part = (self._coordinator if name == "desk" else self._node)(name, transport)
            life = self._alive[name] = Life(process, transport, part)
            if self.on_effect is not None:
                process.witness = partial(self.on_effect, life)
            if self.on_start is not None:
                self.on_start(life)
            try:
                await process.run(part.__aenter__())
            except Killed:
                continue
            if isinstance(part, Coordinator) and not process.dead:
                part.heart.watch(partial(self._event, process))
        if life is None:
            raise InternalError("nobody was named")
        return life

    def _entropy(self, name: str) -> SeededEntropy:
        return SeededEntropy(f"{self.seed}/{name}/{self.lives[name]}")

    def _coordinator(self, name: str, transport: ProcessTransport) -> Coordinator:
        return Coordinator(
            home_of(self.folder, name), Config(mesh=MeshSection(mdns=False, papers=self.papers)), clock=self.clock,
            entropy=self._entropy(name), transport=transport, listen="memory://desk:1", door="memory://desk:2",
            medulla=SimulatedLink(self.medulla), sync="inline", control=False,
        )  # fmt: skip

    def _node(self, name: str, transport: ProcessTransport) -> Node:
        home = home_of(self.folder, name)
        clock = self.clocks[name] = clock_at(self.start_ms + self.jumped_ms, self.skew_ms.get(name, 0))
        return Node(
            home, Config(mesh=MeshSection(mdns=False)), clock=clock, entropy=self._entropy(name), transport=transport,
            scheme="memory://", entries=WORKS, sync="inline", control=False,
            facts=StillFacts(home.root),
        )  # fmt: skip

    def life(self, name: str) -> Life | None:
        """The life of a device, if it lives."""
        found = self._alive.get(name)
        return None if found is None or found.process.dead else found

    def living(self) -> list[Life]:
        """Everybody who lives, the oldest life first."""
        return [life for life in self._alive.values() if not life.process.dead]

    def identify(self, name: str, home: Home) -> bytes:
        """The id of a device."""
        if name not in self.ids:
            self.ids[name] = Identity.load(home.identity, SeededEntropy("ids"), start=False).device_id
        return self.ids[name]

    def name_of(self, device: bytes) -> str:
        """The name of a device that was identified; empty for nobody."""
        return next((name for name, known in self.ids.items() if known == device), device.hex()[:8])

    def key_of(self, job_id: bytes) -> str:
        """The key of a job that somebody here wanted, else empty."""
        job = self.by_id.get(format_time_id(job_id))
        return "" if job is None else job.key

    def is_dead(self, name: str) -> bool:
        """Whether that device is."""
        return self.life(name) is None

    @property
    def revived(self) -> set[str]:
        """Devices that had more than one life."""
        return {name for name, lives in self.lives.items() if lives > 1}

    @property
    def desk(self) -> Coordinator | None:
        """The coordinator, if it lives."""
        life = self.life("desk")
        return None if life is None else life.coordinator

    def kill(self, name: str, *, silent: bool = False, after_steps: int = 0) -> None:
        """`kill -9` now, or after so many more callbacks of its own; `silent`: as if the power went, so that nobody's
        link is closed."""
        life = self._alive.get(name)
        if life is None or life.process.dead or self._peace:
            return
        if silent:
            self.silent.add(life.process)
        if after_steps:
            life.process.fatal_step = life.process.steps + after_steps
        else:
            life.process.die()

    def _no_more_deaths(self) -> None:
        self._peace = True
        for life in self._alive.values():
            life.process.fatal_step = 0

    async def all_well(self) -> None:
        """Start whatever is dead; nobody dies any more."""
        self._no_more_deaths()
        if not self.medulla.alive:
            self.medulla.start()
        for name in ("desk", *self.names):
            if self.life(name) is None:
                await self.start(name)

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        """Do something to the world after so many seconds."""
        with outside():
            asyncio.get_running_loop().call_later(after_s, act)

    def _aftermath(self, process: Process) -> None:
        life = self._alive.get(process.name)
        if life is None or life.process is not process:
            return
        del self._alive[process.name]
        life.part.store.abandon()
        life.transport.inner.abort(silent=process in self.silent)

    def days_pass(self, days: float) -> None:
        """Every wall clock moves on by so much at once, as if nothing had happened meanwhile."""
        passed_ms = round(days * 86_400_000)
        self.jumped_ms += passed_ms
        for clock in (self.clock, *self.clocks.values()):
            clock.skew_ms += passed_ms

    # ------------------------------------------------------------------------------------------ jobs

    def submit(self, operation: str, *, target: str = "", within_ms: int = 30_000, **args: Any) -> Submitted:
        """Want a job done; its key is its text."""
        key = f"job-{len(self.jobs)}"
        target_id = b"" if not target else self._device(target)
        wish = Wish(
            operation,
            {"text": key, **args},
            target=target_id,
            deadline_ms=self.clock.now_ms() + within_ms,
            key=key,
        )
        made = Submitted(key, wish)
        self.want(made)
        return made

    def want(self, job: Submitted) -> None:
        """Somebody wants that job done, and asks until it is acknowledged."""
        self.jobs.append(job)
        self._try(job)
        if not job.acknowledged:
            self._wanted.append(job)
            self._wanting.set()

    def _device(self, name: str) -> bytes:
        desk = self.desk
        if desk is None:
            raise InternalError("the coordinator is dead")
        return desk.heart.devices.resolve(name)

    def _try(self, job: Submitted) -> None:
        life = self.life("desk")
        if job.acknowledged or life is None or life.process.stopped or job.tried == self.lives["desk"]:
            return
        if 0 < job.wish.deadline_ms <= self.clock.now_ms():
            job.given_up = True
            return
        job.tried = self.lives["desk"]
        with life.process.inside():
            try:
                job.job_id = life.coordinator.heart.submit_soon(job.wish, partial(self._acknowledged, job))
                self.by_id[format_time_id(job.job_id)] = job
            except KindmeshError as error:
                self._acknowledged(job, error)

    def _acknowledged(self, job: Submitted, error: KindmeshError | None) -> None:
        if error is None:
            job.acknowledged = True
        else:
            job.refusals.append(error.code)
            job.tried = 0
        if self.on_job is not None:
            self.on_job(job, "acknowledged" if error is None else error.code)

    async def _ask_again(self) -> None:
        while True:
            await self._wanting.wait()
            await asyncio.sleep(AGAIN_S)
            for job in self._wanted:
                self._try(job)
            self._wanted = [job for job in self._wanted if not (job.acknowledged or job.given_up)]
            if not self._wanted:
                self._wanting.clear()

    def _event(self, process: Process, event: dict[str, Any]) -> None:
        if event["event"] == "job" and event["state"] in ENDED and not process.dead:
            self._told.setdefault(event["job"], []).append(event["state"])
            if self.on_job is not None and (job := self.by_id.get(event["job"])) is not None:
                self.on_job(job, event["state"])

    async def owner_answers(self, *, allow: bool = True) -> None:
        """The owner answers whatever is asked now."""
        life = self.life("desk")
        if life is None:
            return
        for asked in life.coordinator.heart.approvals():
            answer = self.owner.sign_approval(asked["request"], allow=allow)
            try:
                await life.process.run(life.coordinator.heart.approve(answer))
            except (Killed, KindmeshError):
                # The person sees that it did not work, and is asked again.
                continue

    def ended(self, job: Submitted) -> bool:
        """Whether a job has ended, as far as the living coordinator knows."""
        desk = self.desk
        return job.acknowledged and desk is not None and job.job_id not in desk.heart._dispatch.open

    async def until(self, found: Callable[[], object], patience_s: float = 30.0) -> None:
        """Wait, in virtual time, until `found()` is true."""
        end = self.clock.monotonic() + patience_s
        while not found():
            if self.clock.monotonic() >= end:
                raise InternalError(f"seed {self.seed}: waited {patience_s} s in vain")
            await asyncio.sleep(LOOK_S)

    async def ready(self, *names: str) -> None:
        """Until the coordinator has heard what these devices offer."""

        def here() -> bool:
            desk = self.desk
            return desk is not None and all(
                any(
                    node["name"] == name and node["state"] == "alive" and node["offers"]
                    for node in desk.heart.devices.nodes()
                )
                for name in names
            )

        await self.until(here)

    async def settle(self, patience_s: float = 120.0) -> None:
        """Until every job has ended, and every living node knows that its results were taken; nobody dies any more."""
        self._no_more_deaths()
        await self.until(lambda: all(self.ended(job) for job in self.jobs), patience_s)
        nodes = [life.node for life in self._alive.values() if isinstance(life.part, Node)]
        await self.until(
            lambda: not any(node.reporter.waiting or node.executor.running for node in nodes), patience_s
        )
        await asyncio.sleep(1.5)
        for job in self.jobs:
            job.endings = self._told.get(format_time_id(job.job_id), [])

    def on_intent(self, name: str, act: Callable[[bytes], None]) -> None:
        """Call `act` with the job's id when that node's INTENT is on the disk, before anything is done."""
        life = self.life(name)
        if life is None:
            raise InternalError(f"{name} is dead")

        def told(event: dict[str, Any]) -> None:
            if event["event"] == "intent":
                act(event["job"])

        life.node.executor.watchers.append(told)


__all__ = ["ENDED", "NODES", "START_MS", "Life", "Submitted", "World", "clock_at", "home_of", "outside"]
