"""The commands with which a person keeps the last word: `review`, `stop`, `revoke`, `rotate`."""

from __future__ import annotations

from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import As, Json, run_command


def review(
    which: Annotated[
        str,
        typer.Argument(
            metavar="[ID]",
            help="What to answer: a job or decision. explain: why a plan is judged so. grants: what lasts.",
        ),
    ] = "",
    explained: Annotated[
        str, typer.Argument(metavar="[EXPLAINED]", help="After explain: a job. After grants: revoke.")
    ] = "",
    ended: Annotated[str, typer.Argument(metavar="[GRANT]", help="After grants revoke: which one.")] = "",
    *,
    person: As = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what you said no to before.")] = False,
    manifests: Annotated[
        str, typer.Option(help="Judge plans without a mesh: a file with what tools there are.")
    ] = "",
    policy: Annotated[
        str,
        typer.Option(help="With --manifests: a policy (TOML), or rules (Cedar); default: words are enough."),
    ] = "",
    batch: Annotated[
        str, typer.Option(help="With --manifests: plans, one JSON object a line; -: stdin.")
    ] = "",
    plan: Annotated[str, typer.Option(help="With explain: a file with one plan.")] = "",
    text: Annotated[str, typer.Option(help="With explain: what the person said.")] = "",
    as_json: Json = False,
) -> None:
    """Answer what waits for you: jobs that need a yes, devices that want more than they were granted.

    Examples:
      kindmesh review --all
      kindmesh review grants revoke 0jq3k5
      kindmesh review --manifests tools.json --batch plans.jsonl --json
      kindmesh review explain --plan plan.yaml --text "turn off the kitchen light"
    """
    from kindmesh.coordinator.cli.review import run_review

    if which == "grants":
        from kindmesh.coordinator.cli.review_lasting import run_grants

        run_command(as_json, lambda out: run_grants(out, explained, ended, person))
        return
    if batch or plan or which == "explain":
        from kindmesh.coordinator.cli.review_entry import ReviewWanted, run_judging

        wanted = ReviewWanted(which, explained, manifests, policy, batch, plan, text)
        run_command(as_json, lambda out: run_judging(out, wanted))
        return
    run_command(as_json, lambda out: run_review(out, which, everything=everything, person=person))


def stop(
    reset: Annotated[bool, typer.Option("--reset", help="Let this device act again.")] = False,
    reason: Annotated[str, typer.Option(help="Shown on the devices.")] = "",
    as_json: Json = False,
) -> None:
    """Halt motion, actuation and speech on every device, at once. Alerts go on.

    Example: kindmesh stop --reason "the robot is at the stairs"
    """
    from kindmesh.coordinator.cli.mesh_commands import run_stop

    run_command(as_json, lambda out: run_stop(out, reset, reason))


def revoke(
    device: Annotated[str, typer.Argument(help="The device's or person's name or id.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a device or a person from the mesh.

    Example: kindmesh revoke kitchen
    """
    from kindmesh.coordinator.cli.revoke_command import run_revoke

    run_command(as_json, lambda out: run_revoke(out, device, yes=yes))


def rotate(
    device: Annotated[str, typer.Argument(help="The device's name or id; default: this device.")] = "",
    as_json: Json = False,
) -> None:
    """Change the key of a device's connections now; it changes by itself with every renewal.

    Example: kindmesh rotate phone
    """
    from kindmesh.coordinator.cli.rotate_command import run_rotate

    run_command(as_json, lambda out: run_rotate(out, device))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (review, stop, revoke, rotate):
        app.command()(command)


__all__ = ["register"]
