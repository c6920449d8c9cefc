"""The commands and their options; what they do is in the modules next to this one, imported when they run.

Every command takes `--json`. A `KindmeshError` becomes one sentence with a hint (or one JSON object) and an exit code
(see `output`); a person never sees a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from kindmesh.coordinator.cli import run_app
from kindmesh.coordinator.cli.events_app import events
from kindmesh.coordinator.cli.jobs_app import jobs
from kindmesh.coordinator.cli.output import EXIT_INTERRUPTED, EXIT_USAGE, Output
from kindmesh.coordinator.cli.people_app import people, policy
from kindmesh.coordinator.cli.schedule_app import schedule
from kindmesh.coordinator.cli.simulate_app import simulate
from kindmesh.coordinator.cli.stream_app import stream as stream_command
from kindmesh.mesh.secrecy import hide_arguments
from kindmesh.protocol.errors import InvalidInput, KindmeshError, NotRunning

app = typer.Typer(
    name="kindmesh",
    help="Turn the devices you already own into one careful, local-first assistant.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PLAIN = frozenset({"bench", "demo", "doctor", "init", "keys", "nodes", "simulate", "up"})
"""Commands that are told nothing private; all others hide what they are told from other users of this machine."""

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
As = Annotated[
    str,
    typer.Option(
        "--as", help="Who asks, of the people with a key here; - for nobody; default: the only one."
    ),
]


def _run(as_json: bool, command: Callable[[Output], int]) -> None:
    out = Output(as_json)
    try:
        code = command(out)
    except KindmeshError as error:
        code = out.trouble(_why(error))
    except KeyboardInterrupt:
        out.clear()
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


def _why(error: KindmeshError) -> KindmeshError:
    """What was removed from the mesh does not run, and starting it would not help."""
    if not isinstance(error, NotRunning):
        return error
    from kindmesh.mesh.home import Home
    from kindmesh.mesh.removal import removal_in

    return removal_in(Home.locate().identity) or error


@app.command()
def init(
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    owner: Annotated[str, typer.Option(help="What to call the owner.")] = "owner",
    kit: Annotated[Path | None, typer.Option(help="Where to put the recovery kit.")] = None,
    as_json: Json = False,
) -> None:
    """Make a new mesh, with this device as its coordinator."""
    from kindmesh.coordinator.cli.setup_commands import run_init

    _run(as_json, lambda out: run_init(out, name, owner, kit))


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
        _run(as_json, commands.run_waiting)
    if not kit:
        _run(as_json, commands.no_kit)
    if check:
        _run(as_json, lambda out: commands.run_check(out, kit))
    if rotate_owner or second:
        change = commands.run_rotate_owner if rotate_owner else commands.run_second
        _run(as_json, lambda out: change(out, kit, owner, new_passphrase=new_passphrase, new_kit=new_kit))
    allowed = 0 if stolen else days
    _run(
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
    """Run Kindmesh on this device until it is told to stop (Ctrl-C)."""
    from kindmesh.coordinator.cli.setup_commands import run_up

    _run(as_json, lambda out: run_up(out, listen))


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

    _run(
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

    _run(
        as_json,
        lambda out: run_fresh(out, fresh, lambda: run_join(out, text, name, scan=scan, code=code, at=at)),
    )


@app.command()
def label(
    save: Annotated[Path | None, typer.Option(help="Also save the QR code (.png or .svg), to print.")] = None,
    name: Annotated[str, typer.Option(help="What to call this device; default: the host's name.")] = "",
    as_json: Json = False,
) -> None:
    """Make the label of a device without a screen: whoever reads it can adopt the device.

    Example: kindmesh label --name hall --save label.svg, then kindmesh up here and kindmesh pair --label there.
    """
    from kindmesh.coordinator.cli.label_commands import run_label

    _run(as_json, lambda out: run_label(out, save, name))


@app.command()
def nodes(as_json: Json = False) -> None:
    """List the devices: state, when last seen, load, battery, heat."""
    from kindmesh.coordinator.cli.mesh_commands import run_nodes

    _run(as_json, run_nodes)


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

    _run(as_json, lambda out: run_drain(out, device, reason, undo=undo))


@app.command()
def capabilities(as_json: Json = False) -> None:
    """List what the devices can do, and what is missing for the rest."""
    from kindmesh.coordinator.cli.mesh_commands import run_capabilities

    _run(as_json, run_capabilities)


@app.command()
def heal(
    capability: Annotated[str, typer.Argument(help="The capability that rests; without it: which do.")] = "",
    as_json: Json = False,
) -> None:
    """Let a capability go on that rests because it kept failing; run it on the device in question.

    Example: kindmesh heal vision
    """
    from kindmesh.coordinator.cli.heal_command import run_heal

    _run(as_json, lambda out: run_heal(out, capability))


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

    _run(
        as_json,
        lambda out: run_call(
            out, operation, arguments or [], save=save, target=on, timeout_s=timeout, session=session,
            explain=explain, full=full, approve=ask, person=person, purpose=purpose, acting=acting,
        ),
    )  # fmt: skip


app.add_typer(jobs, name="jobs")
app.add_typer(events, name="events")
run_app.register(app)


@app.command()
def review(
    which: Annotated[
        str, typer.Argument(metavar="[ID]", help="The job or decision to answer; default: all that wait.")
    ] = "",
    *,
    person: As = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what you said no to before.")] = False,
    as_json: Json = False,
) -> None:
    """Answer what waits for you: jobs that need a yes, devices that want more than they were granted.

    Example: kindmesh review --all
    """
    from kindmesh.coordinator.cli.review import run_review

    _run(as_json, lambda out: run_review(out, which, everything=everything, person=person))


@app.command()
def stop(
    reset: Annotated[bool, typer.Option("--reset", help="Let this device act again.")] = False,
    reason: Annotated[str, typer.Option(help="Shown on the devices.")] = "",
    as_json: Json = False,
) -> None:
    """Halt motion, actuation and speech on every device, at once. Alerts go on."""
    from kindmesh.coordinator.cli.mesh_commands import run_stop

    _run(as_json, lambda out: run_stop(out, reset, reason))


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

    _run(as_json, lambda out: run_revoke(out, device, yes=yes))


@app.command()
def rotate(
    device: Annotated[str, typer.Argument(help="The device's name or id; default: this device.")] = "",
    as_json: Json = False,
) -> None:
    """Change the key of a device's connections now; it changes by itself with every renewal.

    Example: kindmesh rotate phone
    """
    from kindmesh.coordinator.cli.rotate_command import run_rotate

    _run(as_json, lambda out: run_rotate(out, device))


@app.command()
def demo(
    image: Annotated[
        Path | None, typer.Option(help="The photo of a letter; default: one that comes along.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the sound and the QR code.")] = Path("kindmesh-demo"),
    as_json: Json = False,
) -> None:
    """Run the main job here: three devices, a letter read aloud, one of them killed on the way."""
    from kindmesh.coordinator.cli.demo_command import run_demo

    _run(as_json, lambda output: run_demo(output, image, out))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is wrong and what to do about it."""
    from kindmesh.coordinator.cli.doctor import run_doctor

    _run(as_json, run_doctor)


