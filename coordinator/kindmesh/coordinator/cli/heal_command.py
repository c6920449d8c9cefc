"""`heal`: which capabilities of this device rest because they kept failing, and letting one go on now."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.local import connect_node
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.mesh.home import Home


def run_heal(out: Output, capability: str) -> int:
    """`capability`: the one that shall go on; empty: only say which rest, and why."""
    with connect_node(Home.locate()) as client:
        found: list[dict[str, Any]] = client.call("heal", {"capability": capability} if capability else {})
    if capability:
        out.result(
            {"ok": True, "healed": found[0]}, f"{capability} goes on. If it fails again, it rests again."
        )
        return EXIT_DONE
    if not found:
        out.result({"ok": True, "resting": []}, "Nothing rests on this device.")
        return EXIT_DONE
    lines = [f"{one['capability']}: {one['hint']}" for one in found]
    out.result({"ok": True, "resting": found}, "\n".join(lines))
    return EXIT_DONE


__all__ = ["run_heal"]
