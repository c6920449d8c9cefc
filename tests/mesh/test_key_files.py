"""Private keys, plain and wrapped: read alike, written alike, converted without losing one, also by kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.files import private_folder
from kindmesh.mesh.home import Home
from kindmesh.mesh.identity import Identity, make_next_curve, take_next_curve
from kindmesh.mesh.key_conversion import clear_leftovers, key_files, key_status, protect, unprotect
from kindmesh.mesh.key_files import (
    MAGIC,
    close_keys,
    give_keys,
    is_wrapped,
    open_keys,
    read_key,
    take_keys,
    write_key,
)
from kindmesh.mesh.key_lock import (
    LOCK_FILE,
    PARTS,
    OpenedLock,
    new_lock,
    open_with_master,
    open_with_passphrase,
    part_of,
    read_lock,
    with_passphrase,
    write_lock,
)
from kindmesh.mesh.vault import folder_key
from kindmesh.protocol.errors import InvalidInput, KeysLocked, StoreDamaged, WrongPassphrase

ENTROPY = SystemEntropy()
PASSPHRASE = "four unrelated words here"
SECRET = bytes(range(32))


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kindmesh.mesh.key_lock.affordable_cost", lambda: (8_192, 1))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home").create()
    Identity.create(made.identity, ENTROPY)
    folder_key(made.node / "store.key")
    write_key(private_folder(made.medulla / "keys") / "permit.key", b"p" * 32)
    yield made
    close_keys(made.root)


def contents(home: Home) -> dict[str, bytes]:
    return {path.name: read_key(path) for path in key_files(home)}


# ---------------------------------------------------------------------------------------------------------- the lock


def test_the_passphrase_opens_the_lock_and_no_other_does(home: Home) -> None:
    opened = new_lock("passphrase", ENTROPY, PASSPHRASE)
    write_lock(home.root, opened.lock)
    lock = read_lock(home.root)
    assert lock is not None
    assert open_with_passphrase(lock, PASSPHRASE).master == opened.master
    with pytest.raises(WrongPassphrase):
        open_with_passphrase(lock, PASSPHRASE + "!")


def test_a_new_passphrase_keeps_the_keys_and_ends_the_old_one(home: Home) -> None:
    before = new_lock("passphrase", ENTROPY, PASSPHRASE)
    after = with_passphrase(before, "another good passphrase", ENTROPY)
    assert open_with_passphrase(after.lock, "another good passphrase").master == before.master
    with pytest.raises(WrongPassphrase):
        open_with_passphrase(after.lock, PASSPHRASE)


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(InvalidInput):
        new_lock("passphrase", ENTROPY, "short")


def test_another_master_is_not_taken_for_the_right_one() -> None:
    opened = new_lock("keyring", ENTROPY)
    assert open_with_master(opened.lock, opened.master).master == opened.master
    with pytest.raises(StoreDamaged):
        open_with_master(opened.lock, bytes(32))


def test_parts_have_keys_of_their_own() -> None:
    opened = new_lock("keyring", ENTROPY)
    assert len({*opened.parts(*PARTS).keys.values(), opened.master}) == 4
    assert part_of(Path("identity/device.key")) == part_of(Path("people/a.person")) == "node"
    assert part_of(Path(".init-0a/medulla/keys/issuer.key")) == "medulla"
    with pytest.raises(ValueError, match="no keys"):
        part_of(Path("config.toml"))


@pytest.mark.parametrize("damage", [b"", b"nonsense", MAGIC])
def test_a_damaged_lock_is_said(home: Home, damage: bytes) -> None:
    (home.root / LOCK_FILE).write_bytes(damage)
    with pytest.raises(StoreDamaged):
        read_lock(home.root)


# --------------------------------------------------------------------------------------------------------- the files


def test_wrapped_keys_are_read_as_plain_ones_are(home: Home) -> None:
    before = contents(home)
    assert protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY) == len(before) == 4
    assert contents(home) == before
    for path in key_files(home):
        assert is_wrapped(path)
        assert before[path.name] not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    assert unprotect(home, new_lock_of(home)) == 4
    close_keys(home.root)
    assert contents(home) == before
    assert read_lock(home.root) is None


def new_lock_of(home: Home) -> OpenedLock:
    lock = read_lock(home.root)
    assert lock is not None
    return open_with_passphrase(lock, PASSPHRASE)


def test_closed_keys_are_neither_read_nor_replaced_by_plain_ones(home: Home) -> None:
    protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY)
    close_keys(home.root)
    with pytest.raises(KeysLocked):
        Identity.load(home.identity, ENTROPY)
    with pytest.raises(KeysLocked):
        write_key(home.identity / "curve.next", SECRET)
    assert not (home.identity / "curve.next").exists()


def test_a_changed_curve_key_stays_wrapped(home: Home) -> None:
    protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY)
    following = make_next_curve(home.identity, ENTROPY)
    assert is_wrapped(home.identity / "curve.next")
    take_next_curve(home.identity)
    assert Identity.load(home.identity, ENTROPY).curve.secret == following.secret
    assert is_wrapped(home.identity / "curve.key")


def test_one_key_file_does_not_open_in_the_place_of_another(home: Home) -> None:
    protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY)
    os.replace(home.identity / "curve.key", home.identity / "device.key")
    with pytest.raises(StoreDamaged):
        read_key(home.identity / "device.key")


@pytest.mark.parametrize("at", [7, 20, -1])
def test_a_changed_byte_is_damage(home: Home, at: int) -> None:
    protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY)
    path = home.identity / "device.key"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises((StoreDamaged, KeysLocked)):
        read_key(path)


def test_a_child_opens_its_own_part_only(home: Home) -> None:
    opened = new_lock("passphrase", ENTROPY, PASSPHRASE)
    protect(home, opened, ENTROPY)
    close_keys(home.root)
    take_keys(home.root, give_keys(opened.parts("coordinator")))
    with pytest.raises(KeysLocked):
        Identity.load(home.identity, ENTROPY)
    with pytest.raises(KeysLocked):
        write_key(home.identity / "device.key", SECRET)
    take_keys(home.root, give_keys(opened.parts("node")))
    assert Identity.load(home.identity, ENTROPY).device_id


def test_nothing_given_is_nothing_taken(home: Home) -> None:
    take_keys(home.root, -1)
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(KeysLocked):
        take_keys(home.root, reading)


# ------------------------------------------------------------------------------------------------------- conversions


def test_what_was_interrupted_is_seen_and_finished(home: Home) -> None:
    opened = new_lock("passphrase", ENTROPY, PASSPHRASE)
    write_lock(home.root, opened.lock)
    assert key_status(home).half_done
    assert protect(home, opened, ENTROPY) == 4
    status = key_status(home)
    assert (status.way, status.plain, status.leftovers, status.half_done) == ("passphrase", (), (), False)


def test_a_leftover_is_written_over_and_removed(home: Home) -> None:
    left = home.identity / ".device.key.old"
    left.write_bytes(SECRET)
    other = home.root / "seen"
    with left.open("rb") as held:
        assert key_status(home).leftovers == ("identity/.device.key.old",)
        assert clear_leftovers(home) == 1
        assert held.read() == bytes(32)
    assert not left.exists()
    assert not other.exists()


def test_a_second_name_of_a_key_in_use_only_loses_the_name(home: Home) -> None:
    before = contents(home)
    os.link(home.identity / "device.key", home.identity / ".device.key.old")
    clear_leftovers(home)
    assert contents(home) == before


CONVERT = """
import os, signal, sys
from pathlib import Path
from kindmesh.mesh import key_conversion, key_lock, files
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.home import Home
left = int(sys.argv[2])
def dying(step):
    def run(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)
    return run
