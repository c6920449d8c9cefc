"""The commands that make a mesh and let devices in: `init`, `recover`, `up`, `pair`, `join`, `label`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.area_app import AREA_HELP
from kindmesh.coordinator.cli.commands import Json, run_command
from kindmesh.coordinator.cli.output import Output


def init(
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    owner: Annotated[str, typer.Option(help="What to call the owner.")] = "owner",
    kit: Annotated[Path | None, typer.Option(help="Where to put the recovery kit.")] = None,
    area: Annotated[str, typer.Option(help=AREA_HELP)] = "",
    as_json: Json = False,
) -> None:
    """Make a new mesh, with this device as its coordinator.

    Example: kindmesh init --name desk
    """
    from kindmesh.coordinator.cli.setup_commands import run_init

    run_command(as_json, lambda out: run_init(out, name, owner, kit, area))


def recover(
    kit: Annotated[
        str, typer.Argument(help="The kit's file (sheet or QR text); - reads standard input.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    owner: Annotated[str, typer.Option(help="What to call the owner.")] = "owner",
    days: Annotated[
        int, typer.Option(help="How long devices of before are let in again without a question.")
    ] = 30,
    *,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="You are asked about each device that comes back.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether kit and passphrase are good.")
    ] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Answer devices of before that wait for your yes.")
    ] = False,
    rotate_owner: Annotated[
        bool, typer.Option("--rotate-owner", help="Replace the owner's key of the coordinator that is here.")
    ] = False,
    second: Annotated[
        bool, typer.Option("--second", help="Make this member's device a second coordinator.")
    ] = False,
    new_passphrase: Annotated[
        bool, typer.Option("--new-passphrase", help="Choose another passphrase for the new keys.")
    ] = False,
    new_kit: Annotated[Path | None, typer.Option(help="Where to put the new recovery kit.")] = None,
    as_json: Json = False,
) -> None:
    """Make a lost coordinator anew from the recovery kit; all devices come back to it.

    Example: kindmesh recover kit.txt --name attic
    """
    from kindmesh.coordinator.cli import recover_commands as commands

    if waiting:
        run_command(as_json, commands.run_waiting)
    if not kit:
        run_command(as_json, commands.no_kit)
    if check:
        run_command(as_json, lambda out: commands.run_check(out, kit))
    if rotate_owner or second:
        change = commands.run_rotate_owner if rotate_owner else commands.run_second
        run_command(
            as_json, lambda out: change(out, kit, owner, new_passphrase=new_passphrase, new_kit=new_kit)
        )
    allowed = 0 if stolen else days
    run_command(
        as_json,
        lambda out: commands.run_recover(
            out, kit, name, owner, days=allowed, new_passphrase=new_passphrase, new_kit=new_kit
        ),
    )


def up(
    listen: Annotated[str, typer.Option(help="host:port to listen at; default from config.toml.")] = "",
    as_json: Json = False,
) -> None:
    """Run Kindmesh on this device until it is told to stop (Ctrl-C).

    Example: kindmesh up
    """
    from kindmesh.coordinator.cli.setup_commands import run_up

    run_command(as_json, lambda out: run_up(out, listen))


def pair(
    minutes: Annotated[float, typer.Option(help="How long the window is open, at most 15.")] = 5.0,
    role: Annotated[str, typer.Option(help="node or bridge.")] = "node",
    save: Annotated[
        Path | None, typer.Option(help="Also save the QR code (.png or .svg), while the window is open.")
    ] = None,
    *,
    typed: Annotated[
        bool, typer.Option("--typed", help="Two words and four digits instead of a QR code.")
    ] = False,
    label: Annotated[
        str, typer.Option(help="Adopt the device with this label (its KL1: text, - or @FILE).")
    ] = "",
    scan: Annotated[str, typer.Option(help="Read the label from a picture (FILE) or the camera.")] = "",
    at: Annotated[str, typer.Option(help="Where the device with the label waits, host or host:port.")] = "",
    as_json: Json = False,
) -> None:
    """Let another device in: shows a QR code, asks you about whoever knocks.

    Example: kindmesh pair --typed
    """
    from kindmesh.coordinator.cli.pair_commands import run_pair

    run_command(
        as_json,
        lambda out: run_pair(out, minutes, role, save, typed=typed, label=label, scan=scan, at=at),
    )


def join(
    text: Annotated[
        str, typer.Argument(help="The text of the invitation; - reads it from standard input.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    *,
    scan: Annotated[str, typer.Option(help="Read the QR code from a picture (FILE) or the camera.")] = "",
    code: Annotated[str, typer.Option(help="The typed code of kindmesh pair --typed; - reads it.")] = "",
    at: Annotated[
        str, typer.Option(help="Where the typed code is shown, host or host:port; default: found by mDNS.")
    ] = "",
    area: Annotated[str, typer.Option(help=AREA_HELP)] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="As a new device (it was removed); keeps what it was before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Join the mesh that an invitation is for.

    Example: kindmesh join --code "maple otter 4821"
    """
    from kindmesh.coordinator.cli.fresh import run_fresh
    from kindmesh.coordinator.cli.join_commands import run_join

    def joining(out: Output) -> int:
        return run_join(out, text, name, area, scan=scan, code=code, at=at)

    run_command(as_json, lambda out: run_fresh(out, fresh, lambda: joining(out)))


def label(
    save: Annotated[Path | None, typer.Option(help="Also save the QR code (.png or .svg), to print.")] = None,
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    as_json: Json = False,
) -> None:
    """Make the label of a device without a screen: whoever reads it can adopt the device. Then start
    kindmesh up here, and kindmesh pair --label where the coordinator is.

    Example: kindmesh label --name hall --save label.svg
    """
    from kindmesh.coordinator.cli.label_commands import run_label

    run_command(as_json, lambda out: run_label(out, save, name))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (init, recover, up, pair, join, label):
        app.command()(command)


__all__ = ["register"]
