"""`kindmesh bench heart`: the arithmetic of its verdicts, its parts, and tiny real runs of rows. Nothing is timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kindmesh.capabilities.base import check_signatures
from kindmesh.capabilities.registry import manifest_of
from kindmesh.coordinator.bench.crowd import COUNT, capability, crowd_entries, implementation
from kindmesh.coordinator.bench.heart import FULL, QUICK, ROWS, Sizes, durable_row, run_heart
from kindmesh.coordinator.bench.heart_journal import start_rows
from kindmesh.coordinator.bench.sqlite_floor import insert_rate
from kindmesh.coordinator.bench.verdict import Measure, Row, slope
from kindmesh.coordinator.cli.bench_heart import row_lines
from kindmesh.protocol.errors import InvalidInput

TINY = Sizes(calls=20, crowd=60, durable=16, enqueue=100, open=4, finished=20, memory=20, runs=1)


@pytest.mark.parametrize(
    ("value", "bound", "met"),
    [(4.9, "at most", True), (5.0, "at most", True), (5.1, "at most", False),
     (4.9, "at least", False), (5.0, "at least", True), (5.1, "at least", True)],
)  # fmt: skip
def test_a_figure_on_its_target_is_met(value: float, bound: Any, met: bool) -> None:
    assert Measure("p99", value, "ms", 5.0, bound).met is met


def test_a_row_is_met_when_all_its_figures_with_a_target_are() -> None:
    good, bad, free = Measure("a", 1, "s", 2.0), Measure("b", 3, "s", 2.0), Measure("c", 9, "s")
    assert Row("row", "how", (good, free)).met is True
    assert Row("row", "how", (good, bad, free)).met is False
    assert Row("row", "how", (free,)).met is None
    assert free.met is None


def test_a_row_tells_people_which_figure_missed() -> None:
    lines = row_lines(Row("row", "how", (Measure("a", 1, "s", 2.0), Measure("b", 3, "s", 2.0))))
    assert lines == ["row: MISSED. a 1 s (at most 2); b 3 s (at most 2: missed).", "    how."]


@given(st.floats(-100, 100), st.floats(-100, 100), st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_the_slope_of_a_line_is_its_rise(rise: float, start: float, xs: list[int]) -> None:
    assert slope(xs, [start + rise * x for x in xs]) == pytest.approx(rise, abs=1e-6)


def test_one_point_has_no_slope() -> None:
    assert slope([], []) == slope([1.0], [5.0]) == slope([2.0, 2.0], [1.0, 9.0]) == 0.0


def test_a_durable_row_takes_latency_from_the_single_and_throughput_from_the_crowded_run() -> None:
    def run(p50: float, per_s: float) -> dict[str, Any]:
        one = {"p50_us": 100.0, "per_s": 900.0, "cpu_us": 7.0, "requests": 8}
        return {"floor": one, "durable-job": {**one, "ratio_p50": p50, "ratio_per_s": per_s}}

    row = durable_row("durable-job", run(2.9, 0.01), run(20.0, 0.16))
    assert {one.name: one.value for one in row.measures if one.target} == {
        "p50 of floor": 2.9,
        "throughput of floor": 0.16,
    }
    assert row.met is True
    assert durable_row("durable-job", run(3.1, 0.01), run(20.0, 0.16)).met is False
    assert durable_row("durable-job", run(2.9, 0.5), run(20.0, 0.14)).met is False


def test_every_capability_of_the_crowd_is_what_its_manifest_says() -> None:
    entries = crowd_entries()
    crowd = [entry for entry in entries if entry.capability != "device"]
    assert len(crowd) == COUNT == len({entry.capability for entry in crowd})
    for number, entry in enumerate(crowd):
        assert manifest_of(entry).capability == capability(number)
        assert check_signatures(implementation(entry.capability), entry.parts[0].operations) == []


def test_full_sizes_are_those_that_the_targets_speak_of() -> None:
    assert (FULL.open, FULL.finished) == (1_000, 100_000)
    assert all(getattr(QUICK, name) < getattr(FULL, name) for name in Sizes.__struct_fields__)


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_the_bare_loop_writes_every_row(tmp_path: Path, synchronous: Any) -> None:
    assert insert_rate(tmp_path / "bare.db", 130, size=200, group=64, synchronous=synchronous) > 0


async def test_an_unknown_row_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidInput) as caught:
        await run_heart(rows=["cancle"], note=lambda _: None)
    assert caught.value.field == "row"
    assert "cancel" in caught.value.hint


async def test_a_tiny_run_has_the_rows_that_were_asked_for_each_with_its_method() -> None:
    asked = ["module-call", "crowd", "enqueue", "enqueue-full"]
    told: list[str] = []
    found = await run_heart(
        rows=asked, sizes=TINY, note=lambda _: None, done=lambda row: told.append(row.name)
    )
    assert [row["name"] for row in found["rows"]] == told == [name for name in ROWS if name in asked]
    for row in found["rows"]:
        assert row["method"]
        assert any(one["target"] is not None for one in row["measures"])
        assert row["met"] is all(one["met"] for one in row["measures"] if one["target"] is not None)
    assert found["missed"] == [row["name"] for row in found["rows"] if not row["met"]]
    crowd = found["rows"][1]
    assert crowd["details"]["capabilities"] == 100
    assert crowd["measures"][0] == {
        "name": "left undone", "value": 0.0, "unit": "requests", "target": 0.0, "bound": "at most", "met": True,
    }  # fmt: skip


async def test_a_folder_starts_with_the_history_that_was_written_into_it(tmp_path: Path) -> None:
    (row,) = await start_rows(tmp_path, 25, 1, lambda _: None)
    assert row.details["first_job"] == "succeeded"
    assert row.details["jobs_seen"] == 26
    assert set(row.details["disk_mib"]) == {"coordinator", "medulla", "node"}
