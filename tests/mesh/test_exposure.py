"""What others could get at in a state folder is found and named, with the command that mends it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindmesh.mesh.artifacts import ArtifactStore
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.exposure import check_private, exposed, mend
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.store import Store
from kindmesh.mesh.store_schema import Migration, Schema
from kindmesh.mesh.vault import RUN_KEY_TABLE, folder_key
from kindmesh.protocol.errors import InsecurePermissions

PRIVATE = (
    "identity/device.key", "node/store.key", "node/journal.db", "node/journal.db-wal", "node/journal.db.v1.backup",
    "run/node.lock", "run/node.sock", "identity", "node", "node/artifacts", "coordinator/artifacts", "recovery-kit.txt",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    old = os.umask(0o000)  # nothing may rely on it
    try:
        made = Home(tmp_path / "a home" / "state").create()
        Identity.create(made.identity, SystemEntropy())
        key = folder_key(made.node / "store.key")
        first, second = Migration(1, (RUN_KEY_TABLE,)), Migration(2, ("CREATE TABLE more(x)",))
        Store.open(made.node_journal, Schema("t", 1, (first,))).close()
        store = Store.open(made.node_journal, Schema("t", 2, (first, second)))
        store.execute("INSERT INTO more VALUES(1)")
        store.commit_now()
        ArtifactStore.open(made.coordinator / "artifacts", key)
        made.lock("node").release()
        made.recovery_kit.write_text("kit")
        made.recovery_kit.chmod(0o600)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(os.fspath(made.run / "node.sock"))
            (made.run / "node.sock").chmod(0o600)
    finally:
        os.umask(old)
    yield made
    store.close()


def test_what_we_make_is_private_whatever_the_umask(home: Home) -> None:
    assert exposed(home) == []
    assert home.root.parent.stat().st_mode & 0o077 == 0
    check_private(home)


@pytest.mark.parametrize("name", PRIVATE)
def test_what_others_can_read_is_refused_with_the_command_that_mends_it(home: Home, name: str) -> None:
    path = home.root / name
    path.chmod(path.stat().st_mode | 0o044)
    with pytest.raises(InsecurePermissions) as caught:
        check_private(home)
    assert str(path) in caught.value.message
    assert caught.value.hint == f"Run: {mend(home)}"
    subprocess.run(mend(home), shell=True, check=True)  # noqa: S602 - as a person would
    check_private(home)


def test_passing_through_is_allowed_and_changing_is_worse_than_reading(home: Home) -> None:
    home.root.chmod(0o711)
    assert exposed(home) == []
    home.root.chmod(0o777)
    assert [(one.path, one.why) for one in exposed(home)] == [(home.root, "can be changed by others")]


def test_a_folder_that_is_not_there_exposes_nothing(tmp_path: Path) -> None:
    assert exposed(Home(tmp_path / "nowhere")) == []
