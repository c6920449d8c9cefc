"""`kindmesh bench pairing`: from the invitation being shown to the first job done by the new device.

Real processes on loopback, as people start them: `kindmesh pair` shows the invitation (the clock begins), `kindmesh
join` shows its code, the code is typed at once, `kindmesh up` starts, and `device.echo` is asked of the new device as
soon as the coordinator says that it is alive; the clock ends with the result. A person adds the time to read and type.

- `qr_to_first_job_s`: all of it;
- `qr_to_paired_s`: until the device has its papers.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kindmesh.coordinator.bench.statistics import percentile
from kindmesh.coordinator.lab.device import Device, started
from kindmesh.coordinator.lab.mesh import Lab
from kindmesh.protocol.errors import InternalError


async def run_pairing(runs: int, note: Callable[[str], None]) -> dict[str, Any]:
    """Median and maximum over `runs` devices."""
    took: dict[str, list[float]] = {"qr_to_first_job_s": [], "qr_to_paired_s": []}
    root = Path(tempfile.mkdtemp(prefix="kindmesh-bench-"))
    try:
        async with Lab(root, settings={"KINDMESH_NODE_CAPABILITIES": "device"}) as lab:
            await lab.begin()
            for number in range(runs):
                note(f"run {number + 1} of {runs}")
                device = lab.device(f"guest{number + 1}")
                begun, paired = await _pair(lab, device)
                await device.up()
                await lab.alive(device.name)
                job = lab.ask(
                    "submit",
                    {"operation": "device.echo", "args": {"text": "hi"}, "target": device.name, "wait": True},
                )
                if job["state"] != "succeeded":
                    raise InternalError(f"the first job {job['state']}: {job.get('error')}")
                took["qr_to_first_job_s"].append(time.perf_counter() - begun)
                took["qr_to_paired_s"].append(paired - begun)
                await device.down()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    figures = {
        name: {"median": round(percentile(values, 0.5), 3), "max": round(max(values), 3)}
        for name, values in took.items()
    }
    return {**figures, "runs": runs}


async def _pair(lab: Lab, device: Device) -> tuple[float, float]:
    """When the invitation was shown, and when the device had its papers."""
    async with started(lab.desk, "pair") as pairing:
        window = await pairing.until("window")
        begun = time.perf_counter()
        async with started(device, "join", "-", "--name", device.name) as joining:
            await joining.write(window["text"])
            code = await joining.until("code")
            await pairing.write(code["code"])
            await joining.until("joined")
    return begun, time.perf_counter()


__all__ = ["run_pairing"]
