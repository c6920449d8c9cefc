"""What a device keeps of the mesh's trust: damaged files, full disks, updates of which a part is bad."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.support.household import Household

from kindmesh.mesh.clock import SystemClock
from kindmesh.mesh.meshclock import MeshClock
from kindmesh.mesh.trust import TRUST_FILE, Trust, TrustFile
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import AuthenticationError, StoreDamaged, StoreError, StoreTooNew
from kindmesh.protocol.messages import TrustUpdate
from kindmesh.protocol.signed import Signed


@pytest.fixture
def household() -> Household:
    made = Household(5, int(time.time() * 1000))
    made.add("desk", "coordinator")
    made.add("phone")
    return made


def flipped(signed: Signed) -> Signed:
    return msgspec.structs.replace(signed, signature=bytes(64))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda household, file: encode(file)[:-40],
        lambda household, file: b"",
        lambda household, file: b"\xc1" * 100,
        lambda household, file: encode(msgspec.structs.replace(file, rosters=(flipped(file.rosters[0]),))),
        lambda household, file: encode(msgspec.structs.replace(file, policy=flipped(file.policy))),
        lambda household, file: encode(
            msgspec.structs.replace(file, coordinator=household.certificates["phone"])
        ),
        lambda household, file: encode(msgspec.structs.replace(file, mesh=b"m" * 20)),
    ],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do(
    household: Household, tmp_path: Path, spoil: Callable[[Household, TrustFile], bytes]
) -> None:
    file = household.trust_file("phone")
    Trust.create(tmp_path, file)
    (tmp_path / TRUST_FILE).write_bytes(spoil(household, file))
    with pytest.raises(StoreDamaged) as caught:
        Trust.load(tmp_path)
    assert caught.value.hint


def test_a_file_of_another_version_is_not_called_damaged(household: Household, tmp_path: Path) -> None:
    file = household.trust_file("phone")
    Trust.create(tmp_path, file)
    (tmp_path / TRUST_FILE).write_bytes(encode(msgspec.structs.replace(file, schema=2)))
    with pytest.raises(StoreTooNew):
        Trust.load(tmp_path)


def test_a_revocation_survives_although_the_roster_next_to_it_is_bad(
    household: Household, tmp_path: Path
) -> None:
    trust = Trust.create(tmp_path, household.trust_file("desk"))
    household.revoked.append(household.identities["phone"].device_id)
    with pytest.raises(AuthenticationError):
        trust.merge(
            TrustUpdate(rosters=(flipped(household.roster()),), revocations=(household.revocations(),))
        )
    again = Trust.load(tmp_path)
    assert [member.name for member in again.membership.members()] == ["desk"]


def test_what_the_disk_did_not_take_counts_at_once_and_is_written_later(
    household: Household, tmp_path: Path
) -> None:
    folder, away = tmp_path / "identity", tmp_path / "away"
    folder.mkdir(mode=0o700)
    trust = Trust.create(folder, household.trust_file("desk"))
    household.revoked.append(household.identities["phone"].device_id)
    folder.rename(away)
    with pytest.raises(StoreError):
        trust.merge(TrustUpdate(revocations=(household.revocations(),)))
    away.rename(folder)
    assert [member.name for member in trust.membership.members()] == ["desk"]
    assert [member.name for member in Trust.load(folder).membership.members()] == ["desk", "phone"]
    trust.remember(addresses=())
    assert [member.name for member in Trust.load(folder).membership.members()] == ["desk"]


def test_an_absurd_time_is_not_learned() -> None:
    clock = MeshClock(SystemClock())
    clock.learn(2**53)
    assert not clock.corrected
    assert clock.now_ms() < 2**47


def test_time_never_falls_below_what_was_signed_also_for_a_device_that_just_joined() -> None:
    household = Household(9, 1_700_000_000_000)
    household.add("desk", "coordinator")
    household.add("kitchen")
    trust = household.trust("kitchen")
    assert trust.floor_ms == 1_700_000_000_000
    trust.merge(TrustUpdate((), (household.revocations(1_700_000_500_000),)))
    assert trust.floor_ms == 1_700_000_500_000
    trust.remember(floor_ms=1_700_000_900_000)
    assert trust.floor_ms == 1_700_000_900_000
