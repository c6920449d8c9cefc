"""The commands `people ...` and `policy ...` with their options; what they do is in the modules next to this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kindmesh.coordinator.cli.commands import Json, run_command
from kindmesh.coordinator.cli.output import Output
from kindmesh.protocol.errors import InvalidInput

_HELP = {"help_option_names": ["-h", "--help"]}
people = typer.Typer(
    help="People of this home: invite them, say what each may do, take them out again.",
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings=_HELP,
)
policy = typer.Typer(
    help="What is allowed, asked or forbidden, and what each role may do.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=_HELP,
)

Operations = Annotated[
    list[str] | None, typer.Option("--operations", help="Only these: speech.say, home.*; may be repeated.")
]
Effects = Annotated[
    list[str] | None,
    typer.Option("--effects", help="Only these effects: read, notify, ...; may be repeated."),
]
Days = Annotated[float | None, typer.Option(help="For how many days; default: until you change it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")]


def _words(given: list[str] | None) -> list[str]:
    """Options that may be repeated, or have commas."""
    return [word.strip() for part in given or [] for word in part.split(",") if word.strip()]


@people.callback()
def people_list(context: typer.Context, as_json: Json = False) -> None:
    """List people: role, devices, since, until, open invitations.

    Example: kindmesh people
    """
    if context.invoked_subcommand is None:
        from kindmesh.coordinator.cli.people_commands import run_people

        run_command(as_json, run_people)


@people.command()
def invite(
    name: Annotated[str, typer.Argument(help="What the person is called.")],
    *,
    role: Annotated[
        str, typer.Option(help="resident, caregiver, guest, alerts, or one of your policy's.")
    ] = "guest",
    alerts_only: Annotated[
        bool, typer.Option("--alerts-only", help="Sees and acknowledges alerts, nothing else.")
    ] = False,
    operations: Operations = None,
    effects: Effects = None,
    days: Days = None,
    expires: Annotated[str, typer.Option(help="How long the invitation waits: 90m, 12h, 2d.")] = "2d",
    another_device: Annotated[
        bool, typer.Option("--another-device", help="One more device for somebody who is here already.")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Also save the QR code (.png or .svg).")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is accepted.")] = False,
    as_json: Json = False,
) -> None:
    """Invite a person: shows a text and a QR code that work once.

    Example: kindmesh people invite Anna --role caregiver --days 90
    """
    from kindmesh.coordinator.cli.people_commands import run_invite

    def command(out: Output) -> int:
        if alerts_only and role not in ("guest", "caregiver", "alerts"):
            raise InvalidInput("--alerts-only is a role of its own", field="role")
        return run_invite(
            out, name, "alerts" if alerts_only else role, operations=_words(operations), effects=_words(effects),
            days=days, expires=expires, another=another_device, save=save, wait=wait,
        )  # fmt: skip

    run_command(as_json, command)


@people.command()
def accept(
    text: Annotated[str, typer.Argument(help="The invitation's text; - reads it from standard input.")],
    seal: Annotated[
        bool, typer.Option("--seal", help="Seal your key under a passphrase of your own.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Accept an invitation, on a device of this mesh that you use.

    Example: kindmesh people accept -
    """
    from kindmesh.coordinator.cli.people_commands import run_accept

    run_command(as_json, lambda out: run_accept(out, text, seal))


@people.command()
def withdraw(
    invitation: Annotated[str, typer.Argument(help="The invitation's id, or the person's name.")],
    as_json: Json = False,
) -> None:
    """Take an invitation back that nobody has accepted yet.

    Example: kindmesh people withdraw Anna
    """
    from kindmesh.coordinator.cli.people_commands import run_withdraw

    run_command(as_json, lambda out: run_withdraw(out, invitation))


@people.command()
def role(
    name: Annotated[str, typer.Argument(help="Who.")],
    role: Annotated[str, typer.Argument(help="The new role.")],
    *,
    operations: Operations = None,
    effects: Effects = None,
    days: Days = None,
    as_json: Json = False,
) -> None:
    """Give a person another role, other limits or another end.

    Example: kindmesh people role Anna resident
    """
    from kindmesh.coordinator.cli.people_commands import run_role

    run_command(
        as_json,
        lambda out: run_role(
            out, name, role, operations=_words(operations), effects=_words(effects), days=days
        ),
    )


