"""`recover`: what the recovery kit is for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from kindmesh.coordinator.cli.kit import check_place, put_kit
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput, NotInitialised
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.manifest import EFFECT_WORDS, parse_effects

KIT_BYTES = 65_536


def read_kit(source: str) -> str:
    """The text of a kit: a file, or standard input for `-`.

    Raises:
        InvalidInput: it cannot be read, or is no text.
    """
    try:
        if source == "-":
            return sys.stdin.read(KIT_BYTES)
        with Path(source).open("rb") as file:
            return file.read(KIT_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        why = (
            error.strerror
            if isinstance(error, OSError)
            else "it is no text; type the lines of the sheet into a file"
        )
        raise InvalidInput(f"{source} cannot be read: {why}", field="kit") from error


def no_kit(out: Output) -> int:
    """What is said when no kit was named.

    Raises:
        InvalidInput: always.
    """
    del out
    hint = "kindmesh recover KIT_FILE, or kindmesh recover - to type its lines."
    raise InvalidInput("which recovery kit?", field="kit", hint=hint)


def run_check(out: Output, kit: str) -> int:
    """Say whether a sheet and a passphrase are good."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.recovery import check_kit

    text = read_kit(kit)
    found = check_kit(text, ask_passphrase())
    out.result(
        {"ok": True, "mesh": format_id(found.mesh)},
        f"This kit and this passphrase are good, for the mesh {format_id(found.mesh)}.",
        "Nothing was changed.",
    )
    return EXIT_DONE


def _asked(out: Output, kit: str, *, new_passphrase: bool, new_kit: Path | None) -> tuple[str, str, str]:
    """What every use of the kit begins with: the kit's text, its passphrase, and the new passphrase (empty: the same).

    Raises:
        InvalidInput, WrongPassphrase: what was given cannot be used; nothing was opened yet.
    """
    from kindmesh.coordinator.cli.passphrase import ask_passphrase, changed_passphrase

    if new_kit is not None:
        check_place(new_kit)
    text = read_kit(kit)
    passphrase = ask_passphrase()
    chosen = changed_passphrase() if new_passphrase else ""
    out.progress("opening the kit and making keys ...")
    return text, passphrase, chosen


def run_recover(
    out: Output,
    kit: str,
    name: str,
    owner_name: str,
    *,
    days: int,
    new_passphrase: bool,
    new_kit: Path | None,
) -> int:
    """Make the mesh's coordinator anew in this state folder."""
    from kindmesh.coordinator.cli.setup_commands import check_name, default_name
    from kindmesh.coordinator.recovery import recover_mesh

    home = Home.locate()
    if (home.identity / TRUST_FILE).exists():
        hint = "Choose a new state folder with KINDMESH_HOME, or use kindmesh recover on a new device."
        raise AlreadyInitialised(f"{home.root} belongs to a mesh already", hint=hint)
    check_name(name)
    check_name(owner_name)
    text, passphrase, chosen = _asked(out, kit, new_passphrase=new_passphrase, new_kit=new_kit)
    made = recover_mesh(
        home,
        text,
        passphrase,
        name or default_name(),
        owner_name=owner_name,
        new_passphrase=chosen,
        recall_days=days,
    )
    shown = put_kit(out, made.recovery_kit, new_kit)
    back = (
        f"All devices that were not removed come back by themselves within {days} days, once they find this one."
        if days
        else "You are asked about each device that comes back: kindmesh recover --waiting"
    )
    out.result(
        {"ok": True, "mesh": format_id(made.mesh), "device": format_id(made.node), "home": os.fspath(home.root),
         "recovery_kit": os.fspath(shown.text), "recovery_qr": os.fspath(shown.picture), "days": days},
        f"Your mesh {format_id(made.mesh)} has a new coordinator, in {home.root}.",
        "The lost one has no say any more.",
        "",
        f"A new recovery kit is in {shown.text}, as a picture in {shown.picture}.",
        "Print it in place of the old one, then delete the files.",
        "",
        back,
        "",
        "Next: kindmesh up",
    )  # fmt: skip
    return EXIT_DONE


