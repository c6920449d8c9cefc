"""The benchmark: its arithmetic, its baseline, and one tiny real run whose shape is what the documentation promises."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.coordinator.bench.floor import floor
from kindmesh.coordinator.bench.footprint import pss_mib, rss_mib
from kindmesh.coordinator.bench.pairing import run_pairing
from kindmesh.coordinator.bench.roundtrip import EFFECT, NAMES, ROUNDS, run_roundtrip
from kindmesh.coordinator.bench.statistics import Sample, percentile, row

COLUMNS = {
    "name", "payload", "inflight", "nodes", "requests", "p50_us", "p99_us", "per_s", "cpu_us", "ratio_p50",
    "ratio_per_s",
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([7.0], 0.5, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.5, 50.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 11)], 0.99, 10.0),
        ([float(n) for n in range(1, 11)], 1.0, 10.0),
        ([float(n) for n in range(1, 11)], 0.0, 1.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_a_percentile_is_one_of_the_values_and_enough_of_them_are_not_above_it(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-3


def test_a_row_divides_by_the_baseline_of_the_same_run() -> None:
    base, ours = Sample("floor"), Sample("session-call")
    base.add([0.001] * 10, 0.01, 0.02)
    ours.add([0.002] * 6, 0.02, 0.03)
    ours.add([0.004] * 4, 0.02, 0.05)
    found = row(ours, base, payload=100, inflight=1, nodes=1)
    assert set(found) == COLUMNS
    assert (found["p50_us"], found["p99_us"], found["ratio_p50"]) == (2000.0, 4000.0, 2.0)
    assert (found["per_s"], found["ratio_per_s"], found["cpu_us"]) == (250.0, 0.25, 8000.0)


def test_samples_do_not_share_what_they_collect() -> None:
    first, second = Sample("first"), Sample("second")
    first.add([1.0], 1.0, 1.0)
    assert second.took == []


def test_the_baseline_answers_everything_and_leaves_nothing_running() -> None:
    with floor(2) as base:
        took, wall_s = base.run(50, "hello", 8)
        pids = base.pids
    assert len(took) == 50
    assert 0 < max(took) <= wall_s
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_memory_is_read_from_the_system() -> None:
    assert 1 < pss_mib(os.getpid()) <= rss_mib(os.getpid()) + 1


async def test_a_tiny_run_has_every_row_and_ratios_to_the_baseline() -> None:
    said: list[str] = []
    found = await run_roundtrip(payload=20, inflight=2, nodes=1, requests=2 * ROUNDS, note=said.append)
    assert [one["name"] for one in found["rows"]] == list(NAMES)
    assert [one["name"] for one in found["also"]] == [EFFECT]
    base = found["rows"][0]
    for one in [*found["rows"], *found["also"]]:
        assert set(one) == COLUMNS
        assert one["requests"] == 2 * ROUNDS
        assert 0 < one["p50_us"] <= one["p99_us"]
        assert one["cpu_us"] >= 0
        assert one["ratio_p50"] == pytest.approx(one["p50_us"] / base["p50_us"], rel=0.02)
    assert said[-1] == f"round {ROUNDS} of {ROUNDS}"


async def test_pairing_is_measured_from_the_invitation_to_the_first_job() -> None:
    notes: list[str] = []
    found = await run_pairing(2, notes.append)
    assert found["runs"] == 2
    assert notes == ["run 1 of 2", "run 2 of 2"]
    whole, paired = found["qr_to_first_job_s"], found["qr_to_paired_s"]
    assert 0 < whole["median"] <= whole["max"]
    assert 0 < paired["median"] < whole["max"]
