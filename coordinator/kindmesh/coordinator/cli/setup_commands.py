"""`init` and `up`: making a mesh, and running what this device is."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from kindmesh.coordinator.cli.area_app import check_area, keep_area
from kindmesh.coordinator.cli.kit import check_place, put_kit
from kindmesh.coordinator.cli.local import is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, Output
from kindmesh.mesh.home import Home
from kindmesh.mesh.secrecy import OWNERS_VARIABLE, guard_process, hand_on_only
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput, NotInitialised
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import NAME_MAX

JOIN_PATIENCE_S = 900.0
_HOST: Final = re.compile(r"[\w.-]+|\*|\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[0-9A-Fa-f:.]+(%[\w.-]+)?")


def default_name() -> str:
    """The host's name without its domain."""
    return socket.gethostname().split(".")[0][:48] or "device"


def run_init(out: Output, name: str, owner_name: str, kit: Path | None, area: str = "") -> int:
    """Make a mesh in this state folder."""
    from kindmesh.coordinator.cli.passphrase import new_passphrase
    from kindmesh.coordinator.cli.unlocking import open_folder
    from kindmesh.coordinator.heart.schedules.zones import own_zone
    from kindmesh.coordinator.new_mesh import create_mesh

    home = Home.locate()
    if (home.identity / TRUST_FILE).exists():
        raise AlreadyInitialised(f"{home.root} belongs to a mesh already")
    check_name(name)
    check_name(owner_name)
    check_area(area)
    if kit is not None:
        check_place(kit)
    if home.exists():
        open_folder(home)
    passphrase = new_passphrase()
    out.progress("making keys ...")
    made = create_mesh(
        home, passphrase, name or default_name(), owner_name=owner_name, zone=own_zone(os.environ)
    )
    if area:
        keep_area(home, area)
    shown = put_kit(out, made.recovery_kit, kit)
    out.result(
        {"ok": True, "mesh": format_id(made.mesh), "device": format_id(made.node), "home": os.fspath(home.root),
         "recovery_kit": os.fspath(shown.text), "recovery_qr": os.fspath(shown.picture)},
        f"Your mesh is {format_id(made.mesh)}.",
        f"It lives in {home.root}.",
        "",
        f"The recovery kit is in {shown.text}, as a picture in {shown.picture}.",
        "Print it, put it away, then delete the files: it holds the mesh's root, which is nowhere else.",
        "",
        "Next: kindmesh up    (and in another terminal: kindmesh pair)",
    )  # fmt: skip
    return EXIT_DONE


def near_host(listen: str) -> str:
    """How a program on the same machine reaches what listens at host `listen`."""
    bare = listen.removeprefix("[").removesuffix("]")
    if bare in ("0.0.0.0", "*"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{'::1' if bare == '::' else bare}]" if ":" in bare else bare


def listening(address: str) -> tuple[str, int]:
    """Host and port of `host:port`; an IPv6 host has brackets, or none.

    Raises:
        InvalidInput: it is not that. Port 65535 is not for it: the door for new devices is the next one.
    """
    host, _, port = address.rpartition(":")
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65_535:
        raise InvalidInput(
            f"{address[:80]!r} is not host:port", field="listen", hint="For instance 0.0.0.0:7437."
        )
    return host, int(port)


def check_name(name: str) -> None:
    """Refuse a name that could not be shown; empty is for the default.

    Raises:
        InvalidInput.
    """
    if name and not (name.strip() and name.isprintable() and len(name) <= NAME_MAX):
        raise InvalidInput(f"a name has 1 to {NAME_MAX} printable characters", field="name")


def run_up(out: Output, listen: str) -> int:
    """Run what this device is: coordinator with Medulla and node, or a node."""
    home = Home.locate()
    if is_coordinator(home):
        from kindmesh.coordinator.cli.unlocking import unlock_folder
        from kindmesh.coordinator.launcher import launch
        from kindmesh.node.config import load_config

        config = load_config(home.config_file, os.environ)
        mesh = config.mesh
        address = listen or f"{mesh.listen}:{mesh.port}"
        host, port = listening(address)
        # This device's node knows where its coordinator is: next door.
        os.environ.setdefault("KINDMESH_MESH_SEEDS", f"{near_host(host)}:{port}")
        return launch(
            home,
            as_json=out.as_json,
            options={"coordinator": ["--listen", address]},
            anchor=config.audit.anchor,
            folders=config.node.folders,
            unlock=unlock_folder,
        )
    if not (home.identity / TRUST_FILE).exists():
        from kindmesh.mesh.label import load_label

        label = load_label(home.identity)
        if label is None:
            raise NotInitialised()
        from kindmesh.coordinator.cli.label_commands import wait_for_adoption

        wait_for_adoption(out, home, label)
    from kindmesh.mesh.removal import removal_in

    gone = removal_in(home.identity)
    if gone is not None:
        raise gone
    return _become_node(home, as_json=out.as_json)


def _become_node(home: Home, *, as_json: bool) -> NoReturn:
    """In place of this process: what the command line needed for its looks would stay in a node's memory for ever."""
    from kindmesh.coordinator.cli.unlocking import unlock_folder
    from kindmesh.mesh import begin
    from kindmesh.mesh.key_conversion import clear_leftovers
    from kindmesh.mesh.key_files import give_keys

    sys.stdout.flush()
    words = [*begin.command("kindmesh.node.process"), "--home", os.fspath(home.root)]
    words += ["--json"] if as_json else []
    guard_process()
    opened = unlock_folder(home)
    clear_leftovers(home)
    kept = []
    if opened is not None:
        kept = [give_keys(opened.parts("node"))]
        words += ["--keys-fd", str(kept[0])]
    hand_on_only(kept)
    environment = {name: value for name, value in os.environ.items() if name != OWNERS_VARIABLE}
    os.execve(sys.executable, [sys.executable, *words], environment)  # noqa: S606 - no shell is the point


def device_of(home: Home) -> str:
    """The formatted id of the device in this state folder.

    Raises:
        NotInitialised.
    """
    from kindmesh.mesh.trust import Trust

    return format_id(key_id(Trust.load(home.identity).certificate.ed_pub))


__all__ = [
    "check_name",
    "default_name",
    "device_of",
    "listening",
    "near_host",
    "run_init",
    "run_up",
]
