"""`label`, and what `up` does on a device that has a label and no mesh yet: wait to be adopted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from kindmesh.coordinator.cli.join_commands import knock
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, sentence
from kindmesh.coordinator.cli.setup_commands import check_name, default_name
from kindmesh.coordinator.cli.unlocking import open_folder
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.label import forget_label, load_label, make_label
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.adopt import Label, label_to_text
from kindmesh.protocol.errors import AlreadyInitialised, KindmeshError
from kindmesh.protocol.ids import format_id, key_id


def run_label(out: Output, save: Path | None, name: str) -> int:
    """Make this device's label, or show it again."""
    from kindmesh.coordinator.cli import qr
    from kindmesh.mesh.clock import SystemEntropy

    check_name(name)
    home = Home.locate()
    if (home.identity / TRUST_FILE).exists():
        hint = "A label is for a device that has no mesh yet. To pair this one again: kindmesh join."
        raise AlreadyInitialised(f"{home.root} belongs to a mesh already", hint=hint)
    home.create()
    open_folder(home)
    with home.lock("node"):
        entropy = SystemEntropy()
        identity = Identity.create(home.identity, entropy)
        known = load_label(home.identity)
        made = make_label(home.identity, identity, name or ("" if known else default_name()), entropy)
    text = label_to_text(made)
    if save is not None:
        qr.save(text, save)
    out.result(
        {"ok": True, "label": text, "name": made.name, "device": format_id(identity.device_id),
         **({"saved": os.fspath(save)} if save else {})},
        *qr.terminal_lines(text),
        text,
        "",
        f"This is the label of {made.name} ({format_id(identity.device_id)}).",
        "Whoever reads it can adopt this device as long as it has no mesh: keep it like a key until then.",
        "Next: kindmesh up here; at the coordinator: kindmesh pair --label - (or --scan)",
    )  # fmt: skip
    return EXIT_DONE


def wait_for_adoption(out: Output, home: Home, label: Label) -> None:
    """Wait until this device belongs to a mesh. Ends with the process, or returns as a member.

    Raises:
        AddressInUse, ConfigError: it cannot listen.
    """
    from kindmesh.mesh.clock import SystemEntropy

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    open_folder(home)
    with home.lock("node"):
        identity = Identity.create(home.identity, SystemEntropy())
        try:
            asyncio.run(_wait(out, home, label, identity))
        finally:
            signal.signal(signal.SIGTERM, before)
        forget_label(home.identity)
    sys.stdout.flush()


async def _wait(out: Output, home: Home, label: Label, identity: Identity) -> None:
    from kindmesh.mesh.addresses import parse_address
    from kindmesh.mesh.adopt import Adoptable
    from kindmesh.mesh.adopt_machine import TurnedAway
    from kindmesh.mesh.announcement import NO_MESH, Presence
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.mesh.discovery import Discovery, own_addresses
    from kindmesh.mesh.zmq_transport import ZmqTransport
    from kindmesh.node.config import load_config

    mesh = load_config(home.config_file, os.environ).mesh
    host = f"[{mesh.listen}]" if ":" in mesh.listen and not mesh.listen.startswith("[") else mesh.listen

    def turned_away(event: TurnedAway) -> None:
        more = "Nobody is answered any more until kindmesh up starts again." if not event.left else ""
        out.event(
            {"event": "turned_away", "code": event.error.code, "message": event.error.message, "left": event.left},
            f"Somebody was turned away: {sentence(event.error.message)} {more}".rstrip(),
        )  # fmt: skip

    async with AsyncExitStack() as stack:
        waiting = await stack.enter_async_context(
            Adoptable(
                label,
                identity.curve,
                transport=ZmqTransport(),
                address=f"tcp://{host}:{mesh.port + 1}",
                entropy=SystemEntropy(),
                watch=turned_away,
            )
        )
        bound = parse_address(waiting.address)
        anywhere = bound.host in ("0.0.0.0", "*", "::")  # noqa: S104 - compared, not bound
        hosts = own_addresses() if anywhere else [bound.host]
        places = [f"[{one}]:{bound.port}" if ":" in one else f"{one}:{bound.port}" for one in hosts]
        discovery = Discovery(NO_MESH, identity.device_id, mdns=mesh.mdns)
        await discovery.start()
        stack.push_async_callback(discovery.close)
        await discovery.announce(
            Presence(
                device=identity.device_id,
                mesh=NO_MESH,
                role="waiting",
                port=bound.port,
                hosts=() if anywhere else (bound.host,),
            )
        )
        device = format_id(key_id(label.ed_pub))
        found = "" if discovery.problem else " It announces itself."
        out.event(
            {
                "event": "waiting",
                "name": label.name,
                "device": device,
                "at": places,
                "mdns": not discovery.problem,
            },
            f"{label.name} ({device}) waits to be adopted at {', '.join(places)}.{found}",
            "At the coordinator: kindmesh pair --label - (its label's text), or --scan with a camera.",
        )
        while True:
            invitation = await waiting.invitation()
            out.event(
                {"event": "invited", "mesh": format_id(invitation.mesh)}, "Somebody with the label came."
            )
            try:
                await knock(home, invitation, identity, label.name, lambda _: None)
            except KindmeshError as error:
                out.event(
                    {"event": "not_adopted", "code": error.code, "message": error.message},
                    f"Not adopted: {sentence(error.message)} Waiting for the next.",
                )
                waiting.again()
                continue
            out.event({"event": "adopted", "mesh": format_id(invitation.mesh)}, "Adopted.")
            return


__all__ = ["run_label", "wait_for_adoption"]
