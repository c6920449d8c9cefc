"""One history played in one household, from its folders to the verdict.

    template (paired once for each number of devices) --copy--> world --play--> ledger --disks--> Outcome

A run is the same every time and everywhere: nothing of the machine that runs it gets into the hash, not the time, not
the order of a set.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from kindmesh.coordinator.owner import Owner
from kindmesh.coordinator.simulate.boundaries import Boundaries
from kindmesh.coordinator.simulate.disks import judge_disks
from kindmesh.coordinator.simulate.history import History, names
from kindmesh.coordinator.simulate.household import make_household
from kindmesh.coordinator.simulate.ledger import Ledger, Violation
from kindmesh.coordinator.simulate.play import Player
from kindmesh.coordinator.simulate.process import run_house
from kindmesh.coordinator.simulate.world import World, home_of
from kindmesh.mesh.trust import Trust
from kindmesh.mesh.virtual import SeededEntropy

ROOM: Final = 256 << 20
"""Free bytes in memory below which the simulated disks are on the real one."""


class Outcome(msgspec.Struct, frozen=True):
    """How one run ended. `number` is the seed; `stories` are the lines about each job that `violations` name."""

    number: int = msgspec.field(name="seed")
    nodes: int
    days: float
    jobs: int
    lost: int
    duplicate_effects: int
    unpermitted_effects: int
    violations: tuple[Violation, ...]
    history_hash: str
    cpu_s: float
    effects: int
    refused: int
    emergencies: int
    kills: int
    states: dict[str, int]
    events_by_kind: dict[str, int]
    virtual_s: float
    skipped_s: float
    stories: dict[str, tuple[str, ...]]


class Template(msgspec.Struct, frozen=True):
    """A household that was paired, only to be copied, and its owner."""

    folder: Path
    owner: Owner


class Simulator:
    """Runs histories; `folder` is where the simulated disks are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[int, Template] = {}
        self._runs = 0

    def template(self, nodes: int) -> Template:
        """The household with so many nodes, made when it is first wanted."""
        if nodes not in self._templates:
            folder = self._folder / f"household-{nodes}"
            folder.mkdir()
            self._templates[nodes] = Template(folder, run_house(make_household(folder, names(nodes))))
        return self._templates[nodes]

    def run(self, history: History, boundaries: Boundaries | None = None) -> Outcome:
        """Play a history in a fresh household, and judge it; `boundaries` may kill the coordinator."""
        template = self.template(history.nodes)
        begun = time.process_time()
        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        shutil.copytree(template.folder, folder)
        try:
            world = World(folder, history.number, names=names(history.nodes))
            return run_house(_live(world, history, template.owner, begun, boundaries))
        finally:
            shutil.rmtree(folder)


async def _live(
    world: World, history: History, owner: Owner, begun: float, boundaries: Boundaries | None
) -> Outcome:
    world.network.default = world.link()
    trust = Trust.load(home_of(world.folder, "desk").identity)
    (medulla,) = trust.membership.anchors.of_kind("medulla")
    try:
        async with world:
            loop = world.loop
            ledger = Ledger(trust.mesh, medulla.ed_pub, world.start_ms, lambda: round(loop.time() * 1000))
            world.owner = Owner(owner.mesh, owner._key, clock=world.clock, entropy=SeededEntropy(world.seed))
            player = Player(world, history, ledger, boundaries)
            await player.begin()
            await player.play()
        states = judge_disks(world, ledger, player)
        return _outcome(world, history, player, states, begun)
    finally:
        world.bury()


def _outcome(world: World, history: History, player: Player, states: dict[str, int], begun: float) -> Outcome:
    ledger = player.ledger
    kinds = [violation.kind for violation in ledger.violations]
    about = dict.fromkeys(violation.job for violation in ledger.violations if violation.job)
    for process in world.processes:
        ledger.note("steps", process.name, process.steps)
    ledger.note("network", world.network.lost)
    return Outcome(
        number=history.number,
        nodes=history.nodes,
        days=history.days,
        jobs=len(ledger.acknowledged),
        lost=kinds.count("lost"),
        duplicate_effects=kinds.count("duplicate_effect"),
        unpermitted_effects=kinds.count("unpermitted_effect"),
        violations=tuple(ledger.violations),
        history_hash=ledger.history_hash,
        cpu_s=round(time.process_time() - begun, 3),
        effects=len(ledger.effects),
        refused=sum(bool(job.refusals) and not job.acknowledged for job in world.jobs),
        emergencies=ledger.events["emergencies"],
        kills=player.kills,
        states=states,
        events_by_kind=dict(sorted(ledger.events.items())),
        virtual_s=round(world.loop.time(), 3),
        skipped_s=round(world.loop.skipped_s, 3),
        stories={job: tuple(ledger.by_job[job]) for job in about},
    )


@contextmanager
def simulated_disks() -> Iterator[Path]:
    """A folder for simulated disks: in memory if there is room, because nobody cuts the real power here."""
    memory = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
    usable = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM
    with tempfile.TemporaryDirectory(prefix="kindmesh-simulate-", dir=memory if usable else None) as folder:
        yield Path(folder)


__all__ = ["Outcome", "Simulator", "simulated_disks"]
