"""The commands and their options; what they do is in the modules next to this one, imported when they run.

Every command takes `--json`. A `KindmeshError` becomes one sentence with a hint (or one JSON object) and an exit code
(see `output`); a person never sees a traceback.
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

from kindmesh.coordinator.cli import ask_app, run_app
from kindmesh.coordinator.cli.area_app import AREA_HELP
from kindmesh.coordinator.cli.area_app import area as area_command
from kindmesh.coordinator.cli.audit_app import audit
from kindmesh.coordinator.cli.bench_app import bench
from kindmesh.coordinator.cli.commands import HELP, As, Json, run_command
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


@app.command()
def init(
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    owner: Annotated[str, typer.Option(help="What to call the owner.")] = "owner",
    kit: Annotated[Path | None, typer.Option(help="Where to put the recovery kit.")] = None,
    area: Annotated[str, typer.Option(help=AREA_HELP)] = "",
    as_json: Json = False,
) -> None:
    """Make a new mesh, with this device as its coordinator.

    Example: kindmesh init --name desk
    """
    from kindmesh.coordinator.cli.setup_commands import run_init

    run_command(as_json, lambda out: run_init(out, name, owner, kit, area))


@app.command()
def recover(
    kit: Annotated[
        str, typer.Argument(help="The kit's file (sheet or QR text); - reads standard input.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    owner: Annotated[str, typer.Option(help="What to call the owner.")] = "owner",
    days: Annotated[
        int, typer.Option(help="How long devices of before are let in again without a question.")
    ] = 30,
    *,
    stolen: Annotated[
        bool, typer.Option("--stolen", help="You are asked about each device that comes back.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether kit and passphrase are good.")
    ] = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Answer devices of before that wait for your yes.")
    ] = False,
    rotate_owner: Annotated[
        bool, typer.Option("--rotate-owner", help="Replace the owner's key of the coordinator that is here.")
    ] = False,
    second: Annotated[
        bool, typer.Option("--second", help="Make this member's device a second coordinator.")
    ] = False,
    new_passphrase: Annotated[
        bool, typer.Option("--new-passphrase", help="Choose another passphrase for the new keys.")
    ] = False,
    new_kit: Annotated[Path | None, typer.Option(help="Where to put the new recovery kit.")] = None,
    as_json: Json = False,
) -> None:
    """Make a lost coordinator anew from the recovery kit; all devices come back to it.

    Example: kindmesh recover kit.txt --name attic
    """
    from kindmesh.coordinator.cli import recover_commands as commands

    if waiting:
        run_command(as_json, commands.run_waiting)
    if not kit:
        run_command(as_json, commands.no_kit)
    if check:
        run_command(as_json, lambda out: commands.run_check(out, kit))
    if rotate_owner or second:
        change = commands.run_rotate_owner if rotate_owner else commands.run_second
        run_command(
            as_json, lambda out: change(out, kit, owner, new_passphrase=new_passphrase, new_kit=new_kit)
        )
    allowed = 0 if stolen else days
    run_command(
        as_json,
        lambda out: commands.run_recover(
            out, kit, name, owner, days=allowed, new_passphrase=new_passphrase, new_kit=new_kit
        ),
    )


@app.command()
def up(
    listen: Annotated[str, typer.Option(help="host:port to listen at; default from config.toml.")] = "",
    as_json: Json = False,
) -> None:
    """Run Kindmesh on this device until it is told to stop (Ctrl-C).

    Example: kindmesh up
    """
    from kindmesh.coordinator.cli.setup_commands import run_up

    run_command(as_json, lambda out: run_up(out, listen))


@app.command()
def pair(
    minutes: Annotated[float, typer.Option(help="How long the window is open, at most 15.")] = 5.0,
    role: Annotated[str, typer.Option(help="node or bridge.")] = "node",
    save: Annotated[
        Path | None, typer.Option(help="Also save the QR code (.png or .svg), while the window is open.")
    ] = None,
    *,
    typed: Annotated[
        bool, typer.Option("--typed", help="Two words and four digits instead of a QR code.")
    ] = False,
    label: Annotated[
        str, typer.Option(help="Adopt the device with this label (its KL1: text, - or @FILE).")
    ] = "",
    scan: Annotated[str, typer.Option(help="Read the label from a picture (FILE) or the camera.")] = "",
    at: Annotated[str, typer.Option(help="Where the device with the label waits, host or host:port.")] = "",
    as_json: Json = False,
) -> None:
    """Let another device in: shows a QR code, asks you about whoever knocks.

    Example: kindmesh pair --typed
    """
    from kindmesh.coordinator.cli.pair_commands import run_pair

    run_command(
        as_json,
        lambda out: run_pair(out, minutes, role, save, typed=typed, label=label, scan=scan, at=at),
    )


@app.command()
def join(
    text: Annotated[
        str, typer.Argument(help="The text of the invitation; - reads it from standard input.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    *,
    scan: Annotated[str, typer.Option(help="Read the QR code from a picture (FILE) or the camera.")] = "",
    code: Annotated[str, typer.Option(help="The typed code of kindmesh pair --typed; - reads it.")] = "",
    at: Annotated[
        str, typer.Option(help="Where the typed code is shown, host or host:port; default: found by mDNS.")
    ] = "",
    area: Annotated[str, typer.Option(help=AREA_HELP)] = "",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="As a new device (it was removed); keeps what it was before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Join the mesh that an invitation is for.

    Example: kindmesh join --code "maple otter 4821"
    """
    from kindmesh.coordinator.cli.fresh import run_fresh
    from kindmesh.coordinator.cli.join_commands import run_join

    def joining(out: Output) -> int:
        return run_join(out, text, name, area, scan=scan, code=code, at=at)

    run_command(as_json, lambda out: run_fresh(out, fresh, lambda: joining(out)))


