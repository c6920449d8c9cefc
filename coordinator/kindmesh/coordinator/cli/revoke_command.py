"""`revoke`: removing a member, said before and told after."""

from __future__ import annotations

import sys
from typing import Any, Final

from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import InvalidInput, NotInitialised

_DEVICE: Final = (
    "it is refused at once, also where it is connected now; its jobs end or move;",
    "its key never counts again. It can come back as a new device: kindmesh join --fresh there.",
)
_PERSON: Final = (
    "nothing that they ask is done any more, from any of their devices, at once;",
    "the devices stay in the mesh. To have them back, invite them again: kindmesh people invite.",
)


def run_revoke(out: Output, device: str, *, yes: bool = False) -> int:
    """Remove a member from the mesh; on a terminal, ask first (unless `yes`)."""
    from kindmesh.coordinator.cli.as_person import person_named
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.cli.people_commands import run_remove
    from kindmesh.coordinator.cli.setup_commands import device_of
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.protocol.ids import parse_id
    from kindmesh.protocol.signed import signed_to_bytes

    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised("members are removed at the coordinator")
    with connect(home, timeout_ms=10_000) as client:
        nodes: list[dict[str, Any]] = client.call("nodes")
        known = any(device in (node["id"], node["name"]) for node in nodes)
        person = None if known else person_named(client, device)
        if person is not None:
            if not yes and not _confirmed(out, f"{person['name']} ({person['role']})", _PERSON):
                return _unchanged(out)
            return run_remove(out, device, "")
        node = _find(nodes, device, device_of(home))
        if not yes and not _confirmed(out, f"{node['name']} ({node['id']}, {node['state']})", _DEVICE):
            return _unchanged(out)
        removal = unlock_owner(home, ask_passphrase()).sign_removal(parse_id(node["id"]))
        answer: dict[str, Any] = client.call("revoke", {"removal": signed_to_bytes(removal)})
    told, missed = answer.get("told", []), answer.get("not_reached", [])
    out.result(
        {"ok": True, "removed": [node["name"]], "device": node["id"], "name": node["name"], "told": told,
         "not_reached": missed, "within_ms": answer.get("within_ms")},
        f"{node['name']} was removed.",
        *([f"Told: {', '.join(told)}."] if told else []),
        *([f"Not reached: {', '.join(missed)}. They are told when they are back."] if missed else []),
    )  # fmt: skip
    return EXIT_DONE


def _find(nodes: list[dict[str, Any]], device: str, own: str) -> dict[str, Any]:
    found = [node for node in nodes if device in (node["id"], node["name"])]
    if len(found) != 1:
        wrong = "more than one device has" if found else "nobody and no device has"
        raise InvalidInput(
            f"{wrong} the name {device!r}", field="device", hint="Use the id from kindmesh nodes."
        )
    if found[0]["role"] == "coordinator" or found[0]["id"] == own:
        raise InvalidInput(
            "the coordinator cannot remove itself: nobody would be left to say who belongs to the mesh",
            field="device",
            hint="To move the coordinator to another device: kindmesh recover there, with the recovery kit.",
        )
    return found[0]


def _confirmed(out: Output, who: str, meaning: tuple[str, ...]) -> bool:
    if out.as_json or not sys.stdin.isatty():
        return True
    out.note(f"{who} will be removed for ever:")
    for line in meaning:
        out.note(f"  {line}")
    sys.stderr.write("Remove? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _unchanged(out: Output) -> int:
    out.result({"ok": False, "removed": []}, "Nothing was changed.")
    return EXIT_REFUSED


__all__ = ["run_revoke"]
