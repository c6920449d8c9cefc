"""Private files: whole or not there, and nobody else's."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from kindmesh.mesh.files import private_folder, read_private, write_private
from kindmesh.protocol.errors import DiskFull, InsecurePermissions, StoreError


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        write_private(path, b"secret")
        write_private(path, b"another")
    finally:
        os.umask(before)
    assert read_private(path) == b"another"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(DiskFull):
            write_private(path, bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_private(path) == b"old"
    assert os.listdir(tmp_path) == ["key"]
    with pytest.raises(StoreError):
        write_private(tmp_path / "nowhere" / "key", b"")


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    path.chmod(0o640)
    with pytest.raises(InsecurePermissions) as caught:
        read_private(path)
    assert f"chmod 600 {path}" in caught.value.hint
    assert read_private(path, secret=False) == b"secret"


def test_missing_and_oversized_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(StoreError, match="No such file"):
        read_private(path)
    write_private(path, bytes(100))
    assert len(read_private(path, limit=100)) == 100
    with pytest.raises(StoreError, match="100 bytes"):
        read_private(path, limit=99)
    with pytest.raises(StoreError, match="more than"):
        read_private(Path("/dev/zero"), limit=10, secret=False)
    with pytest.raises(StoreError):
        read_private(tmp_path, secret=False)


def test_a_folder_is_made_private_with_its_parents(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(StoreError):
        private_folder(Path("/proc/nowhere"))
