"""Payloads in a journal, sealed per run: deleting one small key forgets everything that was said in that run.

Each run has a random key. It is stored beside the journal, in the table `run_key`, sealed under the folder's store
key; payloads are XChaCha20-Poly1305 under the run's key with a random nonce in front, bound to the run and to a purpose
(such as `b"arguments"`), so that a sealed value cannot be moved to another row and still open. The copies that
migrations left lose a forgotten run's key, too; a copy that a person made elsewhere keeps it until it is deleted.

A key is cached only once its row is committed: a key that a rolled-back turn had made must never seal anything later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kindmesh.mesh.clock import Entropy, SystemEntropy
from kindmesh.mesh.files import private_folder
from kindmesh.mesh.key_files import read_key, write_key
from kindmesh.mesh.store import Store
from kindmesh.protocol.crypto import KEY, NONCE, seal, unseal
from kindmesh.protocol.errors import BadSeal, Forgotten, KindmeshError, StoreDamaged

RUN_KEY_TABLE: Final = "CREATE TABLE run_key(run BLOB PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID"
"""Statement for the first migration of a store that has a vault."""
_FIND: Final = "SELECT sealed FROM run_key WHERE run = ?"
_FORGET: Final = "DELETE FROM run_key WHERE run = ?"
_LABEL: Final = b"kindmesh-vault-v1\0"
_CACHED: Final = 1024
_AT_ONCE: Final = 100
"""Runs forgotten by one statement."""


class RunVault:
    """Seals and opens payloads of runs kept in `store`, whose schema has `RUN_KEY_TABLE`."""

    def __init__(self, store: Store, store_key: bytes, *, entropy: Entropy | None = None) -> None:
        self._store = store
        self._store_key = store_key
        self._entropy = entropy or SystemEntropy()
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()

    def seal(self, run_id: bytes, payload: bytes, purpose: bytes = b"") -> bytes:
        """`payload` sealed for that run (40 bytes longer); makes the run's key, in this turn, if it has none.

        Raises:
            DiskFull, StoreError: as `Store.execute`.
        """
        nonce = self._entropy.token(NONCE)
        key = self._key(run_id) or self._make(run_id)
        return nonce + seal(key, nonce, payload, _LABEL + run_id + purpose)

    def unseal(self, run_id: bytes, sealed: bytes, purpose: bytes = b"") -> bytes:
        """What was sealed for that run and purpose.

        Raises:
            Forgotten: the run's key was deleted.
            BadSeal: changed, or sealed for something else.
        """
        key = self._key(run_id)
        if key is None:
            raise Forgotten()
        return unseal(key, sealed[:NONCE], sealed[NONCE:], _LABEL + run_id + purpose)

    def forget(self, run_id: bytes) -> bool:
        """Delete the run's key, in this turn, and from the copies that migrations left; False when there was none.
        `Store.scrub` clears the log of it too.

        Raises:
            DiskFull, StoreError: a copy could not be changed; nothing was forgotten yet.
        """
        self._keys.pop(run_id, None)
        self._store.amend_backups(_FORGET, (run_id,))
        return self._store.execute(_FORGET, (run_id,)) > 0

    def forget_all(self, run_ids: Sequence[bytes]) -> None:
        """As `forget`, for many runs at once.

        Raises:
            DiskFull, StoreError: as `forget`.
        """
        for first in range(0, len(run_ids), _AT_ONCE):
            some = run_ids[first : first + _AT_ONCE]
            for run_id in some:
                self._keys.pop(run_id, None)
            marks = ", ".join("?" * len(some))
            sql = f"DELETE FROM run_key WHERE run IN ({marks})"  # noqa: S608 - question marks only
            self._store.amend_backups(sql, some)
            self._store.execute(sql, some)

    def _key(self, run_id: bytes) -> bytes | None:
        key = self._keys.get(run_id)
        if key is None:
            row = self._store.query_one(_FIND, (run_id,))
            if row is None:
                return None
            try:
                key = unseal(self._store_key, row[0][:NONCE], row[0][NONCE:], _LABEL + run_id)
            except BadSeal as error:
                raise StoreDamaged(
                    f"The key of run {run_id.hex()} does not open with this folder's key."
                ) from error
            if not self._store.writing:
                self._remember(run_id, key)
        return key

    def _make(self, run_id: bytes) -> bytes:
        key, nonce = self._entropy.token(KEY), self._entropy.token(NONCE)
        sealed = nonce + seal(self._store_key, nonce, key, _LABEL + run_id)
        self._store.execute("INSERT INTO run_key VALUES(?, ?)", (run_id, sealed))
        self._store.after_commit(partial(self._made, run_id, key, sealed))
        return key

    def _made(self, run_id: bytes, key: bytes, sealed: bytes, error: KindmeshError | None) -> None:
        """Its turn is over: remember the key, if that very row is there (a savepoint may have taken it back)."""
        if error is None and self._store.query_one(_FIND, (run_id,)) == (sealed,):
            self._remember(run_id, key)

    def _remember(self, run_id: bytes, key: bytes) -> None:
        self._keys[run_id] = key
        if len(self._keys) > _CACHED:
            self._keys.popitem(last=False)


def folder_key(path: Path, *, entropy: Entropy | None = None) -> bytes:
    """The 32-byte key in the private file `path`, made on first use.

    Raises:
        InsecurePermissions: others can read it.
        StoreDamaged: it is not 32 bytes.
        KeysLocked: it is wrapped, and not opened in this process.
        DiskFull, StoreError: it cannot be read or made.
    """
    if not path.exists():
        private_folder(path.parent)
        write_key(path, (entropy or SystemEntropy()).token(KEY))
    key = read_key(path)
    if len(key) != KEY:
        raise StoreDamaged(f"{path} is not a key.")
    return key


__all__ = ["RUN_KEY_TABLE", "RunVault", "folder_key"]
