"""`people`: inviting, accepting, listing, changing and removing people."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kindmesh.coordinator.cli.as_person import (
    ask_person_passphrase,
    connect_as,
    device_of,
)
from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.cli.output import EXIT_DONE, Output, table
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import (
    AccessRefused,
    AuthenticationError,
    InvalidInput,
    NotInitialised,
    PermitRefused,
)
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.manifest import parse_effects
from kindmesh.protocol.roles import ALL_EFFECTS, ANY
from kindmesh.protocol.signed import signed_from_bytes, signed_to_bytes

DAY_MS: Final = 86_400_000
_REFUSED: Final = (AccessRefused, AuthenticationError, InvalidInput, PermitRefused)
"""Answers after which the new key is of no use."""
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}


def duration_ms(text: str, field: str) -> int:
    """`90m`, `12h`, `2d`.

    Raises:
        InvalidInput.
    """
    found = re.fullmatch(r"(\d{1,4})\s*([mhd])", text.strip().lower())
    if found is None or not int(found[1]):
        raise InvalidInput(f"{text[:20]!r} is no time", field=field, hint="Write 90m, 12h or 2d.")
    return int(found[1]) * _UNITS[found[2]]


def day_words(ms: int | None) -> str:
    """A time (UTC ms) as a person reads it here; `-`: none."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(ms / 1000)) if ms else "-"


def _owner_home() -> Home:
    home = Home.locate()
    if not is_coordinator(home):
        raise NotInitialised(
            "the owner's key is not on this device", hint="Do this on the device where the mesh was made."
        )
    return home


def find_person(known: dict[str, Any], name: str) -> dict[str, Any]:
    """The person with that name or id.

    Raises:
        InvalidInput: there is none; names who there is.
    """
    for person in known["people"]:
        if name == person["person"] or name.casefold() == person["name"].casefold():
            found: dict[str, Any] = person
            return found
    names = ", ".join(person["name"] for person in known["people"])
    raise InvalidInput(
        f"there is nobody called {name[:64]!r}",
        field="name",
        hint=f"There are: {names}." if names else "kindmesh people invite invites somebody.",
    )


def _limits(person: dict[str, Any]) -> str:
    parts = [] if person["operations"] == ["*"] else [f"only {', '.join(person['operations'])}"]
    if len(person["effects"]) < ALL_EFFECTS.bit_count():
        parts.append(f"may {', '.join(person['effects'])}")
    return "; ".join(parts)


def run_people(out: Output) -> int:
    """Who there is, on which devices, since when, until when; open invitations."""
    with connect_as(Home.locate(), timeout_ms=10_000) as client:
        known: dict[str, Any] = client.call("people")
    if out.as_json:
        out.result(known)
        return EXIT_DONE
    rows = []
    for person in known["people"]:
        devices = ", ".join(key["device_name"] or key["device"] for key in person["keys"]) or "no device yet"
        until = "ended" if person["ended"] else day_words(person["until_ms"])
        rows.append(
            [person["name"], person["role"], devices, day_words(person["since_ms"]), until, _limits(person)]
        )
    lines = table(["NAME", "ROLE", "DEVICES", "SINCE", "UNTIL", "LIMITS"], rows) if rows else ["Nobody yet."]
    waiting = [found for found in known["invitations"] if found["state"] == "open"]
    if waiting:
        lines += ["", "Invited:"]
        lines += table(
            ["NAME", "ROLE", "UNTIL", "INVITATION"],
            [[one["name"], one["role"], day_words(one["expires_ms"]), one["invitation"]] for one in waiting],
        )
    out.result(known, *lines)
    return EXIT_DONE


