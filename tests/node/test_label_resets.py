"""The owner's way back: what a capability keeps counts as its own again, by the owner's signed word alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.node.rig import CLOCK, ENTROPY, Rig, rig
from tests.node.test_kept_labels import opened, receipt, run
from tests.node.test_node_restarts import full_disk

from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.trust import Trust
from kindmesh.node.kept_labels import KeptLabels
from kindmesh.node.label_resets import LabelResets
from kindmesh.protocol.audit import open_entry
from kindmesh.protocol.codec import decode, decode_value, encode, encode_value
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import (
    BadSignature,
    Busy,
    CertificateRefused,
    DiskFull,
    InvalidInput,
    KindmeshError,
    Malformed,
    PermitExpired,
    PermitMismatch,
    WrongDestination,
)
from kindmesh.protocol.label_reset import LabelReset, sign_label_reset
from kindmesh.protocol.plan_labels import Carried, Label
from kindmesh.protocol.signed import signed_to_bytes

WEB = Carried("web", ("anna",), ("notes",))
MINUTE = 60_000


class Device:
    """A device on which a text of the web, for Anna, was noted."""

    def __init__(self, folder: Path) -> None:
        self.household = Rig(folder).household
        home = Rig(folder).home()
        self.trust = Trust.load(home.identity)
        self.mesh, self.id = self.trust.mesh, self.trust.certificate.subject
        self.path, self.busy = folder / "journal.db", set[str]()
        self.owner = self.household.owner
        self.start()
        self.kept.given("notes.append", WEB)
        self.store.commit_now()

    def start(self) -> None:
        self.store = opened(self.path)
        signing = SigningKey(bytes(32))
        self.audit = AuditLog(self.store, mesh=self.mesh, signing=signing, clock=CLOCK, entropy=ENTROPY)
        self.kept = KeptLabels(self.store)
        self.resets = LabelResets(self.kept, self.trust, self.audit, CLOCK, lambda: self.busy)

    def restart(self) -> None:
        self.store.close()
        self.start()

    def word(self, by: SigningKey | None = None, **changes: Any) -> dict[str, Any]:
        made = LabelReset(self.mesh, self.id, "notes", WEB, CLOCK.now_ms())
        signed = sign_label_reset(msgspec.structs.replace(made, **changes), by or self.owner)
        return {"reset": signed_to_bytes(signed)}

    def noted(self) -> list[tuple[str, str, str]]:
        entries = [open_entry(row.entry) for _, row in self.audit.page(0, 100)]
        return [(one.kind, one.answer, one.operation) for one in entries if one.kind == "labels"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    # The household of a rig is the same whenever it is made.
    made = Device(tmp_path)
    yield made
    made.store.close()


def test_the_owners_word_makes_it_count_as_its_own_and_nothing_else_changes(device: Device) -> None:
    told = device.resets.reset(device.word())
    assert decode(Carried, told["label"]) == Carried("user", ("anna",), ("notes",))
    for _ in range(2):
        assert device.kept.of("notes.list") == Label("user", ("anna",), ("notes",)), "who may know it stays"
        assert device.noted() == [("labels", "reset", "notes")]
        (shown,) = device.resets.show({})["labels"]
        assert (shown["capability"], shown["reset_ms"] > 0) == ("notes", True)
        device.restart()
    # What is put in from then on counts as ever, also after a restart.
    device.kept.given("notes.append", Carried("web"))
    device.store.commit_now()
    device.restart()
    assert device.kept.of("notes.list").source == "web"


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"mesh": b"m" * 20}, WrongDestination),
        ({"device": b"d" * 20}, WrongDestination),
        ({"issued_ms": CLOCK.now_ms() - 20 * MINUTE}, PermitExpired),
        ({"issued_ms": CLOCK.now_ms() + 20 * MINUTE}, PermitExpired),
        ({"capability": "home"}, InvalidInput),
        ({"label": Carried("model")}, PermitMismatch),
        ({"label": Carried("web")}, PermitMismatch),
    ],
)
def test_a_word_that_does_not_fit_changes_nothing(
    device: Device, changes: dict[str, Any], refused: type[KindmeshError]
) -> None:
    with pytest.raises(refused):
        device.resets.reset(device.word(**changes))
    assert (device.kept.of("notes.list"), device.noted()) == (WEB.label(), [])


def test_nobody_else_can_say_it(device: Device) -> None:
    stranger = SigningKey(b"s" * 32)
    with pytest.raises(CertificateRefused):
        device.resets.reset(device.word(by=stranger))
    with pytest.raises(CertificateRefused):
        device.resets.reset(device.word(by=device.household.medulla))
    true = device.word()["reset"]
    edited = true.replace(b"notes", b"mesh!")
    assert edited != true
    with pytest.raises((BadSignature, Malformed)):
        device.resets.reset({"reset": edited})
    for garbage in ({}, None, {"reset": "x"}):
        with pytest.raises(InvalidInput):
            device.resets.reset(garbage)
    assert device.kept.of("notes.list") == WEB.label()


def test_a_word_serves_once_also_after_a_restart(device: Device) -> None:
    word = device.word()
    device.resets.reset(word)
    device.kept.given("notes.append", WEB)
    device.store.commit_now()
    for _ in range(2):
        with pytest.raises(PermitExpired, match="used before"):
            device.resets.reset(word)
        device.restart()
    assert device.kept.of("notes.list") == WEB.label()


def test_while_something_may_be_put_in_it_waits(device: Device) -> None:
    device.busy = {"notes.append"}
    with pytest.raises(Busy):
        device.resets.reset(device.word())
    device.busy = {"home.get"}
    device.kept.given("notes.append", Carried("web", ()))
    with pytest.raises(Busy, match="being written"):
        device.kept.reset("notes", CLOCK.now_ms(), before_commit=lambda: None)
    device.store.commit_now()
    device.kept.reset("notes", CLOCK.now_ms(), before_commit=lambda: None)
    assert device.kept.of("notes.list").source == "user"


@contextmanager
def no_room() -> Iterator[None]:
    with full_disk(), pytest.raises(DiskFull):
        yield


def test_a_full_disk_changes_nothing(device: Device) -> None:
    with no_room():
        device.resets.reset(device.word())
    assert device.kept.of("notes.list") == WEB.label()
    device.resets.reset(device.word())
    device.restart()
    assert device.kept.of("notes.list").source == "user"


async def test_what_is_read_afterwards_is_signed_as_the_devices_own(tmp_path: Path) -> None:
    async with rig(tmp_path) as household, household.node():
        await run(household, "notes.append", {"text": "seen on a page"}, Carried("web"))
        told = await household.desk.hub.call(household.id(), "mesh.labels", encode_value({}), 5_000)
        (shown,) = decode_value(told)["labels"]
        label = decode(Carried, shown["label"])
        mesh = household.household.mesh
        wanted = LabelReset(mesh, household.id(), "notes", label, CLOCK.now_ms())
        word = encode_value({"reset": encode(sign_label_reset(wanted, household.household.owner))})
        await household.desk.hub.call(household.id(), "mesh.labels_reset", word, 5_000)
        read = await run(household, "notes.list", {}, Carried("user"))
        assert receipt(household, read).kept == Carried("user")
        with pytest.raises(PermitExpired):
            await household.desk.hub.call(household.id(), "mesh.labels_reset", word, 5_000)
