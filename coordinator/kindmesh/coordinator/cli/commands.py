"""What all commands share: running one to its exit code, and the options that many of them take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from kindmesh.coordinator.cli.output import EXIT_INTERRUPTED, Output
from kindmesh.protocol.errors import KindmeshError, NotRunning

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
As = Annotated[
    str,
    typer.Option(
        "--as", help="Who asks, of the people with a key here; - for nobody; default: the only one."
    ),
]


def group(said: str) -> typer.Typer:
    """A command with commands of its own; `said` is its help."""
    return typer.Typer(help=said, no_args_is_help=True, rich_markup_mode=None, context_settings=HELP)


def run_command(as_json: bool, command: Callable[[Output], int]) -> None:
    """Run a command to its end, which is an exit code; a `KindmeshError` becomes one sentence with a hint."""
    out = Output(as_json)
    try:
        code = command(out)
    except KindmeshError as error:
        code = out.trouble(explained(error))
    except KeyboardInterrupt:
        out.clear()
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def explained(error: KindmeshError) -> KindmeshError:
    """What was removed from the mesh does not run, and starting it would not help."""
    if not isinstance(error, NotRunning):
        return error
    from kindmesh.mesh.home import Home
    from kindmesh.mesh.removal import removal_in

    return removal_in(Home.locate().identity) or error


__all__ = ["HELP", "As", "Json", "explained", "group", "run_command"]
