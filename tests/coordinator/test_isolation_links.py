"""Giving folders to other users, as root: a link that somebody put there must not lead anywhere else."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.quick_mesh import quick_mesh

from kindmesh.coordinator.isolation import IsolationPlan, give_back, take_over
from kindmesh.mesh.confine import User
from kindmesh.mesh.home import Home
from kindmesh.protocol.errors import ConfinementFailed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
PLAN = IsolationPlan("uid", User(61_190, 61_190, (61_191,)), User(61_191, 61_191, ()))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    quick_mesh(found)
    return found


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Something that is nobody's business."""
    folder = tmp_path / "elsewhere"
    (folder / "run").mkdir(parents=True)
    (folder / "secret").write_text("of somebody else")
    (folder / "secret").chmod(0o600)
    folder.chmod(0o700)
    return folder


def looks(folder: Path) -> list[tuple[str, int, int]]:
    paths = [folder, *sorted(folder.rglob("*"))]
    return [(path.name, path.stat().st_uid, path.stat().st_mode) for path in paths]


@pytest.mark.parametrize("name", ["medulla", "coordinator"])
def test_a_folder_replaced_by_a_link_leads_nowhere(home: Home, elsewhere: Path, name: str) -> None:
    before = looks(elsewhere)
    os.rename(home.root / name, home.root / "moved")
    (home.root / name).symlink_to(elsewhere)
    with suppress(ConfinementFailed):
        take_over(home, PLAN)
    with suppress(ConfinementFailed):
        give_back(home)
    assert looks(elsewhere) == before


def test_the_folder_of_medullas_socket_replaced_by_a_link_leads_nowhere(home: Home, elsewhere: Path) -> None:
    before = looks(elsewhere)
    (home.medulla / "run").rmdir()
    (home.medulla / "run").symlink_to(elsewhere / "run")
    with pytest.raises(ConfinementFailed):
        take_over(home, PLAN)
    assert looks(elsewhere) == before


def test_another_name_of_somebody_elses_file_is_not_given_away(home: Home, elsewhere: Path) -> None:
    os.link(elsewhere / "secret", home.coordinator / "mine")
    with pytest.raises(ConfinementFailed, match="mine"):
        take_over(home, PLAN)
    assert (elsewhere / "secret").stat().st_uid == 0


def test_what_was_given_comes_back(home: Home) -> None:
    take_over(home, PLAN)
    assert home.medulla.stat().st_uid == 61_190
    assert home.identity.stat().st_uid == 61_191
    give_back(home)
    assert {path.lstat().st_uid for path in home.root.rglob("*")} == {0}
