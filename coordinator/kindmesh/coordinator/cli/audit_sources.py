"""Where the audit logs are that the command line shows and verifies.

Those of this device are read from its disk, whether it runs or not. Where Medulla has a user of its own its log cannot
be read from there, and comes through the running coordinator, as those of other devices do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Self

import msgspec

from kindmesh.coordinator.brain.medulla.service import SCHEMA as MEDULLA_SCHEMA
from kindmesh.coordinator.cli.local import is_coordinator
from kindmesh.coordinator.heart.journal import HEART_SCHEMA
from kindmesh.mesh.audit import AuditRows
from kindmesh.mesh.audit_anchor import open_anchor
from kindmesh.mesh.audit_export import Log
from kindmesh.mesh.audit_verify import Memory, Place, Source, StoreSource
from kindmesh.mesh.audit_witness import remembered
from kindmesh.mesh.control_client import ControlClient
from kindmesh.mesh.home import Home
from kindmesh.mesh.store import Schema, Store
from kindmesh.mesh.trust import Trust
from kindmesh.node.config import load_config
from kindmesh.node.journal import NODE_SCHEMA
from kindmesh.protocol.audit import SealedEntry
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.signed import Signed, signed_from_bytes

ROWS: Final = 500


class ApiSource:
    """A log through the running coordinator; a `Source`. `named` is what `audit.rows` calls it."""

    def __init__(self, place: Place, client: ControlClient, named: str) -> None:
        self.place, self._client, self._named = place, client, named

    def page(self, after: int) -> Sequence[tuple[int, SealedEntry]]:
        """As `Source`; raises what the coordinator or the device answers."""
        answer: dict[str, Any] = self._client.call(
            "audit.rows", {"log": self._named, "after": after, "limit": ROWS}
        )
        return [(int(number), SealedEntry(entry, seal)) for number, entry, seal in answer["rows"]]


class Missing(msgspec.Struct, frozen=True):
    """A log or a memory that cannot be reached now, and why."""

    what: str
    why: str


@contextmanager
def _as_keeper(home: Home) -> Iterator[None]:
    """For root, while Kindmesh runs under users of its own: read as the user whose files they are now."""
    keeper = home.identity.stat().st_uid
    if os.geteuid() != 0 or keeper == 0:
        yield
        return
    os.seteuid(keeper)
    try:
        yield
    finally:
        os.seteuid(0)


class Logs:
    """All that is known of the audit from this device; a context manager that closes what it opened.

    `everything`: also the logs of all devices that are reachable now.
    """

    def __init__(self, home: Home, *, everything: bool = False) -> None:
        self._stack = ExitStack()
        self._home = home
        with _as_keeper(home):
            self.trust = Trust.load(home.identity)
        self.mesh = self.trust.mesh
        self.logs: list[Log] = []
        self.memories: list[Memory] = []
        self.missing: list[Missing] = []
        self.names: dict[bytes, str] = {}
        self._client: ControlClient | None = None
        try:
            with _as_keeper(home):
                self._collect(everything)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sources(self) -> list[Source]:
        """Every log."""
        return [log.source for log in self.logs]

    def _collect(self, everything: bool) -> None:
        home, trust = self._home, self.trust
        name = trust.certificate.name
        self._learn(trust)
        self._connect()
        if is_coordinator(home):
            desk = Trust.load(home.coordinator / "identity")
            self._learn(desk)
            place = Place("coordinator", desk.certificate.name, desk.certificate.ed_pub)
            self._store(place, home.coordinator_journal, HEART_SCHEMA, desk.signed_certificate)
            self._medulla(desk.certificate.name)
        place = Place("node", name, trust.certificate.ed_pub)
        self._store(place, home.node_journal, NODE_SCHEMA, trust.signed_certificate)
        if self._client is not None:
            self._others(self._client, everything)
        self._receipts()

    def _learn(self, trust: Trust) -> None:
        for member in trust.membership.members():
            self.names[member.subject] = member.name
        for medulla in trust.membership.anchors.of_kind("medulla"):
            self.names[medulla.subject] = "Medulla"
        for person in trust.membership.anchors.of_kind("person"):
            self.names[person.subject] = person.name

    def _connect(self) -> None:
        if not is_coordinator(self._home):
            return
        try:
            client = ControlClient(self._home.socket("coordinator"), timeout_ms=20_000)
            self._stack.enter_context(client).call("status")
            self._client = client
        except KindmeshError as error:
            self.missing.append(Missing("what other devices remember", error.message))

    def _store(self, place: Place, path: Any, schema: Schema, certificate: Signed | None) -> None:
        try:
            store = Store.open_readonly(path, schema)
        except KindmeshError as error:
            self.missing.append(Missing(f"the log of {place.device} ({place.log})", error.message))
            return
        self._stack.callback(store.close)
        self.memories += [
            Memory(f"{place.device} ({place.log})", one.head, one.problem) for one in remembered(store)
        ]
        self.logs.append(Log(StoreSource(place, AuditRows(store)), certificate))

    def _medulla(self, device: str) -> None:
        """Medulla's log, out of its folder if that can be read here."""
        path = self._home.medulla / "state" / "medulla.db"
        medullas = self.trust.membership.anchors.of_kind("medulla")
        # With several, ours is the one whose log our coordinator remembers.
        known = {memory.head.author for memory in self.memories}
        ours = next((one for one in medullas if one.subject in known), medullas[0])
        place = Place("medulla", device, ours.ed_pub)
        try:
            readable = path.is_file()
        except OSError:
            readable = False
        if readable:
            self._store(place, path, MEDULLA_SCHEMA, None)
        elif self._client is not None:
            self.logs.append(Log(ApiSource(place, self._client, "medulla"), None))
        else:
            self.missing.append(Missing("Medulla's log", "it can only be read while Kindmesh runs"))

    def _others(self, client: ControlClient, everything: bool) -> None:
        here = self.trust.certificate.subject
        certificates = {}
        for member in Trust.load(self._home.coordinator / "identity").membership.members():
            certificates[member.subject] = member
        for node in client.call("nodes"):
            subject = parse_id(node["id"])
            if node["role"] == "coordinator" or subject == here or subject not in certificates:
                continue
            name = node["name"]
            if node["state"] != "alive":
                self.missing.append(Missing(f"the log and the memory of {name}", f"it is {node['state']}"))
                continue
            try:
                heads = client.call("audit.heads", {"log": node["id"]})["heads"]
            except KindmeshError as error:
                self.missing.append(Missing(f"the memory of {name}", error.message))
                continue
            self.memories += [Memory(name, signed_from_bytes(head), problem) for _, head, _, problem in heads]
            if everything:
                place = Place("node", name, certificates[subject].ed_pub)
                self.logs.append(Log(ApiSource(place, client, node["id"]), self._certificate(subject)))

    def _certificate(self, subject: bytes) -> Signed | None:
        found = Trust.load(self._home.coordinator / "identity").membership.latest(subject)
        return found[1] if found else None

    def _receipts(self) -> None:
        try:
            anchor = open_anchor(load_config(self._home.config_file, os.environ).audit.anchor)
            if anchor is not None:
                self.memories += [Memory("the anchor", receipt.head) for receipt in anchor.receipts()]
        except KindmeshError as error:
            self.missing.append(Missing("the anchor's receipts", error.message))

    def name(self, subject: bytes) -> str:
        """What people call a member; its id when it is none (any more)."""
        return self.names.get(subject) or format_id(subject)

    def find(self, device: str, log: str) -> Iterator[Log]:
        """Those of a device (name or id) and of a kind of log; empty: all."""
        for one in self.logs:
            place = one.source.place
            if device and device not in (place.device, format_id(place.author)):
                continue
            if not log or log == place.log:
                yield one


__all__ = ["ApiSource", "Logs", "Missing"]
