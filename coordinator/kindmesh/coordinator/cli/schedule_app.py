"""The commands `schedule ...` with their options; what they do is in `schedule_commands`."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import HELP, As, Json, run_command

schedule = typer.Typer(
    help="Do things at certain times, or when something happens: reminders, routines, checks.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=HELP,
)

Name = Annotated[str, typer.Argument(help="The schedule's name.")]


@schedule.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it: morning-pills.")],
    operation: Annotated[
        str, typer.Argument(help="What to do, for instance speech.say; not with --plan.")
    ] = "",
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value ...; @FILE reads text from a file.")
    ] = None,
    *,
    plan: Annotated[
        str, typer.Option("--plan", help="Instead of one operation: a plan's file, as kindmesh run takes.")
    ] = "",
    cron: Annotated[
        str, typer.Option(help='Wall-clock times: minute hour day month weekday, "0 8 * * *".')
    ] = "",
    every: Annotated[str, typer.Option(help="An interval: 30m, 12h, 2d, 45s.")] = "",
    at: Annotated[str, typer.Option(help="Once: 2026-12-01T08:00.")] = "",
    sunrise: Annotated[str, typer.Option(help="At sunrise, or before or after it: 0, -15m, +1h.")] = "",
    sunset: Annotated[str, typer.Option(help="At sunset, or before or after it: 0, -15m, +1h.")] = "",
    on: Annotated[
        str, typer.Option("--on", help="When something happens: a topic, as kindmesh events shows them.")
    ] = "",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="Only if FIELD=VALUE (also != < <= > >=); may be repeated."),
    ] = None,
    change: Annotated[
        str, typer.Option("--change", help="Only if this field changed: FIELD, FIELD=TO or FIELD=FROM..TO.")
    ] = "",
    lasting: Annotated[str, typer.Option("--for", help="And it stayed so for: 10m.")] = "",
    nth: Annotated[int, typer.Option("--nth", min=1, help="Only every so many times.")] = 1,
    quiet: Annotated[str, typer.Option("--quiet", help="Wait until it was quiet for: 30s.")] = "",
    max_wait: Annotated[str, typer.Option("--max-wait", help="But not longer than: 10m.")] = "",
    leading: Annotated[
        bool, typer.Option("--leading", help="Do it at once, then not until it was quiet.")
    ] = False,
    target: Annotated[str, typer.Option("--target", help="The device's name or id; default: the best.")] = "",
    tz: Annotated[
        str, typer.Option(help="The time zone, region/city; default: the household's, else this machine's.")
    ] = "",
    latitude: Annotated[float | None, typer.Option(help="Degrees north, for the sun.")] = None,
    longitude: Annotated[float | None, typer.Option(help="Degrees east, for the sun.")] = None,
    misfire: Annotated[
        str, typer.Option(help="What to do with missed times: skip, once (the newest) or all.")
    ] = "once",
    grace: Annotated[str, typer.Option(help="How late it may still be done: 1h (default), 10m, 2d.")] = "",
    overlap: Annotated[
        str, typer.Option(help="While the last run goes on: allow, queue one, or skip.")
    ] = "allow",
    jitter: Annotated[str, typer.Option(help="Be late by a fixed time below this: 5m.")] = "",
    priority: Annotated[str, typer.Option(help="emergency, interactive or background.")] = "interactive",
    purpose: Annotated[
        str, typer.Option(help="What it is for: household, care, alerts, security, maintenance, learning.")
    ] = "household",
    person: As = "",
    days: Annotated[
        float, typer.Option(help="With --as: for how many days it may act for you, at most 366.")
    ] = 366,
    as_json: Json = False,
) -> None:
    """Make a schedule: what to do, and when.

    Example: kindmesh schedule add morning-pills speech.say text="Time for your pills" --cron "0 8 * * *"
    """
    from kindmesh.coordinator.cli.schedule_add import Happening, Timing, run_add

    happening = Happening(on, tuple(where or ()), change, lasting, nth, quiet, max_wait, leading)
    timing = Timing(cron, every, at, sunrise, sunset, tz, latitude, longitude, happening)
    run_command(
        as_json,
        lambda out: run_add(
            out, name, operation, arguments or [], timing, plan=plan, target=target, misfire=misfire, grace=grace,
            overlap=overlap, jitter=jitter, priority=priority, purpose=purpose, person=person, days=days,
        ),
    )  # fmt: skip


@schedule.command("list")
def list_(person: As = "", as_json: Json = False) -> None:
    """List schedules: when each is due next, how the last run ended, what was missed.

    Example: kindmesh schedule list
    """
    from kindmesh.coordinator.cli.schedule_commands import run_list

    run_command(as_json, lambda out: run_list(out, person))


@schedule.command()
def show(name: Name, person: As = "", as_json: Json = False) -> None:
    """Show one schedule: its rules, the next times, what happened, what was missed and why.

    Example: kindmesh schedule show morning-pills
    """
    from kindmesh.coordinator.cli.schedule_commands import run_show

    run_command(as_json, lambda out: run_show(out, name, person))


@schedule.command()
def history(
    name: Name,
    *,
    misses: Annotated[bool, typer.Option("--misses", help="Only what was missed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first.")] = 50,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Show what a schedule did, and what it missed.

    Example: kindmesh schedule history morning-pills --misses
    """
    from kindmesh.coordinator.cli.schedule_commands import run_history

    run_command(as_json, lambda out: run_history(out, name, limit, person, misses=misses))


@schedule.command()
def pause(name: Name, person: As = "", as_json: Json = False) -> None:
    """Do not start it for now; times that pass meanwhile are noted as missed.

    Example: kindmesh schedule pause morning-pills
    """
    from kindmesh.coordinator.cli.schedule_commands import run_pause

    run_command(as_json, lambda out: run_pause(out, name, person, resume=False))


@schedule.command()
def resume(name: Name, person: As = "", as_json: Json = False) -> None:
    """Go on with a schedule that was paused.

    Example: kindmesh schedule resume morning-pills
    """
    from kindmesh.coordinator.cli.schedule_commands import run_pause

    run_command(as_json, lambda out: run_pause(out, name, person, resume=True))


@schedule.command("run")
def run_now(name: Name, person: As = "", as_json: Json = False) -> None:
    """Do it now, besides its times.

    Example: kindmesh schedule run morning-pills
    """
    from kindmesh.coordinator.cli.schedule_commands import run_run

    run_command(as_json, lambda out: run_run(out, name, person))


@schedule.command()
def remove(name: Name, person: As = "", as_json: Json = False) -> None:
    """Remove a schedule and its history; what it started goes on.

    Example: kindmesh schedule remove morning-pills
    """
    from kindmesh.coordinator.cli.schedule_commands import run_remove

    run_command(as_json, lambda out: run_remove(out, name, person))


@schedule.command("next")
def next_(
    days: Annotated[int, typer.Option(min=1, max=366, help="How far to look.")] = 7,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Show what comes, of all schedules, in order.

    Example: kindmesh schedule next --days 2
    """
    from kindmesh.coordinator.cli.schedule_commands import run_next

    run_command(as_json, lambda out: run_next(out, days, person))


__all__ = ["schedule"]
