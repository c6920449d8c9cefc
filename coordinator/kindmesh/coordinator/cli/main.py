"""The command line: which commands there are, and reading one to its end.

The commands and their options are in the modules `*_app` next to this one; what they do is in others, imported when
they run. Every command takes `--json`. A `KindmeshError` becomes one sentence with a hint (or one JSON object) and an
exit code (see `output`); a person never sees a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import CommandInfo

from kindmesh.coordinator.cli import ask_app, mesh_app, owner_app, run_app, setup_app
from kindmesh.coordinator.cli.area_app import area as area_command
from kindmesh.coordinator.cli.audit_app import audit
from kindmesh.coordinator.cli.bench_app import bench
from kindmesh.coordinator.cli.commands import HELP, Json, run_command
from kindmesh.coordinator.cli.events_app import events
from kindmesh.coordinator.cli.home_app import home
from kindmesh.coordinator.cli.jobs_app import jobs
from kindmesh.coordinator.cli.keys_app import keys
from kindmesh.coordinator.cli.llm_app import llm
from kindmesh.coordinator.cli.output import EXIT_INTERRUPTED, EXIT_USAGE, Output
from kindmesh.coordinator.cli.people_app import people
from kindmesh.coordinator.cli.plain_values import take_text_as_it_is
from kindmesh.coordinator.cli.policy_app import policy
from kindmesh.coordinator.cli.provenance_app import provenance
from kindmesh.coordinator.cli.schedule_app import schedule
from kindmesh.coordinator.cli.simulate_app import simulate
from kindmesh.coordinator.cli.stream_app import stream as stream_command
from kindmesh.mesh.secrecy import hide_arguments
from kindmesh.protocol.errors import InvalidInput

app = typer.Typer(
    name="kindmesh",
    help="Turn the devices you already own into one careful, local-first assistant.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)

_PLAIN = frozenset({"area", "bench", "demo", "doctor", "init", "keys", "llm", "nodes", "simulate", "up"})
"""Commands that are told nothing private; all others hide what they are told from other users of this machine."""


setup_app.register(app)
mesh_app.register(app)
app.add_typer(home, name="home")
app.add_typer(jobs, name="jobs")
app.add_typer(events, name="events")
run_app.register(app)
ask_app.register(app)
owner_app.register(app)


@app.command()
def demo(
    image: Annotated[
        Path | None, typer.Option(help="The photo of a letter; default: one that comes along.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the sound and the QR code.")] = Path("kindmesh-demo"),
    as_json: Json = False,
) -> None:
    """Run the main job here: three devices, a letter read aloud, one of them killed on the way.

    Example: kindmesh demo --image letter.jpg
    """
    from kindmesh.coordinator.cli.demo_command import run_demo

    run_command(as_json, lambda output: run_demo(output, image, out))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is wrong and what to do about it.

    Example: kindmesh doctor
    """
    from kindmesh.coordinator.cli.doctor import run_doctor

    run_command(as_json, run_doctor)


app.add_typer(keys, name="keys")
app.add_typer(llm, name="llm")
app.add_typer(audit, name="audit")
app.command("area")(area_command)
app.command("stream")(stream_command)
app.command()(simulate)
app.add_typer(people, name="people")
app.add_typer(policy, name="policy")
app.add_typer(schedule, name="schedule")
app.add_typer(provenance, name="provenance")
app.add_typer(bench, name="bench")


def program(arguments: Sequence[str]) -> Any:
    """What reads the command line: only the command that comes first, where there is such a one. Typer makes all ninety
    of them otherwise, which takes longer than most of them need."""
    word = next(iter(arguments), "")
    part = copy(app)
    part.registered_commands = [one for one in app.registered_commands if _called(one) == word]
    part.registered_groups = [one for one in app.registered_groups if one.name == word]
    is_there = part.registered_commands or part.registered_groups
    found = typer.main.get_group(part if is_there else app)
    take_text_as_it_is(found)
    return found


def _called(command: CommandInfo) -> str:
    return command.name or typer.main.get_command_name(getattr(command.callback, "__name__", ""))


def run(arguments: Sequence[str]) -> int:
    """A command line to its end; the exit code. A call that is wrong in itself is answered in JSON, too, if asked."""
    try:
        code = program(arguments).main(list(arguments), prog_name="kindmesh", standalone_mode=False)
    except _UsageError as error:
        if "--json" not in arguments:
            error.show()
            return EXIT_USAGE
        hint = "kindmesh --help lists the commands, kindmesh COMMAND --help what each takes."
        return Output(as_json=True).trouble(InvalidInput(error.format_message(), hint=hint))
    except typer.Abort:
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises when it cannot read the command line; it has no public name of its own."""


def main() -> None:
    """Entry point of the `kindmesh` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Not every terminal can show every character: none of them is worth a traceback.
            stream.reconfigure(errors="backslashreplace")
    _hide_arguments(sys.argv)
    sys.exit(run(sys.argv[1:]))


def _hide_arguments(words: Sequence[str]) -> None:
    """An invitation is a secret, and what is said to a device is nobody's business: `ps` shows the command alone."""
    private = [word for word in words[2:] if not word.startswith("-")]
    private += [word.split("=", 1)[1] for word in words[2:] if word.startswith("--") and "=" in word]
    if words[1:] and words[1] not in _PLAIN:
        hide_arguments(private)


__all__ = ["app", "main", "program", "run"]
