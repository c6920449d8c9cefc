"""The commands `ask` and `plan` with their options; what they do is in the `ask_*` modules."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import As, Json, run_command

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TEXT]", help="What you would like; - reads it from standard input; none: a prompt."
    ),
]
HomeFile = Annotated[str, typer.Option("--home", help="Without a mesh: the home in this inventory file.")]
BatchFile = Annotated[
    str,
    typer.Option(
        "--batch", help="With --home: a file with a sentence (JSON) in each line; - is standard input."
    ),
]
Area = Annotated[
    str, typer.Option(help="Where you are, as your home calls it; default: where this device stands.")
]
Zone = Annotated[str, typer.Option(help="With --home: the time zone, region/city; default: this machine's.")]
Latitude = Annotated[
    float | None, typer.Option(min=-90, max=90, help="With --home: degrees north, for the sun.")
]
Longitude = Annotated[
    float | None, typer.Option(min=-180, max=180, help="With --home: degrees east, for the sun.")
]
Language = Annotated[str, typer.Option(help="The language of the sentence: en or de.")]
Conversation = Annotated[str, typer.Option(help="Keeps the turns of one conversation apart from others.")]


def ask(
    text: Words = None,
    *,
    home: HomeFile = "",
    batch: BatchFile = "",
    area: Area = "",
    zone: Zone = "",
    latitude: Latitude = None,
    longitude: Longitude = None,
    language: Language = "en",
    key: Annotated[str, typer.Option(help="Asking twice with the same key does it once.")] = "",
    conversation: Conversation = "",
    wait: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds that a yes is waited for, where one is needed.")
    ] = 120.0,
    good: Annotated[bool, typer.Option("--good", help="The last reply was right.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="It was not; TEXT is what you meant.")] = False,
    persona: Annotated[str, typer.Option(help="Choose how you are spoken to; ? says what there is.")] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget what was said in this conversation.")
    ] = False,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Ask for something in plain words, and hear what was done, as it was verified.

    "kindmesh ask routines [list | confirm ID | forget ID]" is about what was learned; where a confirmed one would be
    asked about each time, its steps are shown, and you can agree to them once for whenever you say it.

    Example: kindmesh ask "turn off the kitchen light"
    """
    words = tuple(text or ())
    if home or batch:
        from kindmesh.coordinator.cli.ask_batch import Wish as Alone
        from kindmesh.coordinator.cli.ask_batch import run_without_mesh

        alone = Alone(words, home, batch, area, zone, language, latitude, longitude)
        run_command(as_json, lambda out: run_without_mesh(out, alone, act=True))
    from kindmesh.coordinator.cli import ask_mesh

    wish = ask_mesh.Wish(words, area, "", language, key, conversation, person, wait_s=wait)
    if good or wrong:
        run_command(as_json, lambda out: ask_mesh.run_feedback(out, wish, good=good and not wrong))
    if persona:
        run_command(as_json, lambda out: ask_mesh.run_persona(out, persona, person))
    if forget:
        run_command(as_json, lambda out: ask_mesh.run_forget(out, conversation, person))
    if words[:1] == ("routines",) and len(words) <= 3:
        from kindmesh.coordinator.cli.ask_routines import run_routines

        run_command(as_json, lambda out: run_routines(out, words[1:], person))
    run_command(as_json, lambda out: ask_mesh.run_ask(out, wish, act=True))


def plan(
    text: Words = None,
    *,
    home: HomeFile = "",
    batch: BatchFile = "",
    area: Area = "",
    zone: Zone = "",
    latitude: Latitude = None,
    longitude: Longitude = None,
    language: Language = "en",
    conversation: Conversation = "",
    person: As = "",
    as_json: Json = False,
) -> None:
    """Show what would be done, where each value came from, and what Medulla says; nothing is done.

    Example: kindmesh plan "lock the front door in ten minutes"
    """
    words = tuple(text or ())
    if home or batch:
        from kindmesh.coordinator.cli.ask_batch import Wish as Alone
        from kindmesh.coordinator.cli.ask_batch import run_without_mesh

        alone = Alone(words, home, batch, area, zone, language, latitude, longitude)
        run_command(as_json, lambda out: run_without_mesh(out, alone, act=False))
    from kindmesh.coordinator.cli import ask_mesh

    wish = ask_mesh.Wish(words, area, "", language, "", conversation, person)
    run_command(as_json, lambda out: ask_mesh.run_ask(out, wish, act=False))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (ask, plan):
        app.command()(command)


__all__ = ["register"]
