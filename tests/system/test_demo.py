"""The demo as its user runs it: one command, real processes, a real kill; and what it leaves behind (nothing)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from pathlib import Path


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("KINDMESH_")}
    command = [
        sys.executable,
        "-m",
        "kindmesh.coordinator.cli",
        "demo",
        "--json",
        "--out",
        str(folder),
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=170, check=False)


def processes() -> set[str]:
    """Command lines of all processes that are ours."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if b"kindmesh-demo-" in line:
            found.add(line.decode(errors="replace"))
    return found


def test_the_demo_reads_the_letter_survives_the_kill_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = demo(tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith('"ok": true}')
    told = json.loads(done.stdout)
    assert "basket of 12 beside your door" in " ".join(told["text"].split())

    states = {job["operation"]: job["state"] for job in told["jobs"]}
    assert states["vision.read_text"] == states["speech.render"] == "succeeded"
    assert {node["name"] for node in told["devices"]} >= {"desk", "phone", "kitchen"}

    kill, recovery = told["kill"], told["recovery"]
    assert kill["journal"] == {"intent": True, "result": False}
    assert kill["after_return"] == "interrupted"
    assert recovery["job"] == kill["job"]
    assert recovery["device"] != kill["device"]
    assert recovery["attempts"] == 2
    assert len([permit for permit in told["permits"] if permit["job"] == kill["job"]]) == 2

    with wave.open(told["wav"]["path"]) as sound:
        seconds = sound.getnframes() / sound.getframerate()
    assert abs(seconds * 1000 - told["wav"]["duration_ms"]) < 50
    assert Path(told["invitation_png"]).read_bytes().startswith(b"\x89PNG")
    assert told["invitation"] not in done.stderr
    assert "Traceback" not in done.stderr
    assert processes() == set()


def test_the_demo_says_what_is_wrong_with_a_missing_picture(tmp_path: Path) -> None:
    done = demo(tmp_path / "out", "--image", str(tmp_path / "nothing.jpg"))
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert said["ok"] is False
    assert said["error"]["field"] == "image"
    assert "Traceback" not in done.stderr
