"""`init`, `up`, `join`, `pair`: making a mesh and letting devices in."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from kindmesh.coordinator.cli.kit import check_place, put_kit
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, EXIT_REFUSED, Output, sentence
from kindmesh.mesh.home import Home
from kindmesh.mesh.secrecy import OWNERS_VARIABLE
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import AlreadyInitialised, InvalidInput, NotInitialised, UnknownMember
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import NAME_MAX
from kindmesh.protocol.manifest import EFFECT_WORDS, parse_effects

JOIN_PATIENCE_S = 900.0


def default_name() -> str:
    """The host's name without its domain."""
    return socket.gethostname().split(".")[0][:48] or "device"


def run_init(out: Output, name: str, owner_name: str, kit: Path | None) -> int:
    """Make a mesh in this state folder."""
    from kindmesh.coordinator.cli.passphrase import new_passphrase
    from kindmesh.coordinator.cli.unlocking import open_folder
    from kindmesh.coordinator.owner import create_mesh

    home = Home.locate()
    if (home.identity / TRUST_FILE).exists():
        raise AlreadyInitialised(f"{home.root} belongs to a mesh already")
    check_name(name)
    check_name(owner_name)
    if kit is not None:
        check_place(kit)
    if home.exists():
        open_folder(home)
    passphrase = new_passphrase()
    out.progress("making keys ...")
    made = create_mesh(home, passphrase, name or default_name(), owner_name=owner_name)
    shown = put_kit(out, made.recovery_kit, kit)
    out.result(
        {"ok": True, "mesh": format_id(made.mesh), "device": format_id(made.node), "home": os.fspath(home.root),
         "recovery_kit": os.fspath(shown.text), "recovery_qr": os.fspath(shown.picture)},
        f"Your mesh is {format_id(made.mesh)}.",
        f"It lives in {home.root}.",
        "",
        f"The recovery kit is in {shown.text}, as a picture in {shown.picture}.",
        "Print it, put it away, then delete the files: it holds the mesh's root, which is nowhere else.",
        "",
        "Next: kindmesh up    (and in another terminal: kindmesh pair)",
    )  # fmt: skip
    return EXIT_DONE


def near_host(listen: str) -> str:
    """How a program on the same machine reaches what listens at host `listen`."""
    bare = listen.removeprefix("[").removesuffix("]")
    if bare in ("0.0.0.0", "*"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{'::1' if bare == '::' else bare}]" if ":" in bare else bare


def check_name(name: str) -> None:
    """Refuse a name that could not be shown; empty is for the default.

    Raises:
        InvalidInput.
    """
    if name and not (name.strip() and name.isprintable() and len(name) <= NAME_MAX):
        raise InvalidInput(f"a name has 1 to {NAME_MAX} printable characters", field="name")


def run_up(out: Output, listen: str) -> int:
    """Run what this device is: coordinator with Medulla and node, or a node."""
    home = Home.locate()
    if is_coordinator(home):
        from kindmesh.coordinator.cli.unlocking import unlock_folder
        from kindmesh.coordinator.launcher import launch
        from kindmesh.node.config import load_config

        config = load_config(home.config_file, os.environ)
        mesh = config.mesh
        address = listen or f"{mesh.listen}:{mesh.port}"
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_535:
            raise InvalidInput(
                f"{address!r} is not host:port", field="listen", hint="For instance 0.0.0.0:7437."
            )
        # This device's node knows where its coordinator is: next door.
        os.environ.setdefault("KINDMESH_MESH_SEEDS", f"{near_host(host)}:{port}")
        return launch(
            home,
            as_json=out.as_json,
            options={"coordinator": ["--listen", address]},
            anchor=config.audit.anchor,
            unlock=unlock_folder,
        )
    if not (home.identity / TRUST_FILE).exists():
        raise NotInitialised()
    return _become_node(home, as_json=out.as_json)