keys = typer.Typer(
    help="How this device's private keys lie on its disk: plain files, or wrapped.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys, name="keys")


@keys.command("status")
def keys_status(as_json: Json = False) -> None:
    """Show how each private key is kept."""
    from kindmesh.coordinator.cli.keys_commands import run_keys_status

    _run(as_json, run_keys_status)


@keys.command("protect")
def keys_protect(
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Let the desktop's keyring keep the key, not a passphrase.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Wrap the private keys; once they are, change the passphrase. Stop kindmesh up first.

    Example: kindmesh keys protect
    """
    from kindmesh.coordinator.cli.keys_commands import run_keys_protect

    _run(as_json, lambda out: run_keys_protect(out, keyring))


@keys.command("unprotect")
def keys_unprotect(as_json: Json = False) -> None:
    """Make the private keys plain files again, so that this device starts unattended."""
    from kindmesh.coordinator.cli.keys_commands import run_keys_unprotect

    _run(as_json, run_keys_unprotect)


audit = typer.Typer(
    help="What was decided and done, in logs that nobody can change without being noticed.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(audit, name="audit")


@audit.command("show")
def audit_show(
    device: Annotated[str, typer.Option(help="Only this device, by name or id.")] = "",
    *,
    log: Annotated[str, typer.Option(help="Only this kind of log: coordinator, medulla or node.")] = "",
    since: Annotated[str, typer.Option(help="Only what is newer: 30m, 12h, 2d.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind of entry, for instance permit or effect.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many, the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes.")] = False,
    as_json: Json = False,
) -> None:
    """Show entries of the audit logs, oldest first.

    Example: kindmesh audit show --since 2d --kind permit
    """
    from kindmesh.coordinator.cli.audit_commands import run_show

    _run(
        as_json,
        lambda out: run_show(out, device=device, log=log, since=since, kind=kind, limit=limit, follow=follow),
    )


@audit.command("verify")
def audit_verify(
    file: Annotated[Path | None, typer.Option(help="An exported file instead of the logs here.")] = None,
    mesh: Annotated[str, typer.Option(help="With --file: the id of the mesh it has to be of.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also the logs of all devices that are reachable.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check that no entry was changed, removed, moved, added or cut off; says which log and which entry.

    Example: kindmesh audit verify --all
    """
    from kindmesh.coordinator.cli.audit_commands import run_verify

    _run(as_json, lambda out: run_verify(out, file, mesh, everything=everything))


@audit.command("export")
def audit_export(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also the logs of all devices that are reachable.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the audit logs into one file, to be verified anywhere.

    Example: kindmesh audit export march.jsonl
    """
    from kindmesh.coordinator.cli.audit_commands import run_export

    _run(as_json, lambda out: run_export(out, file, everything=everything))


@audit.command("accept")
def audit_accept(
    device: Annotated[str, typer.Argument(help="Whose log: a device's name or id, or Medulla.")],
    as_json: Json = False,
) -> None:
    """After you looked into an alarm (say, a device was restored from a backup): witness its log anew.

    Example: kindmesh audit accept phone
    """
    from kindmesh.coordinator.cli.audit_commands import run_accept

    _run(as_json, lambda out: run_accept(out, device))


app.command("stream")(stream_command)
app.command()(simulate)
app.add_typer(people, name="people")
app.add_typer(policy, name="policy")
app.add_typer(schedule, name="schedule")
bench = typer.Typer(
    help="Measure Kindmesh on this machine, next to a baseline in the same run.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench, name="bench")


@bench.command()
def roundtrip(
    payload: Annotated[int, typer.Option(min=0, max=65_536, help="Bytes of text there and back.")] = 100,
    inflight: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at once.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, max=16, help="Nodes that serve.")] = 1,
    requests: Annotated[int, typer.Option(min=8, max=1_000_000, help="Requests of each kind.")] = 2_000,
    as_json: Json = False,
) -> None:
    """Session calls and durable jobs against raw pyzmq: latency, throughput, CPU, ratios."""
    from kindmesh.coordinator.cli.bench_commands import run_bench_roundtrip

    _run(as_json, lambda out: run_bench_roundtrip(out, payload, inflight, nodes, requests))


@bench.command()
def footprint(as_json: Json = False) -> None:
    """Memory of a bare node and of the coordinator with Medulla, and import time."""
    from kindmesh.coordinator.cli.bench_commands import run_bench_footprint

    _run(as_json, run_bench_footprint)


@bench.command()
def discovery(
    runs: Annotated[int, typer.Option(min=2, max=100, help="How often it is killed.")] = 5,
    as_json: Json = False,
) -> None:
    """How soon a device is there, is missed after kill -9, and is back."""
    from kindmesh.coordinator.cli.bench_commands import run_bench_discovery

    _run(as_json, lambda out: run_bench_discovery(out, runs))


@bench.command()
def pairing(
    runs: Annotated[int, typer.Option(min=1, max=50, help="How many devices are paired.")] = 5,
    as_json: Json = False,
) -> None:
    """From the invitation being shown to the first job's result on the new device."""
    from kindmesh.coordinator.cli.bench_commands import run_bench_pairing

    _run(as_json, lambda out: run_bench_pairing(out, runs))


@bench.command(name="heart")
def bench_heart(
    row: Annotated[list[str] | None, typer.Option(help="Only this row; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: a minute instead of several.")] = False,
    jobs: Annotated[int, typer.Option(min=0, max=10_000_000, help="Jobs over which memory is watched.")] = 0,
    finished: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Finished jobs in the journals at a start.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """The figures that the Heart is held to: met or missed, and how each was measured.

    Example: kindmesh bench heart --quick --row cancel --row move
    """
    from kindmesh.coordinator.cli.bench_heart import run_bench_heart

    _run(as_json, lambda out: run_bench_heart(out, row or [], quick=quick, jobs=jobs, finished=finished))


def run(arguments: Sequence[str]) -> int:
    """A command line to its end; the exit code. A call that is wrong in itself is answered in JSON, too, if asked."""
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="kindmesh", standalone_mode=False)
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


__all__ = ["app", "main", "run"]
