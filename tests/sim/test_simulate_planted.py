"""Planted bugs: the simulator finds each within a few seeds, and the very same histories are clean without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sim import mutants
from tests.sim.mutants import Plant

from kindmesh.coordinator.simulate.author import generate
from kindmesh.coordinator.simulate.run import Simulator

NODES, DAYS = 4, 0.12
HOURS = {"schedule_fires_twice": 0.22}
"""Days that are needed: shorter histories have no schedules."""

PLANTED = [
    (mutants.fencing_off, {"duplicate_effect", "stale_effect"}),
    (mutants.result_table_off, {"duplicate_effect"}),
    (mutants.acknowledged_before_commit, {"lost"}),
    (mutants.permit_check_off, {"unpermitted_effect"}),
    (mutants.signature_check_off, {"unpermitted_effect"}),
    (mutants.revocation_ignored, {"revoked_acted"}),
    (mutants.schedule_fires_twice, {"duplicate_effect"}),
    (mutants.run_steps_without_keys, {"duplicate_effect"}),
]
FIRST = {
    "acknowledged_before_commit": 4,
    "revocation_ignored": 9,
    "run_steps_without_keys": 46,
    "signature_check_off": 14,
}
"""Where the search begins: any seed would do, the later ones only take longer."""
SEEDS = 12
"""How many histories it may take."""


@pytest.fixture(scope="module")
def simulator(disks: Path) -> Simulator:
    folder = disks / "planted"
    folder.mkdir()
    made = Simulator(folder)
    made.template(NODES)
    return made


@pytest.mark.parametrize(("plant", "kinds"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_planted_bug_is_found_and_nothing_without_it(
    simulator: Simulator, plant: Plant, kinds: set[str]
) -> None:
    first = FIRST.get(plant.__name__, 1)
    for seed in range(first, first + SEEDS):
        history = generate(seed, NODES, HOURS.get(plant.__name__, DAYS))
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            found = {violation.kind for violation in simulator.run(history).violations}
        if found & kinds:
            assert simulator.run(history).violations == ()
            return
    pytest.fail(f"{plant.__name__} was not found in {SEEDS} histories")
