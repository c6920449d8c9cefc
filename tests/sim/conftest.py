"""One household for all runs, and how a run is made: copy it, let a scenario happen, check the disks."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.sim.evidence import Evidence, check, fingerprint

from kindmesh.coordinator.owner import Owner
from kindmesh.coordinator.simulate.household import make_household
from kindmesh.coordinator.simulate.process import run_house
from kindmesh.coordinator.simulate.world import NODES, World
from kindmesh.mesh.virtual import SeededEntropy

ROOM = 64 << 20
Scenario = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Household:
    """A household that was paired, only to be copied, and its owner."""

    folder: Path
    owner: Owner


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the simulated disks are: in memory if there is room, because nobody cuts the real power here."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < ROOM:
        yield tmp_path_factory.mktemp("disks")
        return
    with tempfile.TemporaryDirectory(prefix="kindmesh-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def household(disks: Path) -> Household:
    """Made once."""
    folder = disks / "household"
    folder.mkdir()
    return Household(folder, run_house(make_household(folder, NODES)))


@dataclass
class Run:
    """One finished run: its world, what was on the disks, and the hash of its history."""

    world: World
    found: Evidence
    fingerprint: str


class Simulator:
    """`run` lets a scenario happen in a household with everything started, and checks what must hold."""

    def __init__(self, template: Household, folder: Path) -> None:
        self._template, self._folder = template, folder
        self._numbers = itertools.count()

    def run(self, seed: int, scenario: Scenario, *names: str) -> Run:
        """A failure names the seed."""
        folder = self._folder / f"run-{next(self._numbers)}"
        shutil.copytree(self._template.folder, folder)
        world = World(folder, seed, names=names or NODES)
        try:
            return run_house(_life(world, scenario, self._template.owner))
        except BaseException as error:
            error.add_note(f"the seed of this world is {seed}")
            raise


async def _life(world: World, scenario: Scenario, owner: Owner) -> Run:
    world.network.default = world.link()
    try:
        async with world:
            world.owner = Owner(owner.mesh, owner._key, clock=world.clock, entropy=SeededEntropy(world.seed))
            await world.start("desk", *world.names)
            await world.ready(*world.names)
            await scenario(world)
            await world.settle()
        found = check(world)
        return Run(world, found, fingerprint(world, found))
    finally:
        world.bury()


@pytest.fixture
def simulator(household: Household, disks: Path) -> Iterator[Simulator]:
    """Runs simulated households."""
    with tempfile.TemporaryDirectory(dir=disks) as folder:
        yield Simulator(household, Path(folder))
