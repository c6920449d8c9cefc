"""The command `simulate` with its options; what it does is in `simulate_commands`.

Options of a run of one kind are refused in one of another kind, rather than ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import run_command
from kindmesh.coordinator.cli.output import Output
from kindmesh.protocol.errors import InvalidInput


def simulate(
    *,
    seed: Annotated[int, typer.Option(min=0, help="Which history: the same seed is the same history.")] = 1,
    seeds: Annotated[str, typer.Option(help="Several, one after the other: FIRST-LAST.")] = "",
    nodes: Annotated[int, typer.Option(min=1, max=64, help="Devices beside the coordinator.")] = 12,
    days: Annotated[float, typer.Option(help="How long, in days; 0.25 is six hours.")] = 3.0,
    directed: Annotated[
        bool,
        typer.Option("--directed", help="Kill the coordinator at every boundary of its journal instead."),
    ] = False,
    replay: Annotated[Path | None, typer.Option(help="Play a history that was saved.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Where to save the shortest history that shows a violation.")
    ] = None,
    no_shrink: Annotated[
        bool, typer.Option("--no-shrink", help="Do not look for a shorter history.")
    ] = False,
    real: Annotated[
        bool,
        typer.Option("--real", help="Real processes on this machine instead, killed and stopped at random."),
    ] = False,
    minutes: Annotated[float, typer.Option(help="How long a run with --real takes.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")] = False,
) -> None:
    """Play whole households in virtual time: devices die, links fail, disks fill; nothing may be lost or done twice.

    Nothing of your own household is touched. Exit status 1 if something happened that must not. With --real it plays on
    real processes instead.

    Example: kindmesh simulate --seed 7 --nodes 5 --days 0.25
    """
    from kindmesh.coordinator.cli import simulate_commands as commands

    def command(out: Output) -> int:
        if not real:
            wanted = commands.Wanted(seed, seeds, nodes, days, directed, replay, save, not no_shrink)
            return commands.run_simulate(out, wanted)
        if directed or replay is not None or save is not None or seeds:
            raise InvalidInput("--real goes with --seed and --minutes only", field="real")
        from kindmesh.coordinator.cli.real_commands import run_real

        return run_real(out, seed, minutes)

    run_command(as_json, command)


__all__ = ["simulate"]
