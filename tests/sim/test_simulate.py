"""`kindmesh simulate`: repeatable everywhere, clean on what is shipped, and short about what is not."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from tests.sim import mutants

from kindmesh.coordinator.cli.main import run
from kindmesh.coordinator.simulate import history as h
from kindmesh.coordinator.simulate.author import generate
from kindmesh.coordinator.simulate.boundaries import SIDES
from kindmesh.coordinator.simulate.directed import directed
from kindmesh.coordinator.simulate.process import Killed, Process, run_house
from kindmesh.coordinator.simulate.run import Simulator
from kindmesh.coordinator.simulate.shrink import shrink
from kindmesh.protocol.errors import InvalidInput

NAMED = {
    "many things at once": (3, 5, 0.25),
    "a device removed while cut off": (12, 5, 0.25),
}
"""Histories that found something once, or hold what nothing else does: (seed, nodes, days)."""
PROMISED = {
    "seed", "nodes", "days", "jobs", "lost", "duplicate_effects", "unpermitted_effects", "violations", "history_hash",
    "cpu_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def simulator(disks: Path) -> Simulator:
    folder = disks / "simulate"
    folder.mkdir()
    return Simulator(folder)


@pytest.mark.parametrize("name", NAMED)
def test_named_histories_show_no_violation(simulator: Simulator, name: str) -> None:
    outcome = simulator.run(generate(*NAMED[name]))
    assert outcome.violations == ()
    assert outcome.jobs > 10


@pytest.mark.parametrize("number", range(4))
def test_new_histories_show_no_violation(simulator: Simulator, number: int) -> None:
    seed = secrets.randbelow(1 << 32)
    outcome = simulator.run(generate(seed, 3 + number, 0.1))
    assert outcome.violations == (), f"kindmesh simulate --seed {seed} --nodes {3 + number} --days 0.1"


def test_the_same_seed_is_the_same_history_in_every_process() -> None:
    code = (
        "from kindmesh.coordinator.simulate.author import generate\n"
        "from kindmesh.coordinator.simulate.run import Simulator, simulated_disks\n"
        "with simulated_disks() as folder:\n"
        "    print(Simulator(folder).run(generate(5, 4, 0.06)).history_hash)\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
            check=True, text=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(hashes) == 1


def test_another_seed_is_another_history(simulator: Simulator) -> None:
    assert generate(1, 4, 1.0) != generate(2, 4, 1.0)
    one, other = (simulator.run(generate(seed, 4, 0.05)).history_hash for seed in (1, 2))
    assert one != other


def test_a_coordinator_killed_at_boundaries_of_its_journal_loses_nothing(simulator: Simulator) -> None:
    alive, *killed = directed(simulator, 1, every=7)
    assert {one.side for one in killed} == {*SIDES}
    assert [
        (one.boundary, one.outcome.violations) for one in (alive, *killed) if one.outcome.violations
    ] == []
    # It settles as soon as it would have without a death, give or take a restart and what was waited for meanwhile.
    assert max(one.outcome.virtual_s for one in killed) < alive.outcome.virtual_s + 10


@pytest.mark.parametrize("shape", get_args(h.Shape))
def test_a_run_of_every_shape_ends_whatever_dies(simulator: Simulator, shape: h.Shape) -> None:
    acts: list[h.Act] = [h.Run(1_000, "run-1", shape, 120_000, 300)]
    for number, boundary in enumerate((3, 9, 5, 14)):
        acts += [
            h.Kill(1_200 + number * 1_500, "desk", boundary=boundary),
            h.Start(2_300 + number * 1_500, "desk"),
        ]
    acts.append(h.Answer(20_000, allow=True))
    for chosen in ([acts[0], acts[-1]], acts):
        outcome = simulator.run(h.History(h.FORMAT, 1, 2, 0.001, 90_000, tuple(chosen)))
        assert outcome.violations == ()
        assert outcome.events_by_kind["run taken"] == 1
        assert outcome.events_by_kind["runs failed" if shape == "undo" else "runs succeeded"] == 1


def test_a_run_that_nobody_answers_waits_visibly_and_is_no_violation(simulator: Simulator) -> None:
    outcome = simulator.run(h.History(h.FORMAT, 1, 2, 0.001, 90_000, (h.Run(1_000, "run-1", "ask", 60_000),)))
    assert outcome.violations == ()
    assert outcome.events_by_kind["run taken"] == 1
    assert "run ended" not in outcome.events_by_kind


def test_a_stream_comes_back_whole_and_one_that_breaks_off_ends(simulator: Simulator) -> None:
    stream = h.Stream(1_000, "stream-1", 12, 300, "phone")
    cut = (h.Link(2_500, "desk", "phone", partitioned=True), h.Link(2_500, "phone", "desk", partitioned=True))
    stories: tuple[tuple[tuple[h.Act, ...], bool], ...] = (
        ((stream,), True),
        ((stream, *cut), False),
        ((stream, h.Kill(2_500, "phone")), False),
    )
    for acts, whole in stories:
        outcome = simulator.run(h.History(h.FORMAT, 1, 2, 0.001, 80_000, acts))
        assert outcome.violations == ()
        assert outcome.events_by_kind["stream ended"] == 1
        assert ("streams done" in outcome.events_by_kind) == whole


def test_a_stream_that_loses_a_piece_is_found(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    mutants.stream_loses_a_piece(monkeypatch)
    outcome = simulator.run(h.History(h.FORMAT, 1, 2, 0.001, 30_000, (h.Stream(1_000, "stream-1", 12, 300),)))
    assert [(found.kind, found.job) for found in outcome.violations] == [("contradiction", "stream-1")]


def test_what_a_dead_process_was_doing_is_no_crash() -> None:
    problems: list[object] = []

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context["message"]))
        process = Process("desk", lambda dead: None)
        loop.call_later(1, process.die)
        with pytest.raises(Killed):
            await process.run(waits())
        gc.collect()
        process.bury()
        for task in process._asked:
            task.cancel()
        await asyncio.sleep(1)

    run_house(scenario())
    assert problems == []


def test_a_violation_is_shrunk_to_a_short_history_that_shows_it_again(simulator: Simulator) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutants.permit_check_off(patch)
        acts = (*generate(2, 4, 0.05).acts, h.Forge(4_000_000, "hall", "arguments"))
        history = msgspec.structs.replace(
            generate(2, 4, 0.05), acts=tuple(sorted(acts, key=lambda act: act.at_ms)), end_ms=4_400_000
        )
        found = simulator.run(history).violations
        assert found

        def shows(candidate: h.History) -> object:
            return next(iter(simulator.run(candidate).violations), None)

        short = shrink(history, found[0], shows, runs=40)  # type: ignore[arg-type] # a violation or nothing
        again = simulator.run(short.history).violations
    assert len(short.history.acts) <= 3
    assert again[0].kind == short.violation.kind == found[0].kind


def test_a_history_survives_being_written_and_read(tmp_path: Path) -> None:
    history = generate(7, 5, 1.0)
    h.write_history(tmp_path / "history.json", history)
    assert h.read_history(tmp_path / "history.json") == history


def test_the_command_says_what_it_promises_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["simulate", "--seed", "3", "--nodes", "3", "--days", "0.04", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said.keys() >= PROMISED
    assert (said["seed"], said["nodes"], said["days"], said["violations"]) == (3, 3, 0.04, [])


def test_a_violation_is_told_saved_and_replayed_with_exit_status_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutants.permit_check_off(monkeypatch)
    history = h.History(h.FORMAT, 1, 2, 0.01, 30_000, (h.Forge(2_000, "phone", "arguments"),))
    source, saved = tmp_path / "source.json", tmp_path / "saved.json"
    h.write_history(source, history)
    code = run(["simulate", "--replay", str(source), "--save", str(saved), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (code, said["unpermitted_effects"], said["saved"]) == (1, 1, str(saved))
    assert run(["simulate", "--replay", str(saved), "--save", str(saved), "--no-shrink"]) == 1
    assert "its permit does not fit the arguments" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["--seeds", "9-1"], "seeds"),
        (["--seeds", "1-3", "--directed"], None),
        (["--days", "0"], "days"),
        (["--replay", "nowhere.json"], "replay"),
    ],
)
def test_a_call_that_is_wrong_is_answered(
    capsys: pytest.CaptureFixture[str], words: list[str], field: str | None
) -> None:
    assert run(["simulate", "--json", *words]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"]
    assert field is None or error["field"] == field


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format":1,"seed":1,"nodes":1,"days":1,"end_ms":1,"acts":[{"do":"dance"}]}']
)
def test_a_file_that_is_no_history_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="is no history"):
        h.read_history(path)