def run_invite(
    out: Output,
    name: str,
    role: str,
    *,
    operations: Sequence[str],
    effects: Sequence[str],
    days: float | None,
    expires: str,
    another: bool,
    save: Path | None,
    wait: bool,
) -> int:
    """Make an invitation: signed by the owner, its private part only in the text that is shown."""
    from kindmesh.coordinator.cli import qr
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner
    from kindmesh.protocol.ids import format_time_id
    from kindmesh.protocol.people import invitation_to_text

    home = _owner_home()
    lasts_ms = days_ms(days)
    invite_ms = duration_ms(expires, "expires")
    allowed = int(parse_effects(list(effects))) if effects else ALL_EFFECTS
    with connect(home) as client:
        person, until_ms, patterns = b"", 0, tuple(operations) or ANY
        if another:
            known = find_person(client.call("people"), name)
            person, name, role, until_ms = (
                parse_id(known["person"]),
                known["name"],
                known["role"],
                known["until_ms"] or 0,
            )
            if not operations and not effects:
                patterns, allowed = tuple(known["operations"]), int(parse_effects(known["effects"]))
        owner = unlock_owner(home, ask_passphrase())
        signed, terms, seed = owner.sign_terms(
            name=name, role=role, person=person, operations=patterns, effects=allowed,
            lasts_ms=lasts_ms, until_ms=until_ms, invite_ms=invite_ms,
        )  # fmt: skip
        client.call("people.invite", {"terms": signed_to_bytes(signed)})
        text = invitation_to_text(signed, seed)
        if save is not None:
            qr.save(text, save)
        invitation = format_time_id(terms.invite_id)
        out.event(
            {
                "event": "invitation", "ok": True, "invitation": invitation, "name": terms.name, "role": role,
                "text": text, "expires_ms": terms.invite_expires_ms, **({"saved": str(save)} if save else {}),
            },
            *qr.terminal_lines(text),
            f"On a device that {terms.name} uses:",
            "",
            "  kindmesh people accept -",
            "",
            "and there, as one line:",
            "",
            f"  {text}",
            "",
            f"It works once, until {day_words(terms.invite_expires_ms)}. Whoever has this text can be {terms.name}: "
            "hand it over yourself.",
            f"To take it back: kindmesh people withdraw {invitation}",
        )  # fmt: skip
        return _wait_for(out, home, terms.name, invitation) if wait else EXIT_DONE


def days_ms(days: float | None) -> int:
    """Milliseconds of so many days; None: 0.

    Raises:
        InvalidInput: not more than 0 and at most ten years.
    """
    if days is None:
        return 0
    if not 0 < days <= 3_660:
        raise InvalidInput("days are more than 0 and at most ten years", field="days")
    return int(days * DAY_MS)


def _wait_for(out: Output, home: Home, name: str, invitation: str) -> int:
    with connect(home) as client:
        for event in client.stream("watch"):
            if event.get("event") == "watching":
                known = connect(home).call("people")["invitations"]
                if any(one["invitation"] == invitation and one["state"] == "used" for one in known):
                    break
            if event.get("event") == "person" and event.get("name") == name:
                out.event(event, f"{name} has accepted.")
                return EXIT_DONE
    out.event({"event": "person", "what": "accepted", "name": name}, f"{name} has accepted.")
    return EXIT_DONE


def run_accept(out: Output, text: str, sealed: bool) -> int:
    """Become the person whom an invitation is for, with a key of one's own on this device."""
    from kindmesh.coordinator.person import Person, accept, certified, prepare, read_invitation, unlock
    from kindmesh.mesh.clock import SystemEntropy
    from kindmesh.mesh.people_keys import PeopleKeys
    from kindmesh.mesh.trust import Trust
    from kindmesh.protocol.people import invitation_from_text

    home = Home.locate()
    if text == "-":
        if sys.stdin.isatty():
            out.note("Paste the text of the invitation:")
        text = sys.stdin.readline()
    invitation = invitation_from_text(text)
    with connect(home, timeout_ms=30_000) as client:
        anchors = Trust.load(home.identity).membership.anchors
        terms = read_invitation(invitation, anchors)
        keys, entropy = PeopleKeys(home.root), SystemEntropy()
        passphrase = ask_person_passphrase(terms.name) if sealed else ""
        file, key = prepare(keys, terms, passphrase, entropy)
        if key is None:
            key = unlock(file, ask_person_passphrase)
        clock = client.call("clock")
        accepted = accept(key, invitation, device_of(home), clock["now_ms"])
        try:
            answer = client.call("people.accept", {"accepted": accepted})
        except _REFUSED:
            if file.certificate is None:
                keys.remove(file)
            raise
        file = certified(file, signed_from_bytes(answer["certificate"]), anchors)
        keys.write(file)
        for old in keys.certified(terms.mesh):
            # One key for each person is enough here, and what was removed only gets in the way.
            if old.name.casefold() == file.name.casefold() and old.public != file.public:
                keys.remove(old)
        person = Person(file, key, device_of(home), lambda: clock["now_ms"], entropy)
    certificate = person.certificate
    role = " ".join(certificate.roles)
    out.result(
        {"ok": True, "name": person.name, "role": role, "expires_ms": certificate.expires_ms},
        f"You are {person.name} ({role}) on this device now.",
        "Commands here are yours from now on; with several people: --as NAME, or KINDMESH_PERSON.",
    )
    return EXIT_DONE


