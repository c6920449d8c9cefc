"""The fuzz targets, so that they cannot rot: every seed through every target, and a few seconds of the real fuzzer."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz import targets
from tests.fuzz.__main__ import ROOT, main

from kindmesh.protocol.errors import InvalidInput, KindmeshError, Malformed


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: target.__name__)
def test_seeds_and_their_mutations_raise_nothing_but_our_errors(target: object) -> None:
    index = targets.TARGETS.index(target)
    mine = [seed for seed in targets.seeds() if seed[0] == index]
    assert len(mine) > 50
    noise = random.Random(index)
    for seed in mine:
        targets.run(seed)
        changed = bytearray(seed)
        for _ in range(noise.randrange(1, 4)):
            changed[noise.randrange(1, len(changed)) if len(changed) > 1 else 0] = noise.randrange(256)
        changed[0] = index
        targets.run(bytes(changed))
        targets.run(seed[: noise.randrange(1, len(seed) + 1)])


def test_the_seeds_reach_behind_every_decoder() -> None:
    """Some seed decodes, whatever is then thought of it; so the fuzzer begins inside and not at the door."""
    reached = set()
    for seed in targets.seeds():
        name = targets.TARGETS[seed[0]].__name__
        if name not in reached:
            try:
                targets.TARGETS[seed[0]](seed[1:])
            except (Malformed, InvalidInput):
                continue
            except KindmeshError:
                pass
            reached.add(name)
    # A frame of the control socket is no message by itself, which the target tries last.
    assert {target.__name__ for target in targets.TARGETS} - reached <= {"control"}


def test_a_kept_input_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "crash-1"
    kept.write_bytes(b"\0anything")
    assert main(["--replay", str(kept)]) == 0

    def broken(data: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(targets, "TARGETS", (broken,))
    with pytest.raises(ZeroDivisionError):
        main(["--replay", str(kept)])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not to be had here")
def test_the_fuzzer_runs_for_a_moment_and_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "3", "--folder", str(tmp_path / "fuzz")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    assert "0 findings" in ended.stdout
