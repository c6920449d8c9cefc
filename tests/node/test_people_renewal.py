"""Certificates of people on a device renew by themselves, with the person's own signature."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.people_keys import PeopleKeys, PersonKeyFile
from kindmesh.node.people_renewal import PeopleRenewal
from kindmesh.protocol.certificate import Certificate, open_renewal, sign_certificate
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.errors import PeerUnreachable
from kindmesh.protocol.ids import key_id
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

DAY = 86_400_000


class Device:
    """A device with one person's key, past the middle of its life; `asked` are the renewals that were sent on."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = SystemClock().now_ms()
        self.household = Household(3, self.now_ms)
        for name in ("desk", "phone"):
            self.household.add(name, "coordinator" if name == "desk" else "node")
        self.trust = self.household.trust("phone")
        self.key = SigningKey(sha256(b"anna"))
        self.keys = PeopleKeys(folder)
        self.asked: list[Signed] = []
        self.answer: Callable[[], Any] = lambda: {"certificate": signed_to_bytes(self.certified(2))}
        self.file = PersonKeyFile(
            1, self.trust.mesh, "Anna", self.key.public, b"", self.key.seed, b"", self.certified(1, -20 * DAY)
        )
        self.keys.write(self.file)
        self.connected = True
        self.renewal = PeopleRenewal(folder, self.trust, SystemClock(), self.ask, lambda: self.connected)

    def certified(self, serial: int, since_ms: int = 0, **changes: Any) -> Signed:
        certificate = Certificate(
            self.trust.mesh, key_id(self.key.public), "person", "Anna", self.key.public, b"", ("guest",), (),
            self.now_ms + since_ms, self.now_ms + since_ms + 30 * DAY, serial,
        )  # fmt: skip
        return sign_certificate(msgspec.structs.replace(certificate, **changes), self.household.issuer)

    async def ask(self, method: str, params: Any, event: Callable[[Any], None]) -> Any:
        assert method == "people.renew"
        self.asked.append(signed_from_bytes(params["renewal"]))
        return self.answer()

    @property
    def serial(self) -> int:
        certificate = self.keys.all()[0].certified
        assert certificate is not None
        return certificate.serial


async def test_a_persons_certificate_renews_while_nobody_looks(tmp_path: Path) -> None:
    device = Device(tmp_path)
    await device.renewal.look()
    assert device.serial == 2
    assert open_renewal(device.asked[0], device.key.public).serial == 1
    await device.renewal.look()
    assert len(device.asked) == 1


async def test_it_is_looked_at_once_an_hour_and_only_when_connected(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.connected = False
    device.renewal.tick()
    await asyncio.sleep(0)
    assert device.asked == []
    device.connected = True
    for _ in range(3):
        device.renewal.tick()
        await asyncio.sleep(0.05)
    assert len(device.asked) == 1
    await device.renewal.close()


async def test_a_sealed_key_waits_for_its_person(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.keys.write(msgspec.structs.replace(device.file, seed=b"", sealed=b"x"))
    await device.renewal.look()
    assert device.asked == []


@pytest.mark.parametrize("wrong", ["nothing", "another key", "another issuer", "unreachable", "older"])
async def test_what_is_not_a_newer_certificate_of_this_key_changes_nothing(
    tmp_path: Path, wrong: str
) -> None:
    device = Device(tmp_path)
    other = SigningKey(sha256(b"other"))

    def answer() -> Any:
        if wrong == "unreachable":
            raise PeerUnreachable("away")
        if wrong == "another key":
            found = device.certified(2, ed_pub=other.public, subject=key_id(other.public))
        elif wrong == "another issuer":
            certificate = device.file.certified
            assert certificate is not None
            found = sign_certificate(certificate, other)
        else:
            found = device.certified(1)
        return {} if wrong == "nothing" else {"certificate": signed_to_bytes(found)}

    device.answer = answer
    await device.renewal.look()
    assert (len(device.asked), device.serial) == (1, 1)


async def test_a_damaged_file_is_no_reason_to_end(tmp_path: Path) -> None:
    device = Device(tmp_path)
    next(device.keys.folder.iterdir()).write_bytes(b"x")
    await device.renewal.look()
    assert device.asked == []
    await device.renewal.close()
