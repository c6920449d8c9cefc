"""The commands `run`, `inbox` and `answer` with their options; what they do is in `run_commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import As, Json, run_command

Values = Annotated[list[str] | None, typer.Argument(help="key=value ...; @FILE reads text from a file.")]


def run(
    file: Annotated[str, typer.Argument(help="A plan, in YAML or JSON; - reads standard input.")],
    inputs: Values = None,
    *,
    key: Annotated[str, typer.Option(help="Starting twice with the same key starts it once.")] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait; say the run's id.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry", help="Check the plan and show its graph; do nothing.")
    ] = False,
    priority: Annotated[str, typer.Option(help="emergency, interactive or background.")] = "interactive",
    purpose: Annotated[
        str, typer.Option(help="What it is for: household, care, alerts, security, maintenance, learning.")
    ] = "household",
    person: As = "",
    as_json: Json = False,
) -> None:
    """Run a plan: several steps, in order or side by side, that go on after any restart.

    Example: kindmesh run morning.yaml letter=photo.jpg
    """
    from kindmesh.coordinator.cli.run_commands import run_run

    run_command(
        as_json,
        lambda out: run_run(
            out,
            file,
            inputs or [],
            key=key,
            detach=detach,
            dry=dry,
            priority=priority,
            purpose=purpose,
            person=person,
        ),
    )


def inbox(person: As = "", as_json: Json = False) -> None:
    """List the questions of runs that wait for a person.

    Example: kindmesh inbox --json
    """
    from kindmesh.coordinator.cli.run_commands import run_inbox

    run_command(as_json, lambda out: run_inbox(out, person))


def answer(
    question: Annotated[
        str, typer.Argument(help="The question's id from kindmesh inbox, or the beginning of it.")
    ],
    values: Values = None,
    *,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Answer a question; its run goes on.

    Example: kindmesh answer 06ckm2 yes=true
    """
    from kindmesh.coordinator.cli.run_commands import run_answer

    run_command(as_json, lambda out: run_answer(out, question, values or [], person))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (run, inbox, answer):
        app.command()(command)


__all__ = ["register"]
