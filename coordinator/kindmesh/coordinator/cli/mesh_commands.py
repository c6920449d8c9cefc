"""`nodes`, `capabilities`, `stop`: looking at the mesh and holding it back."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.as_person import connect_as
from kindmesh.coordinator.cli.local import connect, connect_node
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, age, sentence, table
from kindmesh.mesh.home import Home


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 100:.0f} %"


def run_nodes(out: Output) -> int:
    """All devices with their state, load, battery and temperature."""
    with connect_as(Home.locate(), timeout_ms=10_000) as client:
        nodes: list[dict[str, Any]] = client.call("nodes")
    if out.as_json:
        for node in nodes:
            out.result(node)
        return EXIT_DONE
    rows = []
    for node in nodes:
        facts = node.get("facts") or {}
        heat = facts.get("temperature_c")
        rows.append(
            [
                node["name"],
                node["role"],
                _state(node),
                age(node.get("age_ms")),
                _percent(facts.get("load")),
                _percent(facts.get("battery")),
                "unknown" if heat is None else f"{heat:.0f} C",
                str(facts.get("running", 0)),
                node["id"],
            ]
        )
    headings = ["NAME", "ROLE", "STATE", "SEEN", "LOAD", "BATTERY", "HEAT", "JOBS", "ID"]
    out.result(None, *table(headings, rows))
    for node in nodes:
        if node.get("note"):
            out.note(sentence(node["note"]))
    return EXIT_DONE


def _state(node: dict[str, Any]) -> str:
    if not node.get("draining"):
        return str(node["state"])
    return f"{node['state']}, {'draining' if node['jobs'] > 0 else 'drained'}"


def run_drain(out: Output, device: str, reason: str, *, undo: bool) -> int:
    """Empty a device before it is switched off, or give it jobs again."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        found: dict[str, Any] = client.call("drain", {"device": device, "reason": reason, "undo": undo})
    name = found["device_name"]
    if undo:
        lines = [f"{name} gets jobs again." if found["changed"] else f"{name} was not drained."]
    elif found["drain"]["empty"]:
        lines = [f"{name} gets no more jobs, and has none: it can be switched off."]
    else:
        jobs = found["drain"]["jobs"]
        lines = [
            f"{name} gets no more jobs; {jobs} are being finished, or move.",
            "kindmesh nodes says drained when it can be switched off.",
        ]
    out.result(found, *lines)
    return EXIT_DONE


def run_capabilities(out: Output) -> int:
    """What the devices can do, and what is missing for the rest."""
    with connect(Home.locate(), timeout_ms=10_000) as client:
        offers: list[dict[str, Any]] = client.call("capabilities")
    if out.as_json:
        for offer in offers:
            out.result(offer)
        return EXIT_DONE
    rows, hints = [], []
    for offer in offers:
        for operation in offer["operations"]:
            state = "ready" if offer["ready"] else "missing"
            if not operation["granted"]:
                state = "not granted"
            inputs = " ".join(
                field["name"] if field["required"] else f"[{field['name']}]" for field in operation["input"]
            )
            rows.append(
                [operation["name"], offer["device_name"], state, ",".join(operation["effects"]), inputs]
            )
        if offer.get("hint"):
            hints.append(f"{offer['capability']} on {offer['device_name']}: {offer['hint']}")
    out.result(None, *table(["OPERATION", "DEVICE", "STATE", "EFFECTS", "TAKES"], rows))
    for hint in hints:
        out.note(hint)
    return EXIT_DONE


def run_stop(out: Output, reset: bool, reason: str) -> int:
    """Halt motion, actuation and speech everywhere; or let this device go on."""
    home = Home.locate()
    if reset:
        with connect_node(home) as client:
            client.call("stop.reset")
        out.result(
            {"ok": True, "reset": True}, "This device may act again. Reset the others at each of them."
        )
        return EXIT_DONE
    with connect(home, timeout_ms=10_000) as client:
        told: dict[str, Any] = client.call("stop", {"reason": reason})
    devices = ", ".join(told.get("devices", [])) or "no device"
    out.result(
        {"ok": True, **told},
        f"Stopped: {devices}.",
        "Each device stays stopped until kindmesh stop --reset is typed on it.",
    )
    return EXIT_DONE


__all__ = ["run_capabilities", "run_drain", "run_nodes", "run_stop"]
