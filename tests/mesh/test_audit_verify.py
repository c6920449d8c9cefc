"""Verifying logs against witnesses, exporting them, and anchoring their heads."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.protocol.samples import BUNDLE, IDS, MESH, NOW, SIGNED, SIGNING
from tests.support.audit import SCHEMA, ManualClock

from kindmesh.mesh.audit import AuditLog, AuditRows
from kindmesh.mesh.audit_anchor import FolderAnchor, open_anchor
from kindmesh.mesh.audit_export import Log, export, open_export
from kindmesh.mesh.audit_report import audit_findings, heads_document
from kindmesh.mesh.audit_verify import Memory, Place, StoreSource, verify
from kindmesh.mesh.audit_witness import SEND_EVERY, Pace, Witness, remembered
from kindmesh.mesh.store import Store
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.audit import AuditNews
from kindmesh.protocol.errors import (
    BadSignature,
    CertificateRefused,
    InvalidInput,
    KindmeshError,
    Malformed,
    StoreError,
    WrongDestination,
)

PHONE = Place("node", "phone", SIGNING["phone"].public)


class Device:
    """A store with the log of `name`, and what it witnesses."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path, SCHEMA, sync="inline")
        self.audit = AuditLog(
            self.store,
            mesh=MESH,
            signing=SIGNING[self.name],
            clock=ManualClock(NOW),
            entropy=SeededEntropy(self.name),
        )
        self.witness = Witness(self.store, self.audit)

    def note(self, *answers: str) -> None:
        for answer in answers:
            self.audit.note("effect", answer)
            self.store.commit_now()

    def tell(self, other: Device) -> str:
        """Give `other` what is new of this log, as heartbeats do."""
        news = self.audit.news(other.witness.size(self.audit.author))
        if news is None:
            return "nothing"
        verdict = other.witness.take(news, SIGNING[self.name].public, NOW)
        other.store.commit_now()
        return verdict

    def source(self) -> StoreSource:
        return StoreSource(Place("node", self.name, SIGNING[self.name].public), AuditRows(self.store))

    def memories(self) -> list[Memory]:
        return [Memory(self.name, one.head, one.problem) for one in remembered(self.store)]

    def roll_back(self, left: int) -> None:
        self.store.execute("DELETE FROM audit WHERE seq > ?", (left,))
        self.store.close()
        self.open()


@pytest.fixture
def phone(tmp_path: Path) -> Device:
    device = Device(tmp_path / "phone.db", "phone")
    device.note("one", "two", "three")
    return device


@pytest.fixture
def desk(tmp_path: Path) -> Device:
    return Device(tmp_path / "desk.db", "desk")


def test_a_witness_follows_a_growing_log_and_remembers_it_over_a_restart(phone: Device, desk: Device) -> None:
    assert [phone.tell(desk), phone.tell(desk)] == ["first", "nothing"]
    phone.note("four", "five")
    assert phone.tell(desk) == "newer"
    desk.store.close()
    desk.open()
    assert desk.witness.size(phone.audit.author) == 5
    assert phone.tell(desk) == "nothing"
    report = verify(MESH, [phone.source()], desk.memories())
    assert (report.ok, report.entries) == (True, 5)
    assert [(asked.witness, asked.entries, asked.ok) for asked in report.witnesses] == [("desk", 5, True)]


def test_a_log_that_was_cut_at_a_seal_is_noticed_by_its_witness_and_named(
    phone: Device, desk: Device
) -> None:
    phone.tell(desk)
    phone.roll_back(2)
    assert phone.tell(desk) == "shrunk"
    assert "the end was cut off" in desk.witness.problems()[0].problem
    ((level, sentence, _),) = audit_findings(desk.audit, desk.witness, lambda author: "the phone")
    assert level == "fail"
    assert "the phone" in sentence
    assert heads_document(desk.witness)[0][3]
    report = verify(MESH, [phone.source()], [Memory("desk", one.head) for one in desk.witness.all()])
    assert [(one.first, one.last) for one in report.problems] == [(3, 3)]
    assert not report.as_dict()["ok"]


