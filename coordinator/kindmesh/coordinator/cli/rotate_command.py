"""`rotate`: a new CURVE key for a device's connections, now instead of with its next renewal."""

from __future__ import annotations

from typing import Any

from kindmesh.coordinator.cli.local import connect, connect_node, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import InvalidInput, NotInitialised


def run_rotate(out: Output, device: str) -> int:
    """`device`: its name or id; empty for this one (where the coordinator runs: its node and the coordinator)."""
    home = Home.locate()
    if not (home.identity / TRUST_FILE).exists():
        raise NotInitialised()
    answers: list[dict[str, Any]] = []
    if device:
        if not is_coordinator(home):
            hint = "Run it at the coordinator, or on the device itself without a name."
            raise InvalidInput("other devices are told by the coordinator", field="device", hint=hint)
        out.progress(f"{device} makes a new key ...")
        with connect(home) as client:
            answers.append(client.call("rotate", {"device": device}))
    else:
        out.progress("making a new key ...")
        with connect_node(home) as client:
            answers.append(client.call("rotate"))
        if is_coordinator(home):
            out.progress("telling all devices the coordinator's new key ...")
            with connect(home) as client:
                answers.append(client.call("rotate"))
    for answer in answers:
        _tell(out, answer)
    return EXIT_DONE if all(answer["rotated"] for answer in answers) else EXIT_REFUSED


def _tell(out: Output, answer: dict[str, Any]) -> None:
    name = answer["name"]
    words = (
        f"{name} has a new key." if answer["rotated"] else f"{name} has no new key yet; it goes on trying."
    )
    out.result({"ok": answer["rotated"], **answer}, words)
    if answer.get("away"):
        away = ", ".join(answer["away"])
        out.note(f"Away just now: {away}. They learn the coordinator's new key by asking around for it.")


__all__ = ["run_rotate"]
