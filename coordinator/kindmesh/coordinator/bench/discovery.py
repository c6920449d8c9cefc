"""`kindmesh bench discovery`: how soon a device is there, is missed, and is back.

- `join_s`: from starting a paired node's process to the coordinator calling it alive with what it offers;
- `loss_s`: from `kill -9` to the coordinator suspecting it (it should be at most 3.5 s);
- `return_s`: from starting it again to alive, with no other help.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindmesh.coordinator.bench.statistics import percentile
from kindmesh.coordinator.lab.mesh import Lab, watching


async def run_discovery(runs: int, note: Callable[[str], None]) -> dict[str, Any]:
    """Median and maximum over `runs`."""
    took: dict[str, list[float]] = {"join_s": [], "loss_s": [], "return_s": []}
    root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
    try:
        async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
            await lab.begin()
            await lab.join("wanderer")
            device = lab.devices["wanderer"]
            for number in range(runs):
                note(f"run {number + 1} of {runs}")
                begun = time.perf_counter()
                await device.up()
                await lab.alive("wanderer")
                took["join_s" if number == 0 else "return_s"].append(time.perf_counter() - begun)
                async with watching(lab.desk.home.socket("coordinator")) as events:
                    begun = time.perf_counter()
                    await device.kill()
                    while True:
                        event = await events.get()
                        if event.get("event") == "node" and event["state"] != "alive":
                            break
                    took["loss_s"].append(time.perf_counter() - begun)
            await device.up()
            await lab.alive("wanderer")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return {
        name: {"median": round(percentile(values, 0.5), 3), "max": round(max(values), 3), "runs": len(values)}
        for name, values in took.items()
        if values
    }


__all__ = ["run_discovery"]
