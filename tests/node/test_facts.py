"""Facts from /proc and /sys: right where the kernel tells, None where it does not or tells nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindmesh.node.facts import Facts
from kindmesh.protocol.messages import NodeFacts


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_device_that_tells_everything(tmp_path: Path) -> None:
    put(tmp_path, "proc/loadavg", "1.00 0.5 0.2 1/100 42\n")
    put(tmp_path, "proc/meminfo", "MemTotal: 4096000 kB\nMemAvailable: 2048000 kB\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "41000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "52500\n")
    put(tmp_path, "sys/class/thermal/cooling_device0/temp", "99000\n")
    put(tmp_path, "sys/class/power_supply/AC/online", "1\n")
    put(tmp_path, "sys/class/power_supply/BAT0/capacity", "80\n")
    put(tmp_path, "sys/class/power_supply/BAT0/status", "Discharging\n")
    facts = Facts(tmp_path, str(tmp_path), cpus=4).read(running=3)
    assert (facts.load, facts.memory_free_mib, facts.temperature_c) == (0.25, 2000, 52.5)
    assert (facts.battery, facts.charging, facts.running) == (0.8, False, 3)
    assert facts.disk_free_mib is not None


def test_a_device_that_tells_nothing(tmp_path: Path) -> None:
    assert Facts(tmp_path / "gone", str(tmp_path)).read() == NodeFacts()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("proc/loadavg", "x"), ("proc/loadavg", "-1 0 0"), ("proc/meminfo", "MemAvailable: much\n"),
        ("proc/meminfo", "MemAvailable:\n"), ("sys/class/thermal/thermal_zone0/temp", "999000000"),
        ("sys/class/thermal/thermal_zone0/temp", "0"), ("sys/class/power_supply/BAT0/capacity", "250"),
    ],
)  # fmt: skip
def test_a_broken_sensor_counts_as_unknown(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path, name, text)
    assert Facts(tmp_path / "gone", str(tmp_path)).read() == NodeFacts()


def test_a_loaded_machine_is_fully_loaded_not_more(tmp_path: Path) -> None:
    put(tmp_path, "proc/loadavg", "64.0 1 1")
    assert Facts(tmp_path, str(tmp_path), cpus=2).read().load == 1.0


def test_a_battery_that_does_not_say_whether_it_charges(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/power_supply/BAT0/capacity", "50")
    facts = Facts(tmp_path, str(tmp_path)).read()
    assert (facts.battery, facts.charging) == (0.5, None)