@app.command()
def label(
    save: Annotated[Path | None, typer.Option(help="Also save the QR code (.png or .svg), to print.")] = None,
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    as_json: Json = False,
) -> None:
    """Make the label of a device without a screen: whoever reads it can adopt the device. Then start
    kindmesh up here, and kindmesh pair --label where the coordinator is.

    Example: kindmesh label --name hall --save label.svg
    """
    from kindmesh.coordinator.cli.label_commands import run_label

    run_command(as_json, lambda out: run_label(out, save, name))


@app.command()
def nodes(as_json: Json = False) -> None:
    """List the devices: state, when last seen, load, battery, heat.

    Example: kindmesh nodes
    """
    from kindmesh.coordinator.cli.mesh_commands import run_nodes

    run_command(as_json, run_nodes)


@app.command()
def drain(
    device: Annotated[str, typer.Argument(help="The device's name or id.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="It gets jobs again.")] = False,
    reason: Annotated[str, typer.Option(help="Shown to whoever asks why.")] = "",
    as_json: Json = False,
) -> None:
    """Empty a device before it is switched off: nothing new goes there, what runs is finished, or moves.

    Example: kindmesh drain kitchen
    """
    from kindmesh.coordinator.cli.mesh_commands import run_drain

    run_command(as_json, lambda out: run_drain(out, device, reason, undo=undo))


@app.command()
def capabilities(as_json: Json = False) -> None:
    """List what the devices can do, and what is missing for the rest.

    Example: kindmesh capabilities
    """
    from kindmesh.coordinator.cli.mesh_commands import run_capabilities

    run_command(as_json, run_capabilities)


@app.command()
def heal(
    capability: Annotated[str, typer.Argument(help="The capability that rests; without it: which do.")] = "",
    as_json: Json = False,
) -> None:
    """Let a capability go on that rests because it kept failing; run it on the device in question.

    Example: kindmesh heal vision
    """
    from kindmesh.coordinator.cli.heal_command import run_heal

    run_command(as_json, lambda out: run_heal(out, capability))


@app.command()
def call(
    operation: Annotated[str, typer.Argument(help="For instance speech.render.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="key=value ...; @FILE reads text from a file.")
    ] = None,
    *,
    save: Annotated[Path | None, typer.Option(help="Save the file that comes out.")] = None,
    on: Annotated[str, typer.Option(help="The device's name or id; default: the best one.")] = "",
    timeout: Annotated[float | None, typer.Option(help="Seconds until it is given up.")] = None,
    session: Annotated[
        bool, typer.Option("--session", help="A quick read-only call, not kept as a job.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which device would do it, and why.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Survive a power cut, not only a crash.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask here when the owner's yes is needed.")
    ] = True,
    person: As = "",
    purpose: Annotated[
        str, typer.Option(help="What it is for: household, care, alerts, security, maintenance, learning.")
    ] = "household",
    acting: Annotated[str, typer.Option(help="What acts for you: goal:NAME, limb:NAME, home:NAME.")] = "",
    as_json: Json = False,
) -> None:
    """Run one operation, wherever it is served best.

    Example: kindmesh call speech.render text="Good morning" --save morning.wav
    """
    from kindmesh.coordinator.cli.call_commands import run_call

    run_command(
        as_json,
        lambda out: run_call(
            out, operation, arguments or [], save=save, target=on, timeout_s=timeout, session=session,
            explain=explain, full=full, approve=ask, person=person, purpose=purpose, acting=acting,
        ),
    )  # fmt: skip


app.add_typer(home, name="home")
app.add_typer(jobs, name="jobs")
app.add_typer(events, name="events")
run_app.register(app)
ask_app.register(app)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def rotate(
    device: Annotated[str, typer.Argument(help="The device's name or id; default: this device.")] = "",
    as_json: Json = False,
) -> None:
    """Change the key of a device's connections now; it changes by itself with every renewal.

    Example: kindmesh rotate phone
    """
    from kindmesh.coordinator.cli.rotate_command import run_rotate

    run_command(as_json, lambda out: run_rotate(out, device))


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
