"""Facts about a machine, and honest gaps where it does not tell."""

from __future__ import annotations

import os
from pathlib import Path

from tests.capabilities.conftest import OpenBench

from kindmesh.capabilities.device.handlers import read_info


async def test_info_tells_what_this_machine_says(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        info = await bench.call("device.info")
    assert info["machine"] == os.uname().machine
    assert info["cpu_count"] == len(os.sched_getaffinity(0))
    assert 0 < info["memory_available_bytes"] <= info["memory_bytes"]
    assert info["uptime_ms"] > 0


def test_what_cannot_be_read_is_unknown_and_not_invented(tmp_path: Path) -> None:
    info = read_info(tmp_path)
    assert info.model == "unknown"
    assert (info.memory_bytes, info.memory_available_bytes, info.uptime_ms) == (None, None, None)


def test_a_board_is_known_by_its_device_tree(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemAvailable: 400 kB\nnonsense\n")
    (tmp_path / "proc/uptime").write_text("12.34 20.00\n")
    info = read_info(tmp_path)
    assert info.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert (info.memory_bytes, info.memory_available_bytes, info.uptime_ms) == (1_024_000, 409_600, 12_340)


async def test_echo_answers_with_the_same(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        for text in ("", "hello", "ünïcödé 👵🏽", "x" * 65_536):
            assert await bench.call("device.echo", {"text": text}) == {"text": text}