def run_rotate_owner(
    out: Output, kit: str, owner_name: str, *, new_passphrase: bool, new_kit: Path | None
) -> int:
    """Replace the owner's key of the coordinator in this state folder."""
    from kindmesh.coordinator.recovery import rotate_owner

    home = Home.locate()
    text, passphrase, chosen = _asked(out, kit, new_passphrase=new_passphrase, new_kit=new_kit)
    made = rotate_owner(home, text, passphrase, owner_name=owner_name, new_passphrase=chosen)
    shown = put_kit(out, made.recovery_kit, new_kit)
    out.result(
        {"ok": True, "mesh": format_id(made.mesh), "owner": format_id(made.owner),
         "recovery_kit": os.fspath(shown.text), "recovery_qr": os.fspath(shown.picture)},
        "The owner has a new key; the old one has no say any more.",
        f"A new recovery kit is in {shown.text}, as a picture in {shown.picture}.",
        "Print it in place of the old one, then delete the files.",
        "",
        "Next: kindmesh up",
    )  # fmt: skip
    return EXIT_DONE


def run_second(out: Output, kit: str, owner_name: str, *, new_passphrase: bool, new_kit: Path | None) -> int:
    """Make the member's device in this state folder a second coordinator."""
    from kindmesh.coordinator.second import make_second

    home = Home.locate()
    text, passphrase, chosen = _asked(out, kit, new_passphrase=new_passphrase, new_kit=new_kit)
    made = make_second(home, text, passphrase, owner_name=owner_name, new_passphrase=chosen)
    shown = put_kit(out, made.recovery_kit, new_kit)
    out.result(
        {"ok": True, "mesh": format_id(made.mesh), "coordinator": format_id(made.coordinator),
         "recovery_kit": os.fspath(shown.text), "recovery_qr": os.fspath(shown.picture)},
        "This device is a second coordinator of your mesh.",
        "Devices turn to it when the first one stays away. Jobs are not shared between the two.",
        f"A new recovery kit is in {shown.text}, as a picture in {shown.picture}.",
        "Print it in place of the old one, then delete the files.",
        "",
        "Next: kindmesh up",
    )  # fmt: skip
    return EXIT_DONE


def run_waiting(out: Output) -> int:
    """Ask the owner about each device of before that waits, and sign for those that may come back."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.protocol.certificate import CapabilityGrant
    from kindmesh.protocol.signed import signed_to_bytes

    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised(
            "this is answered at the coordinator", hint="Run it where kindmesh recover was used."
        )
    with connect(home) as client:
        waiting: list[dict[str, Any]] = client.call("readmit.waiting")
        if not waiting:
            out.result({"ok": True, "waiting": 0}, "No device waits to be let in again.")
            return EXIT_DONE
        owner = unlock_owner(home, ask_passphrase())
        refused = 0
        for device in waiting:
            shown = {key: device[key] for key in ("device", "name", "roles", "capabilities")}
            out.event({"event": "waiting", **shown}, *_describe(device))
            out.clear()
            sys.stderr.write("Let it in again, as what it was? (yes or no): ")
            sys.stderr.flush()
            yes = sys.stdin.readline().strip().lower() in ("y", "yes")
            grant = None
            if yes:
                grant = signed_to_bytes(
                    owner.sign_grant(
                        name=device["name"],
                        ed_pub=device["ed_pub"],
                        curve_pub=device["curve_pub"],
                        roles=tuple(device["roles"]),
                        capabilities=tuple(
                            CapabilityGrant(one["capability"], int(parse_effects(one["effects"])))
                            for one in device["capabilities"]
                        ),
                    )
                )
            answer = client.call("readmit.answer", {"device": device["device"], "grant": grant})
            refused += not yes
            out.event(
                {"event": "answered", "device": device["device"], **answer},
                f"{device['name']} is let in when it asks again, in a minute at most."
                if yes
                else "Sent away.",
            )
    out.result({"ok": True, "waiting": len(waiting), "refused": refused})
    return EXIT_DONE if refused < len(waiting) else EXIT_REFUSED


def _describe(device: dict[str, Any]) -> list[str]:
    lines = [f"{device['name']} ({device['device']}) was a member before. It could:"]
    for grant in device["capabilities"]:
        effects = parse_effects(grant["effects"])
        words = "; ".join(words for effect, words in EFFECT_WORDS.items() if effects & effect)
        lines.append(f"  {grant['capability']:<10} {words}")
    return lines


__all__ = ["no_kit", "read_kit", "run_check", "run_recover", "run_rotate_owner", "run_second", "run_waiting"]