home = Home(Path(sys.argv[1]))
lock = key_lock.read_lock(home.root)
way = sys.argv[3]
opened = key_lock.open_with_master(lock, bytes.fromhex(sys.argv[4]))
for name in ("link", "rename", "fsync", "unlink", "write", "open", "lseek"):
    setattr(os, name, dying(getattr(os, name)))
if way == "protect":
    key_conversion.protect(home, opened, SystemEntropy())
else:
    key_conversion.unprotect(home, opened)
"""


@pytest.mark.parametrize("way", ["protect", "unprotect"])
def test_killed_at_any_step_no_key_is_lost(home: Home, way: str) -> None:
    before = contents(home)
    opened = new_lock("passphrase", ENTROPY, PASSPHRASE)
    code, steps, killed = -9, 0, 0
    while code != 0:
        steps += 4
        # Each round starts from the whole other form.
        (protect(home, opened, ENTROPY) if way == "unprotect" else unprotect(home, opened))
        write_lock(home.root, opened.lock)
        command = [sys.executable, "-c", CONVERT, str(home.root), str(steps), way, opened.master.hex()]
        code = subprocess.run(command, check=False, timeout=60).returncode
        assert code in (0, -9)
        killed += code == -9
        open_keys(home.root, opened.parts(*PARTS))
        assert contents(home) == before, f"after step {steps}"
    assert killed > 5
    assert key_status(home).leftovers == ()


def test_a_file_system_without_second_names_works_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = contents(home)
    with (home.identity / "device.key").open("rb") as held:
        protect(home, new_lock("passphrase", ENTROPY, PASSPHRASE), ENTROPY)
        assert held.read() == bytes(32)
    assert contents(home) == before
