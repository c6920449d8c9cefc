"""The commands `home ...` with their options; what they do is in `home_commands`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import As, Json, group, run_command

home = group("The home: rooms, lights, locks, lists; what they are, what they did, what they shall do.")

On = Annotated[
    str, typer.Option("--on", help="The device that keeps the home; needed only if there are several.")
]
Ask = Annotated[bool, typer.Option("--ask/--no-ask", help="Ask here when the owner's yes is needed.")]


@home.command()
def load(
    file: Annotated[Path, typer.Argument(help="The inventory, YAML or JSON.")],
    *,
    dry: Annotated[bool, typer.Option("--dry", help="Only check it and show what would change.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take all states from the file, also of what is there already.")
    ] = False,
    on: On = "",
    ask: Ask = True,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Take over an inventory; kindmesh home undo goes back. What the file does not change keeps its state.

    Example: kindmesh home load home.yaml
    """
    from kindmesh.coordinator.cli import home_commands as commands

    where = commands.Where(on, person, ask)
    run_command(as_json, lambda out: commands.run_load(out, where, file, dry=dry, fresh=fresh))


@home.command()
def undo(*, on: On = "", ask: Ask = True, person: As = "", as_json: Json = False) -> None:
    """Go back to the home before the last load; once more goes forward again.

    Example: kindmesh home undo
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_undo(out, commands.Where(on, person, ask)))


@home.command("list")
def list_(
    area: Annotated[str, typer.Option(help="Only in this area or on this floor (id or name).")] = "",
    domain: Annotated[str, typer.Option(help="Only of this kind: light, lock, sensor ...")] = "",
    *,
    on: On = "",
    person: As = "",
    as_json: Json = False,
) -> None:
    """List things with their states.

    Example: kindmesh home list --area kitchen
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_list(out, commands.Where(on, person), area, domain))


@home.command()
def show(
    entity: Annotated[str, typer.Argument(help="Its id or its name.")],
    *,
    on: On = "",
    person: As = "",
    as_json: Json = False,
) -> None:
    """Show one thing: state, attributes, and what can be done with it.

    Example: kindmesh home show light.kitchen
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_show(out, commands.Where(on, person), entity))


@home.command("set")
def set_(
    entity: Annotated[str, typer.Argument(help="Its id or its name.")],
    state: Annotated[str, typer.Argument(help="on, off, closed, locked, 40 (percent), 21.5 (degrees) ...")],
    *,
    on: On = "",
    ask: Ask = True,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Make one thing so.

    Example: kindmesh home set light.kitchen 40
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_set(out, commands.Where(on, person, ask), entity, state))


@home.command()
def tell(
    entity: Annotated[str, typer.Argument(help="A sensor or the like: its id or its name.")],
    state: Annotated[str, typer.Argument(help="What it says: 21.5, on, home, unavailable ...")],
    attributes: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    *,
    on: On = "",
    ask: Ask = True,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Tell what a sensor says; what can be switched is not told but set.

    Example: kindmesh home tell sensor.outside_temperature 21.5
    """
    from kindmesh.coordinator.cli import home_commands as commands

    where = commands.Where(on, person, ask)
    run_command(as_json, lambda out: commands.run_tell(out, where, entity, state, attributes or []))


@home.command()
def call(
    service: Annotated[str, typer.Argument(help="As Home Assistant names it: light.turn_on.")],
    entities: Annotated[str, typer.Argument(help="Ids or names, separated by commas.")],
    data: Annotated[list[str] | None, typer.Argument(help="key=value ...")] = None,
    *,
    on: On = "",
    ask: Ask = True,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Call a service.

    Example: kindmesh home call light.turn_on light.kitchen,light.hall brightness_pct=40
    """
    from kindmesh.coordinator.cli import home_commands as commands

    where = commands.Where(on, person, ask)
    run_command(as_json, lambda out: commands.run_call(out, where, service, entities, data or []))


@home.command()
def history(
    entity: Annotated[str, typer.Argument(help="Only of this one: its id or name.")] = "",
    count: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 30,
    *,
    on: On = "",
    person: As = "",
    as_json: Json = False,
) -> None:
    """Show what changed, the latest first.

    Example: kindmesh home history lock.front_door
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_history(out, commands.Where(on, person), entity, count))


@home.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; default: standard output.")] = None,
    *,
    on: On = "",
    person: As = "",
    as_json: Json = False,
) -> None:
    """Write the home as an inventory, with the states it has now.

    Example: kindmesh home export home.yaml
    """
    from kindmesh.coordinator.cli import home_commands as commands

    run_command(as_json, lambda out: commands.run_export(out, commands.Where(on, person), file))


__all__ = ["home"]
