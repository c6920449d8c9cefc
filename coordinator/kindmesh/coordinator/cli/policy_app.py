"""The commands of `policy` that are about rules in Cedar, added to those of `people_app`."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from kindmesh.coordinator.cli.commands import Json, run_command
from kindmesh.coordinator.cli.people_app import Yes, policy
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.roles import PURPOSES, Purpose

File = Annotated[str, typer.Argument(metavar="FILE.cedar", help="Rules in Cedar; - reads standard input.")]


@policy.command()
def rules(as_json: Json = False) -> None:
    """Show the rules in Cedar that are in force. Example: kindmesh policy rules > rules.cedar"""
    from kindmesh.coordinator.cli.rules_commands import run_show_rules

    run_command(as_json, run_show_rules)


@policy.command()
def starter(as_json: Json = False) -> None:
    """Print rules to begin with, which change nothing yet. Example: kindmesh policy starter > rules.cedar"""
    from kindmesh.coordinator.cli.rules_commands import run_starter

    run_command(as_json, run_starter)


@policy.command()
def check(file: File, as_json: Json = False) -> None:
    """Look through rules: what is wrong is told with its line and what to write; the exit code is 2 then.

    Example: kindmesh policy check rules.cedar
    """
    from kindmesh.coordinator.cli.rules_commands import run_check

    run_command(as_json, lambda out: run_check(out, file))


@policy.command()
def load(file: File, yes: Yes = False, as_json: Json = False) -> None:
    """Take over rules, in place of those before: shows what changes, then asks for the owner's passphrase.

    Example: kindmesh policy load rules.cedar
    """
    from kindmesh.coordinator.cli.rules_commands import run_load

    run_command(as_json, lambda out: run_load(out, file, yes))


@policy.command()
def remove(yes: Yes = False, as_json: Json = False) -> None:
    """Take all rules in Cedar away; the policy stays. Example: kindmesh policy remove"""
    from kindmesh.coordinator.cli.rules_commands import run_remove

    run_command(as_json, lambda out: run_remove(out, yes))


@policy.command("try")
def try_(
    operation: Annotated[str, typer.Argument(help="An operation, or a service: notes.append, lock.unlock.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Its values.")] = None,
    *,
    who: Annotated[str, typer.Option("--as", help="A role, a person, or NAME:ROLE.")] = "owner",
    at: Annotated[str, typer.Option(help="When: 22:30, or 2026-11-27T22:30; default: now.")] = "",
    device: Annotated[str, typer.Option(help="The device that does it.")] = "",
    file: Annotated[str, typer.Option("--rules", help="Rules of a file; default: those in force.")] = "",
    purpose: Annotated[str, typer.Option(help="What for: household, care, ...")] = "household",
    said: Annotated[bool, typer.Option("--said", help="Their proven words say exactly this.")] = False,
    present: Annotated[bool, typer.Option("--present", help="They are proven to be at home.")] = False,
    as_json: Json = False,
) -> None:
    """Say what would be answered, and which rule decides it. Nothing is done.

    Examples:
      kindmesh policy try lock.unlock entities=lock.front_door --as guest --at 22:30
      kindmesh policy try notes.append text=milk --as resident --rules rules.cedar
    """
    from kindmesh.coordinator.cli.rules_try import Tried, run_try

    def tried() -> Tried:
        found: Purpose | None = next((one for one in PURPOSES if one == purpose), None)
        if found is None:
            hint = f"One of {', '.join(get_args(Purpose))}."
            raise InvalidInput(f"{purpose[:40]!r} is no purpose", field="purpose", hint=hint)
        return Tried(operation, tuple(words or ()), who, at, device, file, found, said, present)

    run_command(as_json, lambda out: run_try(out, tried()))


__all__ = ["policy"]
