"""How Medulla is kept apart, in words: what holds, why nothing stronger does, and what could be done about that.

`kindmesh up` says it at the start and keeps it in `run/isolation.json`, where `doctor` finds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from kindmesh.coordinator.isolation import IsolationPlan
from kindmesh.mesh.files import write_private
from kindmesh.mesh.home import Home

PLAN_FILE: Final = "isolation.json"


def describe(plan: IsolationPlan) -> dict[str, object]:
    """The plan for programs: `mode`, `reasons` and, for landlock, what holds for this device's node."""
    found: dict[str, object] = {"mode": plan.mode, "reasons": list(plan.reasons)}
    if plan.mode == "landlock":
        found |= {"node_confined": plan.node_confined, "node_reasons": list(plan.node_reasons)}
    return found


def isolation_words(described: Mapping[str, object]) -> list[str]:
    """What `describe` says, for people: what holds, why nothing stronger does, and what could be done."""
    mode = described["mode"]
    reasons = [str(reason) for reason in _listed(described, "reasons")]
    if mode == "none":
        words = ["Medulla cannot be isolated on this system: nothing beyond read and notify will be allowed."]
        return words + [f"Why: {reason}." for reason in reasons]
    words = [f"Medulla is isolated ({mode})."]
    if mode == "landlock":
        words += [
            f"A user of its own would be stronger, but {reason}. {_what_to_do(reason)}" for reason in reasons
        ]
        if described.get("node_confined"):
            words.append("This device's node is kept out of Medulla's and the owner's files.")
        else:
            why = "; ".join(str(reason) for reason in _listed(described, "node_reasons"))
            words.append(f"This device's node can read Medulla's files: it could not be confined ({why}).")
    return words


def _listed(described: Mapping[str, object], name: str) -> list[object]:
    found = described.get(name)
    return list(found) if isinstance(found, (list, tuple)) else []


def _what_to_do(reason: str) -> str:
    if "closed to other users" in reason:
        return "Install Kindmesh with a Python that everybody can start, for instance in /opt/kindmesh."
    if "shorter path" in reason:
        return "Use a state folder with a shorter path (KINDMESH_HOME)."
    if "need root" in reason:
        return "Start kindmesh up as root, for instance from systemd; it gives its rights away at once."
    return "kindmesh up has to start as root, with a state folder and a Python that other users can reach."


def remember_plan(home: Home, plan: IsolationPlan) -> None:
    """Keep what holds where `doctor` finds it.

    Raises:
        DiskFull, StoreError.
    """
    keeper = (plan.others.uid, plan.others.gid) if plan.others is not None else None
    write_private(home.run / PLAN_FILE, json.dumps(describe(plan)).encode(), keeper=keeper)


def remembered_plan(home: Home) -> dict[str, object]:
    """What `remember_plan` kept last; empty when there is nothing that can be read."""
    try:
        found = json.loads((home.run / PLAN_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("mode") in ("uid", "landlock", "none") else {}


__all__ = ["PLAN_FILE", "describe", "isolation_words", "remember_plan", "remembered_plan"]