def run_withdraw(out: Output, which: str) -> int:
    """Make an invitation void."""
    with connect(_owner_home(), timeout_ms=10_000) as client:
        known = client.call("people")["invitations"]
        found = [one for one in known if which in (one["invitation"], one["name"]) and one["state"] == "open"]
        if len(found) > 1:
            raise InvalidInput(
                f"{which} has several invitations",
                field="invitation",
                hint="Use the id from kindmesh people.",
            )
        if not found:
            raise InvalidInput(
                f"{which[:64]!r} names no open invitation",
                field="invitation",
                hint="kindmesh people lists them.",
            )
        wanted = found[0]["invitation"]
        client.call("people.withdraw", {"invitation": wanted})
    out.result({"ok": True, "invitation": wanted}, "This invitation is void now.")
    return EXIT_DONE


def run_role(
    out: Output,
    name: str,
    role: str,
    *,
    operations: Sequence[str],
    effects: Sequence[str],
    days: float | None,
) -> int:
    """Give a person another role, other limits or another end; what is not said stays."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    home = _owner_home()
    with connect(home, timeout_ms=30_000) as client:
        person = find_person(client.call("people"), name)
        signed, terms, _ = unlock_owner(home, ask_passphrase()).sign_terms(
            name=person["name"],
            role=role,
            person=parse_id(person["person"]),
            operations=tuple(operations) or tuple(person["operations"]),
            effects=int(parse_effects(list(effects) or person["effects"])),
            lasts_ms=days_ms(days),
            until_ms=person["until_ms"] or 0,
        )
        client.call("people.terms", {"terms": signed_to_bytes(signed)})
    out.result({"ok": True, "name": terms.name, "role": role}, f"{terms.name} is {role} now.")
    return EXIT_DONE


def run_remove(out: Output, name: str, device: str) -> int:
    """Take a person out of the mesh, or their key on one device."""
    from kindmesh.coordinator.cli.passphrase import ask_passphrase
    from kindmesh.coordinator.owner import unlock_owner

    home = _owner_home()
    with connect(home, timeout_ms=30_000) as client:
        person = find_person(client.call("people"), name)
        subject, where = person["person"], ""
        if device:
            keys = [key for key in person["keys"] if device in (key["device_name"], key["device"], key["id"])]
            if len(keys) != 1:
                raise InvalidInput(f"{person['name']} has no key on {device[:64]!r}", field="device")
            subject, where = keys[0]["id"], f" on {keys[0]['device_name']}"
        removal = unlock_owner(home, ask_passphrase()).sign_removal(parse_id(subject))
        answer: dict[str, Any] = client.call("revoke", {"removal": signed_to_bytes(removal)})
    told, missed = answer["told"], answer["not_reached"]
    out.result(
        {"ok": True, "person": subject, "name": person["name"], "told": told, "not_reached": missed,
         "within_ms": answer["within_ms"]},
        f"{person['name']} was removed{where}.",
        *([f"Told: {', '.join(told)}."] if told else []),
        *([f"Not reached: {', '.join(missed)}. They are told when they are back."] if missed else []),
    )  # fmt: skip
    return EXIT_DONE


__all__ = [
    "day_words",
    "days_ms",
    "duration_ms",
    "find_person",
    "run_accept",
    "run_invite",
    "run_people",
    "run_remove",
    "run_role",
    "run_withdraw",
]
