"""The commands `events` with their options; what they do is in `events_commands`.

Plain `kindmesh events` watches; `kindmesh events PATTERN ...` watches only what fits.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from kindmesh.coordinator.cli.commands import HELP, run_command

WATCH: Final = "watch"


class _Events(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click does; without a command, it is `watch`."""
        words = list(args)
        if not (words and words[0] in self.commands) and not {"-h", "--help"} & set(words):
            words = [WATCH, *words]
        return super().parse_args(ctx, words)


events = typer.Typer(
    cls=_Events,
    help="What happens in the mesh, as it happens. Try: kindmesh events 'system.device.*'",
    no_args_is_help=False,
    rich_markup_mode=None,
    context_settings=HELP,
)

Json = Annotated[bool, typer.Option("--json", help="One line of JSON for each event, on stdout.")]


@events.command(WATCH)
def watch(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            help="Topics; * is one word, at the end any: 'system.device.*'. All of them by default."
        ),
    ] = None,
    *,
    since: Annotated[
        str, typer.Option(help="Begin with the durable ones since then: 15m, 2h, 3d, or a UTC time in ms.")
    ] = "",
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0 goes on for ever.")] = 0,
    topics: Annotated[bool, typer.Option("--topics", help="List the topics there are, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Watch what happens, until Ctrl-C.

    Example: kindmesh events 'system.*' --since 2h
    """
    from kindmesh.coordinator.cli import events_commands as commands

    if topics:
        run_command(as_json, commands.run_topics)
    run_command(as_json, lambda out: commands.run_watch(out, patterns or [], since, count))


@events.command("emit")
def emit(
    topic: Annotated[str, typer.Argument(help="A topic that a capability declares.")],
    values: Annotated[
        list[str] | None, typer.Argument(help="Its data: name=value, or name:=JSON for what is no text.")
    ] = None,
    *,
    readers: Annotated[
        list[str] | None, typer.Option("--reader", help="A device that may see it, if it is private.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a test event, on the coordinator's device.

    Example: kindmesh events emit perception.falls.tested
    """
    from kindmesh.coordinator.cli import events_commands as commands

    run_command(as_json, lambda out: commands.run_emit(out, topic, values or [], readers or []))


__all__ = ["events"]
