"""`provenance`: what the capabilities of a device count as having been given, and the owner's way back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kindmesh.coordinator.cli.commands import Json, group, run_command
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output, table

provenance = group(
    "Where the things that a device keeps count as coming from. Example: kindmesh provenance show hall"
)
Device = Annotated[str, typer.Argument(help="The device's name or id.")]


@provenance.command()
def show(device: Device, as_json: Json = False) -> None:
    """Show what each capability of a device was given at worst.

    Example: kindmesh provenance show kitchen
    """
    run_command(as_json, lambda out: run_show(out, device))


@provenance.command()
def reset(
    device: Device,
    capability: Annotated[str, typer.Argument(help="The capability, such as notes or home.")],
    as_json: Json = False,
) -> None:
    """Let what a capability keeps count as the device's own again, once you looked through it: needs the owner's
    passphrase, and is noted in the device's audit log. What is kept does not change.

    Example: kindmesh provenance reset kitchen notes
    """
    run_command(as_json, lambda out: run_reset(out, device, capability))


def run_show(out: Output, device: str) -> int:
    """One line for each capability."""
    found = _labels(device)
    labels = [{name: value for name, value in one.items() if name != "label"} for one in found["labels"]]
    rows = [[one["capability"], one["counts_as"], _when(one["reset_ms"])] for one in labels]
    lines = (
        table(["CAPABILITY", "WAS GIVEN AT WORST", "RESET"], rows)
        if rows
        else ["Nothing was given to it yet."]
    )
    out.result({"device": found["device"], "name": found["name"], "labels": labels}, *lines)
    return EXIT_DONE


def run_reset(out: Output, device: str, capability: str) -> int:
    """Shown, agreed to, signed, handed in.

    Raises:
        InvalidInput: nothing is known of that capability.
    """
    from kindmesh.coordinator.cli.local import connect
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.cli.review_approval import ask
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.mesh.home import Home
    from kindmesh.mesh.trust import Trust
    from kindmesh.protocol.codec import decode
    from kindmesh.protocol.errors import InvalidInput
    from kindmesh.protocol.ids import parse_id
    from kindmesh.protocol.label_reset import LabelReset, describe_label_reset
    from kindmesh.protocol.plan_labels import Carried
    from kindmesh.protocol.signed import signed_to_bytes

    home, found = Home.locate(), _labels(device)
    known = {one["capability"]: one["label"] for one in found["labels"]}
    if capability not in known:
        hint = f"There is: {', '.join(known)}." if known else "Nothing was given to any of its capabilities."
        raise InvalidInput(f"nothing is known of {capability[:40]!r} there", field="capability", hint=hint)
    with connect(home) as client:
        now_ms = client.call("clock")["now_ms"]
    mesh = Trust.load(home.identity).mesh
    wanted = LabelReset(
        mesh, parse_id(found["device"]), capability, decode(Carried, known[capability]), now_ms
    )
    if not ask(out, "Shall it count anew?", describe_label_reset(wanted, found["name"])):
        out.result({"ok": False, "capability": capability}, "Nothing was changed.")
        return EXIT_REFUSED
    signed = unlock_owner(home, ask_passphrase()).sign_label_reset(wanted)
    with connect(home, timeout_ms=10_000) as client:
        answer = client.call("labels.reset", {"device": found["device"], "reset": signed_to_bytes(signed)})
    del answer["label"]
    out.result(answer, f"What {capability} on {answer['name']} keeps counts as its own from now on.")
    return EXIT_DONE


def _labels(device: str) -> dict[str, Any]:
    from kindmesh.coordinator.cli.local import connect
    from kindmesh.mesh.home import Home

    with connect(Home.locate(), timeout_ms=10_000) as client:
        found: dict[str, Any] = client.call("labels", {"device": device})
    return found


def _when(ms: int) -> str:
    from kindmesh.protocol.standing import utc_text

    return utc_text(ms) if ms else "-"


__all__ = ["provenance"]
