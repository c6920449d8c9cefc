"""The commands for devices and what they can do: `nodes`, `drain`, `capabilities`, `heal`, `call`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import As, Json, run_command


def nodes(as_json: Json = False) -> None:
    """List the devices: state, when last seen, load, battery, heat.

    Example: kindmesh nodes
    """
    from kindmesh.coordinator.cli.mesh_commands import run_nodes

    run_command(as_json, run_nodes)


def drain(
    device: Annotated[str, typer.Argument(help="The device's name or id.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It gets jobs again.")] = False,
    reason: Annotated[str, typer.Option(help="Shown to whoever asks why.")] = "",
    as_json: Json = False,
) -> None:
    """Empty a device before it is switched off: nothing new goes there, what runs is finished, or moves.

    Example: kindmesh drain kitchen
    """
    from kindmesh.coordinator.cli.mesh_commands import run_drain

    run_command(as_json, lambda out: run_drain(out, device, reason, undo=undo))


def capabilities(as_json: Json = False) -> None:
    """List what the devices can do, and what is missing for the rest.

    Example: kindmesh capabilities
    """
    from kindmesh.coordinator.cli.mesh_commands import run_capabilities

    run_command(as_json, run_capabilities)


def heal(
    capability: Annotated[str, typer.Argument(help="The capability that rests; without it: which do.")] = "",
    as_json: Json = False,
) -> None:
    """Let a capability go on that rests because it kept failing; run it on the device in question.

    Example: kindmesh heal vision
    """
    from kindmesh.coordinator.cli.heal_command import run_heal

    run_command(as_json, lambda out: run_heal(out, capability))


def call(
    operation: Annotated[str, typer.Argument(help="For instance speech.render.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value ...; @FILE reads text from a file.")
    ] = None,
    *,
    save: Annotated[Path | None, typer.Option(help="Save the file that comes out.")] = None,
    on: Annotated[str, typer.Option(help="The device's name or id; default: the best one.")] = "",
    timeout: Annotated[float | None, typer.Option(help="Seconds until it is given up.")] = None,
    session: Annotated[
        bool, typer.Option("--session", help="A quick read-only call, not kept as a job.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which device would do it, and why.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Survive a power cut, not only a crash.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask here when the owner's yes is needed.")
    ] = True,
    person: As = "",
    purpose: Annotated[
        str, typer.Option(help="What it is for: household, care, alerts, security, maintenance, learning.")
    ] = "household",
    acting: Annotated[str, typer.Option(help="What acts for you: goal:NAME, limb:NAME, home:NAME.")] = "",
    as_json: Json = False,
) -> None:
    """Run one operation, wherever it is served best.

    Example: kindmesh call speech.render text="Good morning" --save morning.wav
    """
    from kindmesh.coordinator.cli.call_commands import run_call

    run_command(
        as_json,
        lambda out: run_call(
            out, operation, arguments or [], save=save, target=on, timeout_s=timeout, session=session,
            explain=explain, full=full, approve=ask, person=person, purpose=purpose, acting=acting,
        ),
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (nodes, drain, capabilities, heal, call):
        app.command()(command)


__all__ = ["register"]
