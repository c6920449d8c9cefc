"""The keyring as the keeper of the master key: a real backend of the library, in memory; plain files are refused."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import KeyringLocked

from kindmesh.mesh import key_keyring
from kindmesh.mesh.clock import SystemEntropy
from kindmesh.mesh.key_lock import in_keyring, new_lock, open_with_master
from kindmesh.protocol.errors import KeyringUnavailable

MASTER, LOCK = bytes(range(32)), bytes(16)


class InMemory(KeyringBackend):
    """Keeps nothing on any disk."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = self.forgetful = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self.forgetful:
            self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class PlainFile(InMemory):
    """As those of keyrings.alt rank themselves: not recommended."""

    priority = 0.5  # type: ignore[assignment]


@pytest.fixture
def backend() -> Iterator[InMemory]:
    before = keyring.get_keyring()
    made = InMemory()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_what_is_put_there_opens_the_lock_again(backend: InMemory) -> None:
    opened = new_lock("keyring", SystemEntropy())
    key_keyring.put(opened.lock.lock_id, opened.master)
    assert open_with_master(opened.lock, key_keyring.get(opened.lock.lock_id)).master == opened.master
    assert key_keyring.name().endswith("InMemory")
    key_keyring.remove(opened.lock.lock_id)
    key_keyring.remove(opened.lock.lock_id)
    assert backend.kept == {}
    assert in_keyring(opened).lock.way == "keyring"


def test_a_key_that_is_not_there_is_said(backend: InMemory) -> None:
    with pytest.raises(KeyringUnavailable, match="does not have"):
        key_keyring.get(LOCK)
    backend.kept["kindmesh", LOCK.hex()] = "no base64!"
    with pytest.raises(KeyringUnavailable, match="no key"):
        key_keyring.get(LOCK)


def test_a_locked_keyring_and_one_that_keeps_nothing_are_said(backend: InMemory) -> None:
    backend.forgetful = True
    with pytest.raises(KeyringUnavailable, match="did not keep"):
        key_keyring.put(LOCK, MASTER)
    backend.locked = True
    with pytest.raises(KeyringUnavailable, match="did not answer"):
        key_keyring.get(LOCK)


@pytest.mark.parametrize("made", [PlainFile, fail.Keyring, null.Keyring], ids=lambda made: made.__module__)
def test_a_backend_that_keeps_nothing_safely_is_refused(
    made: type[KeyringBackend], backend: InMemory
) -> None:
    keyring.set_keyring(made())
    with pytest.raises(KeyringUnavailable, match="keeps a key safely"):
        key_keyring.put(LOCK, MASTER)


def test_a_chain_is_used_from_its_first_safe_link(backend: InMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [PlainFile(), backend])
    keyring.set_keyring(chainer.ChainerBackend())  # type: ignore[no-untyped-call]
    key_keyring.put(LOCK, MASTER)
    assert backend.kept
