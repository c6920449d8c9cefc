"""The state folder: where it is, who may see it, and who holds it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kindmesh.mesh.files import SOCKET_PATH_MAX, socket_path
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import HomeInUse, InsecurePermissions, StoreError

HOLD = """
import sys
from kindmesh.mesh.home import Home
lock = Home.locate(sys.argv[1]).lock("node")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_path_comes_before_the_variable_and_the_variable_before_xdg(tmp_path: Path) -> None:
    env = {"KINDMESH_HOME": "/k", "XDG_STATE_HOME": "/s", "XDG_CONFIG_HOME": "/c", "HOME": "/h"}
    assert Home.locate(tmp_path, env).root == tmp_path
    assert Home.locate(None, env).root == Path("/k")
    assert Home.locate(None, env).config_file == Path("/k/config.toml")
    del env["KINDMESH_HOME"]
    assert Home.locate(None, env).root == Path("/s/kindmesh")
    assert Home.locate(None, env).config_file == Path("/c/kindmesh/config.toml")
    assert Home.locate(None, {"HOME": "/h"}).root == Path("/h/.local/state/kindmesh")
    assert Home.locate(None, {"HOME": "/h"}).config_file == Path("/h/.config/kindmesh/config.toml")
    assert Home.locate(None, {"HOME": "/h", "XDG_STATE_HOME": "relative"}).root == Path(
        "/h/.local/state/kindmesh"
    )


def test_the_environment_of_this_process_is_the_default(kindmesh_home: Path) -> None:
    assert Home.locate().root == kindmesh_home
    assert not Home.locate().exists()


def test_everything_lies_inside_the_folder(kindmesh_home: Path) -> None:
    home = Home.locate()
    parts = [
        home.config_file, home.identity, home.node, home.node_journal, home.artifacts, home.data, home.coordinator,
        home.coordinator_journal, home.medulla, home.owner, home.run, home.recovery_kit,
    ]  # fmt: skip
    assert all(part.is_relative_to(kindmesh_home) for part in parts)
    assert len(set(parts)) == len(parts)
    assert home.socket("medulla") == kindmesh_home / "medulla" / "run" / "medulla.sock"
    assert home.socket("node") == kindmesh_home / "run" / "node.sock"
    assert str(kindmesh_home) in repr(home)


def test_created_folders_are_private() -> None:
    before = os.umask(0)
    try:
        home = Home.locate().create().create()
    finally:
        os.umask(before)
    folders = [home.root, *(p for p in home.root.rglob("*") if p.is_dir())]
    assert len(folders) == 6
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    home.root.chmod(0o755)
    home.create()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="folder"):
        Home(tmp_path / "home").create()


def test_a_second_holder_is_refused_by_name_of_the_first() -> None:
    home = Home.locate().create()
    assert home.holder("node") is None
    with home.lock("node"):
        assert home.holder("node") == os.getpid()
        with pytest.raises(HomeInUse) as caught:
            home.lock("node")
        assert str(os.getpid()) in caught.value.message
        assert "KINDMESH_HOME" in caught.value.hint
        home.lock("coordinator").release()
    assert home.holder("node") is None
    lock = home.lock("node")
    lock.release()
    lock.release()


def test_a_killed_holder_holds_nothing() -> None:
    home = Home.locate().create()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, home.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HomeInUse, match=str(other.pid)):
            home.lock("node")
        assert home.holder("node") == other.pid
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert home.holder("node") is None
        home.lock("node").release()


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    home = Home.locate().create()
    (home.run / "node.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        home.lock("node")
    with pytest.raises(ValueError, match="role"):
        home.lock("../node")


def test_a_deep_home_still_has_sockets(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("d" * 100) / ("e" * 100))
    sockets = {deep.socket("node"), deep.socket("coordinator"), Home(tmp_path / ("d" * 120)).socket("node")}
    assert len(sockets) == 3
    for path in sockets:
        assert len(os.fsencode(path)) <= SOCKET_PATH_MAX
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert deep.socket("node") in sockets


def test_a_fallback_folder_that_somebody_else_laid_out_is_refused(tmp_path: Path) -> None:
    fallback = tmp_path / "fallback"
    fallback.symlink_to(tmp_path)
    with pytest.raises(InsecurePermissions):
        socket_path(tmp_path / ("d" * 120) / "node.sock", fallback=fallback)