@people.command()
def remove(
    name: Annotated[str, typer.Argument(help="Who.")],
    device: Annotated[str, typer.Option(help="Only their key on this device, such as a lost phone.")] = "",
    as_json: Json = False,
) -> None:
    """Take a person out of the mesh, at once and everywhere.

    Example: kindmesh people remove Anna
    """
    from kindmesh.coordinator.cli.people_commands import run_remove

    run_command(as_json, lambda out: run_remove(out, name, device))


@people.command()
def delegate(
    acting: Annotated[str, typer.Argument(help="goal:NAME, limb:NAME or home:NAME.")],
    *,
    person: Annotated[str, typer.Option("--as", help="For whom it acts; default: you.")] = "",
    operations: Operations = None,
    effects: Effects = None,
    data: Annotated[list[str] | None, typer.Option("--data", help="Only these classes of data.")] = None,
    purposes: Annotated[list[str] | None, typer.Option("--purposes", help="Only for these purposes.")] = None,
    days: Annotated[float, typer.Option(help="For how many days, at most 366.")] = 30,
    as_json: Json = False,
) -> None:
    """Let a goal, a limb or another home act for a person, within limits.

    Example: kindmesh people delegate goal:water-the-plants --operations notes.list --effects read --days 7
    """
    from kindmesh.coordinator.cli.delegate_commands import run_delegate

    run_command(
        as_json,
        lambda out: run_delegate(
            out, acting, person, operations=_words(operations), effects=_words(effects), data=_words(data),
            purposes=_words(purposes), days=days,
        ),
    )  # fmt: skip


@people.command()
def delegations(
    withdraw: Annotated[str, typer.Option(help="Take this one back: its id, or goal:NAME.")] = "",
    person: Annotated[str, typer.Option("--as", help="Whose; default: yours.")] = "",
    as_json: Json = False,
) -> None:
    """What acts for whom.

    Example: kindmesh people delegations --withdraw goal:water-the-plants
    """
    from kindmesh.coordinator.cli.delegate_commands import run_delegations

    run_command(as_json, lambda out: run_delegations(out, withdraw, person))


@policy.command()
def show(as_json: Json = False) -> None:
    """Show the policy in force, as policy set takes it.

    Example: kindmesh policy show > policy.toml
    """
    from kindmesh.coordinator.cli.policy_commands import run_show

    run_command(as_json, run_show)


@policy.command("set")
def set_(
    file: Annotated[str, typer.Argument(help="A file as policy show writes it; - reads standard input.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take over a policy: shows what changes, then asks for the owner's passphrase.

    Example: kindmesh policy set policy.toml
    """
    from kindmesh.coordinator.cli.policy_commands import run_set

    run_command(as_json, lambda out: run_set(out, file, yes))


Operation = Annotated[str, typer.Argument(help="speech.say, speech.* or *.")]


@policy.command()
def allow(operation: Operation, effects: Effects = None, yes: Yes = False, as_json: Json = False) -> None:
    """Allow an operation without asking.

    Example: kindmesh policy allow notes.append
    """
    from kindmesh.coordinator.cli.policy_commands import run_rule

    run_command(as_json, lambda out: run_rule(out, operation, "allow", _words(effects), yes))


@policy.command()
def ask(operation: Operation, effects: Effects = None, yes: Yes = False, as_json: Json = False) -> None:
    """Ask before an operation.

    Example: kindmesh policy ask speech.say
    """
    from kindmesh.coordinator.cli.policy_commands import run_rule

    run_command(as_json, lambda out: run_rule(out, operation, "ask", _words(effects), yes))


@policy.command()
def deny(operation: Operation, effects: Effects = None, yes: Yes = False, as_json: Json = False) -> None:
    """Forbid an operation.

    Example: kindmesh policy deny 'robot.*'
    """
    from kindmesh.coordinator.cli.policy_commands import run_rule

    run_command(as_json, lambda out: run_rule(out, operation, "deny", _words(effects), yes))


@policy.command()
def reset(yes: Yes = False, as_json: Json = False) -> None:
    """Go back to the first policy: reading and notifying are allowed, everything else asks.

    Example: kindmesh policy reset
    """
    from kindmesh.coordinator.cli.policy_commands import run_reset

    run_command(as_json, lambda out: run_reset(out, yes))


__all__ = ["people", "policy"]