def _become_node(home: Home, *, as_json: bool) -> NoReturn:
    """In place of this process: what the command line needed for its looks would stay in a node's memory for ever."""
    from kindmesh.coordinator.cli.unlocking import unlock_folder
    from kindmesh.mesh.key_conversion import clear_leftovers
    from kindmesh.mesh.key_files import give_keys
    from kindmesh.mesh.secrecy import guard_process

    sys.stdout.flush()
    words = ["-m", "kindmesh.node.app", "--home", os.fspath(home.root), *(["--json"] if as_json else [])]
    guard_process()
    opened = unlock_folder(home)
    clear_leftovers(home)
    if opened is not None:
        keys_fd = give_keys(opened.parts("node"))
        os.set_inheritable(keys_fd, True)
        words += ["--keys-fd", str(keys_fd)]
    environment = {name: value for name, value in os.environ.items() if name != OWNERS_VARIABLE}
    os.execve(sys.executable, [sys.executable, *words], environment)  # noqa: S606 - no shell is the point


def run_join(out: Output, text: str, name: str) -> int:
    """Join the mesh that an invitation is for."""
    from kindmesh.capabilities.registry import available
    from kindmesh.coordinator.cli.unlocking import open_folder
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.mesh.enrol_guest import Guest
    from kindmesh.mesh.identity import Identity
    from kindmesh.mesh.trust import Trust, TrustFile
    from kindmesh.mesh.zmq_transport import ZmqTransport
    from kindmesh.protocol.enrol import EnrolGranted, OfferSummary, invitation_from_text
    from kindmesh.protocol.errors import KindmeshError

    check_name(name)
    home = Home.locate()
    invitation = invitation_from_text(sys.stdin.readline() if text == "-" else text)
    if (home.identity / TRUST_FILE).exists():
        known = Trust.load(home.identity)
        if known.mesh != invitation.mesh:
            hint = "One state folder is one member of one mesh; use another folder with KINDMESH_HOME."
            raise AlreadyInitialised(f"{home.root} belongs to another mesh", hint=hint)
    home.create()
    open_folder(home)
    offers = []
    for found in available():
        effects = 0
        for operation in found.manifest.operations:
            effects |= operation.effects
        offers.append(OfferSummary(found.manifest.capability, found.manifest.title, effects))

    def store(papers: EnrolGranted) -> None:
        Trust.create(
            home.identity,
            TrustFile(
                schema=1,
                mesh=invitation.mesh,
                bundle=papers.bundle,
                certificate=papers.certificate,
                coordinator=papers.coordinator,
                rosters=papers.rosters,
                revocations=papers.revocations,
                policy=papers.policy,
                addresses=papers.addresses,
            ),
        )

    with home.lock("node"):
        entropy = SystemEntropy()
        identity = Identity.create(home.identity, entropy)
        guest = Guest(
            invitation,
            identity,
            name or default_name(),
            tuple(offers),
            transport=ZmqTransport(),
            entropy=entropy,
        )

        def show(code: str) -> None:
            out.event(
                {"event": "code", "code": code, "device": format_id(identity.device_id)},
                f"Check code: {code}",
                "Type it at the coordinator. Waiting for the owner ...",
            )

        try:
            asyncio.run(guest.knock(show, store, JOIN_PATIENCE_S))
        except KindmeshError:
            logging.getLogger("kindmesh.cli").info("not joined")
            raise
    out.result(
        {"ok": True, "event": "joined", "mesh": format_id(invitation.mesh), "device": format_id(identity.device_id),
         "home": os.fspath(home.root)},
        f"This device belongs to mesh {format_id(invitation.mesh)} now.",
        "Next: kindmesh up",
    )  # fmt: skip
    return EXIT_DONE


