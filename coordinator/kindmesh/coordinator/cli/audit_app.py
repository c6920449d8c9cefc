"""The commands `audit` with their options; what they do is in `audit_commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, group, run_command

audit = group("What was decided and done, in logs that nobody can change without being noticed.")


@audit.command("show")
def audit_show(
    device: Annotated[str, typer.Option(help="Only this device, by name or id.")] = "",
    *,
    log: Annotated[str, typer.Option(help="Only this kind of log: coordinator, medulla or node.")] = "",
    since: Annotated[str, typer.Option(help="Only what is newer: 30m, 12h, 2d.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind of entry, for instance permit or effect.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    as_json: Json = False,
) -> None:
    """Show entries of the audit logs, oldest first.

    Example: kindmesh audit show --since 2d --kind permit
    """
    from kindmesh.coordinator.cli.audit_commands import run_show

    run_command(
        as_json,
        lambda out: run_show(out, device=device, log=log, since=since, kind=kind, limit=limit, follow=follow),
    )


@audit.command("verify")
def audit_verify(
    file: Annotated[Path | None, typer.Option(help="An exported file instead of the logs here.")] = None,
    mesh: Annotated[str, typer.Option(help="With --file: the id of the mesh it has to be of.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also the logs of all devices that are reachable.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that no entry was changed, removed, moved, added or cut off; says which log and which entry.

    Example: kindmesh audit verify --all
    """
    from kindmesh.coordinator.cli.audit_commands import run_verify

    run_command(as_json, lambda out: run_verify(out, file, mesh, everything=everything))


@audit.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also the logs of all devices that are reachable.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the audit logs into one file, to be verified anywhere.

    Example: kindmesh audit export march.jsonl
    """
    from kindmesh.coordinator.cli.audit_commands import run_export

    run_command(as_json, lambda out: run_export(out, file, everything=everything))


@audit.command("accept")
def audit_accept(
    device: Annotated[str, typer.Argument(help="Whose log: a device's name or id, or Medulla.")],
    as_json: Json = False,
) -> None:
    """After you looked into an alarm (say, a device was restored from a backup): witness its log anew.

    Example: kindmesh audit accept phone
    """
    from kindmesh.coordinator.cli.audit_commands import run_accept

    run_command(as_json, lambda out: run_accept(out, device))


__all__ = ["audit"]
