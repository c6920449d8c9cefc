"""A new mesh for tests in which nobody guesses passphrases.

Making one seals two keys, as hard to open as this machine's memory allows, and each command that signs for the owner
opens one: a quarter of a second of the processor each time that says nothing about what is tested. Here they are sealed
as a device with hardly any memory would (`stretch.check_cost`), and everything else is what `kindmesh init` makes. The
real cost is in the tests of the owner, of recovery, and in all that begin with the command.
"""

from __future__ import annotations

import os

import pytest

from kindmesh.coordinator.heart.schedules.zones import own_zone
from kindmesh.coordinator.new_mesh import CreatedMesh, create_mesh
from kindmesh.mesh.home import Home

WORDS = "correct horse"


def quick_mesh(home: Home, passphrase: str = WORDS, *, zone: str | None = None) -> CreatedMesh:
    """A mesh whose first device is `desk`; `zone`: where quiet hours are meant, else this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kindmesh.coordinator.sealed.affordable_cost", lambda: (8_192, 1))
        return create_mesh(home, passphrase, "desk", zone=own_zone(os.environ) if zone is None else zone)


__all__ = ["quick_mesh"]
