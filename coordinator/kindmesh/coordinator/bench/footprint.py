"""`kindmesh bench footprint`: what a bare node and the coordinator cost in memory and start-up time.

- `import_ms`: importing the node's program in a fresh interpreter, less starting the interpreter itself; median.
- `idle_rss_mib`: resident memory of a node that offers `device` and `notes`, connected, after `SETTLE_S` of idling.
- `coordinator_pss_mib`: proportional memory of the coordinator and Medulla together, then (PSS shares what is shared).
Linux only: /proc/PID/status and /proc/PID/smaps_rollup.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindmesh.coordinator.lab.mesh import Lab

RUNS = 9
SETTLE_S = 5.0


def import_ms() -> dict[str, float]:
    """Median, least and most over `RUNS` interpreters, milliseconds; the same interpreter without it is taken off."""
    bare, full = [], []
    for _ in range(RUNS + 1):
        bare.append(_timed("pass"))
        full.append(_timed("import kindmesh.node.process"))
    # The first of each fills the disk cache.
    extra = [1000 * (one - statistics.median(bare[1:])) for one in full[1:]]
    return {
        "median": round(statistics.median(extra), 1),
        "min": round(min(extra), 1),
        "max": round(max(extra), 1),
    }


def _timed(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no memory of its own")


def pss_mib(pid: int) -> float:
    """Proportional memory of a process."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no memory of its own")


async def run_footprint(note: Callable[[str], None]) -> dict[str, Any]:
    """The figures of the module's docstring."""
    note("importing the node's program ...")
    imports = import_ms()
    root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
    try:
        async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device,notes"}) as lab:
            note("starting a mesh of its own ...")
            await lab.begin()
            await lab.add("bare")
            note(f"letting it idle for {SETTLE_S:g} s ...")
            await asyncio.sleep(SETTLE_S)
            status: dict[str, Any] = lab.ask("status")
            coordinator, medulla = status["pid"], status["medulla"]["pid"]
            node = lab.ask("status", device="bare", part="node")["pid"]
            parts = {"coordinator": pss_mib(coordinator), "medulla": pss_mib(medulla)}
            idle = rss_mib(node)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return {
        "import_ms": imports["median"],
        "import_ms_min": imports["min"],
        "import_ms_max": imports["max"],
        "idle_rss_mib": round(idle, 1),
        "coordinator_pss_mib": round(sum(parts.values()), 1),
        "parts_pss_mib": {name: round(value, 1) for name, value in parts.items()},
    }


__all__ = ["import_ms", "pss_mib", "rss_mib", "run_footprint"]