def test_a_log_written_anew_and_longer_is_noticed_by_its_witness(phone: Device, desk: Device) -> None:
    phone.tell(desk)
    phone.roll_back(1)
    phone.note("other", "other", "other", "other")
    assert phone.tell(desk) == "rewritten"
    assert phone.tell(desk) == "rewritten"
    found = [entry for entry in desk.audit.page(0) if b"witness" in entry[1].entry]
    assert len(found) == 1
    report = verify(MESH, [phone.source()], [Memory("desk", one.head) for one in desk.witness.all()])
    assert [(one.first, one.last) for one in report.problems] == [(1, 3)]
    told = verify(MESH, [phone.source()], desk.memories())
    assert "desk noticed" in told.problems[0].problem


def test_an_alarm_stays_until_the_owner_has_looked(phone: Device, desk: Device) -> None:
    phone.tell(desk)
    phone.roll_back(2)
    phone.tell(desk)
    desk.store.close()
    desk.open()
    assert desk.witness.problems()
    assert desk.witness.accept(phone.audit.author)
    assert not desk.witness.accept(phone.audit.author)
    assert phone.tell(desk) == "first"
    assert not desk.witness.problems()


def test_a_head_of_somebody_else_is_refused_and_changes_nothing(phone: Device, desk: Device) -> None:
    news = phone.audit.news(0)
    assert news is not None
    with pytest.raises(BadSignature):
        desk.witness.take(news, SIGNING["desk"].public, NOW)
    assert desk.witness.all() == []
    phone.tell(desk)
    phone.note("four")
    assert phone.audit.head is not None
    assert desk.witness.take(AuditNews(phone.audit.head, 2), SIGNING["phone"].public, NOW) == "unrelated"


def test_heads_are_sent_at_once_and_then_every_few_beats() -> None:
    pace = Pace()
    due = [pace.due(b"p", b"a", beat) for beat in range(1, 2 * SEND_EVERY + 1)]
    assert due == [beat % SEND_EVERY == 1 for beat in range(1, 2 * SEND_EVERY + 1)]
    pace.forget(b"p")
    assert pace.due(b"p", b"a", 2 * SEND_EVERY)
    assert pace.due(b"p", b"a", 1)  # it began to count anew


def test_an_exported_file_is_verified_with_the_mesh_id_alone(
    phone: Device, desk: Device, tmp_path: Path
) -> None:
    file = tmp_path / "out.jsonl"
    phone.tell(desk)
    logs = [Log(phone.source(), SIGNED["phone"])]
    assert export(file, MESH, [BUNDLE], logs, memories=desk.memories()) == 3
    opened = open_export(file, MESH)
    report = verify(MESH, opened.sources, opened.memories)
    assert (report.ok, report.entries, len(report.witnesses)) == (True, 3, 1)
    with pytest.raises(InvalidInput):
        export(file, MESH, [BUNDLE], logs)
    with pytest.raises(WrongDestination):
        open_export(file, IDS["desk"])
    with pytest.raises(StoreError):
        open_export(tmp_path / "missing", MESH)


