"""Commands for which a person signs: whose key it is, unlocking it, and a client that signs every request.

Who it is: `--as NAME`, else `KINDMESH_PERSON`, else the only person with a key on this device. On the coordinator's own
machine it is the owner unless somebody is named. `-` means nobody: the request is the device's.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from kindmesh.coordinator.cli.local import connect, is_coordinator
from kindmesh.coordinator.person import Person, certified, unlock
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.people_keys import PeopleKeys, PersonKeyFile
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import parse_id
from kindmesh.protocol.signed import signed_from_bytes

NOBODY = "-"
_UNSIGNED = ("artifact.put_begin", "artifact.put_append", "artifact.put_finish", "clock")


class AsPerson(ControlClient):
    """A control client whose requests a person signs."""

    def __init__(self, path: Path, person: Person, timeout_ms: int | None = None) -> None:
        super().__init__(path, timeout_ms=timeout_ms)
        self.person = person

    def stream(self, method: str, params: Any = None) -> Generator[Any, None, Any]:
        """As `ControlClient.stream`."""
        return super().stream(
            method, params if method in _UNSIGNED else self.person.prove(method, params or {})
        )


def ask_person_passphrase(name: str) -> str:
    """A person's own passphrase: from `KINDMESH_PERSON_PASSPHRASE`, else typed.

    Raises:
        InvalidInput: nobody can be asked.
    """
    given = os.environ.get("KINDMESH_PERSON_PASSPHRASE")
    if given is not None:
        return given
    if not sys.stdin.isatty():
        hint = "Set KINDMESH_PERSON_PASSPHRASE where nobody can type."
        raise InvalidInput(f"the passphrase of {name} is needed", field="passphrase", hint=hint)
    return getpass.getpass(f"The passphrase of {name}: ", stream=sys.stderr)


def device_of(home: Home) -> bytes:
    """The id of this device's node.

    Raises:
        NotInitialised, StoreDamaged.
    """
    return Trust.load(home.identity).certificate.subject


def chosen(home: Home, name: str) -> PersonKeyFile | None:
    """The key to sign with, or None: the device asks (on the coordinator's machine, the owner).

    Raises:
        InvalidInput: nobody called so has a key here.
    """
    name = name or os.environ.get("KINDMESH_PERSON", "")
    if name == NOBODY or (not name and is_coordinator(home)):
        return None
    keys = PeopleKeys(home.root)
    if not name and not keys.folder.is_dir():
        return None
    return keys.choose(Trust.load(home.identity).mesh, name)


def has_key(home: Home, name: str) -> bool:
    """Whether a person called so has a key on this device."""
    here = PeopleKeys(home.root).certified(Trust.load(home.identity).mesh)
    return any(one.name.casefold() == name.casefold() for one in here)


def person_named(client: ControlClient, name: str) -> dict[str, Any] | None:
    """The person of this mesh with that name or id, or None."""
    for person in client.call("people")["people"]:
        if name in (person["person"], person["name"]):
            found: dict[str, Any] = person
            return found
    return None


def connect_as(home: Home, name: str = "", *, timeout_ms: int | None = None) -> ControlClient:
    """A client as `local.connect` gives, signing for a person where one asks; renews their certificate when due.

    Raises:
        NotInitialised. InvalidInput: nobody called so has a key here. WrongPassphrase.
    """
    client = connect(home, timeout_ms=timeout_ms)
    file = chosen(home, name)
    if file is None:
        return client
    with client:
        person = unlocked(home, client, file)
        if person.wants_renewal():
            answer = client.call("people.renew", {"renewal": person.renewal()})
            anchors = Trust.load(home.identity).membership.anchors
            person.file = certified(file, signed_from_bytes(answer["certificate"]), anchors)
            PeopleKeys(home.root).write(person.file)
    return AsPerson(client.path, person, timeout_ms)


def unlocked(home: Home, client: ControlClient, file: PersonKeyFile) -> Person:
    """The person with this key, signing by the mesh's time as `client` tells it.

    Raises:
        WrongPassphrase, InvalidInput: the passphrase. NotRunning.
    """
    clock = client.call("clock")
    ahead_ms = clock["now_ms"] - time.time_ns() // 1_000_000
    device = parse_id(clock["device"]) if "device" in clock else device_of(home)
    return Person(
        file,
        unlock(file, ask_person_passphrase),
        device,
        lambda: time.time_ns() // 1_000_000 + ahead_ms,
        SystemEntropy(),
    )


__all__ = [
    "AsPerson",
    "ask_person_passphrase",
    "chosen",
    "connect_as",
    "device_of",
    "has_key",
    "person_named",
    "unlocked",
]
