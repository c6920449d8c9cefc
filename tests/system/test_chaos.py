"""`kindmesh simulate --real`: a household of real processes survives kills and stops; nothing is left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kindmesh.coordinator.chaos.evidence import Asked, Disks, judge
from kindmesh.coordinator.chaos.guard import sweep
from kindmesh.coordinator.chaos.plan import make_plan
from kindmesh.coordinator.heart.machine_words import StoryEntry

COMMAND = [sys.executable, "-m", "kindmesh.coordinator.cli", "simulate", "--real"]


def test_a_short_chaos_run_finds_nothing_and_leaves_nothing_running(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"TMPDIR": str(tmp_path)}
    words = [*COMMAND, "--seed", "1", "--minutes", "0.33", "--json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, (done.stdout[-4000:], done.stderr[-2000:])
    found = json.loads(done.stdout)
    assert found["violations"] == []
    assert found["jobs"] == sum(found["states"].values())
    assert found["jobs"] > 50
    assert found["kills"] > 0
    assert sweep(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_contradictory_options_are_refused() -> None:
    for words in (["--directed"], ["--seeds", "1-2"], ["--minutes", "0"]):
        done = subprocess.run(
            [*COMMAND, "--json", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode != 0
        assert json.loads(done.stdout)["error"]["code"] == "INVALID_INPUT"


def test_what_a_process_that_died_left_behind_is_ended_by_the_guard(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    folder.mkdir()
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)", str(folder)], start_new_session=True
    )
    os.kill(left.pid, signal.SIGSTOP)
    guard = subprocess.Popen(
        [sys.executable, "-P", "-m", "kindmesh.coordinator.chaos.guard", str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    guard.communicate(b"", timeout=60)
    assert left.wait(timeout=30) == -signal.SIGKILL
    assert not folder.exists()


def test_a_seed_is_a_plan() -> None:
    assert make_plan(7, 60) == make_plan(7, 60)
    assert make_plan(7, 60) != make_plan(8, 60)
    assert {blow.what for blow in make_plan(7, 300).blows} == {"kill", "stop"}


def test_what_must_not_be_is_seen() -> None:
    job, other = b"j" * 16, b"k" * 16
    jobs: dict[bytes, tuple[str, bool, list[StoryEntry]]] = {
        job: ("succeeded", True, [(1, "queued", b"", ""), (2, "succeeded", b"", "")])
    }
    asked = [
        Asked("twice", "notes.append", "interactive", job, time.monotonic()),
        Asked("gone", "device.echo", "interactive", other, time.monotonic()),
    ]
    disks = Disks(jobs, {"twice": job}, {"kitchen": ["twice", "twice"]}, {("kitchen", job): b"p"}, {}, {}, [])
    verdict = judge(disks, asked)
    assert (verdict.lost, verdict.duplicate_effects, verdict.unpermitted_effects) == (1, 1, 1)
    assert {one.kind for one in verdict.violations} == {"lost", "duplicate_effect", "unpermitted_effect"}
    assert next(one for one in verdict.violations if one.job == "twice").story == ["1 queued", "2 succeeded"]
