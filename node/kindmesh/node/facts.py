"""How this device is now: load, memory, battery, temperature, disk; None wherever it cannot tell.

Sources, all files that the kernel keeps (proc(5), Documentation/ABI/testing/sysfs-class-power and -thermal): the load
average over a minute divided by the processors, MemAvailable, the first battery that reports a capacity, the hottest
thermal zone. A value out of any sensible range is a broken sensor and counts as unknown. Reading takes some 100 us.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kindmesh.protocol.messages import NodeFacts

_HOTTEST: Final = 200.0
_COLDEST: Final = -60.0


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(4096).strip()
    except OSError:
        return ""


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Facts:
    """Reads them; `root` is where the file system begins, `disk` the folder whose free space counts."""

    def __init__(self, disk: Path, root: str = "/", cpus: int | None = None) -> None:
        self._disk = disk
        self._root = root.rstrip("/")
        self._cpus = cpus or os.cpu_count() or 1
        zones = f"{self._root}/sys/class/thermal"
        self._zones = [f"{zones}/{name}/temp" for name in _names(zones) if name.startswith("thermal_zone")]
        supplies = f"{self._root}/sys/class/power_supply"
        self._supplies = [f"{supplies}/{name}" for name in _names(supplies)]

    def read(self, running: int = 0) -> NodeFacts:
        """All of it, now; `running` is how many jobs the device does."""
        battery, charging = self._battery()
        return NodeFacts(
            load=self._load(),
            battery=battery,
            charging=charging,
            temperature_c=self._temperature(),
            memory_free_mib=self._memory(),
            disk_free_mib=self._free(),
            running=running,
        )

    def _load(self) -> float | None:
        average = _number(_text(f"{self._root}/proc/loadavg").partition(" ")[0])
        return None if average is None or average < 0 else min(1.0, round(average / self._cpus, 2))

    def _memory(self) -> int | None:
        for line in _text(f"{self._root}/proc/meminfo").splitlines():
            if line.startswith("MemAvailable:"):
                words = line.split()
                return int(words[1]) // 1024 if len(words) > 1 and words[1].isdigit() else None
        return None

    def _battery(self) -> tuple[float | None, bool | None]:
        for supply in self._supplies:
            capacity = _number(_text(f"{supply}/capacity"))
            if capacity is None or not 0 <= capacity <= 100:
                continue
            status = _text(f"{supply}/status").lower()
            charging = {"charging": True, "full": True, "discharging": False, "not charging": False}.get(
                status
            )
            return capacity / 100, charging
        return None, None

    def _temperature(self) -> float | None:
        values = [_number(_text(zone)) for zone in self._zones]
        degrees = [value / 1000 for value in values if value is not None]
        sane = [value for value in degrees if _COLDEST < value < _HOTTEST and value != 0.0]
        return round(max(sane), 1) if sane else None

    def _free(self) -> int | None:
        try:
            found = os.statvfs(self._disk)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize >> 20


__all__ = ["Facts"]
