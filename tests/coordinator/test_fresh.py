"""`join --fresh`: what a device was before is put aside, whole; and back where it was when joining fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.node.rig import Rig

from kindmesh.coordinator.cli.fresh import FORMER, put_aside, put_back, run_fresh
from kindmesh.coordinator.cli.output import Output
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.key_lock import LOCK_FILE
from kindmesh.mesh.trust import TRUST_FILE, Trust
from kindmesh.protocol.errors import AlreadyInitialised, HomeInUse, PeerUnreachable, Revoked
from kindmesh.protocol.messages import TrustUpdate

OUT = Output(as_json=True)


@pytest.fixture
def mesh(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def home(mesh: Rig, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A member's folder, with something in it."""
    home = mesh.home("phone")
    (home.data / "note.txt").write_text("milk")
    monkeypatch.setenv("KINDMESH_HOME", str(home.root))
    return home


def removed(mesh: Rig, home: Home) -> None:
    mesh.household.revoked.append(mesh.id())
    Trust.load(home.identity).merge(TrustUpdate(revocations=(mesh.household.revocations(),)))


def joins(mesh: Rig, home: Home) -> int:
    """As `join` does: new keys, then papers."""
    home.create()
    Identity.create(home.identity, SystemEntropy())
    Trust.create(home.identity, mesh.household.trust_file("kitchen"))
    return 0


def test_a_removed_device_does_not_join_as_what_it_was(mesh: Rig, home: Home) -> None:
    removed(mesh, home)
    with pytest.raises(Revoked, match="removed from the mesh") as refused:
        run_fresh(OUT, False, lambda: joins(mesh, home))
    assert "--fresh" in refused.value.hint
    assert not (home.root / FORMER).exists()


def test_a_fresh_device_has_a_new_key_and_the_old_folder_stays_readable(mesh: Rig, home: Home) -> None:
    removed(mesh, home)
    assert run_fresh(OUT, True, lambda: joins(mesh, home)) == 0
    (former,) = (home.root / FORMER).iterdir()
    old = Home(former)
    assert Trust.load(old.identity).certificate.name == "phone"
    assert (old.data / "note.txt").read_text() == "milk"
    assert former.stat().st_mode & 0o077 == 0
    assert not (home.data / "note.txt").exists()
    before = Identity.load(old.identity, SystemEntropy(), start=False)
    now = Identity.load(home.identity, SystemEntropy(), start=False)
    assert before.device_id == mesh.id()
    assert now.device_id != before.device_id


def test_wrapped_keys_can_be_opened_where_they_are_put_aside(home: Home) -> None:
    (home.root / LOCK_FILE).write_bytes(b"how the keys are wrapped")
    former = put_aside(home)
    assert (former / LOCK_FILE).read_bytes() == b"how the keys are wrapped"
    assert not home.identity.exists()
    put_back(home, former)
    assert home.identity.exists()
    assert not former.exists()


def test_when_joining_fails_everything_is_as_it_was(mesh: Rig, home: Home) -> None:
    removed(mesh, home)

    def fails() -> int:
        home.create()
        Identity.create(home.identity, SystemEntropy())
        raise PeerUnreachable("nobody opened")

    with pytest.raises(PeerUnreachable):
        run_fresh(OUT, True, fails)
    assert Identity.load(home.identity, SystemEntropy(), start=False).device_id == mesh.id()
    assert (home.data / "note.txt").read_text() == "milk"
    assert list((home.root / FORMER).iterdir()) == []


def test_a_folder_that_runs_or_is_the_coordinators_is_left_alone(mesh: Rig, home: Home) -> None:
    with home.lock("node"), pytest.raises(HomeInUse):
        run_fresh(OUT, True, lambda: joins(mesh, home))
    (home.coordinator / "identity").mkdir(parents=True)
    (home.coordinator / "identity" / TRUST_FILE).touch()
    with pytest.raises(AlreadyInitialised, match="coordinator"):
        run_fresh(OUT, True, lambda: joins(mesh, home))
    assert (home.identity / TRUST_FILE).exists()


def test_a_device_that_was_nothing_before_just_joins(
    mesh: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "new")
    monkeypatch.setenv("KINDMESH_HOME", str(home.root))
    assert run_fresh(OUT, True, lambda: joins(mesh, home)) == 0
    assert not (home.root / FORMER).exists()