def run_pair(out: Output, minutes: float, role: str, save: Path | None) -> int:
    """Open a window, show the invitation, and let the owner decide about whoever knocks."""
    from kindmesh.coordinator.cli import qr
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised(
            "devices are paired at the coordinator", hint="Run kindmesh pair where the mesh was made."
        )
    if not 0 < minutes <= 15:
        raise InvalidInput("a window is open for at most 15 minutes", field="minutes")
    owner = unlock_owner(home, ask_passphrase())
    client, answers = connect(home), connect(home)
    paired = False
    closing: dict[str, Any] = {}
    with client, answers:
        stream = client.stream("pair.open", {"ttl_ms": int(minutes * 60_000), "role": role})
        while True:
            try:
                event: dict[str, Any] = next(stream)
            except StopIteration as end:
                closing = end.value
                break
            kind = event["event"]
            if kind == "window":
                _show_window(out, event, save, qr)
            elif kind == "knock":
                if event not in answers.call("pair.waiting"):
                    continue  # the device has begun again since; its new knock comes
                shown = {key: value for key, value in event.items() if key != "code"}
                out.event(shown, *_describe_knock(event))
                grant = None
                wanted = _ask_owner(out, event, lambda: answers.call("pair.waiting"))
                if wanted is not None:
                    grant = owner.sign_grant(
                        name=event["name"],
                        ed_pub=event["ed_pub"],
                        curve_pub=event["curve_pub"],
                        roles=(role,),
                        capabilities=_grants(event, wanted),
                    )
                try:
                    answers.call("pair.answer", {"knock": event["knock"], "grant": _grant_bytes(grant)})
                except UnknownMember:
                    out.note(f"{event['name']} is not at the door any more.")
                    continue
                if grant is None:
                    out.note("Turned away.")
            elif kind == "failed":
                out.event(
                    event, f"A try was refused: {sentence(event['message'])} {event['left']} more allowed."
                )
            elif kind == "paired":
                paired = True
                out.event(event, f"{event['name']} belongs to your mesh now.")
    words = {"paired": "", "expired": "Nobody came; the window is closed.", "closed": "The window is closed."}
    note = words.get(closing["reason"], "Too many wrong tries; the window is closed.")
    out.result({"ok": paired, **closing}, *([note] if note else []))
    return EXIT_DONE if paired else EXIT_REFUSED


def _grant_bytes(grant: Any) -> bytes | None:
    from kindmesh.protocol.signed import signed_to_bytes

    return None if grant is None else signed_to_bytes(grant)


def _show_window(out: Output, event: dict[str, Any], save: Path | None, qr: Any) -> None:
    if save is not None:
        qr.save(event["text"], save)
    minutes = event["ttl_ms"] / 60_000
    until = time.strftime("%H:%M:%S", time.localtime(event["expires_ms"] / 1000))
    out.event(
        {**event, **({"saved": os.fspath(save)} if save else {})},
        *qr.terminal_lines(event["text"]),
        "On the other device:",
        "",
        f"  kindmesh join '{event['text']}'",
        "",
        f"The window is open for {minutes:g} min, until {until}. Ctrl-C closes it.",
    )


def _describe_knock(event: dict[str, Any]) -> list[str]:
    lines = [f"{event['name']} is at the door ({event['device']}). It offers:"]
    for offer in event["offers"]:
        effects = parse_effects(offer["effects"])
        words = "; ".join(words for effect, words in EFFECT_WORDS.items() if effects & effect)
        lines.append(f"  {offer['capability']:<10} {offer['title']}: {words}")
    return lines


def _ask_owner(
    out: Output, event: dict[str, Any], waiting: Callable[[], list[dict[str, Any]]]
) -> tuple[str, ...] | None:
    """The capabilities to grant, or None. The owner types the code that the *device* shows; it is not shown here.

    If the device began again while the owner was being asked, its new code is the right one, as long as it is the same
    device and offers the same.
    """
    out.clear()
    sys.stderr.write("Type the check code that the device shows (or no, or code and capabilities to trim): ")
    sys.stderr.flush()
    words = sys.stdin.readline().replace(",", " ").split()
    if not words or words[0].lower() in ("n", "no"):
        return None
    same = [
        {**knock, "code": ""} == {**event, "code": ""} and knock["code"] == words[0] for knock in waiting()
    ]
    if not any(same):
        out.note("That is not this device's code. Somebody else may be at the door.")
        return None
    offered = tuple(offer["capability"] for offer in event["offers"])
    wanted = tuple(words[1:]) or offered
    unknown = [word for word in wanted if word not in offered]
    if unknown:
        out.note(f"It does not offer {', '.join(unknown)}.")
        return None
    return wanted


def _grants(event: dict[str, Any], wanted: tuple[str, ...]) -> tuple[CapabilityGrant, ...]:
    """For each capability wanted, the effects that the device asked for and the owner was shown."""
    return tuple(
        CapabilityGrant(offer["capability"], int(parse_effects(offer["effects"])))
        for offer in event["offers"]
        if offer["capability"] in wanted
    )


def device_of(home: Home) -> str:
    """The formatted id of the device in this state folder.

    Raises:
        NotInitialised.
    """
    from kindmesh.mesh.trust import Trust

    return format_id(key_id(Trust.load(home.identity).certificate.ed_pub))


__all__ = [
    "check_name",
    "default_name",
    "device_of",
    "near_host",
    "run_init",
    "run_join",
    "run_pair",
    "run_up",
]