def test_every_change_of_an_exported_file_is_found(phone: Device, desk: Device, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    phone.tell(desk)
    export(file, MESH, [BUNDLE], [Log(phone.source(), SIGNED["phone"])], memories=desk.memories())
    lines = file.read_text().splitlines()
    rng = random.Random(7)

    def found(changed: list[str]) -> bool:
        file.write_text("\n".join(changed) + "\n")
        try:
            opened = open_export(file, MESH)
        except KindmeshError:
            return True
        report = verify(MESH, opened.sources, opened.memories)
        return not report.ok or report.entries != 3 or len(report.witnesses) != 1

    for number in range(len(lines)):
        assert found(lines[:number] + lines[number + 1 :]), f"line {number} removed"
        assert found([*lines[:number], lines[rng.randrange(len(lines))], *lines[number:]]), (
            f"line {number} doubled"
        )
    for number in range(len(lines) - 1):
        line = json.loads(lines[number])
        for key in line:
            if key in ("device", "log", "witness", "problem", "kindmesh_audit_export"):
                continue
            changed = {**line, key: _spoil(line[key])}
            assert found([*lines[:number], json.dumps(changed), *lines[number + 1 :]]), (
                f"{key} in line {number}"
            )
    assert not found(lines)


def _spoil(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return [_spoil(value[0])]
    if "-" in value:  # an id, as people see it
        return value[::-1]
    data = bytearray(base64.b64decode(value)) if value else bytearray(64)
    data[len(data) // 2] ^= 1
    return base64.b64encode(bytes(data)).decode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda line: {**line, "public": base64.b64encode(SIGNING["desk"].public).decode()},
        lambda line: {**line, "certificate": ""},
    ],
)
def test_a_key_that_the_mesh_did_not_certify_is_refused(
    phone: Device, tmp_path: Path, spoil: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    file = tmp_path / "out.jsonl"
    export(file, MESH, [BUNDLE], [Log(phone.source(), SIGNED["phone"])])
    lines = file.read_text().splitlines()
    lines[1] = json.dumps(spoil(json.loads(lines[1])))
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(CertificateRefused):
        open_export(file, MESH)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "x" * 100, '{"kindmesh_audit_export": 2}', '{"end": 0}']
)
def test_what_is_no_export_is_malformed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    with pytest.raises((Malformed, InvalidInput)):
        open_export(file, MESH)


def test_an_anchor_keeps_receipts_that_are_compared_with_the_log(phone: Device, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    with pytest.raises(StoreError):
        open_anchor(str(folder))
    folder.mkdir()
    anchor = open_anchor(str(folder))
    assert open_anchor("") is None
    assert isinstance(anchor, FolderAnchor)
    assert list(anchor.receipts()) == []
    assert phone.audit.head is not None
    anchor.anchor(phone.audit.head, NOW)
    phone.note("four")
    anchor.anchor(phone.audit.head, NOW + 1)
    memories = [Memory("the anchor", receipt.head) for receipt in anchor.receipts()]
    assert verify(MESH, [phone.source()], memories).ok
    phone.roll_back(3)
    report = verify(MESH, [phone.source()], memories)
    assert [(one.first, one.last) for one in report.problems] == [(4, 4)]
    with anchor.path.open("a") as file:
        file.write("no receipt\n")
    with pytest.raises(Malformed, match="line 3"):
        list(anchor.receipts())


def test_a_log_that_cannot_be_read_and_a_false_memory_are_problems(phone: Device, desk: Device) -> None:
    desk.note("one")
    assert desk.audit.head is not None
    false = Memory("desk", phone.audit.head) if phone.audit.head else None
    assert false is not None
    forged = Memory("desk", type(false.head)(false.head.payload, false.head.author, bytes(64)))
    report = verify(MESH, [phone.source()], [forged])
    assert "not signed" in report.problems[0].problem
    phone.store.close()
    report = verify(MESH, [phone.source()])
    assert "cannot be read" in report.problems[0].problem


def test_a_long_log_is_verified_in_pages_and_tells_how_far_it_is(tmp_path: Path) -> None:
    device = Device(tmp_path / "long.db", "phone")
    for _ in range(12):
        for _ in range(1000):
            device.audit.note("effect", "intent")
        device.store.commit_now()
    told: list[tuple[str, int]] = []
    report = verify(MESH, [device.source()], (), lambda name, entries: told.append((name, entries)))
    assert (report.ok, report.entries, told) == (True, 12_000, [("phone (node)", 10_000)])
