"""Keys of people on a device: private files, found by name, kept over a lost answer."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from tests.protocol import samples
from tests.protocol.samples import MESH, SIGNED, seed

from kindmesh.mesh import people_keys
from kindmesh.mesh.people_keys import PeopleKeys, PersonKeyFile
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InsecurePermissions, InvalidInput, StoreDamaged

ANNA = PersonKeyFile(
    1, MESH, "Anna", samples.PERSON_KEY.public, samples.TERMS.invite_id, samples.PERSON_KEY.seed, b"", SIGNED["phone"]
)  # fmt: skip


def other(name: str, **changes: object) -> PersonKeyFile:
    made = msgspec.structs.replace(ANNA, name=name, public=SigningKey(seed(name)).public, seed=seed(name))
    return msgspec.structs.replace(made, **changes)


def test_a_key_comes_back_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    keys = PeopleKeys(tmp_path)
    assert keys.all() == []
    keys.write(ANNA)
    keys.write(ANNA)
    assert keys.all() == [ANNA]
    path = next(keys.folder.iterdir())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.folder.stat().st_mode) == 0o700
    assert ANNA.seed.hex() not in repr(ANNA)
    path.chmod(0o644)
    with pytest.raises(InsecurePermissions):
        keys.all()


def test_the_only_person_is_meant_and_of_several_the_one_named(tmp_path: Path) -> None:
    keys = PeopleKeys(tmp_path)
    assert keys.choose(MESH, "") is None
    with pytest.raises(InvalidInput):
        keys.choose(MESH, "Anna")
    keys.write(ANNA)
    assert keys.choose(MESH, "") == ANNA
    keys.write(other("Bo"))
    assert keys.choose(MESH, "") is None
    assert keys.choose(MESH, "anna") == ANNA
    with pytest.raises(InvalidInput) as caught:
        keys.choose(MESH, "Carl")
    assert caught.value.hint == "Here are: Anna, Bo."


def test_what_is_not_certified_or_of_another_mesh_is_not_meant(tmp_path: Path) -> None:
    keys = PeopleKeys(tmp_path)
    keys.write(other("Bo", certificate=None))
    keys.write(other("Carl", mesh=samples.IDS["desk"]))
    assert keys.certified(MESH) == []
    assert other("Bo", certificate=None).certified is None
    keys.remove(other("Bo"))
    keys.remove(other("Bo"))
    assert [one.name for one in keys.all()] == ["Carl"]


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    keys = PeopleKeys(tmp_path)
    keys.write(msgspec.structs.replace(ANNA, schema=2))
    with pytest.raises(StoreDamaged):
        keys.all()
    next(keys.folder.iterdir()).write_bytes(b"nonsense")
    with pytest.raises(StoreDamaged):
        keys.all()


def test_there_is_an_end_to_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_keys, "PEOPLE_MAX", 1)
    keys = PeopleKeys(tmp_path)
    keys.write(ANNA)
    keys.write(ANNA)
    with pytest.raises(InvalidInput):
        keys.write(other("Bo"))
