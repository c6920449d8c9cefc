"""The commands `jobs ...` with their options; what they do is in `jobs_commands`.

Plain `kindmesh jobs` lists, and `kindmesh jobs ID` shows one: the spellings from before there were commands. A job is
named by its id, or by the beginning of it as long as only one job begins so.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from kindmesh.coordinator.cli.commands import HELP, As, Json, run_command

PLAIN: Final = "plain"
"""The hidden command behind the old spellings."""
_TAKE_A_VALUE: Final = frozenset({"--limit", "--state", "--as"})


def arranged(words: list[str], commands: frozenset[str]) -> list[str]:
    """The words of a command line with the command first; without one it is `PLAIN`. `--help` alone stays as it is."""
    position, skip = -1, False
    for index, word in enumerate(words):
        if skip:
            skip = False
        elif word in _TAKE_A_VALUE:
            skip = True
        elif not word.startswith("-"):
            position = index
            break
    if position < 0:
        return words if {"-h", "--help"} & set(words) else [PLAIN, *words]
    if words[position] in commands:
        return [words[position], *words[:position], *words[position + 1 :]]
    return [PLAIN, *words]


class _Jobs(TyperGroup):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click does, once the command is in its place."""
        return super().parse_args(ctx, arranged(list(args), frozenset(self.commands)))


jobs = typer.Typer(
    cls=_Jobs,
    help="Jobs: who did what, where and why, under which permit, how long; and what to do about those that are stuck.",
    no_args_is_help=False,
    rich_markup_mode=None,
    context_settings=HELP,
)

Limit = Annotated[int, typer.Option(help="How many, newest first.")]
State = Annotated[str, typer.Option(help="Only those in this state.")]
Job = Annotated[str, typer.Argument(help="The job's id, or the beginning of it.")]


@jobs.command(PLAIN, hidden=True)
def plain(
    job: Annotated[str, typer.Argument(help="A job's id: shows its whole story.")] = "",
    *,
    limit: Limit = 20,
    state: State = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the job.")] = False,
    person: As = "",
    as_json: Json = False,
) -> None:
    """List recent jobs, or show one."""
    from kindmesh.coordinator.cli import jobs_commands as commands

    if cancel:
        run_command(as_json, lambda out: commands.run_cancel(out, job, person))
    elif job:
        run_command(as_json, lambda out: commands.run_show(out, job, person))
    run_command(as_json, lambda out: commands.run_list(out, limit, state, person))


@jobs.command("list")
def list_(limit: Limit = 20, state: State = "", person: As = "", as_json: Json = False) -> None:
    """List recent jobs, the newest first; plain kindmesh jobs does the same.

    Example: kindmesh jobs list --state uncertain
    """
    from kindmesh.coordinator.cli.jobs_commands import run_list

    run_command(as_json, lambda out: run_list(out, limit, state, person))


@jobs.command()
def show(job: Job, person: As = "", as_json: Json = False) -> None:
    """Show one job: its story with times, the device, permits, attempts, what came of it and what to do.

    Example: kindmesh jobs show 06ckm2
    """
    from kindmesh.coordinator.cli.jobs_commands import run_show

    run_command(as_json, lambda out: run_show(out, job, person))


@jobs.command("runs")
def runs_(limit: Limit = 20, person: As = "", as_json: Json = False) -> None:
    """List recent runs, the newest first; kindmesh jobs show ID draws one.

    Example: kindmesh jobs runs --limit 5
    """
    from kindmesh.coordinator.cli.jobs_commands import run_runs

    run_command(as_json, lambda out: run_runs(out, limit, person))


@jobs.command()
def cancel(job: Job, person: As = "", as_json: Json = False) -> None:
    """Ask that a job ends. What has begun ends when its device says so.

    Example: kindmesh jobs cancel 06ckm2
    """
    from kindmesh.coordinator.cli.jobs_commands import run_cancel

    run_command(as_json, lambda out: run_cancel(out, job, person))


@jobs.command()
def settle(
    job: Job,
    *,
    happened: Annotated[bool, typer.Option("--happened", help="You looked: it happened.")] = False,
    not_happened: Annotated[bool, typer.Option("--did-not-happen", help="You looked: it did not.")] = False,
    note: Annotated[str, typer.Option(help="What you saw; kept with the job.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="With --did-not-happen: start it anew, as a new job.")
    ] = False,
    person: As = "",
    as_json: Json = False,
) -> None:
    """Say whether an uncertain job happened, once you looked. Kept in its story, the journal and the audit log.

    Example: kindmesh jobs settle 06ckm2 --did-not-happen --note "the lamp was still off" --again
    """
    from kindmesh.coordinator.cli.jobs_stuck import run_settle

    answer = [word for word, said in (("happened", happened), ("did-not-happen", not_happened)) if said]
    run_command(as_json, lambda out: run_settle(out, job, answer, note, again=again, person=person))


@jobs.command()
def dead(
    letter: Annotated[str, typer.Argument(help="One letter's id: shows what is in it.")] = "",
    *,
    redeliver: Annotated[str, typer.Option(metavar="ID", help="Try this one again.")] = "",
    dismiss: Annotated[str, typer.Option(metavar="ID", help="This one was dealt with otherwise.")] = "",
    note: Annotated[str, typer.Option(help="Why; kept with the letter.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also those that were dealt with.")] = False,
    as_json: Json = False,
) -> None:
    """List dead letters: what could not be delivered, read, or done by any device. Nothing is dropped silently.

    Example: kindmesh jobs dead --dismiss 06ckm2 --note "an old phone"
    """
    from kindmesh.coordinator.cli import jobs_stuck as commands

    if redeliver or dismiss:
        run_command(as_json, lambda out: commands.run_close(out, redeliver, dismiss, note))
    run_command(as_json, lambda out: commands.run_dead(out, letter, everything=everything))


__all__ = ["arranged", "jobs"]
